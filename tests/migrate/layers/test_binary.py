"""Comparison, logic and arithmetic with broadcasting: against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences

import migrate
from migrate.errors import ModelError

X = np.array([[-7.0, -2.5, 0.0], [1.5, 4.0, 7.0]])
Y = np.array([[2.0, -2.5, 3.0], [-1.5, 4.0, -4.0]])
SHAPES = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((1,), (2, 3)), ((2, 1, 3), (2, 1))]

ARITHMETIC = {
    "addBroadcastable": np.add,
    "subtractBroadcastable": np.subtract,
    "multiplyBroadcastable": np.multiply,
    "divideBroadcastable": np.divide,
    "floorDivBroadcastable": lambda x, y: np.floor(x / y),
    "modBroadcastable": lambda x, y: x - y * np.floor(x / y),
    "minBroadcastable": lambda x, y: np.where(x < y, x, y),
    "maxBroadcastable": lambda x, y: np.where(x > y, x, y),
}
COMPARISONS = {
    "equal": np.equal,
    "notEqual": np.not_equal,
    "lessThan": np.less,
    "lessEqual": np.less_equal,
    "greaterThan": np.greater,
    "greaterEqual": np.greater_equal,
}
LOGIC = {
    "logicalOr": lambda x, y: x + y > 0,
    "logicalXor": lambda x, y: x != y,
    "logicalAnd": lambda x, y: x * y > 0,
}


def operands(shapes, values=(X, Y)):
    """Return arrays of these shapes whose values repeat those of X and Y."""
    return [np.resize(v, shape) for v, shape in zip(values, shapes, strict=True)]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("kind", ARITHMETIC)
def test_arithmetic(run_layer, kind, shapes):
    x, y = operands(shapes)
    z = run_layer(kind, [x, y])
    assert z.dtype == np.float64
    np.testing.assert_allclose(z, ARITHMETIC[kind](x, y), rtol=1e-14)


def test_pow_has_a_negative_base_and_a_fractional_exponent(run_layer):
    x, y = [2.0, 4.0, -2.0, 9.0, 5.0], [3.0, -0.5, 3.0, 0.5, 0.0]
    np.testing.assert_allclose(run_layer("powBroadcastable", [x, y]), [8, 0.5, -8, 3, 1])


def test_mod_has_the_sign_of_the_divisor(run_layer):
    z = run_layer("modBroadcastable", [[7.0, -7.0, 7.0, -7.0, 5.5], [3.0, 3.0, -3.0, -3.0, 2.0]])
    assert z.tolist() == [1, 2, -2, -1, 1.5]


def test_floor_division_rounds_down(run_layer):
    z = run_layer("floorDivBroadcastable", [[7.0, -7.0, 7.0, -7.0], [2.0, 2.0, -2.0, -2.0]])
    assert z.tolist() == [3, -4, -4, 3]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("kind", COMPARISONS)
def test_comparison_of_two_inputs_ignores_alpha(run_layer, kind, shapes):
    x, y = operands(shapes)
    z = run_layer(kind, [x, y], alpha=100.0)
    assert z.dtype == np.float64
    np.testing.assert_array_equal(z, COMPARISONS[kind](x, y).astype(float))


@pytest.mark.parametrize("alpha", [None, 1.5, -2.5])
@pytest.mark.parametrize("kind", COMPARISONS)
def test_comparison_of_one_input_with_alpha(run_layer, kind, alpha):
    options = {} if alpha is None else {"alpha": alpha}
    z = run_layer(kind, [X], **options)
    np.testing.assert_array_equal(z, COMPARISONS[kind](X, alpha or 0.0).astype(float))


@pytest.mark.parametrize("kind", LOGIC)
def test_logic_takes_all_but_zero_for_true(run_layer, kind):
    truth = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])
    z = run_layer(kind, [truth[0] * -0.25, truth[1] * 1e-9])
    np.testing.assert_array_equal(z, LOGIC[kind](*truth).astype(float))
    broadcast = run_layer(kind, [truth[0].reshape(4, 1), truth[1]])
    np.testing.assert_array_equal(broadcast, LOGIC[kind](truth[0].reshape(4, 1), truth[1]) * 1.0)


def test_logical_not(run_layer):
    assert run_layer("logicalNot", [[0.0, -0.0, 1.0, -3.0, 1e-9]]).tolist() == [1, 1, 0, 0, 0]


@pytest.mark.parametrize("kind", ["lessThan", "logicalXor", "modBroadcastable"])
def test_float32_stays_float32(one_layer, kind):
    inputs = {"in0": np.float32([1, 2]), "in1": np.float32([2, 2])}
    net = migrate.to_torch(one_layer(kind, [(2,), (2,)]))
    assert net.predict(inputs)["out0"].dtype == np.float32


@pytest.mark.parametrize(
    "kind", [*ARITHMETIC, "powBroadcastable", *COMPARISONS, *LOGIC]
)  # fmt: skip
def test_shapes_that_do_not_broadcast_are_refused(run_layer, kind):
    with pytest.raises(ModelError, match=rf"'tested' \({kind}\).*2x3, 2x4"):
        run_layer(kind, [np.ones((2, 3)), np.ones((2, 4))])


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [("addBroadcastable", 1), ("addBroadcastable", 3), ("equal", 3), ("logicalOr", 1),
     ("logicalNot", 2), ("maxBroadcastable", 3)],
)  # fmt: skip
def test_a_wrong_number_of_inputs_is_refused(run_layer, kind, inputs):
    with pytest.raises(ModelError, match=rf"'tested' \({kind}\)"):
        run_layer(kind, [X] * inputs)


# as an ML Program

VALUES = np.array([0, -0.0, 0.5, 1, -1, -7.5, 3, 1e-40, -1e-40, 1e30, np.inf, -np.inf, np.nan])
GRID = [VALUES[:, None], VALUES[None]]
KINDS = (*ARITHMETIC, *COMPARISONS, *(name for name in LOGIC if name != "logicalNot"))
PROGRAMS = {
    **{kind: case(kind, GRID) for kind in KINDS},
    "logicalNot": case("logicalNot", [VALUES]),
    **{f"{kind} alpha": case(kind, [VALUES], alpha=0.5) for kind in COMPARISONS},
    "remainder": case("modBroadcastable", GRID, "mod"),
    "of several ranks": case("subtractBroadcastable", [np.ones((2, 1, 3, 1)), [[1, 2]]]),
    "stored": case("divideBroadcastable", [VALUES, [4]], stored=[1]),
}


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target) == {}


def test_as_an_ml_program_of_halves():
    pairs = [[[7.5], [-7.5], [0.25]], [[2, -2, 0.75]]]
    cases = {kind: case(kind, pairs) for kind in KINDS if kind != "powBroadcastable"}
    assert differences(cases, "iOS16", "fp16", tolerance=1e-3) == {}
