"""MIL's `cond` and `while_loop`, of traced functions and of blobs whose sizes change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrate.coreml import coremltools

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLOSE_TO_ZERO = 1e-6  # BranchLayerParams


def inline(traced: Any, values: Sequence[Any]) -> list[Any]:
    """Return what a traced function makes of MIL variables, in the block under construction."""
    from coremltools.converters.mil.frontend.torch.converter import TorchConverter
    from coremltools.converters.mil.frontend.torch.ops import convert_nodes

    ct = coremltools()
    given = [
        ct.TensorType(name=f"given_{i}", shape=tuple(1 for _ in x.shape))
        for i, x in enumerate(values)
    ]
    converter = TorchConverter(traced, inputs=given)
    for name, value in zip(converter.graph.inputs, values, strict=True):
        converter.context.add(value, torch_name=name)
    converter.convert_const()
    convert_nodes(converter.context, converter.graph)
    return [converter.context[name] for name in converter.graph.outputs]


def cond(mb: Any, condition: Any, sides: Sequence[Callable[[], tuple[Any, ...]]]) -> Any:
    """Return what one of two functions gives; sizes in which the two differ become unknown."""
    predicate = _holds(mb, condition)
    if predicate.val is not None:
        return sides[0 if predicate.val else 1]()
    first: tuple[Any, ...] = ()

    def true() -> tuple[Any, ...]:
        nonlocal first
        first = sides[0]()
        return first

    def false() -> tuple[Any, ...]:
        second = sides[1]()
        axes = [_differing(one, other) for one, other in zip(first, second, strict=True)]
        block = first[0].op.enclosing_block
        with block:
            block.set_outputs(_unsized(mb, first, axes, predicate))
        return tuple(_unsized(mb, second, axes, predicate))

    return mb.cond(pred=predicate, _true_fn=true, _false_fn=false)


def while_loop(mb: Any, start: list[Any], goes: int, body: Callable[..., list[Any]]) -> Any:
    """Return what a body makes of its own results while that of this number is not 0.

    Sizes that an iteration changes become unknown, and with them those that follow from them.
    """

    def settled(*values: Any) -> tuple[Any, ...]:
        unknown: list[set[int]] = [set() for _ in values]
        while True:
            results = [_varying(mb, x) for x in body(*values)]
            rows = zip(values, results, unknown, strict=True)
            more = [_differing(before, after) - axes for before, after, axes in rows]
            unknown = [axes | found for axes, found in zip(unknown, more, strict=True)]
            if not any(more):
                return tuple(_unsized(mb, results, unknown, values[goes]))
            for value, found in zip(values, more, strict=True):
                _loosen(value, found)

    return mb.while_loop(
        _cond=lambda *values: _holds(mb, values[goes]),
        _body=settled,
        loop_vars=tuple(_varying(mb, x) for x in start),
    )


def _differing(one: Any, other: Any) -> set[int]:
    """Return the axes in which two MIL variables of one rank have sizes of their own."""
    rows = zip(one.shape, other.shape, strict=True)
    return {axis for axis, (a, b) in enumerate(rows) if a != b}


def _loosen(variable: Any, axes: set[int]) -> None:
    """Make the sizes of a MIL variable in these axes unknown to coremltools."""
    from coremltools.converters.mil.mil import get_new_symbol, types

    if axes:
        sizes = [get_new_symbol() if i in axes else n for i, n in enumerate(variable.shape)]
        variable._sym_type = types.tensor(variable.dtype, sizes)


def _unsized(mb: Any, variables: Sequence[Any], axes: Sequence[set[int]], signal: Any) -> list[Any]:
    """Return MIL variables whose sizes in these axes cannot be known before the program runs.

    Nothing that is computed from the signal, a number or truth value, is added to a known size.
    """
    from coremltools.converters.mil.mil.types.symbolic import is_symbolic

    results = []
    for variable, unknown in zip(variables, axes, strict=True):
        result = variable
        fixed = [i in unknown and not is_symbolic(n) for i, n in enumerate(variable.shape)]
        if any(fixed):
            nothing = mb.mul(x=mb.cast(x=signal, dtype="int32"), y=[0])
            sizes = [n if known else 0 for n, known in zip(variable.shape, fixed, strict=True)]
            result = mb.slice_by_index(
                x=variable,
                begin=[0] * len(fixed),
                end=mb.add(x=sizes, y=nothing),
                end_mask=[not known for known in fixed],
            )
        _loosen(result, unknown)
        results.append(result)
    return results


def _varying(mb: Any, value: Any) -> Any:
    """Return a variable of this value that coremltools does not take for a constant of the loop."""
    variable = mb.identity(x=value)
    variable._sym_val = None
    if not value.rank:  # it has two types for a scalar
        variable._sym_type = value.dtype
    return variable


def _holds(mb: Any, condition: Any) -> Any:
    scalar = mb.squeeze(x=condition) if condition.rank else condition
    return mb.greater(x=mb.abs(x=scalar), y=CLOSE_TO_ZERO)


def zeros(mb: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of a shape."""
    return mb.fill(shape=list(shape), value=0.0) if shape else 0.0
