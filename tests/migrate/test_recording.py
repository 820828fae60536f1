from __future__ import annotations

import math
import operator
import re

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from migrate import UnsupportedError, helpers
from migrate.helpers import helper
from migrate.nodes import Node, Size
from migrate.printing import Printer
from migrate.recording import Recorder


@helper
def divided(x, n):
    assert type(n) is int
    return x / n


@helper
def ends(x):
    return divided(x[0], 1), (x[-1], x.sum())


@helper
def rows(x):
    return x.shape[0]


@helper
def is_large(x):
    return bool(x.sum() > 1000)


HELPERS = {f.__name__: f for f in (divided, ends, rows, is_large)}
helpers.NAMES -= set(HELPERS)  # which are those of the product alone
for function in HELPERS.values():
    function.__wrapped__.__module__ = "migrate.somewhere"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.lstm = nn.LSTM(4, 2)
        self.inner = nn.Sequential()
        self.inner.relu = nn.ReLU()
        self.inner.norm = nn.LayerNorm(4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 4)  # of other stock modules
        self.weight = nn.Parameter(torch.rand(4))
        self.shift = nn.Buffer(torch.rand(4))
        self.eval().requires_grad_(False)


NET = Net()


def record(function, *tensors, fold=True):
    """Return the text of what the function computes from variables x0, x1, ..."""
    recorder, printer = Recorder(NET, sizes_vary=True, fold=fold), Printer()
    with recorder.recording():
        for i, x in enumerate(tensors):
            recorder.name(x, f"x{i}")
        text = printer.text(recorder.node(function(*tensors)))
    return re.sub("[\0\1]", "", text)


def evaluate(text, *tensors):
    variables = {f"x{i}": x for i, x in enumerate(tensors)}
    return eval(text, {"torch": torch, "F": F, "self": NET, **HELPERS, **variables})


def assert_same(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)


