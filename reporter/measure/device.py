"""What this machine is. Names, serial numbers and identifiers of persons are never asked for."""

from __future__ import annotations

import platform
import subprocess

from reporter.measure.record import Device


def this_device(label: str = "") -> Device:
    """Return the facts of this machine; on a Mac its model, chip and macOS build."""
    if platform.system() != "Darwin":
        return Device(label=label, system=platform.system(), chip=platform.machine())
    return Device(
        label=label,
        system="macOS",
        version=_ask("sw_vers", "-productVersion"),
        build=_ask("sw_vers", "-buildVersion"),
        identifier=_ask("sysctl", "-n", "hw.model"),
        chip=_ask("sysctl", "-n", "machdep.cpu.brand_string"),
    )


def _ask(*command: str) -> str:
    """Return what a command prints, or nothing if it fails: a missing fact is no error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
