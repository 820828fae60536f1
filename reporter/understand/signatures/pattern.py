"""Patterns in space: a part of the output that is wrong (P1), or an error that is graded (M1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reporter.understand.signatures.evidence import rms, signature, times
from reporter.understand.signatures.regions import Region, Span, region

if TYPE_CHECKING:
    from reporter.understand.signatures.evidence import Array, Evidence, Mask, Signature

APART = 6.0  # times: the error inside over the error outside
CHANNELS_APART = 3.0  # times: that of the least wrong channel over that of the worst right one
EDGE = 4  # indices next to the right part
SHARP = 0.3  # of the median error, at the edge
ENOUGH = 16  # values that a part is told from
BINS = 16
SHORTEST = 10  # axis along which an error can be graded
MONOTONE = 0.8  # rank correlation
SIGNIFICANT = 2.8  # of the rank correlation, in its standard deviations
FALL = 3.0  # times: the first quarter over the last


def part(evidence: Evidence) -> Signature | None:
    """Match errors that fill a block, a corner, or residue classes of an axis (P1)."""
    found = block(evidence)
    if found is None:
        return None
    inside = found.inside.reshape(evidence.bad.shape)
    count, covered = int(evidence.bad.sum()), int(inside.sum())
    start = found.parts[0]
    worst = _rms(evidence, inside)
    return signature(
        "P1",
        "A part of the output is wrong",
        f"{count:,} of {inside.size:,} values are wrong, all of them at {found}: "
        f"{times(worst)} there, and {_rms(evidence, ~inside):.3g} times elsewhere."
        f"{_multiples(start)}",
        "a block, group or tile of the output that is computed another way",
        wrong=count,
        of=inside.size,
        inside=covered,
        where=str(found),
        period=found.period,
        first=int(start.indices[0]),
        last=int(start.indices[-1]),
        envelopes_inside=worst,
        envelopes_elsewhere=_rms(evidence, ~inside),
    )


def _rms(evidence: Evidence, inside: Mask) -> float:
    if (evidence.broken & inside).any():
        return float("inf")
    return rms(evidence.errors[inside & evidence.both])


def _multiples(span: Span) -> str:
    """Say if a range starts or ends at a multiple of what hardware groups channels by."""
    if span.period or not span.contiguous:
        return ""
    edges = [int(span.indices[0]), int(span.indices[-1]) + 1]
    inner = [n for n in edges if 0 < n < span.length]
    for group in (256, 64, 32, 16):
        hit = [n for n in inner if n % group == 0]
        if hit:
            return f" {hit[0]} is a multiple of {group}."
    return ""


def block(evidence: Evidence) -> Region | None:
    """Return the sharp-edged part of the output that is wrong, if there is one."""
    bad = evidence.bad
    if bad.size < ENOUGH or not bad.any() or bad.all() or _lone(bad):
        return None
    many = bad.shape[1] > 1
    found = region(bad.reshape(evidence.shape), irregular=many)
    if found is None or not _apart(evidence, found) or not _sharp(evidence, found):
        return None
    return found


def _lone(bad: Mask) -> bool:
    """Tell whether one value alone is wrong, and is neither the first nor the last."""
    hit = np.flatnonzero(bad)
    return len(hit) == 1 and 0 < int(hit[0]) < bad.size - 1


def _apart(evidence: Evidence, found: Region) -> bool:
    """Tell whether the error inside is of another size than the error outside."""
    inside = found.inside.reshape(evidence.bad.shape)
    if _rms(evidence, inside) < APART * _rms(evidence, ~inside):
        return False
    rows = inside.any(axis=1)
    channels = all(span.axis < -2 for span in found.parts)
    if bool(rows.all()) or not channels or evidence.values.shape[1] == 1:
        return True
    outer = float(np.max(evidence.ratios[~rows]))
    return float(np.min(evidence.ratios[rows])) >= CHANNELS_APART * outer


def _sharp(evidence: Evidence, found: Region) -> bool:
    """Tell whether the error ends at the edge of a range, and does not fade out towards it."""
    errors = np.abs(evidence.errors).reshape(evidence.shape)
    for span in found.parts:
        if span.period or not span.contiguous or len(span.indices) <= 2 * EDGE:
            continue
        if len(found.spans) != errors.ndim:
            errors = errors.reshape(-1)
        inner = profile(errors, span.axis)[span.indices]
        middle = SHARP * float(np.median(inner))
        ends = (inner[:EDGE], span.indices[0] > 0), (inner[-EDGE:], not _to_the_end(span))
        if any(edge and float(np.max(values)) < middle for values, edge in ends):
            return False
    return True


def _to_the_end(span: Span) -> bool:
    return int(span.indices[-1]) == span.length - 1


def profile(errors: Array, axis: int) -> Array:
    """Return the RMS of an array at each index of an axis."""
    others = tuple(i for i in range(-errors.ndim, 0) if i != axis)
    means: Array = np.sqrt(np.mean(errors**2, axis=others))
    return means


def graded(evidence: Evidence) -> Signature | None:
    """Match an error that rises or falls along an axis, also relative to the reference (M1)."""
    long = [i for i in range(-len(evidence.shape), 0) if evidence.shape[i] >= SHORTEST]
    if not long or not evidence.bad.any() or evidence.broken.any() or block(evidence):
        return None
    errors = evidence.errors.reshape(evidence.shape)
    sizes = np.abs(np.where(evidence.both, evidence.exact, 0.0) / evidence.unit)
    level = np.maximum(np.minimum(sizes, 1e100), 1.0).reshape(evidence.shape)
    steps = {axis: abs(_rank_correlation(_binned(profile(errors, axis)))) for axis in long}
    axis = max(steps, key=lambda axis: steps[axis])
    size, sizes = profile(errors, axis), profile(level, axis)
    binned, relative = _binned(size), _binned(size) / _binned(sizes)
    if not _monotone(binned) or not _monotone(relative):
        return None
    if (_rank_correlation(binned) > 0) != (_rank_correlation(relative) > 0):
        return None
    remaining = np.arange(len(size))[::-1]
    correlation = float(np.corrcoef(size, remaining)[0, 1])
    first, last = float(size[0]), float(size[-1])
    return signature(
        "M1",
        "Error graded along an axis",
        f"Along axis {axis} the error goes from {first:.4g} to {last:.4g} envelopes; its "
        f"correlation with the number of positions that remain is {correlation:.3f}.",
        "an error that depends on the position, as of a mask that is ignored",
        axis=axis,
        first=first,
        last=last,
        correlation=correlation,
        rank_correlation=-_rank_correlation(binned),
    )


def _binned(values: Array) -> Array:
    """Return a long profile as the RMS of BINS parts, which single values disturb less."""
    if len(values) < 2 * BINS:
        return values
    return np.array([rms(piece) for piece in np.array_split(values, BINS)])


def _rank_correlation(values: Array) -> float:
    """Return Spearman's correlation with the index, 0 if all are equal."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    if float(np.ptp(values)) == 0:
        return 0.0
    return float(np.corrcoef(ranks, np.arange(len(values)))[0, 1])


def _monotone(values: Array) -> bool:
    rank = abs(_rank_correlation(values))
    quarter = len(values) // 4
    ends = rms(values[:quarter]), rms(values[-quarter:])
    significant = rank * (len(values) - 1) ** 0.5 >= SIGNIFICANT
    return rank >= MONOTONE and significant and max(ends) >= FALL * min(ends)
