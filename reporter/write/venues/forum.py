"""forum.md for the Apple Developer Forums: ASCII, tables as fixed-width text in code fences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.write.rendering import render

if TYPE_CHECKING:
    from reporter.understand.divergence import Row
    from reporter.write.report import Report

FILE = "forum.md"
LIMIT = 7000  # characters, chosen here: the forum's own limit is not documented


def text(report: Report) -> str:
    """Return the post; the script is left out, and that is said, where it would not fit."""
    post = ""
    for script, outputs in ((report.repro.building, 2), ("", 2), ("", 1)):
        post = render("forum.md", report=report, script=script, outputs=outputs, fixed=fixed_width)
        if len(post) <= LIMIT:
            break
    return post


def fixed_width(columns: tuple[str, ...], rows: tuple[Row | None, ...]) -> str:
    """Return a table as aligned text, '...' for a gap, as the forum's readers paste them."""
    lines = [("Index", "Position", *columns)]
    for row in rows:
        if row is None:
            lines.append(("...",))
        else:
            position = "(" + ",".join(map(str, row.position)) + ")"
            lines.append((str(row.index), position, *(v or "-" for v in row.values)))
    widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(len(lines[0]))]
    padded = ["  ".join(v.rjust(w) for v, w in zip(line, widths, strict=False)) for line in lines]
    return "\n".join(line.rstrip() for line in padded)
