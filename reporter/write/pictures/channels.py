"""How far off each channel is, by what rounding explains of it, and the limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reporter.write.pictures import frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reporter.understand.sketch import Sketch

HEIGHT = 150
LEAST = 0.01  # where the scale begins, at most
HIGHEST = 308  # decade of float64
DECADES = 6  # that are named
SEEN = 2  # units across that a bar beyond the limit has at least
BELOW = frame.TOP + HEIGHT


def draw(sketch: Sketch, title: str, says: str) -> str:
    """Return the picture: a bar for each channel, on a logarithmic scale."""
    scale = _Scale(sketch)
    limit = scale.y(sketch.limit)
    right = frame.LEFT + frame.ACROSS
    parts = (
        frame.text(frame.START, 16, title, "strong"),
        *scale.lines(),
        *_bars(sketch, scale),
        *scale.empty(),
        frame.box(frame.LEFT, frame.TOP, frame.ACROSS, HEIGHT, "line"),
        frame.path("halo", f"M{frame.LEFT} {frame.at(limit)}H{right}"),
        frame.path("limit", f"M{frame.LEFT - 4} {frame.at(limit)}H{right + 4}"),
        frame.text(right + 6, limit + 4, "limit", "small"),
        *_axes(sketch),
    )
    return frame.picture(frame.WIDTH, BELOW + 26, title, says, parts)


class _Scale:
    """A logarithmic scale from a decade below the limit, or less, to one above the worst."""

    def __init__(self, sketch: Sketch) -> None:
        known = [r for r in sketch.channels.ratios if 0 < r < math.inf]
        self.most = max(sketch.channels.ratios)
        known.append(sketch.limit)
        self.low = math.floor(math.log10(max(min(known), min(LEAST, sketch.limit / 10))))
        self.high = min(math.ceil(math.log10(max(known)) + 0.3), HIGHEST)

    def y(self, ratio: float) -> float:
        """Return where a ratio lies; infinity at the top, and what is next to nothing below."""
        if math.isinf(ratio):
            return float(frame.TOP)
        if ratio <= 0:
            return float(BELOW)
        part = (math.log10(ratio) - self.low) / (self.high - self.low)
        return BELOW - HEIGHT * min(max(part, 0.0), 1.0)

    def empty(self) -> Iterator[str]:
        """Yield what is said where no bar is high enough to be drawn."""
        least = 10.0**self.low
        if self.most < least:
            yield frame.note(
                BELOW - 10, f"all below {frame.number(least)}" if self.most else "all 0"
            )

    def lines(self) -> Iterator[str]:
        """Yield the decades' lines and numbers."""
        every = -(-(self.high - self.low) // DECADES)
        for decade in range(self.low, self.high + 1, every):
            y = self.y(10.0**decade)
            yield frame.path("grid", f"M{frame.LEFT} {frame.at(y)}h{frame.ACROSS}")
            yield frame.text(frame.LEFT - 5, y + 4, frame.number(10.0**decade), "small", "end")


def _bars(sketch: Sketch, scale: _Scale) -> Iterator[str]:
    """Yield the bars within the limit, those beyond it, and a cross over the infinite ones."""
    ratios = sketch.channels.ratios
    within, beyond, crosses = "", "", ""
    for i, ratio in enumerate(ratios):
        bar = f"M{i}.5 {HEIGHT}V{frame.at(scale.y(ratio) - frame.TOP - 0.5)}"
        if ratio > sketch.limit:
            beyond += bar
        elif ratio > 0:
            within += bar
        if math.isinf(ratio):
            x = frame.LEFT + (i + 0.5) * frame.ACROSS / len(ratios)
            crosses += f"M{frame.at(x - 3)} {frame.TOP + 3}l6 6m0-6l-6 6"
    wide = max(len(ratios) * SEEN / frame.ACROSS, 1.0)
    bars = [frame.path("g3", within), frame.path("g6", beyond, wide)]
    yield frame.plot(frame.TOP, HEIGHT, len(ratios), HEIGHT, bars)
    if crosses:
        yield frame.path("cross", crosses)


def _axes(sketch: Sketch) -> Iterator[str]:
    axis = sketch.channels.axis
    middle = frame.LEFT + frame.ACROSS / 2
    yield frame.text(frame.LEFT, BELOW + 14, 0, "small")
    if axis.size > 1:
        right = frame.LEFT + frame.ACROSS
        yield frame.text(right, BELOW + 14, f"{axis.size - 1:,}", "small", "end")
    yield frame.text(middle, BELOW + 14, axis.name, "small", "middle")
    y = frame.TOP + HEIGHT / 2
    yield frame.text(14, y, "times what rounding explains", "small", "middle", turned=True)
