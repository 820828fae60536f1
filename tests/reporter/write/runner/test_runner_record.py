"""The record that the app writes: its rules, stated again here, give what `record.load` reads."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re

import numpy as np
import pytest
import swift_syntax as swift
from small_block import small_block

from migrate import output_numbers, read
from reporter.measure import record as records
from reporter.measure.identity import ModelIdentity, identify
from reporter.measure.tensor import DTYPES, Tensor
from reporter.write.rendering import render
from reporter.write.run import Options
from reporter.write.runner import carried, runner

PAD = 0xEE  # what lies between the values


def source(name):
    return render(f"runner/{name}.swift", key="", models=1, repeats=3)


def strided(array, row):
    """An output whose rows of the last dimension lie `row` elements apart, as the app has it."""
    strides, size = [1], row
    for n in array.shape[-2::-1]:
        strides.insert(0, size)
        size *= n
    memory = np.full(size * array.itemsize, PAD, np.uint8)
    steps = [s * array.itemsize for s in strides]
    np.ndarray(array.shape, array.dtype, memory.data, strides=steps)[...] = array
    needed = 1 + sum((n - 1) * s for n, s in zip(array.shape, strides, strict=True))
    data = memory.tobytes()[: needed * array.itemsize]
    return {
        "dtype": array.dtype.name, "shape": list(array.shape), "strides": strides,
        "data": base64.b64encode(data).decode(),
    }  # fmt: skip


def app_record(project, runs, **device):
    """What the app puts together: a record without runs, then the runs as they are."""
    jobs = json.loads((project / "Inputs" / "jobs.json").read_text())
    (job,) = jobs["jobs"]
    inputs = {
        inputs["name"]: {
            value["name"]: {
                "dtype": value["dtype"], "shape": value["shape"],
                "data": base64.b64encode(
                    (project / "Inputs" / value["file"]).read_bytes()
                ).decode().replace("/", "\\/"),
            }
            for value in inputs["values"]
        }
        for inputs in job["inputs"]
    }  # fmt: skip
    head = {
        "schema": "anereport.record/1", "evidence": "measured", "model": job["model"],
        "device": {"label": "device-1a2b3c", "system": "iOS", "tools": {}, **device},
        "date": "2026-11-28T06:16:04Z", "stopped": "17 of 25 runs are made", "inputs": inputs,
    }  # fmt: skip
    text = json.dumps(head).replace("\\\\/", "\\/")  # JSONEncoder writes a slash as \/
    return text[:-1] + ',"runs":[' + ",".join(map(json.dumps, runs)) + "]}\n"


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "Block.mlmodel"
    path.write_bytes(small_block().SerializeToString())
    return path


@pytest.fixture
def project(model, tmp_path):
    return runner.write(model, tmp_path / "p", Options(seeds=1, repeats=1)).path


@pytest.fixture
def loaded(project, tmp_path):
    def load(*runs, **device):
        path = tmp_path / "record.json"
        path.write_text(app_record(project, runs, **device))
        return records.load(path)

    return load


def run(unit="ane", start="", times=None, **ended):
    return {
        "unit": unit, "input": "seed-0", "repeat": 0, "start": start, "times": times or {}, **ended
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
@pytest.mark.parametrize("shape", [(1, 16, 4, 1), (3, 5), (7,), ()])
def test_padding_between_values_is_not_read_as_values(loaded, dtype, shape):
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    output = strided(array, 32) if shape else {**strided(array.reshape(1), 1)}
    if not shape:
        output.update(shape=[], strides=[])
    found = loaded(run(outputs={"out": output})).runs[0].outputs["out"]
    assert np.array_equal(found.array(), array)
    assert found.array().dtype == array.dtype
    assert (found.strides or ()) == tuple(output["strides"])


def test_every_kind_of_output_is_read(loaded):
    outputs = {
        "odd/\n\"name": {"cat": 0.25, "dog": "NaN", "": "-Infinity", "emu": "Infinity"},
        "label": 'a"\\/\n', "number": -7,
        "regressor": {"dtype": "float64", "shape": [], "data": "AAAAAAAA+D8="},
    }  # fmt: skip
    found = loaded(run(outputs=outputs, times={"load": 0.5, "predict": 1e-06})).runs[0]
    scores = found.outputs['odd/\n"name']
    assert scores["cat"] == 0.25
    assert math.isnan(scores["dog"])
    assert (scores[""], scores["emu"]) == (-math.inf, math.inf)
    assert (found.outputs["label"], found.outputs["number"]) == ('a"\\/\n', -7)
    assert found.outputs["regressor"].array() == 1.5
    assert found.times == {"load": 0.5, "predict": 1e-06}


def test_images_are_read_as_pixels(loaded, tmp_path):
    """A gray one with its rows' padding, a colored one in the order R, G, B."""
    spec = small_block()
    for name, color in (("gray", 10), ("rgb", 20), ("bgr", 30)):
        image = spec.description.output.add(name=name).type.imageType
        image.width, image.height, image.colorSpace = 4, 3, color
    path = tmp_path / "images.mlmodel"
    path.write_bytes(spec.SerializeToString())
    features = {f.name: f for f in read(path).outputs}
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    colored = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    plain = {
        "dtype": "uint8", "shape": [3, 4, 3], "data": base64.b64encode(colored.tobytes()).decode()
    }  # fmt: skip
    outputs = {"gray": strided(gray, 64), "rgb": plain, "bgr": plain}
    found = loaded(run(outputs=outputs)).runs[0].outputs
    pixels = {n: output_numbers(features[n], found[n].array()) for n in outputs}
    assert np.array_equal(pixels["gray"][0, 0], gray)
    assert np.array_equal(pixels["rgb"][0], colored.transpose(2, 0, 1))
    assert np.array_equal(pixels["bgr"][0], colored.transpose(2, 0, 1)[::-1])


