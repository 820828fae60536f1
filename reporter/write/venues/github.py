"""github.md in the shape of coremltools' issues: for what the conversion or the tool gets wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.write.rendering import render
from reporter.write.report.systems import titled
from reporter.write.venues import fixed_width

if TYPE_CHECKING:
    from reporter.write.report.report import Report

FILE = "github.md"


def text(report: Report) -> str:
    """Return the issue as Markdown, its title first."""
    return render(
        "github.md",
        report=report,
        title=titled(report),
        values=fixed_width.values,
        units=fixed_width.units,
    )
