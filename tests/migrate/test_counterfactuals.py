"""Every fault on a kept run: the outputs are those of the whole network run with the fault."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import network
from torch.func import functional_call

import migrate
from migrate import features
from migrate.coreml import proto
from migrate.replay import as_stored

RANDOM = np.random.RandomState(7)


@pytest.fixture(autouse=True)
def _one_thread():
    """Small layers are no faster on two, and much slower where both are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run_whole(net, text, inputs, previous=None):
    """Run every layer with the fault's watch, weights and blobs rounded as the envelope does."""
    change = migrate.fault(net, text, previous=previous) if text else lambda blob, value: value
    stored = {
        name: migrate.rounded(x.detach())
        for name, x in (*net.named_parameters(), *net.named_buffers())
    }
    given = tuple(features.to_tensor(f, inputs, torch.float32) for f in net.network.inputs)

    def watch(blob, value):
        return migrate.rounded(change(blob, migrate.rounded(value)))

    with torch.no_grad(), net.watching(watch):
        outputs = functional_call(net, stored, given)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    label = net.network.predicted_feature if net.network.labels else None
    described = features.tensor_outputs(net.network)
    return {
        f.name: features.passed_on(f, y).double().numpy().reshape(
            -1 if f.kind == "dictionary" else y.shape
        )
        for f, y in zip(described, outputs, strict=True)
        if f.name != label
    }  # fmt: skip


def outcome(run):
    """The outputs, or the error."""
    try:
        return run()
    except migrate.ModelError as error:
        return str(error)


def same(a, b):
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str)
    return a.keys() == b.keys() and all(
        a[n].dtype == b[n].dtype == np.float64 and a[n].shape == b[n].shape
        and np.array_equal(a[n], b[n], equal_nan=True)
        for n in a
    )  # fmt: skip


def check(model, inputs, previous=None, every=1):
    """Compare every fault; return the object and how many faults were compared."""
    net = migrate.to_torch(model)
    counterfactuals = migrate.Counterfactuals(net, inputs, previous=previous)
    assert same(counterfactuals.healthy, run_whole(net, "", inputs))
    faults = counterfactuals.faults()
    assert len(set(map(str, faults))) == len(faults)
    tried = {t.fault: t for t in counterfactuals.search(faults)}
    for fault in faults[::every]:
        want = outcome(lambda text=str(fault): run_whole(net, text, inputs, previous))
        assert same(outcome(lambda fault=fault: counterfactuals.outputs(fault)), want), str(fault)
        found = tried[fault]
        if found.same_as:
            assert list(tried).index(found.same_as) < list(tried).index(fault)
            assert tried[found.same_as].same_as is None
            known = outcome(lambda fault=found.same_as: counterfactuals.outputs(fault))
            assert same(known, want), (str(fault), str(found.same_as))
        elif not found.silent:
            assert same(found.error or found.outputs, want), str(fault)
    return counterfactuals, faults


def values(*shape):
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


def convolution(p, shape, bias=True):
    p.outputChannels, p.kernelChannels = shape[:2]
    p.kernelSize[:] = shape[2:]
    p.weights.floatValue[:] = values(*shape).ravel()
    p.hasBias = bias
    p.bias.floatValue[:] = values(shape[0]) if bias else []


def fork():
    """x -> relu -> conv -> joined, sum; y from both, z from the ReLU alone."""
    spec = network(
        {"x": (1, 4, 5, 6)}, ["y", "z"],
        ("activation", "x", "r", {"ReLU": None}),
        ("convolution", "r", "c", {"same": None, "nGroups": 2}),
        ("concatND", "r c", "j", {"axis": -3}),
        ("activation", "j", "s", {"sigmoid": None}),
        ("splitND", "s", "a", {"axis": -3, "numSplits": 2}),
        ("add", "a b", "y", {"alpha": 0}),
        ("transpose", "r", "z", {"axes": [0, 2, 3, 1]}),
    )  # fmt: skip
    convolution(spec.neuralNetwork.layers[1].convolution, (4, 2, 3, 3))
    spec.neuralNetwork.layers[4].output.append("b")
    return spec


