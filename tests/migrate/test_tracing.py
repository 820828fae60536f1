"""Trace and export: equal where the course is fixed, refused in a sentence where data decides."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import migrate
from migrate.errors import UnsupportedError


def trace(net, *examples):
    with warnings.catch_warnings():  # the tracer warns of each size that a layer reads
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        return torch.jit.trace(net, examples, check_trace=False)


def export(net, *examples):
    return torch.export.export(net, examples).module()


RECORDERS = pytest.mark.parametrize("record", [trace, export])


def convolution(p):
    p.outputChannels, p.kernelChannels = 2, 3
    p.weights.floatValue.extend(np.linspace(-1, 1, 54))
    p.same.SetInParent()
    p.stride.extend([2, 2])


@RECORDERS
@pytest.mark.parametrize(
    ("kind", "shape", "fill"),
    [
        ("convolution", (1, 3, 5, 7), convolution),
        ("getShape", (2, 3), None),
        ("softmax", (2, 3, 4), None),
        ("whereNonZero", (2, 3), None),
    ],
)
def test_what_does_not_depend_on_data_is_recorded(one_layer, record, kind, shape, fill):
    net = migrate.to_torch(one_layer(kind, [shape], fill=fill))
    recorded = record(net, torch.ones(shape))
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(recorded(x), net(x))


def axis_of_cumsum(one_layer, constant):
    spec = one_layer("cumSum", [(2, 3), (1,)])
    if constant:
        del spec.description.input[1]
        network = spec.neuralNetwork
        summed = type(network.layers[0])()
        summed.CopyFrom(network.layers[0])
        del network.layers[:]
        layer = network.layers.add(name="axis")
        layer.output.append("in1")
        layer.loadConstantND.shape.append(1)
        layer.loadConstantND.data.floatValue.append(1)
        network.layers.add().CopyFrom(summed)
    return migrate.to_torch(spec)


def test_numbers_of_constants_may_be_recorded(one_layer):
    net = axis_of_cumsum(one_layer, constant=True)
    x = torch.arange(6.0).reshape(2, 3)
    torch.testing.assert_close(trace(net, torch.ones(2, 3))(x), torch.cumsum(x, 1))


def test_numbers_of_the_data_are_refused(one_layer):
    net = axis_of_cumsum(one_layer, constant=False)
    with pytest.raises(UnsupportedError, match=r"layer 'tested' \(cumSum\), 1 of 1: the axis dep"):
        trace(net, torch.ones(2, 3), torch.zeros(1))


def nms(p):
    p.maxBoxes, p.iouThreshold = 2, 0.5


@RECORDERS
def test_boxes_chosen_by_data_are_refused(one_layer, record):
    net = migrate.to_torch(
        one_layer("NonMaximumSuppression", [(1, 3, 4), (1, 3, 1)], outputs=4, fill=nms)
    )
    with pytest.raises(UnsupportedError, match="which boxes overlap depends on data"):
        record(net, torch.ones(1, 3, 4), torch.ones(1, 3, 1))


@RECORDERS
def test_control_flow_is_refused(one_layer, record):
    def fill(p):
        layer = p.ifBranch.layers.add(name="inner")
        layer.input.append("in0")
        layer.output.append("out0")
        layer.copy.SetInParent()

    spec = one_layer("branch", [(1,)], fill=fill)
    del spec.neuralNetwork.layers[0].output[:]
    with pytest.raises(UnsupportedError, match="control flow cannot be traced or exported"):
        record(migrate.to_torch(spec), torch.ones(1))


def test_a_traced_slice_with_strides_from_the_data_is_refused(one_layer):
    net = migrate.to_torch(one_layer("sliceDynamic", [(4,), (1,), (1,), (1,)]))
    examples = (torch.arange(4.0), torch.zeros(1), torch.full((1,), 4.0), torch.ones(1))
    torch.testing.assert_close(net(*examples), torch.arange(4.0))
    with pytest.raises(UnsupportedError, match="which way it goes depends on data"):
        trace(net, *examples)
