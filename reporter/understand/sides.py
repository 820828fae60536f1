"""One side of a verdict: what one model gave on one device, against what rounding explains.

Every output counts, of every input and repeat, and the worst of them is the unit's outcome: one
run that fails is a failure. The cold start is no repeat, and said by itself where it is otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import migrate
from reporter.understand.assessment import LIMIT
from reporter.understand.reference import arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reporter.measure.record import Plan, Run, Start

    Numbers = Callable[[str, Any], Any]  # an output's array by its name in the NeuralNetwork

UNITS = ("cpu", "gpu", "ane")
AT_THE_INTERFACE = ("cast", "const")  # operations that compute nothing


@dataclass(frozen=True)
class Outcome:
    """What a compute unit gave, of all outputs the worst."""

    state: Literal["right", "wrong", "failed", "not measured"] = "not measured"
    ratio: float = 0.0  # of the worst channel's error to what rounding explains
    output: str = ""
    detail: str = ""  # of a failure


@dataclass(frozen=True)
class Placement:
    """How many operations are planned on the Neural Engine; casts and constants are not counted."""

    planned: int
    total: int
    elsewhere: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether there is something to compute, and all of it is planned there."""
        return 0 < self.planned == self.total


@dataclass(frozen=True)
class Side:
    """What a model gave on a device."""

    model: str
    records: tuple[str, ...]
    cpu: Outcome
    gpu: Outcome
    ane: Outcome
    wrong: tuple[str, ...] = ()  # outputs, on the Neural Engine
    placement: Placement | None = None  # of the Neural Engine's run, if its record holds a plan
    identical: bool = False  # CPU and Neural Engine gave the same bits
    overflows: tuple[str, ...] = ()  # what float16 rounding alone makes infinite
    inputs: int = 0  # that it rests on
    runs: dict[str, int] = field(default_factory=dict)  # by unit
    cold: str = ""  # what the Neural Engine's cold start is, if it is otherwise than its runs


@dataclass(frozen=True)
class Trial:
    """The runs of one input, in one record or several, and what rounding explains of outputs."""

    records: tuple[str, ...]
    runs: Sequence[Run]
    envelopes: Mapping[str, migrate.Envelope]  # by the output's name in the NeuralNetwork
    numbers: Callable[[str, Mapping[str, Any]], Any]  # an output's array of a run's outputs


def side(model: str, trials: Sequence[Trial], limit: float = LIMIT) -> Side:
    """Return the side of a model whose runs these are.

    `limit` is how many times what rounding explains is still right.
    """
    outcomes = {unit: _outcomes(trials, unit, limit) for unit in UNITS}
    ane = _of_unit(trials, "ane", outcomes["ane"])
    overflows = [blob for t in trials for e in t.envelopes.values() for blob in e.beyond_range]
    plans = [run.plan for run in _runs(trials, "ane") if run.plan]
    return Side(
        model=model,
        records=tuple(dict.fromkeys(name for trial in trials for name in trial.records)),
        cpu=_of_cpu(trials, outcomes["cpu"]),
        gpu=_of_unit(trials, "gpu", outcomes["gpu"]),
        ane=ane,
        wrong=tuple(dict.fromkeys(o.output for o in outcomes["ane"] if o.state != "right")),
        placement=least(map(placement, plans)),
        identical=identical([trial.runs for trial in trials]),
        overflows=tuple(dict.fromkeys(overflows)),
        inputs=len(trials),
        runs={unit: len(_runs(trials, unit)) for unit in UNITS if _runs(trials, unit)},
        cold=_cold(ane, _worst(_outcomes(trials, "ane", limit, start="cold"))),
    )


def _runs(trials: Iterable[Trial], unit: str) -> list[Run]:
    return [run for t in trials for run in t.runs if run.unit == unit and not run.start]


