"""feedback.txt: the fields of Apple's Feedback Assistant, in the form's order and words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reporter.write.rendering import plain, render
from reporter.write.venues.forum import fixed_width

if TYPE_CHECKING:
    from reporter.write.report import Report

FILE = "feedback.txt"
TITLE_LIMIT, DESCRIPTION_LIMIT = 255, 4096  # of the web form, by a third party's account
PLATFORMS = ("iOS", "iPadOS", "macOS", "watchOS", "tvOS", "visionOS")


def text(report: Report) -> str:
    """Return the fields as plain text, with a warning where one is over the form's limit."""
    title = plain(report.title)
    description = render("feedback-description.txt", report=report, fixed=fixed_width)
    warnings = [
        f"{name} has {len(content):,} characters, the form takes {limit:,}: shorten it"
        for name, content, limit in (
            ("the title", title, TITLE_LIMIT),
            ("the description", description, DESCRIPTION_LIMIT),
        )
        if len(content) > limit
    ]
    return render(
        "feedback.txt",
        report=report,
        title=title,
        description=description,
        warnings=warnings,
        platform=platform(report),
        builds=builds(report),
    )


def platform(report: Report) -> str:
    """Return the platform that the devices name, if any does."""
    names = " ".join(d.text for d in report.devices if d.evidence != "simulated")
    found = [p for p in PLATFORMS if re.search(rf"\b{p}\b", names)]
    if found:
        return found[0]
    return "iOS" if "iPhone" in names else ""


def builds(report: Report) -> str:
    """Return the system versions with build numbers that the devices name."""
    pattern = rf"(?:{'|'.join(PLATFORMS)}) [\d.]+ \(\w+\)"
    names = " ".join(d.text for d in report.devices if d.evidence != "simulated")
    return ", ".join(dict.fromkeys(re.findall(pattern, names)))
