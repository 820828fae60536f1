"""Reductions over any axes: against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences

import migrate
from migrate.errors import ModelError

X = np.random.default_rng(2).normal(size=(2, 3, 4, 2))
REDUCTIONS = {
    "reduceL1": lambda x, axes, keep: np.abs(x).sum(axes, keepdims=keep),
    "reduceL2": lambda x, axes, keep: np.sqrt((x**2).sum(axes, keepdims=keep)),
    "reduceMax": lambda x, axes, keep: x.max(axes, keepdims=keep),
    "reduceMin": lambda x, axes, keep: x.min(axes, keepdims=keep),
    "reduceSum": lambda x, axes, keep: x.sum(axes, keepdims=keep),
    "reduceProd": lambda x, axes, keep: x.prod(axes, keepdims=keep),
    "reduceMean": lambda x, axes, keep: x.mean(axes, keepdims=keep),
    "reduceLogSum": lambda x, axes, keep: np.log(x.sum(axes, keepdims=keep)),
    "reduceSumSquare": lambda x, axes, keep: (x**2).sum(axes, keepdims=keep),
    "reduceLogSumExp": lambda x, axes, keep: np.log(np.exp(x).sum(axes, keepdims=keep)),
}


def sample(kind):
    return np.abs(X) if kind == "reduceLogSum" else X


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axes", [(0,), (-1,), (1, 2), (-1, -3), (3, 0), (2, -4, 1)])
@pytest.mark.parametrize("kind", REDUCTIONS)
def test_axes(run_layer, kind, axes, keep):
    x = sample(kind)
    y = run_layer(kind, [x], axes=axes, keepDims=keep)
    wanted = REDUCTIONS[kind](x, axes, keep)
    assert (y.dtype, y.shape) == (np.float64, wanted.shape)
    np.testing.assert_allclose(y, wanted, rtol=1e-12)


@pytest.mark.parametrize("options", [{"reduceAll": True}, {"reduceAll": True, "axes": (1,)},
                                     {"axes": (0, 1, 2, 3)}, {"axes": (-1, 0, 2, -3)}])  # fmt: skip
@pytest.mark.parametrize("kind", REDUCTIONS)
def test_all_axes_leave_rank_1_or_the_rank_of_the_input(run_layer, kind, options):
    x = sample(kind)
    wanted = REDUCTIONS[kind](x, None, False)
    for keep, shape in ((False, (1,)), (True, (1, 1, 1, 1))):
        y = run_layer(kind, [x], keepDims=keep, **options)
        assert y.shape == shape
        np.testing.assert_allclose(y.ravel(), [wanted], rtol=1e-12)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("kind", REDUCTIONS)
def test_rank_1_stays_rank_1(run_layer, kind, keep):
    x = np.array([0.5, 2.0, 1.5])
    y = run_layer(kind, [x], axes=(-1,), keepDims=keep)
    assert y.shape == (1,)
    np.testing.assert_allclose(y, [REDUCTIONS[kind](x, 0, False)], rtol=1e-12)


def test_large_exponents_do_not_overflow(run_layer):
    y = run_layer("reduceLogSumExp", [[1000.0, 1000.0, -np.inf]], axes=(0,))
    np.testing.assert_allclose(y, [1000 + np.log(2)], rtol=1e-12)


@pytest.mark.parametrize("kind", REDUCTIONS)
@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ((), "axes is empty and reduceAll is not set"),
        ((1, 1), r"axes \[1, 1\] names an axis twice"),
    ],
)
def test_axes_that_make_no_sense_are_refused(one_layer, kind, axes, message):
    with pytest.raises(ModelError, match=rf"'tested' \({kind}\).*{message}"):
        migrate.to_torch(one_layer(kind, [(2, 3)], axes=axes))


@pytest.mark.parametrize("axes", [(2,), (-3,), (0, 5)])
@pytest.mark.parametrize("kind", REDUCTIONS)
def test_axes_out_of_range_are_refused(run_layer, kind, axes):
    with pytest.raises(ModelError, match=rf"'tested' \({kind}\).*inputs of shape 2x3"):
        run_layer(kind, [np.ones((2, 3))], axes=axes, keepDims=True)


# as an ML Program

rng = np.random.default_rng(0)
BLOB = rng.normal(size=(2, 3, 4, 5))
AWKWARD = np.array([[0, 0, 0], [1, np.inf, 2], [-np.inf, 1, 2], [-np.inf, -np.inf, -np.inf],
                    [1, np.nan, 2], [90, 100, -1e3], [1e-20, 2e-20, 0]])  # fmt: skip
PROGRAMS = {
    f"{kind} {name}": case(kind, [x], **options)
    for kind in REDUCTIONS
    for name, x, options in (
        ("some", BLOB, {"axes": [1, -1]}),
        ("kept", BLOB, {"axes": [0, 2], "keepDims": True}),
        ("all", BLOB, {"reduceAll": True}),
        ("all, kept", BLOB, {"reduceAll": True, "keepDims": True}),
        ("a vector", BLOB[0, 0, 0], {"axes": [-1]}),
        ("awkward", AWKWARD, {"axes": [1]}),
    )
}


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target, tolerance=1e-5) == {}
