"""Counterfactual faults: what a layer's output would be if one thing went wrong.

A fault is written FAULT@LAYER and applied through the interpreter's `watch` seam. None of them is
a claim about Apple hardware; they are what simulated records and explanations are made from.
"""

from __future__ import annotations

from itertools import cycle, repeat
from typing import TYPE_CHECKING, Any

import torch

from migrate.errors import AnereportError
from migrate.layers.activation import per_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from migrate.module import Watch
    from migrate.network import Layer, Network

    Change = Callable[[Tensor], Tensor]


NEVER = repeat(False)


class FaultError(AnereportError):
    """A fault that does not exist, or that the layer named cannot have."""


def fault(network: Network, text: str) -> Watch:
    """Return the watch function that injects `text`, e.g. "bias-only@conv3"."""
    name, _, layer_name = text.partition("@")
    if name not in FAULTS or not layer_name:
        raise FaultError(
            f"no fault '{text}': write FAULT@LAYER with one of {', '.join(FAULTS)}, or none"
        )
    layer = _find(network, layer_name)
    change = FAULTS[name](layer)
    turns = {blob: _turns(network, layer, blob) for blob in layer.outputs}
    return lambda blob, value: change(value) if next(turns.get(blob, NEVER)) else value


def _turns(network: Network, layer: Layer, blob: str) -> Iterator[bool]:
    """Yield for every write of a blob, run after run, whether it is the layer's own.

    Where a branch or loop writes it, the number of writes is not known, and every one is meant.
    """
    if any(blob in outer.outputs for outer in network.layers if outer.blocks):
        return repeat(True)
    first = [False for feature in network.inputs if feature.name == blob]
    return cycle(first + [at is layer for at in network.layers if blob in at.outputs])


def _find(network: Network, name: str) -> Layer:
    for layer in network.all_layers():
        if layer.name == name:
            return layer
    names = [layer.name for layer in network.all_layers()]
    known = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    raise FaultError(f"the model has no layer '{name}'; it has {known}")


def bias_only(layer: Layer) -> Change:
    """Lose the data term: every position holds its channel's bias."""
    bias = _bias(layer)
    return lambda y: bias.to(y).reshape(_along_channels(layer, y)).expand_as(y).clone()


def no_bias(layer: Layer) -> Change:
    """Leave the bias out."""
    bias = _bias(layer)
    return lambda y: y - bias.to(y).reshape(_along_channels(layer, y))


def zeroed(layer: Layer) -> Change:
    """Never write the output: all zeros."""
    return torch.zeros_like


FAULTS: dict[str, Callable[[Layer], Change]] = {
    "bias-only": bias_only,
    "no-bias": no_bias,
    "zeroed": zeroed,
}


def _bias(layer: Layer) -> Tensor:
    params: Any = layer.params
    if layer.kind not in ("convolution", "innerProduct") or not params.hasBias:
        raise FaultError(f"layer '{layer.name}' ({layer.kind}) has no bias")
    return per_channel(params.bias, "bias").flatten()


def _along_channels(layer: Layer, y: Tensor) -> tuple[int, ...]:
    """Return the shape of a vector along axis -3; below rank 4 innerProduct's channels are last."""
    return (-1, 1, 1) if layer.kind == "convolution" or y.ndim > 3 else (-1,)
