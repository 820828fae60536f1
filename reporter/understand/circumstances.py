"""What is to be known of a record beside its numbers: is it whole, whence it is, what was printed.

A message is kept with the first run of the process that printed it, so that processes are counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from reporter.measure.devices import named
from reporter.measure.record import Unit
from reporter.understand.listing import NAMES
from reporter.understand.sides import Placement, least, placement
from reporter.understand.unused import copied
from reporter.understand.usable import obstacles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reporter.measure.record import Record

REFUSED = ("ANECCompile", "ANECF")  # words of the Neural Engine's compiler when it gives up
SLOWED = ("serious", "critical")  # of ProcessInfo.ThermalState
NAMED = 3  # lines of a unit that are quoted


@dataclass(frozen=True)
class Circumstances:
    """Sentences on one record."""

    source: str  # what its file is called
    device: str
    evidence: str
    doubts: tuple[str, ...] = ()  # of the device, and of a record that is not whole
    printed: tuple[str, ...] = ()  # by Apple's compiler and run time, one for each unit
    placement: Placement | None = None  # of the Neural Engine's runs, if the record has a plan

    @property
    def says(self) -> tuple[str, ...]:
        """All of it."""
        return (*self.doubts, *self.printed)


def circumstances(source: str, record: Record) -> Circumstances:
    """Return what is to be known of a record; `source` is what its file is called."""
    return Circumstances(
        source=source,
        device=str(named(record.device)),
        evidence=record.evidence,
        doubts=tuple(_doubts(source, record)),
        printed=tuple(said for unit in get_args(Unit) if (said := _printed(record, unit))),
        placement=least(placement(r.plan) for r in record.runs if r.unit == "ane" and r.plan),
    )


def _doubts(source: str, record: Record) -> Iterator[str]:
    if record.stopped:
        yield f"the record {source} is incomplete: {record.stopped}"
    if record.evidence != "measured" or not record.device.system:
        return
    for obstacle in obstacles(record.device):
        if obstacle.prevents != "compute_plan":
            yield f"{obstacle.says.removesuffix('.')}: no Neural Engine is to be expected there"
    if record.device.thermal in SLOWED:
        yield f"the device was hot: its thermal state was {record.device.thermal}"
    if record.device.low_power:
        yield "the device was in low-power mode"


def _printed(record: Record, unit: Unit) -> str:
    """Return what was printed while a unit ran, each line once; nothing if nothing was."""
    lines = Counter(line for run in record.runs if run.unit == unit for line in run.messages)
    if not lines:
        return ""
    named = list(lines.items())[:NAMED]
    quoted = [f"'{line}' (in {n} process{'es' * (n > 1)})" for line, n in named]
    quoted += [f"and {len(lines) - NAMED} more lines"] if len(lines) > NAMED else []
    said = f"Apple's compiler or run time printed while the {NAMES[unit]} ran: {', '.join(quoted)}"
    refused = unit == "ane" and any(word in line for line in lines for word in REFUSED)
    by_input = [[run for run in record.runs if run.input == name] for name in record.inputs]
    if refused and copied(by_input):
        said += "; and it gave the CPU's bits: it did not run on the Neural Engine"
    return said
