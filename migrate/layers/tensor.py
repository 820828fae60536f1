"""Tensor operations of any rank (spec version 4 and later)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from migrate.registry import layer

if TYPE_CHECKING:
    from migrate.registry import Step


@layer("concatND")
def concatND(p: Any) -> Step:
    """Concatenate along an axis, element by element in turn if `interleave` is set."""
    axis = int(p.axis)
    if p.interleave:
        return lambda *xs: torch.stack(xs, axis % xs[0].ndim + 1).flatten(
            axis % xs[0].ndim, axis % xs[0].ndim + 1
        )
    return lambda *xs: torch.cat(xs, axis)
