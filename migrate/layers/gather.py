"""Reading and writing at indices: gather and scatter in their three forms.

Negative indices count from the end; one out of range is refused, never wrapped or clamped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.layers.tensor import along, positive
from migrate.lowering import expressed
from migrate.registry import layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from migrate.registry import Step

    Scatter = Callable[[Tensor, int, Tensor, Tensor], Tensor]


@layer("gather")
def gather(p: Any) -> Step:
    """Take slices of an axis; the indices' dimensions replace it."""

    def take(x: Tensor, indices: Tensor) -> Tensor:
        return x[(slice(None),) * positive(p.axis, x.ndim) + (indices.long(),)]

    def in_mil(mb: Any, x: Any, indices: Any) -> Any:
        return mb.gather(x=x, indices=mb.cast(x=indices, dtype="int32"), axis=p.axis)

    return expressed(take, in_mil)


@layer("gatherND")
def gatherND(p: Any) -> Step:
    """Take slices at multi-indices, which stand along the last axis of the indices."""

    def take(x: Tensor, indices: Tensor) -> Tensor:
        y = x[indices.long().unbind(-1)]
        return y if y.ndim else y.reshape(1)

    def in_mil(mb: Any, x: Any, indices: Any) -> Any:
        y = mb.gather_nd(x=x, indices=mb.cast(x=indices, dtype="int32"))
        return y if y.rank else mb.expand_dims(x=y, axes=[0])

    return expressed(take, in_mil)


@layer("gatherAlongAxis")
def gatherAlongAxis(p: Any) -> Step:
    """Take elements of an axis, each position by its own index."""

    def take(x: Tensor, indices: Tensor) -> Tensor:
        return x.gather(p.axis, places(x.shape[p.axis], indices))

    def in_mil(mb: Any, x: Any, indices: Any) -> Any:
        indices = _from_the_front(mb, x, indices, positive(p.axis, x.rank))
        return mb.gather_along_axis(x=x, indices=indices, axis=p.axis)

    return expressed(take, in_mil)


@layer("scatter")
def scatter(p: Any) -> Step:
    """Write slices of an axis at indices."""
    write = _writer(p.mode)

    def put(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        axis = positive(p.axis, x.ndim)
        slices = updates.flatten(axis, axis + indices.ndim - 1)
        index = places(x.shape[axis], indices).reshape(along(axis, x.ndim))
        return write(x, axis, index.expand_as(slices), slices)

    return expressed(put, _scatter_in_mil("scatter", p, axis=p.axis))


@layer("scatterND")
def scatterND(p: Any) -> Step:
    """Write slices at multi-indices, which stand along the last axis of the indices."""
    write = _writer(p.mode)

    def put(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        depth = int(indices.shape[-1])
        rows, slices = (t.reshape((-1, *x.shape[depth:])) for t in (x, updates))
        index = row_numbers(x, indices).reshape(along(0, rows.ndim))
        return write(rows, 0, index.expand_as(slices), slices).reshape_as(x)

    return expressed(put, _scatter_in_mil("scatter_nd", p))


@layer("scatterAlongAxis")
def scatterAlongAxis(p: Any) -> Step:
    """Write elements along an axis, each position at its own index."""
    write = _writer(p.mode)

    def put(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        return write(x, p.axis, places(x.shape[p.axis], indices).expand_as(updates), updates)

    return expressed(put, _scatter_in_mil("scatter_along_axis", p, axis=p.axis))


def _scatter_in_mil(name: str, p: Any, **axis: int) -> Step:
    """Return what expresses a scatter as the MIL operation of this name."""
    mode = list(_WRITERS)[p.mode].removeprefix("SCATTER_").lower()

    def in_mil(mb: Any, x: Any, indices: Any, updates: Any) -> Any:
        start = positive(axis.get("axis", 0), x.rank)
        count = indices.shape[-1] if name == "scatter_nd" else 1
        index = _from_the_front(mb, x, indices, start, count)
        if name == "scatter" and index.rank != 1:  # MIL has a row of slices
            shape = (*updates.shape[:start], -1, *updates.shape[start + index.rank :])
            updates = mb.reshape(x=updates, shape=shape)
            index = mb.reshape(x=index, shape=[-1])
        return getattr(mb, name)(data=x, indices=index, updates=updates, mode=mode, **axis)

    return in_mil


def _from_the_front(mb: Any, x: Any, indices: Any, axis: int, count: int = 1) -> Any:
    """Return indices of an axis, or of `count` axes from it on, none of them negative.

    Since iOS17 MIL does not count from the end; coremltools sees to that in its gathers alone.
    """
    indices = mb.cast(x=indices, dtype="int32")
    sizes = mb.slice_by_size(x=mb.shape(x=x), begin=[axis], size=[count])
    return mb.select(cond=mb.less(x=indices, y=0), a=mb.add(x=indices, y=sizes), b=indices)


@helper
def row_numbers(x: Tensor, indices: Tensor) -> Tensor:
    """Return which slice of `x` each multi-index means, counted in the order of memory."""
    index = indices.long().unbind(-1)
    table = torch.arange(x.shape[: len(index)].numel(), device=x.device)
    return table.reshape(x.shape[: len(index)])[index]


def _divide(x: Tensor, axis: int, places: Tensor, updates: Tensor) -> Tensor:
    return x / torch.ones_like(x).scatter_reduce(axis, places, updates, "prod")


_WRITERS: dict[str, Scatter] = {
    "SCATTER_UPDATE": lambda x, axis, places, updates: x.scatter(axis, places, updates),
    "SCATTER_ADD": lambda x, axis, places, updates: x.scatter_add(axis, places, updates),
    "SCATTER_SUB": lambda x, axis, places, updates: x.scatter_add(axis, places, -updates),
    "SCATTER_MUL": lambda x, axis, places, updates: x.scatter_reduce(axis, places, updates, "prod"),
    "SCATTER_DIV": _divide,
    "SCATTER_MAX": lambda x, axis, places, updates: x.scatter_reduce(axis, places, updates, "amax"),
    "SCATTER_MIN": lambda x, axis, places, updates: x.scatter_reduce(axis, places, updates, "amin"),
}


def _writer(mode: int) -> Scatter:
    """Return what a `ScatterMode` does; repeated indices accumulate, the last update stays."""
    if not 0 <= mode < len(_WRITERS):
        raise ModelError(f"mode {mode} is not a ScatterMode")
    return tuple(_WRITERS.values())[mode]


@helper
def places(size: int, indices: Tensor) -> Tensor:
    """Return the indices counted from the front; one out of range is an IndexError."""
    return torch.arange(size, device=indices.device)[indices.long()]
