"""What coremltools' own passes get wrong, or fail on, does not reach our programs."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from networks import network
from torch.nn import functional as F

import migrate
from migrate.coreml import coremltools
from migrate.passes import FAULTY, INTO_WEIGHTS, misleading, pipeline

RNG = np.random.default_rng(0)


def evaluated(spec, x):
    return migrate.evaluate(migrate.to_mlprogram(spec, "fp32"), {"x": x})["y"]


@pytest.mark.parametrize("square_first", [True, False])
def test_the_root_of_a_square_is_a_size(square_first):
    square, root = {"type": 3, "alpha": 2}, {"type": 0}  # POWER, SQRT
    first, second = (square, root) if square_first else (root, square)
    rows = ("unary", "x", "b", first), ("unary", "b", "y", second)
    spec = network({"x": [3]}, ["y"], *rows)
    x = np.float32([-3, 0, 2])
    wanted = [3, 0, 2] if square_first else [np.nan, 0, 2]
    np.testing.assert_allclose(evaluated(spec, x), wanted, rtol=1e-6)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("normalised", [True, False])
def test_scales_after_a_transposed_convolution_are_of_their_channels(groups, normalised):
    weight = RNG.normal(size=(4, 8 // groups, 3, 2)).astype(np.float32)
    scale = np.arange(1, 9, dtype=np.float32)
    conv = {"isDeconvolution": True, "nGroups": groups, "kernelChannels": 4, "outputChannels": 8,
            "kernelSize": [3, 2], "valid": None}  # fmt: skip
    after = {"channels": 8} if normalised else {"shapeScale": [8]}
    rows = (
        ("convolution", "x", "b", conv),
        ("batchnorm" if normalised else "scale", "b", "y", after),
    )
    spec = network({"x": [1, 4, 3, 3]}, ["y"], *rows)
    first, second = spec.neuralNetwork.layers
    first.convolution.weights.floatValue.extend(weight.ravel())
    if normalised:
        b = second.batchnorm
        for values, field in ((scale, b.gamma), (0 * scale, b.beta), (0 * scale, b.mean)):
            field.floatValue.extend(values)
        b.variance.floatValue.extend([1.0] * 8)
    else:
        second.scale.scale.floatValue.extend(scale)
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
