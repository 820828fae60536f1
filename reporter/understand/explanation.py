"""Which single fault in which layer would give the outputs that were measured.

Each candidate's outputs are computed and laid beside the measured ones. The residual is the RMSE of
the worst channel of the worst output, in the error that rounding explains of it; where a fault
makes values larger, rounding is taken to grow with them. A fault explains what was measured if its
residual is within the limit; faults that the numbers cannot tell apart are one class, and none of
them is an answer too. That a fault explains the numbers does not show that it is what happened.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import migrate
from migrate import AnereportError
from reporter.progress import Progress, Silent
from reporter.understand.assessment import LIMIT
from reporter.understand.diagnosis import numbers
from reporter.understand.listing import NAMES
from reporter.understand.reference import arrays
from reporter.understand.ruler import Ruler
from reporter.understand.wording import counted, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reporter.measure.record import Record, Run
    from reporter.understand.comparison import Comparison
    from reporter.understand.reference import Referee
    from reporter.understand.ruler import Outputs

NAMED = 4  # faults of a class that a sentence names
BUDGET = 60.0  # seconds
SHOWN = 5  # classes
TIED = 1.0  # residual between the outputs of faults that cannot be told apart


@dataclass(frozen=True)
class Candidate:
    """Faults that give the same outputs, and how far these are from the measured ones."""

    faults: tuple[str, ...]  # FAULT@LAYER, the most plausible first
    says: str  # what the first of them would do
    residual: float


@dataclass(frozen=True)
class Explanation:
    """What was tried on one input, and the classes that come nearest, the best first."""

    input: str
    unit: str
    candidates: tuple[Candidate, ...]
    healthy: float  # the residual without any fault
    tried: int
    possible: int
    left_out: int  # layers inside of branches and loops, which are not tried
    limit: float
    source: str = ""  # the records, where there are several

    @property
    def found(self) -> tuple[Candidate, ...]:
        """The classes that explain what was measured."""
        return tuple(c for c in self.candidates if c.residual <= self.limit)

    @property
    def finished(self) -> bool:
        """Whether every possible fault was tried within the budget."""
        return self.tried == self.possible


@dataclass
class _Class:
    faults: list[str]
    says: str
    residual: float
    outputs: Outputs = field(repr=False)


def explain(
    net: migrate.Model,
    inputs: dict[str, Any],
    measured: Outputs,
    envelopes: Mapping[str, migrate.Envelope],
    *,
    name: str = "",
    unit: str = "ane",
    previous: dict[str, Any] | None = None,
    limit: float = LIMIT,
    budget: float = BUDGET,
    progress: Progress | None = None,
) -> Explanation:
    """Return which single faults explain outputs, in the order that envelopes have.

    `previous` are the inputs of the prediction before, whose data may have been left over. It stops
    after `budget` seconds with what it has. Raises UnsupportedError for a network that draws random
    numbers.
    """
    progress = progress or Silent()
    ruler = Ruler(measured, envelopes)
    counterfactuals = migrate.Counterfactuals(net, inputs, previous=previous)
    right = [output for output in measured if ruler.within(output, limit)]
    wrong = [output for output in measured if output not in right]
    faults = counterfactuals.possible(wrong, right)
    progress.expect(len(faults))
    classes: list[_Class] = []
    tried = 0
    for one in within(budget, counterfactuals.search(faults)):
        tried += 1
        progress.step(f"trying {one.fault}")
        if one.same_as is not None:
            _join(classes, str(one.same_as), str(one.fault))
        elif one.outputs is not None:
            residual = ruler.residual(one.outputs)
            says = migrate.FAULTS[one.fault.name].what
            classes.append(_Class([str(one.fault)], says, residual, one.outputs))
            classes = _nearest(classes, limit)
    found = _merged(sorted(classes, key=lambda c: c.residual), ruler)
    return Explanation(
        input=name,
        unit=unit,
        candidates=tuple(Candidate(tuple(c.faults), c.says, c.residual) for c in found[:SHOWN]),
        healthy=ruler.residual(counterfactuals.healthy),
        tried=tried,
        possible=len(faults),
        left_out=counterfactuals.left_out,
        limit=limit,
    )


def of_record(
    record: Record,
    referee: Referee | None,
    compared: Sequence[Comparison],
    *,
    limit: float = LIMIT,
    budget: float = BUDGET,
    progress: Progress | None = None,
) -> list[Explanation]:
    """Return an explanation for each input of a record on which a unit is wrong.

    `compared` are the record's comparisons with their diagnoses. The budget, in seconds, is for
    all inputs together, one fault of each aside; with none of it nothing is tried. An ML Program
    has no layers to try.
    """
    if referee is None or not isinstance(referee.subject, migrate.Network):
        return []
    found: list[Explanation] = []
    end, previous = time.monotonic() + budget, None
    for name, values in record.inputs.items():
        inputs = arrays(values)
        reference = referee.compute(inputs)
        known = [c.diagnosis for c in compared if c.input == name and c.diagnosis]
        worst = max(known, key=lambda d: d.worst.severity, default=None)
        if worst and worst.assessments[worst.suspect].wrong and budget > 0:
            envelopes = reference.envelopes
            runs = [run for run in record.runs if run.input == name]
            found.append(
                explain(
                    referee.net,
                    inputs,
                    _measured(referee, runs, worst.suspect, envelopes),
                    envelopes,
                    name=name,
                    unit=worst.suspect,
                    previous=previous,
                    limit=limit,
                    budget=max(end - time.monotonic(), 0.0),
                    progress=progress,
                )
            )
        previous = inputs if reference.computed else None
    return found


def _measured(
    referee: Referee, runs: Sequence[Run], unit: str, envelopes: Mapping[str, migrate.Envelope]
) -> Outputs:
    """Return a unit's outputs as they were assessed, without those of another shape."""
    first = {
        name: numbers(referee, name, runs).fitting(envelope).first(unit)
        for name, envelope in envelopes.items()
    }
    return {name: array for name, array in first.items() if array is not None}


