"""A small network like samples/Block.mlmodel, and what it gives, written out in numpy."""

from __future__ import annotations

import numpy as np

from migrate.coreml import proto


def convolution(network, name, source, target, weights, bias, groups=1, **fields):
    """Add a valid convolution of weights (C_out, C_in / groups, H, W)."""
    layer = network.layers.add(name=name, input=[source], output=[target])
    p = layer.convolution
    p.outputChannels, p.kernelChannels = weights.shape[:2]
    p.nGroups = groups
    p.kernelSize.extend(weights.shape[2:])
    p.valid.SetInParent()
    p.weights.floatValue.extend(weights.ravel().tolist())
    if bias is not None:
        p.hasBias = True
        p.bias.floatValue.extend(bias.ravel().tolist())
    for field, value in fields.items():
        getattr(p, field).extend(value)
    return layer


def array(features, name, shape):
    feature = features.add(name=name)
    feature.type.multiArrayType.shape.extend(shape)
    feature.type.multiArrayType.dataType = feature.type.multiArrayType.FLOAT32


def draws(seed=0):
    """Return the weights and biases of the three convolutions."""
    draw = np.random.RandomState(seed)
    shapes = {"one": (6, 6, 1, 1), "two": (10, 3, 1, 1), "three": (16, 1, 5, 1)}
    return {
        name: (draw.randn(*shape).astype("f4"), draw.randn(shape[0]).astype("f4"))
        for name, shape in shapes.items()
    }


def small_block(kind="concatND", declared=(1, 8, 4, 1)):
    """Return the spec: 6 and 3 channels in, 16 out, of which 8 are declared."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    network, weights = spec.neuralNetwork, draws()
    network.arrayInputShapeMapping = 1
    array(spec.description.input, "b", (1, 3, 8, 1))
    array(spec.description.input, "a", (1, 6, 8, 1))
    array(spec.description.output, "out", declared)
    convolution(network, "one", "a", "x", *weights["one"])
    convolution(network, "two", "b", "y", *weights["two"])
    join = network.layers.add(name="join", input=["x", "y"], output=["z"])
    if kind == "concatND":
        join.concatND.axis = -3
    else:
        join.concat.SetInParent()
    convolution(network, "three", "z", "out", *weights["three"], groups=16)
    return spec


def inputs(seed=1):
    draw = np.random.RandomState(seed)
    return {"a": draw.randn(1, 6, 8, 1), "b": draw.randn(1, 3, 8, 1)}


def pointwise(x, weights, bias):
    """Return a 1 by 1 convolution of (1, C, H, 1)."""
    found = np.einsum("oi,bihw->bohw", weights[:, :, 0, 0].astype("f8"), x)
    return found + bias[:, None, None]


def depthwise(x, weights, bias):
    """Return a depthwise 5 by 1 convolution of (1, C, H, 1)."""
    rows = x.shape[2] - 4
    parts = [weights[:, 0, k].astype("f8")[None, :, None] * x[:, :, k : k + rows] for k in range(5)]
    return np.sum(parts, axis=0) + bias[:, None, None]


def blobs(given):
    """Return every blob of the small block."""
    weights = draws()
    x, y = pointwise(given["a"], *weights["one"]), pointwise(given["b"], *weights["two"])
    z = np.concatenate([x, y], 1)
    return {"x": x, "y": y, "z": z, "out": depthwise(z, *weights["three"])}
