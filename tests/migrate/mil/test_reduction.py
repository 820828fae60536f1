"""Reductions against numpy's, integers against Python's exact ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import evaluated

from migrate.coreml import coremltools
from migrate.mil.registry import ops

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types


FUNCTIONS = {
    "reduce_l1_norm": lambda x, **axes: np.abs(x).sum(**axes),
    "reduce_l2_norm": lambda x, **axes: np.sqrt((x * x).sum(**axes)),
    "reduce_log_sum": lambda x, **axes: np.log(x.sum(**axes)),
    "reduce_log_sum_exp": lambda x, **axes: np.log(np.exp(x).sum(**axes)),
    "reduce_max": np.max,
    "reduce_mean": np.mean,
    "reduce_min": np.min,
    "reduce_prod": np.prod,
    "reduce_sum": np.sum,
    "reduce_sum_square": lambda x, **axes: (x * x).sum(**axes),
}
ARGUMENTS = {"reduce_argmax": np.argmax, "reduce_argmin": np.argmin}
X = np.random.RandomState(0).uniform(0.25, 2, (2, 3, 4)).astype(np.float32)
AXES = [(0,), (1, 2), (-1,), (2, 0), (-3, 1), (0, 1, 2)]


def compute(name, x, **options):
    return ops()[name].compute(x=torch.from_numpy(x), **options)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_floats(name, axes, keep):
    found = compute(name, X, axes=torch.tensor(axes), keep_dims=keep)
    wanted = FUNCTIONS[name](X.astype(np.float64), axis=axes, keepdims=keep)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)
    assert found.shape == wanted.shape


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_axes_are_reduced_where_none_are_named(name):
    wanted = FUNCTIONS[name](X.astype(np.float64))
    assert compute(name, X).shape == ()
    assert compute(name, X).item() == pytest.approx(wanted, rel=1e-5)
    assert compute(name, X, axes=None, keep_dims=True).shape == (1, 1, 1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_empty_list_of_axes_reduces_none(name):
    found = compute(name, X, axes=torch.tensor([], dtype=torch.int32))
    wanted = FUNCTIONS[name](X[None].astype(np.float64), axis=0)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)
    assert ops()[name].compute(x=torch.tensor(2.0)).shape == ()


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_floats_in_a_program(keep, half):
    def build(x):
        return tuple(
            getattr(mb, n)(x=x, axes=[0, -1], keep_dims=keep, name=f"{n}_") for n in FUNCTIONS
        )

    outputs = evaluated(build, half=half, x=X)
    x = (X.astype(np.float16) if half else X).astype(np.float64)
    for name, function in FUNCTIONS.items():
        wanted = function(x, axis=(0, 2), keepdims=keep)
        np.testing.assert_allclose(outputs[f"{name}_"], wanted, rtol=2**-10 if half else 1e-5)


def test_a_result_of_rank_0_is_an_input_of_the_next_operation():
    outputs = evaluated(lambda x: mb.real_div(x=x, y=mb.reduce_sum(x=x), name="y"), x=X)
    np.testing.assert_allclose(outputs["y"], X / X.sum(), rtol=1e-5)


def test_integers_stay_exact_in_a_program():
    x = np.array([[2**24 + 1, 2, -(2**24) - 3], [5, 1, 7]], np.int32)
    names = ["l1_norm", "max", "min", "prod", "sum", "mean", "l2_norm", "log_sum", "sum_square"]

    def build(x):
        return tuple(
            getattr(mb, f"reduce_{name}")(x=x, axes=[1], name=f"{name}_") for name in names
        )

    outputs = evaluated(build, x=x)
    assert all(value.dtype == np.int32 for value in outputs.values())
    assert outputs["l1_norm_"].tolist() == [2**25 + 6, 13]
    assert outputs["max_"].tolist() == [2**24 + 1, 7]
    assert outputs["min_"].tolist() == [-(2**24) - 3, 1]
    assert outputs["prod_"][1] == 35
    assert outputs["sum_"].tolist() == [0, 13]
    assert outputs["mean_"].tolist() == [0, 4]
    assert outputs["l2_norm_"].tolist() == [
        int(((2**24 + 1) ** 2 + 4 + (2**24 + 3) ** 2) ** 0.5),
        8,
    ]
    assert outputs["log_sum_"][1] == 2
    assert outputs["sum_square_"][1] == 75


def test_means_of_integers_are_rounded_towards_0_in_a_program():
    x = np.array([[-7, 0], [7, 0], [2**31 - 1, 2**31 - 1]], np.int32)
    outputs = evaluated(lambda x: mb.reduce_mean(x=x, axes=[1], name="y"), x=x)
    assert outputs["y"].tolist() == [-3, 3, 2**31 - 1]
    log = evaluated(lambda x: mb.reduce_log_sum_exp(x=x, axes=[1], name="y"), x=x[:2])
    assert log["y"].tolist() == [0, 7]


def test_the_logarithm_of_a_sum_of_exponentials_neither_overflows_nor_vanishes():
    x = np.array([[1000, 1000], [-1000, -1000]], np.float32)
    found = compute("reduce_log_sum_exp", x, axes=[1])
    assert found.tolist() == pytest.approx([1000 + np.log(2), -1000 + np.log(2)])


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_index_of_an_extreme(name, axis, keep, dtype):
    x = np.random.RandomState(1).permutation(24).reshape(2, 3, 4).astype(dtype)
    wanted = ARGUMENTS[name](x, axis=axis, keepdims=keep)
    found = compute(name, x, axis=axis, keep_dims=keep)
    np.testing.assert_array_equal(found.numpy(), wanted)
    np.testing.assert_array_equal(compute(name, x).numpy(), ARGUMENTS[name](x, axis=-1))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_first_of_several_extremes(name):
    assert compute(name, np.array([3.0, 1, 3, 1])).item() == {"reduce_argmax": 0}.get(name, 1)


@pytest.mark.parametrize("half", [False, True])
def test_indices_in_a_program(half):
    x = np.random.RandomState(1).permutation(24).reshape(2, 3, 4).astype(np.float32)

    def build(x):
        words = mb.reduce_argmin(x=x, axis=1, keep_dims=True, output_dtype="uint16")
        return (
            mb.reduce_argmax(x=x, axis=0, name="largest"),
            mb.cast(x=words, dtype="int32", name="smallest"),
        )

    outputs = evaluated(build, half=half, x=x)
    np.testing.assert_array_equal(outputs["largest"], x.argmax(0))
    np.testing.assert_array_equal(outputs["smallest"], x.argmin(1, keepdims=True))
    old = evaluated(lambda x: mb.reduce_argmax(x=x, name="y"), target="iOS15", x=x)
    np.testing.assert_array_equal(old["y"], x.argmax(-1))


@pytest.mark.parametrize("dtype", ["int64", "uint8", ""])
def test_an_output_dtype_that_is_not_known_is_refused(dtype):
    with pytest.raises(ValueError, match=f"output_dtype {dtype!r} is not known"):
        compute("reduce_argmax", X, output_dtype=dtype)
