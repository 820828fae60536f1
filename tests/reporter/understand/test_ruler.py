"""Residuals against their formula in numpy, and what has no finite one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from migrate import Envelope
from reporter.understand.ruler import Ruler

RNG = np.random.RandomState(0)
EXACT = {"y": RNG.rand(1, 3, 4, 5) * 4 + 1, "z": RNG.rand(6) + 1}
RMSE = {"y": np.array([2.0**-8, 2.0**-6, 2.0**-4]), "z": np.array([2.0**-9])}
BOUNDS = {k: Envelope(v, RMSE[k], np.zeros(len(RMSE[k]), bool), ()) for k, v in EXACT.items()}


def ulp(peaks):
    """The step of float16 at a number, or at its least normal one."""
    return 2.0 ** (np.floor(np.log2(np.maximum(peaks, 2.0**-14))) - 10)


def expected(name, measured, candidate):
    """The worst channel's RMSE over its envelope, which grows with the candidate's peak."""
    shape = (-1, np.prod(EXACT[name].shape[-2:])) if EXACT[name].ndim > 2 else (1, -1)
    rows, values, exact = (np.reshape(a, shape) for a in (measured, candidate, EXACT[name]))
    now = np.abs(values).max(axis=1)
    share = np.median(RMSE[name] / np.abs(exact).max(axis=1))
    unit = np.maximum(np.maximum(RMSE[name], share * now), ulp(now))
    return np.max(np.sqrt(np.mean((rows - values) ** 2, axis=1)) / unit)


@pytest.mark.parametrize("scale", [1, 1e-3, 50, 1e4])
def test_a_residual_is_the_worst_channel_of_the_worst_output(scale):
    measured = {k: v + RNG.randn(*v.shape) / 9 for k, v in EXACT.items()}
    candidate = {k: scale * v for k, v in EXACT.items()}
    found = {k: Ruler({k: measured[k]}, BOUNDS).residual(candidate) for k in EXACT}
    for name, residual in found.items():
        assert residual == pytest.approx(expected(name, measured[name], candidate[name]))
    assert Ruler(measured, BOUNDS).residual(candidate) == max(found.values())


def test_equal_outputs_have_none():
    ruler = Ruler(EXACT, BOUNDS)
    assert ruler.residual(EXACT) == 0
    assert all(ruler.within(name, 1e-9) for name in EXACT)


def test_where_a_fault_makes_values_larger_rounding_grows_with_them():
    """Noise of half a float16 step explains itself at any size."""
    for scale in (1, 8, 1000):
        candidate = {"y": EXACT["y"] * scale}
        measured = {"y": candidate["y"].astype(np.float16)}
        assert Ruler(measured, BOUNDS).residual(candidate) < 1
    lost = Ruler({"y": 0 * EXACT["y"]}, BOUNDS)
    assert lost.residual({"y": 1000 * EXACT["y"]}) > 100  # but not without end


def test_the_envelope_of_a_reference_of_zeros():
    zero = Envelope(np.zeros((1, 2, 4, 4)), np.full(2, 2.0**-24), np.zeros(2, bool), ())
    ruler = Ruler({"y": np.zeros((1, 2, 4, 4))}, {"y": zero})
    assert ruler.residual({"y": np.full((1, 2, 4, 4), 2.0**-24)}) == 1
    assert ruler.residual({"y": np.full((1, 2, 4, 4), 1.0)}) == 1024


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_must_be_the_same(value):
    odd = EXACT["y"].copy()
    odd[0, 1, 2, 3] = value
    assert Ruler({"y": odd}, BOUNDS).residual({"y": odd}) == 0
    assert Ruler({"y": odd}, BOUNDS).residual({"y": EXACT["y"]}) == math.inf
    assert Ruler({"y": EXACT["y"]}, BOUNDS).residual({"y": odd}) == math.inf
    off = odd.copy()
    off[0, 1] += 2
    finite = Ruler({"y": off}, BOUNDS).residual({"y": odd})
    assert 8 < finite < math.inf
    assert not Ruler({"y": odd}, BOUNDS).within("y", 1e9)


def test_numbers_too_far_apart_for_float64():
    found = Ruler({"y": EXACT["y"] * 1e300}, BOUNDS)
    assert found.residual({"y": EXACT["y"]}) == math.inf
    assert not found.within("y", 8)


@pytest.mark.parametrize(("name", "limit"), [("y", 8), ("y", 2), ("z", 8)])
def test_within_is_by_the_limit(name, limit):
    unit = np.reshape(RMSE[name], (1, 3, 1, 1) if name == "y" else 1)
    for share, right in ((0.999, True), (1.001, False)):
        measured = EXACT[name] + share * limit * unit
        assert Ruler({name: measured}, BOUNDS).within(name, limit) == right


def test_a_shape_that_differs_by_ones_is_the_same():
    ruler = Ruler({"y": EXACT["y"][0].astype(np.float32)}, BOUNDS)
    assert ruler.residual(EXACT) < 1e-3


def test_an_output_of_another_shape_is_infinitely_far():
    assert Ruler(EXACT, BOUNDS).residual({**EXACT, "y": np.zeros((1, 3, 4, 6))}) == math.inf
    assert Ruler(EXACT, BOUNDS).residual({**EXACT, "z": np.zeros(0)}) == math.inf


def test_nothing_measured_is_infinitely_far():
    assert Ruler({}, BOUNDS).residual(EXACT) == math.inf
    assert Ruler({}, BOUNDS).between(EXACT, EXACT) == math.inf


def test_an_output_without_values():
    empty = Envelope(np.zeros((0, 3, 2)), np.zeros(0), np.zeros(0, bool), ())
    ruler = Ruler({"y": np.zeros((0, 3, 2))}, {"y": empty})
    assert ruler.residual({"y": np.zeros((0, 3, 2))}) == 0
    assert ruler.within("y", 8)


def test_between_two_candidates():
    one = {k: v + 1 for k, v in EXACT.items()}
    other = {k: v + 1.5 for k, v in EXACT.items()}
    ruler = Ruler({"y": EXACT["y"]}, BOUNDS)
    assert ruler.between(one, one) == 0
    assert ruler.between(one, other) == pytest.approx(expected("y", one["y"], other["y"]))
    assert ruler.between(one, other) != ruler.residual(other)  # the measured take no part
