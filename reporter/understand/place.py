"""The place of a record: the two sides of a verdict have one in common, all rounds of a shrink too.

Devices of one kind and build without labels are one place, since nothing tells them apart. For the
same reason an `Origin`, by which devices are compared, keeps such records apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reporter.measure.record import Record


@dataclass(frozen=True)
class Place:
    """A device and its system build; the records that are read together have it in common."""

    evidence: str
    device: str  # its label and identifier
    build: str
    system: str = field(default="", compare=False)  # "iOS 16.2"

    def __str__(self) -> str:
        build = ", ".join(filter(None, (self.system, self.build)))
        return f"{self.device} ({build})" if build else self.device


def place_of(record: Record) -> Place | None:
    """Return where a record was made; nothing if it does not say so."""
    device = record.device
    known = device.build or record.evidence == "simulated"
    name = ", ".join(filter(None, (device.label, device.identifier)))
    return Place(record.evidence, name, device.build, device.release) if name and known else None


def place_of_fault(record: Record) -> Place | None:
    """Return where a record was made, a simulator with its fault; nothing if it is not said."""
    place = place_of(record)
    if place is None or not record.simulation:
        return place
    return replace(place, device=f"{place.device}, {record.simulation}")
