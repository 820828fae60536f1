"""What each record shows of a compute unit: one word, from the assessments that were made of it.

Of an input it is that of the worst output and repeat. It is `flaky` where repeats differ in whether
rounding explains them, or the cold start does from them, and `failed` where none gave the output.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from reporter.understand.assessment import LIMIT, graded
from reporter.understand.headline import unjudged
from reporter.understand.origin import Origin, origin, together
from reporter.understand.reference import arrays
from reporter.understand.unused import unused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reporter.measure.record import Record, Run, Value
    from reporter.understand.assessment import Assessment
    from reporter.understand.comparison import Comparison
    from reporter.understand.judged import Attempt, Judged
    from reporter.understand.migrated import Migration
    from reporter.understand.reading import Reading
    from reporter.understand.sides import Outcome, Side
    from reporter.understand.verdict import Verdict

Word = Literal[
    "not known", "exact", "rounding", "unfit", "suspicious", "diverges", "failed", "flaky",
    "in conflict",
]  # fmt: skip
State = Literal["", "right", "wrong", "failed", "flaky", "in conflict"]
SEVERITY: tuple[Word, ...] = (
    "not known", "exact", "rounding", "unfit", "suspicious", "diverges", "failed", "flaky",
    "in conflict",
)  # fmt: skip
STATES: dict[Word, State] = {
    "not known": "", "exact": "right", "rounding": "right", "unfit": "", "suspicious": "wrong",
    "diverges": "wrong", "failed": "failed", "flaky": "flaky", "in conflict": "in conflict",
}  # fmt: skip
UNITS = ("ane", "gpu", "cpu", "all")


@dataclass(frozen=True)
class Cell:
    """What a record shows of one compute unit of one model on an input, or on several together."""

    origin: Origin
    variant: str  # the model's file
    unit: str
    record: str
    input: str  # as the record calls it
    key: str  # the same for equal values, whatever they are called
    word: Word
    ratio: float | None  # to what rounding explains, the worst; none if nothing was compared
    runs: int
    inputs: int = 1
    detail: str = ""  # of a failure, or why nothing is known

    @property
    def state(self) -> State:
        """Whether it is right, if that is known."""
        return STATES[self.word]


def of_record(
    name: str, record: Record, compared: Sequence[Comparison], model: str
) -> Iterator[Cell]:
    """Yield a cell for each input and unit of a record; `compared` are its comparisons.

    `model` is what the model is called, whose copy may have another name in the record.
    """
    where = origin(name, record)
    for given in record.inputs:
        here = [c for c in compared if c.input == given]
        for unit in UNITS:
            ran = [run for run in record.runs if (run.input, run.unit) == (given, unit)]
            runs = [run for run in ran if not run.start]
            if runs:
                word, ratio, detail = _word(unit, runs, here)
                if why := _unused(unit, word, [record], [_of_input(record, given)]):
                    word, detail = "not known", why
                key = inputs_key(name, record, [given])
                yield Cell(
                    where, model, unit, name, given, key, word, ratio, len(runs),
                    detail=detail,
                )  # fmt: skip


def _of_input(record: Record, given: str) -> list[Run]:
    return [run for run in record.runs if run.input == given]


def _unused(unit: str, word: Word, records: Sequence[Record], runs: Sequence[Sequence[Run]]) -> str:
    """Return why right numbers of a unit are none of the Neural Engine's, if they should be."""
    return unused(records, runs) if unit == "ane" and STATES[word] == "right" else ""


def _word(
    unit: str, runs: Sequence[Run], compared: Sequence[Comparison]
) -> tuple[Word, float | None, str]:
    """Return the word for a unit's runs of one input, the worst ratio, and the detail."""
    failures = [run.failure for run in runs if run.failure]
    if len(failures) == len(runs):
        return "failed", None, f"{failures[0].stage}: {failures[0].message}"
    known = [c.diagnosis for c in compared if c.diagnosis]
    outputs = [d.calls.get(unit, ()) for d in known]
    found = [assessment for calls in outputs for assessment in calls]
    ratio = max((a.ratio for a in found), default=None)
    for c in compared:
        for one in unjudged(c):
            if one.unit == unit and c.against == "the reference" and not c.unexplained:
                return "failed", ratio, f"output '{c.output}': {one.status}"
    if not found:
        reasons = (c.unexplained or c.reference for c in compared)
        return "not known", None, next(reasons, "the record holds no output of numbers")
    word = max(found, key=lambda a: a.severity).word
    results = [r for c in compared for r in c.units if r.unit == unit]
    lost = max(r.lost for r in results)
    if lost or any(len({a.wrong for a in calls}) > 1 for calls in outputs):
        return "flaky", ratio, _how_often(len(runs), lost, outputs)
    if failed := next((r.cold for r in results if r.cold), ""):
        return "flaky", ratio, f"{word}, but its cold start {failed}"
    cold = [d.cold[unit] for d in known if unit in d.cold]
    if cold and any(a.wrong for a in cold) != any(a.wrong for a in found):
        other = max(cold, key=lambda a: a.severity)
        return (
            "flaky",
            max(a.ratio for a in (*found, other)),
            f"{word}, but its cold start {other.word}",
        )
    return word, ratio, ""


