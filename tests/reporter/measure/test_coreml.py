"""Predictions in processes of their own: the protocol anywhere, Core ML itself on a Mac."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reporter.measure import coreml, record
from reporter.measure.identity import identify
from reporter.measure.inputs import seeded
from reporter.measure.record import RecordError, Run, Tensor

ON_A_MAC = sys.platform == "darwin"


@pytest.fixture
def model(one_layer, tmp_path):
    def fill(p):
        p.linear.alpha = 2

    path = tmp_path / "m.mlmodel"
    path.write_bytes(one_layer("activation", [(2, 3)], fill=fill).SerializeToString())
    return path


@pytest.fixture
def mac(monkeypatch):
    """Pretend to be a Mac; `mac(process)` gives what is run in place of each subprocess."""
    monkeypatch.setattr(coreml, "available", lambda: True)

    def install(process):
        def run(command, *args, **options):
            if command[1:3] != ["-m", "reporter.measure.coreml"]:
                return subprocess.CompletedProcess(command, 0, "", "")  # a question about the Mac
            assert command[0] == sys.executable
            return process(*command[3:], **options)

        monkeypatch.setattr(subprocess, "run", run)

    return install


def done(code=0, stderr=""):
    return subprocess.CompletedProcess([], code, "", stderr)


def doubling(model, unit, name, given, result, **options):
    with np.load(given) as arrays:
        (x,) = (arrays[key] for key in arrays.files)
    run = Run(unit=unit, input=name, outputs={"out0": Tensor.of(x * 2)}, times={"load": 1})
    Path(result).write_text(run.model_dump_json(exclude_none=True))
    return done()


@pytest.mark.skipif(ON_A_MAC, reason="says what systems without Core ML say")
def test_elsewhere_it_refuses_in_one_sentence(model):
    assert not coreml.available()
    with pytest.raises(RecordError) as caught:
        coreml.measure(model)
    message = str(caught.value)
    assert "\n" not in message
    for word in ("m.mlmodel", "Mac", "--simulate"):
        assert word in message


def test_a_record_of_three_units(model, mac, tmp_path):
    seen = []

    def process(model, unit, name, given, result, **options):
        seen.append((unit, Path(model).is_absolute(), options["timeout"] > 0))
        return doubling(model, unit, name, given, result)

    mac(process)
    found = coreml.measure(model)
    assert seen == [(unit, True, True) for unit in ("cpu", "gpu", "ane")]
    assert (found.evidence, found.simulation) == ("measured", "")
    assert found.model == identify(model)
    (given,) = found.inputs.values()
    np.testing.assert_array_equal(given["in0"].array(), seeded(model)["in0"])
    for run in found.runs:
        assert run.times == {"load": 1}
        np.testing.assert_array_equal(run.outputs["out0"].array(), 2 * given["in0"].array())
    path = tmp_path / "r.json"
    path.write_text(record.dumps(found))
    assert record.load(path) == found


def test_own_inputs_reach_the_process(model, mac):
    mac(doubling)
    x = np.full((2, 3), 7, np.float32)
    found = coreml.measure(model, {"in0": x})
    np.testing.assert_array_equal(found.runs[2].outputs["out0"].array(), x * 2)


def test_one_unit_that_dies_leaves_the_others(model, mac):
    def process(model, unit, name, given, result, **options):
        if unit == "ane":
            Path(result).write_text('{"unit": "an')
            return done(-6, "x" * 10_000 + "E5RT: aborted")
        if unit == "gpu":
            raise subprocess.TimeoutExpired("python", options["timeout"])
        return doubling(model, unit, name, given, result)

    mac(process)
    cpu, gpu, ane = coreml.measure(model).runs
    assert cpu.failure is None
    assert (gpu.outputs, ane.outputs) == (None, None)
    assert f"over {coreml.SECONDS} s" in gpu.failure.message
    assert gpu.failure.signal is None
    assert (ane.failure.signal, "signal 6" in ane.failure.message) == (6, True)
    assert ane.failure.stderr.endswith("E5RT: aborted")
    assert len(ane.failure.stderr) < 5000


@pytest.mark.parametrize("code", [0, 1])
def test_a_process_that_gives_nothing(model, mac, code):
    mac(lambda *a, **k: done(code, "Traceback: no"))
    for run in coreml.measure(model).runs:
        assert run.failure.signal is None
        assert run.failure.stderr == "Traceback: no"


@pytest.mark.parametrize("name", ["file", "in::x", "self", "allow_pickle", "a b/c"])
def test_features_of_any_name(one_layer, tmp_path, mac, name):
    spec = one_layer("activation", [(2, 3)], fill=lambda p: p.ReLU.SetInParent())
    spec.description.input[0].name = spec.neuralNetwork.layers[0].input[0] = name
    path = tmp_path / "m.mlmodel"
    path.write_bytes(spec.SerializeToString())

    def process(model, unit, input_name, given, result, **options):
        assert list(coreml.load_inputs(Path(given))) == [name]
        return doubling(model, unit, input_name, given, result)

    mac(process)
    assert all(run.outputs for run in coreml.measure(path).runs)


class FakeModel:
    """An MLModel as coremltools gives it where Core ML exists."""

    def __init__(self, path, compute_units):
        self.units, self.__proxy__ = compute_units, object()

    def predict(self, given):
        FakeModel.seen = self.units, given
        return {"y": next(iter(given.values())), "label": "cat", "p": {"cat": 1.0}}


@pytest.fixture
def loads(monkeypatch):
    ct = coreml.migrate.coremltools()
    monkeypatch.setattr(ct.models, "MLModel", FakeModel)
    return ct.ComputeUnit


@pytest.mark.parametrize(
    ("unit", "name"), [("cpu", "CPU_ONLY"), ("gpu", "CPU_AND_GPU"), ("ane", "CPU_AND_NE")]
)
def test_the_units_are_those_of_core_ml(model, loads, tmp_path, unit, name):
    given = tmp_path / "i.npz"
    np.savez(given, **{"in::in0": np.ones((2, 3), np.float32)})
    run = coreml.predict(model, unit, "mine", given)
    assert (run.unit, run.input, run.failure) == (unit, "mine", None)
    units, arrays = FakeModel.seen
    assert units == getattr(loads, name)
    np.testing.assert_array_equal(arrays["in0"], np.ones((2, 3)))
    assert set(run.times) == {"load", "predict"}
    assert min(run.times.values()) >= 0
    assert (run.outputs["label"], run.outputs["p"]) == ("cat", {"cat": 1.0})


@pytest.mark.parametrize("color", [20, 30])
def test_images_go_to_core_ml_as_pictures(one_layer, tmp_path, loads, color):
    spec = one_layer("activation", [(1, 3, 4, 5)], fill=lambda p: p.ReLU.SetInParent())
    image = spec.description.input[0].type.imageType
    image.width, image.height, image.colorSpace = 5, 4, color
    path = tmp_path / "m.mlmodel"
    path.write_bytes(spec.SerializeToString())
    x = seeded(path)["in0"]
    given = tmp_path / "i.npz"
    np.savez(given, **{"in::in0": x})
    coreml.predict(path, "cpu", "seed-0", given)
    picture = FakeModel.seen[1]["in0"]
    assert (picture.size, picture.mode) == ((5, 4), "RGB")
    red_first = x[0] if color == 20 else x[0, ::-1]
    np.testing.assert_array_equal(np.asarray(picture), red_first.transpose(1, 2, 0))


@pytest.mark.skipif(ON_A_MAC, reason="there the model loads")
@pytest.mark.filterwarnings("ignore")
def test_a_model_that_does_not_load_is_a_failure(model, tmp_path):
    given = tmp_path / "i.npz"
    np.savez(given, **{"in::in0": np.ones((2, 3), np.float32)})
    run = coreml.predict(model, "ane", "seed-0", given)
    assert (run.outputs, run.failure.stage) == (None, "load")


@pytest.mark.skipif(ON_A_MAC, reason="there the model loads")
def test_the_process_itself(model, monkeypatch):
    """The real command, end to end, up to the load that must fail here."""
    monkeypatch.setattr(coreml, "available", lambda: True)
    monkeypatch.setattr(coreml, "UNITS", {"ane": "CPU_AND_NE"})
    (run,) = coreml.measure(model).runs
    assert (run.unit, run.failure.stage) == ("ane", "load")


@pytest.mark.mac
@pytest.mark.skipif(not ON_A_MAC, reason="needs Core ML")
def test_core_ml(model):
    found = coreml.measure(model)
    x = seeded(model)["in0"]
    for run in found.runs:
        assert run.failure is None
        np.testing.assert_allclose(run.outputs["out0"].array(), 2 * x)
