"""Variants that show what is inside: the network cut behind a layer, or one blob more given out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from migrate.variation.choice import chosen
from migrate.variation.editing import array_output, as_plain_network, network_of, prune
from migrate.variation.registry import variant
from migrate.variation.relation import ANOTHER, Relation
from migrate.variation.variant import Draft, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.network import Layer
    from migrate.variation.original import Original


@variant("cut")
def cut(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug is there already behind a layer: the network ends there."""
    layers = original.network.layers
    last = set(original.output_blobs.values()) if len(original.output_blobs) == 1 else set()
    possible = [
        i for i, o in enumerate(layers) if _shows(original, o) and not last.intersection(o.outputs)
    ]
    if not possible:
        yield LeftOut("cut", "no layer but the last gives a blob that nothing writes again")
    positions, others = chosen(original, "cut", possible)
    yield from others
    for i in positions:
        layer, blobs = layers[i], layers[i].outputs
        yield Draft(
            layer.name,
            "Whether the bug is there already behind a layer: the network ends behind layer "
            f"'{layer.name}' ({layer.kind}), and its output is {_quoted(blobs)}.",
            partial(_cut, original, i),
            Relation(ANOTHER, f"up to layer '{layer.name}'", shows=dict(zip(blobs, blobs))),  # noqa: B905
            (layer.name,),
        )


def _quoted(blobs: tuple[str, ...]) -> str:
    return f"blob{'s' if len(blobs) > 1 else ''} " + ", ".join(f"'{blob}'" for blob in blobs)


def _shows(original: Original, layer: Layer) -> bool:
    """Tell whether a layer's blobs can be outputs: known, written once, of some rank."""
    return bool(layer.outputs) and all(
        original.shapes.get(blob) and original.writes[blob] == 1 for blob in layer.outputs
    )


def _cut(original: Original, position: int, spec: Any) -> None:
    layer = original.network.layers[position]
    del network_of(spec).layers[position + 1 :]
    as_plain_network(spec)
    del spec.description.output[:]
    for blob in layer.outputs:
        array_output(spec, blob, original.declarable(blob))
    prune(spec)


@variant("tap")
def tap(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on what is fused: one blob more is an output, and must be kept."""
    layers, ends = original.network.layers, set(original.output_blobs.values())
    inner = [
        i for i, o in enumerate(layers) if _shows(original, o) and not ends.intersection(o.outputs)
    ]
    if not inner:
        yield LeftOut("tap", "no inner blob is written exactly once")
    positions, others = chosen(original, "tap", inner)
    yield from others
    for i in positions:
        layer, blob = layers[i], layers[i].outputs[0]
        yield Draft(
            layer.name,
            "Whether the bug is there already behind a layer, or goes once its blob must be kept: "
            f"blob '{blob}' of layer '{layer.name}' ({layer.kind}) is one more output.",
            partial(_tap, original, blob),
            Relation(shows={blob: blob}),
            (layer.name,),
        )


def _tap(original: Original, blob: str, spec: Any) -> None:
    array_output(spec, blob, original.declarable(blob))
