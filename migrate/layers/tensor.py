"""Tensor operations of any rank (spec version 4 and later): join, divide, repeat, turn, sum up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from migrate.errors import ModelError, UnsupportedError
from migrate.helpers import helper
from migrate.lowering import converting, known, lowers, whole
from migrate.registry import layer
from migrate.shapes import affordable
from migrate.tracing import refuse_traced

if TYPE_CHECKING:
    from migrate.registry import Step


def positive(axis: int, rank: int) -> int:
    """Return the axis counted from the front; one that the rank does not have is refused."""
    if not -rank <= axis < rank:
        raise IndexError(f"there is no axis {axis} at rank {rank}")
    return axis % rank


def along(axis: int, rank: int) -> tuple[int, ...]:
    """Return the shape that spreads a vector along one axis of a tensor of this rank."""
    return tuple(-1 if i == positive(axis, rank) else 1 for i in range(rank))


@layer("concatND")
def concatND(p: Any) -> Step:
    """Concatenate along an axis, element by element in turn if `interleave` is set."""

    def interleaved(*xs: Tensor) -> Tensor:
        axis = positive(p.axis, xs[0].ndim)
        return torch.stack(xs, axis + 1).flatten(axis, axis + 1)

    return (
        interleaved
        if p.interleave
        else lambda *xs: torch.cat([x.reshape(1) if x.ndim == 0 else x for x in xs], p.axis)
    )


@layer("stack")
def stack(p: Any) -> Step:
    """Stack along a new axis of the output."""
    return lambda *xs: torch.stack(xs, p.axis)


@layer("splitND")
def splitND(p: Any) -> Step:
    """Divide an axis into parts of given sizes, or else equal ones, the first longer by one."""
    sizes = [int(n) for n in p.splitSizes]
    if sizes and all(sizes):
        return lambda x: torch.split(x, sizes, p.axis)
    if sizes or not p.numSplits:
        raise ModelError("splitSizes must be positive, or else numSplits be set")
    (count,) = affordable([p.numSplits], "numSplits")
    return lambda x: torch.tensor_split(x, count, p.axis)


@lowers("tensor_split")
def _tensor_split_in_mil(mb: Any, x: Any, count: Any, axis: Any) -> list[Any]:
    if not isinstance(x.shape[axis.val], (int, np.integer)):
        raise UnsupportedError("an axis of any size is divided evenly, but MIL takes constants")
    length, parts = int(x.shape[axis.val]), int(count.val)
    sizes = [length // parts + (i < length % parts) for i in range(parts)]
    return list(mb.split(x=x, split_sizes=sizes, axis=axis))


@layer("tile")
def tile(p: Any) -> Step:
    """Repeat along each axis, as often as the parameter or the second input says."""
    stored = affordable(p.reps, "reps")
    if not all(stored):
        raise ModelError("reps must be positive")

    def repeat(x: Tensor, given: Tensor | None = None) -> Tensor:
        reps: Any = stored if given is None else given.flatten().int().unbind()
        if not 1 <= len(reps) <= x.ndim:
            raise ValueError(f"reps has {len(reps)} entries, the input has rank {x.ndim}")
        return x.repeat((1,) * (x.ndim - len(reps)) + tuple(reps))

    return repeat


@layer("transpose")
def transpose(p: Any) -> Step:
    """Permute the dimensions."""
    axes = [int(n) for n in p.axes]
    if not axes or sorted(axes) != list(range(len(axes))):
        raise ModelError(f"axes must be a permutation of all dimensions, found {axes}")
    return lambda x: x.permute(*axes)


@layer("reverse")
def reverse(p: Any) -> Step:
    """Reverse the chosen dimensions."""
    axes = [axis for axis, chosen in enumerate(p.reverseDim) if chosen]

    def flip(x: Tensor) -> Tensor:
        if len(p.reverseDim) != x.ndim:
            raise ValueError(f"reverseDim has {len(p.reverseDim)} entries, not {x.ndim}")
        return x.flip(axes) if axes else x

    return flip


@layer("reverseSeq")
def reverseSeq(p: Any) -> Step:
    """Reverse the first elements of each sequence, as many as its length."""

    def reverse_starts(x: Tensor, lengths: Tensor) -> Tensor:
        batch, sequence = positive(p.batchAxis, x.ndim), positive(p.sequenceAxis, x.ndim)
        if batch >= sequence:
            raise ValueError(f"batchAxis {p.batchAxis} is not before sequenceAxis {sequence}")
        return reverse_sequences(x, lengths, batch, sequence)

    return reverse_starts


@helper
def reverse_sequences(x: Tensor, lengths: Tensor, batch: int, sequence: int) -> Tensor:
    """Reverse the first `lengths` elements along the axis `sequence`, each batch its own."""
    batch_shape, sequence_shape = ([1] * x.ndim for _ in range(2))
    batch_shape[batch] = sequence_shape[sequence] = -1
    length = lengths.long().reshape(batch_shape)
    place = torch.arange(x.shape[sequence], device=x.device).reshape(sequence_shape)
    source = torch.where(place < length, length - 1 - place, place)
    return x.gather(sequence, source.expand_as(x))


@lowers(reverse_sequences)
def _reverse_sequences_in_mil(mb: Any, x: Any, lengths: Any, batch: int, sequence: int) -> Any:
    lengths = mb.reshape(x=mb.cast(x=lengths, dtype="int32"), shape=[-1])
    return mb.reverse_sequence(x=x, lengths=lengths, batch_axis=batch, seq_axis=sequence)


@layer("softmaxND")
def softmaxND(p: Any) -> Step:
    """Normalize exponentials along an axis."""
    return lambda x: torch.softmax(x, p.axis)


@layer("cumSum")
def cumSum(p: Any) -> Step:
    """Sum up along an axis, from either end, with or without the element itself."""

    def cumulate(x: Tensor, given: Tensor | None = None) -> Tensor:
        if given is not None and not converting():
            refuse_traced("the axis", given)
        if given is None and not (p.reverse or p.excludeFinalSum):
            return torch.cumsum(x, p.axis)
        return cumulative_sum(x, p.axis if given is None else given, p.reverse, p.excludeFinalSum)

    return cumulate


@helper
def cumulative_sum(x: Tensor, axis: Tensor | int, reverse: bool, exclusive: bool) -> Tensor:
    """Sum up along an axis, from its end if `reverse`, without the own element if `exclusive`."""
    axis = int(axis)
    y = torch.cumsum(x.flip([axis]) if reverse else x, axis)
    if exclusive:
        first = y.narrow(axis, 0, 1)
        y = torch.cat([torch.zeros_like(first), y.narrow(axis, 0, y.shape[axis] - 1)], axis)
    return y.flip([axis]) if reverse else y


@lowers(cumulative_sum)
def _cumulative_sum_in_mil(mb: Any, x: Any, axis: Any, reverse: bool, exclusive: bool) -> Any:
    sums = partial(mb.cumsum, x=x, reverse=reverse, exclusive=exclusive)
    if known(axis) is not None:
        return sums(axis=positive(int(known(axis)), x.rank))  # MIL does not count from the end
    axis = whole(mb, axis)  # MIL takes constants, so all are computed
    found = sums(axis=0)
    for i in range(1, x.rank):
        chosen = mb.logical_or(x=mb.equal(x=axis, y=i), y=mb.equal(x=axis, y=i - x.rank))
        found = mb.select(cond=chosen, a=sums(axis=i), b=found)
    return found


@lowers("cumsum")
def _cumsum_in_mil(mb: Any, x: Any, axis: Any, dtype: Any) -> Any:
    return _cumulative_sum_in_mil(mb, x, axis, reverse=False, exclusive=False)


@layer("oneHot")
def oneHot(p: Any) -> Step:
    """Write onValue where the new axis equals the index, offValue elsewhere."""
    affordable([p.oneHotVectorSize], "oneHotVectorSize")

    def one_hot(x: Tensor, given: Tensor | None = None) -> Tensor:
        if given is None and not p.oneHotVectorSize:
            raise ValueError("oneHotVectorSize is not set and there is no second input")
        size = int(p.oneHotVectorSize) if given is None else given
        axis = positive(p.axis, x.ndim + 1)
        return one_hot_vectors(x, size, axis, p.onValue, p.offValue)

    return one_hot


@helper
def one_hot_vectors(x: Tensor, size: Tensor | int, axis: int, on: float, off: float) -> Tensor:
    """Return `on` where a new axis equals the index that `x` holds, else `off`."""
    count: Any = size.long().reshape(()) if isinstance(size, Tensor) else size
    shape = [1] * (x.ndim + 1)
    shape[axis] = -1
    hot = x.long().unsqueeze(axis) == torch.arange(count, device=x.device).reshape(shape)
    return torch.where(hot, on, off).to(x.dtype)


@lowers(one_hot_vectors)
def _one_hot_vectors_in_mil(mb: Any, x: Any, size: Any, axis: int, on: float, off: float) -> Any:
    x, count = mb.cast(x=x, dtype="int32"), known(size)
    if count is not None:
        return mb.one_hot(
            indices=x, one_hot_vector_size=int(count), axis=axis, on_value=on, off_value=off
        )
    places = mb.range_1d(start=0, end=whole(mb, size), step=1)
    places = mb.reshape(x=places, shape=along(axis, x.rank + 1))
    hot = mb.equal(x=mb.expand_dims(x=x, axes=[axis]), y=places)
    on, off = (mb.fill(shape=mb.shape(x=hot), value=value) for value in (on, off))
    return mb.select(cond=hot, a=on, b=off)
