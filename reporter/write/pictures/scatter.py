"""The reference against a unit's values: how many lie where, and the farthest one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.understand.grid import ZERO
from reporter.write.pictures import frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reporter.understand.sketch import Scatter, Sketch

FIRST = 3  # of the ramp: one value in a bin is to be seen
BELOW = frame.TOP + frame.ACROSS
MIDDLE = frame.TOP + frame.ACROSS / 2
NOTHING = "no pair of finite values"


def draw(sketch: Sketch, title: str, says: str) -> str:
    """Return the picture, a square; on the dashed line the unit gives the reference."""
    scatter = sketch.scatter
    grid = scatter.grid
    kinds = {chr(ord("a") + i): f"g{i + FIRST}" for i in range(len(grid.steps) + 1)}
    words = ["1", *(f"\u2264{frame.number(step)}" for step in grid.steps[1:]), "more"]
    parts = (
        frame.text(frame.START, 16, title, "strong"),
        frame.plot(
            frame.TOP, frame.ACROSS, len(grid.rows), len(grid.rows), frame.cells(grid, kinds)
        ),
        frame.box(frame.LEFT, frame.TOP, frame.ACROSS, frame.ACROSS, "line"),
        frame.path("dashed", f"M{frame.LEFT} {BELOW}L{frame.LEFT + frame.ACROSS} {frame.TOP}"),
        *_points(scatter),
        *([] if any(set(row) - {ZERO} for row in grid.rows) else [frame.note(MIDDLE, NOTHING)]),
        *_axes(scatter, sketch.unit.upper()),
        *frame.legend(BELOW + 42, "values in a bin", zip(kinds.values(), words, strict=True)),
    )
    return frame.picture(frame.WIDTH, BELOW + 76, title, says, parts)


def _points(scatter: Scatter) -> Iterator[str]:
    """Yield a ring for each point in the frame, and an arrow at the edge for those outside."""
    inside, outside = [], []
    for reference, value in scatter.points:
        x = frame.LEFT + frame.ACROSS * _part(reference, scatter)
        y = BELOW - frame.ACROSS * _part(value, scatter)
        if scatter.low <= value <= scatter.high:
            inside.append(f"M{frame.at(x - 3)} {frame.at(y)}a3 3 0 1 1 6 0a3 3 0 1 1-6 0")
        else:
            up = value > scatter.high
            tip = f"M{frame.at(x)} {frame.TOP + 1 if up else BELOW - 1}"
            outside.append(f"{tip}l4 {7 if up else -7}h-8z")
    if inside:
        yield frame.path("point", "".join(inside))
    if outside:
        yield frame.path("ink", "".join(outside))


def _part(value: float, scatter: Scatter) -> float:
    """Return how far a value lies between both ends; halves keep the widest range finite."""
    low, high = scatter.low / 2, scatter.high / 2
    return min(max((value / 2 - low) / (high - low), 0.0), 1.0)


def _axes(scatter: Scatter, unit: str) -> Iterator[str]:
    low, high = frame.number(scatter.low), frame.number(scatter.high)
    right, middle = frame.LEFT + frame.ACROSS, frame.LEFT + frame.ACROSS / 2
    yield frame.text(frame.LEFT, BELOW + 14, low, "small")
    yield frame.text(right, BELOW + 14, high, "small", "end")
    yield frame.text(middle, BELOW + 14, "reference", "small", "middle")
    yield frame.text(frame.LEFT - 5, BELOW, low, "small", "end")
    yield frame.text(frame.LEFT - 5, frame.TOP + 9, high, "small", "end")
    yield frame.text(14, MIDDLE, unit, "small", "middle", turned=True)
