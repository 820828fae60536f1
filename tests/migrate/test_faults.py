"""Counterfactual faults: what each makes of a layer's output, and of no other blob."""

from __future__ import annotations

import numpy as np
import pytest

import migrate
from migrate.coreml import proto
from migrate.faults import FaultError, places

RANDOM = np.random.RandomState(11)
KERNEL = RANDOM.uniform(-1, 1, (3, 2, 2, 2)).astype(np.float32)
DENSE = RANDOM.uniform(-1, 1, (3, 4)).astype(np.float32)
BIAS = np.array([1, -2, 0.5], np.float32)


def network(shape, *, version=4, rank5=False):
    spec = proto("Model_pb2").Model(specificationVersion=version)
    spec.neuralNetwork.arrayInputShapeMapping = 0 if rank5 else 1
    array = spec.description.input.add(name="x").type.multiArrayType
    array.shape.extend(shape)
    array.dataType = 65568
    spec.description.output.add(name="y").type.multiArrayType.dataType = 65568
    return spec


def add_convolution(spec, source, target, name="conv", bias=BIAS):
    p = spec.neuralNetwork.layers.add(name=name, input=[source], output=[target]).convolution
    p.outputChannels, p.kernelChannels, p.hasBias = 3, 2, bias is not None
    p.kernelSize.extend([2, 2])
    p.valid.SetInParent()
    p.weights.floatValue.extend(KERNEL.ravel())
    if bias is not None:
        p.bias.floatValue.extend(bias)
    return p


def add_dense(spec, source, target, name="fc"):
    p = spec.neuralNetwork.layers.add(name=name, input=[source], output=[target]).innerProduct
    p.inputChannels, p.outputChannels, p.hasBias = 4, 3, True
    p.weights.floatValue.extend(DENSE.ravel())
    p.bias.floatValue.extend(BIAS)


def add_linear(spec, source, target, alpha, name):
    layer = spec.neuralNetwork.layers.add(name=name, input=[source], output=[target])
    layer.activation.linear.alpha = alpha


def run(spec, text, x, output="y"):
    """Return the good and the faulty output."""
    net = migrate.to_torch(spec).double()
    good = net.predict({"x": x})[output]
    with net.watching(migrate.fault(net, text)):
        bad = net.predict({"x": x})[output]
        again = net.predict({"x": x})[output]
    np.testing.assert_array_equal(bad, again)
    np.testing.assert_array_equal(net.predict({"x": x})[output], good)
    return good, bad


@pytest.mark.parametrize("shape", [(1, 2, 4, 5), (2, 2, 4, 5), (2, 1, 2, 4, 5), (2, 4, 5)])
def test_a_convolution(shape):
    spec = network(shape)
    add_convolution(spec, "x", "y")
    x = RANDOM.uniform(-1, 1, shape)
    channels = BIAS.astype(float).reshape(3, 1, 1)
    good, bad = run(spec, "bias-only@conv", x)
    assert bad.shape == good.shape
    np.testing.assert_array_equal(bad, np.broadcast_to(channels, good.shape))
    good, bad = run(spec, "no-bias@conv", x)
    np.testing.assert_allclose(bad, good - channels, rtol=0, atol=1e-12)
    assert (run(spec, "zeroed@conv", x)[1] == 0).all()


@pytest.mark.parametrize("shape", [(4,), (5, 4), (3, 3, 4)])
def test_a_dense_layer_over_the_last_axis(shape):
    """Its channels are the last axis below rank 4, even where axis -3 is as long."""
    spec = network(shape)
    add_dense(spec, "x", "y")
    x = RANDOM.uniform(-1, 1, shape)
    good, bad = run(spec, "bias-only@fc", x)
    np.testing.assert_array_equal(bad, np.broadcast_to(BIAS.astype(float), good.shape))
    good, bad = run(spec, "no-bias@fc", x)
    np.testing.assert_allclose(bad, x @ DENSE.T.astype(float), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 4, 1, 1), (2, 3, 4, 1, 1)])