FUNCTIONS = [
    lambda x, y: (1 - x) * y / (2 / x) + -(x**2) - 2**y,
    lambda x, y: (x < y) & ~(x >= 0.5) & (x != y),
    lambda x, y: torch.cat([F.relu(x), torch.sigmoid(y)], dim=-1),
    lambda x, y: x.sum((0, 1), keepdim=True) + F.pad(y, (1, 1), value=2.0).mean(),
    lambda x, y: x[..., None, 1:] * y[0, :, None, 1:] + x[x[:, 0, 0].argsort(), :1, None, :1],
    lambda x, y: x.unbind(-1)[1] + y.chunk(2, -1)[0][..., 0] + x[y > 0.5].sum(),
    lambda x, y: torch.stack(x.topk(2)[0].unbind(-1)),
    lambda x, y: torch.stack([row * 2 for row in x.unbind(-1)[:2]]),
    lambda x, y: x.mT + y.flatten(0, 1).T[0, 0],
    lambda x, y: torch.zeros(x.shape) + x.reshape((*y.shape[:-1], -1)),
    lambda x, y: x * x.shape[-1] + y * y.size(0) - x.size()[1] + x.sum() / y.numel(),
    lambda x, y: x.unsqueeze(1).squeeze(1) * y.flatten(1).unsqueeze(0).sum(),
    lambda x, y: (x + 1, (y * 2, x.max(-1)[1])),
    lambda x, y: (x.double() * 0.1).float(),
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_recorded_computes_the_same_at_other_sizes(function):
    text = record(function, torch.rand(2, 3, 4), torch.rand(2, 3, 4))
    others = torch.rand(5, 2, 6), torch.rand(5, 2, 6)
    assert_same(evaluate(text, *others), function(*others))


MODULES = {
    "self.linear(x0)": lambda x: NET.linear(x),
    "self.inner.norm(self.inner.relu(x0))": lambda x: NET.inner(x),
    "self.lstm(x0)[1][0]": lambda x: NET.lstm(x)[1][0],
    "self.attention(x0, x0, x0, need_weights=False)[0]":
        lambda x: NET.attention(x, x, x, need_weights=False)[0],
    "self.encoder(x0)": lambda x: NET.encoder(x),
    "x0 * self.weight + self.shift": lambda x: x * NET.weight + NET.shift,
    "divided(x0, x0.shape[1])": lambda x: divided(x, x.shape[1]),
    "ends(x0)[1][1]": lambda x: ends(x)[1][1],
    "x0 * rows(x0)": lambda x: x * rows(x),
    "torch.tensor(0.5) + x0": lambda x: torch.tensor(0.5) + x,
    "x0 * 2": lambda x: x.to(torch.float32).contiguous() * 2,
}  # fmt: skip


@pytest.mark.parametrize(("text", "function"), MODULES.items(), ids=MODULES)
def test_a_stock_module_or_a_helper_is_one_call_and_what_changes_nothing_is_none(text, function):
    assert record(function, torch.rand(3, 2, 4)) == text
    other = torch.rand(5, 3, 4)
    assert_same(evaluate(text, other), function(other))


def test_a_result_that_is_no_tensor_is_handed_on():
    found = []
    record(lambda x: found.append(is_large(x)) or x, torch.ones(2))
    assert found == [False]


PLAIN = [  # what is the same for all inputs, and a size that is wanted so
    (lambda x: x.unsqueeze(1).shape[1], 1), (lambda x: x.unsqueeze(0).permute(1, 2, 0).size(2), 1),
    (lambda x: x.ndim, 2), (lambda x: NET.weight.shape[0], 4), (lambda x: x.dtype, torch.float32),
    (lambda x: x.device, torch.device("cpu")), (lambda x: int(x.shape[1]), 3),
]  # fmt: skip


@pytest.mark.parametrize(("function", "wanted"), PLAIN)
def test_facts_are_plain(function, wanted):
    found = []
    record(lambda x: found.append(function(x)) or x, torch.rand(2, 3))
    assert type(found[0]) is type(wanted)
    assert found[0] == wanted


SIZE = Size.of(6, Node("variable", "n"))
REFUSED = [
    lambda n: n == 6, lambda n: n != 6, lambda n: n < 7, lambda n: n <= 6, lambda n: n > 7,
    lambda n: n >= 6, lambda n: 6 == n, lambda n: 7 > n, lambda n: n == n + 1, lambda n: not n,  # noqa: SIM300
    lambda n: n in (5, 6), lambda n: 5 in (n, 4), bool, float, math.sqrt, lambda n: n / 2,
    lambda n: 2 / n, lambda n: n**2, lambda n: 2**n, lambda n: max(n, 3), lambda n: sorted([n, 3]),
]  # fmt: skip


@pytest.mark.parametrize("function", REFUSED)
def test_nothing_is_decided_by_a_size(function):
    with pytest.raises(UnsupportedError, match=r"depends on a size.*int\(size\) takes"):
        function(SIZE)


def test_a_size_is_a_number():
    assert type(int(SIZE)) is int
    assert int(SIZE) == 6
    assert hash(SIZE) == hash(6)
    assert [10, 20, 30, 40, 50, 60, 70][SIZE] == 70
    assert f"{SIZE}" == "6"


LOSING = [
    abs, operator.pos, operator.invert, lambda n: n & 1, lambda n: n | 1, lambda n: n >> 1,
    lambda n: 1 << n, lambda n: divmod(n, 4)[0], lambda n: n * 0.5,
    lambda n: n // 2.0, round,
]  # fmt: skip


@pytest.mark.parametrize("function", [
    operator.neg, lambda n: n + 0, lambda n: math.prod((n, 2)), lambda n: sum((n, 2)),
    *LOSING,
])  # fmt: skip
def test_a_size_never_turns_into_the_number_of_the_example(function):
    try:
        result = function(SIZE)
    except UnsupportedError:
        return
    assert isinstance(result, Size)
    assert int(result) == function(6)


OPERATION = st.sampled_from(["+", "-", "*", "//", "%"])
ARITHMETIC = st.recursive(
    st.sampled_from(["a", "b"]) | st.integers(-3, 3).map("({})".format),
    lambda e: (
        st.tuples(e, OPERATION, e).map("({0[0]} {0[1]} {0[2]})".format) | e.map("(-{})".format)
    ),
    max_leaves=6,
)


@settings(max_examples=200)
@given(expression=ARITHMETIC)
def test_arithmetic_of_sizes_is_remembered(expression):
    def at(a, b):
        return eval(expression, {"a": a, "b": b})

    try:
        wanted = at(2, 3), at(7, 5)
    except ZeroDivisionError:
        assume(False)
    results = []
    text = record(lambda x: results.append(at(*x.shape)) or results[0], torch.rand(2, 3))
    assert int(results[0]) == wanted[0]
    assert evaluate(text, torch.rand(7, 5)) == wanted[1]


READING = [
    ("item", lambda x: x.sum().item()), ("tolist", Tensor.tolist), ("__bool__", lambda x: not x[0]),
    ("__int__", lambda x: int(x[0])), ("__float__", lambda x: float(x[0])), ("numpy", Tensor.numpy),
    ("__index__", lambda x: [1, 2, 3][x[0].long()]),
]  # fmt: skip
READING_ASIDE = [
    ("equal", lambda x: torch.equal(x, x)), ("allclose", lambda x: torch.allclose(x, x)),
    ("is_nonzero", lambda x: torch.is_nonzero(x[0])), ("__contains__", lambda x: 3.0 in x),
    ("__array__", lambda x: x.__array__()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "function"), [
    *READING, *READING_ASIDE,
])  # fmt: skip
def test_reading_the_data_is_refused(name, function):
    with pytest.raises(UnsupportedError, match=rf"reads numbers off the data \({name}\)"):
        record(lambda x: (function(x), x)[1], torch.zeros(2))


@pytest.mark.parametrize("function", [
    lambda x: x.add_(1), F.relu_, lambda x: operator.iadd(x, 1), lambda x: x[0].copy_(x[1]),
    lambda x: operator.setitem(x, 0, 1.0),
    lambda x: F.relu(x, inplace=True),
    lambda x: torch.add(x, 1, out=x),
])  # fmt: skip
def test_changing_a_tensor_in_place_is_refused(function):
    with pytest.raises(UnsupportedError, match="changes a tensor in place"):
        record(lambda x: (function(x), x)[1], torch.rand(2, 3))


STRANGER, UNREGISTERED = torch.rand(3), nn.Linear(3, 3).requires_grad_(False)


@pytest.mark.parametrize("function", [
    lambda x: x + STRANGER, lambda x: STRANGER * x, lambda x: torch.stack([x[0], STRANGER]),
    lambda x: UNREGISTERED(x), lambda x: STRANGER, lambda x: x[STRANGER > 0.5],
    lambda x: divided(STRANGER, 2), lambda x: x * torch.Tensor([2.0]),
])  # fmt: skip
def test_a_tensor_that_is_no_member_is_refused(function):
    with pytest.raises(UnsupportedError, match="no parameter or buffer of its module"):
        record(function, torch.rand(2, 3))


def test_an_attribute_that_is_no_fact_is_refused():
    with pytest.raises(UnsupportedError, match="reads is_leaf of a tensor"):
        record(lambda x: x if x.is_leaf else -x, torch.rand(2))


def test_what_ended_with_an_error_leaves_nothing_behind():
    def fail(x):
        assert helpers.recorder() is not None
        raise KeyError

    with pytest.raises(KeyError):
        record(fail, torch.rand(2))
    assert helpers.recorder() is None
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in NET.modules())
    assert (torch.rand(2).sum() + STRANGER.sum()).item() > 0


