"""A stand-in for devices: float16 after every layer, and one named fault if asked for.

It shows what a record looks like and tests what reads one. It is not a model of Apple's hardware:
    cpu   the torch module in float32
    gpu   weights and inputs rounded to float16, float32 arithmetic, every blob rounded to float16
    ane   as gpu, and the fault after the layer it names
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure.identity import identify
from reporter.measure.inputs import seeded
from reporter.measure.record import SCHEMA, Device, Record, Run, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reporter.measure.record import Value


def simulate(model: Path, fault: str, inputs: Mapping[str, Any] | None = None) -> Record:
    """Return a simulated record of `model`; `fault` is FAULT@LAYER, or "none".

    `inputs` are arrays by feature name; seeded ones are made if there are none.
    """
    network = migrate.read(model)
    change = None if fault == "none" else migrate.fault(network, fault)
    name = "user" if inputs else "seed-0"
    arrays = dict(inputs or seeded(model))
    runs = (
        _run("cpu", name, migrate.to_torch(model), arrays, None),
        _run("gpu", name, _half_weights(model), arrays, _rounded(None)),
        _run("ane", name, _half_weights(model), arrays, _rounded(change)),
    )
    return Record(
        schema=SCHEMA,
        evidence="simulated",
        model=identify(model),
        device=Device(label="anereport simulator"),
        date=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        simulation=fault,
        inputs={name: values(arrays)},
        runs=runs,
    )


def values(outputs: Mapping[str, Any]) -> dict[str, Value]:
    """Return predicted outputs, or given inputs, as a record's values."""
    return {name: _value(output) for name, output in outputs.items()}


def _value(output: Any) -> Value:
    if isinstance(output, (str, int)):
        return output
    if isinstance(output, dict):
        return {str(label): float(probability) for label, probability in output.items()}
    array = np.asarray(output)
    return Tensor.of(array.astype(np.int32) if array.dtype == np.int64 else array)


def _run(unit: Any, name: str, net: Any, arrays: Mapping[str, Any], watch: Any) -> Run:
    started = time.perf_counter()
    if watch is None:
        outputs = net.predict(dict(arrays))
    else:
        with net.watching(watch):
            outputs = net.predict(dict(arrays))
    seconds = round(time.perf_counter() - started, 6)
    return Run(unit=unit, input=name, outputs=values(outputs), times={"simulated": seconds})


def _half_weights(model: Path) -> Any:
    return migrate.to_torch(model).half().float()


def _rounded(change: Any) -> Any:
    """Return a watch that applies the fault, if any, and rounds every blob to float16."""

    def watch(blob: str, value: Any) -> Any:
        value = value if change is None else change(blob, value)
        return value.half().float()

    return watch
