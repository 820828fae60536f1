"""The numbers of a signature against their formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from planted import PLANTS, SHAPES, planted, ulp

from migrate import ENVELOPE_K
from reporter.understand.signatures import Evidence, signatures

RANGES = {"first": slice(0, 64), "last": slice(192, 256), "inner": slice(64, 128)}


def numbers(evidence, code):
    """Return the numbers of a code that matches, and the arrays they are of."""
    (found,) = [one for one in signatures(evidence) if one.code == code]
    return dict(found.numbers), evidence.values.ravel(), evidence.exact.ravel()


@pytest.mark.parametrize(("code", "name"), [plant for plant in PLANTS if plant[0] in ("D1", "R1")])
@pytest.mark.parametrize("scale", [0.02, 30.0])
def test_of_errors_everywhere(code, name, scale):
    told, a, r = numbers(planted(code, name, SHAPES[4], scale), code)
    assert told["relative l2"] == pytest.approx(np.linalg.norm(a - r) / np.linalg.norm(r))
    if code == "D1":
        rmse = np.sqrt(np.mean((a - r) ** 2))
        assert told["psnr"] == pytest.approx(20 * np.log10(np.abs(r).max() / rmse))
        assert told["largest"] == pytest.approx(np.abs(a - r).max())
        assert told["correlation"] == pytest.approx(np.corrcoef(a, r)[0, 1], abs=0.02)


def test_of_a_cold_start():
    exact = np.random.RandomState(1).normal(size=(1, 4, 6, 6))
    rmse = np.full(4, 0.01)
    right, wrong = exact + 0.01, exact + 0.3
    told, *_ = numbers(Evidence(wrong, exact, rmse, cold=right), "S1")
    assert told["cold right"] is True
    assert told["envelopes cold"] == pytest.approx(1)
    assert told["envelopes later"] == pytest.approx(30)
    told, *_ = numbers(Evidence(right, exact, rmse, cold=wrong), "S1")
    assert told["cold right"] is False
    assert told["envelopes cold"] == pytest.approx(30)
    assert told["envelopes later"] == pytest.approx(1)


@pytest.mark.parametrize("count", [3, 4])
def test_of_how_many_values_may_be_left_over(count):
    """Three values that agree are no evidence, four are."""
    exact = np.random.RandomState(2).normal(size=(1, 1, 8, 8))
    before = np.random.RandomState(4).normal(size=exact.shape)
    found = exact.copy()
    found.reshape(-1)[:count] = before.reshape(-1)[:count]
    evidence = Evidence(found, exact, np.full(1, 1e-4), previous=before)
    codes = [one.code for one in signatures(evidence)]
    assert ("S1" in codes) == (count == 4)


@pytest.mark.parametrize("where", RANGES)
def test_of_a_range_of_channels(where):
    span = RANGES[where]
    exact = np.random.RandomState(3).normal(size=(1, 256, 4, 4))
    found = exact.astype(np.float16).astype(np.float64)
    found[0, span] *= -3
    evidence = Evidence(found, exact, ulp(np.abs(exact).max(axis=(0, 2, 3))))
    (sign,) = [one for one in signatures(evidence) if one.code == "P1"]
    edge = {"first": 64, "last": 192, "inner": 64}[where]
    assert f" {edge} is a multiple of 64." in sign.says
    assert max(evidence.ratios) > ENVELOPE_K


@pytest.mark.parametrize(("noise", "matches"), [(1, True), (30, False)])
def test_of_permuted_axes_as_near_as_rounding(noise, matches):
    """To be nearer than the output as it is does not do: rounding must explain the rest."""
    random = np.random.RandomState(5)
    exact, unit = random.normal(size=(1, 4, 8, 8)), 1e-4
    found = np.swapaxes(exact, -1, -2) + noise * unit * random.normal(size=exact.shape)
    titles = [one.title for one in signatures(Evidence(found, exact, np.full(4, unit)))]
    assert ("Axes permuted" in titles) is matches


def test_of_a_gain_with_an_offset():
    exact = np.random.RandomState(6).normal(size=(1, 4, 8, 8))
    told, *_ = numbers(Evidence(exact * 1.5 + 0.7, exact, np.full(4, 1e-4)), "G1")
    assert told["gain"] == pytest.approx(1.5)
    assert told["offset"] == pytest.approx(0.7)
    assert told["r2"] == pytest.approx(1)
