"""Everything that is understood of results: comparisons, explanations, known incidents."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from reporter.understand import cells, comparison, explanation, incidents
from reporter.understand.agreement import Agreement, agreement
from reporter.understand.assessment import LIMIT, check_limit
from reporter.understand.circumstances import Circumstances, circumstances
from reporter.understand.divergence import TOLERANCE, check_tolerance
from reporter.understand.explanation import BUDGET, Explanation, check_budget
from reporter.understand.headline import headline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reporter.measure.record import Record
    from reporter.progress import Progress
    from reporter.understand.cells import Cell
    from reporter.understand.comparison import Comparison
    from reporter.understand.incidents import Incident
    from reporter.understand.reference import Referee

LEAST = 1e-3  # seconds of a search, which tries one fault at least


@dataclass(frozen=True)
class Bounds:
    """What is called wrong, and how long a fault is looked for.

    Raises AnereportError for what is no bound.
    """

    tolerance: float = TOLERANCE
    limit: float = LIMIT  # times what rounding explains
    budget: float = BUDGET  # seconds

    def __post_init__(self) -> None:
        check_tolerance(self.tolerance)
        check_limit(self.limit)
        check_budget(self.budget)


@dataclass(frozen=True)
class Understood:
    """What is understood of one model's results."""

    bounds: Bounds
    comparisons: tuple[Comparison, ...]
    explanations: tuple[Explanation, ...] = ()
    incidents: tuple[Incident, ...] = ()
    agreement: Agreement = field(default_factory=Agreement)  # of devices
    circumstances: tuple[Circumstances, ...] = ()  # of each record

    def joined(self, others: Iterable[Cell]) -> Understood:
        """Return it with what records of the model's variants show of devices."""
        known = (cell for row in self.agreement.rows for cell in row.cells)
        return replace(self, agreement=agreement(self.agreement.model, (*known, *others)))

    @property
    def verdict(self) -> str:
        """The verdict on the worst output, in one line."""
        return headline(self.comparisons, self.bounds.limit)


class Records(Protocol):
    """Records with what their files are called; each may be read when its turn comes."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __iter__(self) -> Iterator[tuple[str, Record]]:
        """Return them one after the other."""


def of_records(
    records: Records,
    referee: Referee | None,
    bounds: Bounds,
    progress: Progress,
) -> Understood:
    """Return what is understood of records of one model; of none of them an array is kept."""
    compared: list[Comparison] = []
    explained: list[Explanation] = []
    shown: list[Cell] = []
    known: list[Circumstances] = []
    model, budget = "", _Budget(bounds.budget, len(records))
    for name, record in records:
        progress.step(f"comparing {name} with the reference")
        here = comparison.from_record(record, referee, name, bounds.tolerance, bounds.limit)
        with budget as seconds:
            found = explanation.of_record(
                record, referee, here, limit=bounds.limit, budget=seconds, progress=progress
            )
        explained += [replace(e, source=name if len(records) > 1 else "") for e in found]
        compared += here
        model = model or record.model.name
        shown += cells.of_record(name, record, here, model)
        known.append(circumstances(name, record))
        del record  # before the next one is read
    signatures = [s for c in compared if c.diagnosis for s in c.diagnosis.signatures]
    like = incidents.known(referee.subject, signatures) if referee else ()
    return Understood(
        bounds,
        tuple(compared),
        _once(explained),
        tuple(like),
        agreement(model, shown),
        tuple(known),
    )


class _Budget:
    """The seconds for searches, shared by the records: each may take its part of what is left."""

    def __init__(self, seconds: float, records: int) -> None:
        self.seconds, self.records = seconds, records
        self.least = min(seconds, LEAST)  # none stays none

    def __enter__(self) -> float:
        self.begun = time.monotonic()
        return max(self.seconds / self.records, self.least)

    def __exit__(self, *exception: object) -> None:
        self.seconds -= time.monotonic() - self.begun
        self.records -= 1


def _once(explained: Sequence[Explanation]) -> tuple[Explanation, ...]:
    """Return explanations, those that are the same for several records once."""
    sources: dict[Explanation, list[str]] = {}
    for one in explained:
        sources.setdefault(replace(one, source=""), []).append(one.source)
    return tuple(replace(one, source=", ".join(found)) for one, found in sources.items())
