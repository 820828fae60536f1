"""Slices of any rank, with fixed and with computed bounds, and windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.layers.tensor import positive
from migrate.lowering import expressed, fixed, lowers
from migrate.registry import layer
from migrate.tracing import refuse_traced

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.registry import Step


FIELDS = ("beginIds", "endIds", "strides", "beginMasks", "endMasks", "squeezeMasks")
MIL_FIELDS = ("begin", "end", "stride", "begin_mask", "end_mask", "squeeze_mask")


def cut(x: Tensor, columns: list[Any]) -> Tensor:
    """Return the slice of `x` that the values of beginIds, endIds, strides and masks select.

    A set mask leaves its bound open; one of squeezeMasks takes only what is at the beginning. Of a
    negative stride the dimension is flipped: there the element i is n - 1 - i, which is -1 - i
    counted from the end, and that holds for negative i and for bounds beyond the end too.
    """
    for field, column in zip(FIELDS, columns, strict=True):
        if len(column) != x.ndim:
            raise ValueError(f"{field} has {len(column)} entries, the input has rank {x.ndim}")
    index: list[int | slice] = []
    flipped = []
    for axis, values in enumerate(zip(*columns, strict=True)):
        begin, end, step, open_begin, open_end, squeeze = values
        first, last = None if open_begin else begin, None if open_end else end
        if not step:
            raise ValueError("strides must not be 0")
        if squeeze:
            index.append(begin)
        elif step > 0:
            index.append(slice(first, last, step))
        else:
            flipped.append(axis)
            first, last = (None if n is None else -1 - n for n in (first, last))
            index.append(slice(first, last, -step))
    return (x.flip(flipped) if flipped else x)[tuple(index)]


@layer("sliceStatic")
def sliceStatic(p: Any) -> Step:
    """Slice each dimension between fixed bounds."""
    rank = len(p.beginIds)
    columns = [list(getattr(p, field)) for field in FIELDS]
    columns[-1] = columns[-1] or [False] * rank
    if any(len(column) != rank for column in columns):
        lengths = ", ".join(f"{len(c)} {field}" for field, c in zip(FIELDS, columns, strict=True))
        raise ModelError(f"the fields must be of one length, found {lengths}")
    _check_strides(p)

    def slice_static(x: Tensor) -> Tensor:
        return cut(x, columns)

    def in_mil(mb: Any, x: Any) -> Any:
        return mb.slice_by_index(x=x, **dict(zip(MIL_FIELDS, columns, strict=True)))

    return expressed(slice_static, in_mil)


@layer("sliceDynamic")
def sliceDynamic(p: Any) -> Step:
    """Slice each dimension between bounds that are inputs, or parameters where those end."""
    _check_strides(p)

    def slice_dynamic(x: Tensor, begin: Tensor, *inputs: Tensor) -> Tensor:
        refuse_traced("which way it goes", *inputs[1:])
        stored = []
        for field in FIELDS[1 + len(inputs) :]:
            values = list(getattr(p, field))[: x.ndim]
            stored.append(values or [False] * x.ndim if field.endswith("Masks") else values)
        return cut_between(x, [begin, *inputs], stored)

    return slice_dynamic


@helper
def cut_between(x: Tensor, given: list[Tensor], stored: list[list[int]]) -> Tensor:
    """Return a slice between computed bounds: begin, end, strides and masks, the last ones stored.

    Strides and masks are read as numbers, for they decide direction and rank.
    """
    bounds = [t.flatten().long() for t in given]
    return cut(x, [t.unbind() for t in bounds[:2]] + [t.tolist() for t in bounds[2:]] + stored)


@lowers(cut_between)
def _cut_between_in_mil(mb: Any, x: Any, given: list[Any], stored: list[list[Any]]) -> Any:
    bounds = [mb.reshape(x=mb.cast(x=n, dtype="int32"), shape=[-1]) for n in given[:2]]
    values = [fixed(n, "which way it goes").ravel().tolist() for n in given[2:]] + stored
    ways, masks = values[: 3 - len(bounds)], values[3 - len(bounds) :]
    columns = bounds + [[int(n) for n in way] for way in ways]
    columns += [[bool(n) for n in mask] for mask in masks]
    return mb.slice_by_index(x=x, **dict(zip(MIL_FIELDS, columns, strict=True)))


def _check_strides(p: Any) -> None:
    if not all(p.strides):
        raise ModelError("strides must not be 0")


@layer("sliceBySize")
def sliceBySize(p: Any) -> Step:
    """Take `size` elements of an axis, from where the second input says."""
    if p.size < 1:
        raise ModelError(f"size must be positive, found {p.size}")

    return lambda x, begin: take_from(x, begin, p.axis, p.size)


@helper
def take_from(x: Tensor, begin: Tensor, axis: int, size: int) -> Tensor:
    """Return `size` elements of an axis from a computed place on."""
    first = begin.long().reshape(())
    return x.index_select(axis, first + torch.arange(size, device=x.device))


@layer("slidingWindows")
def slidingWindows(p: Any) -> Step:
    """Return all windows along an axis, which becomes two: window, place in the window."""
    if not p.windowSize or not p.step:
        raise ModelError("windowSize and step must be positive")

    def windows(x: Tensor) -> Tensor:
        return x.unfold(p.axis, p.windowSize, p.step).movedim(-1, positive(p.axis, x.ndim) + 1)

    def in_mil(mb: Any, x: Any) -> Any:
        return mb.sliding_windows(x=x, axis=p.axis, size=int(p.windowSize), stride=int(p.step))

    return expressed(windows, in_mil)
