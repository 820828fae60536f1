"""What coremltools' own passes get wrong, or fail on, does not reach our programs."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import migrate
from migrate.coreml import coremltools, proto
from migrate.passes import FAULTY, INTO_WEIGHTS, misleading, pipeline

RNG = np.random.default_rng(0)


def network(*shape):
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    array = spec.description.input.add(name="x").type.multiArrayType
    array.shape.extend(shape)
    array.dataType = 65568
    spec.description.output.add(name="y").type.multiArrayType.dataType = 65568
    return spec, spec.neuralNetwork.layers


def evaluated(spec, x):
    return migrate.evaluate(migrate.to_mlprogram(spec, "fp32"), {"x": x})["y"]


@pytest.mark.parametrize("square_first", [True, False])
def test_the_root_of_a_square_is_a_size(square_first):
    spec, layers = network(3)
    names = ("square", "root") if square_first else ("root", "square")
    for name, before, after in zip(names, ("x", "b"), ("b", "y"), strict=True):
        p = layers.add(name=name, input=[before], output=[after]).unary
        p.type, p.alpha = (3, 2) if name == "square" else (0, 0)  # POWER, SQRT
    x = np.float32([-3, 0, 2])
    wanted = [3, 0, 2] if square_first else [np.nan, 0, 2]
    np.testing.assert_allclose(evaluated(spec, x), wanted, rtol=1e-6)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("normalised", [True, False])
def test_scales_after_a_transposed_convolution_are_of_their_channels(groups, normalised):
    spec, layers = network(1, 4, 3, 3)
    p = layers.add(name="conv", input=["x"], output=["b"]).convolution
    p.isDeconvolution, p.nGroups, p.kernelChannels, p.outputChannels = True, groups, 4, 8
    p.kernelSize.extend([3, 2])
    p.valid.SetInParent()
    weight = RNG.normal(size=(4, 8 // groups, 3, 2)).astype(np.float32)
    p.weights.floatValue.extend(weight.ravel())
    scale = np.arange(1, 9, dtype=np.float32)
    after = layers.add(name="scale", input=["b"], output=["y"])
    if normalised:
        b = after.batchnorm
        b.channels = 8
        for values, field in ((scale, b.gamma), (0 * scale, b.beta), (0 * scale, b.mean)):
            field.floatValue.extend(values)
        b.variance.floatValue.extend([1.0] * 8)
    else:
        after.scale.shapeScale.append(8)
        after.scale.scale.floatValue.extend(scale)
    x = RNG.normal(size=(1, 4, 3, 3)).astype(np.float32)
    y = F.conv_transpose2d(torch.tensor(x), torch.tensor(weight), groups=groups).numpy()
    wanted = y * scale.reshape(1, 8, 1, 1)
    np.testing.assert_allclose(evaluated(spec, x), wanted, rtol=1e-4, atol=1e-5)
    assert misleading(migrate.to_torch(spec)) == (INTO_WEIGHTS if groups > 1 else ())


def test_the_passes_are_there_again_afterwards():
    coremltools()
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

    before = dict(PASS_REGISTRY.passes)
    assert set(FAULTY + INTO_WEIGHTS) <= set(before)
    with contextlib.suppress(KeyError), pipeline(lambda program: None, INTO_WEIGHTS):
        off = {name for name, found in PASS_REGISTRY.passes.items() if found != before.get(name)}
        assert set(FAULTY + INTO_WEIGHTS) < off
        raise KeyError
    assert before == PASS_REGISTRY.passes
