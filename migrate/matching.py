"""Whether the values of a constant are those of a candidate, and in which arrangement.

A weight as it is must be there to the bit, or rounded to float16. What was computed anew may be off
by what float32 loses of the float64 values; what is compressed, by what its form may.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.compressed import ULPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from migrate.candidates import Candidate
    from migrate.constants import Constant

    Array = NDArray[Any]
    Shape = tuple[int, ...]

LOST = 32 * 2.0**-24  # of what was added up
LEAST = 2.0**-24  # of float16
MOST_AXES = 5


@np.errstate(over="ignore", invalid="ignore")
def found_as(constant: Constant, candidate: Candidate) -> str:
    """Return what a constant has of a candidate, or nothing."""
    found = constant.values
    if candidate.count > found.size:
        return ""
    try:
        exact, size = candidate.values()
    except ValueError:  # a scale that is not one per channel
        return ""
    if found.dtype.kind in "iub":
        whole = _first(found.shape, exact, lambda e, _: _same_number(found, e), size)
        return "" if whole is None else "rewritten: as whole numbers"
    if constant.compressed:
        layout = _first(found.shape, exact, lambda e, _: _near(found, e), size)
        return "" if layout is None else "compressed"
    if not candidate.how:
        layout = _first(found.shape, exact, lambda e, _: _equal(found, e), size)
        kept = "same" if found.dtype == np.float32 else "nearest fp16"
        return "" if layout is None else (f"rewritten: {layout}" if layout else kept)
    layout = _first(found.shape, exact, lambda e, s: _close(found, e, s), size)
    if layout is None:
        return ""
    return f"rewritten: {candidate.how}" + (f", {layout}" if layout else "")


def _first(
    shape: tuple[int, ...], exact: Array, matches: Callable[[Array, Array], bool], size: Array
) -> str | None:
    """Return the first arrangement of the values in which they match; None if there is none."""
    size = np.broadcast_to(size, exact.shape)
    for name, arrange in _layouts(exact.shape, shape):
        if matches(arrange(exact), arrange(size)):
            return name
    return None


def _layouts(
    given: tuple[int, ...], shape: tuple[int, ...]
) -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Yield the ways to arrange values of one shape in another, with what each is called."""
    before, after = ([n for n in s if n != 1] for s in (given, shape))
    if before == after:
        yield "", partial(np.reshape, shape=shape)
    if sorted(before) == sorted(after) and 1 < len(before) <= MOST_AXES:
        for order in itertools.permutations(range(len(before))):
            if [before[i] for i in order] == after and list(order) != sorted(order):
                yield "transposed", partial(_transposed, before=before, order=order, shape=shape)
    if before != after and np.prod(given) == np.prod(shape):
        yield "reshaped", partial(np.reshape, shape=shape)
    if np.prod(given) < np.prod(shape):
        for form in (given, tuple(before), (*before, 1), (*before, 1, 1), (*before, 1, 1, 1)):
            if _broadcasts(form, shape):
                yield "repeated", partial(_repeated, form=form, shape=shape)


def _transposed(x: Array, before: list[int], order: tuple[int, ...], shape: Shape) -> Array:
    return x.reshape(before).transpose(order).reshape(shape)


def _repeated(x: Array, form: Shape, shape: Shape) -> Array:
    return np.broadcast_to(x.reshape(form), shape)


def _broadcasts(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(given, shape) == shape
    except ValueError:
        return False


def _same_number(found: Array, exact: Array) -> bool:
    """Tell whether indices are the same; one that counts from the end may count from the start."""
    return bool(((found == exact) | ((exact < 0) & (found >= 0))).all())


def _equal(found: Array, exact: Array) -> bool:
    """Tell whether values are the exact ones, to the bit, or rounded to float16."""
    near = np.ascontiguousarray(exact.astype(found.dtype))
    if near.tobytes() == np.ascontiguousarray(found).tobytes():
        return True
    return found.dtype == np.float16 and bool(((found == near) | _kept(found, exact)).all())


def _kept(found: Array, exact: Array) -> NDArray[np.bool_]:
    """Tell where float16 has its least number for one that is less: coremltools lets none be 0."""
    lesser = (exact != 0) & (np.abs(exact) < LEAST)
    kept: NDArray[np.bool_] = lesser & (found == np.copysign(LEAST, exact))
    return kept


def _close(found: Array, exact: Array, size: Array) -> bool:
    """Tell whether values are the exact ones, but for what float32 loses, rounded."""
    near = exact.astype(found.dtype)
    limit = LOST * size
    if found.dtype == np.float16:
        limit = limit + 0.501 * np.spacing(np.abs(near)).astype(np.float64)
    same = (found == near) | (np.isnan(found) & np.isnan(near))
    close = np.abs(found.astype(np.float64) - exact) <= limit
    return bool((same | close | _kept(found, exact)).all())


def _near(found: Array, exact: Array) -> bool:
    """Tell whether values are those of a compressed form of the exact ones."""
    limit = np.zeros(())
    for axis in range(max(exact.ndim, 1)):
        others = tuple(i for i in range(exact.ndim) if i != axis)
        largest = np.abs(exact).max(others, keepdims=True).astype(found.dtype)
        limit = np.maximum(limit, ULPS[found.dtype] * np.spacing(largest).astype(np.float64))
    near = exact.astype(found.dtype).astype(np.float64)
    return bool((np.abs(found.astype(np.float64) - near) <= limit).all())


def distance(constant: Constant, candidate: Candidate) -> float:
    """Return how far off a constant is at most; infinite where the shapes differ."""
    try:
        exact, _ = candidate.values()
    except ValueError:
        return np.inf
    if exact.shape != constant.values.shape:
        return np.inf
    return float(np.abs(constant.values.astype(np.float64) - exact).max(initial=0.0))
