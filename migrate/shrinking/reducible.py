"""A network under reductions: what it becomes, and what can be made smaller still."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.errors import AnereportError
from migrate.network import read_network
from migrate.shrinking import channels, kernels, seeding, sizes, structure
from migrate.shrinking.knob import Knob, Reduction, Reductions
from migrate.trial_inputs import trial
from migrate.variation.editing import copied
from migrate.variation.original import Original
from migrate.variation.proof import declare_computed, prove
from migrate.variation.relation import ANOTHER, Relation
from migrate.variation.variant import Draft, EditError, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from migrate.block import Custom

KEPT = 20_000_000  # weights of networks in memory
STRUCTURE = (*structure.ENDS, *structure.SINGLE)


class Reducible:
    """A NeuralNetwork, and the smaller ones that reductions make of it.

    `model` is a path, a `Model_pb2.Model` or an `MLModel`. Reductions have one order, in which they
    are made whatever order they are given in; outputs are declared as computed where their shape
    changes. Raises ModelError for a pipeline, and for what is no NeuralNetwork.
    """

    def __init__(self, model: Any, custom: Custom | None = None) -> None:
        self.model = Original.of(model, custom)
        self._known: dict[Reductions, Original] = {}
        writers = {b: i for i, o in enumerate(self.model.network.layers) for b in o.outputs}
        ranked = sorted(writers, key=writers.__getitem__, reverse=True)
        blobs = [*ranked, *(f.name for f in self.model.network.inputs)]
        self._places = {key: i for i, key in enumerate(structure.order(self.model))}
        later = [(channels.KIND, blob) for blob in blobs]  # a sum before its parts
        later += [(kind, o.name) for o in self.model.network.layers for kind in kernels.AXES]
        later += [(kind, "") for kind in (*sizes.AXES, "weights")]
        for key in later:
            self._places.setdefault(key, len(self._places))

    def ordered(self, reductions: Iterable[Reduction]) -> Reductions:
        """Return reductions in the order in which they are made; EditError for an unknown one."""
        found = {r.key: r for r in reductions}
        for kind, name in found:
            if (kind, name) not in self._places:
                raise EditError(f"the model has nothing to reduce that is called '{kind} {name}'")
        return tuple(sorted(found.values(), key=lambda r: self._places[r.key]))

    def settled(self, reductions: Iterable[Reduction]) -> Reductions:
        """Return reductions in order, without those of what the others take away."""
        found = self.ordered(reductions)
        structural = tuple(r for r in found if r.kind in STRUCTURE)
        return tuple(r for r in found if r in structural or not self.lacks(structural, r))

    def lacks(self, reductions: Reductions, other: Reduction) -> bool:
        """Tell whether reductions take the layer or the blob away that another one is of."""
        names, blobs = structure.remaining(self.model, {r.key: r.value for r in reductions})
        if other.kind == channels.KIND:
            return other.name not in blobs
        return other.kind in (*kernels.AXES, *structure.SINGLE) and other.name not in names

    def reduced(self, reductions: Iterable[Reduction]) -> Original:
        """Return the network that reductions make; AnereportError if there is none."""
        found = self.ordered(reductions)
        if not found:
            return self.model
        made = self._known.pop(found, None) or self._made(found)
        self._known[found] = made  # the last used is the last
        kept = 0
        for known in reversed(list(self._known)):
            kept += _weights(self._known[known])
            if kept > KEPT and known != found:
                del self._known[known]
        return made

    def _made(self, reductions: Reductions) -> Original:
        *before, last = reductions
        if last.kind in STRUCTURE:
            values = {r.key: r.value for r in reductions}
            return _edited(self.model, partial(structure.edit, self.model, values))
        original = self.reduced(before)
        if last.kind == channels.KIND:
            return _edited(original, partial(channels.edit, original, last))
        if last.kind in kernels.AXES:
            return _edited(original, partial(kernels.edit, original, last))
        if last.kind in sizes.AXES:
            return _edited(original, partial(sizes.edit, original, last))
        return _edited(original, partial(seeding.edit, last))

    def fault(self, reductions: Iterable[Reduction]) -> str:
        """Return why reductions make no network that runs; nothing if they make one."""
        try:
            self.reduced(reductions)
        except AnereportError as error:
            return str(error)
        return ""

    def knobs(self, reductions: Iterable[Reduction]) -> tuple[tuple[Knob, ...], tuple[str, ...]]:
        """Return what can be made smaller in a reduced network, and why other things cannot."""
        found = self.ordered(reductions)
        values = {r.key: r.value for r in found}
        original = self.reduced(found)
        own, why = channels.knobs(original)
        spatial, fixed = sizes.knobs(original)
        seeds, kept = seeding.knobs(original)
        seeds = [Knob(k.kind, k.name, values.get(k.key, k.value), k.least) for k in seeds]
        offered: list[Knob] = structure.knobs(self.model, original, values)
        offered += [*own, *spatial, *kernels.knobs(original), *seeds]
        return tuple(offered), (*why, *fixed, *kept)

    def size(self, reductions: Iterable[Reduction]) -> tuple[int, int, int]:
        """Return how many layers, weights and numbers of input a reduced network has."""
        original = self.reduced(reductions)
        inputs = sum(int(x.size) for x in original.inputs.values())
        return len(original.network.all_layers()), _weights(original), inputs

    def variant(self, reductions: Iterable[Reduction], name: str, line: str) -> Variant:
        """Return a reduced network as a variant: it loads, and it runs in torch."""
        same = Relation(ANOTHER, "smaller")
        draft = Draft(name, line, lambda spec: None, same)
        return prove(self.reduced(reductions), "smaller", draft, name, {})


def _weights(original: Original) -> int:
    return sum(x.numel() for x in (*original.net.parameters(), *original.net.buffers()))


def _edited(original: Original, edit: Callable[[Any], None]) -> Original:
    spec = copied(original.spec)
    edit(spec)
    made = _run(original, spec)
    if declare_computed(original, made.spec, made.outputs):
        made = _run(original, made.spec)
    return made


def _run(original: Original, spec: Any) -> Original:
    """Run a spec on seeded inputs; others are looked for only if the original needed such too."""
    drawn = trial(original.network, "normal", 0)
    plain = all(np.array_equal(x, drawn[name]) for name, x in original.inputs.items())
    given = trial(read_network(spec), "normal", 0) if plain else None
    return Original.of(spec, original.custom, given=given)
