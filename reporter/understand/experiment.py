"""The experiment: records of a NeuralNetwork and of what it became, paired and judged.

Both sides are compared with the same reference, the NeuralNetwork in float64. What rounding may
add to it is that of each side's own form: of a network that of its layers, of an ML Program that of
its operations.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure.paths import typed
from reporter.measure.record import of
from reporter.understand.assessment import LIMIT
from reporter.understand.place import place_of
from reporter.understand.reference import arrays
from reporter.understand.sides import Trial, side
from reporter.understand.verdict import UNMEASURED, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from migrate import Envelope
    from reporter.measure.identity import ModelIdentity
    from reporter.measure.record import Record, Run
    from reporter.understand.migrated import Migration, Variant
    from reporter.understand.place import Place

    Envelopes = dict[str, Envelope]
    Named = tuple[str, Record]  # a record, and what its file is called

UNFIT = "rounding alone makes errors as large as an output: these inputs cannot tell"


@dataclass(frozen=True)
class Given:
    """One input, its arrays by the NeuralNetwork's names, and its runs in whatever records."""

    records: tuple[str, ...]
    inputs: dict[str, Any]
    runs: tuple[Run, ...]

    def ran_on(self, unit: str) -> bool:
        """Tell whether there is a run of a compute unit, its cold start aside."""
        return any(run.unit == unit and not run.start for run in self.runs)


def verdicts(
    migration: Migration,
    folder: Path,
    net: migrate.Model,
    records: Sequence[Named],
    called: str,
    tell: Callable[[str], None],
    limit: float = LIMIT,
) -> tuple[Verdict, ...]:
    """Return the verdicts on every variant in a migration's folder, at least one each.

    `net` is the NeuralNetwork's module; records of other models are left aside; `called` is what
    the user knows the folder as; `tell` is told what is compared;
    `limit` is how many times what rounding explains is still right.
    """
    yardstick = Yardstick(net)
    found: list[Verdict] = []
    for variant in migration.others:
        tell(f"comparing records of {variant.name}")
        commands = _commands(migration, variant, called)
        pair = _Pair(migration.source, variant, folder / variant.name, yardstick, commands, limit)
        found += pair.verdicts(
            [r for r in records if of(r[1], migration.source)],
            [r for r in records if variant.identity and of(r[1], variant.identity)],
        )
    return tuple(found)


def _commands(migration: Migration, variant: Variant, called: str) -> tuple[str, str]:
    """Return what measures the NeuralNetwork, and the variant; a matrix is measured as a whole."""
    called = typed(called)
    if migration.matrix:
        return (f"anereport run {shlex.quote(called)} --out records",) * 2
    return (
        f"anereport run {shlex.quote(migration.source.name)} --out before.json",
        f"anereport run {shlex.quote(f'{called}/{variant.name}')} --out after.json",
    )


class Yardstick:
    """What rounding explains of the NeuralNetwork's outputs; each set of inputs is run once."""

    def __init__(self, net: migrate.Model) -> None:
        self.net = net
        self._known: list[tuple[dict[str, Any], Envelopes]] = []

    def of_network(self, inputs: dict[str, Any]) -> Envelopes:
        """Return the envelopes of the network itself."""
        for known, envelopes in self._known:
            if _same(known, inputs):
                return envelopes
        envelopes = migrate.envelopes(self.net, inputs)
        self._known.append((inputs, envelopes))
        return envelopes

    def of_program(self, package: Path, names: dict[str, str], inputs: dict[str, Any]) -> Envelopes:
        """Return the envelopes of an fp16 program about the network's reference.

        `names` are the program's, by those of the network.
        """
        own = migrate.program_envelopes(package, {names.get(k, k): v for k, v in inputs.items()})
        found = {}
        for name, known in self.of_network(inputs).items():
            envelope = own.get(names[name], known)  # an output that is lost is judged as a failure
            reference = known.reference.reshape(envelope.reference.shape)
            found[name] = replace(envelope, reference=reference)
        return found


