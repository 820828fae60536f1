"""What `anereport doctor` tells: this machine, what it can measure, phones and tools beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reporter.environment import tested, within
from reporter.measure import device as devices_here
from reporter.measure import label
from reporter.measure.devices import product
from reporter.measure.record import Device
from reporter.understand.usable import Obstacle, expected, obstacles
from reporter.write.privacy.redact import redact

if TYPE_CHECKING:
    from reporter.measure.answers import Phone

SCHEMA = "anereport.doctor/1"
NAMES = {
    "core_ml": "Core ML",
    "neural_engine": "a usable Neural Engine",
    "compute_plan": "compute plan",
}


@dataclass(frozen=True)
class Examination:
    """What was found: nothing in it tells one machine, or its user, from all others."""

    device: Device
    phones: tuple[Phone, ...] | None  # None: nothing here can tell
    tested: dict[str, str]  # by tool: the versions that the tests pass on, as in ">=2.7,<=2.13.0"
    label_file: Path | None  # None: the label could not be kept


def examine() -> Examination:
    """Ask this machine; what does not answer is missing."""
    device = devices_here.this_device()
    kept = label.home() if label.kept() == device.label else None
    return Examination(device, devices_here.phones(), tested(), kept)


def lines(found: Examination) -> list[str]:
    """Return the examination in words, a fact or two in each line."""
    said = [
        f"this machine: {_machine(found.device)}",
        *_uses(found.device),
        *_phones(found.phones),
        *_tools(found),
        _label(found),
    ]
    return [redact(line) for line in said]


def to_json(found: Examination) -> str:
    """Return the examination as strict JSON."""
    content = {
        "schema": SCHEMA,
        "device": found.device.model_dump(exclude_none=True),
        "expected": expected(found.device),
        "obstacles": [asdict(obstacle) for obstacle in obstacles(found.device)],
        "phones": None if found.phones is None else [_phone_facts(p) for p in found.phones],
        "outside_tested": _outside(found),
        "tested": found.tested,
        "label_file": redact(str(found.label_file)) if found.label_file else None,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def _machine(device: Device) -> str:
    text = str(device.model_copy(update={"label": ""}))
    return f"{text}, {device.memory / 2**30:g} GB" if device.memory else text


def _uses(device: Device) -> Iterator[str]:
    in_the_way = obstacles(device)
    for use, answer in expected(device).items():
        why = [_sentences(one) for one in in_the_way if one.prevents == use]
        if use == "neural_engine" and answer == "yes":
            why = [_neural_engine(device)]
        yield " ".join([f"{NAMES[use]}: {answer}.", *why])


def _neural_engine(device: Device) -> str:
    if not device.ane:
        return "It is to be expected by the chip; ioreg did not describe it."
    cores = f", {device.ane_cores} cores" if device.ane_cores else ""
    return f"Architecture {device.ane}{cores}."


def _sentences(obstacle: Obstacle) -> str:
    return f"{obstacle.says} {obstacle.advice}"


def _phones(phones: tuple[Phone, ...] | None) -> Iterator[str]:
    if phones is None:
        yield "iPhones and iPads: unknown. To see them takes a Mac with Xcode 15 or later."
    elif not phones:
        yield "iPhones and iPads: none. Connect one by cable, unlock it, and choose Trust on it."
    for phone in phones or ():
        device = _device(phone)
        notes = [*_states(phone), *map(_sentences, obstacles(device))]
        yield " ".join([f"{_phone_name(phone)}: {device}.", *notes])


def _device(phone: Phone) -> Device:
    """Return a phone as the device of a record; its chip is the table's."""
    known = product(phone.identifier, phone.marketing)
    return Device(
        system=phone.platform or "iOS",
        version=phone.version,
        build=phone.build,
        identifier=phone.identifier,
        product=known.name or "unknown product",
        chip=known.soc,
    )


def _phone_name(phone: Phone) -> str:
    return "iPad" if phone.identifier.startswith("iPad") else "iPhone"


def _states(phone: Phone) -> Iterator[str]:
    if phone.pairing not in ("", "paired"):
        yield "It is not paired: connect it by cable, unlock it, and choose Trust on it."
    if phone.developer_mode == "disabled":
        yield "Developer Mode is off: turn it on in Settings, Privacy & Security."
    if phone.tunnel == "unavailable":
        yield "It cannot be reached now: connect it by cable and unlock it."


def _phone_facts(phone: Phone) -> dict[str, Any]:
    known = product(phone.identifier, phone.marketing)
    return {
        **asdict(phone),
        "product": known.name or "unknown",
        "soc": known.soc or "unknown",
        "ane": known.ane,
        "ane_seen": known.ane_seen,
        "obstacles": [asdict(obstacle) for obstacle in obstacles(_device(phone))],
    }


def _tools(found: Examination) -> Iterator[str]:
    yield "tools: " + ", ".join(f"{tool} {v}" for tool, v in found.device.tools.items())
    for tool in _outside(found):
        version = found.device.tools.get(tool, "(missing)")
        yield f"{tool} {version} is outside the tested range, {found.tested[tool]}."


def _outside(found: Examination) -> list[str]:
    tools = found.device.tools
    return [tool for tool, asked in found.tested.items() if not within(asked, tools.get(tool))]


def _label(found: Examination) -> str:
    text = f"label in records: {found.device.label}"
    if not found.label_file:
        return f"{text}, for this time only: it cannot be kept."
    return f"{text}, kept in {found.label_file}, where you may write another."
