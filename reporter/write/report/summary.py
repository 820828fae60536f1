"""A report's title and its summary, and the order in which it shows results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.understand.headline import chief, gravity
from reporter.understand.unit_result import NOT_MEASURED
from reporter.understand.wording import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reporter.understand.comparison import Comparison

REFERENCE = "the reference"  # what Comparison.against says of a computed one
WORDS = {"cpu": "CPU", "gpu": "GPU", "ane": "Neural Engine"}


def ordered(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Return comparisons as a report shows them: the headline's, then the worst, controls last."""
    first = chief(comparisons)

    def key(c: Comparison) -> tuple[object, ...]:
        return c is first, not c.control, gravity(c)

    return tuple(sorted(comparisons, key=key, reverse=True))


def title(name: str, comparisons: Sequence[Comparison]) -> str:
    """Return one line that claims no more than the results carry; `name` is the model's."""
    prefix = "SIMULATED: " if any(c.simulated for c in comparisons) else ""
    measured = [c for c in comparisons if c.wrong("ane") is not None]
    wrong = [c for c in measured if c.wrong("ane")]
    if any(c.against == REFERENCE and not c.wrong("cpu") and not c.wrong("gpu") for c in wrong):
        return f"{prefix}Core ML: {name} gives wrong numbers on the Neural Engine"
    if wrong:
        return f"{prefix}Core ML: {name} on the Neural Engine differs from {wrong[0].against}"
    if failed := _fails(comparisons):
        return f"{prefix}Core ML: {name} {failed}"
    if measured:
        return f"{prefix}Core ML: {name} on the Neural Engine agrees with {measured[0].against}"
    listed = [c for c in comparisons if c.statements]
    if listed:
        return f"{prefix}Core ML: {name}, {_listed(listed[0])}"
    none = "" if any(map(_tried, comparisons)) else " (no device results yet)"
    return f"{prefix}Core ML: {name}, numbers per compute unit{none}"


def _listed(comparison: Comparison) -> str:
    """Return "different numbers on CPU and GPU", or without "different" where rows agree."""
    units = [WORDS[r.unit] for r in comparison.units if r.status != NOT_MEASURED]
    rows = [row for row in comparison.table.rows if row is not None]
    differ = any(len({float(value) for value in row.values if value}) > 1 for row in rows)
    return f"{'different numbers' if differ else 'numbers'} on {joined(units) or 'no unit'}"


def _fails(comparisons: Sequence[Comparison]) -> str:
    """Return that the Neural Engine alone fails, if so, and whether that is in all of its runs."""
    ane = [c.result("ane") for c in comparisons if not c.result("cpu").lost]
    lost = [r for r in ane if r.lost or r.cold]
    some = " in some runs" if any(r.metrics for r in ane) else ""
    return f"fails on the Neural Engine{some}" if lost else ""


def _tried(comparison: Comparison) -> bool:
    return any(r.status != NOT_MEASURED for r in comparison.units)


def _instead(comparison: Comparison) -> Iterator[str]:
    """Yield what units did in place of giving numbers."""
    for r in comparison.units:
        if r.partly:
            yield f"{r.unit.upper()} {r.why}, in {r.lost} of {r.runs} runs"
        elif r.metrics is None and r.status not in (NOT_MEASURED, comparison.evidence):
            yield f"{r.unit.upper()} {r.status}"


def summary(comparisons: Sequence[Comparison], tolerance: float) -> str:
    """Return how many values are beyond the tolerance in the first comparison, or why none is."""
    for worst in (c for c in comparisons if c.measured):
        counts = [
            f"{r.metrics.beyond:,} on {r.unit.upper()}"
            for r in worst.units
            if r.metrics is not None
        ]
        counts += list(_instead(worst))
        total = next(r.metrics.count for r in worst.units if r.metrics is not None)
        how = "SIMULATED: " if worst.simulated else ""
        return (
            f"{how}of {total:,} values of output '{worst.output}', these differ from "
            f"{worst.against} by more than {tolerance:g} x max(|reference|, 1): "
            f"{', '.join(counts)}."
        )
    listed = [c for c in comparisons if c.statements]
    if listed:
        return " ".join(listed[0].statements)
    for tried in filter(_tried, comparisons):
        how = "SIMULATED: " if tried.simulated else ""
        states = ", ".join(f"{r.unit.upper()} {r.status}" for r in tried.units)
        return f"{how}nothing could be compared with the reference ({tried.reference}): {states}."
    if not any(c.shape for c in comparisons):
        return "No compute unit has been measured yet, and no reference could be computed."
    return "No compute unit has been measured yet: the tables hold the computed reference alone."
