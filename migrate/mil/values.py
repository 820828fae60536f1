"""Arguments of MIL operations as Python and torch want them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def ints(value: Any) -> list[int]:
    """Return a list of integers from a tensor, an array, a sequence or a single one."""
    if isinstance(value, Tensor):
        return [int(n) for n in value.flatten().tolist()]
    return [int(n) for n in np.asarray(value).ravel()]


def flags(value: Any) -> list[bool]:
    """Return a list of truth values from a tensor, an array, a sequence or a single one."""
    return [bool(n) for n in ints(value)]


def tensor(value: Any) -> Tensor:
    """Return a tensor of a tensor or a Python number; of a float, float32."""
    return value if isinstance(value, Tensor) else torch.as_tensor(value)


def axes_of(axes: Any, rank: int) -> tuple[int, ...]:
    """Return axes counted from the front; all of them for None."""
    return tuple(range(rank)) if axes is None else tuple(n % rank for n in ints(axes))
