"""One output of one set of inputs on one device: how wrong each unit is, who is, and of what kind.

The reference decides, never a compute unit: the CPU may be the one that is wrong. A call that gave
no output of its shape is left to `unit_result`. The cold start is none of the calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.understand.assessment import LIMIT, Assessment, assess
from reporter.understand.listing import NAMES
from reporter.understand.reference import arrays
from reporter.understand.sides import placement
from reporter.understand.signatures import Evidence, Signature, signatures
from reporter.understand.wording import counted, joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from reporter.measure.record import Run
    from reporter.understand.reference import Referee

    Array = NDArray[Any]

SUSPECTS = ("ane", "gpu", "cpu", "all")  # who is looked at first of those equally wrong
TOGETHER = "all"  # every unit: the suspect only where none is wrong by itself


@dataclass(frozen=True)
class Diagnosis:
    """What the numbers of an output say."""

    assessments: Mapping[str, Assessment]  # by unit, of its first run
    suspect: str  # the unit that is furthest off, of those by themselves if one of them is wrong
    who: tuple[str, ...]  # sentences: which units are wrong, and what their repeats say
    signatures: tuple[Signature, ...]  # of the suspect, the headline first
    calls: Mapping[str, tuple[Assessment, ...]] = field(default_factory=dict)  # by unit, every run
    cold: Mapping[str, Assessment] = field(default_factory=dict)  # by unit, of its cold start

    def every(self, unit: str) -> tuple[Assessment, ...]:
        """Return the assessments of all that a unit gave, the cold start last."""
        known = (self.assessments.get(unit), *self.calls.get(unit, ())[1:], self.cold.get(unit))
        return tuple(a for a in known if a)

    @property
    def worst(self) -> Assessment:
        """The suspect's assessment, of all that it gave the worst."""
        return max(self.every(self.suspect), key=lambda a: a.severity)

    @property
    def when(self) -> str:
        """In which of its runs the suspect is wrong, if not in all: "in 1 of 3 runs"."""
        calls = self.calls.get(self.suspect, ())
        if not self.worst.wrong or all(a.wrong for a in calls):
            return ""
        return _in_some(calls) or "at its cold start alone"


@dataclass(frozen=True)
class Numbers:
    """An output's numbers by unit, a list of arrays each, in the order of the calls."""

    calls: Mapping[str, Sequence[Array]]
    cold: Mapping[str, Array] = field(default_factory=dict)  # of the cold start

    def fitting(self, envelope: migrate.Envelope) -> Numbers:
        """Return those of the reference's shape."""
        calls = {u: [a for a in arrays if fits(a, envelope)] for u, arrays in self.calls.items()}
        cold = {u: array for u, array in self.cold.items() if fits(array, envelope)}
        return Numbers({u: arrays for u, arrays in calls.items() if arrays}, cold)

    def first(self, unit: str) -> Array | None:
        """Return what a unit gave at first."""
        return next(iter(self.calls.get(unit, ())), None)


def numbers(referee: Referee, output: str, runs: Sequence[Run]) -> Numbers:
    """Return an output's numbers in runs of one input."""
    calls: dict[str, list[Array]] = {}
    cold: dict[str, Array] = {}
    for run in sorted(runs, key=lambda run: run.repeat):
        array = _of_run(referee, output, run)
        if array is None:
            continue
        if run.start:
            cold.setdefault(run.unit, array)
        else:
            calls.setdefault(run.unit, []).append(array)
    return Numbers(calls, cold)


def _of_run(referee: Referee, output: str, run: Run) -> Array | None:
    """Return the output's array, if the run gave one of the declared kind."""
    value = arrays(run.outputs or {}).get(output)
    if value is None:
        return None
    try:
        return referee.numbers(output, value)
    except (migrate.AnereportError, KeyError, TypeError, ValueError):
        return None  # the table says that it is of another shape


def diagnose(
    found: Numbers,
    envelope: migrate.Envelope,
    runs: Sequence[Run],
    biases: Mapping[str, Array],
    limit: float = LIMIT,
    previous: Array | None = None,
) -> Diagnosis | None:
    """Return the diagnosis of an output; None if no unit gave numbers of its shape.

    `previous` is the reference of the input before this one.
    """
    found = found.fitting(envelope)
    if not found.calls:
        return None
    calls = {unit: _assessed(arrays, envelope, limit) for unit, arrays in found.calls.items()}
    known = Diagnosis(
        assessments={unit: first for unit, (first, *_) in calls.items()},
        suspect="",
        who=(),
        signatures=(),
        calls=calls,
        cold={unit: assess(array, envelope, limit) for unit, array in found.cold.items()},
    )

    def order(unit: str) -> tuple[Any, ...]:
        worst = max(known.every(unit), key=lambda a: a.severity)
        return worst.wrong, unit != TOGETHER, worst.severity, -SUSPECTS.index(unit)

    suspect = max(calls, key=order)
    return replace(
        known,
        suspect=suspect,
        who=tuple(_who(known, found)),
        signatures=_signatures(found, suspect, envelope, runs, biases, previous),
    )


