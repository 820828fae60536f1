"""feedback.txt: the fields of Apple's Feedback Assistant, in the form's order and words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reporter.understand.unit_result import NOT_MEASURED
from reporter.understand.verdict import WORSE
from reporter.write.rendering import blocks, render
from reporter.write.report import notes
from reporter.write.report.systems import builds, platform, titled
from reporter.write.venues import fixed_width
from reporter.write.venues.fitting import answers, with_answers

if TYPE_CHECKING:
    from reporter.understand.unit_result import UnitResult
    from reporter.write.report.report import Report

FILE = "feedback.txt"
TITLE_LIMIT, DESCRIPTION_LIMIT = 255, 4096  # of the web form, by a third party's account
NOTHING = "no result here is wrong on the Neural Engine: nothing to file yet"
# how the word on a variant begins
FAILING = ("fails", "flaky", "in conflict", "some inputs", "does not run")
FOLDABLE = {  # what is wanted least goes first
    "findings": "notes on the model",
    "faults": "single faults that were computed",
    "migration": "more on the ML Program",
    "tried": "more on variants",
    "script": "how the script was run",
    "table": "most rows of the table",
    "asked": "answers to usual questions",
    "missing": "what is not measured",
    "notes": "what I did myself",
    "devices": "which devices",
    "diagnosis": "which units are wrong, and how",
}


def text(report: Report) -> str:
    """Return the fields as plain text, with a warning where one is over the form's limit."""
    title, description = titled(report), describe(report)
    warnings = [NOTHING] if _nothing(report) else []
    warnings += [
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
        on_device=any(d.evidence != "simulated" for d in report.devices),
    )


def _nothing(report: Report) -> bool:
    """Tell whether all that was measured is right, or nothing was; a listing may show a fault."""
    verdicts = report.migration.verdicts if report.migration else ()
    tried = [t.word for reading in report.readings for t in reading.tried]
    others = any(v.word == WORSE for v in verdicts) or any(w.startswith(FAILING) for w in tried)
    return not others and not any(
        c.wrong(r.unit) or (c.wrong(r.unit) is None and r.status != NOT_MEASURED) or _lost(r)
        for c in report.comparisons
        for r in c.units
    )


def _lost(result: UnitResult) -> bool:
    return bool(result.lost or result.why or result.cold)


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
    return with_answers(parts, answers(report), FOLDABLE, DESCRIPTION_LIMIT)
