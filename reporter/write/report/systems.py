"""The systems that a report's failing devices name, that of the headline's device first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reporter.measure.devices import product
from reporter.write.rendering import plain
from reporter.write.report.asked_devices import failing

if TYPE_CHECKING:
    from reporter.write.report.report import Report

PLATFORMS = ("iOS", "iPadOS", "macOS", "watchOS", "tvOS", "visionOS")
# "iOS 16.2 (20C65)"
BUILD = re.compile(rf"\b(?:{'|'.join(PLATFORMS)}) [\d.]{{1,12}} \(\w{{1,12}}\)", re.ASCII)
# "iPhone14,5", "MacBookAir10,1"
IDENTIFIER = re.compile(r"\b(?:iPhone|iPad|iPod|i?Mac[A-Za-z]{0,8}|AppleTV)\d+,\d+\b", re.ASCII)
MARKETED = re.compile(r"(?:^|, )(iPhone \d{1,2}(?: (?:Pro|Max|Plus|mini))*)(?:, |$)", re.ASCII)
LONGEST = 255  # characters of a title, by the form of Feedback Assistant
OF_NO_FAULT = ("B0", "X0")  # signatures


def platform(report: Report) -> str:
    """Return the platform that the devices name, if any does."""
    for name in _named(report):
        found = re.search(rf"\b({'|'.join(PLATFORMS)})\b", name)
        if found:
            return found[1]
    return "iOS" if "iPhone" in " ".join(_named(report)) else ""


def builds(report: Report) -> str:
    """Return the system versions with build numbers that the failing devices name."""
    return ", ".join(dict.fromkeys(BUILD.findall("\n".join(_named(report)))))


def titled(report: Report) -> str:
    """Return the title in plain ASCII with what readers of titles look for, as far as it fits.

    That is the first failing device and its system, and before them the pattern of its numbers.
    """
    name = next(iter(_named(report)), "")
    title, pattern = plain(report.title), _pattern(report)
    system, device = builds(report).partition(", ")[0], _device(name)
    for parts in (
        (f"{title} ({pattern})" if pattern else title, device, system),
        (title, device, system),
    ):
        if len(whole := ", ".join(filter(None, parts))) <= LONGEST:
            return whole
    return ", ".join(filter(None, (title, system)))


def _pattern(report: Report) -> str:
    """Return "stuck constant", what the Neural Engine's wrong numbers of the headline are like."""
    first = report.comparisons[0] if report.comparisons else None
    known = first.diagnosis if first else None
    if not known or known.suspect != "ane" or not known.worst.wrong:
        return ""
    titles = [s.title for s in known.signatures if s.code not in OF_NO_FAULT]
    return plain(titles[0][:1].lower() + titles[0][1:]) if titles else ""


def _device(name: str) -> str:
    """Return the product that a device's identifier names, or the identifier, or "iPhone 13"."""
    if found := IDENTIFIER.search(name):
        return plain(product(found[0]).name or found[0])
    marketed = MARKETED.search(name)
    return marketed[1] if marketed else ""


def _named(report: Report) -> list[str]:
    """Return what the failing devices are called, or all if none fails; simulated ones aside."""
    first = report.comparisons[0].device if report.comparisons else ""
    return sorted((d.text for d in failing(report)), key=lambda name: name != first)
