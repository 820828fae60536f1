"""Height and width in each other's place, layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
from networks import network
from small_block import convolution

import migrate

DRAW = np.random.RandomState(7)


def turned(spec):
    return [v for v in migrate.each_variant(spec) if v.kind == "turned"]


def compared(spec):
    (found,) = turned(spec)
    net, other = (migrate.to_torch(s).double() for s in (spec, found.spec))
    x = DRAW.randn(*net.network.inputs[0].shape)
    before = net.predict({"a": x}, exact=True)["out"]
    after = other.predict({"a": np.swapaxes(x, -1, -2)}, exact=True)["out"]
    return before, np.swapaxes(after, -1, -2)


def test_kernels_strides_dilations_and_borders_of_a_convolution():
    spec = network({"a": (1, 2, 12, 9)}, ["out"])
    layer = convolution(
        spec.neuralNetwork, "conv", "a", "out", DRAW.randn(3, 2, 3, 2), None,
        stride=[2, 1], dilationFactor=[1, 3],
    )  # fmt: skip
    borders = layer.convolution.valid.paddingAmounts.borderAmounts
    borders.add(startEdgeSize=2, endEdgeSize=1)
    borders.add(startEdgeSize=0, endEdgeSize=3)
    before, after = compared(spec)
    np.testing.assert_allclose(after, before, atol=1e-12)


@pytest.mark.parametrize("border", ["valid", "same", "includeLastPixel"])
def test_kernels_strides_and_borders_of_pooling(border):
    spec = network({"a": (1, 2, 12, 9)}, ["out"])
    p = spec.neuralNetwork.layers.add(name="pool", input=["a"], output=["out"]).pooling
    p.kernelSize.extend([3, 2])
    p.stride.extend([2, 3])
    p.type = p.AVERAGE
    if border == "valid":
        p.valid.paddingAmounts.borderAmounts.add(startEdgeSize=1, endEdgeSize=1)
        p.valid.paddingAmounts.borderAmounts.add(startEdgeSize=0, endEdgeSize=1)
    elif border == "same":
        p.same.asymmetryMode = 1
    else:
        p.includeLastPixel.paddingAmounts.extend([1, 0])
    before, after = compared(spec)
    np.testing.assert_allclose(after, before, atol=1e-12)


def test_padding_and_upsampling():
    spec = network({"a": (1, 2, 5, 3)}, ["out"])
    layers = spec.neuralNetwork.layers
    padding = layers.add(name="pad", input=["a"], output=["p"]).padding
    padding.constant.value = 2.0
    padding.paddingAmounts.borderAmounts.add(startEdgeSize=1, endEdgeSize=2)
    padding.paddingAmounts.borderAmounts.add(startEdgeSize=0, endEdgeSize=1)
    layers.add(name="up", input=["p"], output=["out"]).upsample.scalingFactor.extend([2, 3])
    before, after = compared(spec)
    assert before.shape == (1, 2, 16, 12)
    np.testing.assert_allclose(after, before, atol=1e-12)


def test_what_cannot_be_turned_is_named():
    spec = network(
        {"a": (1, 2, 12, 9)}, ["out"], ("reshapeStatic", "a", "out", {"targetShape": [1, 216]})
    )
    (left,) = turned(spec)
    assert "layer 'out' (reshapeStatic)" in left.reason


def test_a_network_whose_inputs_are_wide_is_left_as_it_is():
    spec = network({"a": (1, 2, 4, 9)}, ["out"], ("copy", "a", "out", {}))
    (left,) = turned(spec)
    assert left.reason == "no array input is higher than it is wide"
