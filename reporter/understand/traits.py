"""What failing variants have in common and right ones lack: traits of networks, and rules of them.

A trait is a sentence's middle ("a concatenation is read by a depthwise convolution") with an
amount: the most channels that are read so, or 1 where there is nothing to count; 0 is none.
A rule separates every failing network from every right one. It is no cause: "as far as the
variants tell".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from migrate import Layer, Network

    Shapes = Mapping[str, tuple[int, ...]]
    Traits = Mapping[str, int]

CONCATENATIONS = ("concat", "concatND")
CHANNEL = -3


@dataclass(frozen=True)
class Rule:
    """A trait, or two, that every failing network has and no right one, or not as much of it.

    `absent` is the other way round: no failing network has it, and every right one does.
    """

    traits: tuple[str, ...]
    least: int = 1  # amount of the first trait in a failing network
    most: int = 0  # amount of it in a right one
    greatest: int = 1  # amount of it in a failing network
    absent: bool = False

    def __str__(self) -> str:
        middle = " and ".join(self.traits)
        if self.absent:
            return f"fails wherever it is not so that {middle}; right where it is"
        if self.most:
            return (
                f"fails wherever {middle} with {self.least:,} channels or more; "
                f"right with {self.most:,} or fewer"
            )
        if self.greatest == 1:
            return f"fails wherever {middle}; right where not"
        some = f"{self.least:,}"
        some += f" to {self.greatest:,}" if self.greatest > self.least else ""
        return (
            f"fails wherever {middle} (there with {some} channels; fewer were not tried); "
            "right where not"
        )


def traits(network: Network, shapes: Shapes) -> dict[str, int]:
    """Return the traits of a network whose blobs have these shapes."""
    found: dict[str, int] = {}

    def note(trait: str, amount: int) -> None:
        found[trait] = max(found.get(trait, 0), amount)

    writers: dict[str, Layer] = {}
    for layer in network.layers:
        for blob in layer.inputs:
            note(f"there is {_article(_name(layer, shapes))}", _channels(shapes.get(blob, ())))
            if blob in writers:
                pair = (_article(_name(o, shapes)) for o in (writers[blob], layer))
                note(" is read by ".join(pair), _channels(shapes.get(blob, ())))
        writers.update(dict.fromkeys(layer.outputs, layer))
    for what, features in (("input", network.inputs), ("output", network.outputs)):
        for feature in features:
            shape = shapes.get(feature.name) or feature.shape
            if len(shape) > 1 and shape[-1] == 1:
                note(f"the last axis of an {what} is 1", 1)
            if feature.dtype == "float16":
                note(f"an {what} is declared as FLOAT16", 1)
    return found


def _name(layer: Layer, shapes: Shapes) -> str:
    if layer.kind in CONCATENATIONS:
        return "concatenation"
    if layer.kind != "convolution":
        return f"layer of type {layer.kind}"
    deep = _depthwise(layer.params, _channels(shapes.get(layer.inputs[0], ())))
    name = "depthwise convolution" if deep else "convolution"
    return f"transposed {name}" if layer.params.isDeconvolution else name


def _depthwise(params: Any, channels: int) -> bool:
    """Tell whether a convolution has a group for each of several channels that it reads."""
    return bool(1 < params.nGroups == channels)


def _article(name: str) -> str:
    return f"a {name}"


def _channels(shape: tuple[int, ...]) -> int:
    """Return the channels of a blob, at least 1."""
    return max(shape[CHANNEL], 1) if len(shape) >= -CHANNEL else 1


def rules(failing: Sequence[Traits], right: Sequence[Traits]) -> tuple[Rule, ...]:
    """Return the simplest rules that separate failing networks from right ones, none if none does.

    Simplest: one trait; else more channels of one; else one that is absent; else two together.
    """
    if not failing or not right:
        return ()
    common = [t for t in failing[0] if all(t in each for each in failing)]
    present = [_rule(t, failing, right) for t in common if not any(t in e for e in right)]
    if present:
        return _telling(present)
    more = [_rule(t, failing, right) for t in common]
    more = [rule for rule in more if rule.least > rule.most]
    if more:
        return _telling(more)
    shared = [t for t in right[0] if all(t in each for each in right)]
    absent = [Rule((t,), absent=True) for t in shared if not any(t in e for e in failing)]
    if absent:
        return _telling(absent)
    pairs = combinations(common, 2)
    return tuple(Rule(p) for p in pairs if not any(p[0] in e and p[1] in e for e in right))


def _rule(trait: str, failing: Sequence[Traits], right: Sequence[Traits]) -> Rule:
    amounts = [each[trait] for each in failing]
    most = max(each.get(trait, 0) for each in right)
    return Rule((trait,), min(amounts), most, max(amounts))


def _telling(found: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return the rules about two layers or a feature first, those that a layer is there last."""
    return tuple(sorted(found, key=lambda rule: rule.traits[0].startswith("there is ")))
