"""What all pictures are made of: the SVG element, and the text, lines and cells in it.

Nothing is coloured here: classes are, by the page's style, for light, dark and paper. The classes
g0 to g8 are a ramp from nothing to the worst.
"""

from __future__ import annotations

import html
import math
import unicodedata
from typing import TYPE_CHECKING

from reporter.understand.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reporter.understand.grid import Grid

WIDTH = 360  # of a picture, in units that are pixels where there is room
START = 14  # of titles and legends
LEFT, TOP, ACROSS = 62, 26, 268  # of what is plotted in it


def picture(
    width: float, height: float, title: str, says: str, parts: Iterable[str], kind: str = ""
) -> str:
    """Return an SVG element of a class, which says what it shows."""
    named = f' class="{kind}"' if kind else ""
    return (
        f'<svg viewBox="0 0 {at(width)} {at(height)}" width="{at(width)}"{named} role="img">'
        f"<title>{escaped(title)}</title><desc>{escaped(says)}</desc>{''.join(parts)}</svg>"
    )


def text(
    x: float, y: float, words: object, kind: str = "", anchor: str = "", turned: bool = False
) -> str:
    """Return a line of text; `kind` is its class, `turned` reads upwards."""
    attributes = f' class="{kind}"' if kind else ""
    attributes += f' text-anchor="{anchor}"' if anchor else ""
    attributes += f' transform="rotate(-90 {at(x)} {at(y)})"' if turned else ""
    return f'<text x="{at(x)}" y="{at(y)}"{attributes}>{escaped(str(words))}</text>'


def note(y: float, words: str) -> str:
    """Return a line of text in the middle of what is plotted."""
    return text(LEFT + ACROSS / 2, y, words, "small", "middle")


def path(kind: str, steps: str, wide: float = 0) -> str:
    """Return a path of a class; its stroke is `wide`, if that is not left to the class."""
    stroke = f' stroke-width="{at(wide)}"' if wide else ""
    return f'<path class="{kind}" d="{steps}"{stroke}/>'


def box(x: float, y: float, width: float, height: float, kind: str, rounding: float = 0) -> str:
    """Return a rectangle of a class."""
    corner = f' rx="{at(rounding)}"' if rounding else ""
    return (
        f'<rect class="{kind}" x="{at(x)}" y="{at(y)}" width="{at(width)}" '
        f'height="{at(height)}"{corner}/>'
    )


def plot(y: float, height: float, columns: float, rows: float, parts: Iterable[str]) -> str:
    """Return an area of so many columns and rows, stretched over the width that pictures plot in.

    A row's middle has a whole number.
    """
    return (
        f'<svg x="{LEFT}" y="{at(y)}" width="{ACROSS}" height="{at(height)}" '
        f'viewBox="0 -.5 {at(columns)} {at(rows)}" preserveAspectRatio="none">'
        f"{''.join(parts)}</svg>"
    )


def cells(grid: Grid, kinds: Mapping[str, str]) -> list[str]:
    """Return a path for each letter of a grid that has a class: strokes along the rows."""
    strokes: dict[str, list[str]] = {}
    for y, row in enumerate(grid.rows):
        start = 0
        for x in range(1, len(row) + 1):
            if x == len(row) or row[x] != row[start]:
                strokes.setdefault(row[start], []).append(f"M{start} {y}h{x - start}")
                start = x
    return [path(kind, "".join(strokes[key])) for key, kind in kinds.items() if key in strokes]


def legend(y: float, title: str, entries: Iterable[tuple[str, str]]) -> list[str]:
    """Return a row of swatches, (class, words), with the words below."""
    entries = list(entries)
    wide = (WIDTH - START) / len(entries)
    found = [text(START, y, title, "small")]
    for i, (kind, words) in enumerate(entries):
        x = START + i * wide
        found.append(box(x, y + 5, wide - 2, 11, f"{kind} swatch"))
        found.append(text(x + wide / 2 - 1, y + 27, words, "small", "middle"))
    return found


def escaped(words: str) -> str:
    """Return text for XML."""
    return html.escape(printable(words), quote=False)


def fitted(words: str, columns: int) -> str:
    """Return text in so many columns, cut in its middle; wide characters take two."""
    if _columns(words) <= columns:
        return words
    head, tail = _first(words, columns // 2), _first(words[::-1], columns - columns // 2 - 1)
    return f"{head}\u2026{tail[::-1]}"


def _first(words: str, columns: int) -> str:
    shown = words[:columns]
    while _columns(shown) > columns:
        shown = shown[:-1]
    return shown


def _columns(words: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in words)


def number(value: float) -> str:
    """Return a number in few characters."""
    if not math.isfinite(value):
        return "\u221e" if value > 0 else str(value)
    if value and not 0.001 <= abs(value) < 100_000:
        return f"{value:.2g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def at(value: float) -> str:
    """Return a coordinate, to a tenth."""
    return f"{round(float(value), 1):g}" if abs(value) < 1e5 else f"{value:.0f}"
