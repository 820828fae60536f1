"""The words for many devices: on which a model fails and on which it passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.understand.agreement import BAD, apart, comparable, disagreements
from reporter.understand.listing import NAMES
from reporter.understand.origin import UNKNOWN
from reporter.understand.wording import counted, joined, several

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reporter.understand.agreement import Agreement, Row
    from reporter.understand.cells import State
    from reporter.understand.origin import Origin

VERBS: dict[State, str] = {
    "wrong": "fails",
    "failed": "does not run",
    "flaky": "is flaky",
    "in conflict": "is in conflict",
    "right": "passes",
    "": "has no verdict",
}
NAMED = 10  # labels and records of a kind that a sentence names


def statements(agreement: Agreement) -> list[str]:
    """Return what the rows show, what tells most first; nothing if there is nothing to compare."""
    if not agreement.shown:
        return []
    groups = list(agreement.groups())
    return [
        *(said for group in groups for said in _one_of_a_kind(agreement, group)),
        *(said for group in groups for said in _conflicts(agreement, group)),
        *(said for group in groups for said in _builds(agreement, group)),
        *(said for group in groups for said in _where(agreement, group)),
        *_doubts(agreement),
        *_not_comparable(agreement),
    ]


def _subject(agreement: Agreement, row: Row) -> str:
    simulated = " (SIMULATED)" if row.origin.kind.evidence == "simulated" else ""
    unit = f"the {NAMES[row.unit]}{simulated}"
    return unit if row.variant == agreement.model else f"{row.variant} on {unit}"


def _one_of_a_kind(agreement: Agreement, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the devices of one kind and build that disagree: one of them may be faulty."""
    for kind in dict.fromkeys(r.origin.kind for r in rows if r.origin.kind.identifier):
        for odd in disagreements([r for r in rows if r.origin.kind == kind]):
            known = all(r.origin.label for r in odd)
            yield (
                f"devices of one kind and build disagree on the same {_inputs(odd)}: "
                f"{_subject(agreement, odd[0])} of {_kind(odd[0].origin)} {_by_state(odd)}; a "
                f"single faulty device is a known case{'' if known else ', and so is a flaky one'}"
            )


def _by_state(rows: Sequence[Row]) -> str:
    """Return "fails with label a (diverges, 20 times ...) and passes with labels b and c"."""
    parts = []
    for state, verb in VERBS.items():
        here = [r for r in rows if r.state == state]
        if here:
            parts.append(f"{verb} with {_which([r.origin for r in here])}{_off(here)}")
    return joined(parts)


def _off(rows: Sequence[Row]) -> str:
    """Return how far off the worst of rows is in parentheses; nothing where it is right."""
    worst = max(rows, key=lambda r: -1.0 if r.ratio is None else r.ratio)
    return f" ({said(worst)})" if worst.state in BAD else ""


def said(row: Row) -> str:
    """Return a row's word, and how far off it is or why it is not known."""
    told = ": ".join((row.word, *row.details[:1]))
    off = "" if row.ratio is None else f", {counted(row.ratio)} times what rounding explains"
    return f"{told}{off}"


def line(agreement: Agreement, row: Row) -> str:
    """Return a row in one line."""
    runs = f"{several(row.runs, 'run')} of {several(row.inputs, 'input')}"
    where = f"{_subject(agreement, row)}, {_place(row.origin)}"
    return f"{where}: {said(row)} ({runs}; {_some(row.records)})"


