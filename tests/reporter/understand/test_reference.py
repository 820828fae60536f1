"""The reference: float64 by the network's definition, or why there is none."""

from __future__ import annotations

import numpy as np
import pytest
from packages import X, affine, classifier, saved, with_unknown_operations

import migrate
from reporter.measure.record import Tensor
from reporter.understand import reference
from reporter.understand.reference import Referee, Reference, arrays


@pytest.fixture
def model(one_layer, tmp_path):
    def fill(p):
        p.linear.alpha, p.linear.beta = 1, 1e-3

    path = tmp_path / "m.mlmodel"
    path.write_bytes(one_layer("activation", [(2, 3)], fill=fill).SerializeToString())
    return path


def test_float64_throughout(model):
    x = np.full((2, 3), 1 + 2.0**-40)  # lost in float32
    found = Referee(model).compute({"in0": x})
    assert (found.note, found.computed) == (reference.METHOD, True)
    assert found.outputs["out0"].dtype == np.float64
    np.testing.assert_array_equal(found.outputs["out0"], x + np.float64(np.float32(1e-3)))


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.uint8])
def test_inputs_of_other_types(model, dtype):
    found = Referee(model).compute({"in0": np.full((2, 3), 3, dtype)})
    np.testing.assert_array_equal(found.outputs["out0"], 3 + np.float64(np.float32(1e-3)))


@pytest.mark.parametrize(
    "inputs", [{}, {"x": np.zeros((2, 3))}, {"in0": np.zeros((3, 2))}, {"in0": "cat"}]
)
def test_inputs_that_do_not_fit(model, inputs):
    found = Referee(model).compute(inputs)
    assert found.outputs == {}
    assert found.note.startswith("not ")
    assert "in0" in found.note or not inputs


def test_layers_without_a_builder(model, monkeypatch):
    monkeypatch.setattr("migrate.registry.layers", dict)
    found = Referee(model).compute({"in0": np.zeros((2, 3))})
    assert found.outputs == {}
    assert "not supported" in found.note or "supported: " in found.note
    assert "'tested' (activation)" in found.note


def test_a_file_that_is_no_model_is_an_error(tmp_path):
    with pytest.raises(migrate.ModelError, match="no such file"):
        Referee(tmp_path / "none.mlmodel")


def test_a_program_is_computed_in_float32(tmp_path):
    found = Referee(saved(affine("fp16"), tmp_path / "a.mlpackage")).compute({"x": X})
    assert (found.note, found.computed) == (reference.PROGRAM_METHOD, True)
    assert "every fp16 operation in float32" in found.note
    given = np.float32(np.float16(X))
    np.testing.assert_array_equal(found.outputs["y"], np.maximum(given * np.float32(2.5) + 1, 0))
    assert found.outputs["y"].dtype == np.float32


def test_a_program_that_is_a_classifier(tmp_path):
    path = saved(classifier(), tmp_path / "c.mlpackage")
    found = Referee(path).compute({"x": np.array([[0.1, 2, 0.3]])}).outputs
    assert found["classLabel"] == "b"
    assert list(found["classLabel_probs"]) == ["a", "b", "c"]


@pytest.mark.parametrize("inputs", [{"z": X}, {"x": X[:1]}, {"x": "cat"}])
def test_inputs_that_do_not_fit_a_program(tmp_path, inputs):
    found = Referee(saved(affine(), tmp_path / "a.mlpackage")).compute(inputs)
    assert (found.outputs, found.computed) == ({}, False)
    assert found.note.startswith("not available: ")


def test_operations_that_are_not_known(tmp_path):
    path = with_unknown_operations(saved(affine(), tmp_path / "a.mlpackage"))
    found = Referee(path).compute({"x": X})
    assert found.note == "not available: operations that are not known: my_mul, my_relu"


def test_a_records_values():
    found = arrays({"t": Tensor.of(np.ones(2)), "d": {"a": 0.5}, "s": "cat", "i": 3})
    np.testing.assert_array_equal(found.pop("t"), [1, 1])
    assert found == {"d": {"a": 0.5}, "s": "cat", "i": 3}
    assert Reference({}).computed
    assert "float64" in reference.METHOD
