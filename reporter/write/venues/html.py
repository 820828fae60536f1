"""report.html: report.md as one self-contained page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.write.rendering import render
from reporter.write.venues import markdown

if TYPE_CHECKING:
    from reporter.write.report import Report

FILE = "report.html"


def text(report: Report) -> str:
    """Return the report as HTML; it loads nothing from elsewhere."""
    from markdown import markdown as to_html
    from markupsafe import Markup

    body = to_html(markdown.text(report), extensions=["tables", "fenced_code"])
    return render("report.html", report=report, body=Markup(body))
