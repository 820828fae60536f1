"""Regions: where in an output the wrong values lie, as index sets along its axes.

A region is the product of one index set per axis, each the whole axis, a range, or residue classes
modulo a period. It counts only if so many wrong values would hardly ever fall into it by chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reporter.understand.wording import some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

PERIODS = range(2, 65)
CHANCE = 1e-3  # that as many scattered values all lie in one such region
DENSE = 0.3  # of the region is wrong: errors are seldom large everywhere
FULL = 0.8  # of an axis, and no regular part of it, stands for all of it
TIGHTER = 0.95  # than a block of axes is a run of the buffer that is told in its place
PARTIAL = 0.75  # of the output at most; more is not a part of it


@dataclass(frozen=True)
class Span:
    """The indices of one axis that hold wrong values."""

    axis: int  # -1 is the last
    name: str  # of its indices, in words
    length: int
    indices: NDArray[np.intp]
    period: int = 0  # 0 unless the indices are residue classes

    @property
    def regular(self) -> bool:
        """Whether it is the whole axis, a range, or residue classes."""
        return bool(self.period) or self.contiguous

    @property
    def whole(self) -> bool:
        """Whether no index is missing."""
        return len(self.indices) == self.length

    @property
    def contiguous(self) -> bool:
        """Whether no index between the first and the last is missing."""
        return len(self.indices) == self.indices[-1] - self.indices[0] + 1

    def __str__(self) -> str:
        name = self.name
        first, last = int(self.indices[0]), int(self.indices[-1])
        if self.period:
            classes = sorted({int(i) % self.period for i in self.indices})
            return f"{name} modulo {self.period} is {_list(classes)}"
        if not self.contiguous:
            return f"{name} {_list([int(i) for i in self.indices])}"
        if first == last:
            return f"{name} {first}{', the last' if last == self.length - 1 else ''}"
        return f"{name} {first} to {last}{', the last' if last == self.length - 1 else ''}"


@dataclass(frozen=True, eq=False)
class Region:
    """A part of an output that holds every wrong value."""

    spans: tuple[Span, ...]  # one per axis
    inside: Mask  # of the output's shape

    @property
    def parts(self) -> tuple[Span, ...]:
        """The axes along which it is not the whole output."""
        return tuple(span for span in self.spans if not span.whole)

    @property
    def period(self) -> int:
        """The period of its residue classes, or 0."""
        return next((span.period for span in self.spans if span.period), 0)

    def __str__(self) -> str:
        return ", ".join(map(str, self.parts))


def region(bad: Mask, irregular: bool = False) -> Region | None:
    """Return the part of an output that holds all values marked, if there is a regular one.

    `irregular` also allows any set of channels (axis -3).
    """
    if bad.ndim == 0 or not bad.any():
        return None
    found = _region(bad, irregular)
    flat = _region(bad.reshape(-1), irregular=False) if bad.ndim > 1 else None
    if flat is None or (found and flat.inside.sum() >= TIGHTER * found.inside.sum()):
        return found
    return Region(flat.spans, flat.inside.reshape(bad.shape))


def _region(bad: Mask, irregular: bool) -> Region | None:
    spans = tuple(_spans(bad))
    if not all(s.regular or (irregular and s.axis == -3) for s in spans):
        return None
    inside = np.zeros(bad.shape, bool)
    inside[np.ix_(*(s.indices for s in spans))] = True
    covered, count = int(inside.sum()), int(bad.sum())
    if covered > PARTIAL * bad.size or count < DENSE * covered:
        return None
    if log_choices(covered, count) - log_choices(bad.size, count) > math.log(CHANCE):
        return None
    return Region(spans, inside)


def _spans(bad: Mask) -> Iterator[Span]:
    for axis in range(-bad.ndim, 0):
        others = tuple(i for i in range(-bad.ndim, 0) if i != axis)
        held: Mask = np.asarray(bad.any(axis=others))
        indices = np.flatnonzero(held)
        if not _regular(held, indices) and FULL * len(held) <= len(indices):
            indices = np.arange(len(held))  # by chance the error was small at the others
        yield Span(axis, _name(axis, bad.ndim), len(held), indices, _period(held, indices))


def _regular(held: Mask, indices: NDArray[np.intp]) -> bool:
    return len(indices) == indices[-1] - indices[0] + 1 or _period(held, indices) > 0


def _period(held: Mask, indices: NDArray[np.intp]) -> int:
    """Return the least period that an index set has, 0 for a range or if it has none."""
    if len(indices) == indices[-1] - indices[0] + 1:
        return 0
    for period in PERIODS:
        if 2 * period > len(held):
            return 0
        if np.array_equal(held[np.arange(len(held)) % period], held):
            return period
    return 0


def log_choices(n: int, k: int) -> float:
    """Return the logarithm of the number of ways to choose k of n."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def place(index: int, shape: tuple[int, ...]) -> str:
    """Return an index into the flat output as a position."""
    return "(" + ", ".join(str(int(i)) for i in np.unravel_index(index, shape or (1,))) + ")"


def channel(row: int, shape: tuple[int, ...]) -> str:
    """Return a row of `migrate.channels` in words."""
    if len(shape) < 3:
        return "the output"
    leading: Any = np.unravel_index(row, shape[:-2])
    before = [int(i) for i in leading[:-1]]
    inside = f" of {tuple(before)}" if any(n != 1 for n in shape[:-3]) else ""
    return f"channel {int(leading[-1])}{inside}"


def _name(axis: int, rank: int) -> str:
    if rank == 1:
        return "index"
    return {-3: "channel", -2: "row", -1: "column"}.get(axis, f"index along axis {axis}")


def _list(numbers: list[int]) -> str:
    return some(list(map(str, numbers)), 8)
