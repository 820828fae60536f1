"""An exact gain or offset (G1): of all, of the wrong values, of each channel, of its phases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from migrate import ENVELOPE_K
from reporter.understand.signatures.evidence import FAR, Evidence, signature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reporter.understand.signatures.evidence import Array, Mask, Signature

LEAST = 4  # values that a gain is read from
BETTER = 4.0  # times as close as without it
MOST = 0.9  # of the wrong channels
HALF_STEP = 2.0**-11  # relative rounding of float16


@dataclass(frozen=True, eq=False)
class Fit:
    """A gain and an offset, each a number or a column of one per channel."""

    gain: Array
    offset: Array
    kept: Mask  # the values that they were read from


def gain_or_offset(evidence: Evidence) -> Signature | None:
    """Match values that are g times the reference plus o, of the whole or of each channel (G1)."""
    if not evidence.bad.any():
        return None
    for words, fit in _fits(evidence):
        found = _signature(evidence, words, fit)
        if found:
            return found
    phases = _phases(evidence)
    if phases is None:
        return None
    for words, fit in _by_channel(phases):
        found = _signature(phases, f"{words} and place in blocks of 2 x 2", fit)
        if found:
            return found
    return None


def _signature(evidence: Evidence, words: str, fit: Fit) -> Signature | None:
    share = _explained(evidence, fit)
    if share is None:
        return None
    rows = fit.kept.any(axis=1) if fit.gain.size > 1 else np.ones(1, np.bool_)
    gain, offset = (part.reshape(-1)[rows] for part in (fit.gain, fit.offset))
    return signature(
        "G1",
        "Exact gain or offset",
        f"{_formula(gain, offset)} explains {words}: it leaves {1 - share:.2g} of the error's "
        f"square.{_ambiguity(evidence)}",
        "an exact gain or offset",
        gain=float(gain.flat[0]),
        offset=float(offset.flat[0]),
        largest_gain=float(np.max(gain)),
        largest_offset=float(np.max(offset)),
        r2=share,
        values=int(fit.kept.sum()),
        of=fit.kept.size,
    )


def _formula(gain: Array, offset: Array) -> str:
    g, o = _numbers(gain), _numbers(offset)
    if (gain == 1).all():
        return f"An offset of {o}"
    if (offset == 0).all():
        return f"A gain of {g}"
    return f"A gain of {g} and an offset of {o}"


def _numbers(values: Array) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:.5g}" if values.size == 1 else f"{low:.5g} to {high:.5g} by channel"


def _ambiguity(evidence: Evidence) -> str:
    if _distinct(evidence, evidence.bad) > 1:
        return ""
    return " The reference is constant there, so that a gain is not told from an offset."


def _fits(evidence: Evidence) -> Iterator[tuple[str, Fit]]:
    """Yield what may explain the values, the simplest first."""
    parts = (("every value", evidence.both), ("the wrong values", evidence.bad & evidence.both))
    for words, kept in parts:
        if kept.sum() >= LEAST:
            yield words, _gain(evidence, kept)
            if _distinct(evidence, kept) > 1:
                yield words, _offset(evidence, kept)
    for words, kept in parts:
        if kept.sum() >= 2 * LEAST and _distinct(evidence, kept) >= LEAST:
            yield words, _affine(evidence, kept)
    yield from _by_channel(evidence)


def _by_channel(evidence: Evidence) -> Iterator[tuple[str, Fit]]:
    rows = evidence.wrong & evidence.varies(evidence.exact)
    kept = evidence.both & rows[:, None]
    most = rows.sum() >= MOST * evidence.wrong.sum()
    if kept.any() and most and evidence.values.shape[1] >= LEAST:
        yield "each wrong channel", _gain(evidence, kept, axis=1)
        yield "each wrong channel", _offset(evidence, kept, axis=1)
        yield "each wrong channel", _offsets_with_one_gain(evidence, kept)


def _phases(evidence: Evidence, block: int = 2) -> Evidence | None:
    """Return the output with a channel for each place within blocks of so many rows and columns.

    It undoes a pixel shuffle: what was a constant per channel before it is one again.
    """
    if len(evidence.shape) < 3:
        return None
    height, width = evidence.shape[-2:]
    if height % block or width % block or not height * width:
        return None

    def apart(array: Array) -> Array:
        split = array.reshape(-1, height // block, block, width // block, block)
        return split.transpose(0, 2, 4, 1, 3).reshape(-1, height // block, width // block)

    rmse = np.repeat(evidence.unit[:, 0], block**2)
    return Evidence(apart(evidence.values), apart(evidence.exact), rmse)


def _distinct(evidence: Evidence, kept: Mask) -> int:
    """Return how many reference values differ by more than rounding explains, at most LEAST."""
    values = np.sort(evidence.exact[kept])
    step = 2 * evidence.limit * float(np.max(evidence.unit, initial=0.0))
    count, last = 0, -math.inf
    while values.size and count < LEAST:
        count, last = count + 1, float(values[0])
        values = values[np.searchsorted(values, last + step, side="right") :]
    return count


def _gain(evidence: Evidence, kept: Mask, axis: int | None = None) -> Fit:
    x, y = (_scaled(evidence, part, kept) for part in (evidence.exact, evidence.values))
    top, bottom = (np.sum(x * z, axis=axis, keepdims=True) for z in (y, x))
    gain = np.divide(top, bottom, out=np.ones_like(top), where=bottom > 0)
    return Fit(gain, np.zeros_like(gain), kept)


def _offset(evidence: Evidence, kept: Mask, axis: int | None = None) -> Fit:
    weight = np.where(kept, 1 / evidence.unit, 0.0)
    top = np.sum(weight * np.where(kept, evidence.errors, 0.0), axis=axis, keepdims=True)
    bottom = np.sum(weight**2, axis=axis, keepdims=True)
    offset = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
    return Fit(np.ones_like(offset), offset, kept)


def _affine(evidence: Evidence, kept: Mask) -> Fit:
    """Fit both; the values are centred first, so that a large mean costs no digits."""
    weight = np.where(kept, 1 / evidence.unit, 0.0)
    total = np.sum(weight**2)
    exact, values = (np.where(kept, part, 0.0) for part in (evidence.exact, evidence.values))
    means = [float(np.sum(weight * (weight * part)) / total) for part in (exact, values)]
    x, y = weight * (exact - means[0]), weight * (values - means[1])
    square = float(np.sum(x * x))
    gain = float(np.sum(x * y)) / square if square > 0 else 1.0
    return Fit(np.array([[gain]]), np.array([[means[1] - gain * means[0]]]), kept)


def _offsets_with_one_gain(evidence: Evidence, kept: Mask) -> Fit:
    """Fit one gain and an offset per channel: of a scaled input whose bias came after it."""
    count = np.maximum(kept.sum(axis=1, keepdims=True), 1)
    exact, values = (np.where(kept, part, 0.0) for part in (evidence.exact, evidence.values))
    means = [np.sum(part, axis=1, keepdims=True) / count for part in (exact, values)]
    x, y = (
        _scaled(evidence, part - mean, kept)
        for part, mean in zip((exact, values), means, strict=True)
    )
    square = float(np.sum(x * x))
    gain = np.full_like(means[0], float(np.sum(x * y)) / square if square > 0 else 1.0)
    return Fit(gain, means[1] - gain * means[0], kept)


def _scaled(evidence: Evidence, part: Array, kept: Mask) -> Array:
    return np.clip(np.where(kept, part, 0.0) / evidence.unit, -FAR, FAR)


def _explained(evidence: Evidence, fit: Fit) -> float | None:
    """Return the share of the error's square that a fit explains, None if that is not enough.

    What is left must be rounding: of the reference, amplified by the gain, and of the values.
    """
    kept = fit.kept
    predicted = fit.gain * np.where(kept, evidence.exact, 0.0) + np.where(kept, fit.offset, 0.0)
    left = np.clip(np.where(kept, evidence.values - predicted, 0.0) / evidence.unit, -FAR, FAR)
    error = float(np.sum(np.where(kept, evidence.errors, 0.0) ** 2))
    rest = float(np.sum(left**2))
    if not rest * BETTER**2 <= error or not np.isfinite(predicted).all() or _held(evidence, kept):
        return None
    peak = np.max(np.abs(np.where(kept, evidence.values, 0.0)), axis=1, initial=0.0)[:, None]
    allowed = np.maximum(np.abs(fit.gain), peak * HALF_STEP / evidence.unit)
    allowed = ENVELOPE_K * np.maximum(1.0, allowed)[:, 0]
    rows = kept.any(axis=1)
    size = np.sqrt(np.sum(left**2, axis=1) / np.maximum(kept.sum(axis=1), 1))
    carried = np.abs(fit.gain) * _signal(evidence, kept)
    if (size <= allowed)[rows].mean() < MOST or not (carried > evidence.limit).all():
        return None
    return 1 - rest / error


def _signal(evidence: Evidence, kept: Mask) -> float:
    """Return how much the reference varies, in envelopes; of a constant one, how large it is."""
    scaled = _scaled(evidence, evidence.exact, kept)[kept]
    several = _distinct(evidence, kept) > 1
    return float(np.std(scaled) if several else np.max(np.abs(scaled), initial=0.0))


def _held(evidence: Evidence, kept: Mask) -> bool:
    """Tell whether the values are one, where the reference has several."""
    values = evidence.values[kept]
    one = float(np.ptp(values)) <= evidence.limit * float(np.max(evidence.unit))
    return one and _distinct(evidence, kept) > 1
