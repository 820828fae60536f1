"""Variants of convolutions: the one behind a concatenation in two."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate import weights
from migrate.variation.choice import chosen
from migrate.variation.editing import (
    copied,
    forget_sizes,
    free_name,
    network_of,
    new_layer,
    prune,
    replace,
    store,
)
from migrate.variation.passages import kernels
from migrate.variation.registry import variant
from migrate.variation.relation import CHANNEL
from migrate.variation.variant import Draft, EditError, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.network import Layer
    from migrate.variation.original import Original


@variant("split")
def split(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether a convolution must read a concatenation: two read its inputs, and are joined."""
    pairs = {
        i: join
        for join in original.concatenations()
        for i in original.readers(original.network.layers[join].outputs[0])
        if _can_be_split(original.network.layers[i])
    }
    if not pairs:
        yield LeftOut("split", "no convolution reads a concatenation of channels")
    positions, others = chosen(original, "split", pairs, "convolutions behind a concatenation")
    yield from others
    for i in positions:
        layer, join = original.network.layers[i], original.network.layers[pairs[i]]
        how = "added up" if (layer.params.nGroups or 1) == 1 else "concatenated"
        yield Draft(
            layer.name,
            "Whether a convolution must read a concatenation: two convolutions in the place of "
            f"'{layer.name}' read the inputs of '{join.name}' in two halves, and what they give is "
            f"{how}.",
            partial(_split, original, i, pairs[i]),
            layers=(join.name, layer.name),
        )


def _can_be_split(layer: Layer) -> bool:
    p = layer.params
    return layer.kind == "convolution" and not p.isDeconvolution and bool(weights.count(p.weights))


def _split(original: Original, position: int, joined_at: int, spec: Any) -> None:
    layers = network_of(spec).layers
    old, join = copied(layers[position]), copied(layers[joined_at])
    blobs = list(join.input)
    halves = [blobs[: len(blobs) // 2], blobs[len(blobs) // 2 :]]
    first = sum(original.shapes[blob][CHANNEL] for blob in halves[0])
    made, outputs = [], []
    for number, (half, part) in enumerate(zip(halves, _parts(old, first), strict=True), 1):
        source = half[0]
        if len(half) > 1:
            source = free_name(spec, f"{join.name}_half{number}")
            made.append(copied(join))
            made[-1].name, made[-1].input[:], made[-1].output[:] = source, half, [source]
        part.name = free_name(spec, f"{old.name}_half{number}")
        part.input[:], part.output[:] = [source], [part.name]
        made.append(part)
        outputs.append(part.name)
    made.append(_reunited(old, join, outputs))
    replace(layers, position, made)
    forget_sizes(spec)
    prune(spec)


def _parts(layer: Any, first: int) -> tuple[Any, Any]:
    """Return two convolutions: of the first input channels, and of the rest."""
    p, parts = layer.convolution, (copied(layer), copied(layer))
    groups, each = int(p.nGroups or 1), int(p.kernelChannels)
    values = kernels(p)
    if groups == 1:
        for part, of_part in zip(parts, np.split(values, [first], 1), strict=True):
            store(part.convolution.weights, of_part)
            part.convolution.kernelChannels = of_part.shape[1]
        parts[1].convolution.hasBias = False
        parts[1].convolution.ClearField("bias")
        return parts
    if first % each:
        raise EditError(f"a group of convolution '{layer.name}' reads both halves")
    at = first // each * (int(p.outputChannels) // groups)
    counts = (first // each, groups - first // each)
    for part, of_part, count in zip(parts, np.split(values, [at]), counts, strict=True):
        store(part.convolution.weights, of_part)
        part.convolution.outputChannels, part.convolution.nGroups = len(of_part), count
    if p.hasBias:
        bias = weights.array(p.bias, (p.outputChannels,), "bias")
        for part, of_part in zip(parts, np.split(bias, [at]), strict=True):
            store(part.convolution.bias, of_part)
    return parts


def _reunited(old: Any, join: Any, outputs: list[str]) -> Any:
    """Return the layer that makes one of what the two convolutions give."""
    if (old.convolution.nGroups or 1) == 1:
        return new_layer("add", old.name, outputs, old.output)
    found = copied(join)
    found.name, found.input[:], found.output[:] = old.name, outputs, list(old.output)
    return found
