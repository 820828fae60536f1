"""A variant's verdict from its records, all of one device and system build.

Right and wrong are by what rounding explains of the variant itself. A variant fails only if every
repeat fails, of every input; the other ways in which repeats differ have a word of their own.
Taps and cuts are judged by the outputs that the model itself has, a cut by the only ones it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import migrate
from reporter.understand.reference import arrays
from reporter.understand.sides import Outcome, Trial, side
from reporter.understand.traits import traits
from reporter.understand.unused import unused
from reporter.understand.variant_set import CUT, PROGRAM, TAP
from reporter.understand.wording import some

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from reporter.measure.record import Record, Run
    from reporter.understand.sides import Side
    from reporter.understand.variant_set import Member, Opened

    Named = tuple[str, Record]  # a record, and what its file is called
    Envelopes = Mapping[str, migrate.Envelope]

Word = Literal[
    "fails", "right", "flaky", "in conflict", "some inputs", "does not run", "set aside",
    "not measured",
]  # fmt: skip
State = Literal["right", "wrong", "does not run"]
ALIKE: dict[State, Word] = {"right": "right", "wrong": "fails", "does not run": "does not run"}
BOTH_UNITS = ("cpu", "ane")
ELSEWHERE = "not all of it is planned on the Neural Engine"


@dataclass(frozen=True)
class Attempt:
    """One prediction on the Neural Engine: what its outputs were, of all the worst."""

    record: str
    input: int  # which of the distinct inputs
    state: State
    ratio: float  # to what rounding explains
    output: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Judged:
    """A model of the set, and what its records say of it."""

    member: Member
    word: Word
    reason: str = ""  # why it is set aside or not measured
    attempts: tuple[Attempt, ...] = ()
    doubts: tuple[str, ...] = ()  # why a right one may not be all the Neural Engine's work
    blobs: Mapping[str, str] = field(default_factory=dict)  # of a tap that fails: "right", ...
    planned: bool = False  # whether a record of the Neural Engine's run holds a compute plan
    traits: Mapping[str, int] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)  # layers, weights

    @property
    def failed(self) -> int:
        """How many repeats failed."""
        return sum(attempt.state != "right" for attempt in self.attempts)

    @property
    def worst(self) -> Attempt:
        """The repeat that is furthest off; only of what was measured."""
        return max(self.attempts, key=lambda attempt: attempt.ratio)

    @property
    def records(self) -> tuple[str, ...]:
        """The files that it was judged by."""
        return tuple(dict.fromkeys(attempt.record for attempt in self.attempts))


@dataclass(frozen=True)
class _Given:
    """One input by the network's names, its runs with their records, what rounding explains."""

    inputs: dict[str, Any]
    runs: tuple[tuple[str, Run], ...]
    envelopes: Envelopes = field(default_factory=dict)

    @property
    def measured(self) -> tuple[tuple[str, Run], ...]:
        """The Neural Engine's runs; its cold start is none of the repeats."""
        return tuple((s, run) for s, run in self.runs if run.unit == "ane" and not run.start)

    @property
    def unfit(self) -> bool:
        """Whether rounding alone makes errors as large as an output."""
        return any(envelope.unfit for envelope in self.envelopes.values())

    def only(self, outputs: Collection[str]) -> _Given:
        """Return the same for some outputs."""
        return replace(self, envelopes={n: e for n, e in self.envelopes.items() if n in outputs})


def judge(opened: Opened, records: Sequence[Named], limit: float) -> Judged:
    """Return what records say of an opened model; all are of it, and of one device.

    `limit` is how many times what rounding explains is still right.
    """
    empty = Judged(opened.member, "not measured", size=opened.size)
    givens = _givens(opened, records)
    if not any(given.measured for given in givens):
        missing = "no record has a run of it on the Neural Engine" if records else ""
        return replace(empty, reason=missing)
    try:
        givens = [replace(g, envelopes=opened.envelopes(g.inputs)) for g in givens]
        found = _traits(opened, givens[0].inputs)
    except migrate.AnereportError as error:
        return replace(empty, word="set aside", reason=str(error))
    judged = _judged(opened, givens, limit, replace(empty, traits=found))
    if judged.word != "right":
        return judged
    runs = [[run for _, run in given.runs] for given in givens]
    why = unused([record for _, record in records], runs)
    reason = f"it is right, which tells nothing of the Neural Engine: {why}" if why else ""
    reason = reason or _no_evidence(judged)
    return replace(judged, word="set aside", reason=reason) if reason else judged


def _traits(opened: Opened, given: dict[str, Any]) -> dict[str, int]:
    """Return the traits of a network; of an ML Program, which has other layers, none."""
    if opened.member.kind == PROGRAM:
        return {}
    return traits(opened.net.network, opened.shapes(given))


