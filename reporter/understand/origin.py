"""Where a record was made: which device, as the record itself tells it, and its system build."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reporter.measure.devices import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.measure.record import Record

UNKNOWN = "unknown device"


@dataclass(frozen=True)
class Kind:
    """What every device of a kind has in common, on one system build; never the chip alone."""

    evidence: str
    identifier: str  # "iPhone14,5", or what it is sold as where a record has no identifier
    system: str  # "iOS 16.2"
    build: str

    @property
    def system_build(self) -> str:
        """The system and its build, as in "iOS 16.2, 20C65"."""
        return ", ".join(filter(None, (self.system, self.build)))


@dataclass(frozen=True)
class Origin:
    """One device on one system build. Records of the same origin are of the same device.

    Without a label nothing tells two devices of a kind apart, nor that two records are of one: each
    record is an origin of its own then, by the name of its `file`.
    """

    kind: Kind
    label: str = ""
    simulation: str = ""  # the simulator's fault
    file: str = ""
    product: str = field(default="", compare=False)  # what the identifier is sold as

    @property
    def place(self) -> tuple[Kind, str, str]:
        """What it is apart from a simulator's fault."""
        return self.kind, self.label, self.file

    @property
    def device(self) -> str:
        """What kind of device it is, in words, as in "iPhone14,5, iPhone 13"."""
        product = self.product if self.product != self.kind.identifier else ""
        return ", ".join(filter(None, (self.kind.identifier, product))) or UNKNOWN


def origin(name: str, record: Record) -> Origin:
    """Return where a record was made; `name` is what its file is called."""
    device = named(record.device)
    return Origin(
        Kind(record.evidence, device.identifier or device.product, device.release, device.build),
        label=device.label,
        simulation=record.simulation if record.evidence == "simulated" else "",
        file="" if device.label else name,
        product=device.product,
    )


def together(records: Sequence[tuple[str, Record]]) -> Origin:
    """Return the origin of several records; if it is not one, what they share, by their files."""
    found = list(dict.fromkeys(origin(name, record) for name, record in records))
    if len(found) == 1:
        return found[0]
    kinds = {one.kind for one in found}
    kind = found[0].kind if len(kinds) == 1 else Kind(found[0].kind.evidence, "", "", "")
    return Origin(kind, file=", ".join(name for name, _ in records))
