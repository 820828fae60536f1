"""The 13 functions of ActivationParams, written out in numpy from the proto's formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from programs import case, differences

import migrate
from migrate import ModelError
from migrate.coreml import proto

X = np.concatenate([np.linspace(-4, 4, 65), [-0.0, 1e-7, -1e-7, 30.0, -30.0, 80.0, -80.0]])
ALPHA, BETA = 0.75, -0.375  # exact in float32
C = np.array([-1.5, 0.0, 0.5])


def piecewise(positive, negative, edge=0.0):
    """x >= edge: positive(x), else negative(x); an element at a time."""
    return np.vectorize(lambda x: positive(x) if x >= edge else negative(x), otypes=[float])


def log_1_exp(x):
    """log(1 + e^x), without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


SCALARS = {
    "linear": (True, True, lambda a, b: lambda x: a * x + b),
    "ReLU": (False, False, lambda a, b: piecewise(lambda x: x, lambda x: 0.0)),
    "leakyReLU": (True, False, lambda a, b: piecewise(lambda x: x, lambda x: a * x)),
    "thresholdedReLU": (True, False, lambda a, b: piecewise(lambda x: x, lambda x: 0.0, a)),
    "tanh": (False, False, lambda a, b: np.tanh),
    "scaledTanh": (True, True, lambda a, b: lambda x: a * np.tanh(b * x)),
    "sigmoid": (False, False, lambda a, b: lambda x: 1 / (1 + np.exp(-x))),
    "sigmoidHard": (True, True, lambda a, b: lambda x: np.minimum(np.maximum(a * x + b, 0), 1)),
    "ELU": (True, False, lambda a, b: piecewise(lambda x: x, lambda x: a * (math.exp(x) - 1))),
    "softsign": (False, False, lambda a, b: lambda x: x / (1 + np.abs(x))),
    "softplus": (False, False, lambda a, b: np.vectorize(log_1_exp, otypes=[float])),
}


def fill(kind, alpha=None, beta=None):
    """Return a function that chooses the activation and sets what it has of alpha and beta."""

    def set_params(p):
        message = getattr(p, kind)
        message.SetInParent()
        for field, value in (("alpha", alpha), ("beta", beta)):
            if np.ndim(value):
                getattr(message, field).floatValue.extend(value)
            elif value is not None:
                setattr(message, field, value)

    return set_params


@pytest.mark.parametrize("shape", [(72,), (8, 9), (2, 3, 12), (1, 2, 6, 6), (2, 1, 3, 4, 3)])
@pytest.mark.parametrize("kind", SCALARS)
def test_scalar(run_layer, kind, shape):
    has_alpha, has_beta, oracle = SCALARS[kind]
    x = X.reshape(shape)
    made = fill(kind, ALPHA if has_alpha else None, BETA if has_beta else None)
    y = run_layer("activation", [x], fill=made)
    assert y.shape == shape
    np.testing.assert_allclose(y, oracle(ALPHA, BETA)(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [k for k, (has_alpha, *_) in SCALARS.items() if has_alpha])
@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (-1.25, 2.0)])
def test_scalar_parameters_unset_or_negative(run_layer, kind, alpha, beta):
    _, has_beta, oracle = SCALARS[kind]
    made = fill(kind, alpha, beta if has_beta else None)
    y = run_layer("activation", [X], fill=made)
    np.testing.assert_allclose(y, oracle(alpha, beta)(X), rtol=1e-9, atol=1e-12)


def test_the_threshold_itself_passes(run_layer):
    """ActivationThresholdedReLU: x where x >= alpha, also at an alpha that float32 rounds."""
    alpha = float(np.float32(0.1))
    x = np.array([alpha, np.nextafter(alpha, -1), np.nextafter(alpha, 1)])
    y = run_layer("activation", [x], fill=fill("thresholdedReLU", 0.1))
    np.testing.assert_array_equal(y, [x[0], 0.0, x[2]])


@pytest.mark.parametrize(
    ("shape", "rank5"),
    [
        ((3, 4, 6), False),
        ((2, 3, 4, 3), False),
        ((2, 2, 3, 2, 3), False),
        ((3, 4, 6), True),
        ((3,), True),
        ((2, 2, 3, 2, 3), True),
    ],
)
@pytest.mark.parametrize("alpha", [C, np.array([0.25])])
def test_per_channel(run_layer, shape, rank5, alpha):
    """Channels are axis -3; of a rank-1 input under the rank-5 mapping they are all there is."""
    x = np.resize(X[::3], shape)
    along = (len(alpha),) if len(shape) == 1 else (len(alpha), 1, 1)
    a, b = alpha.reshape(along), (alpha[::-1] * 2).reshape(along)
    y = run_layer("activation", [x], rank5=rank5, fill=fill("PReLU", alpha))
    np.testing.assert_allclose(y.reshape(shape), np.where(x >= 0, x, a * x))
    made = fill("parametricSoftplus", alpha, alpha[::-1] * 2)
    y = run_layer("activation", [x], rank5=rank5, fill=made)
    want = a * SCALARS["softplus"][2](0, 0)(b * x)
    np.testing.assert_allclose(y.reshape(shape), want, rtol=1e-9, atol=1e-12)


