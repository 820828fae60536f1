"""Changes of channels, followed through each kind of layer that takes them."""

from __future__ import annotations

import numpy as np
import pytest
from networks import network
from small_block import array, convolution

import migrate
from migrate.coreml import proto


def fill(message, values):
    message.floatValue.extend(np.asarray(values, float).ravel().tolist())


def joined(*, version=4, rank5=False, outputs=("out",), sizes=(2, 3)):
    """Return a spec whose inputs a and b are joined to 'z', of 5 channels."""
    spec = proto("Model_pb2").Model(specificationVersion=version)
    spec.neuralNetwork.arrayInputShapeMapping = 0 if rank5 else 1
    for name, size in zip("ab", sizes, strict=True):
        array(spec.description.input, name, (size, 4, 4) if rank5 else (1, size, 4, 4))
    for name in outputs:
        array(spec.description.output, name, ())
    join = spec.neuralNetwork.layers.add(name="join", input=["a", "b"], output=["z"])
    join.concat.SetInParent()
    return spec


def variant(spec, kind):
    return [v for v in migrate.variants(spec) if v.kind == kind]


def compared(spec, kind):
    """Return the original's output and the variant's, both run anew on the same inputs."""
    (found,) = variant(spec, kind)
    draw = np.random.RandomState(3)
    net, other = (migrate.to_torch(s).double() for s in (spec, found.spec))
    given = {f.name: draw.randn(*f.shape) for f in net.network.inputs}
    name = net.network.outputs[0].name
    outputs = [n.predict(given, exact=True)[name] for n in (net, other)]
    return found, *outputs


ORDER = [2, 3, 4, 0, 1]  # of five channels, the last three first
DRAW = np.random.RandomState(5)
VALUES = DRAW.randn(5).astype("f4")


def batchnorm(layer):
    layer.batchnorm.channels = 5
    for field, values in (("gamma", VALUES), ("beta", VALUES + 1), ("mean", VALUES * 2)):
        fill(getattr(layer.batchnorm, field), values)
    fill(layer.batchnorm.variance, np.abs(VALUES) + 0.5)


def prelu(layer):
    fill(layer.activation.PReLU.alpha, VALUES)


def softplus(layer):
    fill(layer.activation.parametricSoftplus.alpha, VALUES)
    fill(layer.activation.parametricSoftplus.beta, np.abs(VALUES) + 0.1)


def scale(layer):
    layer.scale.shapeScale.extend([5])
    fill(layer.scale.scale, VALUES)
    layer.scale.hasBias = True
    layer.scale.shapeBias.extend([5, 1, 1])
    fill(layer.scale.bias, VALUES + 3)


def bias(layer):
    layer.bias.shape.extend([5, 4, 4])
    fill(layer.bias.bias, np.arange(80) / 7)


def pooling(layer):
    layer.pooling.kernelSize.extend([2, 2])
    layer.pooling.stride.extend([2, 2])
    layer.pooling.valid.SetInParent()


def softmax(layer):
    layer.softmax.SetInParent()


def several(layer):
    """Two depthwise filters for each channel."""
    p, weights = layer.convolution, DRAW.randn(10, 1, 3, 3)
    p.outputChannels, p.kernelChannels, p.nGroups = 10, 1, 5
    p.kernelSize.extend([3, 3])
    p.valid.SetInParent()
    fill(p.weights, weights)


@pytest.mark.parametrize("kind", [batchnorm, prelu, softplus, scale, bias, pooling, softmax])
def test_channels_in_another_order_take_their_parameters_along(kind):
    spec = joined()
    kind(spec.neuralNetwork.layers.add(name="tested", input=["z"], output=["out"]))
    found, before, after = compared(spec, "swapped")
    assert str(found.same) == "equal up to the order of the channels of 'out'"
    np.testing.assert_allclose(after, before[:, ORDER], atol=1e-12)
    assert not np.allclose(after, before)


