"""What the commands of a Mac answer, as facts: a pure function for each command.

Only what is asked for by name gets through, and only in its own form: a version looks like a
version. Serial numbers, UDIDs, ECIDs, UUIDs and names of persons, hosts and devices do not. What is
missing or not understood is left out. Facts have the names of the fields of `record.Device`.

The commands' output was read in public files of others; none of them was run on a Mac here.
"""

from __future__ import annotations

import json
import plistlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError

Facts = dict[str, Any]

VERSION = re.compile(r"\d{1,3}(\.\d{1,3}){0,3}")
BUILD = re.compile(r"\d{1,3}[A-Z]\d{1,6}[a-z]?")  # 24D60, 24A5331f
IDENTIFIER = re.compile(r"[A-Za-z]{3,16}\d{1,3},\d{1,3}")  # iPhone14,2, VirtualMac2,1
CHIP = re.compile(r"(Apple|Intel)\b[\w ()@.,-]{0,60}", re.ASCII)
ARCHITECTURE = re.compile(r"[a-z]\d{1,3}[a-z]?")  # h16g
MARKETING = re.compile(r'(iPhone|iPad)\b[\w ()",.-]{0,60}', re.ASCII)
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,15}")  # paired, arm64e, iOS
SYSCTLS = (
    "hw.model",
    "hw.memsize",
    "machdep.cpu.brand_string",
    "sysctl.proc_translated",
    "kern.hv_vmm_present",
)
VIRTUAL = "(Virtual)"  # at the end of a virtual machine's chip: "Apple M4 Max (Virtual)"


def sw_vers(text: str) -> Facts:
    """Return version and build of macOS, of lines as "ProductVersion: 15.3"."""
    said = dict(re.findall(r"^(\w+):(.*)$", text, re.MULTILINE))
    return _known(
        version=_formed(VERSION, said.get("ProductVersion")),
        build=_formed(BUILD, said.get("BuildVersion")),
    )


def sysctl(answers: Mapping[str, str]) -> Facts:
    """Return what `sysctl -n NAME` gave for each of SYSCTLS; memory in bytes."""
    memory = answers.get("hw.memsize", "").strip()
    chip = _chip(answers.get("machdep.cpu.brand_string"))
    return _known(
        identifier=_formed(IDENTIFIER, answers.get("hw.model")),
        memory=int(memory) if re.fullmatch(r"[1-9][0-9]{0,17}", memory) else None,
        translated=_flag(answers.get("sysctl.proc_translated")),
        virtual=chip.pop("virtual", None) or _flag(answers.get("kern.hv_vmm_present")),
        **chip,
    )


def hardware(text: str) -> Facts:
    """Return chip and model of `system_profiler SPHardwareDataType -json`."""
    facts = next(_dictionaries(_json(text).get("SPHardwareDataType")), {})
    return _known(
        identifier=_formed(IDENTIFIER, facts.get("machine_model")), **_chip(facts.get("chip_type"))
    )


def ioreg(text: str) -> Facts:
    """Return architecture and cores of the Neural Engine, of the property list of its driver.

    `ioreg -a -rc CLASS -l`, where CLASS is H11ANEIn or, as one public report has it,
    AppleH16ANEInterface; it answers nothing where there is no such object.
    """
    try:
        nodes = plistlib.loads(text.encode(), fmt=plistlib.FMT_XML)
    except (ValueError, AttributeError, IndexError, ExpatError):  # plistlib's, of what is no plist
        return {}
    for node in _dictionaries(nodes):
        said = _dictionary(node.get("DeviceProperties"))
        cores = said.get("ANEDevicePropertyNumANECores")
        facts = _known(
            ane=_formed(ARCHITECTURE, said.get("ANEDevicePropertyTypeANEArchitectureTypeStr")),
            ane_cores=cores if type(cores) is int and 0 < cores < 1000 else None,
        )
        if facts:
            return facts
    return {}


