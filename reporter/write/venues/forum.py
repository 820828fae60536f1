"""forum.md for the Apple Developer Forums: ASCII, tables as fixed-width text in code fences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from migrate import AnereportError
from reporter.write.rendering import blocks
from reporter.write.report import notes
from reporter.write.report.systems import titled
from reporter.write.venues import fixed_width
from reporter.write.venues.fitting import answers, with_answers

if TYPE_CHECKING:
    from reporter.write.report.report import Report

FILE = "forum.md"
LEAST = 4000  # characters that the headline and the shortest table may need
FENCE = re.compile(r"(^```$.*?^```$)", re.MULTILINE | re.DOTALL)
MARK = re.compile(  # a backslash that escapes, a tag, link, entity, emphasis: not a_name
    r"\\(?=[!-/:-@\[-`{-~]|$)|[<\[*]|&(?=#?\w+;)|_(?=_)|(?<=_)_|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])",
    re.MULTILINE,
)
FOLDABLE = {  # what is wanted least goes first
    "second_table": "the table of the second output",
    "findings": "notes on the model",
    "faults": "single faults that were computed",
    "migration": "more on the ML Program",
    "tried": "more on variants",
    "table": "most rows of the table",
    "notes": "what I did myself",
    "asked": "answers to usual questions",
    "devices": "which devices",
    "missing": "what is not measured",
    "about": "device and model",
    "diagnosis": "which units are wrong, and how",
    "script": "the script that builds the model (repro.py of the Feedback report)",
}


def text(report: Report) -> str:
    """Return the post within the report's limit; what does not fit is left out, and that is said.

    The script goes last.
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
    safe = {name: escaped(part) for name, part in parts.items()}
    told = {asked: escaped(answer) for asked, answer in answers(report).items()}
    return with_answers(safe, told, FOLDABLE, report.forum_limit)


def escaped(text: str) -> str:
    """Return a text of which nothing but its own code fences is Markdown or HTML."""
    pieces = FENCE.split(text)
    return "".join(p if i % 2 else MARK.sub(r"\\\g<0>", p) for i, p in enumerate(pieces))


def checked(limit: int | None) -> int | None:
    """Return a limit that was asked for; AnereportError for one that no post can keep."""
    if limit is not None and limit < LEAST:
        raise AnereportError(f"--forum-limit is {LEAST:,} characters or more, not {limit:,}")
    return limit
