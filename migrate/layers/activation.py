"""The activation layer and its 13 functions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate import registry, weights
from migrate.errors import ModelError
from migrate.helpers import helper, inlined
from migrate.registry import activation, layer

if TYPE_CHECKING:
    from migrate.registry import Step


@layer("activation")
def activation_layer(p: Any) -> Step:
    """Apply the function that the layer's own oneof names."""
    kind = p.WhichOneof("NonlinearityType")
    if kind is None:
        raise ModelError("NonlinearityType is not set")
    return registry.activations()[kind](getattr(p, kind))


@activation("linear")
def linear(p: Any) -> Step:
    """Compute alpha x + beta."""
    return partial(linear_function, alpha=p.alpha, beta=p.beta)


@inlined
def linear_function(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Compute alpha x + beta."""
    y = x if alpha == 1 else x * alpha
    return y if beta == 0 else y + beta


@activation("ReLU")
def relu(p: Any) -> Step:
    """Compute max(0, x)."""
    return F.relu


@activation("leakyReLU")
def leaky_relu(p: Any) -> Step:
    """Compute x where x >= 0, else alpha x."""
    return lambda x: F.leaky_relu(x, p.alpha)


@activation("thresholdedReLU")
def thresholded_relu(p: Any) -> Step:
    """Compute x where x >= alpha, else 0; torch's Threshold is strict, this is not."""
    return lambda x: torch.where(x >= p.alpha, x, torch.zeros_like(x))


@activation("tanh")
def tanh(p: Any) -> Step:
    """Compute tanh x."""
    return torch.tanh


@activation("scaledTanh")
def scaled_tanh(p: Any) -> Step:
    """Compute alpha tanh(beta x)."""
    return partial(scaled_tanh_function, alpha=p.alpha, beta=p.beta)


@inlined
def scaled_tanh_function(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Compute alpha tanh(beta x)."""
    return alpha * torch.tanh(beta * x)


@activation("sigmoid")
def sigmoid(p: Any) -> Step:
    """Compute 1 / (1 + exp(-x))."""
    return torch.sigmoid


@activation("sigmoidHard")
def sigmoid_hard(p: Any) -> Step:
    """Compute min(max(alpha x + beta, 0), 1)."""
    return partial(hard_sigmoid, alpha=p.alpha, beta=p.beta)


@inlined
def hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Compute alpha x + beta, limited to 0 and 1."""
    return (alpha * x + beta).clamp(0, 1)


@activation("ELU")
def elu(p: Any) -> Step:
    """Compute x where x >= 0, else alpha (exp(x) - 1)."""
    return lambda x: F.elu(x, p.alpha)


@activation("softsign")
def softsign(p: Any) -> Step:
    """Compute x / (1 + |x|)."""
    return F.softsign


@activation("softplus")
def softplus(p: Any) -> Step:
    """Compute log(1 + exp x)."""
    return softplus_function


@helper
def softplus_function(x: Tensor) -> Tensor:
    """Compute log(1 + exp x) at every x; F.softplus turns linear above its threshold of 20."""
    return F.relu(x) + torch.log1p(torch.exp(-x.abs()))


class PReLU(nn.Module):
    """x where x >= 0, else alpha x, with an alpha per channel (axis -3) or for all."""

    def __init__(self, alpha: Tensor) -> None:
        super().__init__()
        self.alpha = nn.Buffer(alpha)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rectified blob."""
        _require_channels(x, self.alpha)
        return F.relu(x) - self.alpha * F.relu(-x)


@activation("PReLU")
def prelu(p: Any) -> Step:
    """Rectify with a learned slope per channel."""
    return PReLU(per_channel(p.alpha, "alpha"))


class ParametricSoftplus(nn.Module):
    """alpha log(1 + exp(beta x)), with alpha and beta per channel (axis -3) or for all."""

    def __init__(self, alpha: Tensor, beta: Tensor) -> None:
        super().__init__()
        self.alpha = nn.Buffer(alpha)
        self.beta = nn.Buffer(beta)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated blob."""
        _require_channels(x, self.alpha, self.beta)
        return self.alpha * softplus_function(self.beta * x)


@activation("parametricSoftplus")
def parametric_softplus(p: Any) -> Step:
    """Compute softplus with learned scales per channel."""
    return ParametricSoftplus(per_channel(p.alpha, "alpha"), per_channel(p.beta, "beta"))


def _require_channels(x: Tensor, *parameters: Tensor) -> None:
    if x.ndim < max(p.ndim for p in parameters):
        raise ValueError("parameters per channel need a blob of rank 3 or more")


def per_channel(message: Any, field: str) -> Tensor:
    """Return a parameter of length C or 1 so that it broadcasts along axis -3."""
    size = weights.count(message)
    if not size:
        raise ModelError(f"{field} is empty, expected one value or one per channel")
    return torch.tensor(weights.array(message, (size, 1, 1) if size > 1 else (1,), field))


@layer("clampedReLU")
def clampedReLU(p: Any) -> Step:
    """Compute x where x >= 0, else alpha x, and at most beta."""
    return lambda x: torch.where(x >= 0, x, p.alpha * x).clamp(max=p.beta)