def test_several_filters_for_each_channel_stay_together():
    spec = joined()
    several(spec.neuralNetwork.layers.add(name="tested", input=["z"], output=["out"]))
    found, before, after = compared(spec, "swapped")
    order = [4, 5, 6, 7, 8, 9, 0, 1, 2, 3]
    np.testing.assert_allclose(after, before[:, order], atol=1e-12)
    np.testing.assert_allclose(found.same.restored({"out": after})["out"], before, atol=1e-12)


@pytest.mark.parametrize("half", [False, True])
def test_a_full_convolution_absorbs_the_order(half):
    spec = joined()
    weights = DRAW.randn(7, 5, 3, 2).astype("f2")
    layer = convolution(spec.neuralNetwork, "conv", "z", "out", weights, DRAW.randn(7))
    if half:
        layer.convolution.weights.Clear()
        layer.convolution.weights.float16Value = weights.tobytes()
    found, before, after = compared(spec, "swapped")
    assert str(found.same) == "equal"
    np.testing.assert_allclose(after, before, atol=1e-9)
    stored = found.spec.neuralNetwork.layers[1].convolution.weights
    assert bool(stored.float16Value) is half


def test_groups_that_are_moved_whole_are_permuted_and_others_are_refused():
    spec = joined(sizes=(2, 4))
    weights = DRAW.randn(6, 2, 1, 1)
    convolution(spec.neuralNetwork, "conv", "z", "out", weights, DRAW.randn(6), groups=3)
    found, before, after = compared(spec, "swapped")
    np.testing.assert_allclose(after, before[:, [2, 3, 4, 5, 0, 1]], atol=1e-12)
    assert found.layers == ("join", "conv")

    spec = joined(sizes=(3, 3))
    convolution(spec.neuralNetwork, "conv", "z", "out", weights, None, groups=3)
    refused = [
        v for v in migrate.each_variant(spec) if v.kind in ("swapped", "split")
    ]  # fmt: skip
    reasons = {v.kind: v.reason for v in refused if isinstance(v, migrate.LeftOut)}
    assert "across the groups of layer 'conv'" in reasons["swapped"]
    assert "a group of convolution 'conv' reads both halves" in reasons["split"]


@pytest.mark.parametrize("mode", [0, 1])
def test_a_dense_layer_behind_flatten_absorbs_the_order(mode):
    spec = joined(version=1, rank5=True)
    layers = spec.neuralNetwork.layers
    layers.add(name="flat", input=["z"], output=["f"]).flatten.mode = mode
    p = layers.add(name="dense", input=["f"], output=["out"]).innerProduct
    p.inputChannels, p.outputChannels = 80, 3
    fill(p.weights, DRAW.randn(3, 80))
    found, before, after = compared(spec, "swapped")
    assert found.same.same_network
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_both_sides_of_a_sum_must_change_alike():
    spec = joined(outputs=("out",), sizes=(3, 3))
    layers = spec.neuralNetwork.layers
    layers.add(name="relu", input=["z"], output=["r"]).activation.ReLU.SetInParent()
    layers.add(name="sum", input=["z", "r"], output=["out"]).add.SetInParent()
    _, before, after = compared(spec, "swapped")
    np.testing.assert_allclose(after, before[:, [3, 4, 5, 0, 1, 2]], atol=1e-12)

    spec = joined(sizes=(3, 3))
    array(spec.description.input, "c", (1, 6, 4, 4))
    spec.neuralNetwork.layers.add(name="sum", input=["z", "c"], output=["out"]).add.SetInParent()
    (left,) = [v for v in migrate.each_variant(spec) if v.kind == "swapped"]
    assert "the inputs of layer 'sum' do not change their channels alike" in left.reason


def test_a_layer_that_knows_its_channels_by_number_is_refused_by_name():
    spec = joined()
    part = spec.neuralNetwork.layers.add(name="part", input=["z"], output=["out"]).slice
    part.endIndex, part.stride = 3, 1
    (left,) = [v for v in migrate.each_variant(spec) if v.kind == "swapped"]
    assert left.name == "join"
    assert "'part'" in left.reason
    assert left.line.startswith("Whether")


