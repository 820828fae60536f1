"""Normalization: by statistics of channels, of [H, W], of [C, H, W] or of the last axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate import weights
from migrate.errors import ModelError
from migrate.layers.convolution import parameter
from migrate.registry import layer
from migrate.shapes import CHANNEL, affordable

if TYPE_CHECKING:
    from migrate.registry import Step

SMALLEST_BATCHNORM_EPSILON = 1e-5  # BatchnormLayerParams: "Defaults to 1e-5 if not set or 0"
DEFAULT_EPSILON = 1e-6  # of MeanVarianceNormalizeLayerParams and L2NormalizeLayerParams


@layer("batchnorm", spatial=True)
def batchnorm(p: Any) -> Step:
    """Normalize each channel by stored statistics, or by those of the instance or the batch."""
    size = (int(p.channels),)
    gamma = weights.array(p.gamma, size, "gamma")
    beta = weights.array(p.beta, size, "beta")
    epsilon = p.epsilon or SMALLEST_BATCHNORM_EPSILON
    if p.computeMeanVar:
        axes = (-2, -1) if p.instanceNormalization else (0, -2, -1)
        return ComputedNorm(torch.tensor(gamma), torch.tensor(beta), epsilon, axes)
    norm = nn.BatchNorm2d(size[0], epsilon, device="meta")
    norm.weight = nn.Parameter(torch.tensor(gamma), requires_grad=False)
    norm.bias = nn.Parameter(torch.tensor(beta), requires_grad=False)
    norm.running_mean = torch.tensor(weights.array(p.mean, size, "mean"))
    norm.running_var = torch.tensor(weights.array(p.variance, size, "variance"))
    norm.num_batches_tracked = None
    return norm.eval()


class ComputedNorm(nn.Module):
    """Batch or instance normalization with the input's own mean and variance."""

    def __init__(self, gamma: Tensor, beta: Tensor, epsilon: float, axes: tuple[int, ...]) -> None:
        super().__init__()
        self.gamma = nn.Buffer(gamma.reshape(-1, 1, 1))
        self.beta = nn.Buffer(beta.reshape(-1, 1, 1))
        self.epsilon, self.axes = epsilon, axes

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized blob; the variance is that of the population."""
        centred = x - x.mean(self.axes, keepdim=True)
        variance = (centred * centred).mean(self.axes, keepdim=True)
        return self.gamma * (centred / torch.sqrt(variance + self.epsilon)) + self.beta


@layer("softmax")
def softmax(p: Any) -> Step:
    """Normalize exponentials along the channel axis."""
    return lambda x: torch.softmax(x, CHANNEL)


@layer("mvn")
def mvn(p: Any) -> Step:
    """Subtract the mean of [H, W], or of [C, H, W], and divide by the deviation if asked to."""
    axes = (-3, -2, -1) if p.acrossChannels else (-2, -1)
    epsilon = p.epsilon or DEFAULT_EPSILON

    def step(x: Tensor) -> Tensor:
        centred = x - x.mean(axes, keepdim=True)
        if not p.normalizeVariance:
            return centred
        variance = (centred * centred).mean(axes, keepdim=True)
        return centred / torch.sqrt(variance + epsilon)

    return step


@layer("l2normalize")
def l2normalize(p: Any) -> Step:
    """Divide by the root of the sum of squares of [C, H, W]."""
    epsilon = p.epsilon or DEFAULT_EPSILON
    return lambda x: x / torch.sqrt((x * x).sum((-3, -2, -1), keepdim=True) + epsilon)


@layer("lrn", spatial=True)
def lrn(p: Any) -> Step:
    """Divide by a power of the mean square over neighbouring channels."""
    if p.localSize == 0 or p.k < 0:
        raise ModelError(f"localSize and k must be positive, found {p.localSize} and {p.k:g}")
    affordable([p.localSize], "localSize")
    return lambda x: F.local_response_norm(x, int(p.localSize), p.alpha, p.beta, p.k or 1.0)


@layer("layerNormalization")
def layerNormalization(p: Any) -> Step:
    """Normalize over the last axes, of the shape given, then scale and shift each element."""
    shape = [int(n) for n in p.normalizedShape]
    if not shape or min(shape) < 1:
        raise ModelError(f"normalizedShape must be positive numbers, found {shape}")
    norm = nn.LayerNorm(shape, p.eps, device="meta")
    norm.weight = parameter(weights.array(p.gamma, shape, "gamma"))
    norm.bias = parameter(weights.array(p.beta, shape, "beta"))
    return norm
