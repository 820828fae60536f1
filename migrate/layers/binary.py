"""Comparison, logic and arithmetic of two inputs with numpy's broadcasting."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any

import torch

from migrate.lowering import lowers
from migrate.registry import layer

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.registry import Step

ARITHMETIC: dict[str, Step] = {
    "addBroadcastable": operator.add,
    "subtractBroadcastable": operator.sub,
    "multiplyBroadcastable": operator.mul,
    "divideBroadcastable": operator.truediv,
    "floorDivBroadcastable": torch.floor_divide,
    "modBroadcastable": torch.remainder,  # has the sign of the divisor
    "powBroadcastable": torch.pow,
    "minBroadcastable": torch.minimum,
    "maxBroadcastable": torch.maximum,
}

COMPARISONS: dict[str, Step] = {
    "equal": operator.eq,
    "notEqual": operator.ne,
    "lessThan": operator.lt,
    "lessEqual": operator.le,
    "greaterThan": operator.gt,
    "greaterEqual": operator.ge,
}

LOGIC: dict[str, Step] = {
    "logicalOr": torch.logical_or,
    "logicalXor": torch.logical_xor,
    "logicalNot": torch.logical_not,
    "logicalAnd": torch.logical_and,
}


def _arithmetic(function: Step, p: Any) -> Step:
    return function


def _comparison(compare: Step, p: Any) -> Step:
    """Compare two inputs, or one with alpha; true is 1 and false is 0."""

    def step(x: Tensor, y: Tensor | None = None) -> Tensor:
        return compare(x, p.alpha if y is None else y).to(x.dtype)

    return step


def _logic(function: Step, p: Any) -> Step:
    """Combine truth values; whatever is not 0 is true."""

    def step(x: Tensor, *others: Tensor) -> Tensor:
        return function(x, *others).to(x.dtype)

    return step


for _table, _build in ((ARITHMETIC, _arithmetic), (COMPARISONS, _comparison), (LOGIC, _logic)):
    for _field, _function in _table.items():
        layer(_field)(functools.partial(_build, _function))


@lowers("remainder")
def _remainder_in_mil(mb: Any, x: Any, y: Any) -> Any:
    """Return MIL's own remainder, where coremltools subtracts a product, which may be rounded."""
    return mb.mod(x=x, y=y) if x.dtype == y.dtype else NotImplemented
