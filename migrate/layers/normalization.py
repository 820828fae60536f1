"""Normalization along the channel axis, -3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from migrate import weights
from migrate.registry import layer
from migrate.shapes import CHANNEL

if TYPE_CHECKING:
    from migrate.registry import Step

SMALLEST_BATCHNORM_EPSILON = 1e-5  # BatchnormLayerParams: "Defaults to 1e-5 if not set or 0"


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