def test_parametric_softplus_with_one_alpha_and_a_beta_per_channel(run_layer):
    x = np.resize(X, (3, 4, 6))
    y = run_layer("activation", [x], fill=fill("parametricSoftplus", [2.0], C))
    want = 2 * SCALARS["softplus"][2](0, 0)(C.reshape(3, 1, 1) * x)
    np.testing.assert_allclose(y, want, rtol=1e-9, atol=1e-12)


def test_float16_alpha(run_layer):
    def half(p):
        p.PReLU.alpha.float16Value = C.astype("<f2").tobytes()

    x = np.resize(X, (3, 4, 6))
    y = run_layer("activation", [x], fill=half)
    np.testing.assert_allclose(y, np.where(x >= 0, x, C.reshape(3, 1, 1) * x))


@pytest.mark.parametrize("kind", SCALARS)
def test_float32_without_overflow(one_layer, kind):
    """The module computes in float32; no function overflows where its value is finite."""
    import torch

    has_alpha, has_beta, oracle = SCALARS[kind]
    made = fill(kind, ALPHA if has_alpha else None, BETA if has_beta else None)
    net = migrate.to_torch(one_layer("activation", [(4,)], fill=made))
    x = np.array([-500.0, -90.0, 90.0, 500.0])
    y = net(torch.tensor(x, dtype=torch.float32))
    assert y.dtype == torch.float32
    np.testing.assert_allclose(y.numpy(), oracle(ALPHA, BETA)(x), rtol=1e-6, atol=1e-30)


def test_every_activation_of_the_proto_is_tested():
    oneof = proto("NeuralNetwork_pb2").ActivationParams.DESCRIPTOR.oneofs_by_name
    fields = {field.name for field in oneof["NonlinearityType"].fields}
    assert fields == {*SCALARS, "PReLU", "parametricSoftplus"}


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (None, "NonlinearityType is not set"),
        (fill("PReLU"), "alpha is empty"),
        (fill("parametricSoftplus", alpha=C), "beta is empty"),
        (fill("parametricSoftplus", beta=C), "alpha is empty"),
    ],
)
def test_bad_parameters(one_layer, made, words):
    with pytest.raises(ModelError, match=rf"layer 'tested' \(activation\), 1 of 1: .*{words}"):
        migrate.to_torch(one_layer("activation", [(3, 2, 2)], fill=made))


@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 4, 2, 2), (3,), (4, 3)])
@pytest.mark.parametrize("kind", ["PReLU", "parametricSoftplus"])
def test_channels_that_are_not_those_of_the_parameters(one_layer, kind, shape):
    made = fill(kind, C, C if kind == "parametricSoftplus" else None)
    net = migrate.to_torch(one_layer("activation", [shape], fill=made))
    with pytest.raises(ModelError, match=r"layer 'tested'.*cannot be applied"):
        net.predict({"in0": np.ones(shape)})


# as an ML Program

BLOB = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
AWKWARD = [
    0.0,
    -0.0,
    0.5,
    -0.5,
    1,
    2,
    -1,
    19,
    21,
    -21,
    90,
    -90,
    1e30,
    -1e30,
    1e-40,
    np.inf,
    -np.inf,
]


def activated(name, x=AWKWARD, operation="", **options):
    """An activation; the options that are lists are weights."""

    def fill(p):
        params = getattr(p, name)
        params.SetInParent()
        for option, value in options.items():
            if isinstance(value, list):
                getattr(params, option).floatValue.extend(value)
            else:
                setattr(params, option, value)

    return case("activation", [x], operation, fill=fill)


PROGRAMS = {
    "linear": activated("linear", alpha=2, beta=-1),
    "ReLU": activated("ReLU", operation="relu"),
    "leaky ReLU": activated("leakyReLU", operation="leaky_relu", alpha=0.2),
    "leaky ReLU, falling": activated("leakyReLU", alpha=-0.5),
    "thresholded ReLU": activated("thresholdedReLU", alpha=0.5),
    "thresholded ReLU, below 0": activated("thresholdedReLU", alpha=-1),
    "tanh": activated("tanh", operation="tanh"),
    "scaled tanh": activated("scaledTanh", alpha=1.5, beta=0.3),
    "sigmoid": activated("sigmoid", operation="sigmoid"),
    "hard sigmoid": activated("sigmoidHard", alpha=0.3, beta=0.4),
    "hard sigmoid, falling": activated("sigmoidHard", alpha=-0.3, beta=0.4),
    "ELU": activated("ELU", operation="elu", alpha=0.7),
    "softsign": activated("softsign", x=AWKWARD[:-2]),
    "softplus": activated("softplus"),
    "PReLU": activated("PReLU", BLOB, alpha=[0.3, -2, 4]),
    "PReLU, one alpha": activated("PReLU", BLOB, alpha=[0.3]),
    "parametric softplus": activated("parametricSoftplus", BLOB, alpha=[1, 2, 3], beta=[90, 1, -2]),
    "clamped ReLU": case("clampedReLU", [AWKWARD], "minimum", alpha=0.3, beta=20),
    "clamped ReLU, below 0": case("clampedReLU", [AWKWARD], alpha=-0.3, beta=-2),
}  # fmt: skip


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target, tolerance=1e-5) == {}