def test_where_padding_cannot_be_followed_a_slice_takes_it_away():
    spec = network({"a": (1, 3, 4, 4)}, ["out"])
    convolution(spec.neuralNetwork, "conv", "a", "y", DRAW.randn(5, 3, 1, 1), DRAW.randn(5))
    part = spec.neuralNetwork.layers.add(name="part", input=["y"], output=["out"]).slice
    part.endIndex, part.stride = 4, 1
    found, before, after = compared(spec, "padded-32")
    assert found.name == "padded-32-and-sliced"
    assert found.line == (
        "Whether the bug depends on channel counts that 32 does not divide: zeros fill up the "
        "channels of 'conv' to multiples of 32, and a slice behind each takes them away again."
    )
    assert found.spec.neuralNetwork.layers[0].convolution.outputChannels == 32
    assert str(found.same) == "equal"
    np.testing.assert_allclose(after, before, atol=1e-12)


def test_padding_that_two_sides_of_a_sum_need_is_followed_together():
    spec = network({"a": (1, 3, 4, 4)}, ["out"])
    for name in ("one", "two"):
        convolution(spec.neuralNetwork, name, "a", name, DRAW.randn(5, 3, 1, 1), DRAW.randn(5))
    spec.neuralNetwork.layers.add(name="sum", input=["one", "two"], output=["s"]).add.SetInParent()
    convolution(spec.neuralNetwork, "last", "s", "out", DRAW.randn(64, 5, 1, 1), None)
    found, before, after = compared(spec, "padded-32")
    assert found.layers == ("one", "two")
    assert str(found.same) == "equal"
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_a_deconvolution_is_padded_at_its_output_and_at_its_input():
    spec = network({"a": (1, 3, 4, 4)}, ["out"])
    for name, source, target, shape in (
        ("one", "a", "y", (3, 5, 2, 2)),
        ("two", "y", "out", (5, 32, 2, 2)),
    ):
        layer = spec.neuralNetwork.layers.add(name=name, input=[source], output=[target])
        p = layer.convolution
        p.isDeconvolution, p.hasBias, p.nGroups = True, True, 1
        p.kernelChannels, p.outputChannels = shape[:2]
        p.kernelSize.extend(shape[2:])
        p.valid.SetInParent()
        fill(p.weights, DRAW.randn(*shape))
        fill(p.bias, DRAW.randn(shape[1]))
    found, before, after = compared(spec, "padded-32")
    sizes = [
        (o.convolution.kernelChannels, o.convolution.outputChannels)
        for o in found.spec.neuralNetwork.layers
    ]
    assert sizes == [(3, 32), (32, 32)]
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_several_filters_for_each_channel_are_split_where_their_channels_meet():
    spec = joined()
    several(spec.neuralNetwork.layers.add(name="tested", input=["z"], output=["out"]))
    found, before, after = compared(spec, "split")
    parts = [o.convolution for o in found.spec.neuralNetwork.layers if o.HasField("convolution")]
    assert [(p.nGroups, p.outputChannels) for p in parts] == [(2, 4), (3, 6)]
    np.testing.assert_allclose(after, before, atol=1e-12)


@pytest.mark.parametrize("inputs", ["a b c", "a b c d"])
def test_a_concatenation_of_several_is_split_in_halves(inputs):
    names = inputs.split()
    spec = network(dict.fromkeys(names, (1, 2, 4, 4)), ["out"])
    spec.neuralNetwork.layers.add(name="join", input=names, output=["z"]).concatND.axis = 1
    size = 2 * len(names)
    convolution(spec.neuralNetwork, "conv", "z", "out", DRAW.randn(3, size, 2, 2), DRAW.randn(3))
    found, before, after = compared(spec, "split")
    kinds = [o.WhichOneof("layer") for o in found.spec.neuralNetwork.layers]
    assert kinds[-1] == "add"
    assert kinds.count("concatND") == (2 if len(names) == 4 else 1)
    np.testing.assert_allclose(after, before, atol=1e-9)