def _assessed(
    calls: Sequence[Array], envelope: migrate.Envelope, limit: float
) -> tuple[Assessment, ...]:
    """Return the assessment of each call; equal bits are assessed once."""
    first = assess(calls[0], envelope, limit)
    return tuple(
        first if _equal(call, calls[0]) else assess(call, envelope, limit) for call in calls
    )


def fits(array: Array, envelope: migrate.Envelope) -> bool:
    """Tell whether an array has the shape of the reference, apart from ones."""
    return [n for n in array.shape if n != 1] == [n for n in envelope.reference.shape if n != 1]


def _who(known: Diagnosis, found: Numbers) -> Iterator[str]:
    """Yield which units rounding does not explain, and what is odd about calls and bits."""
    calls = known.calls
    wrong = [u for u, each in calls.items() if any(a.wrong for a in each)]
    right = [u for u, each in calls.items() if u not in wrong and each[0].word != "unfit"]
    alone = [u for u in wrong if u != TOGETHER]  # all together may be one of them again
    blamed = joined([f"{NAMES[u]} {_in_some(calls[u])}".strip() for u in wrong])
    if wrong and right:
        yield f"rounding explains the {joined([NAMES[u] for u in right])}, and not the {blamed}"
    elif len(alone) > 1 and _agree([u for u in wrong if not _in_some(calls[u])], found):
        yield (
            f"the {blamed} agree with each other and not with the reference, which may be what is "
            "wrong"
        )
    elif wrong:
        yield f"rounding does not explain the {blamed}"
    if _same_bits(found, "cpu", "ane") and not in_float16(found.calls["cpu"][0]):
        yield (
            "the CPU and the Neural Engine gave the same bits: the Neural Engine was probably not "
            "used"
        )
    for unit, (first, *repeats) in found.calls.items():
        others = sum(not _equal(first, repeat) for repeat in repeats)
        if others:
            yield (
                f"the {NAMES[unit]} is flaky: {others} of {len(repeats)} repeats differ in bits "
                "from the first call"
            )
    for unit, cold in known.cold.items():
        yield f"the {NAMES[unit]} {_at_cold_start(cold, found.cold[unit], found.first(unit))}"


def _in_some(calls: Sequence[Assessment]) -> str:
    """Return "in 1 of 3 runs" if so many are wrong; nothing if none or all are."""
    wrong = sum(a.wrong for a in calls)
    return f"in {wrong} of {len(calls)} runs" if 0 < wrong < len(calls) else ""


def _at_cold_start(cold: Assessment, array: Array, first: Array | None) -> str:
    """Return what a unit gave at its cold start, beside its first later call."""
    if first is not None and _equal(array, first):
        return "gave the same bits at its cold start and later"
    other = "other bits at its cold start than later" if first is not None else "at its cold start"
    return f"gave {other}: {cold.word} ({counted(cold.ratio)} times what rounding explains)"


def _agree(units: Sequence[str], found: Numbers) -> bool:
    """Tell whether several units gave nearly the same, to float16's digits."""
    firsts = [found.calls[unit][0] for unit in units]
    return len(firsts) > 1 and all(
        np.allclose(firsts[0], array, rtol=2**-9, atol=0, equal_nan=True) for array in firsts[1:]
    )


def _same_bits(found: Numbers, one: str, other: str) -> bool:
    a, b = found.first(one), found.first(other)
    return a is not None and b is not None and _equal(a, b)


def in_float16(array: Array) -> bool:
    """Tell whether every value is one of float16, so that both units may have come to it."""
    with np.errstate(over="ignore"):
        return bool(np.array_equal(array.astype(np.float16), array, equal_nan=True))


def _equal(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def _signatures(
    found: Numbers,
    suspect: str,
    envelope: migrate.Envelope,
    runs: Sequence[Run],
    biases: Mapping[str, Array],
    previous: Array | None,
) -> tuple[Signature, ...]:
    """Return what the suspect's numbers match."""
    calls = found.calls[suspect]
    plan = next((run.plan for run in runs if run.unit == "ane" and run.plan), None)
    placed = placement(plan) if plan and suspect == "ane" else None
    evidence = Evidence(
        found=calls[0],
        reference=envelope.reference,
        rmse=envelope.rmse,
        cpu=found.first("cpu") if suspect != "cpu" else None,
        gpu=found.first("gpu") if suspect != "gpu" else None,
        repeats=tuple(calls),
        cold=found.cold.get(suspect),
        previous=previous if previous is not None and fits(previous, envelope) else None,
        biases=biases,
        placement=(placed.planned, placed.total) if placed else None,
    )
    return signatures(evidence)
