"""What runs in a process of its own: compile a model, or load it for one compute unit and predict.

`python -m reporter.measure.worker JOB` reads a Job. Whatever kills this process, or makes it hang,
leaves in the job's folder what it finished before:

    stage         what was begun last: compile or load (by the parent), predict, plan
    000000.json   a run for each prediction, in order, each there whole or not at all
    plan.json     the compute plan, asked for last, since it is beside the point of a prediction
    error         the exception that ended it, in one line
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict

from reporter.measure.arrays import load_inputs
from reporter.measure.record import Plan, Run, Start, Unit
from reporter.measure.tensor import Part, pieces, values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Loaded(Protocol):
    """A model that can predict."""

    def predict(self, arrays: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs by name; the arrays stay as they are."""

    def plan(self) -> Plan | None:
        """Return where the operations are planned to run, if that can be had."""


class Backend(Protocol):
    """What a module in the place of Core ML has."""

    def compile_model(self, model: Path, target: Path) -> None:
        """Write the compiled model to `target`."""

    def load(self, compiled: Path, unit: Unit, model: Path) -> Loaded:
        """Load what was compiled for a compute unit; `model` is where it came from."""


class Job(BaseModel):
    """What one process does; without inputs it compiles."""

    model_config = ConfigDict(frozen=True)

    backend: str  # a module
    folder: Path  # of what is finished
    model: Path
    compiled: Path
    unit: Unit = "cpu"
    start: Start = ""
    inputs: tuple[tuple[str, Path], ...] = ()  # names, and archives of arrays
    repeats: int = 1  # of each input

    def begin(self, stage: str) -> None:
        """Note what begins."""
        (self.folder / "stage").write_text(stage)

    def hand_over(self, name: str, part: Part) -> None:
        """Write a file of the folder such that it is whole whenever it is there."""
        target = self.folder / name
        with target.with_suffix(".unfinished").open("wb") as stream:
            stream.writelines(pieces(part))
        target.with_suffix(".unfinished").replace(target)


def main(path: Path) -> int:
    """Do the job in a file and return the exit code."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    job = Job.model_validate_json(path.read_bytes())
    try:
        backend: Any = importlib.import_module(job.backend)
        if job.inputs:
            _predict(job, backend)
        else:
            backend.compile_model(job.model, job.compiled)
    except Exception as error:
        traceback.print_exc()
        (job.folder / "error").write_text(" ".join(f"{type(error).__name__}: {error}".split()))
        return 1
    return 0


def _predict(job: Job, backend: Backend) -> None:
    """Hand over a run for each input and repeat, and the plan."""
    started = time.perf_counter()
    loaded = backend.load(job.compiled, job.unit, job.model)
    times = {"load": time.perf_counter() - started}
    job.begin("predict")
    for number, (name, repeat, arrays) in enumerate(_predictions(job)):
        started = time.perf_counter()
        outputs = loaded.predict(arrays)
        times["predict"] = time.perf_counter() - started
        job.hand_over(
            f"{number:06}.json",
            Run(
                unit=job.unit,
                input=name,
                repeat=repeat,
                start=job.start,
                outputs=values(outputs),
                times=times,
            ),
        )
        times = {}
    job.begin("plan")
    if found := loaded.plan():
        job.hand_over("plan.json", found)


def _predictions(job: Job) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for name, path in job.inputs:
        arrays = load_inputs(path)
        yield from ((name, repeat, arrays) for repeat in range(job.repeats))


def _end_with_the_parent() -> None:
    """End this process when the parent does: then the pipe that is its standard input closes."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
