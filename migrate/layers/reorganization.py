"""Layers that move data without computing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from migrate.errors import ModelError
from migrate.lowering import expressed, lowers
from migrate.registry import layer
from migrate.shapes import CHANNEL, HEIGHT, SEQUENCE, WIDTH, affordable, rank5, same_rank

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.registry import Step

SPACE_TO_DEPTH, DEPTH_TO_SPACE, PIXEL_SHUFFLE = 0, 1, 2


@layer("flatten")
def flatten(p: Any) -> Step:
    """Flatten [C, H, W] to [C * H * W, 1, 1], channels first or last."""
    if p.mode not in (0, 1):
        raise ModelError(f"mode {p.mode} is not a FlattenOrder")
    return _flatten_channel_last if p.mode == 1 else _flatten


def _flatten(x: Tensor) -> Tensor:
    return x.flatten(-3).unsqueeze(-1).unsqueeze(-1)


def _flatten_channel_last(x: Tensor) -> Tensor:
    return _flatten(_channels_last(x))


def _channels_last(x: Tensor) -> Tensor:
    return x.transpose(-3, -2).transpose(-2, -1)


def _channels_first(x: Tensor) -> Tensor:
    return x.transpose(-2, -1).transpose(-3, -2)


@layer("concat")
def concat(p: Any) -> Step:
    """Concatenate along channels, or along the sequence."""
    if p.sequenceConcat:
        return lambda *xs: torch.cat([rank5(x) for x in xs], SEQUENCE)
    return lambda *xs: torch.cat(same_rank(*xs), CHANNEL)


@layer("reshape")
def reshape(p: Any) -> Step:
    """Recast [C, H, W], or [Seq, C, H, W], into a new shape, channels first or last."""
    if p.mode not in (0, 1):
        raise ModelError(f"mode {p.mode} is not a ReshapeOrder")
    target = affordable(p.targetShape, "targetShape")
    if len(target) not in (3, 4) or min(target) < 1:
        raise ModelError(f"targetShape must be 3 or 4 positive numbers, found {list(target)}")
    if p.mode == 0:
        return lambda x: _recast(x, target)
    channel, height, width = target[-3:]
    target = (*target[:-3], height, width, channel)
    return lambda x: _channels_first(_recast(_channels_last(x), target))


def _recast(x: Tensor, target: tuple[int, ...]) -> Tensor:
    if len(target) == 3:
        return x.reshape(tuple(x.shape[:-3]) + target)
    x = rank5(x)
    return x.transpose(0, 1).reshape((x.shape[1], *target)).transpose(0, 1)


@layer("permute")
def permute(p: Any) -> Step:
    """Reorder [Seq, C, H, W]; Batch stays where it is."""
    axis = tuple(int(n) for n in p.axis) or (0, 1, 2, 3)
    if sorted(axis) != [0, 1, 2, 3]:
        raise ModelError(f"axis must be a permutation of 0, 1, 2, 3, found {list(axis)}")
    if axis[0] == 0:
        return lambda x: x.permute(*range(x.ndim - 3), *(n - 4 for n in axis[1:]))
    first, *rest = (0 if n == 0 else n + 1 for n in axis)
    return lambda x: rank5(x).permute(first, 1, *rest)


@layer("split")
def split(p: Any) -> Step:
    """Divide the channels evenly over the outputs."""
    parts = int(p.nOutputs)
    if parts < 1:
        raise ModelError("nOutputs must be positive")

    def step(x: Tensor) -> tuple[Tensor, ...]:
        channels = int(x.shape[CHANNEL])
        if channels % parts:
            raise ValueError(f"{channels} channels do not divide into {parts} outputs")
        return x.chunk(parts, CHANNEL)

    return step


@layer("sequenceRepeat")
def sequenceRepeat(p: Any) -> Step:
    """Append the sequence to itself, until it stands there nRepetitions times."""
    (times,) = affordable([p.nRepetitions or 1], "nRepetitions")
    return lambda x: rank5(x).repeat(times, 1, 1, 1, 1)


@layer("reorganizeData", spatial=True)
def reorganizeData(p: Any) -> Step:
    """Move blocks of pixels into channels, or channels into blocks of pixels."""
    block, area = int(p.blockSize), int(p.blockSize) ** 2
    if block < 2:
        raise ModelError(f"blockSize must be greater than 1, found {block}")
    if p.mode == SPACE_TO_DEPTH:
        return expressed(
            lambda x: _regroup(F.pixel_unshuffle(x, block), (-1, area)),
            lambda mb, x: mb.space_to_depth(x=x, block_size=block),
        )
    if p.mode == DEPTH_TO_SPACE:
        return expressed(
            lambda x: F.pixel_shuffle(_regroup(x, (area, -1)), block),
            lambda mb, x: mb.depth_to_space(x=x, block_size=block),
        )
    if p.mode == PIXEL_SHUFFLE:
        return lambda x: F.pixel_shuffle(x, block)
    raise ModelError(f"mode {p.mode} is not a ReorganizationType")


def _regroup(x: Tensor, groups: tuple[int, int]) -> Tensor:
    """Swap the order of the pixels of a block and of the channels, which torch has outermost."""
    return torch.unflatten(x, CHANNEL, groups).transpose(-4, -3).flatten(-4, -3)


@layer("slice")
def slice_layer(p: Any) -> Step:
    """Take every stride-th element from startIndex to endIndex of one axis."""
    if p.axis not in (0, 1, 2):
        raise ModelError(f"axis {p.axis} is not a SliceAxis")
    start, end, stride = int(p.startIndex), int(p.endIndex), int(p.stride)
    if stride < 1:
        raise ModelError("stride must be positive")
    if (start < 0) == (end < 0) and end <= start:
        raise ModelError(f"nothing lies between startIndex {start} and endIndex {end}")
    axis = (CHANNEL, HEIGHT, WIDTH)[p.axis]
    index = (..., slice(start, end, stride)) + (slice(None),) * (-1 - axis)
    return lambda x: x[index]


@lowers("flatten")
def _flatten_in_mil(mb: Any, x: Any, *axes: Any) -> Any:
    return NotImplemented if x.rank else mb.expand_dims(x=x, axes=[0])
