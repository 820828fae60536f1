"""Envelopes against rounding written out in numpy, one layer after the other."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from networks import network

import migrate
from migrate import AnereportError, InputError, ModelError, UnsupportedError
from migrate.coreml import proto
from migrate.envelope import FEW, Envelope, K, channels, envelopes
from migrate.rounding import Rounding, rounded

RNG = np.random.RandomState(0)
KERNEL = RNG.randn(4, 3, 3, 3).astype(np.float32)
BIAS = 300 + RNG.randn(4).astype(np.float32)  # what the next layer cancels
POINTWISE = RNG.randn(5, 4, 1, 1).astype(np.float32)
POINTWISE -= POINTWISE.mean(axis=1, keepdims=True)
X = RNG.randn(1, 3, 9, 7)


def half(x):
    """What float16 has of an array."""
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(np.float16).astype(np.float64)


def rmse(a, b, axis=None):
    return np.sqrt(np.mean((a - b) ** 2, axis=axis))


def chain(layers, shapes, *outputs):
    """A spec of (kind, inputs, output, fields) rows over inputs in0, in1, ... of these shapes."""
    inputs = {f"in{i}": shape for i, shape in enumerate(shapes)}
    return network(inputs, outputs or ["out"], *layers)


def one(kind, *shapes, **fields):
    """The module of one layer."""
    inputs = " ".join(f"in{i}" for i in range(len(shapes)))
    return migrate.to_torch(chain([(kind, inputs, "out", fields)], shapes))


def relu(*shape):
    return one("activation", shape, ReLU=None)


def scaled(factor, shape):
    """A module that multiplies by a stored number, which is one of its weights."""
    spec = chain([("loadConstantND", "", "c", {}), ("multiplyBroadcastable", "in0 c", "out", {})],
                 [shape])  # fmt: skip
    constant = spec.neuralNetwork.layers[0].loadConstantND
    constant.shape.append(1)
    constant.data.floatValue.append(factor)
    return migrate.to_torch(spec)


def explained(net, *arrays, precision="fp16"):
    """The envelope of a module's only output."""
    inputs = {feature.name: x for feature, x in zip(net.network.inputs, arrays, strict=True)}
    ((_, found),) = envelopes(net, inputs, precision).items()
    return found


def convolutions(first=KERNEL, second=POINTWISE):
    """A convolution with a bias, a ReLU, and a convolution of 1x1."""
    rows = [
        ("convolution", "in0", "a", {}),
        ("activation", "a", "b", {"ReLU": None}),
        ("convolution", "b", "out", {}),
    ]
    spec = chain(rows, [X.shape])
    for layer, kernel in zip(spec.neuralNetwork.layers[::2], (first, second), strict=True):
        p = layer.convolution
        p.outputChannels, p.kernelChannels = kernel.shape[:2]
        p.nGroups = 1
        p.kernelSize.extend(kernel.shape[2:])
        p.valid.SetInParent()
        p.weights.floatValue.extend(kernel.ravel())
    p = spec.neuralNetwork.layers[0].convolution
    p.hasBias = True
    p.bias.floatValue.extend(BIAS)
    return migrate.to_torch(spec)


def by_hand(x, round_weight=half, round_blob=half):
    """The same in numpy."""
    windows = np.lib.stride_tricks.sliding_window_view(round_blob(x)[0], (3, 3), axis=(1, 2))
    bias = round_weight(BIAS).astype(np.float64)[:, None, None]
    a = np.einsum("chwij,ocij->ohw", windows, round_weight(KERNEL).astype(np.float64)) + bias
    b = np.maximum(round_blob(a), 0)
    y = np.einsum("chw,oc->ohw", b, round_weight(POINTWISE)[..., 0, 0].astype(np.float64))
    return round_blob(y)[None]


def test_weights_and_every_blob_are_rounded():
    found = explained(convolutions(), X)
    exact = by_hand(X, np.asarray, np.asarray)
    assert found.reference.dtype == np.float64
    np.testing.assert_allclose(found.reference, exact, rtol=1e-12, atol=1e-12)
    expected = rmse(by_hand(X), exact, axis=(0, 2, 3))
    assert (expected > np.spacing(np.abs(exact).max(axis=(0, 2, 3)).astype(np.float16))).all()
    np.testing.assert_allclose(found.rmse, expected, rtol=1e-6)
    assert not found.overflowed.any()
    assert found.beyond_range == ()