@pytest.mark.parametrize("example", [[0.0, 0.0], [2.0, 3.0]])
@pytest.mark.parametrize("change", [Tensor.reshape, Tensor.expand])
def test_a_computed_shape_need_not_fit_the_example(change, example):
    def changed(x, shape):
        y = change(x, tuple(shape.long().unbind()))
        assert y.ndim == 2
        return y + 1

    text = record(changed, torch.rand(6), torch.tensor(example))
    others = torch.rand(1) if change is Tensor.expand else torch.rand(12), torch.tensor([4.0, 3.0])
    assert_same(evaluate(text, *others), changed(*others))


def test_a_copy_is_another_tensor_of_the_same_values():
    recorder, x = Recorder(NET, sizes_vary=True, fold=True), torch.rand(3)
    with recorder.recording():
        recorder.name(x, "x")
        y = recorder.copy(x)
        with pytest.raises(UnsupportedError):
            recorder.node(y)
        recorder.name(y, "y")
        view = x.unsqueeze(0)
    assert torch.equal(x, y)
    assert (recorder.node(x).target, recorder.node(y).target) == ("x", "y")
    assert recorder.base(view) is recorder.node(x)
    assert recorder.base(x) is None


def test_nodes_of_containers_and_modules():
    recorder = Recorder(NET, sizes_vary=True, fold=True)
    found = recorder.node([(SIZE, 2), slice(None, SIZE), torch.Size([1, 2]), None])
    assert found == [(SIZE.node, 2), slice(None, SIZE.node), (1, 2), None]
    assert recorder.node(NET.inner.norm).target == "inner.norm"
    assert recorder.node(NET.weight).target == "weight"
