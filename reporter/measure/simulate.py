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

import migrate
from reporter.measure import subject
from reporter.measure.identity import identify
from reporter.measure.inputs import Schedule, scheduled, seeded
from reporter.measure.record import SCHEMA, Device, Record, Run
from reporter.measure.tensor import values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from migrate import Network

    Predict = Callable[[dict[str, Any]], Mapping[str, Any]]


ONCE = Schedule(seeds=1, repeats=1)  # it gives the same each time


def simulate(
    model: Path,
    fault: str,
    inputs: Mapping[str, Any] | None = None,
    custom: Sequence[str] = (),
    schedule: Schedule = ONCE,
) -> Record:
    """Return a simulated record of `model`; `fault` is FAULT@LAYER of a network, or "none".

    `inputs` are arrays by feature name, those of the schedule if there are none; `custom` are
    builders of custom layers as on the command line. A stale layer gives what it gave for the
    inputs of seed 1.
    """
    units = predictors(model, fault, custom)
    given = {"user": dict(inputs)} if inputs else scheduled(model, schedule, custom)
    runs = tuple(
        _run(unit, name, repeat, predict, arrays)
        for unit, predict in units.items()
        for name, arrays in given.items()
        for repeat in range(schedule.repeats)
    )
    return Record(
        schema=SCHEMA,
        evidence="simulated",
        model=identify(model),
        device=Device(label="anereport simulator"),
        date=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        simulation=fault,
        inputs={name: values(arrays) for name, arrays in given.items()},
        runs=runs,
    )


def predictors(model: Path, fault: str, custom: Sequence[str] = ()) -> dict[str, Predict]:
    """Return what predicts in place of each compute unit."""
    found = subject.read(model, custom)
    if isinstance(found, migrate.ProgramOverview):
        return _of_program(model, fault)
    return _of_network(found, fault, custom, model)


def lacks(model: Path, fault: str, custom: Sequence[str] = ()) -> str:
    """Return why a model cannot have a fault, in a sentence; nothing if it can."""
    found = subject.read(model, custom)
    try:
        if isinstance(found, migrate.ProgramOverview):
            _of_program(model, fault)
        else:
            _of_network(found, fault, custom, model)
    except migrate.FaultError as error:
        return str(error)
    return ""


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
        raise migrate.FaultError(
            f"{model.name} is an ML Program, and a fault is of a NeuralNetwork's layer: "
            f"give --simulate none instead of '{fault}'"
        )
    declared = partial(migrate.evaluate, model)
    return {"cpu": partial(migrate.evaluate, model, widened=True), "gpu": declared, "ane": declared}


def _run(unit: Any, name: str, repeat: int, predict: Predict, arrays: Mapping[str, Any]) -> Run:
    started = time.perf_counter()
    outputs = predict(dict(arrays))
    seconds = round(time.perf_counter() - started, 6)
    return Run(
        unit=unit,
        input=name,
        repeat=repeat,
        outputs=values(outputs),
        times={"simulated": seconds},
    )


def _watched(net: Any, watch: Any, arrays: dict[str, Any]) -> Any:
    with net.watching(watch):
        return net.predict(arrays)


def _rounded(change: Any) -> Any:
    """Return a watch that rounds as the envelope does, and applies the fault, if any."""

    def watch(blob: str, value: Any) -> Any:
        value = migrate.rounded(value)
        return value if change is None else migrate.rounded(change(blob, value))

    return watch