def in_place():
    """Blobs that several layers write, the input's among them."""
    rows = [("x", "x", 2), ("x", "y", 3), ("y", "y", 0.5), ("x y", "y", None), ("y", "x", 0.25)]
    spec = network(
        {"x": (2, 3)}, ["y", "x"],
        *[("add" if alpha is None else "activation", i, o, {}) for i, o, alpha in rows],
    )  # fmt: skip
    for i, (layer, (*_, alpha)) in enumerate(zip(spec.neuralNetwork.layers, rows, strict=True)):
        layer.name = f"layer {i}"
        if alpha is not None:
            layer.activation.linear.alpha, layer.activation.linear.beta = alpha, 0.1
    return spec


def pipeline():
    """Two stages whose blobs and layers have the same names."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    stages = []
    for given, result in (("x", "h"), ("h", "y")):
        stage = network(
            {given: (1, 3, 4)}, [result],
            ("softmaxND", given, "t", {"axis": -1}),
            ("concatND", f"t {given}", result, {"axis": 1}),
        )  # fmt: skip
        stages.append(stage)
    stages[1].description.input[0].type.multiArrayType.shape[:] = [1, 6, 4]
    for stage in stages:
        spec.pipeline.models.add().CopyFrom(stage)
    spec.description.input.add().CopyFrom(stages[0].description.input[0])
    for stage in stages:
        spec.description.output.add().CopyFrom(stage.description.output[0])
    return spec


def legacy():
    """An old network with a rank 5 mapping, a dense layer and an image that leaves it."""
    spec = network(
        {"x": (3, 4, 4)}, ["y", "p"],
        ("convolution", "x", "c", {"valid": None}),
        ("pooling", "c", "q", {"kernelSize": [2, 2], "stride": [2, 2], "valid": None}),
        ("flatten", "q", "f", {}),
        ("innerProduct", "f", "d", {"inputChannels": 3, "outputChannels": 5, "hasBias": True}),
        ("softmax", "d", "y", {}),
        ("activation", "x", "p", {"linear": None}),
    )  # fmt: skip
    spec.specificationVersion, spec.neuralNetwork.arrayInputShapeMapping = 1, 0
    convolution(spec.neuralNetwork.layers[0].convolution, (3, 3, 3, 3), bias=False)
    dense = spec.neuralNetwork.layers[3].innerProduct
    dense.weights.floatValue[:], dense.bias.floatValue[:] = values(15), values(5)
    spec.neuralNetwork.layers[5].activation.linear.alpha = 200
    image = spec.description.output[1].type.imageType
    image.width = image.height = 4
    image.colorSpace = image.RGB
    return spec


def classifier():
    spec = network({"x": (4,)}, [], ("softmaxND", "x", "s", {"axis": -1}))
    layers = spec.neuralNetwork.layers
    spec.neuralNetworkClassifier.layers.extend(layers)
    spec.neuralNetworkClassifier.arrayInputShapeMapping = 1
    spec.neuralNetworkClassifier.stringClassLabels.vector.extend("pqrs")
    spec.description.output.add(name="p").type.dictionaryType.stringKeyType.SetInParent()
    spec.description.output.add(name="label").type.stringType.SetInParent()
    spec.description.predictedFeatureName = "label"
    spec.description.predictedProbabilitiesName = "p"
    return spec


def computed_sizes():
    """Sizes that follow from numbers: with some faults the network does not run."""
    return network(
        {"x": (2, 6)}, ["y"],
        ("getShape", "x", "n", {}),
        ("reverse", "n", "r", {"reverseDim": [True]}),
        ("reshapeDynamic", "x r", "m", {}),
        ("tanh", "m", "y", {}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("build", "shape", "least"),
    [
        (fork, (1, 4, 5, 6), 45), (in_place, (2, 3), 25), (pipeline, (1, 3, 4), 25),
        (legacy, (3, 4, 4), 35), (classifier, (4,), 4), (computed_sizes, (2, 6), 15),
    ],
)  # fmt: skip
def test_only_what_lies_behind_a_fault_is_run_again_and_the_outputs_are_the_same(
    build, shape, least
):
    x, previous = {"x": values(*shape)}, {"x": values(*shape)}
    counterfactuals, faults = check(build(), x, previous)
    assert len(faults) >= least
    assert counterfactuals.left_out == 0


def test_the_sample(samples):
    inputs, previous = (
        {"input1": values(1, 800, 43, 1), "input2": values(1, 128, 43, 1)} for _ in range(2)
    )
    _, faults = check(samples / "Block.mlmodel", inputs, previous)
    assert {"bias-only@conv3", "branch-dropped:1@concat", "stale@conv1"} <= set(map(str, faults))


@pytest.mark.parametrize(
    ("name", "feature", "shape", "every"),
    [
        ("srcnn", "image", (1, 3, 200, 200), 13),
        ("mnist_cnn", "image", (1, 1, 28, 28), 2),
        ("tiny_drawing_embedding", "drawing", (1, 1, 28, 28), 2),
    ],
)
def test_real_models(shared_models, name, feature, shape, every):
    given, previous = ({feature: RANDOM.randint(0, 256, shape)} for _ in range(2))
    check(shared_models / f"{name}.mlmodel", given, previous, every)


def test_no_layer_before_a_fault_is_run_again():
    net = migrate.to_torch(fork())
    counterfactuals = migrate.Counterfactuals(net, {"x": values(1, 4, 5, 6)})
    called = []
    for name, module in net.named_children():
        if name != "entrances":
            module.register_forward_hook(lambda *_, name=name: called.append(name))
    counterfactuals.outputs(migrate.Fault("zeroed", "s"))
    assert called == ["a", "y"]
    called.clear()
    counterfactuals.outputs(migrate.Fault("zeroed", "z"))
    assert called == []
    counterfactuals.outputs(migrate.Fault("scale-doubled", "r"))
    assert called == ["c", "j", "s", "a", "y", "z"]
    called.clear()
    counterfactuals.outputs(migrate.Fault("saturated", "x" if "x" in called else "r"))
    assert called == []  # nothing is beyond the range, so nothing changes


def test_the_module_stays_as_it_is():
    net = migrate.to_torch(fork())
    before = {name: x.clone() for name, x in net.named_parameters()}
    x = {"x": values(1, 4, 5, 6)}
    y = net.predict(x)["y"]
    counterfactuals = migrate.Counterfactuals(net, x)
    for _ in counterfactuals.search(counterfactuals.faults()):
        assert all(torch.equal(p, before[name]) for name, p in net.named_parameters())
        assert net.watch is None
    np.testing.assert_array_equal(net.predict(x)["y"], y)


def names_of(faults):
    return list(dict.fromkeys(fault.layer for fault in faults))


def test_which_layers_may_be_at_fault():
    net = migrate.to_torch(fork())
    c = migrate.Counterfactuals(net, {"x": values(1, 4, 5, 6)})
    # nearest to the wrong output first
    assert names_of(c.possible(["y"])) == ["y", "a", "s", "j", "c", "r"]
    # one that a right output depends on is last, and one that it shows is not there: z is r moved
    assert names_of(c.possible(["y"], ["z"])) == ["y", "a", "s", "j", "c"]
    assert names_of(c.possible(["z"])) == ["z", "r"]
    # only what both depend on
    assert names_of(c.possible(["y", "z"])) == ["r"]
    assert names_of(c.possible(["z"], ["y"])) == ["z", "r"]
    assert c.possible([]) == []
    assert c.possible([], ["y"]) == []
    assert "y" not in names_of(c.possible(["y"], ["y"]))


def test_a_layer_behind_which_a_right_output_loses_something_comes_last():
    spec = network(
        {"x": (2, 3)}, ["y", "z"],
        ("tanh", "x", "t", {}), ("activation", "t", "z", {"ReLU": None}), ("tanh", "t", "y", {}),
    )  # fmt: skip
    c = migrate.Counterfactuals(migrate.to_torch(spec), {"x": values(2, 3)})
    assert names_of(c.possible(["y"], ["z"])) == ["y", "t"]


def test_what_cannot_change_anything_is_not_among_the_faults():
    spec = network({"x": (1, 2, 3, 32)}, ["y"], ("activation", "x", "y", {"ReLU": None}))
    x = np.ones((1, 2, 3, 32))
    c = migrate.Counterfactuals(migrate.to_torch(spec), {"x": x})
    names = {fault.name for fault in c.possible(["y"])}
    assert names == {"zeroed", "input-zeroed", "activation-skipped", "scale-doubled"}
    again = migrate.Counterfactuals(c.replay.net, {"x": x}, previous={"x": x})
    assert {fault.name for fault in again.faults()} == {*names, "stale"}


def test_faults_with_the_same_outputs_are_told(samples):
    net = migrate.to_torch(samples / "Block.mlmodel")
    x = {"input1": values(1, 800, 43, 1), "input2": values(1, 128, 43, 1)}
    c = migrate.Counterfactuals(net, x)
    tried = {str(t.fault): t for t in c.search(c.possible(["output"]))}
    assert str(tried["zeroed@concat"].same_as) == "bias-only@conv3"
    assert tried["zeroed@concat"].outputs is None
    assert str(tried["branch-dropped:0@concat"].same_as or "") == ""
    assert str(tried["zeroed@conv1"].same_as) == "branch-dropped:0@concat"
    assert tried["subnormals-flushed@conv3"].silent
    assert tried["bias-only@conv3"].outputs["output"].shape == (1, 1600, 39, 1)


def test_what_is_silent_is_within_the_envelope():
    x = {"x": values(1, 4, 5, 6)}
    x["x"][0, 0, 0, 0] = 2**-15
    net = migrate.to_torch(fork())
    c, envelopes = migrate.Counterfactuals(net, x), migrate.envelopes(net, x)
    silent = [t.fault for t in c.search(c.faults()) if t.silent]
    assert migrate.Fault("subnormals-flushed", "r") in silent
    for fault in silent:
        assert all(envelopes[n].within(y, 2) for n, y in c.outputs(fault).items())


def test_a_fault_with_which_the_network_does_not_run():
    c = migrate.Counterfactuals(migrate.to_torch(computed_sizes()), {"x": values(2, 6)})
    fault = migrate.Fault("scale-doubled", "n")
    with pytest.raises(
        migrate.ModelError, match="with scale-doubled@n the model does not run: lay"
    ):
        c.outputs(fault)
    (tried,) = c.search([fault])
    assert (tried.outputs, tried.same_as, tried.silent) == (None, None, False)
    assert "does not run" in tried.error


def controlled():
    """A layer before a branch, one in it, a layer before a loop, one in it, and one behind."""
    spec = network(
        {"x": (1,), "n": (1,)}, ["y", "z"],
        ("tanh", "x", "t", {}), ("branch", "t", "unused", {}), ("tanh", "n", "u", {}),
        ("loop", "", "unused", {"maxLoopIterations": 2}), ("tanh", "b", "y", {}),
        ("tanh", "l", "z", {}),
    )  # fmt: skip
    layers = spec.neuralNetwork.layers
    for layer in (layers[1], layers[3]):
        del layer.output[:]
    inner = layers[1].branch.ifBranch.layers.add(name="inner", input=["t"], output=["b"])
    inner.activation.linear.alpha = 2
    other = layers[1].branch.elseBranch.layers.add(name="other", input=["t"], output=["b"])
    other.activation.linear.alpha = 3
    body = layers[3].loop.bodyNetwork.layers.add(name="body", input=["u"], output=["l"])
    body.activation.linear.alpha = 5
    return spec


def test_layers_in_control_flow_or_before_a_loop_are_left_out():
    x = {"x": np.array([0.5]), "n": np.array([0.25])}
    c, faults = check(controlled(), x)
    assert names_of(faults) == ["t", "y", "z"]
    assert c.left_out == 4  # inner, other, body and u
    with pytest.raises(migrate.FaultError, match="no fault 'zeroed@inner' here"):
        c.outputs(migrate.Fault("zeroed", "inner"))


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        ({}, "input 'x' is missing"),
        ({"x": np.zeros((2, 6)), "q": 1}, "no input 'q'"),
        ({"x": np.zeros((3, 6))}, "has shape 3x6"),
        ({"x": np.array(["a"])}, "not an array of numbers"),
    ],
)
def test_inputs_that_do_not_fit(inputs, what):
    net = migrate.to_torch(computed_sizes())
    with pytest.raises(migrate.InputError, match=what):
        migrate.Counterfactuals(net, inputs)
    with pytest.raises(migrate.InputError, match=what):
        migrate.Counterfactuals(net, {"x": np.zeros((2, 6))}, previous=inputs)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9, 0.0])
def test_inputs_of_any_value(value):
    given = {"x": np.full((1, 4, 5, 6), value)}
    check(fork(), given, given)


def test_other_types_of_input():
    for dtype in (np.float16, np.float64, np.int32, np.uint8, bool):
        check(in_place(), {"x": np.ones((2, 3), dtype)})


def test_outputs_that_there_are_not():
    c = migrate.Counterfactuals(migrate.to_torch(fork()), {"x": values(1, 4, 5, 6)})
    for given in ((["q"], []), (["y"], ["q"])):
        with pytest.raises(migrate.FaultError, match="no output 'q'; it has y, z"):
            c.possible(*given)
    c = migrate.Counterfactuals(migrate.to_torch(classifier()), {"x": values(4)})
    assert list(c.healthy) == ["p"]
    assert c.healthy["p"].shape == (4,)
    with pytest.raises(migrate.FaultError, match="no output 'label'; it has p"):
        c.possible(["label"])


@pytest.mark.parametrize(
    "fault",
    [("zeroed", "q", None), ("nothing", "y", None), ("zeroed", "y", 1), ("rolled", "y", None)],
)
def test_faults_that_are_not(fault):
    c = migrate.Counterfactuals(migrate.to_torch(in_place()), {"x": values(2, 3)})
    with pytest.raises(migrate.FaultError, match=f"no fault '{fault[0]}"):
        c.outputs(migrate.Fault(*fault))
    with pytest.raises(migrate.FaultError):
        list(c.search([migrate.Fault(*fault)]))


def test_a_model_that_draws_random_numbers():
    spec = network({"x": (2,)}, ["y"], ("randomNormalLike", "x", "y", {"stdDev": 1}))
    with pytest.raises(migrate.UnsupportedError, match="draws random numbers"):
        migrate.Counterfactuals(migrate.to_torch(spec), {"x": values(2)})


def test_a_fault_in_words():
    assert str(migrate.Fault("zeroed", "conv 1")) == "zeroed@conv 1"
    assert str(migrate.Fault("branch-dropped", "concat", 0)) == "branch-dropped:0@concat"


def test_the_blobs_of_the_previous_prediction_take_half_the_room():
    c = migrate.Counterfactuals(
        migrate.to_torch(fork()), {"x": values(1, 4, 5, 6)}, previous={"x": values(1, 4, 5, 6)}
    )
    assert len(c.previous) == 8  # what the layers write, and no more
    assert {x.dtype for x in c.previous.values()} == {torch.float16}


def test_blobs_are_rounded_as_the_envelope_rounds_them():
    """The quick way looks at a sample first; it must never show."""
    whole = torch.arange(5000.0).reshape(50, 100)
    late = whole.clone()
    late[-1, -1] = 0.1
    cases = [
        torch.randn(7, 300), whole, late, whole * 100, late.T, whole[:, ::2], torch.zeros(0),
        torch.tensor(0.1), torch.tensor([float("nan")]), torch.tensor([1e9, 1]),
        torch.tensor([1e-9, -0.0]), torch.arange(3), torch.tensor([True]),
        torch.tensor([70000.5, 2049.0, 0.1]),
    ]  # fmt: skip
    for x in cases:
        want, got = migrate.rounded(x), as_stored(x)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got.numpy(), want.numpy())
        np.testing.assert_array_equal(np.signbit(got.numpy()), np.signbit(want.numpy()))


def test_a_blob_that_a_fault_leaves_unwritten_is_no_healthy_one():
    """The branch goes the other way, and the output is written by no layer."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    for feature, name in ((spec.description.input, "x"), (spec.description.output, "y")):
        array = feature.add(name=name).type.multiArrayType
        array.shape.append(1)
        array.dataType = array.FLOAT32
    layer = spec.neuralNetwork.layers.add(name="g", input=["x"], output=["p"])
    layer.activation.linear.alpha = 1
    branch = spec.neuralNetwork.layers.add(name="b", input=["p"])
    for block, blob in ((branch.branch.ifBranch, "y"), (branch.branch.elseBranch, "z")):
        inner = block.layers.add(name=f"to_{blob}", input=["x"], output=[blob])
        inner.activation.linear.alpha = 2
    found = migrate.Counterfactuals(migrate.to_torch(spec), {"x": np.float32([1])})
    assert found.healthy["y"] == 2
    fault = next(f for f in found.faults() if str(f) == "zeroed@g")
    with pytest.raises(migrate.ModelError, match="with zeroed@g the model does not run"):
        found.outputs(fault)
    (tried,) = found.search([fault])
    assert tried.error
    assert not tried.silent
