"""One output of one set of results, laid beside its reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reporter.understand import divergence
from reporter.understand import listing as listings
from reporter.understand.assessment import LIMIT
from reporter.understand.diagnosis import Diagnosis, diagnose, numbers
from reporter.understand.divergence import Metrics, Table
from reporter.understand.listing import NAMES
from reporter.understand.reference import Reference, arrays, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reporter.measure.listing import Listing
    from reporter.measure.record import Record, Run
    from reporter.understand.reference import Referee

COLUMNS = ("cpu", "gpu", "ane")
NOT_MEASURED = "not measured"
NO_MODEL = "not available: no model was given"


@dataclass(frozen=True)
class UnitResult:
    """What one compute unit gave for an output: numbers, or why there are none."""

    unit: str
    status: str  # "measured", "simulated", "stated by the user", "not measured", "failed: ..."
    metrics: Metrics | None = None


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

    @property
    def simulated(self) -> bool:
        """Whether its numbers come from the simulator."""
        return self.evidence == "simulated"

    def wrong(self, unit: str) -> bool | None:
        """Tell whether a unit's numbers are wrong: by what rounding explains, or else by tolerance.

        None if they could not be compared.
        """
        known = self.diagnosis.assessments.get(unit) if self.diagnosis else None
        if known:
            return known.wrong
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
    before: list[Run] = []
    for name, values in record.inputs.items():
        runs = [run for run in record.runs if run.input == name]
        first = _first(runs)
        reference = _reference(referee, arrays(values), first)
        for output in _outputs(reference, first):
            compared = _compare(record, source, name, output, reference, first, tolerance)
            if referee and (envelope := reference.envelopes.get(output)):
                said = numbers(referee, output, runs, before)
                known = diagnose(said, envelope, runs, referee.biases(envelope), limit)
                compared = replace(compared, diagnosis=known)
            found.append(compared)
        before = first
    return found


def from_reference(referee: Referee, inputs: Mapping[str, Any], name: str) -> list[Comparison]:
    """Return a comparison per output in which nothing is measured: the reference alone."""
    reference = referee.compute(inputs)
    units = tuple(UnitResult(unit, NOT_MEASURED) for unit in COLUMNS)
    found = []
    for output, values in _arrays(reference.outputs).items():
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


def _reference(referee: Referee | None, inputs: Mapping[str, Any], runs: list[Run]) -> Reference:
    """Return the computed reference, or else the CPU's values in its place."""
    reference = referee.compute(inputs) if referee else unavailable(NO_MODEL)
    cpu = next((run.outputs for run in runs if run.unit == "cpu" and run.outputs), None)
    if reference.computed or cpu is None:
        return reference
    note = f"{reference.note}; the units are compared with the CPU's values"
    return Reference(arrays(cpu), note, computed=False)


def _first(runs: Sequence[Run]) -> list[Run]:
    """Return each unit's first run."""
    found: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: run.repeat):
        found.setdefault(run.unit, run)
    return list(found.values())


def _arrays(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be compared number by number: arrays, images and probabilities."""
    found = {}
    for name, value in outputs.items():
        if isinstance(value, dict):
            found[name] = np.array([value[k] for k in sorted(value, key=str)], np.float64)
        elif not isinstance(value, (str, int)):
            found[name] = np.asarray(value)
    return found


def _outputs(reference: Reference, runs: list[Run]) -> Iterator[str]:
    names = dict.fromkeys(_arrays(reference.outputs))
    for run in runs:
        names.update(dict.fromkeys(_arrays(arrays(run.outputs or {}))))
    yield from names


def _compare(
    record: Record,
    source: str,
    name: str,
    output: str,
    reference: Reference,
    runs: list[Run],
    tolerance: float,
) -> Comparison:
    expected = _arrays(reference.outputs).get(output)
    given = {run.unit: _arrays(arrays(run.outputs or {})).get(output) for run in runs}
    found: dict[str, Any] = {unit: a for unit, a in given.items() if a is not None}
    skipped = None if reference.computed else "cpu"
    units = tuple(
        _unit_result(
            unit, record.evidence, runs, found, None if unit == skipped else expected, tolerance
        )
        for unit in (*COLUMNS, *(["all"] if any(run.unit == "all" for run in runs) else []))
    )
    shape = next((a.shape for a in (expected, *found.values()) if a is not None), ())
    return Comparison(
        output=output,
        shape=shape,
        source=source,
        device=str(record.device),
        evidence=record.evidence,
        input=name,
        reference=reference.note,
        units=units,
        table=_table(expected if reference.computed else None, found, _centre(expected, found)),
        against="the reference" if reference.computed else "the CPU's values",
        unexplained=reference.unexplained,
    )


def _unit_result(
    unit: str,
    evidence: str,
    runs: list[Run],
    found: dict[str, Any],
    expected: Any,
    tolerance: float,
) -> UnitResult:
    run = next((run for run in runs if run.unit == unit), None)
    if run is None:
        return UnitResult(unit, NOT_MEASURED)
    if run.failure is not None:
        return UnitResult(unit, f"failed in {run.failure.stage}: {run.failure.message}")
    if unit not in found:
        return UnitResult(unit, "gave no such output")
    if expected is None:
        return UnitResult(unit, evidence)
    if found[unit].size != expected.size:
        sizes = "x".join(map(str, found[unit].shape))
        return UnitResult(unit, f"{evidence}, of another shape: {sizes}")
    return UnitResult(unit, evidence, divergence.compare(found[unit], expected, tolerance))


def _centre(expected: Any, found: dict[str, Any]) -> int:
    """Return the worst element of the Neural Engine, or of what else was measured."""
    for unit in ("ane", "gpu", "cpu"):
        if unit in found and expected is not None and found[unit].size == expected.size:
            return divergence.worst_index(found[unit], expected)
    return 0


def _table(expected: Any, found: dict[str, Any], centre: int) -> Table:
    columns = {"Reference": expected, **{NAMES[u]: found.get(u) for u in COLUMNS}}
    shape = next((a.shape for a in (expected, *found.values()) if a is not None), ())
    same = {
        k: a if a is not None and a.size == np.prod(shape) else None for k, a in columns.items()
    }
    return divergence.table(same, shape, centre)
