"""Parts of a matrix, and selection by a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from migrate.lowering import expressed, lowers
from migrate.registry import layer

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.registry import Step


@layer("whereNonZero")
def whereNonZero(p: Any) -> Step:
    """Give the indices of all elements that are not 0, a row each."""
    return lambda x: torch.nonzero(x).to(x.dtype)


@layer("matrixBandPart")
def matrixBandPart(p: Any) -> Step:
    """Keep numLower diagonals below the main one and numUpper above; negative keeps all."""
    lower, upper = p.numLower, p.numUpper

    def step(x: Tensor) -> Tensor:
        kept = torch.tril(x, upper) if upper >= 0 else x
        return torch.triu(kept, -lower) if lower >= 0 else kept

    return step


@layer("lowerTriangular")
def lowerTriangular(p: Any) -> Step:
    """Keep what is on and below the k-th diagonal."""
    return lambda x: torch.tril(x, p.k)


@layer("upperTriangular")
def upperTriangular(p: Any) -> Step:
    """Keep what is on and above the k-th diagonal."""
    return lambda x: torch.triu(x, p.k)


@lowers("tril")
def _tril_in_mil(mb: Any, x: Any, diagonal: Any) -> Any:
    k = int(diagonal.val)
    return NotImplemented if k >= 0 else _without_band(mb, x, -k - 1, -1)


@lowers("triu")
def _triu_in_mil(mb: Any, x: Any, diagonal: Any) -> Any:
    k = int(diagonal.val)
    return NotImplemented if k <= 0 else _without_band(mb, x, -1, k - 1)


def _without_band(mb: Any, x: Any, lower: int, upper: int) -> Any:
    """Return `x` with zeros in a band; coremltools subtracts it, which makes nan of infinities."""
    from coremltools.converters.mil.mil import types

    if not types.is_float(x.dtype):
        return NotImplemented
    ones = mb.fill(shape=mb.shape(x=x), value=1.0)
    band = mb.band_part(x=ones, lower=lower, upper=upper)
    return mb.select(cond=mb.equal(x=band, y=1.0), a=0.0, b=x)


@layer("whereBroadcastable")
def whereBroadcastable(p: Any) -> Step:
    """Take the second input where the first is not 0, else the third."""

    def choose(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return torch.where(condition != 0, x, y)

    def in_mil(mb: Any, condition: Any, x: Any, y: Any) -> Any:
        if condition.rank > max(x.rank, y.rank):  # coremltools takes the result's rank from x and y
            x = mb.add(x=x, y=mb.fill(shape=mb.shape(x=condition), value=0.0))
        return mb.select(cond=mb.not_equal(x=condition, y=0.0), a=x, b=y)

    return expressed(choose, in_mil)
