"""Functions of each element against numpy's, and casts."""

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


X = np.random.RandomState(0).uniform(-0.95, 0.95, (3, 4)).astype(np.float32)
FLOATS = {  # operation: numpy's function, and the inputs
    "abs": (np.abs, 5 * X),
    "acos": (np.arccos, X),
    "asin": (np.arcsin, X),
    "atan": (np.arctan, 5 * X),
    "atanh": (np.arctanh, X),
    "ceil": (np.ceil, 5 * X),
    "cos": (np.cos, 5 * X),
    "cosh": (np.cosh, 5 * X),
    "erf": (np.vectorize(math.erf), 2 * X),
    "exp": (np.exp, 5 * X),
    "exp2": (np.exp2, 5 * X),
    "floor": (np.floor, 5 * X),
    "round": (np.round, np.round(10 * X) / 2),
    "sign": (np.sign, np.round(3 * X)),
    "sin": (np.sin, 5 * X),
    "sinh": (np.sinh, 5 * X),
    "sqrt": (np.sqrt, np.abs(X)),
    "square": (np.square, 5 * X),
    "tan": (np.tan, X),
    "tanh": (np.tanh, 5 * X),
}
EPSILONS = {
    "inverse": (lambda x, e: 1 / (x + e), 1e-4, 0.5),
    "log": (lambda x, e: np.log(x + e), 1e-45, 0.5),
    "rsqrt": (lambda x, e: 1 / np.sqrt(x + e), 1e-12, 0.5),
}
POSITIVE = np.array([0.0078125, 0.5, 1.0, 300.0], np.float32)
LARGE = np.array([-(2**31) + 1, -(2**24) - 1, 0, 2**24 + 1], np.int32)
CASTS = [
    ("int32", [2.75, -2.75, 0.5, -0.5, 16777216], [2, -2, 0, 0, 16777216]),
    ("int32", [3e9, -3e9, np.inf, np.nan], [2**31 - 1, -(2**31), 2**31 - 1, 0]),
    ("int8", [127.9, -128.9, 200, -200], [127, -128, 127, -128]),
    ("uint8", [255.9, -0.9, 300, -3], [255, 0, 255, 0]),
    ("int16", [32767.5, -1.5, 40000], [32767, -1, 32767]),
    ("uint16", [65535.5, 1.5, -2], [65535, 1, 0]),
    ("bool", [0.25, 0, -3], [True, False, True]),
    ("fp32", [1.5, -2.5], [1.5, -2.5]),
]


def compute(name, x, **options):
    return ops()[name].compute(x=torch.from_numpy(x), **options)


@pytest.mark.parametrize("name", FLOATS)
def test_a_function_of_floats(name):
    function, x = FLOATS[name]
    wanted = function(x.astype(np.float64))
    np.testing.assert_allclose(compute(name, x), wanted, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", FLOATS)
def test_a_function_of_floats_in_a_program(name, half):
    function, x = FLOATS[name]
    found = evaluated(lambda x: getattr(mb, name)(x=x, name="y"), half=half, x=x)["y"]
    wanted = function((x.astype(np.float16) if half else x).astype(np.float64))
    tolerance = 2**-10 if half else 2e-6
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=1e-6)
    assert not half or (found == found.astype(np.float16)).all()


def test_a_half_is_rounded_to_the_even_neighbour():
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5], np.float32)
    assert compute("round", x).tolist() == [0, 2, 2, 0, -2]


def test_integers_stay_exact():
    def build(x, y):
        return (
            mb.abs(x=x, name="abs_"),
            mb.sign(x=x, name="sign_"),
            mb.square(x=y, name="square_"),
            mb.exp2(x=y, name="exp2_"),
            mb.threshold(x=x, alpha=np.int32(-(2**24) - 1), name="threshold_"),
        )

    small = np.array([30, 3, 0, -1], np.int32)
    outputs = evaluated(build, x=LARGE, y=small)
    assert outputs["abs_"].tolist() == [2**31 - 1, 2**24 + 1, 0, 2**24 + 1]
    assert outputs["sign_"].tolist() == [-1, -1, 0, 1]
    assert outputs["square_"].tolist() == [900, 9, 0, 1]
    assert outputs["exp2_"].tolist() == [2**30, 8, 1, 0]
    assert outputs["threshold_"].tolist() == [-(2**24) - 1, -(2**24) - 1, 0, 2**24 + 1]


