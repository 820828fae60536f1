"""Dense layers and embeddings against numpy's products and columns."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences

import migrate
from migrate.errors import ModelError

rng = np.random.default_rng(5)


def float32(*shape):
    return rng.normal(size=shape).astype(np.float32)


def fill_dense(weight, bias=None):
    def fill(p):
        p.outputChannels, p.inputChannels = weight.shape
        p.weights.floatValue.extend(weight.ravel())
        if bias is not None:
            p.hasBias = True
            p.bias.floatValue.extend(bias)

    return fill


@pytest.mark.parametrize(
    ("shape", "out"),
    [
        ((6,), (4,)),
        ((3, 6), (3, 4)),
        ((5, 3, 6), (5, 3, 4)),
        ((5, 3, 2, 1), (5, 4, 1, 1)),
        ((7, 5, 1, 3, 2), (7, 5, 4, 1, 1)),
    ],
)
@pytest.mark.parametrize("biased", [False, True])
def test_inner_product_of_every_rank(run_layer, shape, out, biased):
    x, weight, bias = float32(*shape), float32(4, 6), float32(4)
    rows = x.reshape(-1, 6)
    expected = (rows @ weight.T.astype(np.float64) + bias * biased).reshape(out)
    got = run_layer("innerProduct", [x], fill=fill_dense(weight, bias if biased else None))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_inner_product_under_the_rank_5_mapping(run_layer):
    x, weight = float32(6), float32(4, 6)
    got = run_layer("innerProduct", [x], rank5=True, fill=fill_dense(weight))
    np.testing.assert_allclose(got.ravel(), weight @ x.astype(np.float64), rtol=1e-12)


@pytest.mark.parametrize("biased", [False, True])
def test_int8_dynamic_quantize_is_the_product_of_the_dequantised_weights(run_layer, biased):
    codes = rng.integers(-128, 128, (4, 6)).astype(np.int8)
    x, bias = float32(3, 6), float32(4)

    def fill(p):
        p.inputChannels, p.outputChannels, p.int8DynamicQuantize = 6, 4, True
        p.weights.int8RawValue = codes.tobytes()
        p.weights.quantization.numberOfBits = 8
        p.weights.quantization.linearQuantization.scale.append(0.125)
        p.hasBias = biased
        p.bias.floatValue.extend(bias)

    expected = x.astype(np.float64) @ (codes.T * 0.125) + bias * biased
    np.testing.assert_allclose(run_layer("innerProduct", [x], fill=fill), expected, rtol=1e-12)


@pytest.mark.parametrize("ids", [[0, 1, 4, 4], [3]])
@pytest.mark.parametrize("rank", [4, 5])
@pytest.mark.parametrize("biased", [False, True])
def test_embedding_takes_columns(run_layer, ids, rank, biased):
    weight, bias = float32(3, 5), float32(3)
    lead = (len(ids),) if rank == 4 else (1, len(ids))

    def fill(p):
        p.inputDim, p.outputChannels = 5, 3
        p.weights.floatValue.extend(weight.ravel())
        p.hasBias = biased
        p.bias.floatValue.extend(bias)

    got = run_layer("embedding", [np.reshape(ids, (*lead, 1, 1, 1))], fill=fill)
    expected = np.stack([weight[:, i] + bias * biased for i in ids]).reshape(*lead, 3, 1, 1)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert got.shape == expected.shape


def test_embedding_of_sequence_and_batch_keeps_their_order(run_layer):
    weight = np.arange(8, dtype=np.float32).reshape(2, 4)  # column i is [i, 4 + i]

    def fill(p):
        p.inputDim, p.outputChannels = 4, 2
        p.weights.floatValue.extend(weight.ravel())

    ids = np.array([[0, 1, 2], [3, 2, 1]])
    got = run_layer("embedding", [ids.reshape(2, 3, 1, 1, 1)], fill=fill)
    assert got.shape == (2, 3, 2, 1, 1)
    np.testing.assert_array_equal(got[..., 0, 0], np.stack([ids, ids + 4], -1))


def test_embedding_under_the_rank_5_mapping(run_layer):
    def fill(p):
        p.inputDim, p.outputChannels = 4, 2
        p.weights.floatValue.extend(range(8))

    got = run_layer("embedding", [np.array([2.0])], rank5=True, fill=fill)
    np.testing.assert_array_equal(got.ravel(), [2, 6])


def test_embedding_with_quantised_weights_scaled_per_output_channel(run_layer):
    codes = np.arange(10, dtype=np.uint8).reshape(2, 5)

    def fill(p):
        p.inputDim, p.outputChannels = 5, 2
        p.weights.rawValue = codes.tobytes()
        p.weights.quantization.numberOfBits = 8
        p.weights.quantization.linearQuantization.scale.extend([0.5, 2.0])
        p.weights.quantization.linearQuantization.bias.extend([1.0, -1.0])

    got = run_layer("embedding", [np.reshape([4, 0], (2, 1, 1, 1))], fill=fill)
    np.testing.assert_array_equal(got[..., 0, 0], [[4 * 0.5 + 1, 9 * 2 - 1], [1, 5 * 2 - 1]])


def embedding_of_4(p):
    p.inputDim, p.outputChannels = 4, 2
    p.weights.floatValue.extend(range(8))


@pytest.mark.parametrize(
    ("ids", "why"),
    [
        (np.full((1, 1, 1, 1), 4.0), "index out of range"),
        (np.full((1, 1, 1, 1), -1.0), "index out of range"),
        (np.zeros((1, 3, 1, 1)), "invalid for input of size 3"),
    ],
)
def test_embedding_refuses(run_layer, ids, why):
    with pytest.raises(ModelError, match=f"layer 'tested' .*{why}"):
        run_layer("embedding", [ids], fill=embedding_of_4)


def too_few(p):
    fill_dense(np.zeros((4, 6), np.float32))(p)
    del p.weights.floatValue[-1]


def biased_without_bias(p):
    fill_dense(np.zeros((4, 6), np.float32))(p)
    p.hasBias = True


def dynamic_without_int8(p):
    fill_dense(np.zeros((4, 6), np.float32))(p)
    p.int8DynamicQuantize = True


def without_entries(p):
    p.outputChannels = 2


@pytest.mark.parametrize(
    ("kind", "fill", "why"),
    [
        ("innerProduct", too_few, "weights holds 23 values, expected 24"),
        ("innerProduct", biased_without_bias, "bias holds 0 values"),
        ("innerProduct", dynamic_without_int8, "int8DynamicQuantize is set, but"),
        ("innerProduct", None, "inputChannels must be positive"),
        ("embedding", without_entries, "inputDim must be positive, found 0"),
    ],
)
def test_bad_parameters_are_named(one_layer, kind, fill, why):
    with pytest.raises(ModelError, match=f"layer 'tested' .*{why}"):
        migrate.to_torch(one_layer(kind, [(1, 6)], fill=fill))


def test_inner_product_of_a_wrong_size_is_a_sentence(run_layer):
    with pytest.raises(ModelError, match="cannot be applied to inputs of shape 1x5"):
        run_layer("innerProduct", [np.zeros((1, 5))], fill=fill_dense(float32(4, 6)))


# as an ML Program

X = np.random.default_rng(0).normal(size=(2, 3, 2, 2))


def stored(**fields):
    def fill(p):
        for field, size in fields.items():
            getattr(p, field).floatValue.extend(np.random.default_rng(1).normal(size=size))

    return fill


DENSE = {"inputChannels": 12, "outputChannels": 5}
TABLE = {"inputDim": 7, "outputChannels": 4}
PROGRAMS = {
    "dense": case("innerProduct", [X], hasBias=True, fill=stored(weights=60, bias=5), **DENSE),
    "dense, no bias": case("innerProduct", [X], fill=stored(weights=60), **DENSE),
    "dense, rank 5": case("innerProduct", [X[None]], fill=stored(weights=60), **DENSE),
    "dense, rank 2": case("innerProduct", [X.reshape(2, 12)], fill=stored(weights=60), **DENSE),
    "embedding": case("embedding", [[[[[6]]], [[[0]]]]], "gather", hasBias=True,
                      fill=stored(weights=28, bias=4), **TABLE),
    "embedding, rank 5": case("embedding", [np.full((2, 3, 1, 1, 1), 5)], "gather",
                              fill=stored(weights=28), **TABLE),
}  # fmt: skip


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target, tolerance=1e-5) == {}
