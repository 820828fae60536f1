"""What is left without structure: drift (D1), flipped decisions (F1), garbage (R1), rounding (B0).

Correlations are of values in envelopes of their channel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate import ENVELOPE_K
from reporter.understand.signatures.evidence import FAR, signature, times
from reporter.understand.signatures.regions import place

if TYPE_CHECKING:
    from reporter.understand.signatures.evidence import Array, Evidence, Signature

ENOUGH = 8  # values that a correlation is taken of
FEW = 4  # values of a channel that has a mean of its own
LARGE = 0.5  # relative error that is no drift
LIKE = 0.9  # correlation of drift
UNLIKE = 0.5  # correlation of garbage, and more of few values
CLOSE = 0.1  # relative error that is drift where the reference is constant
TYPICAL = ENVELOPE_K / 4  # of the median channel: the others are off as well
DENSE = 0.1  # median over root mean square: of errors that are everywhere
COARSER = 8  # times is bfloat16 than float16: 8 significant bits, not 11
AGREES = 0.5  # of the decisions or values; with fewer the output is another altogether


def drift(evidence: Evidence) -> Signature | None:
    """Match errors everywhere, beyond rounding and small beside the reference (D1).

    A lower precision is named up to COARSER times the limit of rounding: bfloat16 has 8 significant
    bits, float16 has 11, so that its unit roundoff is 2^3 times as large.
    """
    if not evidence.wrong.any() or evidence.broken.any() or evidence.both.sum() < ENOUGH:
        return None
    relative, likeness = _relative(evidence), _correlation(evidence)
    alike = relative <= CLOSE if math.isnan(likeness) else likeness >= LIKE
    size = np.abs(evidence.errors[evidence.both])
    dense = float(np.median(size)) >= DENSE * math.sqrt(float(np.mean(size**2)))
    spread = float(np.median(evidence.ratios)) >= TYPICAL
    if not alike or not dense or not spread or relative > LARGE:
        return None
    worst = float(np.max(evidence.ratios))
    title, cause = "Low-precision drift", "a computation in lower precision than float16"
    if worst > COARSER * ENVELOPE_K:
        title, cause = "Errors everywhere", "errors larger than those of a computation in bfloat16"
    return signature(
        "D1",
        title,
        f"The values follow the reference (relative L2 error {relative:.4g}), and the worst "
        f"channel is {times(worst)}.{_others(evidence)}",
        f"{cause} with float32 sums",
        relative_l2=relative,
        correlation=likeness,
        psnr=_psnr(evidence),
        largest=_largest(evidence),
        envelopes=worst,
        **_ratios(evidence),
    )


def garbage(evidence: Evidence) -> Signature | None:
    """Match values that have nothing to do with the reference (R1)."""
    count = int(evidence.both.sum())
    if not evidence.wrong.any() or evidence.broken.any() or count < ENOUGH:
        return None
    relative, likeness = _relative(evidence), _correlation(evidence)
    bound = min(0.8, max(UNLIKE, 3 / math.sqrt(count)))
    if math.isnan(likeness) and relative < LARGE:
        return None
    if abs(likeness) > bound:
        return None
    return signature(
        "R1",
        "Unstructured garbage",
        f"The values do not follow the reference (correlation {likeness:.3g}, relative L2 error "
        f"{relative:.4g}) and show none of the other patterns.{_others(evidence)}",
        "other data in the place of the output",
        correlation=likeness,
        relative_l2=relative,
        values=count,
        **_ratios(evidence),
    )


def flipped(evidence: Evidence) -> Signature | None:
    """Match decisions that differ while most of the output is as it should be (F1)."""
    if not evidence.wrong.any() or evidence.broken.any() or not evidence.both.all():
        return None
    if _labels(evidence):
        return _flipped_labels(evidence)
    axis = _axis(evidence)
    if axis is None:
        return None
    found, exact = _decisions(evidence, evidence.values, axis)
    flips = found.argmax(axis=1) != exact.argmax(axis=1)
    count, total = int(flips.sum()), len(flips)
    alike = _correlation(evidence) >= LIKE or evidence.bad.mean() <= 1 - AGREES
    if not count or (not alike and count > (1 - AGREES) * total):
        return None
    margins = _margins(found[flips], exact[flips])
    first = int(np.flatnonzero(flips)[0])
    was, now = int(exact[first].argmax()), int(found[first].argmax())
    return signature(
        "F1",
        "Decision flip",
        f"{count:,} of {total:,} decisions differ, the first from index {was} to {now}; the margin "
        f"overcome is at most {np.max(margins):.4g}, and the largest error "
        f"{_largest(evidence):.4g}.",
        "a close decision that an error turned",
        decisions=total,
        flipped=count,
        agreement=1 - count / total,
        largest_margin=float(np.max(margins)),
        largest_error=_largest(evidence),
        was=was,
        now=now,
    )


def _flipped_labels(evidence: Evidence) -> Signature | None:
    count, total = int((evidence.values != evidence.exact).sum()), evidence.values.size
    if count > (1 - AGREES) * total:
        return None
    first = int(np.flatnonzero((evidence.values != evidence.exact).reshape(-1))[0])
    was, now = (int(part.reshape(-1)[first]) for part in (evidence.exact, evidence.values))
    return signature(
        "F1",
        "Decision flip",
        f"{count:,} of {total:,} whole numbers differ, {1 - count / total:.1%} agree; the first at "
        f"{place(first, evidence.shape)} is {now} in place of {was}.",
        "close decisions that an error turned",
        decisions=total,
        flipped=count,
        agreement=1 - count / total,
        was=was,
        now=now,
    )


def _labels(evidence: Evidence) -> bool:
    """Tell whether the output is whole numbers, none of them outside of the reference's."""
    values, exact = evidence.values, evidence.exact
    whole = bool((values == np.round(values)).all() and (exact == np.round(exact)).all())
    return whole and bool(exact.min() <= values.min() and values.max() <= exact.max())


