"""Tables as aligned ASCII, for readers that show no others: a line a row, columns by spaces.

No cell holds two spaces, so that two or more part the columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.understand.listing import NAMES
from reporter.understand.wording import clipped
from reporter.write.rendering import decibel, number, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.understand.comparison import Comparison
    from reporter.understand.divergence import Metrics, Row

WIDEST = 24  # characters of a cell
GAP = "..."


def values(comparison: Comparison, most: int) -> str:
    """Return the rows of a comparison, '...' for a gap, `most` of them around the middle one.

    Columns that hold nothing are left out.
    """
    table = comparison.table
    given = [i for i in range(len(table.columns)) if any(r.values[i] for r in table.rows if r)]
    head = ("Index", "Position", *(table.columns[i] for i in given))
    return aligned([head, *(_cells(row, given) for row in _middle(table.rows, most))])


def _middle(rows: Sequence[Row | None], most: int) -> list[Row | None]:
    known = [row for row in rows if row is not None]
    if len(known) <= most:
        return list(rows)
    first = (len(known) - most) // 2
    return [None, *known[first : first + most], None]


def _cells(row: Row | None, given: Sequence[int]) -> tuple[str, ...]:
    if row is None:
        return (GAP,)
    position = f"({','.join(map(str, row.position))})"
    return (str(row.index), position, *(row.values[i] or "-" for i in given))


def units(comparison: Comparison, tolerance: float) -> str:
    """Return a row of metrics for each unit that has them; what the others did stands below."""
    beyond = f"Beyond {tolerance:g}"
    head = ("Unit", "Max abs error", "RMSE", "SNR dB", beyond, "x rounding", "Verdict")
    rows = [_metrics(comparison, r.unit, r.metrics) for r in comparison.units if r.metrics]
    lines = [aligned([head, *rows])] if rows else []
    others: dict[str, list[str]] = {}
    for r in comparison.units:
        if not r.metrics:
            others.setdefault(r.status, []).append(_name(r.unit))
    lines += [plain(f"{', '.join(names)}: {status}") for status, names in others.items()]
    return "\n".join(lines)


def _metrics(comparison: Comparison, unit: str, m: Metrics) -> tuple[str, ...]:
    known = comparison.diagnosis.assessments.get(unit) if comparison.diagnosis else None
    off = (number(known.ratio), known.word) if known else ("-", "not known")
    beyond = f"{m.beyond:,} of {m.count:,}"
    return (_name(unit), number(m.max_abs), number(m.rmse), decibel(m.snr), beyond, *off)


def _name(unit: str) -> str:
    return NAMES.get(unit, unit)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines, each column to the right; a row may have fewer."""
    cells = [[_cell(value) for value in row] for row in rows]
    columns = max(map(len, cells))
    widths = [max(len(row[i]) for row in cells if i < len(row)) for i in range(columns)]
    lines = ["  ".join(v.rjust(w) for v, w in zip(row, widths, strict=False)) for row in cells]
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: str) -> str:
    return clipped(" ".join(plain(value).split()) or "-", WIDEST)
