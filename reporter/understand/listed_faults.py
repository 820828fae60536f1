"""Which single faults a pasted listing leaves, by what they do to the rows that are listed.

A listing carries neither inputs nor weights, so no residual can be computed. What can be asked is
what kind of rows a fault makes of the structure alone, with inputs and weights of our own:

    right           the rows of the other column, to float16's digits
    constant        one number other than 0, where the other column varies
    zero            zeros
    not finite      NaN or infinite
    other           anything else
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure.inputs import seeded
from reporter.understand.explanation import BUDGET, within
from reporter.understand.listing import NAMES
from reporter.understand.wording import some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from reporter.measure.listing import Listing
    from reporter.understand.reference import Referee

NEAR = 2.0**-7  # of the largest value, some roundings of float16
ROWS = 11  # to be printed next, as the forum's thread shows them
CHANNELS = 4096  # that are looked at for rows to print next


@dataclass(frozen=True)
class Left:
    """The faults that a listing leaves, in classes that the rows to print next tell apart."""

    kind: str  # of the rows listed
    tried: int
    classes: tuple[tuple[str, tuple[str, ...]], ...]  # kind of the next rows, and the faults
    first: int  # index of the rows to print next
    last: int

    @property
    def count(self) -> int:
        """How many faults are left."""
        return sum(len(faults) for _, faults in self.classes)


def said(listing: Listing, referee: Referee | None, budget: float = BUDGET) -> list[str]:
    """Return which faults of a NeuralNetwork a listing leaves, in sentences; none without one."""
    units = _suspect(listing)
    if (
        not budget
        or referee is None
        or units is None
        or not isinstance(referee.subject, migrate.Network)
    ):
        return []
    try:
        counterfactuals = migrate.Counterfactuals(referee.net, dict(seeded(referee.model)))
    except migrate.AnereportError as error:
        return [f"no fault can be tried: {error}"]
    size = math.prod(listing.shape)
    names = [name for name, values in counterfactuals.healthy.items() if values.size == size]
    if not names:
        return [f"no fault can be tried: no output of the model has {size:,} values"]
    left = faults(listing, names[0], counterfactuals, budget)
    return sentences(left, units[0]) if left else []


def _suspect(listing: Listing) -> tuple[str, str] | None:
    """Return the unit in doubt, and that which it is set against; nothing if there are not two."""
    there = [unit for unit in ("ane", "gpu", "cpu") if unit in listing.units]
    return (there[0], there[-1]) if len(there) > 1 else None


def faults(
    listing: Listing,
    output: str,
    counterfactuals: migrate.Counterfactuals,
    budget: float = BUDGET,
) -> Left | None:
    """Return which faults make rows of an output as listed; None if the listed rows are right.

    Raises ValueError for a listing of one unit alone.
    """
    units = _suspect(listing)
    if units is None:
        raise ValueError("a listing of one unit has nothing to be set against")
    seen = _kind(*(_column(listing, unit) for unit in units))
    if seen == "right":
        return None
    healthy = counterfactuals.healthy[output].ravel()
    rows = np.array([line.index for line in listing.lines])
    made: dict[str, NDArray[Any]] = {}
    tried = 0
    for one in within(budget, counterfactuals.search(counterfactuals.possible([output]))):
        tried += 1
        if one.same_as is not None and str(one.same_as) in made:
            made[str(one.fault)] = made[str(one.same_as)]
        elif one.outputs is not None:
            values = one.outputs[output].ravel()
            if values.shape == healthy.shape and _kind(values[rows], healthy[rows]) == seen:
                made[str(one.fault)] = values
    return _next(seen, tried, made, healthy, listing)


def _column(listing: Listing, unit: str) -> NDArray[Any]:
    return np.array([float(value) for value in listing.column(unit)])


def _kind(values: NDArray[Any], healthy: NDArray[Any]) -> str:
    """Return what kind of rows values are, beside those that are taken to be right."""
    if not np.isfinite(values).all():
        return "not finite"
    size = float(np.max(np.abs(healthy), initial=0.0, where=np.isfinite(healthy)))
    if np.max(np.abs(values - healthy), initial=0.0) <= NEAR * size:
        return "right"
    if not values.any():
        return "zero"
    spread = float(np.ptp(values)) if values.size > 1 else np.inf
    return "constant" if spread <= NEAR * float(np.ptp(healthy)) else "other"


def _next(
    seen: str,
    tried: int,
    made: dict[str, NDArray[Any]],
    healthy: NDArray[Any],
    listing: Listing,
) -> Left:
    """Return what is left, and the rows that tell the most of it apart."""
    best: dict[str, list[str]] = {seen: list(made)}
    start = min(line.index for line in listing.lines)
    for first in _starts(listing, healthy.size):
        part = slice(first, first + ROWS)
        classes: dict[str, list[str]] = defaultdict(list)
        for fault, values in made.items():
            classes[_kind(values[part], healthy[part])].append(fault)
        if _largest(classes) < _largest(best):
            best, start = dict(classes), first
    ordered = sorted(best.items(), key=lambda item: len(item[1]))
    classes_found = tuple((kind, tuple(names)) for kind, names in ordered)
    return Left(seen, tried, classes_found, start, min(start + ROWS, healthy.size) - 1)


def _largest(classes: dict[str, list[str]]) -> tuple[int, int]:
    """Return how many faults stay together at most, and in how few classes they fall."""
    sizes = Counter({kind: len(names) for kind, names in classes.items()})
    return max(sizes.values(), default=0), -len(sizes)


def _starts(listing: Listing, size: int) -> Iterator[int]:
    """Yield where rows may begin: at the listed position of other channels, spread evenly."""
    plane = int(np.prod(listing.shape[-2:])) if len(listing.shape) >= 3 else ROWS
    offset = min(line.index for line in listing.lines) % plane
    offset = min(offset, max(plane - ROWS, 0))
    count = size // plane
    for channel in range(0, count, max(1, count // CHANNELS)):
        yield channel * plane + offset


def sentences(left: Left, unit: str) -> list[str]:
    """Return what a listing leaves, in sentences."""
    if not left.count:
        return [
            f"none of the {left.tried:,} single faults tried makes {left.kind} rows of these: the "
            "structure alone explains nothing"
        ]
    everything = [fault for _, names in left.classes for fault in names]
    found = [
        f"{left.count} of {left.tried:,} single faults make {left.kind} rows of these, as the "
        f"{NAMES[unit]} has them: {some(everything, 6)} (no residual is computed: the listing "
        "carries neither inputs nor weights)"
    ]
    if len(left.classes) > 1:
        told = "; ".join(f"{kind} rows leave {some(names, 6)}" for kind, names in left.classes)
        found.append(f"print rows {left.first:,} to {left.last:,} next: {told}")
    return found