def test_float32_is_measured_against_float64():
    """Sums and products of two numbers are the same in numpy to the last bit."""
    rows = [("addBroadcastable", "in0 in1", "a", {}), ("multiplyBroadcastable", "a in1", "out", {})]
    x, y = RNG.randn(2, 3, 40), RNG.randn(2, 3, 40)
    x[1] += 300  # cancels what the sum has beyond float32
    y[1] -= 300
    net = migrate.to_torch(chain(rows, [x.shape, y.shape]))
    found = explained(net, x, y, precision="fp32")
    single = (x.astype(np.float32) + y.astype(np.float32)) * y.astype(np.float32)
    expected = rmse(single.astype(np.float64), (x + y) * y, axis=(1, 2))
    ulps = np.spacing(np.abs((x + y) * y).max(axis=(1, 2)).astype(np.float32))
    assert expected[1] > ulps[1]
    np.testing.assert_array_equal(found.reference, (x + y) * y)
    np.testing.assert_allclose(found.rmse, np.maximum(expected, ulps), rtol=1e-9)


@pytest.mark.parametrize(("precision", "kind"), [("fp16", np.float16), ("fp32", np.float32)])
def test_an_exact_channel_has_one_ulp_of_its_peak(precision, kind):
    x = np.zeros((1, 4, 4, 4))
    x[0, 0, 1, 2], x[0, 1, 2, 3], x[0, 2, 0, 0] = 1.5, 1023.5, 2.0**-15
    found = explained(relu(*x.shape), x, precision=precision)
    peaks = np.array([1.5, 1023.5, 2.0**-15, 0], kind)
    np.testing.assert_array_equal(found.rmse, np.spacing(peaks).astype(np.float64))


def test_a_ratio_is_an_rmse_over_the_envelope():
    x = np.full((1, 2, 4, 4), 1.5)
    found = explained(relu(*x.shape), x)
    values = x.copy()
    values[0, 0] += 3 * 2.0**-10
    values[0, 1, 0, 0] += 20 * 2.0**-10  # one of 16 elements
    np.testing.assert_allclose(found.ratio(values), [3, 5])
    assert found.within(values)
    assert found.within(values, k=5)
    assert not found.within(values, k=4.99)
    values[0, 1] += 1.5
    assert not found.within(values)
    assert K == 8


def test_the_axes_of_one_that_values_lack_do_not_matter():
    x = np.full((1, 1, 3, 4, 4), 1.5)
    found = explained(relu(*x.shape), x)
    np.testing.assert_array_equal(found.ratio(x[0, 0].astype(np.float32)), np.zeros(3))
    with pytest.raises(AnereportError, match="values have shape 4x3x4, their reference has 1x1x3x"):
        found.ratio(np.zeros((4, 3, 4)))
    with pytest.raises(AnereportError, match="an array of numbers"):
        found.ratio({"a": 0.5})


@pytest.mark.parametrize("k", [0, -1.0, np.nan, np.inf])
def test_a_k_that_is_none(k):
    with pytest.raises(AnereportError, match="k is a positive number, not "):
        explained(relu(3), np.zeros(3)).within(np.zeros(3), k)


@pytest.mark.parametrize(
    ("shape", "axis", "rows"),
    [((12,), None, 1), ((3, 4), None, 1), ((3, 2, 4), -3, 3), ((2, 3, 2, 4), -3, 6)],
)
def test_channels_are_those_of_the_report(shape, axis, rows):
    x = RNG.rand(*shape)
    found = explained(relu(*shape), x)
    assert found.axis == axis
    assert found.rmse.shape == found.overflowed.shape == (rows,)
    np.testing.assert_array_equal(channels(x), x.reshape(rows, -1))
    expected = rmse(half(x).reshape(rows, -1), x.reshape(rows, -1), axis=1)
    ulps = np.spacing(x.reshape(rows, -1).max(axis=1).astype(np.float16))
    np.testing.assert_array_less(expected, ulps)
    np.testing.assert_array_equal(found.rmse, ulps)


