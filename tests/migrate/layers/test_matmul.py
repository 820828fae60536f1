"""Matrix products and embeddings, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences

import migrate
from migrate.errors import ModelError

rng = np.random.default_rng(0)


def normal(*shape):
    """Return values that a float32 weight holds exactly."""
    return rng.normal(size=shape).astype(np.float32).astype(float)


def close(got, want):
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        ((2, 3), (3, 4), (2, 4)),
        ((5, 2, 3), (5, 3, 4), (5, 2, 4)),
        ((5, 2, 3), (3, 4), (5, 2, 4)),
        ((6, 1, 2, 3), (5, 3, 4), (6, 5, 2, 4)),
        ((3,), (3,), (1, 1)),
        ((3,), (3, 4), (1, 4)),
        ((2, 3), (3,), (2, 1)),
        ((3,), (5, 3, 4), (5, 1, 4)),
        ((5, 2, 3), (3,), (5, 2, 1)),
    ],
)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_product_of_two_inputs(run_layer, a, b, want, transpose_a, transpose_b):
    x, y = normal(*a), normal(*b)
    left = x if x.ndim > 1 else x[None]
    right = y if y.ndim > 1 else y[:, None]
    given = [
        np.swapaxes(left, -1, -2) if transpose_a else x,
        np.swapaxes(right, -1, -2) if transpose_b else y,
    ]
    got = run_layer("batchedMatmul", given, transposeA=transpose_a, transposeB=transpose_b)
    assert got.shape == want
    close(got, np.einsum("...ij,...jk->...ik", left, right))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (5, 2, 3), (2, 1, 2, 2, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_product_with_stored_weights(run_layer, shape, bias):
    x, w, b = normal(*shape), normal(3, 4), normal(4)

    def fill(p):
        p.weightMatrixFirstDimension, p.weightMatrixSecondDimension = 3, 4
        p.weights.floatValue.extend(w.flatten("F"))
        p.hasBias = bias
        p.bias.floatValue.extend(b)
        p.transposeA = p.transposeB = True  # ignored with one input

    close(run_layer("batchedMatmul", [x], fill=fill), x @ w + (b if bias else 0))


def test_stored_weights_are_ignored_with_two_inputs(run_layer):
    def fill(p):
        p.weightMatrixFirstDimension = p.weightMatrixSecondDimension = 2
        p.weights.floatValue.extend([7, 7, 7, 7])

    x, y = normal(2, 3), normal(3, 2)
    close(run_layer("batchedMatmul", [x, y], fill=fill), x @ y)


def int8(p, codes, *, scale=(0.25,), bias=(), bits=8):
    p.weightMatrixFirstDimension, p.weightMatrixSecondDimension = codes.shape
    p.weights.int8RawValue = codes.flatten("F").astype(np.int8).tobytes()
    p.weights.quantization.numberOfBits = bits
    p.weights.quantization.linearQuantization.scale.extend(scale)
    p.weights.quantization.linearQuantization.bias.extend(bias)
    p.int8DynamicQuantize = True


CODES = np.array([[-127, 3], [127, -1], [0, 64]])


def test_int8_weights_are_scaled(run_layer):
    x = normal(4, 3)
    close(run_layer("batchedMatmul", [x], fill=lambda p: int8(p, CODES)), x @ (0.25 * CODES))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"scale": (1, 2)}, "one scale and no bias"),
        ({"scale": ()}, "one scale and no bias"),
        ({"bias": (1,)}, "one scale and no bias"),
        ({"bits": 4}, "8 bits"),
    ],
)
def test_int8_weights_that_cannot_be_used(one_layer, options, match):
    with pytest.raises(ModelError, match=match):
        migrate.to_torch(
            one_layer("batchedMatmul", [(2, 3)], fill=lambda p: int8(p, CODES, **options))
        )


def test_int8_needs_int8_values(one_layer):
    def fill(p):
        int8(p, CODES)
        p.weights.int8RawValue = b""
        p.weights.floatValue.extend([0] * 6)

    with pytest.raises(ModelError, match="int8RawValue"):
        migrate.to_torch(one_layer("batchedMatmul", [(2, 3)], fill=fill))


def test_per_column_scales_of_ordinary_quantised_weights(run_layer):
    codes = np.array([[0, 200], [255, 1], [7, 8]])

    def fill(p):
        int8(p, codes, scale=(0.5, 2.0), bias=(-1.0, 3.0))
        p.weights.int8RawValue = b""
        p.weights.rawValue = codes.astype(np.uint8).flatten("F").tobytes()
        p.int8DynamicQuantize = False

    x = normal(4, 3)
    want = x @ (codes * [0.5, 2.0] + [-1.0, 3.0])
    close(run_layer("batchedMatmul", [x], fill=fill), want)


@pytest.mark.parametrize(
    ("rows", "columns", "values", "bias", "match"),
    [
        (3, 4, 11, 0, "weights holds 11 values, expected 12"),
        (3, 4, 0, 0, "given together"),
        (0, 0, 12, 0, "given together"),
        (3, 4, 12, 3, "bias holds 3 values, expected 4"),
    ],
)
def test_weights_that_do_not_fit(one_layer, rows, columns, values, bias, match):
    def fill(p):
        p.weightMatrixFirstDimension, p.weightMatrixSecondDimension = rows, columns
        p.weights.floatValue.extend([0.0] * values)
        p.hasBias = bool(bias)
        p.bias.floatValue.extend([0.0] * bias)

    with pytest.raises(ModelError, match=match):
        migrate.to_torch(one_layer("batchedMatmul", [(2, 3)], fill=fill))


def test_product_without_a_second_matrix(run_layer):
    with pytest.raises(ModelError, match="no second input"):
        run_layer("batchedMatmul", [np.zeros((2, 3))])


def embedding(p, values, bias=None):
    p.embeddingSize, p.vocabSize = values.shape
    p.weights.floatValue.extend(values.flatten())
    if bias is not None:
        p.hasBias = True
        p.bias.floatValue.extend(bias)


@pytest.mark.parametrize("shape", [(4, 1), (2, 3, 1), (2, 1, 3, 1), (1, 2, 2, 2, 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_embedding(run_layer, shape, bias):
    values, added = normal(3, 5), normal(3)
    indices = rng.integers(0, 5, size=shape)
    want = np.empty((*shape[:-1], 3))
    for i in np.ndindex(shape[:-1]):
        want[i] = values[:, indices[(*i, 0)]] + (added if bias else 0)
    fill = lambda p: embedding(p, values, added if bias else None)  # noqa: E731
    close(run_layer("embeddingND", [indices], fill=fill), want)


def test_half_precision_embedding(run_layer):
    values = normal(2, 3).astype(np.float16)

    def fill(p):
        p.embeddingSize, p.vocabSize = 2, 3
        p.weights.float16Value = values.tobytes()

    close(
        run_layer("embeddingND", [np.array([[2], [0]])], fill=fill), values.T[[2, 0]].astype(float)
    )


def test_embedding_with_a_scale_per_element(run_layer):
    codes = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)

    def fill(p):
        p.embeddingSize, p.vocabSize = 2, 3
        p.weights.rawValue = codes.tobytes()
        p.weights.quantization.numberOfBits = 8
        p.weights.quantization.linearQuantization.scale.extend([0.5, 2.0])

    want = (codes * [[0.5], [2.0]]).T
    close(run_layer("embeddingND", [np.array([[0], [1], [2]])], fill=fill), want)


@pytest.mark.parametrize("indices", [[[5]], [[-1]], [[0, 1]]])
def test_embedding_of_what_is_not_there(run_layer, indices):
    with pytest.raises(ModelError, match="layer 'tested'"):
        run_layer("embeddingND", [np.array(indices)], fill=lambda p: embedding(p, np.zeros((3, 5))))


def test_embedding_without_sizes(one_layer):
    with pytest.raises(ModelError, match="must be positive"):
        migrate.to_torch(one_layer("embeddingND", [(2, 1)]))


# as an ML Program

A, B = np.random.default_rng(0).normal(size=(2, 2, 3, 4, 5))


def weighted(**fields):
    """What fills a layer's weights, and its bias if there is one."""

    def fill(p):
        for field, size in fields.items():
            getattr(p, field).floatValue.extend(np.random.default_rng(1).normal(size=size))

    return fill


