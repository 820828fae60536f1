"""Arithmetic, comparison and logic of two tensors, with numpy's broadcasting."""

from __future__ import annotations

import torch
from torch import Tensor

from migrate.mil.registry import op
from migrate.mil.values import tensor


@op("add")
def add(x: Tensor, y: Tensor) -> Tensor:
    """Return the sum."""
    return tensor(x) + tensor(y)


@op("mul")
def mul(x: Tensor, y: Tensor) -> Tensor:
    """Return the product."""
    return tensor(x) * tensor(y)
