"""Exact weights: any order of summation gives the same bits, and no fault gives them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import migrate
from migrate.coreml import proto
from migrate.faults.catalogue import all_faults
from migrate.faults.site import places
from reporter.measure.inputs import seeded
from reporter.write.repro import exact
from reporter.write.repro.building import building

BLOCK = Path(__file__).resolve().parents[4] / "samples" / "Block.mlmodel"
BEYOND = {"overflow", "saturated", "subnormals-flushed"}  # no exact value is near these
NO_PLACE = {"activation-skipped"}  # Block has no activation


@pytest.fixture(scope="module")
def block():
    """The exact weights of Block, and the spec that has them."""
    spec = migrate.load_spec(BLOCK)
    parts = building(spec)
    found = exact.find(spec, parts)
    return parts, found, exact.spec_of(parts, found.numbers)


def stored(spec):
    """Return weights (C_out, C_in, H, W) and biases of the convolutions, as the file has them."""
    found = {}
    for layer in spec.neuralNetwork.layers:
        if layer.WhichOneof("layer") == "convolution":
            p = layer.convolution
            shape = (p.outputChannels, p.kernelChannels, *p.kernelSize)
            found[layer.name] = (
                np.array(p.weights.floatValue, np.float64).reshape(shape),
                np.array(p.bias.floatValue, np.float64),
            )
    return found


def summed(terms, order, kind, bias):
    """Add up terms one by one in an order, rounded to a type after each, the bias first or last."""
    total = bias.astype(kind)[:, None] if order[0] else np.zeros((), kind)
    for k in order:
        total = (total + terms(k).astype(kind)).astype(kind)
    return total if order[0] else (total + bias.astype(kind)[:, None]).astype(kind)


def block_by_hand(weights, given, kind, order):
    """Return Block's output (1600, 39): 1x1 convolutions, their concatenation, a depthwise one."""

    def pointwise(name, x):
        w, b = weights[name]
        return summed(lambda k: w[:, k, 0, :] * x[k], order(w.shape[1]), kind, b)

    both = [pointwise("conv1", given["input1"][0, :, :, 0]),
            pointwise("conv2", given["input2"][0, :, :, 0])]  # fmt: skip
    joined = np.concatenate(both).astype(np.float64)
    w, b = weights["conv3"]
    return summed(lambda k: w[:, 0, k] * joined[:, k : k + 39], order(5), kind, b)


def forward(count):
    return np.arange(count)


def backward(count):
    return np.arange(count)[::-1]


def shuffled(count):
    return np.random.RandomState(count).permutation(count)


ORDERS = [(np.float16, forward), (np.float16, backward), (np.float16, shuffled),
          (np.float32, shuffled), (np.float64, forward)]  # fmt: skip


def test_block_gives_the_same_bits_in_any_order_and_with_float16_sums(block):
    _, found, spec = block
    given = exact.inputs(migrate.read(BLOCK))
    outputs = [block_by_hand(stored(spec), given, *way) for way in ORDERS]
    for output in outputs:
        bits = hashlib.sha256(output.astype("<f4").tobytes()).hexdigest()
        assert {"output": bits} == found.answers
    assert np.abs(outputs[-1]).max() == found.largest


def test_weights_that_break_the_certificate_differ_between_orders(block):
    parts, found, _ = block
    larger = exact.spec_of(parts, [-3, *found.numbers[1:]])
    given = exact.inputs(migrate.read(BLOCK))
    with pytest.raises(migrate.InexactError, match="magnitudes add up to"):
        migrate.certify(migrate.to_torch(larger).double(), given)
    one, other = (block_by_hand(stored(larger), given, np.float16, o) for o in (forward, backward))
    assert not np.array_equal(one, other)


def test_the_certificate_is_that_of_sums_of_magnitudes(block):
    _, _, spec = block
    weights = {n: (np.abs(w), np.abs(b)) for n, (w, b) in stored(spec).items()}
    given = exact.inputs(migrate.read(BLOCK))
    net = migrate.to_torch(spec).double()
    blobs = {}
    with net.watching(lambda name, x: blobs.setdefault(name, x)):
        net.predict(given)
    bounds, _ = migrate.certify(net, given)
    for name, blob in (("conv1", "input1"), ("conv2", "input2"), ("conv3", "concat_output")):
        w, b = weights[name]
        x = np.abs(blobs[blob].numpy())[0, :, :, 0]
        if name == "conv3":
            sums = sum(w[:, 0, k] * x[:, k : k + 39] for k in range(5))
        else:
            sums = w[:, :, 0, 0] @ x
        assert bounds[name] == (sums + b[:, None]).max()
        assert bounds[name] <= 2048


def test_the_values_are_large_enough_to_need_the_digits_of_float16(block):
    assert block[1].largest > 512


def test_every_fault_that_can_act_shows_by_one_at_least(block):
    net = migrate.to_torch(block[2]).double()
    given = exact.inputs(net.network)
    right = net.predict(given, exact=True)["output"]
    shown: dict[str, float] = {}
    for place in places(net):
        for fault, _ in all_faults(place):
            with net.watching(migrate.fault(net, str(fault), previous=seeded(BLOCK, 1))):
                wrong = net.predict(given, exact=True)["output"]
            shown[str(fault)] = np.abs(wrong - right).max()
    channels = {"conv1": 800, "conv2": 800, "concat": 1600, "conv3": 1600}
    whole = {  # there is no last, shorter block of channels to cut off
        f"channels-truncated:{n}@{layer}"
        for layer, count in channels.items() for n in (16, 32, 64, 256) if count % n == 0
    }  # fmt: skip
    silent = {fault for fault, largest in shown.items() if largest < 1}
    assert {fault for fault in silent if fault.split("@")[0] not in BEYOND} == whole
    names = {fault.partition("@")[0].partition(":")[0] for fault in shown}
    assert names == set(migrate.FAULTS) - NO_PLACE


