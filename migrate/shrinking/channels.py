"""Channels that must change together: those of an input, of layers, and of a concatenation.

The parts of a network's channels begin at inputs and at convolutions of one group; an addition
makes two parts one. The parts that a concatenation joins have a knob together, which keeps their
proportions, and each its own, to be tried later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate import weights
from migrate.shrinking.knob import Knob, Reduction
from migrate.variation.channels import Source, follow
from migrate.variation.editing import declare
from migrate.variation.original import joins_channels
from migrate.variation.passages import TOGETHER, rows
from migrate.variation.relation import CHANNEL
from migrate.variation.variant import EditError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migrate.network import Layer
    from migrate.variation.original import Original

KIND = "channels"
Parts = tuple[str, ...]  # the blobs that a blob's channels come from, in order; "" is one unknown


@dataclass
class Groups:
    """The parts of a network's channels; each goes by the first blob that has it."""

    sizes: dict[str, int] = field(default_factory=dict)  # channels, by part
    steps: dict[str, int] = field(default_factory=dict)  # what they must be a multiple of
    joins: dict[str, Parts] = field(default_factory=dict)  # parts of each concatenation's blob
    same: dict[str, str] = field(default_factory=dict)  # a part that is one with another

    def root(self, part: str) -> str:
        """Return the part that stands for all that are one with it."""
        while part in self.same:
            part = self.same[part]
        return part

    def members(self, root: str) -> list[str]:
        """Return the parts that are one."""
        return [part for part in self.sizes if self.root(part) == root]

    def step(self, root: str) -> int:
        """Return what a part's channels must be a multiple of."""
        return math.lcm(*(self.steps.get(part, 1) for part in self.members(root)))

    def joined(self, blob: str) -> tuple[Parts, int]:
        """Return the distinct parts of a concatenation, and how many channels are of none."""
        parts = tuple(self.root(part) for part in self.joins[blob] if part)
        return parts, sum(self.sizes[part] for part in parts)


def groups(original: Original) -> Groups:
    """Return the parts of a network's channels."""
    found, known = Groups(), dict[str, Parts]()
    for feature in original.network.inputs:
        shape = original.shapes.get(feature.name, feature.shape)
        plain = feature.kind == "multiArray" and not feature.flexible
        if plain and len(feature.shape) >= -CHANNEL and len(shape) >= -CHANNEL:
            found.sizes[feature.name] = feature.shape[CHANNEL]
            known[feature.name] = (feature.name,)
    for layer in original.network.layers:
        parts = _parts(original, layer, known, found)
        known.update(dict.fromkeys(layer.outputs, parts))
    return found


def _parts(original: Original, layer: Layer, known: dict[str, Parts], found: Groups) -> Parts:
    given = [known.get(blob, ("",)) for blob in layer.inputs]
    if joins_channels(original, layer):
        found.joins[layer.outputs[0]] = tuple(part for parts in given for part in parts)
        return found.joins[layer.outputs[0]]
    if layer.kind == "convolution" and (layer.params.nGroups or 1) == 1:
        return _begun(original, layer, found)
    if layer.kind in TOGETHER and len(given) > 1:
        return _together(given, found)
    if layer.kind == "convolution":
        for part in given[0]:
            each = int(layer.params.kernelChannels)
            found.steps[part] = math.lcm(found.steps.get(part, 1), each)
    return given[0] if len(given) == 1 else ("",)


def _begun(original: Original, layer: Layer, found: Groups) -> Parts:
    if not weights.count(layer.params.weights) or not original.once(layer):
        return ("",)
    blob = layer.outputs[0]
    found.sizes[blob] = int(layer.params.outputChannels)
    return (blob,)


def _together(given: list[Parts], found: Groups) -> Parts:
    """Make the parts one that an addition, or the like, takes together."""
    first, *others = given
    for parts in others:
        for one, other in zip(first, parts, strict=False):
            a, b = found.root(one), found.root(other)
            if one and other and a != b and found.sizes[a] == found.sizes[b]:
                found.same[b] = a
    return first


