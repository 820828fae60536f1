"""One output of one set of results, laid beside its reference."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reporter.measure.devices import named
from reporter.measure.inputs import CONTROLS
from reporter.understand import divergence
from reporter.understand import listing as listings
from reporter.understand.assessment import LIMIT
from reporter.understand.diagnosis import Diagnosis, diagnose, numbers
from reporter.understand.divergence import Table
from reporter.understand.listing import NAMES
from reporter.understand.reference import Reference, arrays, unavailable
from reporter.understand.sketch import Sketch, of_output
from reporter.understand.unit_result import NOT_MEASURED, Asked, UnitResult, numeric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reporter.measure.listing import Listing
    from reporter.measure.record import Record, Run
    from reporter.understand.reference import Referee

COLUMNS = ("cpu", "gpu", "ane")
NO_MODEL = "not available: no model was given"


@dataclass(frozen=True)
class Comparison:
    """One output, for one input on one device: per unit, and the rows around the worst element."""

    output: str
    shape: tuple[int, ...]
    source: str
    device: str
    evidence: str  # "measured", "simulated", "stated by the user", "computed"
    input: str
    reference: str  # what the reference is, or why there is none
    units: tuple[UnitResult, ...]
    table: Table
    statements: tuple[str, ...] = ()
    left: tuple[str, ...] = ()  # of a listing: the faults that its rows leave
    against: str = "the reference"  # what the metrics compare with
    diagnosis: Diagnosis | None = None  # by what rounding explains, where that is known
    unexplained: str = ""  # why it is not known
    sketches: tuple[Sketch, ...] = ()  # what pictures of it are drawn from, a unit each

    @property
    def simulated(self) -> bool:
        """Whether its numbers come from the simulator."""
        return self.evidence == "simulated"

    @property
    def control(self) -> bool:
        """Whether its input is a control, which is no noise."""
        return self.input in CONTROLS

    @property
    def losses(self) -> tuple[str, ...]:
        """What units did in some runs, or at the cold start, in place of giving the output."""
        found = []
        for r in self.units:
            if r.partly:
                runs = f"in {r.lost} of {r.runs} runs of input {self.input}"
                found.append(f"{runs} the {NAMES[r.unit]} {r.why}")
            if r.cold:
                start = f"at its cold start on input {self.input}"
                found.append(f"{start} the {NAMES[r.unit]} {r.cold}")
        return tuple(found)

    @property
    def around(self) -> str:
        """Which channel's worst element the table's rows are around, where units are compared."""
        channel = _channel(self.shape, self.diagnosis)
        if channel is None:
            return "the worst channel (by RMSE)"
        return f"channel {channel}, the worst by what rounding explains"

    def wrong(self, unit: str) -> bool | None:
        """Tell whether a unit's numbers are wrong: by what rounding explains, or else by tolerance.

        Of any of its runs. None if they could not be compared.
        """
        known = self.diagnosis.every(unit) if self.diagnosis else ()
        if known:
            return any(assessment.wrong for assessment in known)
        metrics = next((r.metrics for r in self.units if r.unit == unit), None)
        return None if metrics is None else metrics.beyond > 0

    @property
    def measured(self) -> bool:
        """Whether any unit's numbers could be compared with the reference."""
        return any(r.metrics is not None for r in self.units)

    def result(self, unit: str) -> UnitResult:
        """Return one unit's result."""
        return next(r for r in self.units if r.unit == unit)


def from_record(
    record: Record,
    referee: Referee | None,
    source: str,
    tolerance: float,
    limit: float = LIMIT,
) -> list[Comparison]:
    """Return a comparison per input and array output of a record.

    Where no reference can be computed the CPU takes its place, and that is said.
    """
    found: list[Comparison] = []
    before: Reference | None = None
    for name, values in record.inputs.items():
        runs = [run for run in record.runs if run.input == name]
        reference = _reference(referee, arrays(values), runs)
        for output in _outputs(reference, runs):
            known: Diagnosis | None = None
            drawn: tuple[Sketch, ...] = ()
            if referee and (envelope := reference.envelopes.get(output)):
                earlier = before.envelopes.get(output) if before else None
                said = numbers(referee, output, runs)
                known = diagnose(
                    said,
                    envelope,
                    runs,
                    referee.biases(envelope),
                    limit,
                    previous=earlier.reference if earlier else None,
                )
                if known:
                    drawn = of_output(said, envelope, known, limit, referee.labels(output))
            compared = _compare(record, source, name, output, reference, tolerance, known)
            found.append(replace(compared, sketches=drawn))
        before = reference
    return found


def from_reference(referee: Referee, inputs: Mapping[str, Any], name: str) -> list[Comparison]:
    """Return a comparison per output in which nothing is measured: the reference alone."""
    reference = referee.compute(inputs)
    units = tuple(UnitResult(unit, NOT_MEASURED) for unit in COLUMNS)
    found = []
    for output, values in numeric(reference.outputs).items():
        centre = int(np.argmax(np.abs(values))) if values.size else 0
        table = _table(values, {}, centre)
        found.append(
            Comparison(output, values.shape, "", "", "computed", name, reference.note, units, table)
        )
    if not reference.computed:
        empty = Table(("Reference", "CPU", "GPU", "ANE"), (), ())
        found.append(Comparison("", (), "", "", "computed", name, reference.note, units, empty))
    return found


