"""What one compute unit gave for an output of one input, and which of its runs gave none.

The cold start is a run by itself, and counted in none of the numbers of runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reporter.understand import divergence
from reporter.understand.divergence import Metrics
from reporter.understand.reference import arrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reporter.measure.record import Run

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class UnitResult:
    """What one compute unit gave for an output: numbers, or why there are none.

    The numbers are of its first run that gave the output in the shape of the reference.
    """

    unit: str
    status: str  # "measured", "simulated", "stated by the user", "not measured", "failed: ..."
    metrics: Metrics | None = None
    runs: int = 0  # of the input
    lost: int = 0  # of these, how many did not give the output
    why: str = ""  # what the first of the lost did instead: "failed in predict: ..."
    cold: str = ""  # what the cold start did instead, if that is lost
    elsewhere: str = ""  # the input on which it failed, so that it was not run on this one

    @property
    def partly(self) -> bool:
        """Whether some runs gave the output, and some did not."""
        return 0 < self.lost < self.runs


@dataclass(frozen=True)
class Asked:
    """An output that runs of one input were to give, and what it is compared with."""

    output: str
    evidence: str
    expected: Any  # an array; None where there is none
    tolerance: float

    def result(
        self, unit: str, runs: Sequence[Run], cold: Sequence[Run], elsewhere: str = ""
    ) -> UnitResult:
        """Return what a unit gave; `elsewhere` is the input on which it failed before."""
        at_first = next(filter(None, map(self._loss, cold)), "")
        if not runs:
            status = f"failed (see input {elsewhere})" if elsewhere else NOT_MEASURED
            return UnitResult(unit, status, cold=at_first, elsewhere=elsewhere)
        losses = [loss for run in runs if (loss := self._loss(run))]
        status, metrics = self._measured(self.shown(runs))
        why = losses[0] if losses else ""
        return UnitResult(unit, status, metrics, len(runs), len(losses), why, at_first)

    def shown(self, runs: Sequence[Run]) -> Run:
        """Return the first run that gave the output, or else the first."""
        return next((run for run in runs if not self._loss(run)), runs[0])

    def array(self, run: Run) -> Any:
        """Return what a run gave, as an array; None if it is nothing of numbers."""
        return numeric(arrays(run.outputs or {})).get(self.output)

    def _measured(self, run: Run) -> tuple[str, Metrics | None]:
        if loss := self._loss(run):
            return loss, None
        if self.expected is None:
            return self.evidence, None
        return self.evidence, divergence.compare(self.array(run), self.expected, self.tolerance)

    def _loss(self, run: Run) -> str:
        """Return what a run did in place of giving the output; nothing if it gave it."""
        if run.failure:
            return f"failed in {run.failure.stage}: {run.failure.message}"
        found = self.array(run)
        if found is None:
            return "gave no such output"
        if self.expected is not None and found.size != self.expected.size:
            return f"gave an output of another shape: {'x'.join(map(str, found.shape))}"
        return ""


def numeric(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be compared number by number: arrays, images and probabilities."""
    found = {}
    for name, value in outputs.items():
        if isinstance(value, dict):
            found[name] = np.array([value[k] for k in sorted(value, key=str)], np.float64)
        elif not isinstance(value, (str, int)):
            found[name] = np.asarray(value)
    return found
