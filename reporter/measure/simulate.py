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
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reporter.measure.record import Value


def simulate(
    model: Path,
    fault: str,
    inputs: Mapping[str, Any] | None = None,
    custom: Sequence[str] = (),
) -> Record:
    """Return a simulated record of `model`; `fault` is FAULT@LAYER, or "none".

    `inputs` are arrays by feature name, seeded ones if there are none; `custom` are builders of
    custom layers as on the command line.
    """
    network = migrate.read(model)
    builders = migrate.load_custom(custom, network)
    net, halved = (migrate.to_torch(network, builders) for _ in range(2))
    halved.half().float()
    change = None if fault == "none" else migrate.fault(network, fault)
    name = "user" if inputs else "seed-0"
    arrays = dict(inputs or seeded(model))
    runs = (
        _run("cpu", name, net, arrays, None),
        _run("gpu", name, halved, arrays, _rounded(None)),
        _run("ane", name, halved, arrays, _rounded(change)),
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
    return Tensor.of(np.asarray(output))


def _run(unit: Any, name: str, net: Any, arrays: Mapping[str, Any], watch: Any) -> Run:
    started = time.perf_counter()
    if watch is None:
        outputs = net.predict(dict(arrays))
    else:
        with net.watching(watch):
            outputs = net.predict(dict(arrays))
    seconds = round(time.perf_counter() - started, 6)
    return Run(unit=unit, input=name, outputs=values(outputs), times={"simulated": seconds})


def _rounded(change: Any) -> Any:
    """Return a watch that applies the fault, if any, and rounds every blob to float16."""

    def watch(blob: str, value: Any) -> Any:
        value = value if change is None else change(blob, value)
        return value.half().float()

    return watch
