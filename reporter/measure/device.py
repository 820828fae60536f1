"""What this machine is, and which iPhones it knows. Not yet run on hardware.

Names, serial numbers and identifiers of persons or of the one device never get past `answers`.
"""

from __future__ import annotations

import platform
import subprocess
import tempfile
from pathlib import Path

from reporter.environment import versions
from reporter.measure import answers, devices
from reporter.measure.label import label as install_label
from reporter.measure.record import Device

SECONDS = 20  # for one command; devicectl starts a service first
ANE_CLASSES = ("H11ANEIn", "AppleH16ANEInterface")


def this_device(label: str = "") -> Device:
    """Return the facts of this machine under a label, by default the installation's.

    What a command does not answer is missing. Off a Mac it is the system, machine and tools.
    """
    label = label or install_label()
    if platform.system() != "Darwin":
        return Device(
            label=label, system=platform.system(), chip=platform.machine(), tools=versions()
        )
    facts = _merged(
        _neural_engine(),
        answers.hardware(ask("system_profiler", "SPHardwareDataType", "-json")),
        answers.sysctl({name: ask("sysctl", "-n", name) for name in answers.SYSCTLS}),
        answers.sw_vers(ask("sw_vers")),
    )
    xcode = answers.xcodebuild(ask("xcodebuild", "-version")) if _developer_tools() else ""
    return Device(
        **facts,
        label=label,
        system="macOS",
        product=devices.product(facts.get("identifier", "")).name,
        tools=versions() | ({"xcode": xcode} if xcode else {}),
    )


def phones() -> tuple[answers.Phone, ...] | None:
    """Return the iPhones and iPads that this Mac knows of; None where nothing can tell."""
    if platform.system() != "Darwin" or not _developer_tools():
        return None
    listing = ("xcrun", "devicectl", "list", "devices", "--json-output")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "devices.json")
        ask(*listing, str(file))
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    return answers.devicectl(text or ask(*listing, "/dev/stdout"))


def ask(*command: str) -> str:
    """Return what a command prints; nothing if it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _neural_engine() -> answers.Facts:
    found = (answers.ioreg(ask("ioreg", "-a", "-rc", name, "-l")) for name in ANE_CLASSES)
    return next(filter(None, found), {})


def _developer_tools() -> bool:
    """Tell whether Xcode or its tools are there: asking those without opens a window to install."""
    return bool(ask("xcode-select", "-p").strip())


def _merged(*parts: answers.Facts) -> answers.Facts:
    """Return all facts, the later ones first, and what only several of them say together.

    A command asked from an Intel process may run as the chip's own and see no translation.
    """
    facts = {name: value for part in parts for name, value in part.items()}
    virtual = facts.get("identifier", "").startswith("VirtualMac")
    if virtual or any(part.get("virtual") for part in parts):
        facts["virtual"] = True
    if platform.machine() == "x86_64" and facts.get("chip", "").startswith("Apple"):
        facts["translated"] = True
    return facts
