"""The questions that every such report is asked, answered from what it holds and never guessed.

"Not measured" is an answer too, with the command that would give another.
"""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from reporter.understand.headline import sentence
from reporter.understand.listing import NAMES
from reporter.understand.unit_result import NOT_MEASURED
from reporter.understand.wording import counted, several, some
from reporter.write.report.asked_devices import OF_A_KIND, failing, last_good, right, second
from reporter.write.report.asked_runs import often
from reporter.write.report.summary import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from reporter.understand.comparison import Comparison
    from reporter.write.report.report import Report

UNKNOWN = NOT_MEASURED.capitalize()
BUILD = re.compile(r"\((\d+[A-Z]\w+)\)")  # "(20C65)"


@dataclass(frozen=True)
class Question:
    """A question, its answer as a sentence without its full stop, and what the answer rests on."""

    asked: str
    answer: str
    evidence: str  # "measured", "simulated", "computed", "stated by the user", "not measured"
    command: str = ""  # that would answer it, or answer it better

    @property
    def answered(self) -> bool:
        """Whether there is more to say than that it is not measured."""
        return self.evidence != NOT_MEASURED


def questions(report: Report) -> tuple[Question, ...]:
    """Return the questions in the order in which they are asked."""
    return (
        _unit(report, "cpu", "Does the CPU alone agree?"),
        _torch(report),
        _fp32(report),
        _planned(report),
        Question("Does it happen every time?", *often(report, _run(report))),
        _build(report),
        Question("Does a second device of the same model show it?", *second(report)),
        Question("Which was the last good system?", *last_good(report)),
        _minimal(report),
        _observed(report),
    )


def _run(report: Report) -> str:
    return f"anereport run {shlex.quote(report.model.identity.name)} --out record.json"


def _unit(report: Report, unit: str, asked: str) -> Question:
    """Ask whether a unit is right, of all that it gave the worst."""
    found = [
        (assessment, c)
        for c in report.comparisons
        if c.diagnosis
        for assessment in c.diagnosis.every(unit)
    ]
    if found:
        worst, c = max(found, key=lambda pair: pair[0].severity)
        off = f"at most {counted(worst.ratio)} times what rounding explains, in output '{c.output}'"
        answer = {
            "exact": "Yes: it is the reference, rounded to its type",
            "rounding": f"Yes: within rounding, {off}",
            "unfit": "Not known: rounding alone is as large as the output",
            "suspicious": f"No: it is suspicious, {off}",
            "diverges": f"No: it diverges, {off}",
        }[worst.word]
        return Question(asked, answer, c.evidence)
    for c in report.comparisons:
        result = c.result(unit)
        if result.metrics:
            error = f"Max abs error {result.metrics.max_abs:.3g} against {c.against}"
            return Question(asked, f"{error}, in output '{c.output}'", c.evidence)
        if result.status == c.evidence:
            why = c.reference.removeprefix("not comparable: ")
            return Question(asked, f"Not known: {why}", NOT_MEASURED, _run(report))
        if result.status != NOT_MEASURED:
            return Question(asked, f"No: it {result.status}", c.evidence)
    return Question(asked, UNKNOWN, NOT_MEASURED, _run(report))


def _torch(report: Report) -> Question:
    """Ask whether the units agree with the network as computed here, in PyTorch or by operation."""
    program = report.model.program is not None
    asked = f"Does {'its evaluation in float64' if program else 'PyTorch'} agree?"
    found = [c for c in report.comparisons if c.measured and c.against == REFERENCE]
    if found:
        c = found[0]
        errors = ", ".join(f"{NAMES[r.unit]} {r.metrics.max_abs:.3g}" for r in c.units if r.metrics)
        off = f"max abs error against it, output '{c.output}': {errors}; it is {c.reference}"
        units = _agreeing(c)
        return Question(asked, f"{units}: {off}" if units else sentence(off), c.evidence)
    reasons = list(dict.fromkeys(c.reference for c in report.comparisons if c.device or c.source))
    answer = f"{UNKNOWN}: {'; '.join(reasons)}" if reasons else UNKNOWN
    return Question(asked, answer, NOT_MEASURED, _run(report))


def _agreeing(comparison: Comparison) -> str:
    """Return "CPU and GPU yes, ANE no", by what rounding explains; nothing if that is not known."""
    said: dict[str, list[str]] = {"yes": [], "no": [], "not known": []}
    for r in comparison.units:
        known = comparison.diagnosis.every(r.unit) if comparison.diagnosis else ()
        if comparison.diagnosis and (known or r.lost):
            unfit = all(a.word == "unfit" for a in known)
            no = bool(r.lost or r.cold) or any(a.wrong for a in known)
            said["no" if no else "not known" if unfit else "yes"].append(NAMES[r.unit])
    return ", ".join(f"{' and '.join(units)} {word}" for word, units in said.items() if units)


def _fp32(report: Report) -> Question:
    """Ask whether it is gone in float32, by an ML Program in fp32 if one was measured."""
    asked = "Does it go away in fp32?"
    if report.model.program is not None:
        precision = report.model.program.precision.replace("mixed", "fp16 and fp32")
        return Question(asked, f"{UNKNOWN}: this program computes in {precision}", NOT_MEASURED)
    migration = report.migration
    single = {
        v.name for v in (migration.variants if migration else ()) if v.options
        and v.options.precision == "fp32"
    }  # fmt: skip
    for verdict in migration.verdicts if migration else ():
        side = verdict.after
        if verdict.variant in single and side and side.ane.state != NOT_MEASURED:
            answer = (
                f"{verdict.variant} is {side.ane.state} with .cpuAndNeuralEngine and "
                f"{side.cpu.state} on the CPU; in fp32 it never runs on the Neural Engine"
            )
            return Question(asked, answer, verdict.evidence)
    return Question(asked, UNKNOWN, NOT_MEASURED, _fp32_command(report, single))