def knobs(original: Original) -> tuple[list[Knob], list[str]]:
    """Return the knobs of a network's channels, and why others are none."""
    found = groups(original)
    roots = [part for part in found.sizes if found.root(part) == part]
    sums = []
    for blob in found.joins:
        parts, total = found.joined(blob)
        if 1 < len(parts) == len(set(parts)):
            step = math.lcm(*(found.step(part) for part in parts))
            rest = original.shapes[blob][CHANNEL] - total
            least = rest + sum(found.step(part) for part in parts)
            sums.append((Knob(KIND, blob, rest + total, least, step), set(parts)))
    offered = []
    for knob, own in sums:
        behind = tuple(other.key for other, parts in sums if own < parts)
        offered.append(Knob(KIND, knob.name, knob.value, knob.least, knob.step, behind))
    for part in roots:
        step = found.step(part)
        behind = tuple(knob.key for knob, parts in sums if part in parts)
        offered.append(Knob(KIND, part, found.sizes[part], step, step, behind))
    return _followed(original, [k for k in offered if k.value > k.least])


def _followed(original: Original, offered: list[Knob]) -> tuple[list[Knob], list[str]]:
    """Return the knobs whose change can be followed, and why others cannot."""
    kept, why = [], []
    for knob in offered:
        try:
            edit(original, knob.at(knob.least), None)
        except EditError as error:
            why.append(f"the channels of '{knob.name}' stay: {error}")
        else:
            kept.append(knob)
    return kept, why


def edit(original: Original, reduction: Reduction, spec: Any) -> None:
    """Cut channels in a spec, if one is given; EditError where that cannot be followed."""
    found, name, value = groups(original), reduction.name, reduction.value
    if name in found.joins:
        parts, total = found.joined(name)
        wanted = _shared(found, parts, total, value - original.shapes[name][CHANNEL] + total)
    elif name in found.sizes:
        wanted = {found.root(name): value}
    else:
        raise EditError(f"the network has no channels of '{name}'")
    sizes = {member: n for root, n in wanted.items() for member in found.members(root)}
    for part, size in sizes.items():
        if not 0 < size <= found.sizes[part] or size % found.step(found.root(part)):
            raise EditError(f"'{part}' has {found.sizes[part]} channels, which cannot be {size}")
    _cut(original, sizes, spec)


def _shared(found: Groups, parts: Parts, total: int, wanted: int) -> dict[str, int]:
    """Return the channels of each part so that they are `wanted` together, in proportion."""
    steps = {part: found.step(part) for part in parts}
    exact = {part: found.sizes[part] * wanted / total for part in parts}
    shares = {
        part: max(int(n) // steps[part] * steps[part], steps[part]) for part, n in exact.items()
    }
    while sum(shares.values()) != wanted:
        missing = wanted - sum(shares.values())
        sign = 1 if missing > 0 else -1
        able = [p for p in parts if steps[p] <= abs(missing) and shares[p] + sign * steps[p] > 0]
        if not able:
            raise EditError(f"{wanted} channels cannot be shared out in whole groups")
        part = max(able, key=lambda p: sign * (exact[p] - shares[p]) / steps[p])
        shares[part] += sign * steps[part]
    return shares


def _cut(original: Original, sizes: Mapping[str, int], spec: Any) -> None:
    given = {f.name for f in original.network.inputs}
    index = {part: np.arange(size) for part, size in sizes.items()}
    sources = {
        i: Source(index[layer.outputs[0]], partial(rows, index=index[layer.outputs[0]]))
        for i, layer in enumerate(original.network.layers)
        if layer.outputs and layer.outputs[0] in sizes
    }
    followed = follow(original, sources, {part: i for part, i in index.items() if part in given})
    if spec is None:
        return
    followed.edit(spec)
    for feature in spec.description.input:
        if feature.name in sizes:
            shape = list(feature.type.multiArrayType.shape)
            shape[CHANNEL] = sizes[feature.name]
            declare(feature, shape)
