"""Everything that is understood of results: comparisons, explanations, known incidents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reporter.understand import comparison, explanation, incidents
from reporter.understand.assessment import LIMIT, check_limit
from reporter.understand.divergence import TOLERANCE, check_tolerance
from reporter.understand.explanation import BUDGET, Explanation, check_budget
from reporter.understand.headline import headline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.measure.record import Record
    from reporter.progress import Progress
    from reporter.understand.comparison import Comparison
    from reporter.understand.incidents import Incident
    from reporter.understand.reference import Referee


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

    @property
    def verdict(self) -> str:
        """The verdict on the worst output, in one line."""
        return headline(self.comparisons, self.bounds.limit)


def of_records(
    records: Sequence[tuple[str, Record]],
    referee: Referee | None,
    bounds: Bounds,
    progress: Progress,
) -> Understood:
    """Return what is understood of records of one model, each with what its file is called."""
    compared: list[Comparison] = []
    explained: list[Explanation] = []
    for name, record in records:
        progress.step(f"comparing {name} with the reference")
        here = comparison.from_record(record, referee, name, bounds.tolerance, bounds.limit)
        explained += explanation.of_record(
            record, referee, here, limit=bounds.limit, budget=bounds.budget, progress=progress
        )
        compared += here
    signatures = [s for c in compared if c.diagnosis for s in c.diagnosis.signatures]
    known = incidents.known(referee.subject, signatures) if referee else ()
    return Understood(bounds, tuple(compared), tuple(explained), tuple(known))
