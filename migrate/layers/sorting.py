"""Order along an axis; of equal elements the first comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.lowering import known, lowers, whole
from migrate.registry import layer
from migrate.shapes import affordable

if TYPE_CHECKING:
    from collections.abc import Callable

    from migrate.registry import Builder, Step


@layer("topK")
def topK(p: Any) -> Step:
    """Return the K largest, or smallest, elements of an axis in order, and their indices."""
    affordable([p.K], "K")

    def top(x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if given is None and not p.K:
            raise ValueError("K is not set and there is no second input")
        return top_k(x, int(p.K) if given is None else given, p.axis, p.useBottomK)

    return top


@helper
def top_k(x: Tensor, k: Tensor | int, axis: int, smallest: bool) -> tuple[Tensor, Tensor]:
    """Return the k largest or smallest elements in order, and their indices, as floats.

    torch.topk leaves the order of equal elements open; here the first comes first.
    """
    count: Any = k.long().reshape(()) if isinstance(k, Tensor) else k
    order = torch.argsort(x, dim=axis, descending=not smallest, stable=True)
    indices = order.index_select(axis, torch.arange(count, device=x.device))
    return x.gather(axis, indices), indices.to(x.dtype)


@lowers(top_k)
def _top_k_in_mil(mb: Any, x: Any, k: Any, axis: int, smallest: bool) -> tuple[Any, Any]:
    count = known(k)
    if count is not None:
        values, indices = mb.topk(x=x, k=int(count), axis=axis, ascending=smallest)
        return values, mb.cast(x=indices, dtype="fp32")
    order = mb.argsort(x=x, axis=axis, ascending=smallest)
    first = mb.range_1d(start=0, end=whole(mb, k), step=1)
    indices = mb.gather(x=order, indices=first, axis=axis)
    return mb.gather_along_axis(x=x, indices=indices, axis=axis), mb.cast(x=indices, dtype="fp32")


@layer("argSort")
def argSort(p: Any) -> Step:
    """Return the indices that sort an axis."""
    if p.axis < 0:
        raise ModelError(f"axis must not be negative, found {p.axis}")
    return lambda x: torch.argsort(x, dim=p.axis, descending=p.descending, stable=True).to(x.dtype)


def _extreme(find: Callable[..., Tensor]) -> Builder:
    def build(p: Any) -> Step:
        def position(x: Tensor) -> Tensor:
            return find(x, p.axis, keepdim=not p.removeDim).to(x.dtype)

        return position

    return build


for _field, _find in {"argMax": torch.argmax, "argMin": torch.argmin}.items():
    layer(_field)(_extreme(_find))


@lowers("argsort")
def _argsort_in_mil(mb: Any, x: Any, *how: Any) -> Any:
    axis, descending = how[-2:]  # `stable` may stand before them
    return mb.argsort(x=x, axis=axis, ascending=not descending.val)