def test_channels_of_few_values_have_the_error_of_the_whole_output():
    """A difference of large numbers: its own ulp says little of its error."""
    x, y = 500 + RNG.rand(1, 9, 1, FEW - 1), 500 + RNG.rand(1, 9, 1, FEW - 1)
    found = explained(one("subtractBroadcastable", x.shape, y.shape), x, y)
    errors = rmse(half(half(x) - half(y)), x - y, axis=(0, 2, 3))
    whole = rmse(half(half(x) - half(y)), x - y)
    assert errors.min() < whole / 1.1
    np.testing.assert_allclose(found.rmse, np.maximum(errors, whole), rtol=1e-9)


def test_channels_of_more_values_have_their_own():
    x, y = 500 + RNG.rand(1, 9, 2, FEW // 2), 500 + RNG.rand(1, 9, 2, FEW // 2)
    found = explained(one("subtractBroadcastable", x.shape, y.shape), x, y)
    errors = rmse(half(half(x) - half(y)), x - y, axis=(0, 2, 3))
    np.testing.assert_allclose(found.rmse, errors, rtol=1e-9)


def test_numbers_that_are_rounded():
    values = torch.tensor([0.1, 2049.0, 65519.0, 65520.0, -1e9, 2.0**-24, 2.0**-26])
    expected = torch.tensor([0.0999755859375, 2048.0, 65504, torch.inf, -torch.inf, 2.0**-24, 0])
    assert torch.equal(rounded(values), expected)
    assert torch.equal(rounded(values.double()), expected.double())


@pytest.mark.parametrize("values", [[2049.0, -65503.0, 65504.0], [0.0], [], [True], [70001]])
def test_whole_numbers_stay(values):
    given = torch.tensor(values)
    assert torch.equal(rounded(given), given)
    assert rounded(given).dtype == given.dtype


def test_whole_numbers_that_float16_cannot_hold():
    assert torch.equal(rounded(torch.tensor([3.0, 65537.0])), torch.tensor([3.0, torch.inf]))


def test_an_index_is_not_rounded_to_another():
    x, index = 100 * RNG.rand(3000), np.array([2049.0, 2051.0, 2999.0])
    found = explained(one("gather", x.shape, index.shape), x, index)
    np.testing.assert_array_equal(found.reference, x[[2049, 2051, 2999]])
    assert found.rmse < 0.1


def test_a_size_that_rounding_changes_is_refused():
    net = one("fillDynamic", (1,), value=0.3)
    with pytest.raises(UnsupportedError, match="output 'out' has shape 3, and with rounding 4: "):
        explained(net, np.array([3.9999]))


def test_overflow_is_no_envelope():
    x = 50 + RNG.rand(1, 3, 4, 4)
    x[0, 0] *= 3
    x[0, 2] *= 3
    x[0, 2, 0, 0] = 0.1
    found = explained(scaled(1000.5, x.shape), x)
    assert found.overflowed.tolist() == [True, False, True]
    assert found.beyond_range == ("out",)
    # of the last channel the one value left is off by less than the ulp of the channel's peak
    np.testing.assert_array_equal(found.rmse[[0, 2]], [128, 128])
    ran = half(half(1000.5) * half(x))
    np.testing.assert_allclose(found.rmse[1], max(rmse(ran, 1000.5 * x, (0, 2, 3))[1], 32))
    assert np.isinf(found.ratio(ran)).tolist() == [True, False, True]
    assert not found.within(ran)
    assert found.within(1000.5 * x)


def test_an_overflow_that_does_not_reach_the_output_is_named():
    rows = [
        ("multiplyBroadcastable", "in0 in0", "squares", {}),
        ("reduceSum", "squares", "sum", {"reduceAll": True, "keepDims": True}),
        ("divideBroadcastable", "in0 sum", "out", {}),
    ]
    x = 300 + RNG.rand(1, 8)
    found = explained(migrate.to_torch(chain(rows, [x.shape])), x)
    assert found.beyond_range == ("squares",)
    np.testing.assert_allclose(found.rmse, rmse(found.reference, 0))  # nothing but zeros
    assert not found.overflowed.any()


def test_a_mask_of_whole_numbers_overflows():
    x, mask = RNG.rand(4), np.array([0.0, -1e9, 0, 0])
    found = explained(one("addBroadcastable", x.shape, mask.shape), x, mask)
    assert found.beyond_range == ("in1",)
    assert found.overflowed.tolist() == [True]


def test_a_weight_that_overflows_is_named():
    (weight,) = explained(scaled(70000.5, (2,)), np.array([0.5, 0.25])).beyond_range[:1]
    assert weight == "c.value"
    assert explained(scaled(70000.5, (2,)), np.array([0.5, 0.25]), precision="fp32").rmse < 0.01


def test_values_that_are_not_finite():
    x, y = np.ones((1, 3, 4, 4)), np.full((1, 3, 4, 4), 2.0)
    y[0, 1, 0, 0] = 0
    x[0, 2, 0, :2] = y[0, 2, 0, :2] = 0
    found = explained(one("divideBroadcastable", x.shape, y.shape), x, y)
    assert np.isinf(found.reference[0, 1, 0, 0])
    assert np.isnan(found.reference[0, 2, 0, 0])
    assert not found.overflowed.any()
    np.testing.assert_array_equal(found.rmse, np.full(3, 2.0**-11))
    np.testing.assert_array_equal(found.ratio(found.reference), np.zeros(3))
    for channel, value in ((0, np.nan), (1, 5.0), (1, -np.inf), (2, 0.0)):
        values = found.reference.copy()
        values[0, channel, 0, 0] = value
        assert np.isinf(found.ratio(values)).tolist() == [c == channel for c in range(3)]
    np.testing.assert_allclose(found.ratio(found.reference + 2.0**-10), np.full(3, 2))


def bounds(reference, *sizes):
    return Envelope(np.asarray(reference, np.float64), np.array(sizes, np.float64),
                    np.zeros(len(sizes), bool), ())  # fmt: skip


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_an_input_is_unfit_where_rounding_is_as_large_as_the_output(scale):
    """By the root mean square of all channels, at any size of the numbers."""
    x = RNG.randn(1, 3, 4, 5)
    sizes = np.array([1, 2, 0.5]) * rmse(x, 0) / rmse(np.array([1, 2, 0.5]), 0)
    assert not bounds(x * scale, *(0.999 * scale * sizes)).unfit
    assert bounds(x * scale, *(1.001 * scale * sizes)).unfit


def test_one_channel_that_rounding_drowns_is_no_unfit_input():
    x = np.ones((1, 50, 4, 5))
    x[0, 7] = 1e-9
    assert not bounds(x, *np.where(np.arange(50) == 7, 0.5, 1e-3)).unfit


@pytest.mark.parametrize(
    "reference", [np.zeros((1, 1, 2, 3)), np.zeros((1, 0, 3)), np.full((1, 1, 3), np.nan)]
)
def test_an_output_of_nothing_is_no_unfit_input(reference):
    assert not bounds(reference, *np.ones(len(channels(reference)))).unfit


def test_what_is_not_finite_takes_no_part_in_being_unfit():
    x = np.array([[[3.0, np.inf, np.nan, -4.0]]])
    assert bounds(x, 3.6).unfit  # the root of 12.5 is 3.54
    assert not bounds(x, 3.5).unfit


def test_an_input_that_cannot_tell_is_found_by_running_it():
    """The difference of numbers of which float16 has the same digits."""
    x = 2000 + RNG.rand(1, 3, 4, 4)
    net = one("subtractBroadcastable", x.shape, x.shape)
    assert explained(net, x, x + 1e-3).unfit
    assert not explained(net, x, 3 * x).unfit
    assert not explained(net, x, x + 1e-3, precision="fp32").unfit


def test_numbers_too_far_off_for_float64_are_infinitely_so():
    found = bounds(np.ones((1, 2, 3)), 1.0)
    assert found.ratio(np.full((1, 2, 3), 1e300)).tolist() == [np.inf]
    assert not found.within(np.full((1, 2, 3), -1e300))


def state(net):
    tensors = (*net.named_parameters(), *net.named_buffers())
    return {name: (id(tensor), tensor.dtype, tensor.clone()) for name, tensor in tensors}


def assert_same(before, after):
    assert before.keys() == after.keys()
    for name, (identity, dtype, values) in before.items():
        assert after[name][:2] == (identity, dtype)
        assert torch.equal(after[name][2], values)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_the_module_stays_as_it_is(precision):
    net = convolutions()
    before, output = state(net), net.predict({"in0": X})["out"]
    seen = []
    with net.watching(lambda blob, value: seen.append(blob) or value * 0):
        found = explained(net, X, precision=precision)
        assert seen == []  # nor does what others watch take part
        assert not net.predict({"in0": X})["out"].any()
        assert seen == ["in0", "a", "b", "out"]
    assert found.reference.any()
    assert_same(before, state(net))
    np.testing.assert_array_equal(net.predict({"in0": X})["out"], output)


def test_it_stays_as_it_is_where_the_run_fails():
    rows = [("loadConstantND", "", "c", {}), ("gather", "c in0", "out", {})]
    spec = chain(rows, [(1,)])
    constant = spec.neuralNetwork.layers[0].loadConstantND
    constant.shape.append(70001)
    constant.data.floatValue.extend(RNG.rand(70001))
    net = migrate.to_torch(spec)
    before = state(net)
    with pytest.raises(
        ModelError, match=r"^in fp16 the model does not run: layer 'out' \(gather\)"
    ):
        explained(net, np.array([70000.0]))
    assert_same(before, state(net))
    assert explained(net, np.array([70000.0]), precision="fp32").rmse < 1e-6


def test_a_module_in_float64_is_measured_in_float32():
    x = RNG.rand(1, 3, 9, 7)
    expected, found = explained(convolutions(), x), explained(convolutions().double(), x)
    np.testing.assert_array_equal(found.rmse, expected.rmse)


def lstm():
    """Three inputs, two outputs; of the weights the blockInput's are less than float16 has."""
    spec = chain([("uniDirectionalLSTM", "in0 in1 in2", "out", {})],
                 [(12, 1, 3, 1, 1), (1, 1, 2, 1, 1), (1, 1, 2, 1, 1)])  # fmt: skip
    layer = spec.neuralNetwork.layers[0]
    layer.output.extend(["h", "c"])
    p = layer.uniDirectionalLSTM
    p.inputVectorSize, p.outputVectorSize = 3, 2
    p.params.sequenceOutput = True
    for name in ("sigmoid", "tanh", "tanh"):
        getattr(p.activations.add(), name).SetInParent()
    for gate in ("inputGate", "forgetGate", "outputGate", "blockInput"):
        scale = 2e-8 if gate == "blockInput" else 0.5
        getattr(p.weightParams, f"{gate}WeightMatrix").floatValue.extend(scale * RNG.rand(6))
        getattr(p.weightParams, f"{gate}RecursionMatrix").floatValue.extend(scale * RNG.rand(4))
    return migrate.to_torch(spec)


def test_the_weights_of_an_lstm_are_rounded_and_stay():
    """It keeps a second list of its weights, which torch brings up to date at each call."""
    net, zeros = lstm(), np.zeros((1, 1, 2, 1, 1))
    inputs = {"in0": 2000 * RNG.rand(12, 1, 3, 1, 1), "in1": zeros, "in2": zeros}
    before, output = state(net), net.predict(inputs)["out"]
    found = envelopes(net, inputs)["out"]
    assert output.any()
    lost = rmse(channels(found.reference), 0, axis=1)
    np.testing.assert_allclose(found.rmse, np.maximum(lost, rmse(found.reference, 0)))
    assert_same(before, state(net))
    np.testing.assert_array_equal(net.predict(inputs)["out"], output)


class Counter(torch.nn.Module):
    """A layer with state: it counts its calls, in a number and in an index."""

    def __init__(self, params):
        super().__init__()
        self.calls = torch.nn.Buffer(torch.zeros(1))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))

    def forward(self, x):
        self.count += 1
        return x[self.count] + self.calls.add_(1)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_the_state_of_a_layer_stays(precision):
    spec = chain([("custom", "in0", "out", {"className": "Counter"})], [(2,)])
    net = migrate.to_torch(spec, {"Counter": Counter})
    before = state(net)
    found = explained(net, np.array([0.5, 2.5]), precision=precision)
    np.testing.assert_array_equal(found.reference, [3.5])
    assert_same(before, state(net))


