"""Elementwise functions: against numpy and Python's math, in float64 and float32."""

from __future__ import annotations

import math

import numpy as np
import pytest
from programs import case, differences, run_program

import migrate
from migrate.errors import ModelError
from migrate.layers import unary

ANY = np.array([[-2.7, -1.0, -0.5, 0.0], [0.3, 1.0, 1.5, 2.5]])
UNIT = np.array([[-0.99, -0.5, 0.0], [0.1, 0.7, 1.0]])
FROM_ONE = np.array([1.0, 1.0001, 1.5, 40.0])

FUNCTIONS = [
    ("ceil", np.ceil, ANY),
    ("floor", np.floor, ANY),
    ("sign", np.sign, ANY),
    ("exp2", lambda x: 2.0**x, ANY),
    ("sin", np.sin, ANY),
    ("cos", np.cos, ANY),
    ("tan", lambda x: np.sin(x) / np.cos(x), ANY),
    ("asin", np.arcsin, UNIT),
    ("acos", np.arccos, UNIT),
    ("atan", np.arctan, ANY),
    ("sinh", lambda x: (np.exp(x) - np.exp(-x)) / 2, ANY),
    ("cosh", lambda x: (np.exp(x) + np.exp(-x)) / 2, ANY),
    ("tanh", lambda x: 1 - 2 / (np.exp(2 * x) + 1), ANY),
    ("asinh", lambda x: np.log(x + np.sqrt(x * x + 1)), ANY),
    ("acosh", lambda x: np.log(x + np.sqrt((x - 1) * (x + 1))), FROM_ONE),
    ("atanh", lambda x: np.log((1 + x) / (1 - x)) / 2, UNIT[:, :2]),
    ("erf", np.vectorize(math.erf), ANY),
]


@pytest.mark.parametrize(("kind", "oracle", "x"), FUNCTIONS, ids=[row[0] for row in FUNCTIONS])
def test_function(run_layer, kind, oracle, x):
    y = run_layer(kind, [x])
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, oracle(x), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("kind", "x", "y"),
    [
        ("cos", [0, math.pi / 3, math.pi / 2, math.pi, -math.pi], [1, 0.5, 0, -1, -1]),
        ("tan", [0, math.pi / 4, -math.pi / 4, 3 * math.pi / 4], [0, 1, -1, -1]),
        ("acos", [1, 0.5, 0, -0.5, -1, 1.01, -1.01],
         [0, math.pi / 3, math.pi / 2, 2 * math.pi / 3, math.pi, math.nan, math.nan]),
        ("atanh", [0, math.tanh(2), -math.tanh(0.3), 1, -1, 1.5],
         [0, 2, -0.3, math.inf, -math.inf, math.nan]),
        ("asin", [1, -1, 1.01], [math.pi / 2, -math.pi / 2, math.nan]),
        ("acosh", [1, math.cosh(3), 0.5], [0, 3, math.nan]),
        ("erf", [0, 30, -30], [0, 1, -1]),
        ("sign", [-0.0, 1e-300, -1e-300], [0, 1, -1]),
    ],
)  # fmt: skip
def test_known_values_and_edges_of_the_domain(run_layer, kind, x, y):
    np.testing.assert_allclose(run_layer(kind, [x]), y, rtol=1e-12, atol=1e-12)


def test_round_goes_to_the_nearest_integer_and_halves_to_even(run_layer):
    x = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.499, 2.501, -7.9]
    assert run_layer("round", [x]).tolist() == [-2, -2, 0, 0, 2, 2, 2, 3, -8]


@pytest.mark.parametrize("kind", ["cos", "tan", "round"])
def test_rank5_mapping(run_layer, kind):
    x = np.linspace(-1, 1, 12).reshape(3, 2, 2)
    y = run_layer(kind, [x], rank5=True, version=4)
    np.testing.assert_allclose(y.reshape(3, 2, 2), getattr(np, kind)(x), rtol=1e-12)


def test_float32_stays_float32(one_layer):
    x = np.float32([-1.25, 0.5])
    y = migrate.to_torch(one_layer("atanh", [(2,)])).predict({"in0": x / 2})["out0"]
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, np.arctanh(x / 2), rtol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.25, 0.5), (1.0, 1.0), (0.0, 6.0)])
def test_clip(run_layer, low, high):
    y = run_layer("clip", [ANY], minVal=low, maxVal=high)
    np.testing.assert_array_equal(y, np.minimum(np.maximum(ANY, low), high))


def test_clip_refuses_an_empty_range(one_layer):
    with pytest.raises(ModelError, match=r"'tested' .*minVal 2 is greater than maxVal 1\.5"):
        migrate.to_torch(one_layer("clip", [(2,)], minVal=2.0, maxVal=1.5))


@pytest.mark.parametrize(
    ("mode", "oracle"),
    [
        (0, lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))),
        (1, lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
        (2, lambda x: x / (1 + np.exp(-1.702 * x))),
    ],
)
def test_gelu(run_layer, mode, oracle):
    np.testing.assert_allclose(run_layer("gelu", [ANY], mode=mode), oracle(ANY), rtol=1e-12)


def test_gelu_refuses_an_unknown_mode(one_layer):
    with pytest.raises(ModelError, match="mode 3 is not in GeluMode"):
        migrate.to_torch(one_layer("gelu", [(2,)], mode=3))


def test_two_inputs_are_refused(run_layer):
    with pytest.raises(ModelError, match=r"'tested' \(sin\)"):
        run_layer("sin", [ANY, ANY])


# as an ML Program

TINY, INF = np.float32(1e-40), np.inf
FINITE = [
    0.0,
    -0.0,
    0.5,
    -0.5,
    1.0,
    -1.0,
    1.5,
    2.5,
    -2.5,
    30.0,
    -30.0,
    4e3,
    -4e3,
    TINY,
    1e-5,
    -1e-5,
]
AWKWARD = [*FINITE, 1e10, -1e10, 1e38, -1e38, INF, -INF, np.nan]
GELU = ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")
PROGRAMS = {
    **{name: case(name, [AWKWARD]) for name in unary.FUNCTIONS},
    "clip": case("clip", [AWKWARD], "clip", minVal=-1.5, maxVal=2),
    "clip to a value": case("clip", [FINITE], minVal=2, maxVal=2),
    **{name: case("gelu", [FINITE], mode=mode) for mode, name in enumerate(GELU)},
}


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target, tolerance=1e-5) == {}


@pytest.mark.parametrize(("name", "arrays"), [("asinh", [FINITE]), ("acosh", [np.abs(FINITE) + 1])])
def test_no_square_overflows_in_an_ml_program_of_halves(name, arrays):
    assert differences({name: case(name, arrays)}, "iOS16", "fp16", tolerance=2e-2) == {}


@pytest.mark.parametrize(("name", "least"), [("asinh", 0), ("acosh", 1)])
def test_small_values_keep_their_digits_in_an_ml_program(name, least):
    x = least + np.array([1e-6, 1e-4, 1e-2, 0.3, 1], np.float32)
    got = run_program(case(name, [x]))
    np.testing.assert_allclose(got, getattr(np, f"arc{name[1:]}")(x.astype(float)), rtol=1e-6)
