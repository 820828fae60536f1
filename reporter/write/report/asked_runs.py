"""How often it is wrong: the Neural Engine's runs of each device on each build, input by input.

A fault that shows with some inputs and not with others, or on some devices, is no flaky one: that
is one whose runs of the same input on the same device and build differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reporter.understand.unit_result import NOT_MEASURED
from reporter.understand.wording import several
from reporter.write.report.asked_devices import OF_A_KIND, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reporter.understand.comparison import Comparison
    from reporter.understand.origin import Origin
    from reporter.write.report.asked_devices import Answer
    from reporter.write.report.report import Report


@dataclass
class _Tally:
    """The runs of one device on one build: by input how many, and how many wrong or lost."""

    origin: Origin | None  # none where all results are of one
    inputs: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, key: str, runs: int, bad: int) -> None:
        """Count runs of an input."""
        before = self.inputs.get(key, (0, 0))
        self.inputs[key] = (before[0] + runs, before[1] + bad)

    @property
    def runs(self) -> int:
        return sum(runs for runs, _ in self.inputs.values())

    @property
    def bad(self) -> int:
        return sum(bad for _, bad in self.inputs.values())

    @property
    def when(self) -> str:
        """In which runs it is wrong: "every run", "some runs", "none", or by input."""
        if any(0 < bad < runs for runs, bad in self.inputs.values()):
            return "some runs"
        if self.bad in (0, self.runs):
            return "every run" if self.bad else "none"
        return "every run of some inputs"

    @property
    def place(self) -> str:
        """Return "iPhone14,5 (iOS 16.2, 20C65), label a (6 of 6)"."""
        return f"{place(self.origin)} ({self.bad:,} of {self.runs:,})" if self.origin else ""


def often(report: Report, again: str) -> Answer:
    """Tell in which runs it is wrong, by device where there are several; `again` measures more."""
    found = [tally for tally in _tallies(report) if tally.runs]
    if not found:
        return NOT_MEASURED.capitalize(), NOT_MEASURED, again
    evidence = report.comparisons[0].evidence
    runs, bad = sum(t.runs for t in found), sum(t.bad for t in found)
    if runs == 1:
        return f"It was run once, and was {'wrong' if bad else 'right'}", evidence, again
    words = {t.when for t in found if t.bad}
    word = "It does not happen"
    if words:
        flaky = "some runs" in words
        word = "Yes" if not flaky else "No" if words == {"some runs"} else "Not on every device"
    if len(found) > 1 and sum(t.runs for t in found if t.bad) == 1:
        return f"Not known, as it was run once where it fails: in {_where(found)}", evidence, again
    if len(found) > 1 and words:
        return f"{word}: in {_where(found)}", evidence, ""
    inputs = len({key for t in found for key in t.inputs})
    some = ", with some inputs" if "every run of some inputs" in words else ""
    of = f"{bad:,} of {runs:,} runs, of {several(inputs, 'input')}"
    return f"{word}{some}: wrong in {of}", evidence, ""


def _where(found: Sequence[_Tally]) -> str:
    """Return "every run on A, label a (6 of 6); in none on B, label b (0 of 6)"."""
    parts = []
    for when in ("every run", "every run of some inputs", "some runs", "none"):
        here = [t.place for t in found if t.when == when]
        if here:
            more = [f"{len(here) - OF_A_KIND} more"] if len(here) > OF_A_KIND else []
            parts.append(f"{when} on {', and on '.join([*here[:OF_A_KIND], *more])}")
    return "; in ".join(parts)


def _tallies(report: Report) -> Iterator[_Tally]:
    """Yield the runs of the headline's evidence that have a verdict, of outputs the worst."""
    if not report.comparisons:
        return
    evidence = report.comparisons[0].evidence
    counted: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for c in report.comparisons:
        if c.evidence == evidence and not c.control and (count := _counted(c)):
            counted.setdefault((c.source, c.input), []).append(count)
    worst = {
        key: (max(runs for runs, _ in counts), max(bad for _, bad in counts))
        for key, counts in counted.items()
    }
    rows = [
        r for r in report.agreement.rows if (r.variant, r.unit) == (report.agreement.model, "ane")
    ]
    if not rows:
        tally = _Tally(None)
        for (_, given), count in worst.items():
            tally.add(given, *count)
        yield tally
    for row in rows:
        tally = _Tally(row.origin)
        for cell in row.cells:
            if cell.state and (cell.record, cell.input) in worst:
                tally.add(cell.key, *worst[cell.record, cell.input])
        yield tally


def _counted(comparison: Comparison) -> tuple[int, int] | None:
    """Return how many runs of the Neural Engine have a verdict, and how many are wrong or lost.

    A cold start counts where it alone is wrong or lost.
    """
    result, known = comparison.result("ane"), comparison.diagnosis
    given = (known.calls.get("ane") or known.every("ane")[:1]) if known else ()
    calls = [a.wrong for a in given if a.word != "unfit"]
    runs, bad = len(calls) + result.lost, sum(calls) + result.lost
    if not given and not result.lost:
        wrong = comparison.wrong("ane")
        runs, bad = (0, 0) if wrong is None else (1, int(wrong))
    cold = known.cold.get("ane") if known else None
    if not bad and (result.cold or (cold and cold.wrong)):
        runs, bad = runs + 1, 1
    return (runs, bad) if runs else None
