"""The rules of rank and axis that Core ML states once and torch does not have.

Rank-5 mapping (specs 1 to 3): every blob is [Seq, Batch, C, H, W]. The layers of those specs name
their axes from the end, and treat whatever leads as batch, so leading dimensions of 1 may be left
out: a blob of rank 4 stands for one of rank 5 with Seq 1. Layers that address Seq call `rank5`.

Rank 0: Core ML's documentation knows no rank below 1, and an output never has one. Between layers a
blob whose last dimension was removed (squeeze, slices, reductions) is of rank 0 all the same:
networks that coremltools writes add the dimension again with expandDims, and expect rank 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from migrate.errors import ModelError
from migrate.network import LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from migrate.network import Feature

CHANNEL, HEIGHT, WIDTH, SEQUENCE = -3, -2, -1, -5


def affordable(values: Iterable[int], field: str) -> tuple[int, ...]:
    """Return a field's sizes as integers; ModelError if together they are more than LARGEST."""
    found = tuple(int(n) for n in values)
    if abs(math.prod(n for n in found if n)) > LARGEST or any(abs(n) > LARGEST for n in found):
        claimed = "x".join(map(str, found))
        raise ModelError(f"{field} claims a size of {claimed}, the largest is {LARGEST:,}")
    return found


def at_rank(x: Tensor, rank: int) -> Tensor:
    """Return `x` with ones in front of its shape until it has `rank` dimensions."""
    for _ in range(rank - x.ndim):
        x = x.unsqueeze(0)
    return x


def rank5(x: Tensor) -> Tensor:
    """Return the [Seq, Batch, C, H, W] form of a blob."""
    return at_rank(x, 5)


def same_rank(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors with ones in front of the shapes of those of lower rank."""
    rank = max(t.ndim for t in tensors)
    return tuple(at_rank(t, rank) for t in tensors)


def as_batch(step: Callable[..., Tensor], x: Tensor, *others: Tensor) -> Tensor:
    """Call `step` on `x` as [Batch, C, H, W], and give its result the rank that `x` had."""
    if x.ndim == 4:
        return step(x, *others)
    if x.ndim < 4:
        y = step(at_rank(x, 4), *others)
        return y.reshape(tuple(y.shape[4 - x.ndim :]))
    y = step(x.flatten(0, x.ndim - 4), *others)
    return y.reshape(tuple(x.shape[:-3]) + tuple(y.shape[-3:]))


def enter(feature: Feature, rank5_mapping: bool, legacy: bool) -> Callable[[Tensor], Tensor]:
    """Return the function from a feature's tensor to the blob that the layers see.

    Rank 1 is C, rank 3 is [C, H, W], either with [Seq, Batch] in front at run time; a network of
    old layers alone starts at [Batch, C, H, W], any other at rank 5.
    """
    if not rank5_mapping:
        return _unchanged
    if feature.kind == "multiArray" and len(feature.shape) == 2:
        raise ModelError(
            f"input '{feature.name}' is declared with 2 dimensions; "
            "the rank-5 mapping knows 1 (C), 3 (C, H, W), 4 and 5"
        )
    rank = 4 if legacy else 5
    longest = 3 if len(feature.shape) == 1 else 1  # of the tensors that end in C

    def to_blob(x: Tensor) -> Tensor:
        return at_rank(x.unsqueeze(-1).unsqueeze(-1) if x.ndim <= longest else x, rank)

    return to_blob


def leave(feature: Feature, rank5_mapping: bool) -> Callable[[Tensor], Tensor]:
    """Return the function from an output's blob to the feature's tensor, at the declared rank.

    Without a declared shape an output of rank 4 is [C, H, W], one of rank 5 stays as it is.
    """
    if not rank5_mapping:
        return torch.atleast_1d
    rank = len(feature.shape)

    def from_blob(x: Tensor) -> Tensor:
        if rank == 1:
            return _drop(x.flatten(-3), 1)
        return _drop(x, rank or (3 if x.ndim == 4 else 5))

    return from_blob


def _drop(x: Tensor, rank: int) -> Tensor:
    while x.ndim > rank and x.shape[0] == 1:
        x = x.squeeze(0)
    return x


def _unchanged(x: Tensor) -> Tensor:
    return x
