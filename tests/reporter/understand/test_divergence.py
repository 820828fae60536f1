"""Metrics against their formulas written out in numpy; the table's rows and digits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reporter.understand.divergence import (
    TOLERANCE,
    axes,
    compare,
    printed,
    table,
    worst_in_channel,
    worst_index,
)

RANDOM = np.random.RandomState(5)
REFERENCE = RANDOM.uniform(-8, 8, (1, 3, 4, 5))
NAN, INF = np.nan, np.inf
CLOSE = {"rel": 1e-12, "abs": 1e-12}


def pairs():
    noise = RANDOM.normal(0, 0.02, REFERENCE.shape)
    yield (REFERENCE + noise).astype(np.float32), REFERENCE
    yield (REFERENCE + 10 * noise).astype(np.float16), REFERENCE.astype(np.float32)
    yield -REFERENCE, REFERENCE
    yield REFERENCE * 1e-9, REFERENCE * 1e9
    yield RANDOM.randint(-9, 9, (7,)).astype(np.int32), RANDOM.randint(-9, 9, (7,))
    yield np.uint8([[1, 255]]), np.uint8([[255, 1]])  # no wrapping differences
    yield np.float32([3]), np.float32([-4])


@pytest.mark.parametrize(("found", "reference"), list(pairs()))
def test_finite_values(found, reference):
    a, r = found.astype(float).ravel(), reference.astype(float).ravel()
    e = np.abs(a - r)
    m = compare(found, reference)
    assert (m.count, m.nan, m.inf) == (a.size, 0, 0)
    assert m.max_abs == pytest.approx(max(e), **CLOSE)
    assert e[m.max_abs_index] == max(e)
    assert m.mean_abs == pytest.approx(sum(e) / len(e), **CLOSE)
    assert m.rmse == pytest.approx(math.sqrt(sum(e * e) / len(e)), **CLOSE)
    assert m.snr == pytest.approx(10 * math.log10(sum(r * r) / sum(e * e)), **CLOSE)
    assert m.psnr == pytest.approx(
        10 * math.log10(max(abs(r)) ** 2 / (sum(e * e) / len(e))), **CLOSE
    )
    lengths = math.sqrt(sum(a * a)) * math.sqrt(sum(r * r))
    assert m.cosine == pytest.approx(sum(a * r) / lengths, **CLOSE)
    want = [x / max(abs(y), 1) > 0.01 for x, y in zip(e, r, strict=True)]
    assert m.beyond == sum(want)


def test_the_bound_is_coremltools_own():
    assert TOLERANCE == 0.01
    reference = np.array([0.0, 0.5, 1.0, -100.0, 100.0])
    found = reference + np.array([0.011, -0.011, 0.009, 0.9, -1.1])
    assert compare(found, reference).beyond == 3
    for tolerance, beyond in [(0.0, 5), (0.0089, 5), (0.0095, 3), (0.0105, 3), (0.012, 0), (1, 0)]:
        assert compare(found, reference, tolerance).beyond == beyond
    assert compare(reference, reference, 0.0).beyond == 0


def test_half_precision_of_300_overflows_nothing():
    reference = np.full((1, 4, 300), 300, np.float16)
    found = reference + np.float16(2)
    m = compare(found, reference)
    assert (m.rmse, m.mean_abs, m.max_abs) == (2, 2, 2)
    assert m.snr == m.psnr == pytest.approx(20 * math.log10(150))
    assert m.cosine == pytest.approx(1)


def test_the_batch_does_not_count():
    found = REFERENCE + RANDOM.normal(0, 1, REFERENCE.shape)
    one = compare(found, REFERENCE)
    assert compare(found[None], REFERENCE[None]) == one
    assert compare(found.ravel(), REFERENCE) == one
    twice = compare(np.stack([found] * 2), np.stack([REFERENCE] * 2))
    for name in ("psnr", "snr", "rmse", "mean_abs", "cosine", "max_abs"):
        assert getattr(twice, name) == pytest.approx(getattr(one, name))
    assert twice.beyond == 2 * one.beyond


def test_equal_arrays():
    m = compare(np.float32(REFERENCE), np.float32(REFERENCE))
    assert (m.max_abs, m.mean_abs, m.rmse, m.beyond) == (0, 0, 0, 0)
    assert m.snr == m.psnr == INF
    assert m.cosine == pytest.approx(1)
    zeros = compare(np.zeros(4), -np.zeros(4))
    assert (zeros.max_abs, zeros.beyond, zeros.cosine, zeros.snr) == (0, 0, 1, INF)


def test_zeros_on_one_side():
    silent = compare(np.zeros(4), np.full(4, 2.0))
    assert (silent.snr, silent.psnr, silent.rmse) == (0, 0, 2)
    assert math.isnan(silent.cosine)
    loud = compare(np.full(4, 2.0), np.zeros(4))
    assert (loud.snr, loud.psnr, loud.rmse) == (-INF, -INF, 2)
    assert math.isnan(loud.cosine)


def test_nan_and_infinities_are_counted_and_left_out():
    reference = np.array([1.0, 2, 3, NAN, NAN, INF, INF, -INF, 5, 6])
    found = np.array([1.0, NAN, INF, NAN, 4, INF, -INF, 7, 5.5, -INF])
    m = compare(found.astype(np.float32), reference)
    assert (m.count, m.nan, m.inf) == (10, 2, 4)
    # beyond: NaN for 2, inf for 3, 4 for NaN, -inf for inf, 7 for -inf, 5.5 for 5, -inf for 6
    assert m.beyond == 7
    assert compare(found, reference, 1.0).beyond == 6
    assert (m.max_abs, m.max_abs_index) == (0.5, 8)
    assert m.mean_abs == 0.25
    assert m.rmse == pytest.approx(math.sqrt(0.125))
    assert m.psnr == pytest.approx(20 * math.log10(5 / math.sqrt(0.125)))
    assert m.snr == pytest.approx(10 * math.log10(13 / 0.125))


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_nothing_finite_is_no_agreement(value):
    """Nothing could be compared: the error is unknown, and surely the cosine is not 1."""
    m = compare(np.full(3, value), np.arange(3.0))
    assert m.beyond == m.count == m.nan + m.inf == 3
    unknown = (m.max_abs, m.mean_abs, m.rmse, m.snr, m.psnr, m.cosine)
    assert all(map(math.isnan, unknown))
    same = compare(np.full(3, value), np.full(3, value))
    assert (same.beyond, math.isnan(same.cosine)) == (0, True)


def test_empty_arrays():
    m = compare(np.zeros((0, 3), np.float32), np.zeros((0, 3)))
    assert (m.count, m.beyond, m.nan, m.inf, m.max_abs_index) == (0, 0, 0, 0, 0)
    assert all(math.isnan(x) for x in (m.max_abs, m.mean_abs, m.rmse, m.snr, m.psnr, m.cosine))
    assert worst_index(np.zeros((0, 3, 2)), np.zeros((0, 3, 2))) == 0
    assert worst_index(np.zeros((1, 3, 0)), np.zeros((1, 3, 0))) == 0
    assert table({"Reference": np.zeros((0, 3))}, (0, 3), 0).rows == ()


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_any_magnitude(scale):
    """Squares must neither overflow nor vanish."""
    found = np.array([3.0, 4.5, -1.0])
    reference = np.array([3.0, 4.0, -2.0])
    plain, scaled = compare(found, reference), compare(found * scale, reference * scale)
    for name in ("snr", "psnr", "cosine"):
        assert getattr(scaled, name) == pytest.approx(getattr(plain, name))
    assert scaled.rmse == pytest.approx(plain.rmse * scale, rel=1e-12, abs=0)


def test_a_difference_beyond_float64():
    m = compare(np.array([1e308, 1]), np.array([-1e308, 1]))
    assert (m.max_abs, m.rmse, m.snr) == (INF, INF, -INF)
    assert m.beyond == 1


def test_the_worst_index():
    reference = np.zeros((1, 3, 2, 2))
    found = reference.copy()
    found[0, 0, 0, 1] = 4  # the largest error
    found[0, 2] = [[2, 2], [2.5, 2]]  # the worst channel: 18.25 squared, the other's 16
    assert worst_index(found, reference) == 2 * 4 + 2
    assert worst_index(found.reshape(3, 4), reference) == 1  # no channels: the largest error
    assert worst_index(found.ravel(), reference) == 1
    assert worst_index(found, reference.reshape(2, 6)) == 10
    assert worst_index(reference, reference) == 0
    assert worst_index(found * 1e200, reference) in (1, 2 * 4 + 2)  # squares overflow
    assert worst_index(np.full((1, 2, 1, 1), 1.7e308), np.full((1, 2, 1, 1), -1.7e308)) == 0


def test_the_worst_element_of_a_channel_is_not_that_of_another():
    reference = np.zeros((2, 3, 2, 2))
    found = reference.copy()
    found[0, 0, 0, 1], found[1, 1, 1, 0], found[1, 1, 1, 1] = 9, -3, 2
    assert worst_in_channel(found, reference, 4) == 4 * 4 + 2
    assert worst_in_channel(found.ravel(), reference, 4) == 4 * 4 + 2
    assert worst_in_channel(found, reference, 0) == 1
    found[1, 1, 0, 1] = NAN
    assert worst_in_channel(found, reference, 4) == 4 * 4 + 1
    assert worst_in_channel(np.zeros((1, 3, 0)), np.zeros((1, 3, 0)), 2) == 0
    assert worst_in_channel(found.ravel(), reference.ravel(), 0) == 17


@pytest.mark.parametrize(
    ("a", "r"), [(NAN, 1), (1, NAN), (INF, 1), (1, INF), (INF, -INF), (NAN, INF), (INF, NAN)]
)
def test_the_worst_is_what_is_not_finite_in_one_alone(a, r):
    reference = np.zeros((3, 2, 2), np.float32)
    found = reference.copy()
    found[0] = 1e30
    found[1, 1, 0], reference[1, 1, 0] = a, r
    found[2] = reference[2] = NAN  # the same in both: nothing wrong
    assert worst_index(found, reference) == 6
    assert compare(found, reference).beyond == 5


@pytest.mark.parametrize(
    ("size", "centre", "first", "last"),
    [
        (100, 50, 45, 55), (100, 0, 0, 10), (100, 4, 0, 10), (100, 5, 0, 10), (100, 6, 1, 11),
        (100, 99, 89, 99), (100, 94, 89, 99), (100, 93, 88, 98),
        (11, 3, 0, 10), (12, 11, 1, 11), (5, 4, 0, 4), (1, 0, 0, 0),
    ],
)  # fmt: skip
def test_the_window(size, centre, first, last):
    values = np.arange(size, dtype=np.float32)
    found = table({"Reference": values, "CPU": None, "ANE": values * 2}, (size,), centre)
    assert found.columns == ("Reference", "CPU", "ANE")
    rows = [row for row in found.rows if row is not None]
    assert [row.index for row in rows] == list(range(first, last + 1))
    assert [row.values for row in rows] == [
        (f"{i}", "", f"{2 * i}") for i in range(first, last + 1)
    ]
    gaps = [i for i, row in enumerate(found.rows) if row is None]
    assert gaps == [0] * (first > 0) + [len(found.rows) - 1] * (last < size - 1)


def test_positions():
    found = table({"CPU": REFERENCE}, REFERENCE.shape, 33)
    assert found.axes == ("n", "c", "h", "w")
    for row in filter(None, found.rows):
        assert row.position == np.unravel_index(row.index, REFERENCE.shape)
        assert float(row.values[0]) == pytest.approx(REFERENCE[row.position], rel=1e-8)


@pytest.mark.parametrize(
    ("rank", "names"),
    [(0, ""), (1, "c"), (2, "hw"), (3, "chw"), (4, "nchw"), (5, "snchw")],
)
def test_axes(rank, names):
    assert axes(rank) == tuple(names)
    assert len(axes(rank + 6)) == len(set(axes(rank + 6))) == rank + 6


def test_digits_read_back():
    bits = RANDOM.randint(0, 2**32, 4000, dtype=np.uint64).astype(np.uint32)
    for x in bits.view(np.float32):
        if np.isfinite(x):
            assert np.float32(printed(x)) == x
            assert len(printed(x).split("e")[0].strip("-").replace(".", "").lstrip("0")) <= 9
    for x in np.arange(2**16, dtype=np.uint16).view(np.float16):
        if np.isfinite(x):
            assert np.float16(printed(x)) == x
            assert len(printed(x).split("e")[0].strip("-").replace(".", "").lstrip("0")) <= 5


@pytest.mark.parametrize(
    ("value", "text"),
    [(np.float32(0.1), "0.100000001"), (np.float16(0.1), "0.099976"), (np.int32(-7), "-7"),
     (np.uint8(255), "255"), (np.float32(NAN), "nan"), (np.float16(-INF), "-inf"),
     (np.float32(1), "1"), (0.5, "0.5")],
)  # fmt: skip
def test_printed(value, text):
    assert printed(value) == text
