"""Values that are no numbers any more: not finite, saturated, or zero (N1, Z1, Z2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reporter.understand.signatures.cliff import cliff
from reporter.understand.signatures.evidence import signature
from reporter.understand.signatures.regions import place, region

if TYPE_CHECKING:
    from reporter.understand.signatures.evidence import Evidence, Mask, Signature

LARGEST = 65504.0  # of float16
MOST = 0.9  # of the wrong values


def not_finite(evidence: Evidence) -> Signature | None:
    """Match NaN, infinity or the largest number of float16 where the reference is another (N1)."""
    bad = evidence.bad & ~evidence.untouched
    nan = int((np.isnan(evidence.values) & bad).sum())
    inf = int((np.isinf(evidence.values) & bad).sum())
    top = _saturated(evidence, bad)
    if not nan + inf + int(top.sum()):
        return None
    hit = bad & (~np.isfinite(evidence.values) | top)
    first = int(np.flatnonzero(hit)[0])
    beyond = int((hit & (np.abs(evidence.exact) > LARGEST)).sum())
    held = f" Of their references, {beyond:,} are beyond what float16 holds." if beyond else ""
    return signature(
        "N1",
        "Not finite, or saturated",
        f"{nan:,} values are NaN, {inf:,} infinite and {int(top.sum()):,} held at 65,504, where "
        f"the reference is another number; the first is at {place(first, evidence.shape)}.{held}",
        "an overflow of float16 or an undefined operation",
        nan=nan,
        infinite=inf,
        at_65504=int(top.sum()),
        first_index=first,
        reference_beyond_65504=beyond,
    )


def _saturated(evidence: Evidence, bad: Mask) -> Mask:
    """Mark the wrong values that are float16's largest."""
    return bad & (np.abs(evidence.values) == LARGEST)


def all_zero(evidence: Evidence) -> Signature | None:
    """Match an output of nothing but zeros (Z1)."""
    if not evidence.bad.any() or evidence.values.any():
        return None
    norm = float(np.linalg.norm(evidence.exact[evidence.both]))
    return signature(
        "Z1",
        "All zero",
        f"All {evidence.values.size:,} values are zero; the norm of the reference is {norm:.6g}.",
        "an output that was never computed or lost its data",
        zeros=evidence.values.size,
        norm_of_reference=norm,
    )


def partly_zero(evidence: Evidence) -> Signature | None:
    """Match zeros in a part of the output that is not told by the size of the values (Z2)."""
    zero = evidence.bad & (evidence.values == 0)
    count, wrong = int(zero.sum()), int(evidence.bad.sum())
    if not count or count < MOST * wrong or not evidence.values.any() or cliff(evidence):
        return None
    where = region(zero.reshape(evidence.shape), irregular=True)
    first = int(np.flatnonzero(zero)[0])
    told = f"they lie at {where}" if where else "they lie in no block or period"
    return signature(
        "Z2",
        "Partly zero",
        f"{count:,} of {zero.size:,} values are zero where the reference is not; {told}, the first "
        f"at {place(first, evidence.shape)}.",
        "a part of the output that was never computed or lost its data",
        zeros=count,
        of=zero.size,
        wrong=wrong,
        period=where.period if where else 0,
        where=str(where or ""),
    )