def _fp32_command(report: Report, single: Collection[str]) -> str:
    """Return what measures the ML Program in fp32, which a matrix alone holds beside the others."""
    name, migration = report.model.identity.name, report.migration
    verdicts = migration.verdicts if migration else ()
    if known := [c for v in verdicts if v.variant in single for c in v.commands]:
        return " && ".join(dict.fromkeys(known))
    again = " --force" if migration and not single else ""  # over the folder that is there
    run = f"anereport run {shlex.quote(f'{PurePath(name).stem}-mlprogram')} --out records"
    prepare = f"anereport migrate {shlex.quote(name)} --matrix{again} && "
    return f"{'' if single else prepare}{run}"


def _planned(report: Report) -> Question:
    """Ask whether it is on the Neural Engine: what is planned, and whose numbers it gave."""
    asked = "Does it run on the Neural Engine?"
    first = [(c.device, c.evidence) for c in report.comparisons[:1]]
    compared = [device for device in report.devices if (device.text, device.evidence) in first]
    doubts = [d for device in compared for d in device.doubts if "Neural Engine" in d]
    but = f"; but {doubts[0]}" if doubts else ""
    if placed := report.placement:
        answer = f"Planned there: {placed.planned} of {placed.total} operations"
        if placed.elsewhere:
            answer += f", not {some(placed.elsewhere, 3)}"
        return Question(asked, f"{answer}; a plan does not show where it ran{but}", "measured")
    for c in report.comparisons:
        cpu, ane = c.result("cpu").metrics, c.result("ane").metrics
        if cpu and ane:
            whose = "its numbers are not the CPU's" if cpu != ane else "its errors are the CPU's"
            answer = f"No compute plan in the records; {whose}{but}"
            return Question(asked, answer, c.evidence, _run(report))
    answer = f"{UNKNOWN}: no record holds a plan{but}"
    return Question(asked, answer, NOT_MEASURED, _run(report))


def _build(report: Report) -> Question:
    """Ask on which system build it was seen."""
    asked = "On which device and build?"
    named = [d for d in failing(report) if BUILD.search(d.text)]
    if named:
        shown = [d.text for d in named if d.evidence == named[0].evidence][:OF_A_KIND]
        more = f"; and {len(named) - len(shown)} more" if len(named) > len(shown) else ""
        others = f"; right on: {found}" if (found := right(report)) else ""
        return Question(asked, "; ".join(shown) + more + others, named[0].evidence)
    name = shlex.quote(report.model.identity.name)
    command = f'anereport create {name} --record FILE --device "MODEL, SYSTEM VERSION (BUILD)"'
    return Question(asked, "No result names its system build", NOT_MEASURED, command)


def _minimal(report: Report) -> Question:
    """Ask for the smallest model that fails."""
    asked = "Is there a smaller model that shows it?"
    name = shlex.quote(report.model.identity.name)
    if found := report.shrunk:
        there = f"; it is {found.file}, {found.size:,} bytes" if found.file else ""
        answer = f"{found.sentences[0].removesuffix('.')}{there}"
        return Question(asked, answer, found.evidence, found.command)
    for reading in report.readings:
        if reading.smallest:
            evidence = "simulated" if reading.simulated else "measured"
            command = f"anereport variants {name} --shrink"
            return Question(asked, reading.smallest.removesuffix("."), evidence, command)
    if report.model.program is not None:
        size = f"this one has {several(len(report.model.program.operations), 'operation')}"
        return Question(asked, f"{UNKNOWN}; {size}", NOT_MEASURED)
    size = f"this one has {several(len(report.model.layers), 'layer')}"
    command = f"anereport variants {name} --shrink"
    return Question(asked, f"{UNKNOWN}; {size}", NOT_MEASURED, command)


def _observed(report: Report) -> Question:
    """Ask for what was expected and what was observed, in the row that is farthest off."""
    asked = "What was expected, and what was observed?"
    for c in report.comparisons:
        rows = [row for row in c.table.rows if row is not None and _distance(row.values) >= 0]
        if rows:
            row = max(rows, key=lambda row: _distance(row.values))
            column = _expected(row.values)
            place = f"At index {row.index} ({','.join(map(str, row.position))})"
            answer = (
                f"{place} of output '{c.output}', {c.table.columns[column]} {row.values[column]} "
                f"and ANE {row.values[-1]}"
            )
            return Question(asked, answer, c.evidence)
    return Question(asked, UNKNOWN, NOT_MEASURED, _run(report))


def _expected(values: Sequence[str]) -> int:
    """Return the column of what the Neural Engine is laid beside: the reference, or the CPU."""
    return 0 if values[0] else 1


def _distance(values: Sequence[str]) -> float:
    """Return how far the last column is from what is expected; -1 where one is absent."""
    try:
        distance = abs(float(values[_expected(values)]) - float(values[-1]))
    except ValueError:
        return -1
    return math.inf if math.isnan(distance) else distance