def _axis(evidence: Evidence) -> int | None:
    """Return the axis that a decision is the largest of: as given, or the only one there is."""
    shape = evidence.shape
    if evidence.scores is not None:
        inside = -len(shape) <= evidence.scores < len(shape) and shape[evidence.scores] > 1
        return evidence.scores if inside else None
    axes = [i for i, n in enumerate(shape) if n > 1]
    return axes[0] if len(axes) == 1 else None


def _decisions(evidence: Evidence, values: Array, axis: int) -> tuple[Array, Array]:
    parts = (values.reshape(evidence.shape), evidence.reference)
    found, exact = (
        np.moveaxis(np.asarray(part, np.float64), axis, -1).reshape(-1, evidence.shape[axis])
        for part in parts
    )
    return found, exact


def _margins(found: Array, exact: Array) -> Array:
    """Return by how much the right decision led in the reference, of each row."""
    chosen = np.take_along_axis(exact, found.argmax(axis=1)[:, None], axis=1)[:, 0]
    return exact.max(axis=1) - chosen


def benign(evidence: Evidence) -> Signature | None:
    """Match an output that rounding explains (B0)."""
    if evidence.wrong.any() or not evidence.both.any():
        return None
    exact = evidence.exact[evidence.both]
    grid = exact.astype(np.float16).astype(np.float64)
    rounded = int((evidence.values[evidence.both] == grid).sum())
    worst = float(np.max(evidence.ratios))
    return signature(
        "B0",
        "Within rounding",
        f"The worst channel is {times(worst)}, and {ENVELOPE_K:g} times is the limit; "
        f"{rounded:,} of {exact.size:,} values are the reference rounded to float16."
        f"{_close_call(evidence)}{_others(evidence)}",
        "healthy float16 rounding",
        envelopes=worst,
        rounded_reference=rounded,
        values=exact.size,
        largest=_largest(evidence),
        **_ratios(evidence),
    )


def _close_call(evidence: Evidence) -> str:
    """Say if rounding alone turned the decision of a vector."""
    axis = _axis(evidence)
    if axis is None or not evidence.both.all():
        return ""
    found, exact = _decisions(evidence, evidence.values, axis)
    flips = int((found.argmax(axis=1) != exact.argmax(axis=1)).sum())
    if not flips:
        return ""
    return f" {flips:,} of {len(found):,} decisions differ: their margins are within rounding."


def _ratios(evidence: Evidence) -> dict[str, Any]:
    """Return how far off the CPU and the GPU are, where they were measured."""
    given = {"cpu": evidence.cpu, "gpu": evidence.gpu}
    return {
        f"{name}_envelopes": float(np.max(evidence.ratio(evidence.rows(array)), initial=0.0))
        for name, array in given.items()
        if array is not None
    }


def _others(evidence: Evidence) -> str:
    words = {"cpu_envelopes": "CPU", "gpu_envelopes": "GPU"}
    found = [f"the {words[name]} is {times(r)}" for name, r in _ratios(evidence).items()]
    return f" For comparison, {' and '.join(found)}." if found else ""


def _largest(evidence: Evidence) -> float:
    difference = np.abs(np.where(evidence.both, evidence.errors, 0.0) * evidence.unit)
    return float(np.max(difference, initial=0.0))


def _relative(evidence: Evidence) -> float:
    """Return the norm of the error over that of the reference."""
    exact = np.abs(evidence.exact[evidence.both])
    error = np.abs((evidence.errors * evidence.unit)[evidence.both])
    peak = max(float(np.max(exact, initial=0.0)), float(np.max(error, initial=0.0)))
    if peak == 0:
        return 0.0
    top, bottom = np.linalg.norm(error / peak), np.linalg.norm(exact / peak)
    return float(top / bottom) if bottom > 0 else math.inf


def _psnr(evidence: Evidence) -> float:
    """Return 20 log10(peak / RMSE) in dB."""
    peak = float(np.max(np.abs(evidence.exact[evidence.both]), initial=0.0))
    error = (evidence.errors * evidence.unit)[evidence.both]
    size = float(np.max(np.abs(error), initial=0.0))
    if peak == 0 or size == 0:
        return math.inf if size == 0 else -math.inf
    noise = math.log10(size) + 0.5 * math.log10(float(np.mean((error / size) ** 2)))
    return 20 * (math.log10(peak) - noise)


def _correlation(evidence: Evidence) -> float:
    """Return Pearson's correlation, nan where the reference does not vary beyond rounding.

    It is taken within the channels if these vary: their means, as of a bias, say nothing of data.
    """
    within = evidence.varies(evidence.exact) & (evidence.both.sum(axis=1) >= FEW)
    most = 2 * int(within.sum()) > len(within)
    kept = evidence.both & within[:, None] if most else evidence.both
    exact, values = (
        np.clip(np.where(kept, part, 0.0) / evidence.unit, -FAR, FAR)
        for part in (evidence.exact, evidence.values)
    )
    if most:
        count = np.maximum(kept.sum(axis=1, keepdims=True), 1)
        exact, values = (part - part.sum(axis=1, keepdims=True) / count for part in (exact, values))
    x, y = exact[kept], values[kept]
    x, y = x - x.mean(), y - y.mean()
    if float(np.ptp(x)) <= evidence.limit:
        return math.nan
    norms = float(np.linalg.norm(x)), float(np.linalg.norm(y))
    return float(x @ y / (norms[0] * norms[1])) if norms[0] * norms[1] > 0 else 0.0
