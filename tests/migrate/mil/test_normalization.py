"""Normalizations against their formulas in numpy, and against torch's modules."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from programs import evaluated

from migrate import evaluate
from migrate.coreml import coremltools
from migrate.mil.registry import ops

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types


def floats(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-2, 2, shape).astype(np.float32)


def channels(values, x):
    return values.reshape(-1, *[1] * (x.ndim - 2))


def normalized(x, axes, epsilon):
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axes, keepdims=True) + epsilon)


def batch_norm(x, mean, variance, gamma=1, beta=0, epsilon=1e-5):
    mean, variance = channels(mean, x), channels(variance, x)
    gamma, beta = (channels(np.broadcast_to(a, (3,)), x) for a in (gamma, beta))
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def instance_norm(x, gamma=1, beta=0, epsilon=1e-5):
    gamma, beta = (channels(np.broadcast_to(a, (3,)), x) for a in (gamma, beta))
    return normalized(x, tuple(range(2, x.ndim)), epsilon) * gamma + beta


def l2_norm(x, epsilon=1e-6):
    return x / np.sqrt((x**2).sum((-3, -2, -1), keepdims=True) + epsilon)


def layer_norm(x, axes=None, gamma=1, beta=0, epsilon=1e-5):
    axes = sorted(a % x.ndim for a in (range(x.ndim) if axes is None else axes))
    y = np.moveaxis(normalized(x, tuple(axes), epsilon), axes, range(-len(axes), 0))
    return np.moveaxis(y * gamma + beta, range(-len(axes), 0), axes)


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        around = x[:, max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha / size * (around**2).sum(1)) ** beta
    return y


GAMMA, BETA, MEAN = (floats(3, seed=i) for i in (1, 2, 3))
VARIANCE = np.abs(floats(3, seed=4)) + np.float32(0.1)
SCALED = {"gamma": GAMMA, "beta": BETA}
MOMENTS = {"mean": MEAN, "variance": VARIANCE}
CASES = [  # the formula, the input's shape, the options
    (batch_norm, (2, 3, 4), MOMENTS),
    (batch_norm, (2, 3, 4, 5), {**MOMENTS, **SCALED, "epsilon": 0.25}),
    (batch_norm, (2, 3, 2, 3, 2), {**MOMENTS, "gamma": GAMMA}),
    (batch_norm, (2, 3, 4), {**MOMENTS, "beta": BETA}),
    (instance_norm, (2, 3, 6), {}),
    (instance_norm, (2, 3, 4, 5), {**SCALED, "epsilon": 0.25}),
    (l2_norm, (3, 4, 5), {}),
    (l2_norm, (2, 2, 3, 4, 5), {"epsilon": 4.0}),
    (layer_norm, (2, 3, 4), {}),
    (layer_norm, (2, 3, 4), {"axes": [-1], "gamma": floats(4), "beta": floats(4, seed=1)}),
    (layer_norm, (2, 3, 4, 5), {"axes": [1], "gamma": GAMMA, "beta": BETA, "epsilon": 0.25}),
    (layer_norm, (2, 3, 4, 5), {"axes": [3, 1], "gamma": floats(3, 5), "beta": floats(3, 5)}),
    (layer_norm, (2, 3, 4), {"axes": [-2, -1], "epsilon": 0.5}),
    (local_response_norm, (2, 7, 4), {"size": 3}),
    (local_response_norm, (2, 7, 2, 3), {"size": 5, "alpha": 2.0, "beta": 0.5, "k": 0.25}),
    (local_response_norm, (2, 7, 2, 3), {"size": 4, "alpha": 2.0}),
    (local_response_norm, (2, 3, 2, 3), {"size": 9, "alpha": 2.0}),
]


@pytest.mark.parametrize("half", [False, True])
# coremltools cannot build a layer_norm without axes
@pytest.mark.parametrize(
    ("function", "shape", "options"), [c for c in CASES if c[0] is not layer_norm or c[2]]
)
def test_a_program_computes_the_formula(function, shape, options, half):
    x, name = floats(*shape, seed=9), function.__name__
    found = evaluated(lambda x: getattr(mb, name)(x=x, name="y", **options), half=half, x=x)["y"]
    wanted = function(x.astype(np.float64), **options)
    # of half precision are the input and the weights, too
    np.testing.assert_allclose(
        found, wanted, rtol=2e-3 if half else 1e-5, atol=1e-2 if half else 1e-5
    )
    assert not half or (found == found.astype(np.float16)).all()


@pytest.mark.parametrize(("function", "shape", "options"), CASES)
def test_a_function_with_the_defaults_of_mil(function, shape, options):
    x = floats(*shape, seed=9)
    arrays = {k: torch.from_numpy(v) if hasattr(v, "dtype") else v for k, v in options.items()}
    found = ops()[function.__name__].compute(x=torch.from_numpy(x), **arrays)
    np.testing.assert_allclose(
        found, function(x.astype(np.float64), **options), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm", "layer_norm"])
def test_an_epsilon_keeps_what_does_not_vary(name):
    options = {"mean": torch.ones(2), "variance": torch.zeros(2)} if name == "batch_norm" else {}
    assert ops()[name].compute(x=torch.ones(1, 2, 3), **options).eq(0).all()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
def test_neighbouring_channels_are_those_of_torch(size):
    x = torch.from_numpy(floats(2, 7, 2, 3))
    found = ops()["local_response_norm"].compute(x=x, size=size, alpha=0.5, beta=0.5, k=2.0)
    wanted = torch.nn.functional.local_response_norm(x, size, alpha=0.5, beta=0.5, k=2.0)
    torch.testing.assert_close(found, wanted)


MODULES = [
    (torch.nn.BatchNorm2d(3), (2, 3, 4, 5)),
    (torch.nn.InstanceNorm2d(3, affine=True, eps=0.1), (2, 3, 4, 5)),
    (torch.nn.LayerNorm((4, 5), eps=0.1), (2, 3, 4, 5)),
]


@pytest.mark.parametrize(("module", "shape"), MODULES, ids=str)
def test_a_converted_module_is_itself(module, shape):
    x = torch.from_numpy(floats(*shape))
    with torch.no_grad():
        for i, value in enumerate((*module.parameters(), *module.buffers())):
            if value.is_floating_point():
                value.copy_(torch.from_numpy(floats(*value.shape, seed=i)).abs())
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        model = ct.convert(
            torch.jit.trace(module.eval(), x),
            inputs=[ct.TensorType(name="x", shape=shape)],
            outputs=[ct.TensorType(name="y")],
            convert_to="mlprogram",
            compute_precision=ct.precision.FLOAT32,
            skip_model_load=True,
        )
    with torch.no_grad():
        wanted = module(x).numpy()
    np.testing.assert_allclose(evaluate(model, {"x": x.numpy()})["y"], wanted, rtol=1e-5, atol=1e-5)
