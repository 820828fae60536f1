"""The numbers of a report's pictures, few enough to be kept: how far off a unit is, and where.

An element's ratio is |a - r| over the error that rounding explains of its channel. That is an RMSE,
so that a single element of a channel within the limit may lie beyond it. The ratio is infinite
where a value or its reference is not finite and they differ. A cell has the largest ratio of its
elements: one wrong element of many shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import migrate
from reporter.understand.assessment import Assessment
from reporter.understand.divergence import axes
from reporter.understand.grid import Axis, Grid, graded, reduced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reporter.understand.diagnosis import Diagnosis, Numbers

    Array = NDArray[np.float64]

ROWS, COLUMNS = 96, 128  # of an error map, at most
BINS = 64  # of a scatter, each way
CHANNELS = 512  # of the channels' ratios, at most
MARGIN = 1 / BINS  # around the values of a scatter, of their range
LARGEST = float(np.finfo(np.float64).max)
POINTS = 200  # drawn one by one
RATIO_STEPS = (0.25, 1.0, 3.0, 10.0, 100.0, 1000.0)  # times the limit
COUNT_STEPS = (1.0, 10.0, 100.0, 1000.0, 10000.0)


@dataclass(frozen=True)
class ErrorMap:
    """The largest ratio of each cell, over channels (down) and flattened positions (across).

    Of a single channel it is over its two axes.
    """

    grid: Grid
    down: Axis
    across: Axis
    worst: float  # ratio
    at: int  # its index in the flattened output
    label: str  # what a classifier calls it
    beyond: int  # elements beyond the limit
    broken: int  # elements that are not finite, and not their reference


@dataclass(frozen=True)
class Scatter:
    """How many values lie where: the reference across, the unit's upwards, both from low to high.

    `low` and `high` are the finite range of both with a margin, at most one width of the
    reference's beyond it; so many finite values lie `outside`. `points` are the pairs (reference,
    value) that are beyond the limit, the farthest of them.
    """

    grid: Grid  # the highest values first
    low: float
    high: float
    outside: int
    broken: int  # pairs of which one is not finite
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ChannelRatios:
    """The RMSE of each channel over what rounding explains of it: the largest of each part."""

    axis: Axis
    ratios: tuple[float, ...]


@dataclass(frozen=True)
class Sketch:
    """What the pictures of one unit's output are drawn from; of several runs it is the worst."""

    unit: str
    run: str  # "run 2 of 3" or "cold start", if others are less far off
    limit: float
    assessment: Assessment
    errors: ErrorMap
    scatter: Scatter
    channels: ChannelRatios


def of_output(
    found: Numbers,
    envelope: migrate.Envelope,
    known: Diagnosis,
    limit: float,
    labels: Sequence[object] = (),
) -> tuple[Sketch, ...]:
    """Return a sketch of each unit that was diagnosed; nothing of an output without elements.

    `labels` are what a classifier calls the elements.
    """
    if not envelope.reference.size:
        return ()
    fitting = found.fitting(envelope)
    worst = {unit: _worst(unit, fitting, known) for unit in fitting.calls}
    return tuple(
        Sketch(unit, run, limit, assessment, *_numbers(array, envelope, limit, labels))
        for unit, (assessment, run, array) in worst.items()
    )


def _worst(unit: str, found: Numbers, known: Diagnosis) -> tuple[Assessment, str, Array]:
    """Return the worst of what a unit gave, and which of its runs that is if they differ."""
    count = len(found.calls[unit])
    runs = [
        (assessment, f"run {i} of {count}", array)
        for i, (assessment, array) in enumerate(
            zip(known.calls[unit], found.calls[unit], strict=True), start=1
        )
    ]
    if unit in found.cold:
        runs.append((known.cold[unit], "cold start", found.cold[unit]))
    assessment, run, array = max(runs, key=lambda each: each[0].severity)
    one = all(each[0].severity == assessment.severity for each in runs)
    return assessment, "" if one else run, array


def _numbers(
    values: Array, envelope: migrate.Envelope, limit: float, labels: Sequence[object]
) -> tuple[ErrorMap, Scatter, ChannelRatios]:
    reference = envelope.reference
    found = np.asarray(values, np.float64).reshape(reference.shape)
    ratios = _element_ratios(found, envelope)
    return (
        _error_map(ratios, reference.shape, limit, labels),
        _scatter(found.ravel(), reference.ravel(), ratios.ravel(), limit),
        _channel_ratios(envelope.ratio(found), reference.shape),
    )


