"""Elementwise arithmetic and reductions of the first specification."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from migrate import weights
from migrate.errors import ModelError
from migrate.layers import reductions
from migrate.lowering import lowers
from migrate.registry import layer
from migrate.shapes import CHANNEL, HEIGHT, WIDTH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from migrate.registry import Step

Choice = TypeVar("Choice")

DEFAULT_EPSILON = 1e-6  # UnaryFunctionLayerParams, ReduceLayerParams: if not set or 0
REDUCED_AXES = {
    "CHW": (CHANNEL, HEIGHT, WIDTH),
    "HW": (HEIGHT, WIDTH),
    "C": (CHANNEL,),
    "H": (HEIGHT,),
    "W": (WIDTH,),
}


def choose(p: Any, field: str, table: Mapping[str, Choice]) -> Choice:
    """Return the table's entry for the name of the enum value that `field` holds."""
    enum = p.DESCRIPTOR.fields_by_name[field].enum_type
    value = enum.values_by_number.get(getattr(p, field))
    if value is None:
        raise ModelError(f"{field} {getattr(p, field)} is not in {enum.name}")
    return table[value.name]


@layer("add")
def add(p: Any) -> Step:
    """Add all inputs, or a scalar to a single one."""
    return lambda *xs: xs[0] + p.alpha if len(xs) == 1 else _fold(operator.add, xs)


@layer("multiply")
def multiply(p: Any) -> Step:
    """Multiply all inputs, or a single one by a scalar."""
    return lambda *xs: xs[0] * p.alpha if len(xs) == 1 else _fold(operator.mul, xs)


@layer("average")
def average(p: Any) -> Step:
    """Average all inputs."""
    return lambda *xs: _fold(operator.add, xs) / len(xs)


@layer("max")
def maximum(p: Any) -> Step:
    """Take the greatest of all inputs."""
    return lambda *xs: _fold(torch.maximum, xs)


@layer("min")
def minimum(p: Any) -> Step:
    """Take the least of all inputs."""
    return lambda *xs: _fold(torch.minimum, xs)


def _fold(operation: Any, xs: tuple[Tensor, ...]) -> Tensor:
    """AddLayerParams names a few broadcastable shapes; numpy's rule covers them."""
    return functools.reduce(operation, xs)


@layer("unary")
def unary(p: Any) -> Step:
    """Apply a function to scale * x + shift."""
    epsilon, scale = p.epsilon or DEFAULT_EPSILON, p.scale or 1.0
    functions: dict[str, Step] = {
        "SQRT": torch.sqrt,
        "RSQRT": lambda x: torch.rsqrt(x + epsilon),
        "INVERSE": lambda x: torch.reciprocal(x + epsilon),
        "POWER": lambda x: torch.pow(x, p.alpha),
        "EXP": torch.exp,
        "LOG": _log(p.epsilon),
        "ABS": torch.abs,
        "THRESHOLD": lambda x: x.clamp(min=p.alpha),
    }
    function = choose(p, "type", functions)
    if scale == 1 and p.shift == 0:
        return function
    return lambda x: function(scale * x + p.shift)


def _log(epsilon: float) -> Step:
    """UnaryFunctionLayerParams has log x; coremltools writes log1p as a log with an epsilon of 1.

    For a plain logarithm it writes 1e-45, which vanishes beside every number but 0.
    """
    if epsilon < torch.finfo(torch.float32).tiny:
        return torch.log
    return lambda x: torch.log(x + epsilon)


# MIL adds an epsilon of its own to what these are of.


@lowers("reciprocal")
def _reciprocal_in_mil(mb: Any, x: Any) -> Any:
    return mb.real_div(x=1.0, y=x)


@lowers("rsqrt")
def _rsqrt_in_mil(mb: Any, x: Any) -> Any:
    return mb.real_div(x=1.0, y=mb.sqrt(x=x))


@lowers("log")
def log_in_mil(mb: Any, x: Any) -> Any:
    """Return the logarithm of floats, that of 0 being -inf."""
    from coremltools.converters.mil.mil import types

    return mb.log(x=x, epsilon=0.0) if types.is_float(x.dtype) else NotImplemented


class Scale(nn.Module):
    """x * scale, plus a bias if there is one, along the axes -3 to -1."""

    def __init__(self, scale: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.scale = nn.Buffer(scale)
        self.bias = None if bias is None else nn.Buffer(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled blob."""
        y = x * self.scale
        return y if self.bias is None else y + self.bias


@layer("scale")
def scale(p: Any) -> Step:
    """Multiply by stored values, and add others if hasBias is set."""
    bias = _along_axes(p.bias, "bias", p.shapeBias, "shapeBias") if p.hasBias else None
    return Scale(_along_axes(p.scale, "scale", p.shapeScale, "shapeScale"), bias)


class Bias(nn.Module):
    """x plus a bias along the axes -3 to -1."""

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Buffer(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return x + self.bias


@layer("bias")
def bias(p: Any) -> Step:
    """Add stored values."""
    return Bias(_along_axes(p.bias, "bias", p.shape, "shape"))


def _along_axes(message: Any, field: str, shape: Sequence[int], shape_field: str) -> Tensor:
    """Return values of shape [1], [C], [1, H, W] or [C, H, W] so that [C] means axis -3."""
    if len(shape) not in (1, 3):
        raise ModelError(f"{shape_field} must have 1 or 3 dimensions, found {list(shape)}")
    values = torch.tensor(weights.array(message, shape, field))
    return values.reshape(-1, 1, 1) if len(shape) == 1 and shape[0] > 1 else values


@layer("dot")
def dot(p: Any) -> Step:
    """Sum the products along the channels, of the directions alone if cosineSimilarity is set."""
    if p.cosineSimilarity:
        return lambda x, y: (_direction(x) * _direction(y)).sum(CHANNEL, keepdim=True)
    return lambda x, y: (x * y).sum(CHANNEL, keepdim=True)


def _direction(x: Tensor) -> Tensor:
    return x / reductions.l2(x, (CHANNEL,), True)


@layer("reduce")
def reduce(p: Any) -> Step:
    """Reduce C, H and W or some of them to dimensions of 1."""
    axes, epsilon = choose(p, "axis", REDUCED_AXES), p.epsilon or DEFAULT_EPSILON
    functions: dict[str, Step] = {
        "SUM": torch.sum,
        "AVG": torch.mean,
        "PROD": reductions.product,
        "LOGSUM": lambda x, axes, keep: torch.log(x + epsilon).sum(axes, keep),
        "SUMSQUARE": reductions.sum_square,
        "L1": reductions.l1,
        "L2": reductions.l2,
        "MAX": torch.amax,
        "MIN": torch.amin,
        "ARGMAX": lambda x, axes, keep: x.argmax(axes[0], keep).to(x.dtype),
    }
    if p.mode == p.ARGMAX and len(axes) > 1:
        raise ModelError("mode ARGMAX goes along one axis: C, H or W")
    function = choose(p, "mode", functions)
    return lambda x: function(x, axes, True)


class Constant(nn.Module):
    """Values that the model stores, as a blob."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Buffer(values)

    def forward(self) -> Tensor:
        """Return the values."""
        return self.values


@layer("loadConstant")
def loadConstant(p: Any) -> Step:
    """Give stored values of shape [C, H, W] as [1, 1, C, H, W]."""
    if len(p.shape) != 3:
        raise ModelError(f"shape must be [C, H, W], found {list(p.shape)}")
    return Constant(torch.tensor(weights.array(p.data, (1, 1, *p.shape), "data", 2)))