def test_a_dense_layer_over_channels(shape):
    spec = network(shape)
    add_dense(spec, "x", "y")
    good, bad = run(spec, "bias-only@fc", RANDOM.uniform(-1, 1, shape))
    want = BIAS.astype(float).reshape(3, 1, 1)
    np.testing.assert_array_equal(bad, np.broadcast_to(want, good.shape))
    assert good.shape == (*shape[:-3], 3, 1, 1)


def test_a_dense_layer_in_the_rank_5_mapping():
    spec = network((4,), version=1, rank5=True)
    add_dense(spec, "x", "y")
    _, bad = run(spec, "bias-only@fc", RANDOM.uniform(-1, 1, 4))
    np.testing.assert_array_equal(bad.ravel(), BIAS)


def test_only_the_named_layer():
    spec = network((1, 2, 4, 5))
    add_linear(spec, "x", "before", 2, "first")
    add_convolution(spec, "before", "c", "a@b")
    add_linear(spec, "c", "y", 3, "after")
    seen = {}
    net = migrate.to_torch(spec)
    fault = migrate.fault(net, "bias-only@a@b")

    def watch(blob, value):
        seen[blob] = fault(blob, value)
        return seen[blob]

    x = RANDOM.uniform(-1, 1, (1, 2, 4, 5)).astype(np.float32)
    with net.watching(watch):
        y = net.predict({"x": x})["y"]
    np.testing.assert_array_equal(seen["x"], x)
    np.testing.assert_array_equal(seen["before"], 2 * x)
    np.testing.assert_array_equal(y, np.broadcast_to(3 * BIAS.reshape(1, 3, 1, 1), y.shape))


def test_layers_that_write_in_place():
    """Blobs may be overwritten; the fault is one layer's, not the blob's."""
    spec = network((1, 2, 4, 5))
    add_linear(spec, "x", "x", 2, "first")
    add_convolution(spec, "x", "y", "conv")
    add_linear(spec, "y", "y", 3, "second")
    add_linear(spec, "y", "y", 5, "third")
    x = RANDOM.uniform(-1, 1, (1, 2, 4, 5))
    good, bad = run(spec, "bias-only@conv", x)
    np.testing.assert_array_equal(bad, np.broadcast_to(15 * BIAS.reshape(3, 1, 1), good.shape))
    assert (run(spec, "zeroed@conv", x)[1] == 0).all()
    assert (run(spec, "zeroed@third", x)[1] == 0).all()
    _, silent = run(spec, "zeroed@first", x)
    np.testing.assert_array_equal(silent, bad)  # no data reaches the convolution: its bias alone
    # the input blob as given is no layer's output
    net, given = migrate.to_torch(spec), []

    def watch(blob, value):
        after = fault(blob, value)
        given.append((blob, bool((after == value).all())))
        return after

    fault = migrate.fault(net, "zeroed@first")
    with net.watching(watch):
        net.predict({"x": x})
    assert given == [("x", True), ("x", False), ("y", True), ("y", True), ("y", True)]


def test_a_layer_of_several_outputs(one_layer):
    def fill(p):
        p.axis, p.numSplits = -1, 2

    spec = one_layer("splitND", [(2, 4)], outputs=2, fill=fill)
    net = migrate.to_torch(spec)
    with net.watching(migrate.fault(net, "zeroed@tested")):
        found = net.predict({"in0": np.ones((2, 4))})
    assert (found["out0"] == 0).all()
    assert (found["out1"] == 0).all()


def test_a_layer_inside_a_branch():
    """Wherever it is written from, a branch's blob is changed."""
    spec = network((2, 3))
    branch = spec.neuralNetwork.layers.add(name="choose", input=["x"])
    for field, alpha in (("ifBranch", 2), ("elseBranch", 3)):
        inner = getattr(branch.branch, field).layers.add(name=field, input=["x"], output=["y"])
        inner.activation.linear.alpha = alpha
    spec.description.input[0].type.multiArrayType.shape[:] = [1]
    good, bad = run(spec, "zeroed@ifBranch", np.ones(1))
    assert good.ravel().tolist() == [2]
    assert bad.ravel().tolist() == [0]


