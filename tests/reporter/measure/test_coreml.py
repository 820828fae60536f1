"""The calls of Core ML: with coremltools' own classes replaced anywhere, itself on a Mac."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from misbehaving import model as linear

from reporter.measure import coreml
from reporter.measure.inputs import seeded
from reporter.measure.record import Plan

ON_A_MAC = sys.platform == "darwin"


@pytest.fixture
def model(tmp_path):
    return linear(tmp_path / "m.mlmodel")


class FakeModel:
    """A CompiledMLModel as coremltools gives it where Core ML exists."""

    proxy: object = object()

    def __init__(self, path, compute_units):
        self.path, self.units, self._proxy = path, compute_units, FakeModel.proxy

    def predict(self, given):
        FakeModel.seen = self.path, self.units, dict(given)
        outputs = {"y": next(iter(given.values())), "label": "cat", "p": {"cat": 1.0}}
        for name in given:
            given[name] = None  # as coremltools changes the caller's dictionary
        return outputs


@pytest.fixture
def loads(monkeypatch):
    ct = coreml.migrate.coremltools()
    monkeypatch.setattr(ct.models, "CompiledMLModel", FakeModel)
    return ct.ComputeUnit


@pytest.mark.parametrize(
    ("unit", "name"),
    [("cpu", "CPU_ONLY"), ("gpu", "CPU_AND_GPU"), ("ane", "CPU_AND_NE"), ("all", "ALL")],
)
def test_the_units_are_those_of_core_ml(model, loads, tmp_path, unit, name):
    compiled = tmp_path / "m.mlmodelc"
    given = {"x": np.ones((1, 2, 3, 4), np.float32)}
    outputs = coreml.load(compiled, unit, model).predict(given)
    assert (outputs["label"], outputs["p"]) == ("cat", {"cat": 1.0})
    path, units, arrays = FakeModel.seen
    assert (path, units) == (str(compiled), getattr(loads, name))
    np.testing.assert_array_equal(arrays["x"], np.ones((1, 2, 3, 4)))


def test_what_the_caller_gives_stays_as_it_is(model, loads, tmp_path):
    x = np.ones((1, 2, 3, 4), np.float32)
    given = {"x": x}
    coreml.load(tmp_path, "ane", model).predict(given)
    assert given == {"x": x}
    assert not np.shares_memory(FakeModel.seen[2]["x"], x)


@pytest.mark.parametrize("color", [20, 30])
def test_images_go_to_core_ml_as_pictures(one_layer, tmp_path, loads, color):
    spec = one_layer("activation", [(1, 3, 4, 5)], fill=lambda p: p.ReLU.SetInParent())
    image = spec.description.input[0].type.imageType
    image.width, image.height, image.colorSpace = 5, 4, color
    path = tmp_path / "m.mlmodel"
    path.write_bytes(spec.SerializeToString())
    x = seeded(path)["in0"]
    coreml.load(tmp_path, "cpu", path).predict({"in0": x})
    picture = FakeModel.seen[2]["in0"]
    assert (picture.size, picture.mode) == ((5, 4), "RGB")
    red_first = x[0] if color == 20 else x[0, ::-1]
    np.testing.assert_array_equal(np.asarray(picture), red_first.transpose(1, 2, 0))


def test_a_load_that_gives_nothing_is_an_error(model, loads, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeModel, "proxy", None)
    with pytest.raises(RuntimeError, match="did not load the model"):
        coreml.load(tmp_path, "ane", model)


def test_a_plan_is_asked_of_what_was_compiled_for_the_unit_that_is_loaded(
    model, loads, tmp_path, monkeypatch
):
    asked = []
    answer = Plan(operations=())
    monkeypatch.setattr(coreml.plan, "plan", lambda *given: asked.append(given) or answer)
    assert coreml.load(tmp_path / "m.mlmodelc", "gpu", model).plan() is answer
    assert asked == [(tmp_path / "m.mlmodelc", loads.CPU_AND_GPU)]


def test_a_model_is_compiled_to_the_place_that_is_named(model, tmp_path, monkeypatch):
    asked = []
    utils = SimpleNamespace(compile_model=lambda *given: asked.append(given))
    monkeypatch.setattr(coreml.migrate.coremltools().models, "utils", utils)
    coreml.compile_model(model, tmp_path / "m.mlmodelc")
    assert asked == [(str(model), str(tmp_path / "m.mlmodelc"))]


@pytest.mark.skipif(ON_A_MAC, reason="there it can be had")
def test_elsewhere_there_is_no_core_ml(model, tmp_path):
    assert not coreml.available()
    with pytest.raises(Exception, match="macOS"):
        coreml.compile_model(model, tmp_path / "m.mlmodelc")
    with pytest.raises(Exception, match="macOS"):
        coreml.load(tmp_path / "m.mlmodelc", "ane", model)


@pytest.mark.mac
@pytest.mark.skipif(not ON_A_MAC, reason="needs Core ML")
@pytest.mark.parametrize("unit", coreml.UNITS)
def test_core_ml(model, tmp_path, unit):
    compiled = tmp_path / "m.mlmodelc"
    coreml.compile_model(model, compiled)
    x = seeded(model)["x"]
    found = coreml.load(compiled, unit, model).predict({"x": x})
    np.testing.assert_allclose(found["y"], 0.3 * x, rtol=2e-3)
