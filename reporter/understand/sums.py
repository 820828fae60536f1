"""Sums of squares and products over pieces of an array, of any magnitude.

They are kept in the square of a unit: 1, or the largest value where its square would overflow or
vanish. A larger unit takes over when it is needed; what is small beside it is lost then, as it
would be in the sum.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST, MOST = 1e-120, 1e120  # values between have squares that can be added up


class Squares:
    """The sum of squares of the values added, and the largest of them."""

    def __init__(self) -> None:
        self.peak = 0.0
        self.unit = 0.0
        self.total = 0.0  # in units squared

    def add(self, values: Array) -> float:
        """Add values; return by what factor sums in the unit before have to be multiplied."""
        top = float(max(values.max(initial=0.0), -values.min(initial=0.0)))
        if top == 0:
            return 1.0
        self.peak = max(self.peak, top)
        if not math.isfinite(top):
            return 1.0
        before = self.unit
        self.unit = max(before, 1.0 if LEAST < top < MOST else top)
        factor = before / self.unit
        scaled = self.scaled(values)
        self.total = self.total * factor**2 + float(np.einsum("i,i->", scaled, scaled))
        return factor

    def scaled(self, values: Array) -> Array:
        """Return values in the unit."""
        return values if self.unit in (0.0, 1.0) else values / self.unit

    def root_mean(self, count: int) -> float:
        """Return the root of the mean square of so many values, nan of none."""
        if count == 0:
            return math.nan
        if not math.isfinite(self.peak):
            return self.peak
        return self.unit * math.sqrt(self.total / count)


class Cosine:
    """The cosine of two vectors added piece by piece."""

    def __init__(self) -> None:
        self.one, self.other = Squares(), Squares()
        self.product = 0.0

    def add(self, one: Array, other: Array) -> None:
        """Add a piece of each."""
        factor = self.one.add(one) * self.other.add(other)
        product = float(np.einsum("i,i->", self.one.scaled(one), self.other.scaled(other)))
        self.product = self.product * factor + product

    def value(self, count: int) -> float:
        """Return the cosine: 1 for two zero vectors, nan where one alone is zero or none came."""
        if not count:
            return math.nan
        if self.one.peak == self.other.peak == 0:
            return 1.0
        lengths = math.sqrt(self.one.total) * math.sqrt(self.other.total)
        return min(max(self.product / lengths, -1.0), 1.0) if lengths else math.nan
