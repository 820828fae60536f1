"""Tensor operations of any rank (spec version 4 and later): join, divide, repeat, turn, sum up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from migrate.errors import ModelError
from migrate.registry import layer
from migrate.shapes import affordable
from migrate.tracing import refuse_traced

if TYPE_CHECKING:
    from torch import Tensor

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
    return lambda x: x.permute(axes)


@layer("reverse")
def reverse(p: Any) -> Step:
    """Reverse the chosen dimensions."""
    axes = [axis for axis, chosen in enumerate(p.reverseDim) if chosen]

    def flip(x: Tensor) -> Tensor:
        if len(p.reverseDim) != x.ndim:
            raise ValueError(f"reverseDim has {len(p.reverseDim)} entries, not {x.ndim}")
        return x.flip(axes)

    return flip


@layer("reverseSeq")
def reverseSeq(p: Any) -> Step:
    """Reverse the first elements of each sequence, as many as its length."""

    def reverse_starts(x: Tensor, lengths: Tensor) -> Tensor:
        sequence = positive(p.sequenceAxis, x.ndim)
        if positive(p.batchAxis, x.ndim) >= sequence:
            raise ValueError(f"batchAxis {p.batchAxis} is not before sequenceAxis {sequence}")
        length = lengths.long().reshape(along(p.batchAxis, x.ndim))
        place = torch.arange(x.shape[sequence], device=x.device).reshape(along(sequence, x.ndim))
        return x.gather(
            sequence, torch.where(place < length, length - 1 - place, place).expand_as(x)
        )

    return reverse_starts


@layer("softmaxND")
def softmaxND(p: Any) -> Step:
    """Normalize exponentials along an axis."""
    return lambda x: torch.softmax(x, p.axis)


@layer("cumSum")
def cumSum(p: Any) -> Step:
    """Sum up along an axis, from either end, with or without the element itself."""

    def cumulate(x: Tensor, given: Tensor | None = None) -> Tensor:
        if given is not None:
            refuse_traced("the axis", given)
        axis = p.axis if given is None else int(given.item())
        y = torch.cumsum(x.flip([axis]) if p.reverse else x, axis)
        if p.excludeFinalSum:
            every = (slice(None),) * positive(axis, x.ndim)
            first, inside = y[(*every, slice(0, 1))], y[(*every, slice(0, -1))]
            y = torch.cat([torch.zeros_like(first), inside], axis)
        return y.flip([axis]) if p.reverse else y

    return cumulate


@layer("oneHot")
def oneHot(p: Any) -> Step:
    """Write onValue where the new axis equals the index, offValue elsewhere."""
    affordable([p.oneHotVectorSize], "oneHotVectorSize")

    def one_hot(x: Tensor, given: Tensor | None = None) -> Tensor:
        if given is None and not p.oneHotVectorSize:
            raise ValueError("oneHotVectorSize is not set and there is no second input")
        size: Any = int(p.oneHotVectorSize) if given is None else given.long().reshape(())
        place = torch.arange(size, device=x.device).reshape(along(p.axis, x.ndim + 1))
        hot = x.long().unsqueeze(p.axis) == place
        return torch.where(hot, p.onValue, p.offValue).to(x.dtype)

    return one_hot
