"""Elementwise functions of one input (spec version 4 and later)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from migrate.errors import ModelError
from migrate.layers.elementwise import choose, log_in_mil
from migrate.lowering import lowers
from migrate.registry import layer

if TYPE_CHECKING:
    from migrate.registry import Step

FUNCTIONS: dict[str, Step] = {
    "ceil": torch.ceil,
    "floor": torch.floor,
    "sign": torch.sign,
    "round": torch.round,  # halves to even
    "exp2": torch.exp2,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "asinh": torch.asinh,
    "acosh": torch.acosh,
    "atanh": torch.atanh,
    "erf": torch.erf,
}


def _plain(function: Step, p: Any) -> Step:
    return function


for _field, _function in FUNCTIONS.items():
    layer(_field)(functools.partial(_plain, _function))


@layer("clip")
def clip(p: Any) -> Step:
    """Limit to the range from minVal to maxVal."""
    if not p.minVal <= p.maxVal:
        raise ModelError(f"minVal {p.minVal:g} is greater than maxVal {p.maxVal:g}")
    return lambda x: x.clamp(p.minVal, p.maxVal)


@layer("gelu")
def gelu(p: Any) -> Step:
    """Compute x times the normal distribution function of x, exactly or approximately."""
    modes: dict[str, Step] = {
        "EXACT": F.gelu,
        "TANH_APPROXIMATION": functools.partial(F.gelu, approximate="tanh"),
        "SIGMOID_APPROXIMATION": _sigmoid_gelu,
    }
    return choose(p, "mode", modes)


def _sigmoid_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


@lowers("asinh")
def _asinh_in_mil(mb: Any, x: Any) -> Any:
    """Return log(a + sqrt(a * a + 1)) of the size a, without squares that overflow.

    Below 1, where the logarithm would lose digits, it is atanh(a / sqrt(a * a + 1)).
    """
    size = mb.abs(x=x)
    least, most = mb.minimum(x=size, y=1.0), mb.maximum(x=size, y=1.0)
    small = mb.atanh(x=mb.real_div(x=least, y=_root_in_mil(mb, least)))
    share = _root_in_mil(mb, mb.real_div(x=1.0, y=most))
    large = mb.add(x=log_in_mil(mb, most), y=log_in_mil(mb, mb.add(x=share, y=1.0)))
    return mb.mul(x=mb.sign(x=x), y=mb.select(cond=mb.less(x=size, y=1.0), a=small, b=large))


def _root_in_mil(mb: Any, x: Any) -> Any:
    return mb.sqrt(x=mb.add(x=mb.square(x=x), y=1.0))


@lowers("acosh")
def _acosh_in_mil(mb: Any, x: Any) -> Any:
    """Return 2 asinh(sqrt((x - 1) / 2))."""
    half = _asinh_in_mil(mb, mb.sqrt(x=mb.mul(x=mb.sub(x=x, y=1.0), y=0.5)))
    return mb.mul(x=half, y=2.0)


@lowers("clamp")
def _clamp_in_mil(mb: Any, x: Any, least: Any, most: Any) -> Any:
    """Limit on one side; for that coremltools has another limit, which infinities are beyond."""
    bound = most if least is None else least
    if None not in (least, most) or bound.dtype != x.dtype:
        return NotImplemented
    return mb.minimum(x=x, y=bound) if least is None else mb.maximum(x=x, y=bound)
