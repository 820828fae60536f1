"""The reference: float64 by the network's definition, or why there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from devices import Chain, half
from networks import network
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


# --- what rounding explains, an output's numbers, biases


def written(spec, path):
    path.write_bytes(spec.SerializeToString())
    return path


def test_what_rounding_explains_comes_with_it(model):
    x = np.array([[0.1, 0.2, 0.3], [1.7, -2.3, 900.1]])
    found = Referee(model).compute({"in0": x})
    bounds = found.envelopes["out0"]
    np.testing.assert_array_equal(bounds.reference, found.outputs["out0"])
    error = np.sqrt(np.mean((half(half(x) + np.float64(half(1e-3))) - bounds.reference) ** 2))
    np.testing.assert_allclose(bounds.rmse, max(error, 0.5), rtol=1e-3)  # ulp of 900
    assert found.unexplained == ""


def test_what_rounding_explains_of_a_program(tmp_path):
    found = Referee(saved(affine("fp16"), tmp_path / "a.mlpackage")).compute({"x": X})
    assert list(found.envelopes) == ["y"]
    assert found.envelopes["y"].reference.shape == (2, 3)
    assert found.unexplained == ""


def test_a_reference_without_an_envelope_says_why(one_layer, tmp_path):
    path = written(one_layer("randomNormalLike", [(2, 3)]), tmp_path / "r.mlmodel")
    found = Referee(path).compute({"in0": np.ones((2, 3))})
    assert found.computed
    assert found.outputs
    assert found.envelopes == {}
    assert found.unexplained.startswith("layer 'tested' (randomNormalLike) draws random numbers")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8])
def test_numbers_are_float64_of_any_type(model, dtype):
    found = Referee(model).numbers("out0", np.full((2, 3), 3, dtype))
    assert (found.dtype, found.tolist()) == (np.float64, [[3, 3, 3]] * 2)


@pytest.mark.parametrize("value", ["cat", {"a": 1.0}])
def test_what_is_no_array_has_no_numbers(model, value):
    with pytest.raises((TypeError, ValueError, migrate.AnereportError)):
        Referee(model).numbers("out0", value)


def test_an_output_that_the_model_does_not_have(model):
    with pytest.raises((LookupError, StopIteration, migrate.AnereportError)):
        Referee(model).numbers("nothing", np.zeros(3))


def test_the_scores_of_a_program_by_its_labels(tmp_path):
    referee = Referee(saved(classifier(), tmp_path / "c.mlpackage"))
    name = next(f.name for f in referee.subject.outputs if f.kind == "dictionary")
    scores = {"c": 0.5, "a": 0.25, "b": 0.125}
    assert referee.numbers(name, scores).tolist() == [0.25, 0.125, 0.5]
    with pytest.raises(KeyError):
        referee.numbers(name, {"a": 1.0})


def test_biases_of_layers_with_one_for_each_channel_of_the_output(tmp_path):
    chain = Chain((1, 3, 7, 6), (8, 3, 3, 3), (5, 8, 1, 1), (8, 5, 2, 2))
    referee = Referee(written(chain.spec(), tmp_path / "m.mlmodel"))
    bounds = referee.compute({"x": np.ones((1, 3, 7, 6))}).envelopes["y"]
    found = referee.biases(bounds)
    assert list(found) == ["layer0", "y"]  # by the layers' own names; layer1 has five channels
    np.testing.assert_array_equal(found["layer0"], chain.biases[0])
    np.testing.assert_array_equal(found["y"], chain.biases[2])


def test_no_biases_below_rank_three_nor_of_a_program_nor_of_layers_without(tmp_path, model):
    dense = Referee(written(Chain((4, 6), (5, 6)).spec(), tmp_path / "d.mlmodel"))
    assert dense.biases(dense.compute({"x": np.ones((4, 6))}).envelopes["y"]) == {}
    program = Referee(saved(affine("fp16"), tmp_path / "a.mlpackage"))
    assert program.biases(program.compute({"x": X}).envelopes["y"]) == {}
    spec = network({"x": (1, 3, 2, 2)}, ["y"], ("activation", "x", "y", {"ReLU": None}))
    plain = Referee(written(spec, tmp_path / "r.mlmodel"))
    assert plain.biases(plain.compute({"x": np.ones((1, 3, 2, 2))}).envelopes["y"]) == {}


class Counting(torch.nn.Module):
    """A layer with state: it adds how often it was called."""

    def __init__(self, params):
        super().__init__()
        self.calls = torch.nn.Buffer(torch.zeros(1))

    def forward(self, x):
        return x + self.calls.add_(1)


def test_a_reference_leaves_no_trace_in_the_module(one_layer, tmp_path, monkeypatch):
    path = tmp_path / "m.mlmodel"
    spec = one_layer("custom", [(2,)], fill=lambda p: setattr(p, "className", "Counting"))
    path.write_bytes(spec.SerializeToString())
    monkeypatch.setattr(migrate, "load_custom", lambda *_: {"Counting": Counting})
    referee = Referee(path, ["unused:name"])
    for x in (1.0, 2.0):
        found = referee.compute({"in0": np.full(2, x)})
        np.testing.assert_array_equal(found.outputs["out0"], [x + 1, x + 1])
    (calls,) = (b for n, b in referee.net.named_buffers() if n.endswith("calls"))
    assert (calls.dtype, calls.item()) == (torch.float32, 0)
