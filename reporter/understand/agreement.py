"""Many devices: where a model is right, where it is wrong, and what cannot be compared.

A row is a device on one system build, a compute unit, and a model: the one reported, or what it
became. Rows are compared over the inputs that they have in common, and never by the chip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reporter.understand.cells import SEVERITY, STATES, UNITS, Cell, State, Word
from reporter.understand.origin import Origin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

BAD: tuple[State, ...] = ("wrong", "failed", "flaky")


@dataclass(frozen=True)
class Row:
    """What all records of one origin show of a compute unit of a model."""

    origin: Origin
    variant: str  # the model's file
    unit: str
    word: Word  # of its inputs the worst
    ratio: float | None  # to what rounding explains, the worst; none if nothing was compared
    runs: int
    inputs: int
    records: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def keys(self) -> frozenset[str]:
        """Its inputs."""
        return frozenset(cell.key for cell in self.cells)

    @property
    def state(self) -> State:
        """Whether it is right on all inputs on which that is known."""
        states = {one.word: STATES[one.word] for one in self.by_input()}
        worst = max(states, key=lambda word: (bool(states[word]), SEVERITY.index(word)))
        return states[worst]

    @property
    def details(self) -> tuple[str, ...]:
        """What is said of its failures, or why nothing is known of it."""
        return tuple(dict.fromkeys(cell.detail for cell in self.cells if cell.detail))

    def by_input(self) -> Iterator[Row]:
        """Yield the row of each of its inputs."""
        for key in dict.fromkeys(cell.key for cell in self.cells):
            yield self.over({key})

    def by_record(self) -> Iterator[Row]:
        """Yield the row of each of its records."""
        for name in self.records:
            yield _row([cell for cell in self.cells if cell.record == name])

    def over(self, keys: Collection[str]) -> Row:
        """Return the row of some of its inputs."""
        return _row([cell for cell in self.cells if cell.key in keys])


@dataclass(frozen=True)
class Agreement:
    """The rows of all records of a model, and of what it became."""

    model: str = ""
    rows: tuple[Row, ...] = ()

    @property
    def shown(self) -> bool:
        """Whether it says more than each record by itself: of two places, or of a conflict."""
        return (
            len({r.origin.place for r in self.rows}) > 1
            or any(len(group) > 1 for group in self.groups())
            or any(r.word == "in conflict" for r in self.rows)
        )

    def groups(self) -> Iterator[tuple[Row, ...]]:
        """Yield the rows of each model and unit, which differ by origin alone."""
        for variant, unit in dict.fromkeys((r.variant, r.unit) for r in self.rows):
            yield tuple(r for r in self.rows if (r.variant, r.unit) == (variant, unit))


def agreement(model: str, cells: Iterable[Cell]) -> Agreement:
    """Return the rows of cells: of the model itself first, units in the order of interest."""
    found: dict[tuple[Origin, str, str], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.origin, cell.variant, cell.unit), []).append(cell)
    variants = list(dict.fromkeys([model, *(variant for _, variant, _ in found)]))
    origins = list(dict.fromkeys(origin for origin, _, _ in found))

    def place(row: Row) -> tuple[int, int, int]:
        return variants.index(row.variant), UNITS.index(row.unit), origins.index(row.origin)

    return Agreement(model, tuple(sorted(map(_row, found.values()), key=place)))


def _row(cells: Sequence[Cell]) -> Row:
    ratios = [cell.ratio for cell in cells if cell.ratio is not None]
    counts = {cell.key: cell.inputs for cell in cells}
    return Row(
        origin=cells[0].origin,
        variant=cells[0].variant,
        unit=cells[0].unit,
        word=_word(cells),
        ratio=max(ratios, default=None),
        runs=sum(cell.runs for cell in cells),
        inputs=sum(counts.values()),
        records=tuple(dict.fromkeys(cell.record for cell in cells)),
        cells=tuple(cells),
    )


def _word(cells: Sequence[Cell]) -> Word:
    """Return the worst word, or that records of one input disagree on whether it is right."""
    states: dict[str, set[State]] = {}
    for cell in cells:
        states.setdefault(cell.key, set()).add(cell.state)
    if any("right" in each and len(each - {""}) > 1 for each in states.values()):
        return "in conflict"
    return max((cell.word for cell in cells), key=SEVERITY.index)


def disagreements(rows: Sequence[Row]) -> Iterator[tuple[Row, ...]]:
    """Yield rows cut to the inputs on which some are right and some are not.

    Once for each way in which they disagree: who is right, and how the others are not. A row that
    is in conflict with itself is left out.
    """
    ways: dict[tuple[tuple[Origin, State], ...], list[str]] = {}
    for key in dict.fromkeys(cell.key for row in rows for cell in row.cells):
        here = [(row.origin, row.over({key}).state) for row in rows if key in row.keys]
        known = tuple((origin, state) for origin, state in here if state in ("right", *BAD))
        if {state == "right" for _, state in known} == {True, False}:
            ways.setdefault(known, []).append(key)
    for way, keys in ways.items():
        origins = [origin for origin, _ in way]
        yield tuple(row.over(keys) for row in rows if row.origin in origins)


def comparable(rows: Sequence[Row]) -> list[tuple[Row, ...]]:
    """Return rows such that those of a group can be compared: cut to the inputs they all have.

    If all have none in common, the groups are those with the very same inputs.
    """
    common = frozenset.intersection(*(row.keys for row in rows))
    if common:
        return [tuple(row.over(common) for row in rows)]
    groups: dict[frozenset[str], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.keys, []).append(row)
    return [tuple(group) for group in groups.values()]


def apart(rows: Sequence[Row]) -> list[tuple[Row, ...]]:
    """Return rows in groups such that no input of one group is in another."""
    groups: list[list[Row]] = []
    for row in rows:
        near = [group for group in groups if any(row.keys & other.keys for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append([other for group in near for other in group] + [row])
    return [tuple(group) for group in groups]
