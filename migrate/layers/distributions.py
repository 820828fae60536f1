"""Random values: the distributions are Core ML's, the stream they come from is torch's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.layers.allocation import computed
from migrate.lowering import lowers
from migrate.registry import layer
from migrate.shapes import affordable

if TYPE_CHECKING:
    from collections.abc import Callable

    from migrate.registry import Step

    Draw = Callable[[Tensor], Tensor]

DEFAULT_EPSILON = 1e-10  # CategoricalDistributionLayerParams


def _normal(p: Any) -> Draw:
    if p.stdDev < 0:
        raise ModelError(f"stdDev {p.stdDev:g} is negative")
    return lambda like: random_normal(like, p.mean, p.stdDev, p.seed)


def _uniform(p: Any) -> Draw:
    if not p.minVal <= p.maxVal:
        raise ModelError(f"minVal {p.minVal:g} is greater than maxVal {p.maxVal:g}")
    return lambda like: random_uniform(like, p.minVal, p.maxVal - p.minVal, p.seed)


def _bernoulli(p: Any) -> Draw:
    if not 0 <= p.prob <= 1:
        raise ModelError(f"prob {p.prob:g} is not between 0 and 1")
    return lambda like: random_bernoulli(like, p.prob, p.seed)


@helper
def random_normal(like: Tensor, mean: float, deviation: float, seed: int) -> Tensor:
    """Return normal values in the shape of a tensor; the same ones if the seed is not negative."""
    with torch.random.fork_rng(devices=[], enabled=seed >= 0):
        if seed >= 0:
            torch.manual_seed(seed)
        return torch.randn_like(like) * deviation + mean


@lowers(random_normal)
def _random_normal_in_mil(mb: Any, like: Any, mean: float, deviation: float, seed: int) -> Any:
    return mb.random_normal(shape=mb.shape(x=like), mean=mean, stddev=deviation, seed=seed)


@helper
def random_uniform(like: Tensor, low: float, width: float, seed: int) -> Tensor:
    """Return uniform values from `low` on, in the shape of a tensor.

    They are the same ones if the seed is not negative.
    """
    with torch.random.fork_rng(devices=[], enabled=seed >= 0):
        if seed >= 0:
            torch.manual_seed(seed)
        return torch.rand_like(like) * width + low


@lowers(random_uniform)
def _random_uniform_in_mil(mb: Any, like: Any, low: float, width: float, seed: int) -> Any:
    return mb.random_uniform(shape=mb.shape(x=like), low=low, high=low + width, seed=seed)


@helper
def random_bernoulli(like: Tensor, probability: float, seed: int) -> Tensor:
    """Return ones and zeros in the shape of a tensor; the same ones if the seed is not negative."""
    with torch.random.fork_rng(devices=[], enabled=seed >= 0):
        if seed >= 0:
            torch.manual_seed(seed)
        return (torch.rand_like(like) < probability).to(like.dtype)


@lowers(random_bernoulli)
def _random_bernoulli_in_mil(mb: Any, like: Any, probability: float, seed: int) -> Any:
    return mb.random_bernoulli(shape=mb.shape(x=like), prob=probability, seed=seed)


class Random(nn.Module):
    """Random values in the shape of a tensor that `shape` makes of the inputs, of their dtype."""

    def __init__(self, draw: Draw, shape: Step) -> None:
        super().__init__()
        self.draw, self.shape = draw, shape
        self.zero = nn.Buffer(torch.zeros(1), persistent=False)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return new values, the same on each call if there is a seed."""
        return self.draw(self.shape(*inputs or (self.zero,)))


def _like(p: Any) -> Step:
    return lambda x: x


def _static(p: Any) -> Step:
    size = affordable(p.outputShape, "outputShape")
    if not size:
        raise ModelError("outputShape is empty")
    return lambda zero: zero.expand(size)


def _dynamic(p: Any) -> Step:
    return lambda size: size.new_zeros(1).expand(computed(size))


def _random(draw: Any, shape: Any, p: Any) -> Step:
    return Random(draw(p), shape(p))


for _name, _draw in (("Normal", _normal), ("Uniform", _uniform), ("Bernoulli", _bernoulli)):
    for _form, _shape in (("Like", _like), ("Static", _static), ("Dynamic", _dynamic)):
        layer(f"random{_name}{_form}")(partial(_random, _draw, _shape))


@layer("categoricalDistribution")
def categoricalDistribution(p: Any) -> Step:
    """Draw indices along the last axis, by probabilities or by logits over the temperature."""
    epsilon, temperature = p.eps or DEFAULT_EPSILON, p.temperature or 1.0
    affordable([p.numSamples], "numSamples")
    if p.numSamples < 1:
        raise ModelError(f"numSamples {p.numSamples} is not positive")
    if min(epsilon, temperature) < 0:
        raise ModelError("eps and temperature must not be negative")

    return lambda x: categorical(x, p.numSamples, p.isLogits, epsilon, temperature, p.seed)


@helper
def categorical(
    x: Tensor, count: int, logits: bool, epsilon: float, temperature: float, seed: int
) -> Tensor:
    """Draw indices along the last axis by their probabilities, or by logits."""
    weights = torch.softmax((x if logits else torch.log(x + epsilon)) / temperature, -1)
    with torch.random.fork_rng(devices=[], enabled=seed >= 0):
        if seed >= 0:
            torch.manual_seed(seed)
        drawn = torch.multinomial(weights.reshape(-1, x.shape[-1]), count, replacement=True)
    return drawn.reshape((*x.shape[:-1], count)).to(x.dtype)


@lowers(categorical)
def _categorical_in_mil(
    mb: Any, x: Any, count: int, logits: bool, epsilon: float, temperature: float, seed: int
) -> Any:
    x = x if logits else mb.log(x=x, epsilon=epsilon)
    x = mb.real_div(x=x, y=temperature)
    return mb.random_categorical(x=x, mode="logits", size=count, seed=seed)
