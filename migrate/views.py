"""Views of views: written with as few of them as possible.

Each view is followed by its layout: for every dimension the dimensions of the first tensor that it
holds, none for a dimension of 1 that was put in. So views that undo each other are recognised, and
that at any size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Layout = tuple[tuple[int, ...], ...]


class Short(NamedTuple):
    """A view of `first`: some dimensions squeezed, then some put in."""

    first: Tensor
    squeezed: tuple[int, ...]
    put_in: tuple[int, ...]


class Views:
    """The layouts of the tensors that are views of others."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Tensor, Tensor, Layout]] = {}  # the view, the first, the layout
        self._chains: dict[int, dict[Layout, Tensor]] = {}  # the views of a tensor, by layout

    def see(self, func: Any, args: Any, kwargs: Any, result: Tensor) -> Short | None:
        """Take note of a view; return how it is made of the first tensor, if it is no other one."""
        change = CHANGES.get(func.__name__)
        if change is None or kwargs:
            return None
        _, first, layout = self._seen.get(id(args[0]), (None, args[0], _own(args[0])))
        if not layout or (change is _squeeze and len(args) == 1):
            return None  # what is squeezed without a name depends on the sizes
        changed = change(layout, *args[1:])
        if len(changed) != result.dim():
            return None  # squeezing left a dimension that is not 1
        short = _short(first, changed)
        if sum(map(len, changed)) < first.dim():  # at another size nothing may be squeezed
            return short if short and not short.put_in else None  # either way it begins anew
        self._seen[id(result)] = (result, first, changed)
        if short is None:  # it may still be the same as a view before
            views = self._chains.setdefault(id(first), {})
            same = views.setdefault(changed, result)
            if same is not result:
                return Short(same, (), ())
        return short

    def forget(self, x: Tensor) -> None:
        """Take the tensor for one that is no view."""
        self._seen.pop(id(x), None)

    def first(self, x: Tensor) -> Tensor | None:
        """Return the tensor that `x` is a view of, if it is one that was seen."""
        return self._seen[id(x)][1] if id(x) in self._seen else None

    def ones(self, x: Tensor) -> tuple[int, ...]:
        """Return the dimensions that are 1 at any size."""
        if id(x) not in self._seen:
            return ()
        return tuple(axis for axis, dims in enumerate(self._seen[id(x)][2]) if not dims)


def _own(x: Tensor) -> Layout:
    return tuple((axis,) for axis in range(x.dim()))


def _short(first: Tensor, layout: Layout) -> Short | None:
    held = [dim for dims in layout for dim in dims]
    if held != sorted(held) or any(len(dims) > 1 for dims in layout):
        return None
    squeezed = tuple(dim for dim in range(first.dim()) if dim not in held)
    return Short(first, squeezed, tuple(axis for axis, dims in enumerate(layout) if not dims))


def _unsqueeze(layout: Layout, dim: int) -> Layout:
    at = dim % (len(layout) + 1)
    return (*layout[:at], (), *layout[at:])


def _squeeze(layout: Layout, *dims: Any) -> Layout:
    given = dims[0] if isinstance(dims[0], (tuple, list)) else dims
    removed = {dim % len(layout) for dim in given}
    return tuple(dims for axis, dims in enumerate(layout) if axis not in removed)


def _permute(layout: Layout, *dims: Any) -> Layout:
    order = dims[0] if isinstance(dims[0], (tuple, list)) else dims
    return tuple(layout[dim] for dim in order)


def _transpose(layout: Layout, first: int, second: int) -> Layout:
    order = list(range(len(layout)))
    order[first], order[second] = order[second], order[first]
    return _permute(layout, order)


def _flatten(layout: Layout, start: int = 0, end: int = -1) -> Layout:
    if not layout:
        return ((),)
    start, end = start % len(layout), end % len(layout)
    joined = tuple(dim for dims in layout[start : end + 1] for dim in dims)
    return (*layout[:start], joined, *layout[end + 1 :])


CHANGES: dict[str, Callable[..., Layout]] = {
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "permute": _permute,
    "transpose": _transpose,
    "flatten": _flatten,
}
