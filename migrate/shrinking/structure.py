"""Layers left away, all in one edit: the shapes of the blobs that stay are as they were.

start N     only the last N layers of the model
end N       only the first N
given L     a layer at the beginning goes, and what it gave is an input
cut L       a layer at the end goes, and what it read is an output
bypass L    a layer goes, and an input of its output's shape is read in its place
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migrate.shrinking.knob import Key, Knob
from migrate.variation.editing import (
    array_output,
    as_plain_network,
    forget_sizes,
    network_of,
    prune,
    read_instead,
)
from migrate.variation.variant import EditError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from migrate.network import Layer
    from migrate.variation.original import Original

ENDS = ("start", "end")
SINGLE = ("given", "cut", "bypass")
GONE = 0  # the value of a knob of SINGLE; 1 is a layer that is there


@dataclass(frozen=True)
class _Kept:
    """What is left of a network: layers by position, and blobs that are read in others' place."""

    positions: tuple[int, ...]
    instead: Mapping[str, str]
    ended: tuple[str, ...]  # blobs that only layers behind the end read


def knobs(model: Original, reduced: Original, values: Mapping[Key, int]) -> list[Knob]:
    """Return the knobs of a network, of which `model` is the whole and `values` were set."""
    count = len(model.network.layers)
    first, last = _bounds(count, values)
    found = []
    if last - first > 1:
        found = [
            Knob("start", "", count - first, count - last + 1),
            Knob("end", "", last, first + 1),
        ]
    behind = tuple(knob.key for knob in found)
    names = Counter(layer.name for layer in model.network.layers)
    ends = (model.network.layers[first].name, model.network.layers[last - 1].name)
    for layer in reduced.network.layers:
        kind = _kind(reduced, layer)
        at_end = (kind, layer.name) in (("given", ends[0]), ("cut", ends[1]))
        if kind and names[layer.name] == 1 and not at_end:  # start and end do those
            found.append(Knob(kind, layer.name, 1, GONE, behind=behind))
    return found


def _kind(reduced: Original, layer: Layer) -> str:
    """Return how a layer can be left away, alone; nothing if it cannot."""
    if not layer.inputs or not layer.outputs or layer.blocks or not reduced.once(layer):
        return ""
    given = {feature.name for feature in reduced.network.inputs}
    is_output = not set(reduced.output_blobs.values()).isdisjoint(layer.outputs)
    if given.issuperset(layer.inputs):
        return "" if is_output else "given"
    if is_output:
        return "" if any(reduced.readers(blob) for blob in layer.outputs) else "cut"
    return "bypass" if _stand_in(reduced, layer) else ""


def _stand_in(original: Original, layer: Layer) -> str:
    """Return the input of a layer that has the shape of its one output."""
    if len(layer.outputs) != 1:
        return ""
    shape = original.shapes[layer.outputs[0]]
    return next((blob for blob in layer.inputs if original.shapes.get(blob) == shape), "")


def edit(model: Original, values: Mapping[Key, int], spec: Any) -> None:
    """Leave away the layers that `values` say; EditError where that cannot be."""
    kept = _kept(model, values)
    layers = [model.network.layers[i] for i in kept.positions]
    written = {blob for layer in layers for blob in layer.outputs}
    present = {feature.name for feature in model.network.inputs}
    read = dict.fromkeys(kept.instead.get(b, b) for layer in layers for b in layer.inputs)
    _make_outputs(model, spec, written, [b for b in kept.ended if b in written])
    for blob in read:
        if blob not in written and blob not in present:
            _input(model, spec, blob)
    messages = network_of(spec).layers
    for position in reversed(range(len(messages))):
        if position not in kept.positions:
            del messages[position]
    for blob, other in kept.instead.items():
        read_instead(messages, blob, other)
    forget_sizes(spec)
    prune(spec)


def remaining(model: Original, values: Mapping[Key, int]) -> tuple[set[str], set[str]]:
    """Return the names of the layers that an output needs once `edit` is made, and their blobs."""
    kept = _kept(model, values)
    needed = {*model.output_blobs.values(), *kept.ended}
    names = set()
    for position in reversed(kept.positions):
        layer = model.network.layers[position]
        if not needed.isdisjoint(layer.outputs):
            names.add(layer.name)
            needed.update(kept.instead.get(blob, blob) for blob in layer.inputs)
    return names, needed


def _bounds(count: int, values: Mapping[Key, int]) -> tuple[int, int]:
    first, last = count - values.get(("start", ""), count), values.get(("end", ""), count)
    if not 0 <= first < last <= count:
        raise EditError(f"of {count} layers there are none from {first} to {last}")
    return first, last


def _kept(model: Original, values: Mapping[Key, int]) -> _Kept:
    layers = model.network.layers
    first, last = _bounds(len(layers), values)
    kept, instead = list(range(first, last)), dict[str, str]()
    ended = {b for layer in layers[last:] for b in layer.inputs}
    for position in list(kept):
        layer = layers[position]
        for kind in SINGLE:
            if (kind, layer.name) not in values:
                continue
            kept.remove(position)
            if kind == "cut":
                ended.update(layer.inputs)
            if kind == "bypass":
                blob = _stand_in(model, layer)
                instead[layer.outputs[0]] = instead.get(blob, blob)
    order = (b for layer in layers for b in layer.outputs if b in ended)
    return _Kept(tuple(kept), instead, tuple(dict.fromkeys(order)))


def _make_outputs(model: Original, spec: Any, written: set[str], ended: list[str]) -> None:
    """Keep the outputs that are still written, and add the blobs that ended."""
    blobs = model.output_blobs
    gone = [name for name, blob in blobs.items() if blob not in written]
    if not gone:
        return
    as_plain_network(spec)
    outputs = spec.description.output
    for position in reversed(range(len(outputs))):
        if outputs[position].name in gone or outputs[position].name not in blobs:
            del outputs[position]
    for blob in ended:
        if blob not in {feature.name for feature in outputs}:
            array_output(spec, blob, model.declarable(_once(model, blob)))
    if not outputs:
        raise EditError("nothing is left that could be an output")


def _input(model: Original, spec: Any, blob: str) -> None:
    shape = model.declarable(_once(model, blob))
    if not shape:
        raise EditError(f"blob '{blob}' has no shape that an input can be declared with")
    array = spec.description.input.add(name=blob).type.multiArrayType
    array.dataType = array.FLOAT32
    array.shape.extend(shape)


def _once(model: Original, blob: str) -> str:
    if model.writes[blob] != 1 or blob not in model.shapes:
        raise EditError(f"blob '{blob}' is written more than once, or in a branch")
    return blob


def order(model: Original) -> Iterator[Key]:
    """Yield the keys in the order in which they are kept."""
    yield from ((kind, "") for kind in ENDS)
    yield from ((kind, layer.name) for layer in model.network.layers for kind in SINGLE)
