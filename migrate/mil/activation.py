"""Activations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from migrate.mil.registry import op
from migrate.mil.values import tensor

if TYPE_CHECKING:
    from collections.abc import Callable


def plain_softplus(x: Tensor) -> Tensor:
    """Compute log(1 + e^x), which torch's softplus gives up above a threshold."""
    return torch.logaddexp(x, torch.zeros_like(x))


PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda x: x.clamp(min=0),
    "relu6": lambda x: x.clamp(min=0, max=6),
    "sigmoid": torch.sigmoid,
    "silu": lambda x: x * torch.sigmoid(x),
    "softplus": plain_softplus,
    "softsign": lambda x: x / (1 + x.abs()),
}


def _plain(function: Callable[[Tensor], Tensor]) -> Callable[[Any], Tensor]:
    return lambda x: function(tensor(x))


for name, function in PLAIN.items():
    op(name)(_plain(function))


@op("gelu")
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """Compute x times the normal distribution's function, or an approximation to it."""
    if mode == "EXACT":
        return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
    if mode == "TANH_APPROXIMATION":
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    raise ValueError(f"mode {mode!r} is not known")


@op("softmax")
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Divide the exponentials by their sum along an axis."""
    return torch.softmax(x, int(axis))


@op("clamped_relu")
def clamped_relu(x: Tensor, alpha: Any, beta: Any) -> Tensor:
    """Scale what is below 0 by alpha, then let nothing be above beta."""
    return torch.minimum(leaky_relu(x, alpha), tensor(beta))


@op("elu")
def elu(x: Tensor, alpha: Any) -> Tensor:
    """Replace what is not above 0 by alpha * (e^x - 1)."""
    return torch.where(x > 0, x, alpha * torch.expm1(x))


@op("leaky_relu")
def leaky_relu(x: Tensor, alpha: Any) -> Tensor:
    """Scale what is below 0 by alpha."""
    return torch.where(x >= 0, x, alpha * x)


@op("linear_activation")
def linear_activation(x: Tensor, alpha: Any, beta: Any) -> Tensor:
    """Compute alpha * x + beta."""
    return alpha * x + beta


@op("prelu")
def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    """Scale what is not above 0 by the alpha of its channel."""
    return torch.where(x > 0, x, per_channel(alpha, x) * x)


@op("scaled_tanh")
def scaled_tanh(x: Tensor, alpha: Any, beta: Any) -> Tensor:
    """Compute alpha * tanh(beta * x)."""
    return alpha * torch.tanh(beta * x)


@op("sigmoid_hard")
def sigmoid_hard(x: Tensor, alpha: Any, beta: Any) -> Tensor:
    """Clip alpha * x + beta to [0, 1]."""
    return (alpha * x + beta).clamp(min=0, max=1)


@op("softplus_parametric")
def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Compute alpha * log(1 + e^(beta * x)) with the alpha and beta of each channel."""
    return per_channel(alpha, x) * plain_softplus(per_channel(beta, x) * x)


@op("thresholded_relu")
def thresholded_relu(x: Tensor, alpha: Any) -> Tensor:
    """Replace what is below alpha by 0."""
    return torch.where(x >= alpha, x, torch.zeros_like(x))


def per_channel(values: Tensor, x: Tensor) -> Tensor:
    """Return one value per channel so that it broadcasts over `x`, whose channels are axis 1."""
    return values.reshape(-1, *(1,) * (x.ndim - 2))
