"""Reductions over axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from migrate.mil.registry import op
from migrate.mil.values import axes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Reduction = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def _real(x: Tensor) -> Tensor:
    """Return integers as float64, which holds the sum of their squares."""
    return x if x.is_floating_point() else x.double()


def _product(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, axis, keepdim=keep)
    return x


REDUCTIONS: dict[str, Reduction] = {
    "reduce_l1_norm": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
    "reduce_l2_norm": lambda x, axes, keep: _real(x).square().sum(axes, keepdim=keep).sqrt(),
    "reduce_log_sum": lambda x, axes, keep: _real(x).sum(axes, keepdim=keep).log(),
    "reduce_log_sum_exp": lambda x, axes, keep: torch.logsumexp(_real(x), axes, keepdim=keep),
    "reduce_max": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    "reduce_mean": lambda x, axes, keep: _real(x).mean(axes, keepdim=keep),
    "reduce_min": lambda x, axes, keep: x.amin(axes, keepdim=keep),
    "reduce_prod": _product,
    "reduce_sum": lambda x, axes, keep: x.sum(axes, keepdim=keep),
    "reduce_sum_square": lambda x, axes, keep: x.square().sum(axes, keepdim=keep),
}


def _over_axes(function: Reduction) -> Callable[..., Tensor]:
    def reduce(x: Tensor, axes: Any = None, keep_dims: bool = False) -> Tensor:
        dims = axes_of(axes, x.ndim)
        # no axes are all of them to torch, to MIL none: an axis of one is reduced in their place
        return function(x, dims, bool(keep_dims)) if dims else function(x[None], (0,), False)

    return reduce


for name, function in REDUCTIONS.items():
    op(name)(_over_axes(function))


ARGUMENTS: dict[str, Callable[..., Tensor]] = {
    "reduce_argmax": torch.argmax,
    "reduce_argmin": torch.argmin,
}


def _over_axis(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def index(
        x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32"
    ) -> Tensor:
        if output_dtype.lower() not in ("int32", "uint16"):
            raise ValueError(f"output_dtype {output_dtype!r} is not known")
        return function(x, int(axis), keepdim=bool(keep_dims))

    return index


for name, function_of_axis in ARGUMENTS.items():
    op(name)(_over_axis(function_of_axis))
