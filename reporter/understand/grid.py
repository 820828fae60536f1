"""A large matrix as a small one in grades, which a picture and a JSON file can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ZERO, BROKEN = ".", "!"


@dataclass(frozen=True)
class Grid:
    """A matrix in grades, a letter for each number: "." is 0, "!" infinite, "a" up to steps[0], ...

    The letter after that of the last step is for what is larger.
    """

    rows: tuple[str, ...]
    steps: tuple[float, ...]

    def letters_beyond(self, number: float) -> str:
        """Return the letters of what is larger than a number, which is one of the steps."""
        first = self.steps.index(number) + 1
        return "".join(chr(ord("a") + i) for i in range(first, len(self.steps) + 1)) + BROKEN


@dataclass(frozen=True)
class Axis:
    """So many indices, in parts of as nearly one length as can be."""

    name: str
    size: int
    parts: int

    def span(self, part: int) -> tuple[int, int]:
        """Return the first and the last index of a part."""
        return part * self.size // self.parts, (part + 1) * self.size // self.parts - 1

    def part(self, index: int) -> int:
        """Return the part that an index lies in."""
        return ((index + 1) * self.parts - 1) // self.size

    @property
    def starts(self) -> list[int]:
        """The first index of each part."""
        return [self.span(part)[0] for part in range(self.parts)]


def graded(numbers: NDArray[Any], steps: Sequence[float]) -> Grid:
    """Return a matrix of numbers from 0 to infinity in grades."""
    letters = (np.searchsorted(steps, numbers) + ord("a")).astype(np.uint8)
    letters[numbers == 0] = ord(ZERO)
    letters[np.isinf(numbers)] = ord(BROKEN)
    return Grid(tuple(row.tobytes().decode("ascii") for row in letters), tuple(steps))


def reduced(matrix: NDArray[Any], down: Axis, across: Axis) -> NDArray[Any]:
    """Return the largest number of each cell, so that one of many shows."""
    rows = np.maximum.reduceat(matrix, down.starts, axis=0)
    return np.maximum.reduceat(rows, across.starts, axis=1)
