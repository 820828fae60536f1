"""Indices and sizes in an fp16 program.

The blobs of a NeuralNetwork are all floats, so an index or a size passes through layers as one.
Float16 holds every whole number only up to 2048; operations on indices and sizes stay float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOVES = {
    "concat", "expand_dims", "gather", "identity", "reshape", "slice_by_index", "slice_by_size",
    "split", "squeeze", "stack", "tile", "transpose",
}  # fmt: skip
COMPUTES = {
    "abs", "add", "ceil", "clip", "floor", "floor_div", "maximum", "minimum", "mod", "mul",
    "real_div", "round", "select", "sub",
}  # fmt: skip
FARTHEST = 256  # operations to look at


def keeps_float32(op: Any) -> bool:
    """Tell whether an operation moves or computes what becomes an index, or what was one."""
    return _passes(op) and (_becomes_integer(op) or _was_integer(op))


def _passes(op: Any) -> bool:
    return op is not None and op.op_type in MOVES | COMPUTES


def _becomes_integer(op: Any) -> bool:
    """Tell whether a cast to integers follows, with nothing but such operations between."""
    followers = _around(op, lambda op: [child for out in op.outputs for child in out.child_ops])
    return any(op.op_type == "cast" and "int" in op.dtype.val for op in followers)


def _was_integer(op: Any) -> bool:
    """Tell whether all that goes in, constants aside, comes from integers by such operations."""
    sources = [op for op in _around(op, _computed) if not _passes(op)]
    return bool(sources) and all(op.op_type == "cast" and _of_integers(op) for op in sources)


def _of_integers(cast: Any) -> bool:
    from coremltools.converters.mil.mil import types

    return bool(types.is_int(cast.x.dtype))


class _Input:
    """Stands for an input of the program among operations."""

    op_type = "input"


def _computed(op: Any) -> list[Any]:
    """Return the operations that an operation's inputs come from, constants aside."""
    given = [
        v
        for value in op.inputs.values()
        for v in (value if isinstance(value, (list, tuple)) else [value])
    ]
    return [v.op or _Input for v in given if v.op is None or v.op.op_type != "const"]


def _around(op: Any, neighbours: Callable[[Any], list[Any]]) -> Iterator[Any]:
    """Yield the operations next to this one, and those behind them while they only pass on."""
    seen: set[Any] = set()
    waiting = neighbours(op)
    while waiting and len(seen) < FARTHEST:
        found = waiting.pop()
        if found in seen:
            continue
        seen.add(found)
        yield found
        if _passes(found):
            waiting += neighbours(found)
