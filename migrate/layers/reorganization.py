"""Layers that move data without computing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from migrate.errors import ModelError
from migrate.registry import layer
from migrate.shapes import CHANNEL, SEQUENCE, rank5, same_rank

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.registry import Step


@layer("flatten")
def flatten(p: Any) -> Step:
    """Flatten [C, H, W] to [C * H * W, 1, 1], channels first or last."""
    if p.mode not in (0, 1):
        raise ModelError(f"mode {p.mode} is not a FlattenOrder")
    return _flatten_channel_last if p.mode == 1 else _flatten


def _flatten(x: Tensor) -> Tensor:
    return x.flatten(-3).unsqueeze(-1).unsqueeze(-1)


def _flatten_channel_last(x: Tensor) -> Tensor:
    return _flatten(x.movedim(-3, -1))


@layer("concat")
def concat(p: Any) -> Step:
    """Concatenate along channels, or along the sequence."""
    if p.sequenceConcat:
        return lambda *xs: torch.cat([rank5(x) for x in xs], SEQUENCE)
    return lambda *xs: torch.cat(same_rank(*xs), CHANNEL)
