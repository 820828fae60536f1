"""Sums by pieces against the whole, of every magnitude and mixture of magnitudes."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest

from reporter.understand import divergence
from reporter.understand.sums import Cosine, Squares

RANDOM = np.random.RandomState(3)
NAN, INF = np.nan, np.inf


def exact(values):
    """The root of the mean square in exact arithmetic, by a factor that keeps it a number."""
    top = max(abs(Fraction(float(v))) for v in values)
    if top == 0:
        return 0.0
    mean = sum((Fraction(float(v)) / top) ** 2 for v in values) / len(values)
    return math.sqrt(mean) * float(top)


@pytest.mark.parametrize(
    "pieces",
    [
        [[3.0, 4.0]],
        [[1.0], [2.0, -5.0], [0.0]],
        [[0.0, 0.0], [0.0]],
        [[1e-300, 3e-300], [2e-300]],
        [[1e-200], [1.0], [1e200]],
        [[1e200], [1.0], [3e200]],
        [[1e-200, 1e-310], [5e-200]],
        [[1.0], [1e-200]],
    ],
)
def test_squares_of_any_magnitude(pieces):
    sums = Squares()
    for piece in pieces:
        sums.add(np.array(piece))
    values = [v for piece in pieces for v in piece]
    assert sums.root_mean(len(values)) == pytest.approx(exact(values), rel=1e-12, abs=0)
    assert sums.peak == max(map(abs, values))


def test_nothing_and_no_number():
    assert math.isnan(Squares().root_mean(0))
    assert math.isnan(Cosine().value(0))
    sums = Squares()
    sums.add(np.array([1.0, INF]))
    assert sums.root_mean(2) == INF


@pytest.mark.parametrize("scales", [(1, 1), (1e-250, 1e250), (1e250, 1), (1e-300, 1e-300)])
def test_the_cosine_by_pieces(scales):
    one, other = RANDOM.standard_normal((2, 50))
    found = Cosine()
    for start in range(0, 50, 7):
        piece = slice(start, start + 7)
        found.add(one[piece] * scales[0], other[piece] * scales[1])
    expected = np.dot(one, other) / math.sqrt(np.dot(one, one) * np.dot(other, other))
    assert found.value(50) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("piece", [1, 3, 7, 64])
def test_metrics_do_not_depend_on_the_pieces(monkeypatch, piece):
    reference = RANDOM.uniform(-4, 4, 50)
    found = (reference + RANDOM.normal(0, 0.02, 50)).astype(np.float32)
    found[[4, 9, 30]] = NAN, INF, -50
    reference[[9, 20]] = INF, NAN
    whole = dataclasses.asdict(divergence.compare(found, reference))
    monkeypatch.setattr(divergence, "PIECE", piece)
    parts = dataclasses.asdict(divergence.compare(found, reference))
    assert parts == pytest.approx(whole, rel=1e-12)
    assert whole["max_abs_index"] == 30


def test_the_first_of_equal_errors_is_named(monkeypatch):
    monkeypatch.setattr(divergence, "PIECE", 4)
    found = np.zeros(12)
    found[[3, 7, 11]] = 2
    assert divergence.compare(found, np.zeros(12)).max_abs_index == 3


def test_strided_and_empty_arrays():
    values = RANDOM.standard_normal((6, 8))
    assert divergence.compare(values[::2, ::2], values[::2, ::2]).max_abs == 0
    assert divergence.compare(values.T, values.T.copy()).beyond == 0
    assert divergence.compare(values[:0], values[:0]).count == 0