@pytest.mark.parametrize("dtype", ["float16", "quantized"])
def test_biases_in_other_forms(dtype):
    spec = network((1, 2, 4, 5))
    p = add_convolution(spec, "x", "y")
    del p.bias.floatValue[:]
    if dtype == "float16":
        p.bias.float16Value = BIAS.astype(np.float16).tobytes()
    else:
        p.bias.rawValue = bytes([0, 128, 255])
        p.bias.quantization.numberOfBits = 8
        p.bias.quantization.linearQuantization.scale.append(0.5)
        p.bias.quantization.linearQuantization.bias.append(-3)
    good, bad = run(spec, "bias-only@conv", np.zeros((1, 2, 4, 5)))
    np.testing.assert_array_equal(bad, good)
    want = BIAS if dtype == "float16" else np.array([-3, 61, 124.5])
    np.testing.assert_array_equal(bad[0, :, 0, 0], want)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("nonsense@conv", "no fault 'nonsense@conv': write FAULT@LAYER with one of bias-only"),
        ("bias_only@conv", "no fault"),
        ("zeroed", "no fault 'zeroed'"),
        ("zeroed@", "no fault 'zeroed@'"),
        ("@conv", "no fault '@conv'"),
        ("", "no fault ''"),
        ("zeroed@y", "the model has no layer 'y'; it has conv, plain, act"),
        ("bias-only@plain", r"layer 'plain' \(convolution\) has no bias, so it cannot have 'bias-"),
        ("no-bias@act", r"layer 'act' \(activation\) has no bias.*; it can have zeroed, input-"),
        ("rolled@act", "joins no branches"),
        ("branch-dropped:0@act", "joins no branches"),
        ("kernel-flipped@act", "has no kernels"),
        ("groups-misassigned@conv", "has no groups"),
        ("overflow@act", "adds up nothing"),
        ("activation-skipped@conv", "is no activation"),
        ("zeroed:1@conv", "'zeroed' takes no number"),
        ("channels-truncated:17@conv", "'channels-truncated' takes one of :16, 32, 64, 256"),
        ("zeroed:@conv", "no fault 'zeroed:@conv'"),
        ("zeroed:-1@conv", "no fault"),
        ("channels-truncated:\u0661@conv", "no fault"),
        ("stale@conv", "'stale@conv' needs the inputs of the previous prediction"),
    ],
)
def test_faults_that_are_not(text, what):
    spec = network((1, 2, 4, 5))
    add_convolution(spec, "x", "a")
    add_convolution(spec, "x", "b", "plain", bias=None)
    add_linear(spec, "b", "y", 2, "act")
    with pytest.raises(FaultError, match=what):
        migrate.fault(migrate.to_torch(spec), text)


def test_long_models_are_not_listed_in_full():
    spec = network((1,))
    for i in range(50):
        add_linear(spec, "x", f"b{i}" if i else "y", 1, f"layer{i}")
    with pytest.raises(FaultError) as caught:
        migrate.fault(migrate.to_torch(spec), "zeroed@none")
    assert "layer19, ..." in str(caught.value)
    assert "layer20" not in str(caught.value)


def test_a_branch_itself_has_no_faults_but_its_layers_do():
    spec = network((1,))
    branch = spec.neuralNetwork.layers.add(name="choose", input=["x"])
    inner = branch.branch.ifBranch.layers.add(name="inner", input=["x"], output=["y"])
    inner.activation.linear.alpha = 2
    branch.branch.elseBranch.SetInParent()
    with pytest.raises(FaultError, match="no layer 'choose'; it has inner"):
        migrate.fault(migrate.to_torch(spec), "zeroed@choose")


def test_layers_of_one_name_and_of_none_go_by_their_path():
    spec = network((2,))
    add_linear(spec, "x", "a", 2, "a/b")
    add_linear(spec, "a", "b", 3, "a/b")
    add_linear(spec, "b", "c", 5, "")
    net = migrate.to_torch(spec)
    taken = [place.name for place in places(net)][1]  # the path of one is the name of another
    add_linear(spec, "c", "y", 1, taken)
    net = migrate.to_torch(spec)
    with pytest.raises(FaultError, match="2 layers are called 'a/b'; say which by") as caught:
        migrate.fault(net, "zeroed@a/b")
    names = [place.name for place in places(net)]
    assert names[:2] == str(caught.value).partition(" by ")[2].split(", ")
    assert len(set(names)) == 4
    assert all(names)
    x = np.ones(2)
    for name in names:
        assert run(spec, f"scale-doubled@{name}", x)[1].tolist() == [60, 60]


