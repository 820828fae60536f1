"""The pasted table "Index CPU GPU ANE": some rows of an output, values as they were written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reporter.measure.record import UNITS, RecordError

if TYPE_CHECKING:
    from pathlib import Path

GAP = re.compile(r"^\W*(\.\.\.|…)\W*$|^[|:\s]*-[-|:\s]+$")  # or the rule of a Markdown table
INDEX = re.compile(r"^[0-9]{1,18}$")
NUMBER = re.compile(
    r"^[-+]?(\d+\.?\d*(e[-+]?\d+)?|\.\d+(e[-+]?\d+)?|nan|inf(inity)?)$",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class Line:
    """A row: the flat index into the output, and one number per column, as written."""

    index: int
    values: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """Rows of one output of `shape`; nothing is known of the rows that are not listed."""

    units: tuple[str, ...]
    lines: tuple[Line, ...]
    shape: tuple[int, ...]

    def column(self, unit: str) -> tuple[str, ...]:
        """Return a unit's values, as written."""
        at = self.units.index(unit)
        return tuple(line.values[at] for line in self.lines)

    def position(self, index: int) -> tuple[int, ...]:
        """Return the flat index decoded along the shape's axes."""
        return decode(index, self.shape)


def decode(index: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the position of a row-major flat index."""
    position = []
    for size in reversed(shape):
        index, here = divmod(index, size)
        position.append(here)
    return tuple(reversed(position))


def is_listing(path: Path) -> bool:
    """Tell whether a file's first line of words is the heading of such a table."""
    try:
        head = path.read_text(encoding="utf-8-sig", errors="replace")[:10_000]
    except OSError:
        return False
    return any(_heading(line) for line in head.splitlines()[:50])


def load(path: Path, shape: tuple[int, ...]) -> Listing:
    """Read a listing of an output of `shape`; raises RecordError with the line that is wrong."""
    units: tuple[str, ...] = ()
    lines: list[Line] = []
    content = path.read_text(encoding="utf-8-sig", errors="replace")
    for number, text in enumerate(content.splitlines(), 1):
        if not units:
            units = _heading(text)
        elif text.strip() and not GAP.match(text.strip()):
            lines.append(_line(path, number, text, units))
    if not units or not lines:
        raise RecordError(f"{path} holds no table that begins with 'Index CPU GPU ANE'")
    _check(path, lines, shape)
    return Listing(units, tuple(lines), shape)


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;|]+", text.strip()) if word]


def _heading(text: str) -> tuple[str, ...]:
    words = [word.lower() for word in _words(text)]
    units = tuple(words[1:])
    is_heading = words[:1] == ["index"] and units and set(units) <= set(UNITS)
    return units if is_heading and len(set(units)) == len(units) else ()


def _line(path: Path, number: int, text: str, units: tuple[str, ...]) -> Line:
    index, *values = _words(text) or [""]
    if not INDEX.match(index) or len(values) != len(units) or not all(map(NUMBER.match, values)):
        raise RecordError(
            f"{path}, line {number}: expected an index and {len(units)} numbers, "
            f"found '{text[:60]}'"
        )
    return Line(int(index), tuple(values))


def _check(path: Path, lines: list[Line], shape: tuple[int, ...]) -> None:
    size = math.prod(shape)
    seen: set[int] = set()
    for line in lines:
        if line.index >= size:
            sizes = "x".join(map(str, shape))
            raise RecordError(
                f"{path}: index {line.index} lies outside shape {sizes}, which has {size:,} "
                "elements; give the output's shape with --shape"
            )
        if line.index in seen:
            raise RecordError(f"{path}: index {line.index} is listed twice")
        seen.add(line.index)
