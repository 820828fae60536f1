"""Random tensors: the distributions are Core ML's, the numbers are not, whatever the seed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from migrate.mil.registry import op
from migrate.mil.values import ints


def generator(seed: Any) -> torch.Generator:
    """Return a generator with a seed, or with any if that is negative."""
    made = torch.Generator()
    if int(seed) < 0:
        made.seed()
    else:
        made.manual_seed(int(seed))
    return made


@op("random_bernoulli")
def random_bernoulli(shape: Any, prob: float = 0.5, seed: Any = -1) -> Tensor:
    """Return ones with a probability, else zeros."""
    return (random_uniform(shape, seed=seed) < prob).float()


@op("random_normal")
def random_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, seed: Any = -1) -> Tensor:
    """Return numbers of a normal distribution."""
    drawn = torch.randn(ints(shape), generator=generator(seed), dtype=torch.float32)
    return mean + stddev * drawn


@op("random_uniform")
def random_uniform(shape: Any, low: float = 0.0, high: float = 1.0, seed: Any = -1) -> Tensor:
    """Return numbers from low up to, but without, high."""
    drawn = torch.rand(ints(shape), generator=generator(seed), dtype=torch.float64)
    value = (low + (high - low) * drawn).float()
    below = torch.nextafter(torch.tensor(high).float(), torch.tensor(low).float())
    return torch.minimum(value, below) if high > low else value


@op("random_categorical")
def random_categorical(x: Tensor, mode: str = "logits", size: Any = 1, seed: Any = -1) -> Tensor:
    """Return indices drawn with replacement, by the probabilities along the last axis."""
    if mode not in ("logits", "probs"):
        raise ValueError(f"mode {mode!r} is not known")
    weights = x.float() if mode == "probs" else torch.softmax(x.float(), -1)
    rows = weights.reshape(-1, x.shape[-1])
    drawn = torch.multinomial(rows, int(size), replacement=True, generator=generator(seed))
    return drawn.reshape(*x.shape[:-1], int(size)).float()
