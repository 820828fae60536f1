"""A cliff (C1): right up to a threshold of the value, and one and the same beyond it.

Softplus and log-sum-exp do so in float16 (coremltools #2687, #2690): their threshold is where an
exponential leaves the range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reporter.understand.signatures.evidence import signature
from reporter.understand.signatures.regions import log_choices

if TYPE_CHECKING:
    from reporter.understand.signatures.evidence import Array, Evidence, Mask, Signature

CERTAIN = math.log(1e4)  # choices among which the split by size would be the only one
CLEAN = 0.01  # of the smaller side may lie on the other
TELLING = 12.0  # exp of a larger threshold says nothing of float16
NEAR = 0.02  # relative
SPECIAL = ((2.0**15, "2^15"), (65504.0, "65,504, the largest number of float16"))


@dataclass(frozen=True)
class Cliff:
    """A split of the values by size: right on one side, one and the same on the other."""

    side: str  # "above" or "below", of the value or of its magnitude
    threshold: float
    nearest_right: float
    nearest_wrong: float
    beyond: str  # what stands there in place of the values
    right: int
    wrong: int


def cliff(evidence: Evidence) -> Cliff | None:
    """Return the threshold of the reference beyond which all values became one, if there is one.

    Only values count that would be wrong if they were what the others became.
    """
    bad = evidence.bad
    beyond = _became(evidence.values[bad])
    if beyond is None:
        return None
    name, value = beyond
    far = np.abs(evidence.exact - value) > evidence.limit * evidence.unit
    told = np.isfinite(evidence.exact) & (far | ~np.isfinite(value))
    exact, wrong = evidence.exact[told], bad[told]
    right, count = int((~wrong).sum()), int(wrong.sum())
    if not right or not count or log_choices(right + count, count) < CERTAIN:
        return None
    for side, key in (
        ("above", exact),
        ("below", -exact),
        ("in magnitude above", np.abs(exact)),
    ):
        split = _split(key, wrong)
        if split:
            sign = -1.0 if side == "below" else 1.0
            low, high = (sign * part for part in split)
            return Cliff(side, (low + high) / 2, low, high, name, right, count)
    return None


def _became(values: Array) -> tuple[str, float] | None:
    """Return what wrong values have become, if it is one and the same of nearly all."""
    if not values.size:
        return None
    for name, mask, value in (
        ("zero", values == 0, 0.0),
        ("infinite", np.isinf(values), math.inf),
        ("NaN", np.isnan(values), math.nan),
    ):
        if mask.mean() >= 1 - CLEAN:
            return name, value
    middle = float(np.sort(values)[len(values) // 2])
    if (values == middle).mean() >= 1 - CLEAN:
        return f"{middle:.7g}", middle
    return None


def _split(key: Array, wrong: Mask) -> tuple[float, float] | None:
    """Return the largest right and the least wrong value, if sizes tell right from wrong."""
    order = np.argsort(key, kind="stable")
    marks = wrong[order]
    total = int(marks.sum())
    below = np.concatenate([[0], np.cumsum(marks)])  # wrong values below each cut
    above = (len(marks) - np.arange(len(marks) + 1)) - (total - below)  # right ones above it
    misplaced = below + above
    cut = int(np.argmin(misplaced))
    if misplaced[cut] > CLEAN * min(total, len(marks) - total) or not 0 < cut < len(marks):
        return None
    return float(key[order[cut - 1]]), float(key[order[cut]])


def above_threshold(evidence: Evidence) -> Signature | None:
    """Match values that are right up to a threshold and one value beyond it (C1)."""
    found = cliff(evidence) if evidence.bad.any() else None
    if found is None:
        return None
    exponential = math.exp(found.threshold) if abs(found.threshold) <= TELLING else math.nan
    numbers = {} if math.isnan(exponential) else {"exp_of_threshold": exponential}
    return signature(
        "C1",
        "Cliff above a threshold",
        f"Of the values that tell, the {found.right:,} on one side are right and the "
        f"{found.wrong:,} whose reference is {found.side} {found.threshold:.5g} are "
        f"{found.beyond}.{_special(exponential)}",
        "a threshold of magnitude inside the computation",
        threshold=found.threshold,
        last_right=found.nearest_right,
        first_wrong=found.nearest_wrong,
        side=found.side,
        beyond=found.beyond,
        right=found.right,
        wrong=found.wrong,
        **numbers,
    )


def _special(exponential: float) -> str:
    for value, words in SPECIAL:
        if abs(exponential - value) <= NEAR * value:
            return f" exp of it is {exponential:,.0f}, next to {words}."
    return ""
