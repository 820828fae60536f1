"""Parts of a matrix, and selection by a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

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


@layer("whereBroadcastable")
def whereBroadcastable(p: Any) -> Step:
    """Take the second input where the first is not 0, else the third."""
    return lambda condition, x, y: torch.where(condition != 0, x, y)
