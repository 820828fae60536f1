"""Smaller kernels of convolutions and poolings: the first rows or columns of the weights."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate import weights
from migrate.layers.padding import pair
from migrate.shrinking.knob import Knob, Reduction
from migrate.variation.editing import parameters, store
from migrate.variation.passages import kernels
from migrate.variation.variant import EditError

if TYPE_CHECKING:
    from migrate.network import Layer
    from migrate.variation.original import Original

AXES = {"kernel height": -2, "kernel width": -1}


def knobs(original: Original) -> list[Knob]:
    """Return a knob for each axis of a kernel that is longer than 1."""
    names = Counter(layer.name for layer in original.network.layers)
    return [
        Knob(kind, layer.name, size[axis])
        for layer in original.network.layers
        if names[layer.name] == 1 and (size := _size(layer))
        for kind, axis in AXES.items()
        if size[axis] > 1
    ]


def _size(layer: Layer) -> tuple[int, int] | None:
    """Return the height and width of a layer's kernel, if it has one that is stored."""
    p = layer.params
    stored = layer.kind == "convolution" and bool(weights.count(p.weights))
    if not stored and (layer.kind != "pooling" or p.globalPooling):
        return None
    height, width = pair(p.kernelSize, 3, "kernelSize")
    return int(height), int(width)


def edit(original: Original, reduction: Reduction, spec: Any) -> None:
    """Cut a kernel along an axis."""
    messages = getattr(spec, spec.WhichOneof("Type")).layers
    found = [m for m in messages if m.name == reduction.name]
    sizes = [_size(o) for o in original.network.layers if o.name == reduction.name]
    if len(found) != 1 or not sizes[0]:
        raise EditError(f"the network has no layer '{reduction.name}' with a kernel")
    size, axis = list(sizes[0]), AXES[reduction.kind]
    if not 0 < reduction.value <= size[axis]:
        raise EditError(f"the kernel of '{reduction.name}' has no {reduction.value} to keep")
    p = parameters(found[0])
    if found[0].WhichOneof("layer") == "convolution":
        store(p.weights, np.take(kernels(p), np.arange(reduction.value), axis))
    size[axis] = reduction.value
    p.kernelSize[:] = size
