"""The networks of a shrink: which can be made, and a round of them in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure import inputs
from reporter.measure.identity import identify
from reporter.understand.manifest import FILE, SCHEMA, Entry, Manifest, dumps
from reporter.understand.shrink_search import Search
from reporter.understand.shrink_words import words
from reporter.understand.shrunk import Candidate, Refused, ShrinkError, Shrunk
from reporter.write.files.outputs import copy
from reporter.write.privacy.redact import say
from reporter.write.variants.variants import EXPECTED, Writing, number, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from migrate import Reductions
    from reporter.progress import Progress


ALIKE = 1e-9  # of the largest value of an output, in float64


class Making:
    """The networks that a model can be reduced to; `custom` as on the command line."""

    def __init__(self, model: Path, custom: Sequence[str], progress: Progress) -> None:
        self.model, self.custom, self.progress = model, custom, progress
        self.builders = migrate.load_custom(custom, migrate.read(model))
        self.networks = migrate.Reducible(model, self.builders)
        self._faults: dict[Reductions, str] = {}

    def search(self, base: Reductions, state: Shrunk | None = None) -> Search:
        """Return the search for networks that are smaller than the base, by what is known."""
        known = state.candidates if state else ()
        failing, right = (state.failing, state.right) if state else ((), ())
        if state:
            self._faults.update({r.reductions: r.reason for r in state.refused})
        neither = [c for c in known if c.finding and c not in failing and c not in right]
        refused = [r for r, fault in self._faults.items() if fault]
        return Search(
            self.networks,
            base,
            tuple(c.reductions for c in failing),
            tuple(c.reductions for c in right),
            frozenset([*refused, *(c.reductions for c in neither)]),
            lambda reductions: not self._fault(reductions),
        )

    def refused(self) -> tuple[Refused, ...]:
        """Return the networks that were not to be measured, and why."""
        found = {r: fault for r, fault in self._faults.items() if fault}
        return tuple(Refused(reductions=r, reason=fault) for r, fault in found.items())

    def _fault(self, reductions: Reductions) -> str:
        """Return why a network is not to be measured; nothing if it can tell something."""
        if reductions not in self._faults:
            fault = self.networks.fault(reductions)
            self._faults[reductions] = fault or self._trivial(reductions)
        return self._faults[reductions]

    def _trivial(self, reductions: Reductions) -> str:
        """Return why a network that runs tells nothing, on the first inputs that will be given."""
        network, seed = self.networks.reduced(reductions), 0
        envelopes = migrate.envelopes(network.net, dict(inputs.seeded(network.spec)))
        if any(envelope.unfit for envelope in envelopes.values()):
            label, given = inputs.telling(network.spec, self.custom)
            seed, envelopes = number(label), migrate.envelopes(network.net, dict(given))
        values = [np.ravel(e.reference) for e in envelopes.values() if e.reference.size > 1]
        if values and all((x == x[0]).all() for x in values):
            return "its output is constant"
        others = numbers(network.net, inputs.seeded(network.spec, seed + 1))
        if envelopes and all(_same(e.reference, others[n]) for n, e in envelopes.items()):
            return "its output does not depend on its inputs"
        if any(envelope.unfit for envelope in envelopes.values()):
            return "rounding alone makes errors as large as its output"
        return ""

    def write(
        self, folder: Path, number: int, base: Candidate, found: Sequence[Reductions]
    ) -> list[Candidate]:
        """Write a round to a folder: the network that others are measured beside, and the others.

        Raises ShrinkError if the base is not the network that was measured.
        """
        (folder / EXPECTED).mkdir()
        writing = Writing(folder, self.model.stem, self.custom, self.builders)
        source = self._base(folder, base)
        expected = writing.expected(source, migrate.to_torch(source, self.builders).double())
        self.progress.expect(len(found))
        entries, written = [], []
        for position, reductions in enumerate(found, 1):
            self.progress.step(f"making network {position} of {len(found)}")
            line = f"Whether a smaller network fails: {words(reductions)}."
            variant = self.networks.variant(reductions, f"r{number}-{position}", line)
            entries.append(writing.entry(variant))
            written.append(self._candidate(entries[-1], number, reductions))
        manifest = Manifest(
            schema=SCHEMA, source=base.identity, expected=expected, variants=tuple(entries)
        )
        say(folder / FILE, dumps(manifest))
        return written

    def _base(self, folder: Path, base: Candidate) -> Path:
        path = folder / base.file
        if base.reductions:
            spec = self.networks.reduced(base.reductions).spec
            path.write_bytes(spec.SerializeToString(deterministic=True))
        else:
            copy(self.model, path)
        if identify(path) != base.identity:
            raise ShrinkError(
                f"{base.name} is not what its reductions make of {self.model.name}: the file of "
                "the shrink was edited, or another version wrote it; begin again with --force"
            )
        return path

    def _candidate(self, entry: Entry, number: int, reductions: Reductions) -> Candidate:
        layers, weights, numbers = self.networks.size(reductions)
        identity: Any = entry.identity
        return Candidate(
            name=entry.name, file=entry.file, round=number, reductions=reductions,
            identity=identity, layers=layers, weights=weights, inputs=numbers,
        )  # fmt: skip


def _same(a: Any, b: Any) -> bool:
    """Tell whether an output is the same for two inputs."""
    margin = ALIKE * float(np.abs(a).max(initial=0.0))
    return bool(np.allclose(a, b, rtol=0.0, atol=margin, equal_nan=True))
