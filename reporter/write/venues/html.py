"""report.html: report.md as one self-contained page, with pictures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reporter.write.pictures import figures
from reporter.write.rendering import render
from reporter.write.venues import markdown

if TYPE_CHECKING:
    from reporter.write.report.report import Report

FILE = "report.html"
REPRODUCE, DETAILS = "<h2>Reproduce</h2>", "<h2>Details</h2>"  # no text has one: it is escaped
HEADING = re.compile(r"<h3>(.*?)</h3>", re.DOTALL)


def text(report: Report) -> str:
    """Return the report as HTML, pictures after what is asked; it loads nothing from elsewhere."""
    from markdown import markdown as to_html
    from markupsafe import Markup

    body = to_html(markdown.text(report), extensions=["tables", "fenced_code"])
    first, reproduce, rest = body.partition(REPRODUCE)
    rest, details, folded = rest.partition(DETAILS)
    page = render(
        "report.html",
        report=report,
        first=Markup(first),
        rest=Markup(reproduce + rest + details + _folded(folded)),
        outputs=figures.of_outputs(report),
        network=figures.of_network(report),
    )
    return "".join(c if c.isprintable() or c == "\n" else " " for c in page)


def _folded(details: str) -> str:
    """Return sections, each behind its heading."""
    before, *parts = HEADING.split(details)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return before + "".join(
        f"<details>\n<summary>{heading}</summary>{body}</details>\n" for heading, body in pairs
    )
