"""Which product and chip a model identifier names; `devices.json` has the rows and their sources.

What is not in the table is unknown, and stays empty: nothing is guessed from a neighbour.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reporter.measure.record import Device

DATA = Path(__file__).with_name("devices.json")


@dataclass(frozen=True)
class Product:
    """What an identifier such as "iPhone14,2" is; empty where that is not known."""

    identifier: str
    name: str = ""  # as it is sold: "iPhone 13 Pro"
    soc: str = ""  # "A15"
    ane: str = ""  # architecture of its Neural Engine, by the table: "h14p"
    ane_seen: bool = False  # somebody read it on that chip; else it is from an unverified list
    ane_cores: int | None = None
    core_ml: bool = True  # Core ML may use that Neural Engine


def product(identifier: str, marketing: str = "") -> Product:
    """Return the product of an identifier; `marketing` names one that is not in the table."""
    table = _table()
    row = table["devices"].get(identifier)
    if row is None:
        return Product(identifier, marketing)
    soc = table["socs"][row["soc"]]
    return Product(
        identifier,
        name=row["product"],
        soc=row["soc"],
        ane=soc["ane"],
        ane_seen=soc["ane_seen"],
        ane_cores=soc["cores"],
        core_ml=soc.get("core_ml", True),
    )


def named(device: Device) -> Device:
    """Return a record's device with product and chip, of the table where the record lacks them.

    What only looks like the device that its identifier names has that one's name, not its chip.
    """
    known = product(device.identifier)
    chip = f"Apple {known.soc}" if known.soc and not device.virtual else ""
    return device.model_copy(
        update={"product": device.product or known.name, "chip": device.chip or chip}
    )


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(DATA.read_text(encoding="utf-8"))
    return table