def test_names_with_the_signs_of_the_text():
    spec = network((2,))
    add_linear(spec, "x", "a", 2, "a:1@b")
    add_linear(spec, "a", "y", 3, "@:")
    assert run(spec, "scale-doubled@a:1@b", np.ones(2))[1].tolist() == [12, 12]
    assert run(spec, "zeroed@@:", np.ones(2))[1].tolist() == [0, 0]


def test_a_layer_of_a_pipeline_whose_stages_have_blobs_of_one_name():
    first, second = network((2,)), network((2,))
    add_linear(first, "x", "y", 2, "in first")
    add_linear(second, "x", "y", 3, "in second")
    second.description.input[0].name = second.neuralNetwork.layers[0].input[0] = "y"
    second.description.output[0].name = second.neuralNetwork.layers[0].output[0] = "z"
    spec = proto("Model_pb2").Model(specificationVersion=4)
    for stage in (first, second):
        spec.pipeline.models.add().CopyFrom(stage)
    spec.description.input.add().CopyFrom(first.description.input[0])
    spec.description.output.add().CopyFrom(second.description.output[0])
    x = np.array([1.0, 5.0])
    for name in ("in first", "in second"):
        good, bad = run(spec, f"scale-doubled@{name}", x, "z")
        assert (good.tolist(), bad.tolist()) == ([6, 30], [12, 60])
    assert run(spec, "activation-skipped@in second", x, "z")[1].tolist() == [2, 10]
    assert run(spec, "activation-skipped@in first", x, "z")[1].tolist() == [3, 15]


def test_every_run_of_a_stale_layer_gives_the_previous_prediction():
    spec = network((1, 2, 4, 5))
    add_convolution(spec, "x", "c")
    add_linear(spec, "c", "y", 0.5, "after")
    net = migrate.to_torch(spec)
    x, previous = np.float16(RANDOM.uniform(-1, 1, (2, 1, 2, 4, 5)))
    with net.watching(migrate.fault(net, "stale@conv", previous={"x": previous})):
        found = [net.predict({"x": given})["y"] for given in (x, previous, x)]
    want = net.predict({"x": previous})["y"]
    for y in found:
        np.testing.assert_allclose(y, want, rtol=2e-3, atol=2e-3)
        np.testing.assert_array_equal(y, found[0])
    assert np.abs(net.predict({"x": x})["y"] - want).max() > 0.1


@pytest.mark.parametrize(
    ("previous", "what"),
    [({}, "input 'x' is missing"), ({"x": np.zeros(3)}, "has shape 3")],
)
def test_a_previous_prediction_that_cannot_be(previous, what):
    spec = network((1, 2, 4, 5))
    add_convolution(spec, "x", "y")
    net = migrate.to_torch(spec)
    with (
        net.watching(migrate.fault(net, "stale@conv", previous=previous)),
        pytest.raises(migrate.InputError, match=what),
    ):
        net.predict({"x": np.zeros((1, 2, 4, 5))})


def test_the_catalogue():
    asked = {
        "bias-only", "no-bias", "zeroed", "input-zeroed", "branch-dropped", "branches-duplicated",
        "branches-swapped", "branches-interleaved", "rolled", "kernel-flipped",
        "channels-truncated", "groups-misassigned", "overflow", "saturated", "subnormals-flushed",
        "stale", "rows-padded", "activation-skipped", "scale-doubled",
    }  # fmt: skip
    assert set(migrate.FAULTS) >= asked
    assert "none" not in migrate.FAULTS
    for name, entry in migrate.FAULTS.items():
        assert entry.name == name
        assert entry.what.endswith(".")
        assert not set(name) & set("@: ")
