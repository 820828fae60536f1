"""forum.md for the Apple Developer Forums: ASCII, tables as fixed-width text in code fences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrate import AnereportError
from reporter.write import notes
from reporter.write.rendering import blocks
from reporter.write.systems import titled
from reporter.write.venues import fixed_width
from reporter.write.venues.fitting import fitted

if TYPE_CHECKING:
    from reporter.write.report import Report

FILE = "forum.md"
LEAST = 4000  # characters that the headline and the shortest table may need
FOLDABLE = {  # what is wanted least goes first
    "second_table": "the table of the second output",
    "findings": "notes on the model",
    "faults": "single faults that were computed",
    "migration": "the ML Program",
    "tried": "variants",
    "notes": "what I did myself",
    "asked": "answers to usual questions",
    "devices": "which devices",
    "missing": "what is not measured",
    "about": "device and model",
    "diagnosis": "which units are wrong, and how",
    "script": "the script that builds the model (repro.py of the Feedback report)",
    "table": "most rows of the table",
}


def text(report: Report) -> str:
    """Return the post within the report's limit; what does not fit is left out, and that is said.

    The script goes last but for rows of the first table.
    """
    building = report.repro.building.replace("`", "\\x60")  # stands in string literals alone
    printable = all(c.isprintable() or c == "\n" for c in building) and building.isascii()
    parts = blocks(
        "forum.md",
        report=report,
        title=titled(report),
        script=building if printable else "",
        notes=notes.brief(report.notes),
        fenced=True,
        values=fixed_width.values,
        units=fixed_width.units,
    )
    shorter = {"table": parts.pop("short_table")}
    return fitted(parts, FOLDABLE, shorter, report.forum_limit)


def checked(limit: int | None) -> int | None:
    """Return a limit that was asked for; AnereportError for one that no post can keep."""
    if limit is not None and limit < LEAST:
        raise AnereportError(f"--forum-limit is {LEAST:,} characters or more, not {limit:,}")
    return limit