def classifier(*, scores=True):
    """A softmax over three channels of one value."""
    spec = chain([("softmaxND", "in0", "probs", {"axis": -3})], [(3, 1, 1)])
    network = copy.deepcopy(spec.neuralNetwork)
    spec.neuralNetworkClassifier.layers.extend(network.layers)
    spec.neuralNetworkClassifier.arrayInputShapeMapping = 1
    spec.neuralNetworkClassifier.stringClassLabels.vector.extend(["z", "a", "m"])
    spec.neuralNetworkClassifier.labelProbabilityLayerName = "probs"
    del spec.description.output[:]
    if scores:
        spec.description.output.add(name="odds").type.dictionaryType.stringKeyType.SetInParent()
    spec.description.output.add(name="label").type.stringType.SetInParent()
    spec.description.predictedFeatureName = "label"
    if scores:
        spec.description.predictedProbabilitiesName = "odds"
    return migrate.to_torch(spec)


def test_a_classifier_has_its_scores_in_the_order_of_its_labels():
    x = np.array([0.1, 4.0, -3.0]).reshape(3, 1, 1)
    exact = np.exp(x.ravel()) / np.exp(x).sum()
    found = envelopes(classifier(), {"in0": x})
    assert list(found) == ["odds"]
    np.testing.assert_allclose(found["odds"].reference, exact)
    assert found["odds"].rmse.shape == (1,)
    odds = classifier().predict({"in0": x})["odds"]
    assert found["odds"].within([odds[label] for label in ("z", "a", "m")])
    assert not found["odds"].within([odds[label] for label in ("a", "z", "m")])