def from_listing(
    listing: Listing, source: str, device: str, output: str, left: Sequence[str] = ()
) -> Comparison:
    """Return what a pasted listing shows; it carries no inputs, so no metric can be computed.

    `left` are sentences on the faults that its rows leave.
    """
    units = tuple(
        UnitResult(unit, "stated by the user" if unit in listing.units else NOT_MEASURED)
        for unit in COLUMNS
    )
    return Comparison(
        output=output,
        shape=listing.shape,
        source=source,
        device=device,
        evidence="stated by the user",
        input="",
        reference=listings.NOT_COMPARABLE,
        units=units,
        table=listings.table(listing),
        statements=tuple(listings.statements(listing)),
        left=tuple(left),
    )


def _reference(
    referee: Referee | None, inputs: Mapping[str, Any], runs: Sequence[Run]
) -> Reference:
    """Return the computed reference, or else the CPU's values in its place."""
    reference = referee.compute(inputs) if referee else unavailable(NO_MODEL)
    ran = sorted(runs, key=lambda run: run.repeat)
    cpu = next((run.outputs for run in ran if run.unit == "cpu" and run.outputs), None)
    if reference.computed or cpu is None:
        return reference
    note = f"{reference.note}; the units are compared with the CPU's values"
    return Reference(arrays(cpu), note, computed=False)


def _outputs(reference: Reference, runs: Sequence[Run]) -> Iterator[str]:
    """Yield the names of outputs; one that is empty where all that is known is a failure."""
    names = dict.fromkeys(numeric(reference.outputs))
    for run in runs:
        names.update(dict.fromkeys(numeric(arrays(run.outputs or {}))))
    yield from names or [""] * any(run.failure for run in runs)


def _compare(
    record: Record,
    source: str,
    name: str,
    output: str,
    reference: Reference,
    tolerance: float,
    known: Diagnosis | None,
) -> Comparison:
    expected = numeric(reference.outputs).get(output)
    asked = Asked(output, record.evidence, expected, tolerance)
    alone = replace(asked, expected=None)  # what stands in for the reference is not compared
    units, found = [], {}
    for unit in _units(record):
        runs, cold = _runs(record, name, unit)
        one = asked if reference.computed or unit != "cpu" else alone
        units.append(one.result(unit, runs, cold, _failed_on(record, unit)))
        if runs and (array := one.array(one.shown(runs))) is not None:
            found[unit] = array
    shape = next((a.shape for a in (expected, *found.values()) if a is not None), ())
    return Comparison(
        output=output,
        shape=shape,
        source=source,
        device=str(named(record.device)),
        evidence=record.evidence,
        input=name,
        reference=reference.note,
        units=tuple(units),
        table=_table(
            expected if reference.computed else None, found, _centre(expected, found, known)
        ),
        against="the reference" if reference.computed else "the CPU's values",
        diagnosis=known,
        unexplained=reference.unexplained,
    )


def _units(record: Record) -> tuple[str, ...]:
    return (*COLUMNS, *(["all"] if any(run.unit == "all" for run in record.runs) else []))


def _runs(record: Record, name: str, unit: str) -> tuple[list[Run], list[Run]]:
    """Return a unit's runs of an input in the order of their repeats, and those of cold starts."""
    runs = [run for run in record.runs if (run.input, run.unit) == (name, unit)]
    runs.sort(key=lambda run: run.repeat)
    return [run for run in runs if not run.start], [run for run in runs if run.start]


def _failed_on(record: Record, unit: str) -> str:
    """Return the last input on which a unit failed; a failed load is the end of its runs."""
    failed = [run.input for run in record.runs if run.unit == unit and run.failure]
    return failed[-1] if failed else ""


def _channel(shape: tuple[int, ...], known: Diagnosis | None) -> int | None:
    """Return the worst channel by what rounding explains; none of an image, which has others."""
    if known is None or known.worst.channels != math.prod(shape[:-2]):
        return None
    return known.worst.channel


def _centre(expected: Any, found: dict[str, Any], known: Diagnosis | None) -> int:
    """Return the worst element of the suspect's worst channel, by what rounding explains.

    Where that is not known it is that of the Neural Engine, or of what else was measured, by RMSE.
    """
    same = {u: a for u, a in found.items() if expected is not None and a.size == expected.size}
    if known and known.suspect in same and _channel(expected.shape, known) is not None:
        return divergence.worst_in_channel(same[known.suspect], expected, known.worst.channel)
    for unit in ("ane", "gpu", "cpu"):
        if unit in same:
            return divergence.worst_index(same[unit], expected)
    return 0


def _table(expected: Any, found: dict[str, Any], centre: int) -> Table:
    columns = {"Reference": expected, **{NAMES[u]: found.get(u) for u in COLUMNS}}
    if expected is None and not found:
        return Table(tuple(columns), (), ())
    shape = next((a.shape for a in (expected, *found.values()) if a is not None), ())
    same = {
        k: a if a is not None and a.size == np.prod(shape) else None for k, a in columns.items()
    }
    return divergence.table(same, shape, centre)
