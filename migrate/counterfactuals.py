"""Every fault of a network's layers, tried on a run that is kept: what the outputs would be.

    possible   the faults that the pattern of right and wrong outputs allows
    outputs    what the outputs would be with one of them
    search     the same for many, leaving out what is known already

A fault replaces what one layer wrote; all else is a healthy fp16 device. What the outputs match is
no proof of where the fault lies: several faults may give the same outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from migrate import features, upstream
from migrate.errors import ModelError, UnsupportedError
from migrate.faults import Counterfactual, Fault, FaultError, Place, Site, all_faults, places
from migrate.meetings import Meeting, Meetings, within_rounding
from migrate.replay import Replay, as_stored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from migrate.feature_types import Feature
    from migrate.module import Model

    Outputs = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Tried:
    """What became of a fault: its outputs, or why there is no need or no way to have them.

    `silent` if what the layer wrote is within rounding of the healthy; `same_as` names a fault
    tried before with the same outputs; `error` says why the network does not run with it.
    """

    fault: Fault
    outputs: Outputs | None = None
    silent: bool = False
    same_as: Fault | None = None
    error: str = ""


class Counterfactuals:
    """The faults of a network for one set of inputs. `healthy` are its outputs without any.

    Layers inside a branch or loop are left out, and those that a loop depends on, since a fault
    there may never end: `left_out` says how many. Outputs are float64 arrays by the feature's name,
    of a classifier its scores in the labels' order; the label alone has none. Blobs are kept once,
    and those of the `previous` prediction's inputs in float16 besides, if it is given.
    Raises UnsupportedError for a model that draws random numbers.
    """

    def __init__(
        self, net: Model, inputs: dict[str, Any], *, previous: dict[str, Any] | None = None
    ) -> None:
        _refuse_random(net)
        self.replay = Replay(net, inputs)
        self.previous = self.replay.written(previous) if previous is not None else {}
        self.plan = self.replay.plan
        self.steps = {id(s.layer): i for i, s in enumerate(self.plan.steps) if s.layer}
        found, looping = places(net), upstream.of_loops(self.plan)
        self.places = {
            p.name: p for p in found if not p.nested and self.steps[id(p.layer)] not in looping
        }
        self.left_out = len(found) - len(self.places)
        self.healthy = self._arrays({})

    def possible(self, wrong: Collection[str], right: Collection[str] = ()) -> list[Fault]:
        """Return the faults that may make these outputs wrong, the most plausible first.

        They are those of layers that every wrong output depends on. A layer whose own output is a
        right one, moved or reshaped, is not among them; a layer that a right output depends on
        otherwise is, since a change may die out on the way, but comes last. Before that, layers
        with the fewest others between them and the wrong outputs come first: what they write is
        changed least until it is seen, and is the quickest to follow.
        """
        numbers = {feature.name: number for feature, number in self._ends()}
        unknown = [name for name in (*wrong, *right) if name not in numbers]
        if unknown:
            raise FaultError(f"the model has no output '{unknown[0]}'; it has {', '.join(numbers)}")
        order = upstream.suspects(
            self.plan, [numbers[name] for name in wrong], [numbers[name] for name in right]
        )
        by_step = {self.steps[id(place.layer)]: place for place in self.places.values()}
        ordered = [by_step[at] for at in order if at in by_step]
        return list(self.replay.within(partial(self._offered, ordered)))

    def faults(self) -> list[Fault]:
        """Return every fault that may change something, in the order of the layers."""
        return list(self.replay.within(partial(self._offered, list(self.places.values()))))

    def outputs(self, fault: Fault) -> Outputs:
        """Return what the outputs would be with a fault.

        Raises FaultError for one that does not exist here, ModelError where the network does not
        run with it.
        """
        try:
            return dict(self.replay.within(partial(self._outputs, fault)))
        except ModelError as error:
            raise ModelError(_does_not_run(fault, error)) from error

    def search(self, faults: Iterable[Fault]) -> Iterator[Tried]:
        """Try faults in order. Those that are within rounding or equal one before are told so."""
        meetings = Meetings()
        for fault in faults:
            try:
                tried = self.replay.within(partial(self._try, fault, Meeting(meetings, fault)))
            except ModelError as error:
                tried = Tried(fault, error=_does_not_run(fault, error))
            yield tried

    def _outputs(self, fault: Fault) -> Outputs:
        at, changed = self._changed(fault)
        return self._arrays(self.replay.follow(at, changed) or {})

    def _try(self, fault: Fault, meeting: Meeting) -> Tried:
        at, changed = self._changed(fault)
        if all(within_rounding(x, self.replay.values[n]) for n, x in changed.items()):
            return Tried(fault, silent=True)
        ends = self.replay.follow(at, changed, meeting.known)
        if ends is None or meeting.known_at_end(ends):
            return Tried(fault, same_as=meeting.other)
        return Tried(fault, self._arrays(ends)) if ends else Tried(fault, silent=True)

    def _changed(self, fault: Fault) -> tuple[int, dict[int, Tensor]]:
        """Return the step of a fault's layer, and what changes of the values that it writes."""
        place, entry = self._find(fault)
        at = self.steps[id(place.layer)]
        made = {
            n: as_stored(entry.change(site))
            for n, site in zip(
                self.plan.steps[at].writes, self._sites(place, fault.choice), strict=True
            )
            if entry.where(site)
        }
        return at, {n: x for n, x in made.items() if not self.replay.same(n, x)}

    def _sites(self, place: Place, choice: int | None) -> list[Site]:
        step = self.plan.steps[self.steps[id(place.layer)]]
        inputs: Any = tuple(self.replay.values[n] for n in step.reads if n is not None)
        values: list[Any] = [self.replay.values[n] for n in step.writes]
        return [
            Site(place, inputs, value, i, choice or 0, self.previous.get(n))
            for i, (n, value) in enumerate(zip(step.writes, values, strict=True))
        ]

    def _offered(self, ordered: list[Place]) -> list[Fault]:
        return [
            fault
            for place in ordered
            for fault, entry in all_faults(place)
            if any(map(entry.where, self._sites(place, fault.choice)))
        ]

    def _ends(self) -> list[tuple[Feature, int]]:
        """Return the outputs that have numbers; a classifier's label alone has none."""
        network = self.replay.net.network
        label = network.predicted_feature if network.labels else None
        return [(feature, n) for feature, n in self.plan.outputs if feature.name != label]

    def _arrays(self, changed: dict[int, Tensor]) -> Outputs:
        """Return the outputs as `envelopes` has them, with some values in the place of the kept."""
        found: Outputs = {}
        for feature, number in self._ends():
            value: Any = changed.get(number, self.replay.values[number])
            array = features.passed_on(feature, value).double().numpy()
            found[feature.name] = array.ravel() if feature.kind == "dictionary" else array
        return found

    def _find(self, fault: Fault) -> tuple[Place, Counterfactual]:
        place = self.places.get(fault.layer)
        if place:
            for found, entry in all_faults(place):
                if found == fault:
                    return place, entry
        raise FaultError(f"no fault '{fault}' here; `possible` gives those that there are")


def _refuse_random(net: Model) -> None:
    for layer in net.network.all_layers():
        if layer.kind.startswith("random") or layer.kind == "categoricalDistribution":
            raise UnsupportedError(
                f"layer {layer.name!r} ({layer.kind}) draws random numbers, so the same run cannot "
                "be had again with a fault"
            )


def _does_not_run(fault: Fault, error: ModelError) -> str:
    return f"with {fault} the model does not run: {error}"
