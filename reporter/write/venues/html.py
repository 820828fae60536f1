"""report.html: report.md as one self-contained page, with pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.write.pictures import figures
from reporter.write.rendering import render
from reporter.write.venues import markdown

if TYPE_CHECKING:
    from reporter.write.report import Report

FILE = "report.html"
SECTION = "<h2>"  # no text has one: it is escaped


def text(report: Report) -> str:
    """Return the report as HTML; it loads nothing from elsewhere."""
    from markdown import markdown as to_html
    from markupsafe import Markup

    body = to_html(markdown.text(report), extensions=["tables", "fenced_code"])
    first, section, rest = body.partition(SECTION)
    return render(
        "report.html",
        report=report,
        first=Markup(first),
        rest=Markup(section + rest),
        outputs=figures.of_outputs(report),
        network=figures.of_network(report),
    )
