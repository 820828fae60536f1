"""Activations against their formulas, written out in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from programs import evaluated

from migrate.coreml import coremltools
from migrate.mil.registry import ops

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types


ALPHAS = np.array([0.5, -2.0, 0.25], np.float32)
BETAS = np.array([1.5, -0.5, 2.0], np.float32)
X = np.random.RandomState(0).uniform(-4, 4, (2, 3, 2, 5)).astype(np.float32)
X[0, :, 0, 0], X[1, :, 0, 0], X[1, :, 0, 1] = 0.0, 30.0, -30.0


def channels(values):
    return values.reshape(3, 1, 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


erf = np.vectorize(math.erf)
CASES = {  # operation and options: the formula
    ("relu",): lambda x: np.maximum(x, 0),
    ("relu6",): lambda x: np.clip(x, 0, 6),
    ("sigmoid",): sigmoid,
    ("silu",): lambda x: x * sigmoid(x),
    ("softplus",): lambda x: np.log1p(np.exp(x)),
    ("softsign",): lambda x: x / (1 + np.abs(x)),
    ("gelu",): lambda x: x / 2 * (1 + erf(x / math.sqrt(2))),
    ("gelu", ("mode", "EXACT")): lambda x: x / 2 * (1 + erf(x / math.sqrt(2))),
    ("gelu", ("mode", "TANH_APPROXIMATION")): lambda x: (
        x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
    ("gelu", ("mode", "SIGMOID_APPROXIMATION")): lambda x: x * sigmoid(1.702 * x),
    ("softmax",): lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    ("softmax", ("axis", 1)): lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
    ("softmax", ("axis", -3)): lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
    ("clamped_relu", ("alpha", 0.5), ("beta", 1.5)): lambda x: np.where(
        x >= 0, np.minimum(x, 1.5), np.minimum(0.5 * x, 1.5)
    ),
    ("clamped_relu", ("alpha", -0.5), ("beta", 1.0)): lambda x: np.where(
        x >= 0, np.minimum(x, 1.0), np.minimum(-0.5 * x, 1.0)
    ),
    ("elu", ("alpha", 0.75)): lambda x: np.where(x > 0, x, 0.75 * (np.exp(x) - 1)),
    ("leaky_relu", ("alpha", 0.125)): lambda x: np.where(x >= 0, x, 0.125 * x),
    ("leaky_relu", ("alpha", 2.0)): lambda x: np.where(x >= 0, x, 2 * x),
    ("linear_activation", ("alpha", 0.5), ("beta", -3.0)): lambda x: 0.5 * x - 3,
    ("prelu", ("alpha", "ALPHAS")): lambda x: np.where(x > 0, x, channels(ALPHAS) * x),
    ("scaled_tanh", ("alpha", 1.75), ("beta", 0.5)): lambda x: 1.75 * np.tanh(0.5 * x),
    ("sigmoid_hard", ("alpha", 0.25), ("beta", 0.5)): lambda x: np.clip(0.25 * x + 0.5, 0, 1),
    ("softplus_parametric", ("alpha", "ALPHAS"), ("beta", "BETAS")): lambda x: (
        channels(ALPHAS) * np.log1p(np.exp(channels(BETAS) * x))
    ),
    ("thresholded_relu", ("alpha", 1.25)): lambda x: np.where(x >= 1.25, x, 0),
}  # fmt: skip
ARRAYS = {"ALPHAS": ALPHAS, "BETAS": BETAS}


def options(case, wrap):
    return {name: wrap(ARRAYS[v]) if v in ARRAYS else v for name, v in case[1:]}


def programmed(half):
    """The results of all cases, of one program."""

    def build(x):
        return tuple(
            getattr(mb, case[0])(x=x, **options(case, np.array), name=f"y{i}")
            for i, case in enumerate(CASES)
        )

    outputs = evaluated(build, half=half, x=X)
    return {case: outputs[f"y{i}"] for i, case in enumerate(CASES)}


@pytest.fixture(scope="module")
def singles():
    return programmed(half=False)


@pytest.fixture(scope="module")
def halves():
    return programmed(half=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_activation_is_its_formula(case):
    y = ops()[case[0]].compute(x=torch.from_numpy(X), **options(case, torch.from_numpy))
    np.testing.assert_allclose(y.numpy(), CASES[case](X.astype(np.float64)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_program_computes_the_formula(singles, case):
    expected = CASES[case](X.astype(np.float64))
    np.testing.assert_allclose(singles[case], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_program_of_halves_rounds_the_formula(halves, case):
    x = X.astype(np.float16).astype(np.float64)
    expected = CASES[case](x).astype(np.float16)
    assert (halves[case] == halves[case].astype(np.float16)).all()
    np.testing.assert_allclose(halves[case], expected, rtol=2**-9, atol=1e-6)


def test_softplus_neither_overflows_nor_loses_digits():
    y = ops()["softplus"].compute(x=torch.tensor([1000.0, -1000.0, 21.0, -21.0]))
    assert y.tolist() == pytest.approx([1000, 0, 21 + 7.58256e-10, 7.58256e-10], rel=1e-6)


def test_the_ends_of_a_threshold_belong_to_its_formula():
    x = torch.tensor([1.25, 0.0])
    assert ops()["thresholded_relu"].compute(x=x, alpha=1.25).tolist() == [1.25, 0]
    assert ops()["elu"].compute(x=x, alpha=3.0).tolist() == [1.25, 0]


def test_a_rank_0_constant_is_an_input_too():
    assert ops()["relu6"].compute(x=7.5).item() == 6
    assert ops()["leaky_relu"].compute(x=torch.tensor(-2.0), alpha=torch.tensor(0.5)).item() == -1


@pytest.mark.parametrize("rank", [3, 5])
def test_prelu_has_its_channels_on_axis_1_at_any_rank(rank):
    x = -torch.ones(2, 3, *range(2, rank))
    y = ops()["prelu"].compute(x=x, alpha=torch.from_numpy(ALPHAS))
    assert y.shape == x.shape
    assert y.transpose(0, 1).flatten(1)[:, 0].tolist() == (-ALPHAS).tolist()


@pytest.mark.parametrize("mode", ["exact", "TANH", ""])
def test_a_mode_of_gelu_that_is_not_known_is_refused(mode):
    with pytest.raises(ValueError, match=f"mode {mode!r} is not known"):
        ops()["gelu"].compute(x=torch.zeros(1), mode=mode)
