"""Operations of two tensors against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import evaluated

from migrate.coreml import coremltools
from migrate.errors import ModelError
from migrate.mil.registry import ops

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types


FUNCTIONS = {
    "add": np.add,
    "equal": np.equal,
    "floor_div": np.floor_divide,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mod": np.mod,
    "mul": np.multiply,
    "not_equal": np.not_equal,
    "pow": np.power,
    "real_div": np.true_divide,
    "sub": np.subtract,
}
CONDITIONS = {"equal", "greater", "greater_equal", "less", "less_equal", "not_equal"}
LOGIC = {"logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor}
X = np.array([[3.5, -3.5, 7.25, -0.5, 2.0], [1.5, -8.0, 0.0, 4.0, 9.0]], np.float32)
Y = np.array([2.0, -2.0, -1.5, -0.5, 2.0], np.float32)
BIG = 2**24 + 1  # no float32
I = np.array([[7, -7, BIG, -BIG, 2**31 - 1], [3, 2, 5, 0, -(2**31)]], np.int32)  # noqa: E741
J = np.array([2, 2, -3, 5, 4], np.int32)


def apply(name, x, y):
    """The operation's result in the type of its inputs."""
    result = ops()[name].compute(x=torch.from_numpy(x), y=torch.from_numpy(y))
    return result if result.dtype == torch.bool else result.to(torch.from_numpy(x).dtype)


def expected(name, x, y):
    """numpy's result in the type of the inputs; a quotient of integers is truncated."""
    with np.errstate(invalid="ignore", divide="ignore"):
        result = FUNCTIONS[name](x, y)
    return result if result.dtype == bool else result.astype(x.dtype)


def programs(half, **inputs):
    """All operations as outputs of one program, conditions as integers."""

    def build(x, y):
        truths = {n: getattr(mb, n)(x=x, y=y) for n in FUNCTIONS if n in CONDITIONS}
        numbers = (n for n in FUNCTIONS if n not in CONDITIONS)
        return (
            *(mb.cast(x=r, dtype="int32", name=f"{n}_") for n, r in truths.items()),
            *(getattr(mb, n)(x=x, y=y, name=f"{n}_") for n in numbers),
        )

    return evaluated(build, half=half, **inputs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_floats(name):
    x = np.abs(X) if name == "pow" else X
    np.testing.assert_allclose(apply(name, x, Y), expected(name, x, Y), rtol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_integers_stay_exact(name):
    x = I[1:, :4] if name == "pow" else I
    y = np.array([20, 30, 2, 4], np.int32) if name == "pow" else J
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(apply(name, x, y), expected(name, x, y))


def test_the_smallest_integer_over_minus_one_wraps():
    x, y = torch.tensor([-(2**31)], dtype=torch.int32), torch.tensor([-1], dtype=torch.int32)
    for name in ("real_div", "floor_div"):
        assert ops()[name].compute(x=x, y=y).to(torch.int32).tolist() == [-(2**31)]
    assert ops()["mod"].compute(x=x, y=y).tolist() == [0]


def test_quotients_of_integers_round_to_their_own_side():
    x, y = torch.tensor([7, -7, 7, -7]), torch.tensor([2, 2, -2, -2])
    assert ops()["real_div"].compute(x=x, y=y).tolist() == [3, -3, -3, 3]
    assert ops()["floor_div"].compute(x=x, y=y).tolist() == [3, -4, -4, 3]
    assert ops()["mod"].compute(x=x, y=y).tolist() == [1, 1, -1, -1]
    assert ops()["pow"].compute(x=torch.tensor([2, -1, 1]), y=-1).tolist() == [0, -1, 1]


@pytest.mark.parametrize("name", LOGIC)
def test_logic(name):
    x, y = np.array([[False], [True]]), np.array([False, True])
    np.testing.assert_array_equal(apply(name, x, y), LOGIC[name](x, y))


def test_logic_in_a_program():
    def build(x, y):
        x, y = mb.cast(x=x, dtype="bool"), mb.cast(x=y, dtype="bool")
        found = {name: getattr(mb, name)(x=x, y=y) for name in LOGIC}
        return tuple(mb.cast(x=r, dtype="int32", name=f"{n}_") for n, r in found.items())

    x, y = np.array([[0], [2]], np.int32), np.array([0, -1], np.int32)
    outputs = evaluated(build, x=x, y=y)
    for name, function in LOGIC.items():
        np.testing.assert_array_equal(outputs[f"{name}_"], function(x, y))


def test_floats_in_a_program():
    x = np.abs(X)
    outputs = programs(False, x=x, y=Y)
    for name in FUNCTIONS:
        np.testing.assert_allclose(outputs[f"{name}_"], expected(name, x, Y), rtol=1e-6)


def test_halves_in_a_program():
    x = np.abs(X) + np.float32(0.1)
    outputs = programs(True, x=x, y=Y)
    for name in FUNCTIONS:
        wide = expected(name, x.astype(np.float16).astype(np.float64), Y.astype(np.float64))
        found = outputs[f"{name}_"]
        assert (found == found.astype(np.float16)).all()
        np.testing.assert_allclose(found, wide.astype(np.float16), rtol=2**-10, err_msg=name)


def test_integers_in_a_program():
    y = np.abs(J)
    outputs = programs(False, x=I, y=y)
    for name in FUNCTIONS:
        with np.errstate(over="ignore"):
            wanted = expected(name, I, y)
        np.testing.assert_array_equal(outputs[f"{name}_"], wanted, err_msg=name)
        assert outputs[f"{name}_"].dtype == np.int32


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_of_rank_0_are_inputs_too(name):
    compute = ops()[name].compute
    wanted = expected(name, np.array([5.0, 2.0], np.float32), np.float32(2.5))
    assert compute(x=torch.tensor([5.0, 2.0]), y=2.5).tolist() == pytest.approx(wanted.tolist())
    assert compute(x=torch.tensor(5.0), y=torch.tensor(2.5)).item() == pytest.approx(wanted[0])
    wanted = expected(name, np.array([BIG], np.int32), np.array([2], np.int32))
    assert compute(x=BIG, y=2).to(torch.int32).item() == wanted.item()


def test_not_a_number_spreads():
    x, y = torch.tensor([np.nan, 1.0]), torch.tensor([1.0, np.nan])
    for name in ("maximum", "minimum", "add", "mod", "floor_div"):
        assert ops()[name].compute(x=x, y=y).isnan().all()


def test_floats_over_zero():
    x, y = torch.tensor([1.0, -1.0]), torch.zeros(2)
    assert ops()["real_div"].compute(x=x, y=y).tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("name", ["real_div", "floor_div", "mod"])
def test_integers_over_zero_are_refused_with_the_operation_named(name):
    zeros = np.zeros(2, np.int32)
    with pytest.raises(ModelError, match=f"operation 'over' \\({name}\\)"):
        evaluated(lambda x, y: getattr(mb, name)(x=x, y=y, name="over"), x=zeros, y=zeros)
