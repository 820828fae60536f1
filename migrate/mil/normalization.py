"""Normalization."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from migrate.mil.activation import per_channel
from migrate.mil.registry import op
from migrate.mil.values import axes_of


@op("batch_norm")
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Any = 1e-5,
) -> Tensor:
    """Normalize each channel by the mean and variance given for it, then scale and shift it."""
    deviation = torch.sqrt(per_channel(variance, x) + float(epsilon))
    return _scaled((x - per_channel(mean, x)) / deviation, gamma, beta)


@op("instance_norm")
def instance_norm(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: Any = 1e-5
) -> Tensor:
    """Normalize each channel of each instance by its own mean and variance, scale and shift it."""
    return _scaled(_normalized(x, tuple(range(2, x.ndim)), float(epsilon)), gamma, beta)


@op("l2_norm")
def l2_norm(x: Tensor, epsilon: Any = 1e-6) -> Tensor:
    """Divide by the root of the sum of squares over the last three axes."""
    return x / torch.sqrt(x.square().sum((-3, -2, -1), keepdim=True) + float(epsilon))


@op("layer_norm")
def layer_norm(
    x: Tensor,
    axes: Any = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Any = 1e-5,
) -> Tensor:
    """Normalize over the axes, then scale and shift each of their elements."""
    dims = axes_of(axes, x.ndim)
    shape = [size if axis in dims else 1 for axis, size in enumerate(x.shape)]
    y = _normalized(x, dims, float(epsilon))
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


@op("local_response_norm")
def local_response_norm(
    x: Tensor, size: int, alpha: Any = 1e-4, beta: Any = 0.75, k: Any = 1.0
) -> Tensor:
    """Divide by a power of the mean square over neighbouring channels, those beyond being 0.

    Of an even number of neighbours the larger half comes before the channel, as in torch.
    """
    size = int(size)
    around = [0, 0] * (x.ndim - 2) + [size // 2, (size - 1) // 2]
    squares = F.pad(x.square(), around).unfold(1, size, 1).sum(-1)
    return x / (float(k) + float(alpha) / size * squares) ** float(beta)


def _normalized(x: Tensor, axes: tuple[int, ...], epsilon: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred / torch.sqrt(centred.square().mean(axes, keepdim=True) + epsilon)


def _scaled(y: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
    y = y if gamma is None else y * per_channel(gamma, y)
    return y if beta is None else y + per_channel(beta, y)