def test_a_label_alone_has_no_numbers():
    assert envelopes(classifier(scores=False), {"in0": np.zeros((3, 1, 1))}) == {}


def typed(feature, kind):
    """A subtraction of large numbers whose output is declared to be of a kind."""
    spec = chain([("subtractBroadcastable", "in0 in1", "out", {})], [(1, 3, 4, 4)] * 2)
    declared = spec.description.output[0].type
    if feature == "image":
        declared.imageType.width = declared.imageType.height = 4
        declared.imageType.colorSpace = kind
    else:
        declared.multiArrayType.dataType = kind
    return migrate.to_torch(spec)


def test_integers_have_the_ulp_alone():
    x, y = 500 + RNG.rand(1, 3, 4, 4), 500 - RNG.rand(1, 3, 4, 4)
    ulps = np.spacing((x - y).max(axis=(0, 2, 3)).astype(np.float16))
    integers, floats = (
        explained(typed("array", 131104), x, y),
        explained(typed("array", 65568), x, y),
    )
    np.testing.assert_array_equal(integers.rmse, ulps)
    assert (floats.rmse > 10 * ulps).all()


def test_a_whole_number_has_the_ulp_alone():
    spec = chain([("subtractBroadcastable", "in0 in1", "out", {})], [(1,)] * 2)
    spec.description.output[0].type.int64Type.SetInParent()
    found = explained(migrate.to_torch(spec), np.array([500.3]), np.array([499.2]))
    np.testing.assert_array_equal(found.rmse, [2.0**-10])


