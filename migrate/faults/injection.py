"""A fault as a watch of the interpreter."""

from __future__ import annotations

from itertools import cycle, repeat
from typing import TYPE_CHECKING, Any

import torch

from migrate import features
from migrate.faults.catalogue import FAULTS, Counterfactual, Fault, FaultError, all_faults
from migrate.faults.site import Place, Site, places
from migrate.rounding import rounded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from migrate.block import Watch
    from migrate.module import Model
    from migrate.network import Layer, Network

NEVER = repeat(False)
SHOWN = 20  # layers in a sentence


def fault(net: Model, text: str, *, previous: dict[str, Any] | None = None) -> Watch:
    """Return the watch that injects `text`, as "bias-only@conv3" or "branch-dropped:1@concat".

    It takes the layer's inputs from the blobs that it sees, so what rounds blobs comes before it.
    "stale" needs the inputs of the `previous` prediction, and rounds its blobs to float16. A watch
    is for whole runs of `net`. Raises FaultError, which says what there is.
    """
    name, entry, choice, layer = _read(text)
    place = _find(places(net), layer)
    why = entry.lacks(place) or ("" if place.layer.outputs else "has no outputs")
    if why:
        possible = ", ".join(dict.fromkeys(found.name for found, _ in all_faults(place)))
        raise FaultError(
            f"layer '{layer}' ({place.layer.kind}) {why}, so it cannot have '{name}'; "
            f"it can have {possible or 'none'}"
        )
    choices = entry.choices(place)
    if choice is not None and choice not in choices:
        known = ", ".join(map(str, choices))
        raise FaultError(
            f"no fault '{text}': "
            + (f"'{name}' takes one of :{known}" if choices else f"'{name}' takes no number")
        )
    if name == "stale" and previous is None:
        raise FaultError(f"'{text}' needs the inputs of the previous prediction")
    found = Fault(name, layer, choices[0] if choice is None and choices else choice)
    return Injection(net, place, entry, found, previous)


def _read(text: str) -> tuple[str, Counterfactual, int | None, str]:
    """Return the parts of FAULT@LAYER or FAULT:N@LAYER; names of layers may hold either sign."""
    fault_text, _, layer = text.partition("@")
    name, colon, number = fault_text.partition(":")
    known = name in FAULTS and (number.isdecimal() and number.isascii() if colon else True)
    if not known or not layer:
        raise FaultError(
            f"no fault '{text}': write FAULT@LAYER with one of {', '.join(FAULTS)}, or none"
        )
    return name, FAULTS[name], int(number) if colon else None, layer


def _find(found: list[Place], name: str) -> Place:
    for place in found:
        if place.name == name:
            return place
    alike = [place.name for place in found if place.layer.name == name]
    if alike:
        raise FaultError(
            f"{len(alike)} layers are called '{name}'; say which by {', '.join(alike[:SHOWN])}"
        )
    names = [place.name for place in found]
    known = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    raise FaultError(f"the model has no layer '{name}'; it has {known}")


class Injection:
    """A watch that changes what one layer writes, and follows what the layer reads."""

    def __init__(
        self,
        net: Model,
        place: Place,
        entry: Counterfactual,
        found: Fault,
        previous: dict[str, Any] | None,
    ) -> None:
        self.net, self.place, self.entry, self.previous = net, place, entry, previous
        self.choice = found.choice or 0
        self.turns = _turns_of(net.network, place.layer)
        self.seen: dict[str, Tensor] = {}
        self.inputs: tuple[Tensor, ...] = ()
        self.stale: dict[str, Tensor] = {}

    def __call__(self, blob: str, value: Tensor) -> Tensor:
        """Return the blob, changed if it is the layer's own output."""
        layer = self.place.layer
        result = self._changed(blob, value) if next(self.turns.get(blob, NEVER)) else value
        if blob in layer.inputs:
            self.seen[blob] = result
        return result

    def _changed(self, blob: str, value: Tensor) -> Tensor:
        layer, index = self.place.layer, self.place.layer.outputs.index(blob)
        if index == 0:
            if not all(name in self.seen for name in layer.inputs):
                return value  # another layer of a branch writes the blob, and this one has not run
            self.inputs = tuple(self.seen[name] for name in layer.inputs)
            if self.entry.name == "stale" and not self.stale:
                self.stale = self._of_previous()
        site = Site(self.place, self.inputs, value, index, self.choice, self.stale.get(blob))
        return self.entry.change(site) if self.entry.where(site) else value

    def _of_previous(self) -> dict[str, Tensor]:
        """Run the module on the previous inputs; return what the layer wrote."""
        turns, found = _turns_of(self.net.network, self.place.layer), {}

        def watch(blob: str, value: Tensor) -> Tensor:
            value = rounded(value)
            if next(turns.get(blob, NEVER)):
                found[blob] = value
            return value

        dtype, described = self.net._precision.dtype, self.net.network.inputs
        given = [features.to_tensor(f, self.previous or {}, dtype) for f in described]
        with torch.no_grad(), self.net.watching(watch):
            self.net(*given)
        return found


def _turns_of(network: Network, layer: Layer) -> dict[str, Iterator[bool]]:
    return {blob: _turns(network, layer, blob) for blob in layer.outputs}


def _turns(network: Network, layer: Layer, blob: str) -> Iterator[bool]:
    """Yield for every write of a blob, run after run, whether it is the layer's own.

    Where a branch or loop writes it, the number of writes is not known, and every one is meant.
    """
    stages = network.stages or (network,)
    if any(blob in outer.outputs for s in stages for outer in s.layers if outer.blocks):
        return repeat(True)
    writes: list[bool] = []
    for stage in stages:
        writes += [False for feature in stage.inputs if feature.name == blob]
        writes += [at is layer for at in stage.layers if blob in at.outputs]
    return cycle(writes)
