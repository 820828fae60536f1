"""Elementwise arithmetic of the first specification, over any number of inputs."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any

from migrate.registry import layer

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.registry import Step


@layer("add")
def add(p: Any) -> Step:
    """Add all inputs, or a scalar to a single one."""
    return lambda *xs: xs[0] + p.alpha if len(xs) == 1 else _fold(operator.add, xs)


@layer("multiply")
def multiply(p: Any) -> Step:
    """Multiply all inputs, or a single one by a scalar."""
    return lambda *xs: xs[0] * p.alpha if len(xs) == 1 else _fold(operator.mul, xs)


def _fold(operation: Any, xs: tuple[Tensor, ...]) -> Tensor:
    """AddLayerParams names a few broadcastable shapes; numpy's rule covers them."""
    return functools.reduce(operation, xs)