def test_an_output_without_values():
    """The places that are not zero, of which there are none."""
    found = explained(one("whereNonZero", (3,)), np.zeros(3))
    assert found.reference.shape == (0, 1)
    np.testing.assert_array_equal(found.rmse, [2.0**-24])
    assert found.within(found.reference)


def test_an_output_without_channels():
    rows = [("whereNonZero", "in0", "a", {}), ("expandDims", "a", "out", {})]
    spec = chain(rows, [(3,)])
    spec.neuralNetwork.layers[1].expandDims.axes.append(2)
    found = explained(migrate.to_torch(spec), np.zeros(3))
    assert found.reference.shape == (0, 1, 1)
    assert found.rmse.shape == (0,)
    assert found.within(found.reference)


def test_an_image_has_pixels():
    x, y = 600 * RNG.rand(1, 3, 4, 4), 100 * RNG.rand(1, 3, 4, 4)
    found = explained(typed("image", 20), x, y)
    pixels = np.clip(np.round(x - y), 0, 255)
    np.testing.assert_array_equal(found.reference, pixels)
    device = np.clip(np.round(half(half(x) - half(y))), 0, 255)
    assert (device != pixels).any()
    expected = rmse(device, pixels, axis=(0, 2, 3))
    ulps = np.spacing(pixels.max(axis=(0, 2, 3)).astype(np.float16))
    np.testing.assert_allclose(found.rmse, np.maximum(expected, ulps))