class _Pair:
    """The NeuralNetwork and one variant of it."""

    def __init__(
        self,
        source: ModelIdentity,
        variant: Variant,
        path: Path,
        yardstick: Yardstick,
        commands: tuple[str, str],
        limit: float,
    ) -> None:
        self.source, self.variant, self.path, self.yardstick = source, variant, path, yardstick
        self.names = {c.name_before: c.name_after for c in variant.features}
        program = variant.options is not None
        self.halves = program and migrate.describe_program(path).in_float16
        self.single = program and not self.halves
        self.outputs = {f.name: f for f in yardstick.net.network.outputs}
        self.commands, self.limit = commands, limit

    def verdicts(self, befores: Sequence[Named], afters: Sequence[Named]) -> Iterator[Verdict]:
        """Yield a verdict for each place that has records; one if there is none."""
        places = dict.fromkeys(place_of(record) for _, record in (*befores, *afters))
        if not places:
            yield self._unmeasured("neither it nor the NeuralNetwork has a record")
        for place in places:
            if place is None:
                yield self._unmeasured(
                    "a record names no device with its system build, so that nothing tells "
                    "whether both sides are of the same"
                )
            else:
                here = ([n for n in side if place_of(n[1]) == place] for side in (befores, afters))
                yield self._at(place, *here)

    def _unmeasured(self, reason: str) -> Verdict:
        commands = tuple(dict.fromkeys(self.commands))
        return Verdict(self.variant.name, UNMEASURED, (reason,), commands=commands)

    def _at(self, place: Place, befores: Sequence[Named], afters: Sequence[Named]) -> Verdict:
        same = {name: name for name in (*self.names, *self.outputs)}
        before, after = _given(befores, same), _given(afters, self.names)
        if before and after:
            before, after = _in_common(before, after)
        verdict = replace(
            self._unmeasured("the records hold no inputs in common"),
            device=str(place),
            evidence=place.evidence,
        )
        if not before and befores and afters:
            return verdict
        try:
            trials = self._before(before), self._after(after)
        except migrate.AnereportError as error:
            return replace(verdict, reasons=(f"no reference can be computed: {error}",))
        telling = _telling(trials)
        if any(given and not kept for given, kept in zip(trials, telling, strict=True)):
            return replace(verdict, reasons=(UNFIT,))
        names = (self.source.name, self.variant.name)
        sides = [
            side(name, found, self.limit) if found else None
            for name, found in zip(names, telling, strict=True)
        ]
        word, reasons = judge(sides[0], sides[1], self.single)
        missing = dict.fromkeys(c for s, c in zip(sides, self.commands, strict=True) if s is None)
        return replace(
            verdict,
            word=word,
            reasons=reasons,
            before=sides[0],
            after=sides[1],
            commands=(tuple(missing) or verdict.commands) if word == UNMEASURED else (),
        )

    def _before(self, given: Sequence[Given]) -> list[Trial]:
        return [
            Trial(
                g.records, g.runs, self.yardstick.of_network(g.inputs), partial(self._numbers, {})
            )
            for g in given
        ]

    def _after(self, given: Sequence[Given]) -> list[Trial]:
        return [
            Trial(g.records, g.runs, self._envelopes(g), partial(self._numbers, self.names))
            for g in given
        ]

    def _envelopes(self, given: Given) -> Envelopes:
        if self.halves:
            return self.yardstick.of_program(self.path, self.names, given.inputs)
        return self.yardstick.of_network(given.inputs)

    def _numbers(self, names: dict[str, str], name: str, outputs: Any) -> Any:
        """Return an output's array, by its name in the NeuralNetwork."""
        labels = self.yardstick.net.network.labels
        return migrate.output_numbers(self.outputs[name], outputs[names.get(name, name)], labels)


def _telling(sides: Sequence[Sequence[Trial]]) -> list[list[Trial]]:
    """Return the sides' trials without the inputs that cannot tell of one of them.

    The trials of two sides are of the same inputs.
    """
    unfit = {
        i
        for trials in sides
        for i, trial in enumerate(trials)
        if any(envelope.unfit for envelope in trial.envelopes.values())
    }
    return [[trial for i, trial in enumerate(trials) if i not in unfit] for trials in sides]


def _given(records: Sequence[Named], names: dict[str, str]) -> list[Given]:
    back = {after: before for before, after in names.items()}
    found: list[Given] = []
    for source, record in records:
        for name, values in record.inputs.items():
            inputs = {back.get(n, n): value for n, value in arrays(values).items()}
            runs = tuple(run for run in record.runs if run.input == name)
            for i, known in enumerate(found):
                if _same(known.inputs, inputs):
                    runs = (*known.runs, *runs)
                    found[i] = replace(known, records=(*known.records, source), runs=runs)
                    break
            else:
                found.append(Given((source,), inputs, runs))
    return found


def _in_common(before: list[Given], after: list[Given]) -> tuple[list[Given], list[Given]]:
    """Return what both sides were given, and if it can be, what both Neural Engines were given."""
    pairs = [(g, h) for g in before for h in after if _same(g.inputs, h.inputs)]
    of_network = [(g, h) for g, h in pairs if g.ran_on("ane")]
    of_both = [(g, h) for g, h in of_network if h.ran_on("ane")]
    chosen = of_both or of_network or pairs
    return [g for g, _ in chosen], [h for _, h in chosen]


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Tell whether two sets of inputs are the same, in float16 if one of them is."""
    return a.keys() == b.keys() and all(_equal(np.asarray(a[n]), np.asarray(b[n])) for n in a)


def _equal(a: Any, b: Any) -> bool:
    if a.size != b.size or (a.dtype.kind in "US") != (b.dtype.kind in "US"):
        return False
    if np.float16 in (a.dtype, b.dtype):
        with np.errstate(over="ignore"):
            a, b = a.astype(np.float16), b.astype(np.float16)
    return bool(np.array_equal(a.ravel(), b.ravel()))