def xcodebuild(text: str) -> str:
    """Return the version of Xcode, as in "16.2 (16C5032a)"; empty if there is none."""
    found = re.search(r"^Xcode (\S+)\s+Build version (\S+)\s*$", text, re.MULTILINE)
    version, build = found.groups() if found else ("", "")
    if not _formed(VERSION, version):
        return ""
    return f"{version} ({build})" if _formed(BUILD, build) else version


@dataclass(frozen=True)
class Phone:
    """An iPhone or iPad that a Mac knows of, as it remembers it; empty where it does not say."""

    identifier: str = ""  # "iPhone14,2"
    marketing: str = ""  # what devicectl calls the model: "iPhone 13 Pro"
    architecture: str = ""  # of its CPU: "arm64e"
    platform: str = ""  # "iOS"
    version: str = ""
    build: str = ""
    developer_mode: str = ""  # "enabled", "disabled"
    pairing: str = ""  # "paired", "unpaired"
    tunnel: str = ""  # "connected", "disconnected" (until it is used), "unavailable"


def devicectl(text: str) -> tuple[Phone, ...] | None:
    """Return the physical iPhones and iPads of `devicectl list devices`; None if it says nothing.

    The text is the JSON alone, or has the table for people before or after it, as /dev/stdout has.
    """
    listed = _json(text, "result").get("result")
    devices = _dictionary(listed).get("devices")
    if not isinstance(devices, list):
        return None
    return tuple(phone for one in _dictionaries(devices) if (phone := _phone(one)))


def _phone(device: Mapping[str, Any]) -> Phone | None:
    hardware, system, connection = (
        _dictionary(device.get(f"{part}Properties"))
        for part in ("hardware", "device", "connection")
    )
    found = Phone(
        identifier=_formed(IDENTIFIER, hardware.get("productType")),
        marketing=_formed(MARKETING, hardware.get("marketingName")),
        architecture=_formed(WORD, _dictionary(hardware.get("cpuType")).get("name")),
        platform=_formed(WORD, hardware.get("platform")),
        version=_formed(VERSION, system.get("osVersionNumber")),
        build=_formed(BUILD, system.get("osBuildUpdate")),
        developer_mode=_formed(WORD, system.get("developerModeStatus")),
        pairing=_formed(WORD, connection.get("pairingState")),
        tunnel=_formed(WORD, connection.get("tunnelState")),
    )
    ours = found.identifier.startswith(("iPhone", "iPad")) or found.platform in ("iOS", "iPadOS")
    return found if ours and hardware.get("reality", "physical") == "physical" else None


def _chip(text: object) -> Facts:
    """Return a chip's name and, if the name says so, that it is a virtual machine's.

    An Intel process under Rosetta is told "VirtualApple @ 2.50GHz", which names no chip.
    """
    name = _formed(CHIP, text)
    virtual = True if name.endswith(VIRTUAL) else None
    return _known(chip=name.removesuffix(VIRTUAL).strip(), virtual=virtual)


def _json(text: str, key: str = "") -> dict[str, Any]:
    """Return the first JSON object in a text, of those that have a key."""
    decoder = json.JSONDecoder()
    for place in re.finditer(r"\{", text):
        try:
            found, _ = decoder.raw_decode(text, place.start())
        except (ValueError, RecursionError):
            continue
        if not key or key in found:
            return _dictionary(found)
    return {}


def _dictionary(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dictionaries(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))


def _formed(form: re.Pattern[str], value: object) -> str:
    """Return a text that has a form; empty if it is another, or none."""
    text = value.strip() if isinstance(value, str) else ""
    return text if form.fullmatch(text) else ""


def _flag(value: str | None) -> bool | None:
    return {"0": False, "1": True}.get((value or "").strip())


def _known(**facts: Any) -> Facts:
    return {name: value for name, value in facts.items() if value not in ("", None)}