def _conflicts(agreement: Agreement, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the inputs on which records of one device disagree."""
    for row in rows:
        for one in row.by_input():
            if one.word == "in conflict":
                records = [f"{said(r)} in {r.records[0]}" for r in one.by_record()]
                yield (
                    f"records of one device are in conflict: {_subject(agreement, row)} of "
                    f"{_place(row.origin)} is, on the same {_inputs([one])}, "
                    f"{joined(records)}"
                )


def _builds(agreement: Agreement, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the devices, known by their labels, that differ by system build."""
    devices = [(r.origin.kind.identifier, r.origin.label) for r in rows if r.origin.label]
    for device in dict.fromkeys(devices):
        here = [r for r in rows if (r.origin.kind.identifier, r.origin.label) == device]
        for odd in disagreements(here):
            builds = [f"{VERBS[r.state]} on {_build(r.origin)}{_off([r])}" for r in odd]
            if len({r.origin.kind for r in odd}) > 1:
                yield (
                    f"builds of one device differ on the same {_inputs(odd)}: "
                    f"{_subject(agreement, odd[0])} of {odd[0].origin.device}, label {device[1]}, "
                    f"{joined(builds)}"
                )


def _build(origin: Origin) -> str:
    return origin.kind.system_build or "an unknown build"


def _where(agreement: Agreement, rows: Sequence[Row]) -> Iterator[str]:
    """Yield on which devices a model fails and passes; of what it became, if they disagree."""
    other = rows[0].variant != agreement.model
    states = {r.state for r in rows}
    if len(rows) < 2 or states == {""} or (other and len(states) < 2):
        return
    groups = comparable(rows)
    for group in groups:
        over = ""
        if len(groups) > 1:
            over = f", with {_inputs(group)} of {_some([n for r in group for n in r.records])},"
        elif any(row.keys != group[0].keys for row in rows):
            over = f", with the {_inputs(group)} that all have,"
        yield f"{_subject(agreement, rows[0])}{over} {_states(group)}"
    if len(groups) == 1:
        yield from _beyond(agreement, rows, groups[0])


def _beyond(agreement: Agreement, rows: Sequence[Row], cut: Sequence[Row]) -> Iterator[str]:
    """Yield the rows that are wrong on an input that not all have."""
    for whole, part in zip(rows, cut, strict=True):
        if whole.state in BAD and part.state not in BAD:
            rest = whole.over(whole.keys - part.keys)
            yield (
                f"{_subject(agreement, whole)}, with {_inputs([rest])}, which not all have, "
                f"{VERBS[rest.state]} on: {_places([whole.origin])}{_off([rest])}"
            )


def _states(rows: Sequence[Row]) -> str:
    """Return "fails on: ...; passes on: ..."."""
    parts = []
    for state, verb in VERBS.items():
        here = [r.origin for r in rows if r.state == state]
        if len(here) == len(rows) > 2:
            return f"{verb} on all {len(rows)} devices and builds measured"
        if here:
            parts.append(f"{verb} on: {_places(here)}")
    return "; ".join(parts)


def _inputs(rows: Sequence[Row]) -> str:
    """Return "input seed-0", "inputs seed-0 and seed-1"."""
    names = list(dict.fromkeys(cell.input for r in rows for cell in r.cells))
    return f"input{'s' * (len(names) > 1)} {_some(names)}"


def _places(origins: Sequence[Origin]) -> str:
    """Return origins, those of a kind and build together."""
    kinds = dict.fromkeys(o.kind for o in origins)
    groups = [[o for o in origins if o.kind == kind] for kind in kinds]
    return ", and on ".join(f"{_kind(group[0])}, {_which(group)}" for group in groups)


def _place(origin: Origin) -> str:
    return _places([origin])


def _kind(origin: Origin) -> str:
    """Return "iPhone14,5, iPhone 13 (iOS 16.2, 20C65)"."""
    build = f" ({origin.kind.system_build})" if origin.kind.system_build else ""
    return f"{origin.device}{build}"


def _which(origins: Sequence[Origin]) -> str:
    """Return "labels a and b" and "record c.json (no label)"."""
    labels = [o.label + (f" ({o.simulation})" if o.simulation else "") for o in origins if o.label]
    files = [o.file for o in origins if not o.label]
    parts = []
    if labels:
        parts.append(f"label{'s' * (len(labels) > 1)} {_some(labels)}")
    if files:
        parts.append(f"record{'s' * (len(files) > 1)} {_some(files)} (no label)")
    return " and ".join(parts)


def _doubts(agreement: Agreement) -> Iterator[str]:
    """Yield which records may be of one device or of several, and which name none."""
    origins = list(dict.fromkeys(r.origin for r in agreement.rows))
    for kind in dict.fromkeys(o.kind for o in origins if o.file and o.kind.identifier):
        here = [o for o in origins if o.kind == kind]
        if len(here) > 1:
            yield (
                f"of {_kind(here[0])} there are {_which(here)}: nothing tells whether these are "
                "one device or several"
            )
    unknown = [o for o in origins if o.file and o.device == UNKNOWN]
    if unknown:
        each = "each of which" if len(unknown) > 1 else "which"
        yield f"no device is named in {_some([o.file for o in unknown])}, {each} stands by itself"


def _not_comparable(agreement: Agreement) -> Iterator[str]:
    """Yield the records of the model that have no inputs in common."""
    groups = apart([r for r in agreement.rows if r.variant == agreement.model])
    if len(groups) > 1:
        records = [_some([name for r in group for name in r.records]) for group in groups]
        yield (
            "records without an input in common cannot be compared input by input, and each "
            f"verdict is against its own reference: {'; '.join(records)}"
        )


def _some(names: Sequence[str]) -> str:
    """Return names in a sentence, each once, the first of them and how many more."""
    found = list(dict.fromkeys(names))
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    return joined([*found[:NAMED], *more])
