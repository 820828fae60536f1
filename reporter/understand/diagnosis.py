"""One output of one set of inputs on one device: how wrong each unit is, who is, and of what kind.

The reference decides, never a compute unit: the CPU may be the one that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.understand.assessment import LIMIT, Assessment, assess
from reporter.understand.listing import NAMES
from reporter.understand.reference import arrays
from reporter.understand.sides import placement
from reporter.understand.signatures import Evidence, Signature, signatures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from reporter.measure.record import Run
    from reporter.understand.reference import Referee

    Array = NDArray[Any]

SUSPECTS = ("ane", "gpu", "all", "cpu")  # who is looked at first of those equally wrong


@dataclass(frozen=True)
class Diagnosis:
    """What the numbers of an output say."""

    assessments: Mapping[str, Assessment]  # by unit, of its first run
    suspect: str  # the unit that is furthest off
    who: tuple[str, ...]  # sentences: which units are wrong, and what their repeats say
    signatures: tuple[Signature, ...]  # of the suspect, the headline first
    calls: Mapping[str, tuple[Assessment, ...]] = field(default_factory=dict)  # by unit, every run

    @property
    def worst(self) -> Assessment:
        """The suspect's assessment."""
        return self.assessments[self.suspect]


@dataclass(frozen=True)
class Numbers:
    """An output's numbers by unit, a list of arrays each, in the order of the calls."""

    calls: Mapping[str, Sequence[Array]]
    previous: Mapping[str, Array]  # of the input before this one

    def first(self, unit: str) -> Array | None:
        """Return what a unit gave at first."""
        return next(iter(self.calls.get(unit, ())), None)


def numbers(
    referee: Referee, output: str, runs: Sequence[Run], before: Sequence[Run] = ()
) -> Numbers:
    """Return an output's numbers in runs of one input; `before` are those of the input before."""
    calls: dict[str, list[Array]] = {}
    for run in sorted(runs, key=lambda run: run.repeat):
        array = _of_run(referee, output, run)
        if array is not None:
            calls.setdefault(run.unit, []).append(array)
    previous = {run.unit: _of_run(referee, output, run) for run in before}
    return Numbers(calls, {unit: array for unit, array in previous.items() if array is not None})


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
) -> Diagnosis | None:
    """Return the diagnosis of an output; None if no unit gave numbers of its shape."""
    calls = {
        unit: _assessed(arrays, envelope, limit)
        for unit, arrays in found.calls.items()
        if arrays and fits(arrays[0], envelope)
    }
    assessments = {unit: first for unit, (first, *_) in calls.items()}
    if not assessments:
        return None
    suspect = max(assessments, key=lambda u: (assessments[u].severity, -SUSPECTS.index(u)))
    return Diagnosis(
        assessments=assessments,
        suspect=suspect,
        who=tuple(_who(assessments, found)),
        signatures=_signatures(found, suspect, envelope, runs, biases),
        calls=calls,
    )


def _assessed(
    calls: Sequence[Array], envelope: migrate.Envelope, limit: float
) -> tuple[Assessment, ...]:
    """Return the assessment of each call of the reference's shape; equal bits are assessed once."""
    first = assess(calls[0], envelope, limit)
    return tuple(
        first if _equal(call, calls[0]) else assess(call, envelope, limit)
        for call in calls
        if fits(call, envelope)
    )


def fits(array: Array, envelope: migrate.Envelope) -> bool:
    """Tell whether an array has the shape of the reference, apart from ones."""
    return [n for n in array.shape if n != 1] == [n for n in envelope.reference.shape if n != 1]


def _who(assessments: Mapping[str, Assessment], found: Numbers) -> Iterator[str]:
    """Yield which units rounding does not explain, and what is odd about calls and bits."""
    wrong = [NAMES[u] for u, a in assessments.items() if a.wrong]
    right = [NAMES[u] for u, a in assessments.items() if not a.wrong and a.word != "unfit"]
    if wrong and right:
        yield f"rounding explains the {_listed(right)}, and not the {_listed(wrong)}"
    elif len(wrong) > 1 and _agree(assessments, found):
        yield (
            f"the {_listed(wrong)} agree with each other and not with the reference, which may be "
            "what is wrong"
        )
    elif wrong:
        yield f"rounding does not explain the {_listed(wrong)}"
    if _same_bits(found, "cpu", "ane") and not _in_float16(found.calls["cpu"][0]):
        yield (
            "the CPU and the Neural Engine gave the same bits: the Neural Engine was probably not "
            "used"
        )
    for unit, calls in found.calls.items():
        others = sum(not _equal(calls[0], call) for call in calls[1:])
        if others:
            yield (
                f"the {NAMES[unit]} is flaky: {others} of {len(calls) - 1} repeats differ in bits "
                "from the first call"
            )


def _agree(assessments: Mapping[str, Assessment], found: Numbers) -> bool:
    """Tell whether all wrong units gave nearly the same, to float16's digits."""
    calls = [found.calls[unit][0] for unit, a in assessments.items() if a.wrong]
    return all(
        np.allclose(calls[0], call, rtol=2**-9, atol=0, equal_nan=True) for call in calls[1:]
    )


def _same_bits(found: Numbers, one: str, other: str) -> bool:
    a, b = found.first(one), found.first(other)
    return a is not None and b is not None and _equal(a, b)


def _in_float16(array: Array) -> bool:
    """Tell whether every value is one of float16, so that both units may have come to it."""
    with np.errstate(over="ignore"):
        return bool(np.array_equal(array.astype(np.float16), array, equal_nan=True))


def _equal(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _signatures(
    found: Numbers,
    suspect: str,
    envelope: migrate.Envelope,
    runs: Sequence[Run],
    biases: Mapping[str, Array],
) -> tuple[Signature, ...]:
    """Return what the suspect's numbers match; what does not belong together matches nothing."""

    def fitting(array: Array | None) -> Array | None:
        return array if array is not None and fits(array, envelope) else None

    calls = [call for call in found.calls[suspect] if fits(call, envelope)]
    plan = next((run.plan for run in runs if run.unit == "ane" and run.plan), None)
    placed = placement(plan) if plan and suspect == "ane" else None
    evidence = Evidence(
        found=calls[0],
        reference=envelope.reference,
        rmse=envelope.rmse,
        cpu=fitting(found.first("cpu")) if suspect != "cpu" else None,
        gpu=fitting(found.first("gpu")) if suspect != "gpu" else None,
        repeats=tuple(calls),
        previous=fitting(found.previous.get(suspect)),
        biases=biases,
        placement=(placed.planned, placed.total) if placed else None,
    )
    return signatures(evidence)
