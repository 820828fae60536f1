"""Reductions over any axes, with or without keeping their dimensions."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch

from migrate.errors import ModelError
from migrate.lowering import lowers
from migrate.registry import layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from migrate.registry import Step

    Axes = tuple[int, ...]
    Reduction = Callable[[Tensor, Axes, bool], Tensor]


def l1(x: Tensor, axes: Axes, keep: bool) -> Tensor:
    """Sum the absolute values."""
    return x.abs().sum(axes, keep)


def l2(x: Tensor, axes: Axes, keep: bool) -> Tensor:
    """Take the root of the sum of squares."""
    return torch.linalg.vector_norm(x, 2, axes, keep)


def sum_square(x: Tensor, axes: Axes, keep: bool) -> Tensor:
    """Sum the squares."""
    return (x * x).sum(axes, keep)


def log_sum(x: Tensor, axes: Axes, keep: bool) -> Tensor:
    """Take the logarithm of the sum."""
    return torch.log(x.sum(axes, keep))


def product(x: Tensor, axes: Axes, keep: bool) -> Tensor:
    """Multiply all elements; torch's product takes one axis at a time."""
    for axis in axes:
        x = x.prod(axis, keepdim=True)
    return x if keep else x.squeeze(axes)


@lowers("prod")
def _product_in_mil(mb: Any, x: Any, *how: Any) -> Any:
    if len(how) == 1:  # a dtype alone: the product of all elements
        return mb.reduce_prod(x=x)
    axis, keep, _ = how
    return mb.reduce_prod(x=x, axes=[axis.val], keep_dims=keep)


REDUCTIONS: dict[str, Reduction] = {
    "reduceL1": l1,
    "reduceL2": l2,
    "reduceMax": torch.amax,
    "reduceMin": torch.amin,
    "reduceSum": torch.sum,
    "reduceProd": product,
    "reduceMean": torch.mean,
    "reduceLogSum": log_sum,
    "reduceSumSquare": sum_square,
    "reduceLogSumExp": torch.logsumexp,
}


def _reduction(function: Reduction, p: Any) -> Step:
    """Reduce over the axes, or over all; a single value is of rank 0 (see `shapes`)."""
    fixed = tuple(int(axis) for axis in p.axes)
    if not fixed and not p.reduceAll:
        raise ModelError("axes is empty and reduceAll is not set")
    if len(set(fixed)) < len(fixed):
        raise ModelError(f"axes {list(fixed)} names an axis twice")

    def step(x: Tensor) -> Tensor:
        axes = tuple(range(x.ndim)) if p.reduceAll else fixed
        if len(axes) == x.ndim and not p.keepDims:
            return function(x, axes, True).squeeze(axes)
        return function(x, axes, p.keepDims)

    return step


for _field, _function in REDUCTIONS.items():
    layer(_field)(functools.partial(_reduction, _function))
