"""Where a unit is off: a map of channels and positions, in grades of what rounding explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.understand.grid import BROKEN, ZERO
from reporter.write.pictures import frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reporter.understand.grid import Axis, Grid
    from reporter.understand.sketch import Sketch

HEIGHT = 200
MARK = 6  # the room for the marks beside the map
BELOW = frame.TOP + HEIGHT


def draw(sketch: Sketch, title: str, says: str) -> str:
    """Return the picture; lines beside the map mark where it is beyond the limit."""
    grid = sketch.errors.grid
    kinds = _kinds(grid)
    parts = (
        frame.text(frame.START, 16, title, "strong"),
        frame.plot(frame.TOP, HEIGHT, len(grid.rows[0]), len(grid.rows), frame.cells(grid, kinds)),
        frame.box(frame.LEFT, frame.TOP, frame.ACROSS, HEIGHT, "line"),
        *_marks(grid, sketch.limit),
        *_worst(sketch),
        *_axes(sketch.errors.down, sketch.errors.across),
        *frame.legend(BELOW + 42, "times what rounding explains", _words(grid)),
        frame.text(frame.START, BELOW + 86, _limit(sketch.limit), "small"),
    )
    return frame.picture(frame.WIDTH, BELOW + 93, title, says, parts)


def _kinds(grid: Grid) -> dict[str, str]:
    """Return the class of each letter."""
    letters = [ZERO, *(chr(ord("a") + i) for i in range(len(grid.steps) + 1)), BROKEN]
    return {letter: f"g{i}" for i, letter in enumerate(letters)}


def _words(grid: Grid) -> list[tuple[str, str]]:
    """Return each class with its bound in words."""
    bounds = ["0", *(f"\u2264{_brief(step)}" for step in grid.steps), "more", "NaN \u221e"]
    return list(zip(_kinds(grid).values(), bounds, strict=True))


def _brief(step: float) -> str:
    return f"{step / 1000:g}k" if step >= 1000 else f"{step:.3g}"


def _limit(limit: float) -> str:
    return f"\u2503 beside the map: with a value beyond the limit of {frame.number(limit)}"


def _marks(grid: Grid, limit: float) -> Iterator[str]:
    """Yield a line at the right of each row, and below each column, that is beyond the limit."""
    beyond = set(grid.letters_beyond(limit))
    rows, columns = len(grid.rows), len(grid.rows[0])
    right, below = frame.LEFT + frame.ACROSS + MARK, BELOW + MARK
    down = [bool(beyond & set(row)) for row in grid.rows]
    across = [any(row[x] in beyond for row in grid.rows) for x in range(columns)]
    steps = [
        f"M{right} {frame.at(frame.TOP + a * HEIGHT / rows)}"
        f"V{frame.at(frame.TOP + b * HEIGHT / rows)}"
        for a, b in _stretches(down)
    ]
    steps += [
        f"M{frame.at(frame.LEFT + a * frame.ACROSS / columns)} {below}"
        f"H{frame.at(frame.LEFT + b * frame.ACROSS / columns)}"
        for a, b in _stretches(across)
    ]
    if steps:
        yield frame.path("mark", "".join(steps))


def _stretches(marked: list[bool]) -> Iterator[tuple[int, int]]:
    """Yield where stretches of what is marked begin, and where the next begins that is not."""
    start = 0
    for i in range(1, len(marked) + 1):
        if i == len(marked) or marked[i] != marked[start]:
            if marked[start]:
                yield start, i
            start = i


def _worst(sketch: Sketch) -> Iterator[str]:
    """Yield a ring around the worst element, if it is beyond the limit."""
    errors = sketch.errors
    if errors.worst <= sketch.limit:
        return
    row, column = divmod(errors.at, errors.across.size)
    x = frame.LEFT + (errors.across.part(column) + 0.5) * frame.ACROSS / errors.across.parts
    y = frame.TOP + (errors.down.part(row) + 0.5) * HEIGHT / errors.down.parts
    for kind in ("halo", "ring"):
        yield f'<circle class="{kind}" cx="{frame.at(x)}" cy="{frame.at(y)}" r="6"/>'


def _axes(down: Axis, across: Axis) -> Iterator[str]:
    middle = frame.LEFT + frame.ACROSS / 2
    yield frame.text(frame.LEFT, BELOW + 20, 0, "small")
    if across.size > 1:
        right = frame.LEFT + frame.ACROSS
        yield frame.text(right, BELOW + 20, f"{across.size - 1:,}", "small", "end")
    yield frame.text(middle, BELOW + 20, _named(across), "small", "middle")
    if down.name:
        yield frame.text(frame.LEFT - 5, frame.TOP + 9, 0, "small", "end")
        if down.size > 1:
            yield frame.text(frame.LEFT - 5, BELOW, f"{down.size - 1:,}", "small", "end")
        y = frame.TOP + HEIGHT / 2
        yield frame.text(14, y, _named(down), "small", "middle", turned=True)


def _named(axis: Axis) -> str:
    """Return an axis' name, and how many indices a cell has if that is not one."""
    sizes = {b - a + 1 for a, b in map(axis.span, range(axis.parts))}
    if sizes == {1}:
        return axis.name
    low, high = min(sizes), max(sizes)
    return f"{axis.name}, {low if low == high else f'{low:,} or {high:,}'} a cell"