def sentences(one: Explanation) -> list[str]:
    """Return what the search found, in sentences."""
    return [_found(one), *_how_far(one)]


def _found(one: Explanation) -> str:
    where = f"of the {NAMES[one.unit]}" + (f" on input {one.input}" if one.input else "")
    where += f" in {one.source}" if one.source else ""
    if not one.possible:
        return f"no single fault makes the outputs {where}: no layer lies before all wrong ones"
    if not one.candidates:
        return f"none of the {one.tried:,} single faults tried changes the outputs {where}"
    best = one.candidates[0]
    if not one.found:
        return (
            f"none of the {one.tried:,} single faults tried gives the outputs {where}; the "
            f"nearest, {best.faults[0]}, is {counted(best.residual)} times what rounding explains "
            "away"
        )
    others = f" (the same as {some(best.faults[1:], NAMED)})" if best.faults[1:] else ""
    text = (
        f"one fault gives the outputs {where} {_closely(best.residual)}: {best.faults[0]}{others}, "
        f"that is to {_uncapitalized(best.says)}"
    )
    more = [f"{c.faults[0]} ({counted(c.residual)})" for c in one.found[1:]]
    return f"{text}; so do, less well, {some(more, NAMED)}" if more else text


def _how_far(one: Explanation) -> list[str]:
    found = []
    if one.found and one.candidates[len(one.found) :]:
        other = one.candidates[len(one.found)]
        away = f"is {counted(other.residual)} times away"
        found.append(f"the nearest other, {other.faults[0]}, {away}")
    if not one.finished:
        found.append(
            f"{one.tried:,} of {one.possible:,} faults were tried within the budget: --budget "
            "gives more seconds"
        )
    if one.left_out:
        found.append(
            f"faults of {one.left_out:,} layers inside of branches and loops are not tried"
        )
    if one.found:
        found.append("that a fault gives these numbers does not show that it is what happened")
    return found


def _closely(residual: float) -> str:
    return f"to {counted(residual)} times what rounding explains" if residual else "exactly"


def _uncapitalized(sentence: str) -> str:
    return (sentence[:1].lower() + sentence[1:]).removesuffix(".")


def check_budget(budget: float) -> None:
    """Raise AnereportError unless the budget is a number of seconds, or none."""
    if not 0 <= budget < math.inf:
        raise AnereportError(f"a budget is a number of seconds, not {budget}")


def within(budget: float, tries: Iterator[migrate.Tried]) -> Iterator[migrate.Tried]:
    """Yield until the budget is spent; at least one."""
    end = time.monotonic() + budget
    for one in tries:
        yield one
        if time.monotonic() > end:
            return


def _join(classes: list[_Class], known: str, fault: str) -> None:
    """Add a fault to the class of one that gives the same outputs, if that is kept."""
    for one in classes:
        if known in one.faults:
            one.faults.append(fault)


def _nearest(classes: list[_Class], limit: float) -> list[_Class]:
    """Return those worth keeping: what is within the limit, and the nearest of the others."""
    ordered = sorted(classes, key=lambda c: c.residual)
    within = sum(c.residual <= limit for c in ordered)
    return ordered[: max(within, SHOWN)]


def _merged(classes: list[_Class], ruler: Ruler) -> list[_Class]:
    """Return classes with those made one whose outputs rounding does not tell apart."""
    found: list[_Class] = []
    for one in classes:
        for other in found:
            if ruler.between(one.outputs, other.outputs) <= TIED:
                other.faults += one.faults
                break
        else:
            found.append(one)
    return found