def _judged(opened: Opened, givens: Sequence[_Given], limit: float, empty: Judged) -> Judged:
    own = [n for n in opened.outputs if n not in opened.shown] or list(opened.outputs)
    counted = [given.only(own) for given in givens]
    if not all(given.envelopes for given in counted):
        return replace(empty, word="set aside", reason="none of its outputs is made of numbers")
    telling = [given for given in counted if not given.unfit]
    if any(given.measured for given in telling):
        counted = telling
    whole = side(opened.member.name, [_trial(opened, g, BOTH_UNITS) for g in counted], limit)
    attempts = tuple(_attempts(opened, counted, limit))
    judged = replace(
        empty,
        word=_word(attempts),
        attempts=attempts,
        doubts=_doubts(whole),
        planned=whole.placement is not None,
    )
    reason = _aside(opened, counted, whole)
    if reason:
        return replace(judged, word="set aside", reason=reason)
    if opened.member.kind == TAP and judged.word == "fails":
        return replace(judged, blobs=_blobs(opened, givens, limit))
    return judged


def _blobs(opened: Opened, givens: Sequence[_Given], limit: float) -> dict[str, str]:
    """Return the verdict on each inner blob that a tap shows."""
    return {
        name: _word(tuple(_attempts(opened, [given.only([name]) for given in givens], limit)))
        for name in opened.shown
    }


def _givens(opened: Opened, records: Sequence[Named]) -> list[_Given]:
    """Return each distinct input with its runs, in whatever records they are."""
    found: list[_Given] = []
    for source, record in records:
        for name, values in record.inputs.items():
            given = opened.by_network(arrays(values))
            runs = tuple((source, run) for run in record.runs if run.input == name)
            if not runs:
                continue
            for i, known in enumerate(found):
                if _same(known.inputs, given):
                    found[i] = replace(known, runs=(*known.runs, *runs))
                    break
            else:
                found.append(_Given(given, runs))
    return found


def _same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def _trial(opened: Opened, given: _Given, units: Collection[str]) -> Trial:
    runs = tuple(run for _, run in given.runs if run.unit in units)
    names = tuple(dict.fromkeys(source for source, _ in given.runs))
    return Trial(names, runs, given.envelopes, opened.numbers)


def _attempts(opened: Opened, givens: Sequence[_Given], limit: float) -> Iterator[Attempt]:
    for i, given in enumerate(givens):
        for source, run in given.measured:
            trial = Trial((source,), (run,), given.envelopes, opened.numbers)
            yield _attempt(source, i, side("", [trial], limit).ane, limit)


def _attempt(source: str, number: int, outcome: Outcome, limit: float) -> Attempt:
    if outcome.state == "failed" and not outcome.output:
        return Attempt(source, number, "does not run", math.inf, detail=outcome.detail)
    state: State = "right" if outcome.ratio <= limit else "wrong"
    return Attempt(source, number, state, outcome.ratio, outcome.output, outcome.detail)


def _word(attempts: Sequence[Attempt]) -> Word:
    """Return what repeats amount to: within a record and input, between records, between inputs."""
    states = {a.state for a in attempts}
    if len(states) == 1:
        return ALIKE[states.pop()]
    groups: dict[tuple[str, int], set[str]] = {}
    for a in attempts:
        groups.setdefault((a.record, a.input), set()).add(a.state)
    if any(len(group) > 1 for group in groups.values()):
        return "flaky"
    for number in {a.input for a in attempts}:
        if len({a.state for a in attempts if a.input == number}) > 1:
            return "in conflict"
    return "some inputs"


def _doubts(whole: Side) -> tuple[str, ...]:
    found = [ELSEWHERE] if whole.placement and not whole.placement.whole else []
    return (*found, f"it {whole.cold}") if whole.cold else tuple(found)


def _aside(opened: Opened, givens: Sequence[_Given], whole: Side) -> str:
    """Return why nothing follows from these results, if so."""
    cpu = whole.cpu
    if cpu.state == "not measured":
        return (
            "it is not measured on the CPU with all inputs that the Neural Engine had, so that "
            "nothing tells a fault of the Neural Engine from one of the model"
        )
    if cpu.state == "failed":
        return f"it fails on the CPU too ({cpu.detail})"
    if cpu.state == "wrong":
        return f"its CPU output is wrong too ({cpu.ratio:.3g} times what rounding explains)"
    if all(_constant(opened, given) for given in givens):
        return "its output is constant on the CPU: it is refused as trivial"
    if whole.overflows and whole.ane.state != "right":
        blobs = some(whole.overflows, 5)
        return f"it overflows float16 by itself ({blobs}), which is no fault of the hardware"
    if any(given.unfit for given in givens):
        return "rounding alone makes errors as large as its output: these inputs cannot tell"
    return ""


def _constant(opened: Opened, given: _Given) -> bool:
    """Tell whether every output of several numbers is one number, on the CPU."""
    found = []
    for _, run in given.runs:
        if run.unit != "cpu" or run.outputs is None:
            continue
        values = arrays(run.outputs)
        found += [np.ravel(opened.numbers(name, values)) for name in given.envelopes]
    found = [x for x in found if x.size > 1]
    return bool(found) and all(np.array_equal(x, np.full_like(x, x[0]), True) for x in found)


def _no_evidence(judged: Judged) -> str:
    """Return why a right one is no evidence: of a tap or a cut the final output must be wrong."""
    if judged.member.kind == TAP:
        return (
            "with one blob more to keep, the final output is right, so that the blob is no evidence"
        )
    if judged.member.kind == CUT:
        return "it is right, which is no evidence: what follows it in the model is gone"
    return ""
