from __future__ import annotations

import ast
import itertools
import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from migrate.layers.activation import hard_sigmoid
from migrate.layers.tensor import cumulative_sum
from migrate.nodes import Node
from migrate.printing import Printer, is_slice, number, runs
from migrate.recording import Recorder

VALUES = {"a": torch.randn(2, 3), "b": torch.rand(2, 3)}
SCOPE = {
    "torch": torch, "nn": nn, "F": F, "partial": partial, "hard_sigmoid": hard_sigmoid,
    "cumulative_sum": cumulative_sum,
}  # fmt: skip


def record(source, printer=None, values=VALUES):
    """Return the text of an expression of Python, and its value."""
    recorder, printer = Recorder(nn.Module(), sizes_vary=True, fold=True), printer or Printer()
    with recorder.recording():
        for name, x in values.items():
            recorder.name(x, name)
        value = eval(source, {**SCOPE, **values})
        text = printer.text(recorder.node(value))
    return re.sub("\0", "", text), value


def evaluate(text, values=VALUES):
    return eval(text, {**SCOPE, **values})


def assert_same(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)


def joined(*parts):
    return st.tuples(*parts).map(lambda texts: f"({' '.join(texts)})")


CONSTANTS = st.floats(-4, 4, width=32).map("({})".format) | st.sampled_from(["2", "(-1)", "0.1"])
ARITHMETIC = st.sampled_from(["+", "-", "*", "/", "//", "%", "**"])
COMPARISON = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])


def expressions(inner):
    """Return strategies of numbers, every operation in parentheses."""
    truth = joined(inner, COMPARISON, inner) | joined(inner, COMPARISON, CONSTANTS)
    truth = truth | joined(truth, st.sampled_from(["&", "|", "^", "==", "!="]), truth)
    truth = truth | truth.map("(~{})".format)
    return st.one_of(
        joined(inner, ARITHMETIC, inner),
        joined(inner, ARITHMETIC, CONSTANTS),
        joined(CONSTANTS, ARITHMETIC, inner),
        joined(truth, st.just("*"), inner),
        inner.map("(-{})".format),
        inner.map("{}.abs()".format),
        inner.map("{}[..., :2].sum(1, keepdim=True)".format),
        inner.map("torch.sigmoid({})".format),
    )


EXPRESSIONS = st.recursive(st.sampled_from(["a", "b"]), expressions, max_leaves=8)


@settings(max_examples=400)
@given(source=EXPRESSIONS)
@example(source="(-(a ** 2))")
@example(source="((-a) ** (b ** (-a)))")
@example(source="((a - (b - a)) - ((-1) ** b))")
@example(source="(((a < b) == ((a < b) & (b < a))) * a)")
def test_an_expression_computes_the_same_and_has_no_needless_parentheses(source):
    text, value = record(source)
    assert_same(evaluate(text), value)
    assert needless(text) == []


def needless(text):
    """Return what the text is without each pair of parentheses that does not matter."""
    found, opened = [], []
    for end, sign in enumerate(text):
        if sign == "(":
            opened.append(end)
        elif sign == ")":
            start = opened.pop()
            shorter = text[:start] + text[start + 1 : end] + text[end + 1 :]
            if not re.search(r"[\w\])]$", text[:start]) and tree(shorter) == tree(text):
                found.append(shorter)
    return found


def tree(text):
    try:
        return ast.dump(ast.parse(text, mode="eval"))
    except SyntaxError:
        return ""


def test_needless_parentheses_are_found():
    assert needless("a + (b * 2)") == ["a + b * 2"]
    assert needless("(a + b) * (-a) ** 2") == []


