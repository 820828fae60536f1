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
from functools import partial
from typing import TYPE_CHECKING

import torch

from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.limits import largest
from migrate.tracing import has_values, unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from migrate.feature_types import Feature

CHANNEL, HEIGHT, WIDTH, SEQUENCE = -3, -2, -1, -5


def affordable(values: Iterable[int], field: str) -> tuple[int, ...]:
    """Return a field's sizes as integers; ModelError if together they are too many."""
    found = tuple(int(n) for n in values)
    if max(map(abs, (math.prod(n for n in found if n), *found))) > largest():
        claimed = "x".join(map(str, found))
        raise ModelError(f"{field} claims a size of {claimed}, the largest is {largest():,}")
    return found


def refuse_unaffordable(shape: Tensor) -> None:
    """Raise ValueError if a shape that a blob holds has too many elements."""
    if not has_values(shape):
        return
    try:
        with unseen():
            affordable(shape.flatten().int().tolist(), "the shape")
    except ModelError as error:
        raise ValueError(str(error)) from None


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


def enter(
    feature: Feature, rank5_mapping: bool, legacy: bool, sequential: bool
) -> Callable[[Tensor], Tensor]:
    """Return the function from a feature's tensor to the blob that the layers see.

    An array of rank 1 is C, one of rank 3 [C, H, W], either with [Seq, Batch] in front at run time.
    A network of old layers alone starts at [Batch, C, H, W] where it can, any other at rank 5.
    """
    if not rank5_mapping:
        return _unchanged
    rank = len(feature.shape)
    if feature.kind == "multiArray" and rank == 2:
        raise ModelError(
            f"input '{feature.name}' is declared with 2 dimensions; "
            "the rank-5 mapping knows 1 (C), 3 (C, H, W), 4 and 5"
        )
    if feature.kind == "multiArray" and rank in (1, 3):
        forms = {1: _vectors, 3: _images} if sequential else {1: _vector_batch, 3: _image_batch}
        return forms[rank]
    return partial(at_rank, rank=4 if legacy else 5)


def _vectors(x: Tensor) -> Tensor:
    return sequence_of_vectors(x).unsqueeze(-1).unsqueeze(-1)


@helper
def sequence_of_vectors(x: Tensor) -> Tensor:
    """Return [Seq, Batch, C] of [C], [Batch, C], [Seq, Batch, C] or these with H and W of 1."""
    x = x.flatten(-3) if x.ndim > 3 else x
    return x.reshape((1,) * (3 - x.ndim) + tuple(x.shape))


def _images(x: Tensor) -> Tensor:
    return sequence_of_images(x)


@helper
def sequence_of_images(x: Tensor) -> Tensor:
    """Return [Seq, Batch, C, H, W] of [C, H, W], [Batch, C, H, W] or itself."""
    return x.reshape((1,) * (5 - x.ndim) + tuple(x.shape))


def _vector_batch(x: Tensor) -> Tensor:
    if x.ndim > 2:
        return x if x.ndim > 3 else x.unsqueeze(-1).unsqueeze(-1)
    return batch_of_vectors(x)


@helper
def batch_of_vectors(x: Tensor) -> Tensor:
    """Return [Batch, C, 1, 1] of [C] or [Batch, C]."""
    return x.reshape(-1, x.shape[-1], 1, 1)


def _image_batch(x: Tensor) -> Tensor:
    return x if x.ndim > 4 else batch_of_images(x)


@helper
def batch_of_images(x: Tensor) -> Tensor:
    """Return [Batch, C, H, W] of [C, H, W] or of itself."""
    return x.reshape(-1, *x.shape[-3:])


def leave(
    feature: Feature, rank5_mapping: bool, recurrent: bool = False
) -> Callable[[Tensor], Tensor]:
    """Return the function from an output's blob to the feature's tensor, at the declared rank.

    Without a declared shape an output of rank 4 is [C, H, W], one of rank 5 stays as it is; in a
    `recurrent` network of old layers it is [C, H, W] too, unless there is a Seq or Batch.
    """
    if not rank5_mapping:
        return torch.atleast_1d
    rank = len(feature.shape)

    def from_blob(x: Tensor) -> Tensor:
        if rank == 1:
            return _drop(x.flatten(-3), 1)
        return _drop(x, rank or (3 if recurrent or x.ndim == 4 else 5))

    return from_blob


def _drop(x: Tensor, rank: int) -> Tensor:
    """Remove dimensions in front that are 1, down to this rank."""
    for _ in range(x.ndim - rank):
        x = x.squeeze(0)
    return x


def _unchanged(x: Tensor) -> Tensor:
    return x


def allowed(feature: Feature) -> list[tuple[int | tuple[int, int | None], ...]]:
    """Return each form that the description allows: a size, or (lowest, highest), per dimension."""
    if feature.bounds:
        return [
            tuple(low if low == high else (low, high if high >= 0 else None) for low, high in f)
            for f in (feature.bounds,)
        ]
    forms = feature.shapes or (feature.shape,)
    return [tuple(n if n > 0 else (1, None) for n in shape) for shape in forms]


def fits(shape: tuple[int, ...], form: tuple[int | tuple[int, int | None], ...]) -> bool:
    """Tell whether a shape is of a form: a size, or (lowest, highest or None), per dimension."""
    ends = ((n, n) if isinstance(n, int) else n for n in form)
    return len(shape) == len(form) and all(
        low <= n and (high is None or n <= high) for n, (low, high) in zip(shape, ends, strict=True)
    )


@helper
def check_shape(
    x: Tensor, name: str, forms: list[tuple[int | tuple[int, int | None], ...]]
) -> None:
    """Refuse a shape that is of none of the forms; further dimensions may lead.

    [Seq, Batch, C, 1, 1] is of the form C.
    """
    for form in forms:
        shape = tuple(x.shape[:-2] if len(form) == 1 and x.ndim > 3 else x.shape)
        if len(shape) >= len(form) and fits(shape[len(shape) - len(form) :], form):
            return
    texts = [[n if isinstance(n, int) else f"{n[0]}..{n[1] or ''}" for n in f] for f in forms]
    wanted = ", ".join("x".join(map(str, text)) for text in texts)
    found = "x".join(map(str, x.shape))
    raise ValueError(f"input {name!r} has shape {found}, the model takes {wanted}")
