"""The simulator: what each unit's numbers are, by an oracle of numpy."""

from __future__ import annotations

import numpy as np
import pytest
from packages import X, affine, saved

import migrate
from migrate.coreml import proto
from reporter.measure import record
from reporter.measure.identity import identify
from reporter.measure.inputs import Schedule, seeded
from reporter.measure.record import RecordError
from reporter.measure.simulate import simulate, values

RANDOM = np.random.RandomState(3)
WEIGHT = RANDOM.uniform(-1, 1, (5, 4)).astype(np.float32)
BIAS = RANDOM.uniform(-1, 1, 5).astype(np.float32)


def chain():
    """x [3, 4] -> dense [3, 5] -> y = 2 x + 0.1."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    array = spec.description.input.add(name="x").type.multiArrayType
    array.shape.extend([3, 4])
    array.dataType = 65568
    spec.description.output.add(name="y").type.multiArrayType.dataType = 65568
    dense = spec.neuralNetwork.layers.add(name="dense", input=["x"], output=["d"]).innerProduct
    dense.inputChannels, dense.outputChannels, dense.hasBias = 4, 5, True
    dense.weights.floatValue.extend(WEIGHT.ravel())
    dense.bias.floatValue.extend(BIAS)
    linear = spec.neuralNetwork.layers.add(name="after", input=["d"], output=["y"]).activation
    linear.linear.alpha, linear.linear.beta = 2, 0.1
    return spec


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.mlmodel"
    path.write_bytes(chain().SerializeToString())
    return path


def half(x):
    return np.float16(x).astype(np.float32)


def outputs(found, name="y"):
    return {run.unit: run.outputs[name].array() for run in found.runs}


def after(dense):
    return half(2 * half(dense) + np.float32(0.1))


def test_without_a_fault(model, tmp_path):
    found = simulate(model, "none")
    assert (found.evidence, found.simulation) == ("simulated", "none")
    assert found.model == identify(model)
    assert "simulator" in str(found.device)
    assert [run.unit for run in found.runs] == ["cpu", "gpu", "ane"]
    (given,) = found.inputs.values()
    x = given["x"].array()
    np.testing.assert_array_equal(x, seeded(model)["x"])
    y = outputs(found)
    np.testing.assert_array_equal(y["cpu"], migrate.to_torch(model).predict({"x": x})["y"])
    np.testing.assert_allclose(y["cpu"], 2 * (x @ WEIGHT.T + BIAS) + 0.1, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(y["gpu"], half(y["gpu"]))
    exact = half(x).astype(np.float64) @ half(WEIGHT).T.astype(np.float64) + half(BIAS)
    np.testing.assert_allclose(y["gpu"], after(np.float32(exact)), rtol=2e-3, atol=2e-3)
    assert (y["gpu"] != y["cpu"]).any()
    np.testing.assert_array_equal(y["ane"], y["gpu"])
    path = tmp_path / "r.json"
    path.write_text(record.dumps(found))
    assert record.load(path) == found


@pytest.mark.parametrize(
    ("fault", "dense"),
    [
        ("bias-only@dense", np.broadcast_to(BIAS, (3, 5))),
        ("zeroed@dense", np.zeros((3, 5))),
    ],
)
def test_a_fault_reaches_the_neural_engine_alone(model, fault, dense):
    good, bad = outputs(simulate(model, "none")), simulate(model, fault)
    assert (bad.evidence, bad.simulation) == ("simulated", fault)
    y = outputs(bad)
    np.testing.assert_array_equal(y["cpu"], good["cpu"])
    np.testing.assert_array_equal(y["gpu"], good["gpu"])
    np.testing.assert_array_equal(y["ane"], after(dense))


def test_no_bias(model):
    y = outputs(simulate(model, "no-bias@dense"))["ane"]
    x = seeded(model)["x"].astype(np.float64)
    np.testing.assert_allclose(y, 2 * (x @ half(WEIGHT).T) + 0.1, rtol=5e-3, atol=5e-3)


def test_zeroed_at_the_end(model):
    assert (outputs(simulate(model, "zeroed@after"))["ane"] == 0).all()


def test_the_samples_bias_only_is_the_bias_of_each_channel(samples):
    found = simulate(samples / "Block.mlmodel", "bias-only@conv3")
    spec = migrate.load_spec(samples / "Block.mlmodel")
    bias = np.array(spec.neuralNetwork.layers[3].convolution.bias.floatValue, np.float32)
    y = outputs(found, "output")
    want = np.broadcast_to(np.float16(bias).reshape(1, 1600, 1, 1), (1, 1600, 39, 1))
    np.testing.assert_array_equal(y["ane"], want.astype(np.float32))
    assert np.abs(y["cpu"] - y["gpu"]).max() < 0.1
    assert np.abs(y["cpu"] - y["ane"]).max() > 1


def test_a_stale_layer_gives_what_it_gave_for_the_inputs_of_seed_1(model):
    y = outputs(simulate(model, "stale@dense"))["ane"]
    other = simulate(model, "none", seeded(model, 1))
    np.testing.assert_array_equal(y, outputs(other)["gpu"])
    own = simulate(model, "stale@after", {"x": RANDOM.uniform(-1, 1, (3, 4))})
    np.testing.assert_array_equal(outputs(own)["ane"], outputs(other)["gpu"])


def test_the_inputs_of_a_fault_are_rounded_as_the_network_has_them(model):
    """A skipped activation gives the blob before it, which was rounded when it was written."""
    y = outputs(simulate(model, "activation-skipped@after"))["ane"]
    x = half(seeded(model)["x"]).astype(np.float64)
    dense = x @ half(WEIGHT).T.astype(np.float64) + half(BIAS)
    np.testing.assert_array_equal(y, half(y))
    np.testing.assert_allclose(y, dense, rtol=2e-3, atol=2e-3)


def test_half_of_the_samples_channels_may_be_lost(samples):
    found = simulate(samples / "Block.mlmodel", "branch-dropped:1@concat")
    y, spec = outputs(found, "output"), migrate.load_spec(samples / "Block.mlmodel")
    bias = np.array(spec.neuralNetwork.layers[3].convolution.bias.floatValue, np.float16)
    want = np.broadcast_to(bias[800:].astype(np.float32).reshape(1, 800, 1, 1), (1, 800, 39, 1))
    np.testing.assert_array_equal(y["ane"][:, 800:], want)
    np.testing.assert_array_equal(y["ane"][:, :800], y["gpu"][:, :800])


def test_own_inputs(model):
    x = RANDOM.uniform(-1, 1, (3, 4))
    found = simulate(model, "none", {"x": x})
    ((name, given),) = found.inputs.items()
    assert name != simulate(model, "none").runs[0].input
    np.testing.assert_array_equal(given["x"].array(), x)
    np.testing.assert_allclose(
        outputs(found)["cpu"], 2 * (x @ WEIGHT.T + BIAS) + 0.1, rtol=1e-5, atol=1e-6
    )
    # the input itself is rounded for the other two
    alike = simulate(model, "none", {"x": np.float16(x)})
    np.testing.assert_array_equal(outputs(found)["gpu"], outputs(alike)["gpu"])


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("nonsense@dense", "no fault 'nonsense@dense'.*bias-only, no-bias, .*zeroed"),
        ("bias-only", "write FAULT@LAYER"),
        ("bias-only@", "write FAULT@LAYER"),
        ("", "write FAULT@LAYER"),
        ("None", "write FAULT@LAYER"),
        ("zeroed@Dense", "no layer 'Dense'; it has dense, after"),
        ("bias-only@after", r"layer 'after' \(activation\) has no bias"),
    ],
)
def test_faults_that_are_not(model, fault, what):
    with pytest.raises(migrate.AnereportError, match=what):
        simulate(model, fault)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"z": np.zeros((3, 4))}, "input 'x' is missing"),
        ({"x": np.zeros((3, 4)), "z": np.zeros(1)}, "no input 'z'"),
        ({"x": np.zeros((4, 3))}, "has shape 4x3"),
        ({"x": np.array(["a"])}, "not an array of numbers"),
    ],
)
def test_inputs_that_do_not_fit(model, given, what):
    with pytest.raises(migrate.InputError, match=what):
        simulate(model, "none", given)


def test_inputs_that_a_record_does_not_hold(model):
    with pytest.raises(RecordError, match="; got bool"):
        simulate(model, "none", {"x": np.ones((3, 4), bool)})


def test_values_of_every_kind():
    from PIL import Image

    found = values({
        "a": np.float16([[1.5]]), "i": np.array([3]), "d": {0: 0.25, 1: np.float32(0.75)},
        "s": "cat", "n": 3, "p": Image.new("RGB", (5, 4), (1, 2, 3)),
    })  # fmt: skip
    assert found["d"] == {"0": 0.25, "1": 0.75}
    assert (found["s"], found["n"]) == ("cat", 3)
    assert found["a"].array().dtype == np.float16
    assert found["i"].array().dtype == np.int32
    assert found["p"].array().shape == (4, 5, 3)
    assert found["p"].array()[0, 0].tolist() == [1, 2, 3]


def test_a_program_is_widened_on_the_cpu_and_as_declared_on_the_others(tmp_path):
    package = saved(affine("fp16"), tmp_path / "affine.mlpackage")
    found = simulate(package, "none", {"x": X})
    assert found.model == identify(package)
    y = outputs(found)
    given = half(X)
    np.testing.assert_array_equal(y["cpu"], np.maximum(given * np.float32(2.5) + 1, 0))
    rounded = half(half(given * np.float32(2.5)) + 1)
    np.testing.assert_array_equal(y["gpu"], np.maximum(rounded, 0))
    np.testing.assert_array_equal(y["ane"], y["gpu"])
    assert (y["cpu"] != y["gpu"]).any()
    np.testing.assert_array_equal(
        simulate(package, "none").inputs["seed-0"]["x"].array(), seeded(package)["x"]
    )


@pytest.mark.parametrize("fault", ["zeroed@op_3_cast_fp16", "None", ""])
def test_a_program_has_no_layers_to_break(tmp_path, fault):
    package = saved(affine(), tmp_path / "affine.mlpackage")
    with pytest.raises(migrate.AnereportError, match=f"give --simulate none instead of '{fault}'"):
        simulate(package, fault)


def test_as_many_inputs_and_repeats_as_are_asked_for(model):
    found = simulate(model, "no-bias@dense", schedule=Schedule(2, 3, controls=True))
    names = ["seed-0", "seed-1", "ramp", "impulse", "zeros", "ones"]
    assert list(found.inputs) == names
    assert [(r.unit, r.input, r.repeat) for r in found.runs] == [
        (unit, name, i) for unit in ("cpu", "gpu", "ane") for name in names for i in range(3)
    ]
    zeros = next(r for r in found.runs if (r.unit, r.input) == ("ane", "zeros"))
    np.testing.assert_array_equal(zeros.outputs["y"].array(), np.full((3, 5), half(0.1)))
    repeats = [r.outputs["y"] for r in found.runs if (r.unit, r.input) == ("ane", "seed-1")]
    assert repeats[0] == repeats[1] == repeats[2]


def test_own_inputs_are_repeated_too(model):
    found = simulate(model, "none", {"x": np.ones((3, 4), np.float32)}, (), Schedule(5, 2))
    assert [(r.unit, r.input, r.repeat) for r in found.runs[:3]] == [
        ("cpu", "user", 0), ("cpu", "user", 1), ("gpu", "user", 0),
    ]  # fmt: skip