def _element_ratios(found: Array, envelope: migrate.Envelope) -> Array:
    """Return each element's ratio: a row for each channel."""
    a, r = migrate.channels(found), migrate.channels(envelope.reference)
    with np.errstate(over="ignore", invalid="ignore"):
        ratios: Array = a - r
        np.abs(ratios, out=ratios)
        ratios /= envelope.rmse[:, None]
    np.minimum(ratios, LARGEST, out=ratios)
    ratios[~(np.isfinite(a) & np.isfinite(r))] = np.inf
    ratios[(a == r) | (np.isnan(a) & np.isnan(r))] = 0.0
    return ratios


def _error_map(
    ratios: Array, shape: tuple[int, ...], limit: float, labels: Sequence[object]
) -> ErrorMap:
    down, across = _plane(shape, bool(labels))
    steps = [limit * step for step in RATIO_STEPS]
    cells = reduced(ratios.reshape(down.size, across.size), down, across)
    at = int(np.argmax(ratios))
    return ErrorMap(
        grid=graded(cells, steps),
        down=down,
        across=across,
        worst=_short(ratios.flat[at]),
        at=at,
        label=str(labels[at]) if labels else "",
        beyond=int(np.count_nonzero(ratios > limit)),
        broken=int(np.count_nonzero(np.isinf(ratios))),
    )


def _plane(shape: tuple[int, ...], labelled: bool) -> tuple[Axis, Axis]:
    """Return the two axes of an error map of a shape."""
    names = axes(len(shape))
    if labelled:
        return _axis("", 1, ROWS), _axis("label", math.prod(shape), COLUMNS)
    if math.prod(shape[:-2]) == 1 and min(shape[-2:], default=1) > 1 and len(shape) > 1:
        return _axis(names[-2], shape[-2], ROWS), _axis(names[-1], shape[-1], COLUMNS)
    across = _named("position", names[-2:], shape[-2:])
    down = _named("channel", names[:-2], shape[:-2])
    return _axis(down, math.prod(shape[:-2]), ROWS), _axis(across, math.prod(shape[-2:]), COLUMNS)


def _axis(name: str, size: int, most: int) -> Axis:
    return Axis(name, size, min(size, most))


def _named(what: str, letters: Sequence[str], sizes: Sequence[int]) -> str:
    """Return a name with the letters of the axes that are longer than 1."""
    long = [letter for letter, size in zip(letters, sizes, strict=True) if size > 1]
    return f"{what} ({', '.join(long)})" if long else what


def _scatter(values: Array, reference: Array, ratios: Array, limit: float) -> Scatter:
    both = np.isfinite(values) & np.isfinite(reference)
    a, r = values, reference
    if not both.all():
        a, r, ratios = values[both], reference[both], ratios[both]
    low, high = _frame(a, r)
    inside = (a >= low) & (a <= high)
    bins = (BINS - 1 - _bins(a[inside], low, high)) * BINS + _bins(r[inside], low, high)
    counts = np.bincount(bins, minlength=BINS * BINS)
    least = np.partition(ratios, -POINTS)[-POINTS] if ratios.size > POINTS else 0.0
    far = np.flatnonzero((ratios > limit) & (ratios >= least))
    far = far[np.argsort(-ratios[far], kind="stable")[:POINTS]]
    return Scatter(
        grid=graded(counts.reshape(BINS, BINS), COUNT_STEPS),
        low=low,
        high=high,
        outside=int(a.size - np.count_nonzero(inside)),
        broken=int(values.size - a.size),
        points=tuple((float(r[i]), float(a[i])) for i in far),
    )


def _frame(values: Array, reference: Array) -> tuple[float, float]:
    """Return the range of finite values of both, near the reference's, with a margin."""
    if not values.size:
        return 0.0, 1.0
    low, high = float(reference.min()), float(reference.max())
    wide = min(high / 4 - low / 4, LARGEST / 16) * 4 or max(abs(high), 1.0)
    low = min(low, max(float(values.min()), low - wide))
    high = max(high, min(float(values.max()), high + wide))
    margin = (high / 4 - low / 4) * (4 * MARGIN) or wide / 2
    return max(low - margin, -LARGEST), min(high + margin, LARGEST)


def _bins(values: Array, low: float, high: float) -> NDArray[np.int32]:
    """Return the bin of each value; halves keep the widest range finite."""
    parts = values / 2
    parts -= low / 2
    parts /= high / 2 - low / 2
    parts *= BINS
    return np.clip(parts, 0, BINS - 1).astype(np.int32)


def _channel_ratios(ratios: Array, shape: tuple[int, ...]) -> ChannelRatios:
    axis = _axis(_named("channel", axes(len(shape))[:-2], shape[:-2]), ratios.size, CHANNELS)
    largest = np.maximum.reduceat(ratios, axis.starts)
    return ChannelRatios(axis, tuple(map(_short, largest)))


def _short(ratio: float) -> float:
    """Return a ratio at four digits, which is what a picture can show."""
    return float(f"{ratio:.4g}")