def test_the_stages_of_a_pipeline_are_rounded():
    spec = proto("Model_pb2").Model(specificationVersion=4)
    rows = ("subtractBroadcastable", "multiplyBroadcastable")
    for row, inputs, output in zip(rows, ("in0 in1", "mid in1"), ("mid", "out"), strict=True):
        stage = chain([(row, inputs, output, {})], [(24,)] * 2, output)
        for feature, name in zip(stage.description.input, inputs.split(), strict=True):
            feature.name = name
        spec.pipeline.models.add().CopyFrom(stage)
    spec.description.input.extend(spec.pipeline.models[0].description.input)
    spec.description.output.extend(spec.pipeline.models[1].description.output)
    x, y = 500 + RNG.rand(24), 500 + RNG.rand(24)
    found = explained(migrate.to_torch(spec), x, y)
    expected = rmse(half(half(half(x) - half(y)) * half(y)), (x - y) * y)
    np.testing.assert_allclose(found.rmse, [expected], rtol=1e-6)


def test_a_fault_in_the_sample_is_outside_and_healthy_runs_are_inside(samples):
    net = migrate.to_torch(samples / "Block.mlmodel")
    x = {feature.name: RNG.uniform(-1, 1, feature.shape) for feature in net.network.inputs}
    ((name, found),) = envelopes(net, x).items()
    assert found.rmse.shape == (1600,)
    assert found.within(net.predict(x)[name], k=1)
    with net.watching(Rounding()):
        assert found.within(net.predict(x)[name], k=3)
    halved = copy.deepcopy(net).half()
    assert found.within(halved.predict(x)[name], k=3)
    with net.watching(migrate.fault(net, "bias-only@conv3")):
        wrong = net.predict(x)[name]
    assert (found.ratio(wrong) > K).all()
    values = net.predict(x)[name]
    values[0, 322] = wrong[0, 322]
    assert np.flatnonzero(found.ratio(values) > K).tolist() == [322]


@pytest.mark.parametrize("seed", [-1, 7])
def test_random_numbers_are_refused(seed):
    rows = [("randomNormalLike", "in0", "noise", {"seed": seed, "stdDev": 1.0})]
    net = migrate.to_torch(chain([*rows, ("addBroadcastable", "in0 noise", "out", {})], [(3,)]))
    with pytest.raises(UnsupportedError, match=r"^layer 'noise' \(randomNormalLike\) draws random"):
        explained(net, np.zeros(3))


def test_drawn_indices_are_refused():
    net = one("categoricalDistribution", (1, 3), numSamples=2, isLogits=True)
    with pytest.raises(UnsupportedError, match="draws random numbers"):
        explained(net, np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("inputs", "precision", "error", "words"),
    [
        ({"in0": np.zeros(3)}, "fp8", UnsupportedError, "'fp8' is not one of fp16, fp32"),
        ({}, "fp16", InputError, "input 'in0' is missing"),
        ({"in0": np.zeros(3), "x": 1}, "fp16", InputError, "the model has no input 'x'"),
        ({"in0": np.zeros(4)}, "fp32", InputError, "input 'in0' has shape 4"),
        ({"in0": ["a"]}, "fp32", InputError, "not an array of numbers"),
    ],
)
def test_what_does_not_fit(inputs, precision, error, words):
    with pytest.raises(error, match=words):
        envelopes(relu(3), inputs, precision)
