"""Activations."""

from __future__ import annotations

import torch
from torch import Tensor

from migrate.mil.registry import op


@op("relu")
def relu(x: Tensor) -> Tensor:
    """Compute max(0, x)."""
    return torch.relu(x)


@op("cast")
def cast(x: Tensor, dtype: str) -> Tensor:
    """Return `x`; whoever runs the operation brings it to the declared type."""
    return x