TEXTS = [
    "F.relu(a)", "torch.cat((a, b), dim=1)", "torch.cat([a, b], 1)", "a[..., None, 1:]",
    "a[:, ::2]", "a[0]", "a[-1:, 0]", "a[[0, 1]]", "a[b[:, 0].long()]", "a[b > 0.5]", "a.T.mT",
    "torch.stack(a.unbind(0))", "torch.stack(a.unbind(1)[1:])", "a.reshape(b.shape)",
    "torch.stack((*a.unbind(1)[:2], b[:, 0]))", "a[None].reshape((*b.shape, 1))", "-a.sum()",
    "a.unbind(0)[1]", "a.to(torch.float64) * 0.1", "F.pad(a, (1, 2), value=-1.0)", "a + 0.1",
    "torch.where(a < b, a, 0.0)", "cumulative_sum(a, 1, True, False)",
    "F.gelu(a, approximate='tanh')",
    "torch.full((1,), 2.0)", "torch.zeros(2, dtype=torch.int64, device='cpu')", "a.expand(4, 2, 3)",
    "torch.einsum('ij->ji', a)", "a.topk(2)[0]", "a[1, b.shape[0] - 1]", "a[:b.shape[1] // 2]",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_written_briefly_already_stays(text):
    assert record(text)[0] == text


@pytest.mark.parametrize(("source", "brief"), [
    ("F.max_pool2d(a[None], 2, stride=None, ceil_mode=False)", "F.max_pool2d(a[None], 2)"),
    ("F.elu(a, alpha=1.0, inplace=False)", "F.elu(a)"),
    ("torch.Tensor.add(a, b)", "a + b"),
    ("a.add(b, alpha=2)", "a.add(b, alpha=2)"),
    ("torch.add(a, b)", "torch.add(a, b)"),
    ("a[(slice(0, 1), slice(None, None, 1))]", "a[0:1, :]"),
    ("a[0:1, b.long().unbind(0)[0]]", "a[0:1, b.long().unbind(0)[0]]"),
    ("a[b.long().clamp(max=0)[:, :2].unbind(1)]", "a[b.long().clamp(max=0)[:, :2].unbind(1)]"),
    ("a[b.long().clamp(max=0).unbind(1)[:2]]", "a[b.long().clamp(max=0).unbind(1)[:2]]"),
    ("torch.stack([*a.unbind(1)])", "torch.stack(a.unbind(1))"),
])  # fmt: skip
def test_what_is_written_at_length_becomes_brief(source, brief):
    text, value = record(source)
    assert text == brief
    assert_same(evaluate(text), value)


def test_an_index_of_nothing():
    text, value = record("a[()] * 2")
    assert_same(evaluate(text), value)


C = repr(float(np.float32(0.1)))  # as a float64 that differs from 0.1


@pytest.mark.parametrize("source", [
    f"d * {C}", f"{C} - d", f"d.add(d, alpha={C})", f"F.elu(d - 1, alpha={C})", f"d.clamp(min={C})",
    f"torch.full((2,), {C}, dtype=torch.float64)", f"F.pad(d, (1, 1), value={C})", f"a ** {C}",
    f"torch.pow(a, exponent={C})", f"F.local_response_norm(b[None], 2, alpha={C}, beta={C})",
    f"d <= {C}", f"d == {C}", f"torch.tensor([{C}], dtype=torch.float64)",
    f"torch.arange(0.0, 1.0, {C})",
])  # fmt: skip
def test_all_digits_stand_where_they_count(source):
    values = {**VALUES, "d": torch.tensor([0.1, 0.3]).double()}
    text, value = record(source, values=values)
    assert_same(evaluate(text, values), value)


def test_what_a_text_needs_is_noted():
    printer = Printer()
    record("F.relu(a) + torch.sigmoid(cumulative_sum(b, 1, True, False))", printer)
    assert printer.imports == {"F", "torch"}
    assert list(printer.helpers) == ["cumulative_sum"]
    assert printer.reads == {"a", "b"}


def test_a_node_with_a_name_is_printed_as_that():
    node = Node("call", torch.relu, (Node("variable", "a"),))
    printer = Printer()
    printer.temporaries[node] = "y"
    assert printer.text(Node("call", torch.abs, (node,))) == "torch.abs(\0y\0)"
    assert printer.reads == {"y"}
    assert printer.defining(node)[0] == "torch.relu(\0a\0)"


@pytest.mark.parametrize("function", [
    torch.tanh, F.softsign, partial(F.elu, alpha=0.5), partial(F.elu, alpha=0.5, inplace=False),
    partial(hard_sigmoid, alpha=0.2, beta=0.5), F.gelu, torch.relu, nn.functional.softplus,
])  # fmt: skip
def test_functions_are_values_too(function):
    printer = Printer()
    text = printer.text(function)
    assert_same(evaluate(text)(VALUES["a"]), function(VALUES["a"]))
    assert ("partial" in printer.imports) == isinstance(function, partial)


LITERALS = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False),
        st.text(max_size=3), st.sampled_from([..., torch.float32, torch.int64, torch.bool]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=8,
)  # fmt: skip


@given(value=LITERALS)
def test_literals(value):
    assert evaluate(Printer(exact=True).text(value)) == value


@pytest.mark.parametrize("value", [object(), 1j, np.zeros(2), {1: 2}])
def test_what_has_no_literal(value):
    with pytest.raises(TypeError, match=f"no literal for {type(value).__name__}"):
        Printer().text(value)


FLOATS = st.floats(allow_nan=False, width=32)


@settings(max_examples=500)
@given(value=FLOATS)
@example(value=16777216.0)
@example(value=1.401298464324817e-45)
@example(value=-0.0)
def test_a_float32_is_written_with_as_few_digits_as_give_it_back(value):
    text = number(value)
    found = eval(text)
    assert type(found) is float
    assert np.float32(found).tobytes() == np.float32(value).tobytes()
    if math.isfinite(value) and value:
        with np.errstate(over="ignore"):
            shortest = next(n for n in range(9) if np.float32(float(f"{value:.{n}e}")) == value)
        assert len(re.sub(r"e.*|[-.]", "", text).strip("0")) <= shortest + 1


@given(value=st.floats(allow_nan=False))
def test_other_numbers_are_exact(value):
    assert float(np.float64(eval(number(value, exact=True)))) == value
    with np.errstate(over="ignore"):
        assume(float(np.float32(value)) != value)
    assert eval(number(value)) == value


@pytest.mark.parametrize(("value", "text"), [
    (0.1, "0.1"), (float(np.float32(0.1)), "0.1"), (np.float32(0.1), "0.1"), (1.0, "1.0"),
    (7, "7"), (np.int64(-7), "-7"),
    (1e-6, "1e-06"), (float("inf"), 'float("inf")'), (-math.inf, 'float("-inf")'),
    (math.nan, 'float("nan")'), (1e300, "1e+300"), (10**20, "100000000000000000000"),
])  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


def items(count):
    node = Node("variable", "x")
    node.parts = tuple(Node("item", i, (node,)) for i in range(count))
    return node.parts


PARTS = [*items(4), *items(1), 7, "s"]


@given(values=st.lists(st.sampled_from(PARTS)))
def test_runs(values):
    found = list(runs(values))
    assert [value for run in found for value in run] == values
    follows = {(id(a), id(b)) for a, b in itertools.pairwise(PARTS[:4])}
    for run in found:
        assert all((id(a), id(b)) in follows for a, b in itertools.pairwise(run))
        assert is_slice(run) == (len(run) > 1 or run[0] is PARTS[4])
    for before, after in itertools.pairwise(found):
        assert (id(before[-1]), id(after[0])) not in follows
