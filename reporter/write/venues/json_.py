"""report.json as a venue: the Report itself, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.write.report import report_file

if TYPE_CHECKING:
    from reporter.write.report.report import Report

FILE = report_file.FILE


def text(report: Report) -> str:
    """Return the report as JSON."""
    return report_file.dumps(report)
