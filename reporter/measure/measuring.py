"""A record of this Mac: each compute unit in a process of its own. Not yet run on hardware.

The model is compiled once, to a path that is new, and all processes load it from there. The cold
run is of the first load for the Neural Engine: the system's cache of what it made for the Neural
Engine goes by path, as far as is known, and has nothing of this one yet. The Neural Engine's other
runs come after it, in a new process, and those of all units together last. A process that dies or
hangs is a failure in the record. If it died in a prediction, the inputs after that one are tried in
a new process: a unit has at most as many processes as there are inputs, and one more when cold.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reporter.measure import coreml, process
from reporter.measure.device import this_device
from reporter.measure.given import check_inputs, check_layers
from reporter.measure.identity import identify
from reporter.measure.inputs import Schedule, scheduled
from reporter.measure.record import SCHEMA, Record, RecordError, Run, Start, Unit
from reporter.measure.tensor import values
from reporter.measure.worker import Job
from reporter.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reporter.measure.process import Ended
    from reporter.progress import Progress

    Keep = Callable[[Record], None]

BACKEND = "reporter.measure.coreml"  # a module as `worker` describes it
NAMES = {"cpu": "CPU", "gpu": "GPU", "ane": "Neural Engine", "all": "CPU, GPU and Neural Engine"}
USER = "user"  # what the user's own inputs are called
SECONDS = 600.0  # the Neural Engine's compiler may take minutes


@dataclass(frozen=True)
class Round:
    """The runs that are made on a unit with one load, if nothing goes wrong."""

    unit: Unit
    inputs: tuple[str, ...]
    repeats: int
    start: Start = ""

    @property
    def runs(self) -> int:
        """How many there are."""
        return len(self.inputs) * self.repeats


def measure(
    model: Path,
    inputs: Mapping[str, Any] | None = None,
    schedule: Schedule | None = None,
    *,
    seconds: float = SECONDS,
    label: str = "",
    keep: Keep | None = None,
    progress: Progress | None = None,
) -> Record:
    """Return the record of this Mac's CPU, GPU and Neural Engine, and of all of them together.

    `inputs` are arrays by feature name, those of the schedule if there are none. `keep` is given
    the record as far as it is after each input of a unit, and when Ctrl-C (KeyboardInterrupt) ends
    it. A unit has so many `seconds`. Raises RecordError where there is no Core ML, and GivenError
    for custom layers, or for inputs that are not the model's.
    """
    if not seconds > 0:
        raise RecordError(f"--timeout is a number of seconds above 0, not {seconds:g}")
    schedule = schedule or Schedule()
    check_layers(model)
    if not coreml.available():
        raise RecordError(
            f"Core ML runs on Macs and Apple devices only, so {model.name} cannot be measured "
            "here: run this command on a Mac, or make an app for an iPhone or iPad with "
            f"'anereport runner {shlex.quote(str(model))}'; --simulate writes a simulated record"
        )
    if inputs:
        check_inputs(inputs, model)
    given = {USER: dict(inputs)} if inputs else scheduled(model, schedule)
    with tempfile.TemporaryDirectory() as folder:
        measuring = _Measuring(
            model=model.resolve(),
            given=given,
            empty=_empty(model, given, label),
            rounds=_rounds(tuple(given), schedule.repeats),
            folder=Path(folder),
            seconds=seconds,
            keep=keep or (lambda record: None),
            progress=progress or Silent(),
        )
        return measuring.record()


def _rounds(inputs: tuple[str, ...], repeats: int) -> tuple[Round, ...]:
    return (
        Round("cpu", inputs, repeats),
        Round("gpu", inputs, repeats),
        Round("ane", inputs[:1], 1, "cold"),
        Round("ane", inputs, repeats),
        Round("all", inputs, repeats),
    )


def _empty(model: Path, given: Mapping[str, Mapping[str, Any]], label: str) -> Record:
    return Record(
        schema=SCHEMA,
        evidence="measured",
        model=identify(model),
        device=this_device(label),
        date=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        inputs={name: values(arrays) for name, arrays in given.items()},
        runs=(),
    )


@dataclass
class _Measuring:
    """One record while it is being made."""

    model: Path
    given: Mapping[str, Mapping[str, Any]]
    empty: Record
    rounds: tuple[Round, ...]
    folder: Path
    seconds: float
    keep: Keep
    progress: Progress
    runs: list[Run] = field(default_factory=list)
    jobs: int = 0

    def record(self) -> Record:
        """Make the runs, and return the record of all of them."""
        self.progress.expect(1 + sum(len(one.inputs) for one in self.rounds))
        for name, arrays in self.given.items():
            np.savez(self._archive(name), **{f"in::{k}": array for k, array in arrays.items()})
        try:
            refused = self._compile()
            for one in self.rounds:
                if refused:
                    self.runs.append(refused.failure(one.unit, one.inputs[0], one.start))
                else:
                    self._make(one)
                self.keep(self._so_far())
        except KeyboardInterrupt:
            if self.runs:
                self.keep(self._so_far())
            raise
        return self._of_runs(self.runs)

    def _so_far(self, *more: Run) -> Record:
        """Return the record of what was made, and of `more`: the runs of a process that goes on."""
        runs, total = (*self.runs, *more), sum(one.runs for one in self.rounds)
        return self._of_runs(runs, f"{len(runs)} of {total} runs were made before it was stopped")

    def _of_runs(self, runs: Iterable[Run], stopped: str = "") -> Record:
        """Return the record of runs; the cold run is last, to be nobody's first."""
        ordered = tuple(sorted(runs, key=lambda run: run.start))
        return self.empty.model_copy(update={"runs": ordered, "stopped": stopped})

    def _compile(self) -> Ended | None:
        """Compile the model; returns how that ended if it failed."""
        self.progress.step(f"compiling {self.model.name}")
        ended = self._process(self._job("cpu"), self.seconds)
        return None if ended.status == 0 else ended

    def _make(self, one: Round) -> None:
        """Make the runs of a unit; what keeps them from being made becomes failures."""
        deadline = time.monotonic() + self.seconds
        left = one.inputs
        while left:
            archives = tuple((name, self._archive(name)) for name in left)
            job = self._job(one.unit, start=one.start, inputs=archives, repeats=one.repeats)
            ended = self._process(job, max(0.0, deadline - time.monotonic()))
            at, repeat = divmod(len(ended.runs), one.repeats)
            if at == len(left):
                return
            self.runs.append(ended.failure(one.unit, left[at], one.start, repeat))
            if not ended.in_a_prediction:
                return
            left = left[at + 1 :]

    def _process(self, job: Job, seconds: float) -> Ended:
        """Run a job; its finished runs are kept, even if Ctrl-C ends it."""
        try:
            ended = process.run(job, seconds, self._begins(job))
        except KeyboardInterrupt:
            self.runs += process.finished(job)
            raise
        shutil.rmtree(job.folder)  # its outputs are here now
        self.runs += ended.runs
        return ended

    def _begins(self, job: Job) -> Callable[[str], None]:
        """Return what is done when an input begins: those before it are kept."""
        unit = f"{NAMES[job.unit]}{', cold start' * bool(job.start)}"

        def begins(name: str) -> None:
            if finished := process.finished(job):
                self.keep(self._so_far(*finished))
            self.progress.step(f"{self.model.name} on the {unit}: {name}")

        return begins

    def _archive(self, name: str) -> Path:
        return self.folder / f"{name}.npz"

    def _job(self, unit: Unit, **fields: Any) -> Job:
        self.jobs += 1
        folder = self.folder / str(self.jobs)
        folder.mkdir()
        return Job(
            backend=BACKEND,
            folder=folder,
            model=self.model,
            compiled=self.folder / "model.mlmodelc",
            unit=unit,
            **fields,
        )
