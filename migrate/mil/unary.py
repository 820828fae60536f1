"""Functions of each element, and casts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from migrate.mil.registry import op
from migrate.mil.values import tensor

if TYPE_CHECKING:
    from collections.abc import Callable

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "logical_not": torch.logical_not,
    "round": torch.round,  # halves to even, as MIL's 0.5 to 0
    "sign": torch.sign,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}

DTYPES = {
    "bool": torch.bool,
    "fp16": torch.float32,  # rounded by whoever runs it
    "fp32": torch.float32,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "uint8": torch.uint8,
    "uint16": torch.uint16,
}


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[[Any], Tensor]:
    return lambda x: function(tensor(x))


for name, function in UNARY.items():
    op(name)(_unary(function))


@op("threshold")
def threshold(x: Any, alpha: Any) -> Tensor:
    """Let nothing be below alpha."""
    return torch.maximum(tensor(x), tensor(alpha))


@op("clip")
def clip(x: Any, alpha: Any, beta: Any) -> Tensor:
    """Let nothing be below alpha, and nothing above beta."""
    return torch.minimum(torch.maximum(tensor(x), tensor(alpha)), tensor(beta))


@op("inverse")
def inverse(x: Any, epsilon: Any = 1e-4) -> Tensor:
    """Return 1 / (x + epsilon)."""
    return 1 / (tensor(x) + float(epsilon))


@op("log")
def log(x: Any, epsilon: Any = 1e-45) -> Tensor:
    """Return the natural logarithm of x + epsilon."""
    return torch.log(tensor(x) + float(epsilon))


@op("rsqrt")
def rsqrt(x: Any, epsilon: Any = 1e-12) -> Tensor:
    """Return 1 / sqrt(x + epsilon)."""
    return 1 / torch.sqrt(tensor(x) + float(epsilon))


@op("cast")
def cast(x: Any, dtype: str) -> Tensor:
    """Return `x` in another type: a float is truncated to an integer, and kept in its range.

    MIL is silent on floats outside of the range; ARM's processors give the nearest, and 0 of NaN.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is not known")
    x, target = tensor(x), DTYPES[dtype]
    if x.is_floating_point() and not target.is_floating_point and target != torch.bool:
        range_ = torch.iinfo(target)
        x = x.double().nan_to_num(nan=0.0).clamp(min=range_.min, max=range_.max)
    return x.to(target)
