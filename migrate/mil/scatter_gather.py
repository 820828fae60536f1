"""Reading and writing at indices: gather and scatter in their three forms.

Negative indices count from the end, unless iOS 17's `validate_indices` forbids them. Of an index
out of range iOS 17 says that the result is undefined: such a one is always refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from migrate.mil.registry import op
from migrate.mil.values import tensor

if TYPE_CHECKING:
    from collections.abc import Callable


def take(x: Tensor, axis: int, index: Tensor) -> Tensor:
    """Return slices of an axis, whose dimension those of the index replace; of any dtype."""
    return x[(slice(None),) * (axis % x.ndim) + (index,)]


def places(indices: Any, size: int, validate: bool = False) -> Tensor:
    """Return indices counted from the front."""
    index = tensor(indices).long()
    least = 0 if validate else -size
    if index.numel() and not (least <= int(index.min()) and int(index.max()) < size):
        raise IndexError(f"indices are not all in [{least}, {size})")
    return torch.where(index < 0, index + size, index)


@op("gather")
def gather(
    x: Tensor, indices: Any, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False
) -> Tensor:
    """Take slices of an axis; the indices' dimensions, but for batch ones, replace it."""
    axis = axis % x.ndim
    index = places(indices, x.shape[axis], validate_indices)
    if not 0 <= batch_dims <= min(axis, index.ndim):
        raise ValueError(f"batch_dims {batch_dims} do not go with axis {axis}")
    batch = _batch(index.shape, batch_dims)
    y = x.movedim(axis, batch_dims)[(*batch, index)]
    new = range(index.ndim - batch_dims)
    return y.movedim([batch_dims + i for i in new], [axis + i for i in new])


@op("gather_nd")
def gather_nd(
    x: Tensor, indices: Tensor, batch_dims: int = 0, validate_indices: bool = False
) -> Tensor:
    """Take slices at multi-indices, which stand along the last axis of the indices."""
    sizes = x.shape[batch_dims : batch_dims + indices.shape[-1]]
    columns = zip(indices.unbind(-1), sizes, strict=True)
    index = [places(column, size, validate_indices) for column, size in columns]
    return x[(*_batch(indices.shape[:-1], batch_dims), *index)]


def _batch(shape: torch.Size, batch_dims: int) -> list[Tensor]:
    """Return the index of each batch dimension, to go with indices of this shape."""
    numbers = [torch.arange(size) for size in shape[:batch_dims]]
    return [n.reshape(-1, *(1,) * (len(shape) - 1 - i)) for i, n in enumerate(numbers)]


@op("gather_along_axis")
def gather_along_axis(
    x: Tensor, indices: Tensor, axis: int = 0, validate_indices: bool = False
) -> Tensor:
    """Take elements along an axis, each position by its own index."""
    axis = axis % x.ndim
    index: list[Tensor] = _batch(indices.shape, x.ndim)
    index[axis] = places(indices, x.shape[axis], validate_indices)
    return x[tuple(index)]


@op("scatter")
def scatter(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: int = 0,
    mode: str = "add",
    validate_indices: bool = False,
) -> Tensor:
    """Write slices of an axis at indices."""
    axis = axis % data.ndim
    index = places(indices, data.shape[axis], validate_indices)
    index = index.reshape(-1, *(1,) * (data.ndim - 1 - axis)).expand_as(updates)
    return _write(data, axis, index, updates, mode)


@op("scatter_along_axis")
def scatter_along_axis(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: int = 0,
    mode: str = "add",
    validate_indices: bool = False,
) -> Tensor:
    """Write elements along an axis, each position at its own index."""
    index = places(indices, data.shape[axis], validate_indices)
    return _write(data, axis % data.ndim, index.expand_as(updates), updates, mode)


@op("scatter_nd")
def scatter_nd(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    mode: str = "add",
    validate_indices: bool = False,
) -> Tensor:
    """Write slices at multi-indices, which stand along the last axis of the indices."""
    depth = indices.shape[-1]
    rows = data.reshape(-1, *data.shape[depth:])
    slices = updates.reshape(-1, *data.shape[depth:])
    number = torch.zeros(indices.shape[:-1], dtype=torch.long)
    for column, size in zip(indices.unbind(-1), data.shape[:depth], strict=True):
        number = number * size + places(column, size, validate_indices)
    index = number.reshape(-1, *(1,) * (rows.ndim - 1)).expand_as(slices)
    return _write(rows, 0, index, slices, mode).reshape(data.shape)


def _write(x: Tensor, axis: int, index: Tensor, updates: Tensor, mode: str) -> Tensor:
    """Write updates; where an index is repeated they accumulate, of `update` the last stays."""
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is not known")
    return MODES[mode](x, axis, index, updates.to(x.dtype))


def _reduce(how: str) -> Callable[[Tensor, int, Tensor, Tensor], Tensor]:
    return lambda x, axis, index, updates: x.scatter_reduce(
        axis, index, updates, how, include_self=True
    )


def _divide(x: Tensor, axis: int, index: Tensor, updates: Tensor) -> Tensor:
    """Divide by all updates of a place; integers are rounded towards zero."""
    divisors = _reduce("prod")(torch.ones_like(x), axis, index, updates)
    return torch.div(x, divisors, rounding_mode=None if x.is_floating_point() else "trunc")


MODES: dict[str, Callable[[Tensor, int, Tensor, Tensor], Tensor]] = {
    "add": lambda x, axis, index, updates: x.scatter_add(axis, index, updates),
    "div": _divide,
    "max": _reduce("amax"),
    "min": _reduce("amin"),
    "mul": _reduce("prod"),
    "sub": lambda x, axis, index, updates: x.scatter_add(axis, index, -updates),
    "update": lambda x, axis, index, updates: x.scatter(axis, index, updates),
}
