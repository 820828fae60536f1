"""report.md: everything, for people who have time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.understand.assessment import CAVEAT
from reporter.write.rendering import render
from reporter.write.report import notes

if TYPE_CHECKING:
    from reporter.write.report.report import Report

FILE = "report.md"


def text(report: Report) -> str:
    """Return the report as Markdown."""
    return render("report.md", report=report, caveat=CAVEAT, notes=notes.markdown(report.notes))
