"""A change of channels, followed through the network: permuted, padded with zeros, cut or repeated.

Each blob's change is an index: for every new channel the original one that it stands for, or ZERO
for one that nothing may depend on. A layer either absorbs it in its weights, hands it on, or
refuses, and then the edit cannot be made (EditError).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from migrate.variation.editing import declare, forget_sizes, network_of, parameters
from migrate.variation.passages import ZERO, passage
from migrate.variation.relation import CHANNEL, Rearrangement, blocks
from migrate.variation.variant import EditError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migrate.network import Layer
    from migrate.variation.original import Original
    from migrate.variation.passages import Change, Index


@dataclass(frozen=True)
class Followed:
    """A change of channels through the whole network: the edits, and what reaches the outputs."""

    changes: dict[int, list[Change]]  # by the position of the layer, in order
    outputs: dict[str, Index]  # by feature

    def edit(self, spec: Any) -> None:
        """Make the edits in a copy of the original's spec."""
        layers = network_of(spec).layers
        for position, changes in self.changes.items():
            for change in changes:
                change(parameters(layers[position]))
        forget_sizes(spec)


class Source(NamedTuple):
    """Where a change begins: at the output of a layer, by an edit of the layer if it needs one."""

    channels: Index
    change: Change | None = None


def follow(
    original: Original, sources: Mapping[int, Source], inputs: Mapping[str, Index] | None = None
) -> Followed:
    """Follow the changes that begin at these layers and inputs; EditError where one cannot be."""
    known: dict[str, Index] = dict(inputs or {})
    changes: dict[int, list[Change]] = defaultdict(list)
    for position, layer in enumerate(original.network.layers):
        if position in sources and not set(layer.inputs).isdisjoint(known):
            _take(changes[position], passage(original, layer, known).change)
        if position in sources:
            _take(changes[position], sources[position].change)
            index: Index | None = sources[position].channels
        elif set(layer.inputs).isdisjoint(known):
            continue
        else:
            index, change = passage(original, layer, known)
            _take(changes[position], change)
        if index is not None:
            if not original.once(layer):
                raise EditError(f"layer '{layer.name}' writes a blob that others write too")
            known.update(dict.fromkeys(layer.outputs, index))
    reached = {name: known[blob] for name, blob in original.output_blobs.items() if blob in known}
    return Followed({i: found for i, found in changes.items() if found}, reached)


def _take(changes: list[Change], change: Change | None) -> None:
    if change:
        changes.append(change)


def restoring(original: Original, outputs: Mapping[str, Index]) -> dict[str, Rearrangement]:
    """Return how outputs whose channels changed become the original's."""
    found = {}
    for name, index in outputs.items():
        axis, size = channel_axis(original, name), int(index.max()) + 1
        places = np.zeros(size, np.int64)
        places[index[index != ZERO]] = np.flatnonzero(index != ZERO)
        found[name] = Rearrangement(blocks=blocks(places), axis=axis)
    return found


def channel_axis(original: Original, name: str) -> int:
    """Return the axis of an array output that its channels lie along; EditError if it has none."""
    feature = next(f for f in original.network.outputs if f.name == name)
    value, blob = original.outputs[name], original.shapes[original.output_blobs[name]]
    if feature.kind != "multiArray":
        raise EditError(f"output '{name}' is no array, so its channels are fixed")
    if value.ndim >= -CHANNEL and value.shape[CHANNEL:] == blob[CHANNEL:]:
        return CHANNEL
    if value.ndim == 1 and value.shape[0] == blob[CHANNEL]:
        return -1
    raise EditError(f"the channels of output '{name}' are not an axis of it")


def declare_sizes(original: Original, spec: Any, outputs: Mapping[str, Index]) -> None:
    """Declare the outputs whose number of channels changed as they are computed now."""
    for feature in spec.description.output:
        index = outputs.get(feature.name)
        array = feature.type.multiArrayType
        if index is not None and (array.shape or array.WhichOneof("ShapeFlexibility")):
            shape = list(original.outputs[feature.name].shape)
            shape[channel_axis(original, feature.name)] = len(index)
            declare(feature, shape)


def channels_of(original: Original, layer: Layer) -> int:
    """Return how many channels the first output of a layer has; EditError if it has no such."""
    shape = original.shapes.get(layer.outputs[0], ())
    if len(shape) < -CHANNEL:
        raise EditError(f"the output of layer '{layer.name}' has no channels")
    return shape[CHANNEL]
