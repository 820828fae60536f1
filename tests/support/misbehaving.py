"""A backend in the place of Core ML whose units do as they are told, in worker processes.

It runs one model: y = 0.3 x, in float32 on the CPU, in float16 elsewhere. `plan_to` tells the
processes what each unit does, by the environment that they inherit.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reporter.measure.record import Plan, PlannedOperation

TOLD, COMPILED = "MISBEHAVE", "COMPILED_MODELS"
REFUSED = (
    "E5RT encountered an STL exception: ANECCompile() FAILED in /Users/jane/Library/m.mlmodelc"
)


def told(monkeypatch, tmp_path, **units):
    """Make this the backend, of processes that do so for each unit; returns where compiles go."""
    from reporter.measure import coreml, measuring

    compiled = tmp_path / "compiled.txt"
    here = str(Path(__file__).parent)
    monkeypatch.setattr(coreml, "available", lambda: True)
    monkeypatch.setattr(measuring, "BACKEND", "misbehaving")
    monkeypatch.setenv("PYTHONPATH", here)
    monkeypatch.setenv(TOLD, json.dumps(units))
    monkeypatch.setenv(COMPILED, str(compiled))
    return compiled


def model(path, shape=(1, 2, 3, 4)):
    """Write the model."""
    from migrate.coreml import proto

    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    array = spec.description.input.add(name="x").type.multiArrayType
    array.shape.extend(shape)
    array.dataType = 65568
    spec.description.output.add(name="y").type.multiArrayType.dataType = 65568
    layer = spec.neuralNetwork.layers.add(name="scale", input=["x"], output=["y"])
    layer.activation.linear.alpha = 0.3
    path.write_bytes(spec.SerializeToString())
    return path


def right(unit, x):
    """What a unit gives that does nothing else."""
    if unit == "cpu":
        return np.float32(0.3) * x
    return (np.float16(0.3) * x.astype(np.float16)).astype(np.float32)


def does(unit):
    return json.loads(os.environ.get(TOLD, "{}")).get(unit, "")


def compile_model(model, target):
    if name := os.environ.get(COMPILED):
        with Path(name).open("a") as stream:
            stream.write(f"{target}\n")
    act(does("compile"), "compile")
    target.mkdir()


def load(compiled, unit, model):
    if not compiled.is_dir():
        raise RuntimeError("nothing is compiled")
    act(does(unit), "load")
    return Loaded(unit, does(unit))


def act(what, where):
    """Do what is told of a place, as in load:raise."""
    place, _, how = what.partition(":")
    if place != where:
        return
    if how == "raise":
        raise RuntimeError("it is\nnot to be had")
    if how == "hang":
        time.sleep(1000)
    if how.isdigit():
        print("noise " * 1000, file=sys.stderr)
        print("last words", file=sys.stderr, flush=True)
        signal.signal(int(how), signal.SIG_DFL) if int(how) not in (9, 19) else None
        os.kill(os.getpid(), int(how))


@dataclass
class Loaded:
    unit: str
    told: str
    calls: int = 0

    def predict(self, arrays):
        (x,) = arrays.values()
        self.calls += 1
        what, _, number = self.told.partition("@")  # as in predict:9@2, at the second call
        if self.calls >= int(number or 1):
            act(what, "predict")
            if what == "slow":
                time.sleep(0.5)
            if what in ("message", "refused"):
                print(REFUSED, file=sys.stderr, flush=True)
        unit = "cpu" if what in ("cpu", "refused") else self.unit
        return {"y": self.changed(what, right(unit, x))}

    def changed(self, what, y):
        if what == "shape":
            return np.zeros((1, 2, 3, 5), np.float32)
        if what == "nan":
            return np.full_like(y, np.nan)
        if what == "flaky":
            return y + np.float32(self.calls % 2)
        if what == "wrong":
            return np.full_like(y, 0.2047119)
        return y

    def plan(self):
        act(self.told, "plan")
        planned = "ane" if self.unit == "all" else self.unit
        operation = PlannedOperation(name="scale", kind="activation", planned=planned)
        return Plan(operations=(operation,))
