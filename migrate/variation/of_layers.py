"""Variants of single layers: one left away, or an identity before or behind one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.variation.channels import Source, follow
from migrate.variation.choice import chosen
from migrate.variation.editing import (
    forget_sizes,
    free_name,
    identity,
    network_of,
    prune,
    read_instead,
    replace,
)
from migrate.variation.registry import variant
from migrate.variation.relation import ANOTHER, CHANNEL, Relation
from migrate.variation.variant import Draft, EditError, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.network import Layer
    from migrate.variation.original import Original

MOST_INPUTS = 4  # of a layer, that are tried in its place


@variant("without")
def without(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether a layer is needed for the bug: one of its inputs takes its place."""
    layers = original.network.layers
    possible = [i for i, layer in enumerate(layers) if _can_go(layer)]
    if not possible:
        reason = "no layer has an input that could take the place of its one output"
        yield LeftOut("without", reason)
    positions, others = chosen(original, "without", possible)
    yield from others
    for i in positions:
        layer = layers[i]
        blobs = _like_the_output(original, layer)
        for blob in blobs[:MOST_INPUTS]:
            keeping = f" keeping {blob}" if len(blobs) > 1 else ""
            yield Draft(
                f"{layer.name}{keeping}",
                f"Whether a layer is needed for the bug: layer '{layer.name}' ({layer.kind}) is "
                f"left away, and blob '{blob}' takes the place of '{layer.outputs[0]}'.",
                partial(_leave_away, original, i, blob),
                Relation(ANOTHER, f"without layer '{layer.name}'"),
                (layer.name,),
            )


def _like_the_output(original: Original, layer: Layer) -> list[str]:
    """Return the inputs that have the rank of the output; all if none has, or it is not known."""
    blobs = list(dict.fromkeys(layer.inputs))
    rank = len(original.shapes.get(layer.outputs[0], ()))
    return [blob for blob in blobs if len(original.shapes.get(blob, ())) == rank] or blobs


def _can_go(layer: Layer) -> bool:
    return len(layer.outputs) == 1 and bool(layer.inputs) and not layer.blocks


def _leave_away(original: Original, position: int, blob: str, spec: Any) -> None:
    layer, layers = original.network.layers[position], network_of(spec).layers
    target = layer.outputs[0]
    index = _standing_in(original, blob, target)
    if index is not None:
        follow(original, {position: Source(index)}).edit(spec)
    if blob == target:
        del layers[position]
    elif not original.once(layer):
        raise EditError(f"a blob of layer '{layer.name}' is written by another layer too")
    elif target in original.output_blobs.values():
        _write_output(original, layers, position, blob)
    else:
        del layers[position]
        read_instead(layers, target, blob)
    forget_sizes(spec)
    prune(spec)


def _standing_in(original: Original, blob: str, target: str) -> Any:
    """Return which channels of `target` those of `blob` stand for; None where they are as many."""
    shapes = [original.shapes.get(name, ()) for name in (blob, target)]
    if min(map(len, shapes)) < -CHANNEL or shapes[0][CHANNEL] == shapes[1][CHANNEL]:
        return None
    return np.arange(shapes[0][CHANNEL]) % shapes[1][CHANNEL]


def _write_output(original: Original, layers: Any, position: int, blob: str) -> None:
    """Let what wrote `blob` write the output instead; an identity does where it must stay."""
    name, target = layers[position].name, original.network.layers[position].outputs[0]
    writers = [i for i, o in enumerate(original.network.layers) if blob in o.outputs]
    if not writers or blob in original.output_blobs.values():
        replace(layers, position, [identity(name, blob, target)])
        return
    del layers[position]
    outputs = layers[writers[0]].output
    outputs[list(outputs).index(blob)] = target
    read_instead(layers, blob, target)


@variant("copied-before")
def copied_before(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on what a layer reads directly: identities before its inputs."""
    layers = original.network.layers
    possible = [i for i, layer in enumerate(layers) if _reads_shared(original, layer)]
    positions, others = chosen(original, "copied-before", possible)
    yield from others
    for i in positions:
        yield Draft(
            layers[i].name,
            "Whether the bug depends on what a layer reads directly: an identity stands before "
            f"each input of layer '{layers[i].name}' ({layers[i].kind}).",
            partial(_copy_before, i),
            layers=(layers[i].name,),
        )


def _reads_shared(original: Original, layer: Layer) -> bool:
    """Tell whether identities before a layer are not already behind the one layer that it reads."""
    if not layer.inputs or layer.blocks:
        return False
    written = {blob for other in original.network.layers for blob in other.outputs}
    return (
        len(layer.inputs) > 1
        or layer.inputs[0] not in written
        or len(original.readers(layer.inputs[0])) > 1
    )


def _copy_before(position: int, spec: Any) -> None:
    layers = network_of(spec).layers
    layer, copies = layers[position], {}
    for i, blob in enumerate(layer.input):
        if blob not in copies:
            name = free_name(spec, f"{layer.name}_input{i}")
            copies[blob] = identity(name, blob, name)
        layer.input[i] = copies[blob].name
    for offset, copy in enumerate(copies.values()):
        layers.insert(position + offset, copy)


@variant("copied-behind")
def copied_behind(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on what reads a layer directly: identities behind its outputs."""
    layers = original.network.layers
    possible = [i for i, layer in enumerate(layers) if layer.outputs and not layer.blocks]
    positions, others = chosen(original, "copied-behind", possible)
    yield from others
    for i in positions:
        yield Draft(
            layers[i].name,
            "Whether the bug depends on what reads a layer directly: an identity stands behind "
            f"each output of layer '{layers[i].name}' ({layers[i].kind}).",
            partial(_copy_behind, i),
            layers=(layers[i].name,),
        )


def _copy_behind(position: int, spec: Any) -> None:
    layers = network_of(spec).layers
    layer = layers[position]
    for i, blob in enumerate(list(layer.output)):
        name = free_name(spec, f"{layer.name}_output{i}")
        layer.output[i] = name
        layers.insert(position + 1, identity(name, name, blob))
