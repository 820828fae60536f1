"""Products of matrices against numpy's."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from programs import evaluated

from migrate import evaluate
from migrate.coreml import coremltools
from migrate.mil.registry import ops

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types


def floats(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-2, 2, shape).astype(np.float32)


def close(found, wanted, half=False):
    assert found.shape == wanted.shape
    np.testing.assert_allclose(
        found, wanted, rtol=2**-9 if half else 1e-5, atol=2e-3 if half else 1e-5
    )


def compute(name, **arrays):
    tensors = {k: torch.from_numpy(v) if hasattr(v, "dtype") else v for k, v in arrays.items()}
    return ops()[name].compute(**tensors).numpy()


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3)])
def test_linear_in_a_program(shape, biased, half):
    weight, bias = floats(5, 3, seed=1), floats(5, seed=2)
    options = {"bias": bias} if biased else {}
    x = floats(*shape)
    found = evaluated(lambda x: mb.linear(x=x, weight=weight, name="y", **options), half=half, x=x)[
        "y"
    ]
    close(found, x @ weight.T + (bias if biased else 0), half)
    assert not half or (found == found.astype(np.float16)).all()


def test_linear_takes_weights_of_another_type():
    weight = floats(5, 3, seed=1).astype(np.float16)
    x = floats(2, 3)
    found = evaluated(lambda x: mb.linear(x=x, weight=weight, name="y"), x=x)["y"]
    close(found, x @ weight.T.astype(np.float32))


def test_linear_of_integers_is_exact():
    x = np.array([[2**24 + 1, 3]], np.int32)
    weight, bias = np.array([[1, 2], [7, -1]], np.int32), np.array([10, 20], np.int32)
    found = evaluated(lambda x: mb.linear(x=x, weight=weight, bias=bias, name="y"), x=x)["y"]
    assert found.tolist() == [[2**24 + 17, 7 * (2**24 + 1) + 17]]
    bare = evaluated(lambda x: mb.linear(x=x, weight=weight, name="y"), x=x)["y"]
    assert bare.tolist() == [[2**24 + 7, 7 * (2**24 + 1) - 3]]


MATRICES = [  # shapes, and which of the two are transposed
    ((3, 4), (4, 5), (False, False)),
    ((4, 3), (4, 5), (True, False)),
    ((3, 4), (5, 4), (False, True)),
    ((2, 4, 3), (2, 5, 4), (True, True)),
    ((6, 3, 4), (2, 1, 4, 5), (False, False)),
    ((4,), (2, 4, 5), (False, False)),
]


def product(x, y, flips):
    x, y = (a.swapaxes(-1, -2) if flip else a for a, flip in zip((x, y), flips, strict=True))
    return np.matmul(x.astype(np.float64), y.astype(np.float64))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("left", "right", "flips"), MATRICES)
def test_matmul_in_a_program(left, right, flips, half):
    x, y = floats(*left), floats(*right, seed=1)

    def build(x, y):
        return mb.matmul(x=x, y=y, transpose_x=flips[0], transpose_y=flips[1], name="z")

    close(evaluated(build, half=half, x=x, y=y)["z"], product(x, y, flips), half)


@pytest.mark.parametrize("flip", [False, True])
def test_matmul_of_vectors_has_nothing_to_transpose(flip):
    x, m = floats(4), floats(2, 3, 4, seed=1)
    close(compute("matmul", x=x, y=x, transpose_x=flip, transpose_y=flip), x @ x)
    close(compute("matmul", x=m, y=x, transpose_y=flip), m @ x)


def test_matmul_of_integers_is_exact():
    x, y = np.array([[2**24 + 1, 1]], np.int32), np.array([[3], [-5]], np.int32)
    found = evaluated(lambda x, y: mb.matmul(x=x, y=y, name="z"), x=x, y=y)["z"]
    assert found.tolist() == [[3 * (2**24 + 1) - 5]]


def test_matmul_takes_a_constant_of_another_type():
    x, y = floats(2, 3), floats(3, 4, seed=1).astype(np.float16)
    found = evaluated(lambda x: mb.matmul(x=x, y=y, name="z"), x=x)["z"]
    close(found, x @ y.astype(np.float32))
    integers = np.array([[1, 2], [3, 4]], np.int32)
    close(compute("matmul", x=floats(3, 2), y=integers), floats(3, 2) @ integers)


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("nchw,nwhu->nchu", (2, 3, 4, 5), (2, 5, 4, 6)),
        ("nchw,nwhu->nchu", (1, 3, 4, 5), (2, 5, 1, 6)),
        ("abcd,adce->abce", (2, 3, 1, 5), (1, 5, 4, 6)),
        ("chw,whr->chr", (3, 4, 5), (5, 4, 6)),
        ("chw,whr->chr", (3, 1, 5), (5, 4, 6)),
    ],
)
def test_einsum_in_a_program(equation, left, right):
    x, y = floats(*left), floats(*right, seed=1)
    found = evaluated(lambda x, y: mb.einsum(values=(x, y), equation=equation, name="z"), x=x, y=y)[
        "z"
    ]
    # [..., H, C, W] @ [..., H, W, U], then the heads back where they were
    wanted = x.swapaxes(-3, -2) @ np.moveaxis(y, -3, -2)
    close(found, wanted.swapaxes(-3, -2))


def attention(q, k, v, mask):
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]) + mask
    weights = np.exp(scores)
    return weights / weights.sum(-1, keepdims=True) @ v


QUERY, KEY, VALUE = floats(2, 3, 4, 6), floats(2, 3, 5, 6, seed=1), floats(2, 3, 5, 7, seed=2)
ALLOWED = np.array([[1, 1, 0, 1, 0], [1] * 5, [0, 0, 0, 0, 1], [0, 1, 1, 0, 0]], np.int32)


@pytest.mark.parametrize("half", [False, True])
def test_attention_in_a_program(half):
    added = floats(2, 1, 4, 5, seed=3)

    def build(q, k, v, added, allowed):
        given = {"query": q, "key": k, "value": v}
        mask = mb.cast(x=allowed, dtype="bool")
        return (
            mb.scaled_dot_product_attention(**given, name="plain"),
            mb.scaled_dot_product_attention(**given, attn_mask=added, name="added_"),
            mb.scaled_dot_product_attention(**given, attn_mask=mask, name="masked"),
        )

    arrays = {"q": QUERY, "k": KEY, "v": VALUE, "added": added, "allowed": ALLOWED}
    outputs = evaluated(build, target="iOS18", half=half, **arrays)
    tolerance = {"rtol": 2**-7, "atol": 4e-3} if half else {"rtol": 1e-5, "atol": 1e-6}
    with np.errstate(divide="ignore"):
        masks = {"plain": 0, "added_": added, "masked": np.log(ALLOWED.astype(np.float64))}
    for name, mask in masks.items():
        wanted = attention(QUERY, KEY, VALUE, mask)
        np.testing.assert_allclose(outputs[name], wanted, **tolerance, err_msg=name)


def test_attention_converted_from_torch():
    class Attention(torch.nn.Module):
        def forward(self, q, k, v):
            return torch.nn.functional.scaled_dot_product_attention(q, k, v)

    tensors = [torch.from_numpy(a) for a in (QUERY, KEY, VALUE)]
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        model = ct.convert(
            torch.jit.trace(Attention(), tensors),
            inputs=[
                ct.TensorType(name=n, shape=t.shape) for n, t in zip("qkv", tensors, strict=True)
            ],
            outputs=[ct.TensorType(name="y")],
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS18,
            compute_precision=ct.precision.FLOAT32,
            skip_model_load=True,
        )
    found = evaluate(model, {"q": QUERY, "k": KEY, "v": VALUE})["y"]
    close(found, Attention()(*tensors).numpy())


def test_a_query_with_all_keys_masked_has_no_average():
    masked = np.array([[False, False], [True, False]])
    q = k = v = floats(1, 2, 3)
    found = compute("scaled_dot_product_attention", query=q, key=k, value=v, attn_mask=masked)
    assert np.isnan(found[0, 0]).all()
    np.testing.assert_allclose(found[0, 1], v[0, 0])
