"""feedback.txt: the fields of Apple's Feedback Assistant, in the form's order and words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reporter.write import notes
from reporter.write.rendering import blocks, render
from reporter.write.systems import builds, platform, titled
from reporter.write.venues import fixed_width
from reporter.write.venues.fitting import fitted

if TYPE_CHECKING:
    from reporter.write.report import Report

FILE = "feedback.txt"
TITLE_LIMIT, DESCRIPTION_LIMIT = 255, 4096  # of the web form, by a third party's account
FOLDABLE = {  # what is wanted least goes first
    "findings": "notes on the model",
    "faults": "single faults that were computed",
    "migration": "the ML Program",
    "tried": "variants",
    "script": "how the script was run",
    "asked": "answers to usual questions",
    "missing": "what is not measured",
    "notes": "what I did myself",
    "devices": "which devices",
    "table": "most rows of the table",
    "diagnosis": "which units are wrong, and how",
}


def text(report: Report) -> str:
    """Return the fields as plain text, with a warning where one is over the form's limit."""
    title, description = titled(report), describe(report)
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
        title=_answer(title),
        description=_answer(description),
        warnings=warnings,
        platform=platform(report),
        builds=builds(report),
    )


def _answer(text: str) -> str:
    """Return an answer of which no line looks like a question of the form."""
    return re.sub(r"^(?===)", " ", text, flags=re.MULTILINE)


def describe(report: Report) -> str:
    """Return the description; what does not fit the form is left out, and that is said."""
    parts = blocks(
        "feedback-description.txt",
        report=report,
        notes=notes.brief(report.notes),
        fenced=False,
        values=fixed_width.values,
        units=fixed_width.units,
    )
    shorter = {"table": parts.pop("short_table")}
    return fitted(parts, FOLDABLE, shorter, DESCRIPTION_LIMIT)