def _how_often(runs: int, lost: int, outputs: Sequence[Sequence[Assessment]]) -> str:
    wrong = max((sum(a.wrong for a in calls) for calls in outputs), default=0)
    said = [f"{wrong} wrong"] if wrong else []
    said += [f"{lost} failed"] if lost else []
    return f"of {runs} runs {' and '.join(said)}"


def of_variants(
    migration: Migration | None,
    readings: Sequence[Reading],
    records: Sequence[tuple[str, Record]],
    limit: float = LIMIT,
) -> list[Cell]:
    """Return the cells of what a model became, by a migration's verdicts and by readings.

    `records` are those that they were judged by, with what their files are called.
    """
    named = dict(records)
    verdicts = migration.verdicts if migration else ()
    return [*of_verdicts(verdicts, named, limit), *of_readings(readings, named, limit)]


def of_verdicts(
    verdicts: Sequence[Verdict], records: Mapping[str, Record], limit: float = LIMIT
) -> Iterator[Cell]:
    """Yield a cell for each unit of each model that a migration's verdicts compared.

    `records` are those that they were given, by what their files are called.
    """
    for verdict in verdicts:
        if verdict.after is None:
            continue
        made = [(name, records[name]) for name in verdict.after.records]
        given = verdict.before.records if verdict.before else ()
        key = ", ".join(inputs_key(n, r, list(r.inputs)) for n, r in made)
        key += "".join(inputs_key(n, records[n], list(records[n].inputs)) for n in given)
        for unit, outcome in _outcomes(verdict.after):
            if outcome.state != "not measured":
                failed = outcome.state == "failed"
                word: Word = "failed" if failed else graded(outcome.ratio, limit)
                why = _unused(
                    unit,
                    word,
                    [record for _, record in made],
                    [_of_input(record, given) for _, record in made for given in record.inputs],
                )
                yield Cell(
                    origin=together(made),
                    variant=verdict.variant,
                    unit=unit,
                    record=", ".join(verdict.after.records),
                    input=", ".join(dict.fromkeys(i for _, r in made for i in r.inputs)),
                    key=key,
                    word="not known" if why else word,
                    ratio=None if failed else outcome.ratio,
                    runs=verdict.after.runs.get(unit, 0),
                    inputs=verdict.after.inputs,
                    detail=why or outcome.detail,
                )


def _outcomes(side: Side) -> Iterator[tuple[str, Outcome]]:
    yield from (("ane", side.ane), ("gpu", side.gpu), ("cpu", side.cpu))


def of_readings(
    readings: Sequence[Reading], records: Mapping[str, Record], limit: float = LIMIT
) -> Iterator[Cell]:
    """Yield a cell for each record of each variant; of the Neural Engine, which alone is judged."""
    for reading in readings:
        for judged in reading.variants:
            for name in judged.records:
                yield _of_judged(judged, name, records[name], limit)


def _of_judged(judged: Judged, name: str, record: Record, limit: float) -> Cell:
    attempts = [a for a in judged.attempts if a.record == name]
    ran = [i for i in record.inputs if any((r.input, r.unit) == (i, "ane") for r in record.runs)]
    word: Word = "not known" if judged.word == "set aside" else _of_attempts(attempts, limit)
    numbers = [a.ratio for a in attempts if a.state != "does not run"]
    return Cell(
        origin=origin(name, record),
        variant=judged.member.file,
        unit="ane",
        record=name,
        input=", ".join(ran),
        key=inputs_key(name, record, ran),
        word=word,
        ratio=max(numbers, default=None),
        runs=len(attempts),
        inputs=len({a.input for a in attempts}),
        detail=judged.reason or next((a.detail for a in attempts if a.detail), ""),
    )


def _of_attempts(attempts: Sequence[Attempt], limit: float) -> Word:
    """Return the word for the repeats of a record."""
    states: dict[int, set[str]] = {}
    for attempt in attempts:
        states.setdefault(attempt.input, set()).add(attempt.state)
    if any(len(each) > 1 for each in states.values()):
        return "flaky"
    words: list[Word] = [
        "failed" if a.state == "does not run" else graded(a.ratio, limit) for a in attempts
    ]
    return max(words, key=SEVERITY.index)


def inputs_key(name: str, record: Record, inputs: Sequence[str]) -> str:
    """Return what equal inputs have in common; those of a record that carries none are its own."""
    found = hashlib.sha256()
    for given in inputs:
        values = record.inputs[given]
        found.update(_bytes(values) if values else f"{name}: {given}".encode())
    return found.hexdigest()


def _bytes(values: Mapping[str, Value]) -> bytes:
    """Return the values of one set of inputs; numbers in float64, in whatever type they came."""
    found = []
    for name, value in sorted(arrays(values).items()):
        if hasattr(value, "tobytes"):
            found += [repr((name, value.shape)).encode(), value.astype(np.float64).tobytes()]
        else:
            found += [repr((name, value)).encode()]
    return b"".join(found)
