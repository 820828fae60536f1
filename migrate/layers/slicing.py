"""Slices of any rank, with fixed and with computed bounds, and windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from migrate.errors import ModelError
from migrate.layers.tensor import positive
from migrate.registry import layer
from migrate.tracing import refuse_traced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from migrate.registry import Step


class Span(NamedTuple):
    """The slice of one dimension; an open end is None, `squeeze` takes only `begin`."""

    begin: Any  # an int, or a tensor of one
    end: Any
    stride: int
    squeeze: bool

    @property
    def selector(self) -> Any:
        """What selects the span; of a negative stride, in the flipped dimension.

        There the element i is n - 1 - i, which is -1 - i counted from the end: that holds for
        negative i too, and for bounds beyond the end.
        """
        if self.squeeze:
            return self.begin
        if self.stride > 0:
            return slice(self.begin, self.end, self.stride)
        begin, end = (None if i is None else -1 - i for i in (self.begin, self.end))
        return slice(begin, end, -self.stride)


def cut(x: Tensor, spans: Sequence[Span]) -> Tensor:
    """Return the part of `x` that the spans, one per dimension, select."""
    flipped = [i for i, span in enumerate(spans) if span.stride < 0 and not span.squeeze]
    return (x.flip(flipped) if flipped else x)[tuple(span.selector for span in spans)]


FIELDS = ("beginIds", "endIds", "strides", "beginMasks", "endMasks", "squeezeMasks")


def spans_of(columns: Sequence[Sequence[Any]], rank: int) -> list[Span]:
    """Return the spans of values in the order of FIELDS; a set mask leaves its bound open."""
    for field, column in zip(FIELDS, columns, strict=True):
        if len(column) != rank:
            raise ValueError(f"{field} has {len(column)} entries, the input has rank {rank}")
    if not all(columns[2]):
        raise ValueError("strides must not be 0")
    spans = []
    for begin, end, stride, open_begin, open_end, squeeze in zip(*columns, strict=True):
        first = None if open_begin and not squeeze else begin
        spans.append(Span(first, None if open_end else end, int(stride), bool(squeeze)))
    return spans


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
        return cut(x, spans_of(columns, x.ndim))

    return slice_static


@layer("sliceDynamic")
def sliceDynamic(p: Any) -> Step:
    """Slice each dimension between bounds that are inputs, or parameters where those end."""
    _check_strides(p)

    def slice_dynamic(x: Tensor, begin: Tensor, *inputs: Tensor) -> Tensor:
        bounds = [t.flatten().long() for t in (begin, *inputs)]
        refuse_traced("which way it goes", *inputs[1:])
        # strides and masks decide direction and rank, so they are read as numbers
        columns: list[Any] = [t.unbind() for t in bounds[:2]] + [t.tolist() for t in bounds[2:]]
        for field in FIELDS[len(columns) :]:
            stored = list(getattr(p, field))[: x.ndim]
            columns.append(stored or [False] * x.ndim if field.endswith("Masks") else stored)
        return cut(x, spans_of(columns, x.ndim))

    return slice_dynamic


def _check_strides(p: Any) -> None:
    if not all(p.strides):
        raise ModelError("strides must not be 0")


@layer("sliceBySize")
def sliceBySize(p: Any) -> Step:
    """Take `size` elements of an axis, from where the second input says."""
    if p.size < 1:
        raise ModelError(f"size must be positive, found {p.size}")

    def slice_by_size(x: Tensor, begin: Tensor) -> Tensor:
        first = begin.long().reshape(())
        return x.index_select(p.axis, first + torch.arange(p.size, device=x.device))

    return slice_by_size


@layer("slidingWindows")
def slidingWindows(p: Any) -> Step:
    """Return all windows along an axis, which becomes two: window, place in the window."""
    if not p.windowSize or not p.step:
        raise ModelError("windowSize and step must be positive")

    def windows(x: Tensor) -> Tensor:
        return x.unfold(p.axis, p.windowSize, p.step).movedim(-1, positive(p.axis, x.ndim) + 1)

    return windows
