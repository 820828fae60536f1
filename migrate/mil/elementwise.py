"""Arithmetic, comparison and logic of two tensors, with numpy's broadcasting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from migrate.mil.registry import op
from migrate.mil.values import tensor

if TYPE_CHECKING:
    from collections.abc import Callable

# maximum and minimum return NaN where either tensor has it: MIL says nothing of it.
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "equal": torch.eq,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mul": torch.mul,
    "not_equal": torch.ne,
    "sub": torch.sub,
}


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Any], Tensor]:
    return lambda x, y: function(tensor(x), tensor(y))


for name, function in BINARY.items():
    op(name)(_binary(function))


@op("real_div")
def real_div(x: Any, y: Any) -> Tensor:
    """Return the quotient; that of integers is an integer too, so it is rounded towards zero."""
    x, y = _wide(x), _wide(y)
    whole = not (x.is_floating_point() or y.is_floating_point())
    return torch.div(x, y, rounding_mode="trunc" if whole else None)


@op("floor_div")
def floor_div(x: Any, y: Any) -> Tensor:
    """Return the quotient rounded towards negative infinity."""
    return torch.div(_wide(x), _wide(y), rounding_mode="floor")


@op("mod")
def mod(x: Any, y: Any) -> Tensor:
    """Return the remainder, which has the sign of the divisor."""
    return torch.remainder(_wide(x), _wide(y))


@op("pow")
def pow_(x: Any, y: Any) -> Tensor:
    """Return x to the power y; of integers, rounded towards zero."""
    return torch.pow(_wide(x), _wide(y))


def _wide(value: Any) -> Tensor:
    """Return integers as 64 bits, in which the quotient of any two of 32 bits has room."""
    found = tensor(value)
    return found if found.is_floating_point() else found.long()