def _outcomes(trials: Iterable[Trial], unit: str, limit: float, start: Start = "") -> list[Outcome]:
    """Return an outcome for each output of each run of a unit; one for a run that failed."""
    found = []
    for trial in trials:
        for run in trial.runs:
            if (run.unit, run.start) != (unit, start):
                continue
            if run.failure:
                detail = f"{run.failure.stage}: {run.failure.message}"
                found.append(Outcome("failed", math.inf, "", detail))
                continue
            found += [_outcome(trial, name, run, limit) for name in trial.envelopes]
    return found


def _outcome(trial: Trial, name: str, run: Run, limit: float) -> Outcome:
    envelope = trial.envelopes[name]
    try:
        values = trial.numbers(name, arrays(run.outputs or {}))
        worst = float(np.max(envelope.ratio(values), initial=0.0))
    except KeyError:
        return Outcome("failed", math.inf, name, f"gave no output '{name}'")
    except migrate.AnereportError as error:
        return Outcome("failed", math.inf, name, f"output '{name}': {error}")
    except (AttributeError, TypeError, ValueError):  # a string or a dictionary in an array's place
        return Outcome("failed", math.inf, name, f"output '{name}' is not of the declared kind")
    return Outcome("right" if worst <= limit else "wrong", worst, name)


def _of_unit(trials: Sequence[Trial], unit: str, outcomes: Sequence[Outcome]) -> Outcome:
    """Return a unit's worst outcome; a failure says in how many runs, if not in all."""
    worst, runs = _worst(outcomes), _runs(trials, unit)
    failed = sum(run.failure is not None for run in runs)
    if worst.state == "failed" and 0 < failed < len(runs):
        return replace(worst, detail=f"in {failed} of {len(runs)} runs, {worst.detail}")
    return worst


def _cold(ane: Outcome, cold: Outcome) -> str:
    """Return what the cold start is; nothing if it is as right or wrong as the later runs."""
    if "not measured" in (ane.state, cold.state) or (ane.state == "right") == (
        cold.state == "right"
    ):
        return ""
    how = cold.detail or f"{cold.ratio:.3g} times what rounding explains"
    return f"{'failed' if cold.state == 'failed' else f'is {cold.state}'} at its cold start ({how})"


def _of_cpu(trials: Sequence[Trial], outcomes: Sequence[Outcome]) -> Outcome:
    """Return the CPU's outcome; it is measured only if it ran on all that the Neural Engine did."""
    found = _of_unit(trials, "cpu", outcomes)
    units = [{run.unit for run in trial.runs if not run.start} for trial in trials]
    missing = any("ane" in ran and "cpu" not in ran for ran in units)
    return Outcome() if missing and found.state == "right" else found


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    """Return a failure if there is one, or the outcome that is furthest off."""
    return max(outcomes, key=lambda o: (o.state == "failed", o.ratio), default=Outcome())


def least(placements: Iterable[Placement]) -> Placement | None:
    """Return the least of several placements, one that is not whole if there is one."""
    return min(placements, key=lambda p: (p.whole, p.planned), default=None)


def placement(plan: Plan) -> Placement:
    """Return how much of a plan is on the Neural Engine."""
    counted = [o for o in plan.operations if o.kind.rpartition(".")[2] not in AT_THE_INTERFACE]
    elsewhere = tuple(o.name for o in counted if o.planned != "ane")
    return Placement(len(counted) - len(elsewhere), len(counted), elsewhere)


def identical(by_input: Iterable[Sequence[Run]]) -> bool:
    """Tell whether the CPU and the Neural Engine gave the same bits for every input."""
    pairs = [
        (arrays(cpu.outputs), arrays(ane.outputs))
        for runs in by_input
        for cpu in runs
        for ane in runs
        if (cpu.unit, ane.unit) == ("cpu", "ane") and cpu.outputs and ane.outputs
    ]
    return bool(pairs) and all(_same(a, b) for a, b in pairs)


def _same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)


def _equal(a: Any, b: Any) -> bool:
    tensors = [hasattr(value, "tobytes") for value in (a, b)]
    if not all(tensors):
        return not any(tensors) and bool(a == b)
    return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