def test_a_failure_a_plan_and_the_device_are_read(loaded, model):
    plan = {"operations": [{"name": "three", "kind": "convolution", "planned": "ane"},
                           {"name": "", "kind": "", "planned": ""}]}  # fmt: skip
    crash = {"stage": "predict", "message": "the app ended while it ran"}
    found = loaded(
        run("cpu", outputs={}, plan=plan), run("gpu", failure=crash), run(start="cold", outputs={}),
        version="17.4.1", build="21E236", identifier="iPhone14,2", memory=6_000_000_000,
        ane_cores=16, thermal="fair", low_power=True,
        compute_devices=["MLCPUComputeDevice", "MLNeuralEngineComputeDevice"],
    )  # fmt: skip
    assert found.runs[0].plan.operations[0].planned == "ane"
    assert (found.runs[1].failure.stage, found.runs[1].outputs) == ("predict", None)
    assert found.runs[2].start == "cold"
    assert found.stopped == "17 of 25 runs are made"
    assert (found.device.ane_cores, found.device.low_power) == (16, True)
    assert str(found.device) == "device-1a2b3c, iPhone14,2, iOS 17.4.1 (21E236)"
    assert records.of(found, identify(model))


def test_the_inputs_in_the_record_are_those_of_a_mac(loaded, model):
    from reporter.measure.inputs import seeded
    from reporter.measure.tensor import values

    assert loaded(run(outputs={})).inputs == {"seed-0": values(seeded(model))}


# --- what the sources and the schema call things


LEFT_OUT = {  # of the schema: what no phone says, and what is added to the head
    "Tensor": set(),
    "Failure": {"signal", "stderr"},
    "PlannedOperation": set(),
    "Plan": set(),
    "Run": {"messages"},
    "Device": {"chip", "ane", "translated"},
    "Record": {"runs", "simulation"},
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_the_app_calls_things_what_the_schema_calls_them(name):
    model = Tensor if name == "Tensor" else getattr(records, name)
    schema = {field.alias or key for key, field in model.model_fields.items()}
    written = swift.stored(swift.tree(source("Record")))[name]
    assert set(written) == schema - LEFT_OUT[name]
    assert LEFT_OUT[name] <= schema
    required = {f.alias or k for k, f in model.model_fields.items() if f.is_required()}
    assert required - {"runs"} <= set(written)


def test_a_field_under_another_name_is_seen():
    text = source("Record").replace("low_power", "lowPower")
    found = set(swift.stored(swift.tree(text))["Device"])
    assert found - set(records.Device.model_fields) == {"lowPower"}


def test_what_the_app_reads_is_what_is_written(project):
    jobs = json.loads((project / "Inputs" / "jobs.json").read_text())
    found = swift.stored(swift.tree(source("Jobs")))
    assert set(found["Jobs"]) == set(jobs)
    for name, noun in (("Job", runner.Job), ("InputSet", carried.InputSet),
                       ("InputValue", carried.InputValue)):  # fmt: skip
        assert found[name] == [field.name for field in dataclasses.fields(noun)]
    identity = swift.stored(swift.tree(source("Record")))["ModelIdentity"]
    assert identity == list(ModelIdentity.model_fields)


def keys(text, name):
    """The keys of a dictionary literal of the sources."""
    (literal,) = re.findall(rf"let {name}\b[^=]*= \[(.*?)\n?\s*\]", text, re.DOTALL)
    return re.findall(r'"(\w+)":', literal)


def test_units_element_types_and_colors_are_those_of_the_schema():
    assert tuple(keys(source("UnitTrial"), "units")) == records.UNITS
    assert set(keys(source("Inputs"), "kinds")) == set(carried.NUMBERS) == set(DTYPES) - {"uint8"}
    assert keys(source("Inputs"), "formats") == ["RGB", "BGR", "GRAYSCALE", "GRAYSCALE_FLOAT16"]
    sizes = dict(re.findall(r'return \("(\w+)", (\d)\)', source("Outputs")))
    assert {n: np.dtype(n).itemsize for n in sizes} == {n: int(s) for n, s in sizes.items()}
    assert set(sizes) == set(carried.NUMBERS)
    words = re.findall(r'case \.\w+: return "(\w+)"', source("PlanReading"))
    assert words == ["cpu", "gpu", "ane"]
    assert f'"{runner.SCHEMA}"' in source("Bundled")
    assert f'"{records.SCHEMA}"' in source("Records")
    nan = r'positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN"'
    assert re.search(nan, source("Record"))