@pytest.mark.parametrize("name", EPSILONS)
def test_functions_with_an_epsilon(name):
    function, default, other = EPSILONS[name]
    x = POSITIVE.astype(np.float64)
    np.testing.assert_allclose(compute(name, POSITIVE), function(x, default), rtol=1e-6)
    found = compute(name, POSITIVE, epsilon=other)
    np.testing.assert_allclose(found, function(x, other), rtol=1e-6)


@pytest.mark.parametrize("half", [False, True])
def test_functions_with_an_epsilon_in_a_program(half):
    def build(x):
        return tuple(
            getattr(mb, name)(x=x, name=f"{name}_{kind}", **options)
            for name, (_, _, other) in EPSILONS.items()
            for kind, options in (("default", {}), ("other", {"epsilon": np.float32(other)}))
        )

    outputs = evaluated(build, half=half, x=POSITIVE)
    for name, (function, default, other) in EPSILONS.items():
        for kind, epsilon in (("default", default), ("other", other)):
            kept = float(np.float16(epsilon)) if half else epsilon
            wanted = function(POSITIVE.astype(np.float64), kept)
            tolerance = 2**-10 if half else 1e-6
            np.testing.assert_allclose(outputs[f"{name}_{kind}"], wanted, rtol=tolerance)


def test_the_logarithm_of_0_has_the_smallest_number_added():
    assert compute("log", np.zeros(1, np.float32)).item() == pytest.approx(-103.2789, abs=1e-3)


def test_bounds():
    def build(x):
        return (
            mb.clip(x=x, alpha=-0.5, beta=0.25, name="clip_"),
            mb.threshold(x=x, alpha=-0.125, name="threshold_"),
        )

    outputs = evaluated(build, x=X)
    np.testing.assert_array_equal(outputs["clip_"], np.clip(X, -0.5, 0.25))
    np.testing.assert_array_equal(outputs["threshold_"], np.maximum(X, -0.125))
    assert ops()["clip"].compute(x=3.0, alpha=0.0, beta=torch.tensor(2.0)).item() == 2


@pytest.mark.parametrize(("dtype", "x", "wanted"), CASTS)
def test_a_cast_truncates_and_keeps_to_the_range(dtype, x, wanted):
    found = compute("cast", np.array(x, np.float32), dtype=dtype)
    assert found.tolist() == wanted
    assert str(found.dtype).removeprefix("torch.") == dtype.replace("fp", "float")


def test_a_cast_to_float16_is_rounded_by_whoever_runs_it():
    found = compute("cast", np.array([1.0009765625, 70000], np.float32) + 2**-16, dtype="fp16")
    assert found.tolist() == [1.0009765625 + 2**-16, 70000]


def test_integers_are_cast_exactly():
    assert compute("cast", LARGE, dtype="int32").tolist() == LARGE.tolist()
    assert ops()["cast"].compute(x=2**24 + 1, dtype="int32").item() == 2**24 + 1
    assert compute("cast", np.array([True, False]), dtype="fp32").tolist() == [1, 0]
    assert compute("cast", np.array([300, -1], np.int32), dtype="uint8").tolist() == [44, 255]


def test_casts_in_a_program():
    def build(x):
        i8 = mb.cast(x=x, dtype="int8")
        u16 = mb.cast(x=x, dtype="uint16")
        half = mb.cast(x=x, dtype="fp16")
        no = mb.logical_not(x=mb.cast(x=x, dtype="bool"))
        return (
            mb.cast(x=x, dtype="int32", name="whole"),
            mb.cast(x=i8, dtype="int32", name="byte"),
            mb.cast(x=u16, dtype="int32", name="word"),
            mb.cast(x=half, dtype="fp32", name="half"),
            mb.cast(x=no, dtype="int32", name="no"),
        )

    outputs = evaluated(build, x=np.array([-2.75, 0, 2.9, 70001.5], np.float32))
    assert outputs["whole"].tolist() == [-2, 0, 2, 70001]
    assert outputs["byte"].tolist() == [-2, 0, 2, 127]
    assert outputs["word"].tolist() == [0, 0, 2, 65535]
    assert outputs["half"].tolist() == pytest.approx([-2.75, 0, 2.9, np.inf], rel=2**-11)
    assert outputs["no"].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("dtype", ["float32", "fp64", "int64", ""])
def test_a_type_that_is_not_known_is_refused(dtype):
    with pytest.raises(ValueError, match=f"dtype {dtype!r} is not known"):
        compute("cast", X, dtype=dtype)