# --- networks that have none, and others that have


def network(*layers, kind="array", size=(3, 4, 4)):
    """Return a spec of layers in a row: (name, what fills the layer)."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    x = spec.description.input.add(name="x").type
    y = spec.description.output.add(name="y").type.multiArrayType
    y.dataType = y.FLOAT32
    if kind == "image":
        x.imageType.width, x.imageType.height, x.imageType.colorSpace = *size[:0:-1], 20
    else:
        x.multiArrayType.shape.extend(size)
        x.multiArrayType.dataType = y.FLOAT32
    blob = "x"
    for i, (name, fill) in enumerate(layers, 1):
        target = "y" if i == len(layers) else f"b{i}"
        layer = spec.neuralNetwork.layers.add(name=name, input=[blob], output=[target])
        fill(layer)
        blob = target
    return spec


def dense(inside, outside, bias=True):
    def fill(layer):
        p = layer.innerProduct
        p.inputChannels, p.outputChannels, p.hasBias = inside, outside, bias
        p.weights.floatValue.extend([0.1] * inside * outside)
        p.bias.floatValue.extend([0.1] * outside * bias)

    return fill


def relu(layer):
    layer.activation.ReLU.SetInParent()


def leaky(layer):
    layer.activation.leakyReLU.alpha = 0.1


def softmax(layer):
    layer.softmax.SetInParent()


def average(layer):
    layer.pooling.type = layer.pooling.AVERAGE
    layer.pooling.kernelSize.extend([2, 2])
    layer.pooling.valid.SetInParent()


def half(layer):
    layer.activation.linear.alpha = 0.5


def zero(layer):
    layer.multiply.alpha = 0


REFUSED = {
    "layer 'a' (activation), 1 of 1: its number 0.1 is not whole, or beyond 2048": [("a", leaky)],
    "layer 's' (softmax), 2 of 2: it takes exponentials": [("r", relu), ("s", softmax)],
    "layer 'p' (pooling), 1 of 1: it divides or takes a square root": [("p", average)],
    "layer 'h' (activation), 1 of 1: its number 0.5 is not whole, or beyond 2048": [("h", half)],
    "with whole numbers 48 of 48 elements of output 'y' are one and the same": [("z", zero)],
}


@pytest.mark.parametrize(("said", "layers"), REFUSED.items())
def test_why_there_are_none_is_said_in_a_sentence(said, layers):
    spec = network(*layers)
    found = exact.find(spec, building(spec))
    assert said in found.refused
    assert not found.numbers


def test_an_image_scaled_by_a_fraction_has_none():
    spec = network(("r", relu), kind="image")
    assert not exact.find(spec, building(spec)).refused
    scaler = spec.neuralNetwork.preprocessing.add(featureName="x").scaler
    scaler.channelScale = 1 / 255
    refused = exact.find(spec, building(spec)).refused
    assert refused == "the preprocessing of input 'x' gives numbers that are not whole"


def test_a_search_that_would_take_too_long_is_given_up(monkeypatch):
    spec = network(("d", dense(48, 8)))
    monkeypatch.setattr(exact, "WORK", 100)
    refused = exact.find(spec, building(spec)).refused
    assert refused == "the search for its whole numbers would take too long"


@pytest.mark.parametrize("depth", [1, 2, 12])
def test_deep_networks_stay_within_the_certificate_and_vary(depth):
    layers = [(f"d{i}", dense(48, 48)) for i in range(depth)]
    both = [one for layer in layers for one in (layer, (f"r{layer[0]}", relu))]
    spec = network(*both)
    parts = building(spec)
    found = exact.find(spec, parts)
    assert not found.refused
    assert len(found.numbers) == 2 * depth
    net = migrate.to_torch(exact.spec_of(parts, found.numbers)).double()
    given = exact.inputs(net.network)
    bounds, _ = migrate.certify(net, given)
    assert max(bounds.values()) <= 2048
    values = net.predict(given, exact=True)["y"]
    assert np.array_equal(values, np.round(values))
    assert len(np.unique(values)) > 8


def test_the_sign_of_a_zero_is_no_difference():
    spec = network(("n", lambda layer: setattr(layer.activation.linear, "alpha", -1)))
    found = exact.find(spec, building(spec))
    (x,) = exact.inputs(migrate.read(spec)).values()
    assert (x == 0).any()
    unsigned = np.where(x == 0, 0, -x).astype("<f4")
    assert not np.signbit(unsigned[x == 0]).any()
    assert found.answers == {"y": hashlib.sha256(unsigned.tobytes()).hexdigest()}


def test_a_draw_is_what_its_number_says():
    raw = np.array([-1.0, -0.5, 0.25, 0.75, 1.0], np.float32)
    index = np.arange(5)
    assert list(exact._whole(raw, index, 1)) == [-1, -1, 1, 1, 1]
    assert list(exact._whole(raw, index, 4)) == [-4, -2, 1, 3, 4]
    assert list(exact._whole(raw, index, -2)) == [-1, 0, 1, 0, 1]
