"""Random values: the distributions are Core ML's, the stream they come from is torch's."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from migrate.errors import ModelError
from migrate.registry import layer
from migrate.shapes import affordable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migrate.registry import Step

    Draw = Callable[[Tensor], Tensor]

DEFAULT_EPSILON = 1e-10  # CategoricalDistributionLayerParams


def _normal(p: Any) -> Draw:
    if p.stdDev < 0:
        raise ModelError(f"stdDev {p.stdDev:g} is negative")
    return lambda like: torch.randn_like(like) * p.stdDev + p.mean


def _uniform(p: Any) -> Draw:
    if not p.minVal <= p.maxVal:
        raise ModelError(f"minVal {p.minVal:g} is greater than maxVal {p.maxVal:g}")
    return lambda like: torch.rand_like(like) * (p.maxVal - p.minVal) + p.minVal


def _bernoulli(p: Any) -> Draw:
    if not 0 <= p.prob <= 1:
        raise ModelError(f"prob {p.prob:g} is not between 0 and 1")
    return lambda like: (torch.rand_like(like) < p.prob).to(like.dtype)


class Random(nn.Module):
    """Random values in the shape of a tensor that `shape` makes of the inputs, of their dtype."""

    def __init__(self, draw: Draw, shape: Step, seed: int) -> None:
        super().__init__()
        self.draw, self.shape, self.seed = draw, shape, seed
        self.zero = nn.Buffer(torch.zeros(1), persistent=False)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return new values, the same on each call if there is a seed."""
        like = self.shape(*inputs or (self.zero,))
        with seeded(self.seed):
            return self.draw(like)


def _like(p: Any) -> Step:
    return lambda x: x


def _static(p: Any) -> Step:
    size = affordable(p.outputShape, "outputShape")
    if not size:
        raise ModelError("outputShape is empty")
    return lambda zero: zero.expand(size)


def _dynamic(p: Any) -> Step:
    return lambda size: size.new_zeros(1).expand(tuple(size.int().unbind()))


def _random(draw: Any, shape: Any, p: Any) -> Step:
    return Random(draw(p), shape(p), p.seed)


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

    def step(x: Tensor) -> Tensor:
        logits = x if p.isLogits else torch.log(x + epsilon)
        probabilities = torch.softmax(logits / temperature, -1)
        rows = probabilities.reshape(-1, x.shape[-1])
        with seeded(p.seed):
            drawn = torch.multinomial(rows, p.numSamples, replacement=True)
        return drawn.reshape((*x.shape[:-1], p.numSamples)).to(x.dtype)

    return step


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw from `seed` on, and then go on as before; a negative seed changes nothing."""
    if seed < 0:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
