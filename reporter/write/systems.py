"""The systems that a report's devices name, that of the headline's device first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reporter.write.rendering import plain

if TYPE_CHECKING:
    from reporter.write.report import Report

PLATFORMS = ("iOS", "iPadOS", "macOS", "watchOS", "tvOS", "visionOS")
# "iOS 16.2 (20C65)"
BUILD = re.compile(rf"\b(?:{'|'.join(PLATFORMS)}) [\d.]{{1,12}} \(\w{{1,12}}\)", re.ASCII)


def platform(report: Report) -> str:
    """Return the platform that the devices name, if any does."""
    for name in _named(report):
        found = re.search(rf"\b({'|'.join(PLATFORMS)})\b", name)
        if found:
            return found[1]
    return "iOS" if "iPhone" in " ".join(_named(report)) else ""


def builds(report: Report) -> str:
    """Return the system versions with build numbers that the devices name."""
    return ", ".join(dict.fromkeys(BUILD.findall("\n".join(_named(report)))))


def titled(report: Report) -> str:
    """Return the title in plain ASCII with the first system, which readers of titles look for."""
    first = builds(report).partition(", ")[0]
    return ", ".join(filter(None, (plain(report.title), first)))


def _named(report: Report) -> list[str]:
    """Return what the devices are called, simulated ones aside."""
    first = report.comparisons[0].device if report.comparisons else ""
    names = [d.text for d in report.devices if d.evidence != "simulated"]
    return sorted(names, key=lambda name: name != first)