PROGRAMS = {
    "product": case("batchedMatmul", [A, B.swapaxes(-1, -2)], "matmul"),
    "transposed": case("batchedMatmul", [A, B], "matmul", transposeB=True),
    "both transposed": case("batchedMatmul", [A.swapaxes(-1, -2), B], transposeA=True,
                            transposeB=True),
    "broadcast": case("batchedMatmul", [A, B[:, :1]], transposeB=True),
    "of several ranks": case("batchedMatmul", [A, B[0, 0]], transposeB=True),
    "a row": case("batchedMatmul", [A[0, 0, 0], B[0, 0].T]),
    "a column": case("batchedMatmul", [A[0, 0], B[0, 0, 0]]),
    "stored": case("batchedMatmul", [A, B[0, 0].T], stored=[1]),
    "weights": case("batchedMatmul", [A], "linear", hasBias=True, fill=weighted(weights=15, bias=3),
                    weightMatrixFirstDimension=5, weightMatrixSecondDimension=3),
    "weights, no bias": case("batchedMatmul", [A], "linear", fill=weighted(weights=10),
                             weightMatrixFirstDimension=5, weightMatrixSecondDimension=2),
    "embedding": case("embeddingND", [[[[0], [6]], [[3], [3]]]], "gather", vocabSize=7,
                      embeddingSize=2, hasBias=True, fill=weighted(weights=14, bias=2)),
    "embedding, no bias": case("embeddingND", [[[0], [4]]], "gather", vocabSize=7, embeddingSize=2,
                               fill=weighted(weights=14)),
}  # fmt: skip


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target, tolerance=1e-5) == {}
