"""A stand-in for devices: float16 after every layer, and one named fault if asked for.

It shows what a record looks like and tests what reads one. It is not a model of Apple's hardware:

          NeuralNetwork                                   ML Program
    cpu   the torch module in float32                     widened: all that is float16 in float32
    gpu   weights and inputs rounded to float16, float32  as declared, each operation rounded to
          arithmetic, every blob rounded to float16       its type
    ane   as gpu, and the fault after the layer it names  as gpu; it has no layers to name
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure import subject
from reporter.measure.identity import identify
from reporter.measure.inputs import seeded, telling
from reporter.measure.record import SCHEMA, Device, Record, Run, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from migrate import Network
    from reporter.measure.record import Value

    Predict = Callable[[dict[str, Any]], Mapping[str, Any]]


def simulate(
    model: Path,
    fault: str,
    inputs: Mapping[str, Any] | None = None,
    custom: Sequence[str] = (),
) -> Record:
    """Return a simulated record of `model`; `fault` is FAULT@LAYER of a network, or "none".

    `inputs` are arrays by feature name, seeded ones if there are none; `custom` are builders of
    custom layers as on the command line. A stale layer gives what it gave for the inputs of seed 1.
    """
    found = subject.read(model, custom)
    units = (
        _of_program(model, fault)
        if isinstance(found, migrate.ProgramOverview)
        else _of_network(found, fault, custom, model)
    )
    name, arrays = ("user", dict(inputs)) if inputs else telling(model, custom)
    runs = tuple(_run(unit, name, predict, arrays) for unit, predict in units.items())
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


def _of_network(
    network: Network, fault: str, custom: Sequence[str], model: Path
) -> dict[str, Predict]:
    builders = migrate.load_custom(custom, network)
    net, halved = (migrate.to_torch(network, builders) for _ in range(2))
    halved.half().float()
    previous = seeded(model, 1) if fault.startswith("stale") else None
    change = None if fault == "none" else migrate.fault(halved, fault, previous=previous)
    return {
        "cpu": net.predict,
        "gpu": partial(_watched, halved, _rounded(None)),
        "ane": partial(_watched, halved, _rounded(change)),
    }


def _of_program(model: Path, fault: str) -> dict[str, Predict]:
    if fault != "none":
        raise migrate.AnereportError(
            f"{model.name} is an ML Program, and a fault is of a NeuralNetwork's layer: "
            f"give --simulate none instead of '{fault}'"
        )
    declared = partial(migrate.evaluate, model)
    return {"cpu": partial(migrate.evaluate, model, widened=True), "gpu": declared, "ane": declared}


def values(outputs: Mapping[str, Any]) -> dict[str, Value]:
    """Return predicted outputs, or given inputs, as a record's values."""
    return {name: _value(output) for name, output in outputs.items()}


def _value(output: Any) -> Value:
    if isinstance(output, (str, int)):
        return output
    if isinstance(output, dict):
        return {str(label): float(probability) for label, probability in output.items()}
    return Tensor.of(np.asarray(output))


def _run(unit: Any, name: str, predict: Predict, arrays: Mapping[str, Any]) -> Run:
    started = time.perf_counter()
    outputs = predict(dict(arrays))
    seconds = round(time.perf_counter() - started, 6)
    return Run(unit=unit, input=name, outputs=values(outputs), times={"simulated": seconds})


def _watched(net: Any, watch: Any, arrays: dict[str, Any]) -> Any:
    with net.watching(watch):
        return net.predict(arrays)


def _rounded(change: Any) -> Any:
    """Return a watch that rounds as the envelope does, and applies the fault, if any."""

    def watch(blob: str, value: Any) -> Any:
        value = migrate.rounded(value)
        return value if change is None else migrate.rounded(change(blob, value))

    return watch
