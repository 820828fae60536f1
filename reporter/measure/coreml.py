"""Predictions by Core ML on a Mac: the only file that predicts. Not yet run on hardware.

Each compute unit runs in a process of its own (`python -m reporter.measure.coreml`), so that one
that dies is a recorded failure and the others still give results.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure import subject
from reporter.measure.arrays import load_inputs
from reporter.measure.device import this_device
from reporter.measure.identity import identify
from reporter.measure.inputs import telling
from reporter.measure.plan import plan
from reporter.measure.record import SCHEMA, Failure, Record, RecordError, Run
from reporter.measure.simulate import values

if TYPE_CHECKING:
    from collections.abc import Mapping

UNITS = {"cpu": "CPU_ONLY", "gpu": "CPU_AND_GPU", "ane": "CPU_AND_NE"}
SECONDS = 600  # the Neural Engine's compiler may take minutes


def available() -> bool:
    """Tell whether Core ML can run here."""
    return platform.system() == "Darwin"


def measure(model: Path, inputs: Mapping[str, Any] | None = None) -> Record:
    """Return the record of this Mac's CPU, GPU and Neural Engine for one set of inputs."""
    if not available():
        raise RecordError(
            f"Core ML runs on Macs and Apple devices only, so {model.name} cannot be measured "
            "here: run this command on a Mac, or use --simulate"
        )
    name, arrays = ("user", dict(inputs)) if inputs else telling(model)
    return Record(
        schema=SCHEMA,
        evidence="measured",
        model=identify(model),
        device=this_device(),
        date=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        inputs={name: values(arrays)},
        runs=tuple(_in_own_process(model, unit, name, arrays) for unit in UNITS),
    )


def _in_own_process(model: Path, unit: Any, name: str, arrays: Mapping[str, Any]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder, "inputs.npz"), Path(folder, "run.json")
        np.savez(given, **{f"in::{key}": array for key, array in arrays.items()})
        command = [sys.executable, "-m", "reporter.measure.coreml"]
        command += [str(model.resolve()), unit, name, str(given), str(result)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return _failed(unit, name, Failure(stage="predict", message=f"over {SECONDS} s"))
        if done.returncode == 0 and result.exists():
            return Run.model_validate_json(result.read_text())
        died = -done.returncode if done.returncode < 0 else None
        message = f"the process ended by signal {died}" if died else "the process failed"
        return _failed(
            unit,
            name,
            Failure(stage="predict", message=message, signal=died, stderr=done.stderr[-4000:]),
        )


def _failed(unit: Any, name: str, failure: Failure) -> Run:
    return Run(unit=unit, input=name, failure=failure)


def predict(model: Path, unit: Any, name: str, given: Path) -> Run:
    """Load and predict in this process; a load that fails silently is a failure too."""
    ct = migrate.coremltools()
    started = time.perf_counter()
    units = getattr(ct.ComputeUnit, UNITS[unit])
    loaded = ct.models.MLModel(str(model), compute_units=units)
    if loaded.__proxy__ is None:
        return _failed(unit, name, Failure(stage="load", message="Core ML did not load the model"))
    ready = time.perf_counter()
    outputs = loaded.predict(_as_core_ml_takes_them(model, load_inputs(given)))
    times = {"load": ready - started, "predict": time.perf_counter() - ready}
    planned = plan(loaded, units)
    return Run(unit=unit, input=name, outputs=values(outputs), times=times, plan=planned)


def _as_core_ml_takes_them(model: Path, arrays: dict[str, Any]) -> dict[str, Any]:
    """Return images as PIL; arrays stay as they are."""
    images = {f.name: f for f in subject.read(model).inputs if f.kind == "image"}
    return {
        name: migrate.to_pil(array, images[name]) if name in images else array
        for name, array in arrays.items()
    }


if __name__ == "__main__":
    model, unit, name, given, result = sys.argv[1:]
    run = predict(Path(model), unit, name, Path(given))
    Path(result).write_text(run.model_dump_json(by_alias=True, exclude_none=True))
