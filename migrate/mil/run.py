"""Running a program: its operations in order, over a table of values.

Every result is brought to the type that the program declares for it, so float16 programs round
where they say they do; the arithmetic of one operation is float32. Widened, a program keeps float32
where it declares float16; its constants stay the float16 numbers that they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from migrate.allowance import of_numbers, of_tensor, refuse_crowd, refuse_outgrown
from migrate.errors import ModelError
from migrate.limits import largest
from migrate.mil.registry import ops

Values = dict[Any, Any]  # by coremltools' `Var`
FAILURES = (RuntimeError, IndexError, TypeError, ValueError, ArithmeticError, KeyError)


@dataclass(frozen=True)
class Arithmetic:
    """What type results are brought to, and the operations whose results became infinite by it."""

    widened: bool = False
    beyond_range: dict[str, None] = field(default_factory=dict)

    def rounded(self, value: Tensor, var: Any) -> Tensor:
        """Return a result as the program declares it, or in float32 in place of float16."""
        declared = torch_dtype(var)
        if declared != torch.float16:
            return value.to(declared)
        if self.widened:
            return value.float()
        result = value.half()
        if (result.isinf() & value.isfinite()).any():
            self.beyond_range[var.op.name] = None
        return result


def run_block(block: Any, values: Values, arithmetic: Arithmetic | None = None) -> list[Any]:
    """Run the operations of a block, as declared by default, and return its outputs.

    `values` holds its inputs, and grows.
    """
    arithmetic = arithmetic or Arithmetic()
    for operation in block.operations:
        if operation.op_type == "const":
            values[operation.outputs[0]] = constant(operation.outputs[0].val)
            continue
        results = _results(operation, values, arithmetic)
        for var, value in zip(operation.outputs, results, strict=True):
            values[var] = _declared(value, var, arithmetic)
    return [_looked_up(var, values) for var in block.outputs]


def _results(operation: Any, values: Values, arithmetic: Arithmetic) -> tuple[Any, ...]:
    entry = ops()[operation.op_type]
    arguments = _arguments(operation, values)
    try:
        if entry.nested:
            results = entry.compute(_runner(values, arithmetic), operation.blocks, **arguments)
        else:
            most = _growth(list(arguments.values()))
            refuse_crowd(arguments.values(), most, values.values())
            if most > largest():
                refuse_outgrown(lambda given: entry.compute(**given), arguments)
            results = entry.compute(**arguments)
    except FAILURES as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"operation {operation.name!r} ({operation.op_type}): {first}") from error
    return results if isinstance(results, tuple) else (results,)


def _growth(arguments: list[Any]) -> float:
    """Return more elements than an operation can make of these arguments."""
    found = 1.0
    for value in arguments:
        if isinstance(value, (list, tuple)):
            found *= _growth(list(value))
        elif isinstance(value, Tensor):
            found *= of_tensor(value)
        elif isinstance(value, (int, float)):
            found *= of_numbers([value])
    return found


def _runner(values: Values, arithmetic: Arithmetic) -> Any:
    def run(block: Any, *inputs: Any) -> tuple[Any, ...]:
        values.update(zip(block.inputs, inputs, strict=True))
        return tuple(run_block(block, values, arithmetic))

    return run


def _arguments(operation: Any, values: Values) -> dict[str, Any]:
    defaults = operation.default_inputs().items()
    given = {name: value for name, value in operation.inputs.items() if value is not None}
    return {name: _value(value, values) for name, value in {**dict(defaults), **given}.items()}


def _value(value: Any, values: Values) -> Any:
    """Return an argument: the value of a `Var`, those of several, or a default."""
    if isinstance(value, (list, tuple)) and any(map(_is_var, value)):
        return [_value(part, values) for part in value]
    found = _looked_up(value, values) if _is_var(value) else constant(value)
    return found.float() if isinstance(found, Tensor) and found.dtype == torch.float16 else found


def _looked_up(var: Any, values: Values) -> Any:
    if var not in values:
        raise ModelError(f"{var.name!r} is read before anything gives it a value")
    return values[var]


def _is_var(value: Any) -> bool:
    return hasattr(value, "sym_type")


def constant(value: Any) -> Any:
    """Return the value of a constant: a string, a Python value of rank 0, or else a tensor."""
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    array = np.asarray(value)
    if array.dtype.kind in "US":
        return array.item() if array.ndim == 0 else [str(text) for text in array]
    return array.item() if array.ndim == 0 else torch.from_numpy(np.array(array))


def _declared(value: Any, var: Any, arithmetic: Arithmetic) -> Any:
    """Return a result in its dtype; ModelError for another rank than the program declares."""
    if not isinstance(value, Tensor) or not hasattr(var, "dtype"):
        return value
    if value.ndim != var.rank:
        raise ModelError(f"{var.name!r} has rank {value.ndim}, declared is {var.rank}")
    return arithmetic.rounded(value, var)


def torch_dtype(var: Any) -> torch.dtype:
    """Return the torch dtype of a `Var`."""
    from coremltools.converters.mil.mil import types

    return torch.from_numpy(np.zeros(1, types.nptype_from_builtin(var.dtype))).dtype
