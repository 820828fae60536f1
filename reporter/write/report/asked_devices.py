"""What is asked of devices: a second one of the same model, and the last system that was right."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from reporter.understand.agreement import BAD, comparable
from reporter.understand.unit_result import NOT_MEASURED
from reporter.understand.wording import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.understand.agreement import Row
    from reporter.understand.comparison import Comparison
    from reporter.understand.origin import Kind, Origin
    from reporter.write.report.report import DeviceFact, Report

    Answer = tuple[str, str, str]  # what is known, its evidence, and the command that would tell

OF_A_KIND = 4  # devices or builds that an answer names


def failing(report: Report) -> list[DeviceFact]:
    """Return the devices whose Neural Engine is wrong or fails in any run; all, if none does.

    Stated ones are those on which the user saw it. Simulated ones are left out.
    """
    bad = {("measured", c.device) for c in report.comparisons if _fails(c)}
    known = [d for d in report.devices if d.evidence != "simulated"]
    found = [d for d in known if (d.evidence, d.text) in bad or d.evidence == "stated by the user"]
    return found or known


def _fails(comparison: Comparison) -> bool:
    result = comparison.result("ane")
    lost = result.lost or result.cold
    return comparison.evidence == "measured" and bool(lost or comparison.wrong("ane"))


def right(report: Report) -> str:
    """Return the measured devices and builds on which it is right, if it fails on another."""
    if not any(map(_fails, report.comparisons)):
        return ""
    rows = [row for rows in _by_kind(report).values() for row in rows if row.state == "right"]
    measured = [place(r.origin) for r in rows if r.origin.kind.evidence == "measured"]
    return some(measured, OF_A_KIND, "; ")


def place(origin: Origin) -> str:
    """Return "iPhone14,5 (iOS 16.2, 20C65), label a"."""
    build = f" ({origin.kind.system_build})" if origin.kind.system_build else ""
    which = f"label {origin.label}" if origin.label else f"record {origin.file}"
    fault = f", {origin.simulation}" if origin.simulation else ""
    return f"{origin.device}{build}, {which}{fault}"


def second(report: Report) -> Answer:
    """Tell whether devices of one model and build, told apart by their labels, agree."""
    for rows in _by_kind(report).values():
        named = [row for row in rows if row.origin.label]
        if len({row.origin.label for row in named}) > 1:
            kind = named[0].origin
            said = [f"label {row.origin.label} {_word(row)}" for row in _shared(named)]
            where = f"{kind.device} ({kind.kind.system_build or 'build not known'})"
            return f"{where}: {some(said, OF_A_KIND)}", kind.kind.evidence, ""
    return NOT_MEASURED.capitalize(), NOT_MEASURED, _runner(report)


def last_good(report: Report) -> Answer:
    """Tell on which system it is right where another of the same device is wrong, or was stated."""
    rows = [row for rows in _by_kind(report).values() for row in rows]
    for identifier in dict.fromkeys(row.origin.kind.identifier for row in rows):
        here = _shared([row for row in rows if row.origin.kind.identifier == identifier])
        good = [row for row in here if row.state == "right"]
        bad = [row for row in here if row.state in BAD]
        if good and bad and not {r.origin.kind for r in good} & {r.origin.kind for r in bad}:
            said = f"right on {_systems(good)}, wrong on {_systems(bad)}"
            return f"{good[0].origin.device}: {said}", good[0].origin.kind.evidence, ""
    if report.last_good:
        return report.last_good, "stated by the user", ""
    answer = (
        f"{NOT_MEASURED.capitalize()}: measure it on an older system too, or state the system with "
        '--last-good "iOS 15.7"'
    )
    return answer, NOT_MEASURED, _runner(report)


def _runner(report: Report) -> str:
    return f"anereport runner {shlex.quote(report.model.identity.name)}"


def _by_kind(report: Report) -> dict[Kind, list[Row]]:
    """Return the Neural Engine's rows of the model itself, by the kind of device and build."""
    found: dict[Kind, list[Row]] = {}
    asked = (report.agreement.model, "ane")
    for row in report.agreement.rows:
        if (row.variant, row.unit) == asked and row.origin.kind.identifier:
            found.setdefault(row.origin.kind, []).append(row)
    return found


def _shared(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return rows over the inputs that they have in common, the largest group of them."""
    return max(comparable(rows), key=len) if rows else ()


def _word(row: Row) -> str:
    """Return "diverges", "is right"."""
    words = {"right": "is right", "wrong": "is wrong", "failed": "does not run"}
    return words.get(row.state, f"is {row.word}")


def _systems(rows: Sequence[Row]) -> str:
    builds = [row.origin.kind.system_build or "an unknown build" for row in rows]
    return some(list(dict.fromkeys(builds)), OF_A_KIND)
