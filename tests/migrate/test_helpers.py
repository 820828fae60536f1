from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import migrate
import migrate.layers
from migrate import helpers
from migrate.helpers import IMPORTED, helper, inlined, sources

for package in (migrate, migrate.layers):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
MODULES = {name: m for name, m in sys.modules.items() if name.partition(".")[0] == "migrate"}
FUNCTIONS = {
    name: value
    for module in MODULES.values()
    for name, value in vars(module).items()
    if name in helpers.NAMES and inspect.unwrap(value).__module__ == module.__name__
}

torch.manual_seed(0)
X, IMAGE, STEPS = torch.randn(3, 4), torch.rand(2, 3, 6, 5), torch.randn(5, 2, 3)
BOXES = torch.tensor([[[0.1, 0.1, 0.2, 0.2], [0.12, 0.1, 0.2, 0.2], [0.6, 0.5, 0.3, 0.3]]])
LSTM = nn.LSTM(3, 4, bidirectional=True).requires_grad_(False)
STATES = (torch.randn(2, 2, 4), torch.randn(2, 2, 4))
GATES = [(torch.sigmoid, torch.tanh, torch.tanh)] * 2
WEIGHT, VOLUME = torch.rand(3, 2, 3, 3), torch.rand(1, 2, 4, 5, 6)
CALLS = {
    "average_pool": [(IMAGE, (1, 0, 1, 2), (3, 2), (2, 1), (1, 0))],
    "average_pool_inside": [(VOLUME, (1, 0, 0, 1, 1, 1), (2, 3, 2), (1, 2, 1))],
    "batch_of_images": [(IMAGE,), (IMAGE[0],)],
    "batch_of_vectors": [(X,), (X[0],)],
    "categorical": [(X, 7, True, 0.0, 0.5, 3), (X.abs(), 2, False, 1e-6, 1.0, 3)],
    "check_shape": [(X, "x", [(3, (2, None))]), (X[None, None], "x", [(3, 4)])],
    "crop_resize": [(IMAGE[:1], torch.rand(2, 4, 1, 1), (3, 2), m, m, m > 1, 1.5)
                    for m in range(4)],
    "cumulative_sum": [(X, torch.tensor(1.0), False, True), (X, 0, True, False)],
    "cut_between": [(X, [torch.tensor([0, -1]), torch.tensor([3, -4])],
                     [[2, -1], [0, 1], [0, 0], [0, 0]])],
    "deconvolution_window": [
        (VOLUME, VOLUME, ((1, 0), (0, 0), (0, 1)), (), None, True),
        (VOLUME, VOLUME, ((1, 0),) * 3, (3, 7, 2), None, False),
        (VOLUME, VOLUME, ((0, 0),) * 3, (), (1, 1, 2), False),
    ],
    "deconvolve": [(IMAGE, WEIGHT, torch.rand(2), (2, 1), (1, 2), 1),
                   (IMAGE, WEIGHT, None, (1, 1), (1, 1), 1, (7, 3), True)],
    "hard_sigmoid": [(X, 0.2, 0.5)],
    "holds": [(torch.tensor([[1e-7]]),), (torch.tensor(1e-5),)],
    "initial_state": [(STEPS, 4, torch.rand(1, 9, 4)), (STEPS, 4, *torch.rand(2, 1, 2, 4, 1, 1))],
    "last_pixel_border": [(IMAGE, (1, 0), (3, 2), (2, 3))],
    "linear_function": [(X, 2.0, 3.0), (X, 1.0, 0.0)],
    "one_hot_vectors": [(torch.tensor([0.0, 2.0]), torch.tensor(3.0), -1, 5.0, -1.0)],
    "pad_by": [(X, [1, 2, 0, 1], False, 7.0), (X, torch.tensor([5, 0, 2, 9]), True, 0.0)],
    "places": [(5, torch.tensor([0.0, -1.0]))],
    "random_bernoulli": [(X, 0.3, 5)],
    "random_normal": [(X, 1.0, 2.0, 5)],
    "random_uniform": [(X, -1.0, 2.0, 5)],
    "range_to": [(torch.tensor([7.0]), 1.5, torch.tensor(2.0)), (torch.tensor(0.0), 3.0, 1.0)],
    "resize_bilinear": [(IMAGE, (4, 9), method) for method in range(4)],
    "resize_nearest": [(IMAGE, (4, 9))],
    "reverse_sequences": [(X, torch.tensor([2.0, 4.0, 0.0]), 0, 1)],
    "row_numbers": [(IMAGE, torch.tensor([[1.0, 2.0], [-1.0, 0.0]]))],
    "run_clipped_lstm": [(LSTM, STEPS, STATES, 0.5, GATES), (LSTM, STEPS, None, 99.0, GATES)],
    "run_gru": [(STEPS, STATES[0][:1], torch.rand(12, 3), torch.rand(12, 4), torch.rand(12),
                 torch.sigmoid, F.relu)],
    "run_lstm": [(LSTM, STEPS, STATES, 1.0, GATES, [torch.rand(12)] * 2, True),
                 (LSTM, STEPS, STATES, 9.0, GATES)],
    "run_rnn": [(nn.RNN(3, 4).requires_grad_(False), STEPS, STATES[0][:1], F.relu)],
    "same_border": [(IMAGE, (3, 4), (2, 1)), (IMAGE, (3, 4), (2, 1), True)],
    "scaled_size": [(IMAGE, (1.1, 0.7))],
    "scaled_tanh_function": [(X, 2.0, 0.5)],
    "sequence_of_images": [(IMAGE,), (X[None],)],
    "sequence_of_vectors": [(X,), (X[..., None, None],)],
    "softplus_function": [(X * 30,)],
    "suppress": [(BOXES, torch.rand(1, 3, 2), 0.3, torch.tensor(0.1), 4, flag)
                 for flag in (True, False)],
    "take_from": [(X, torch.tensor([1.0]), 1, 2)],
    "top_k": [(X.round(), 2, 0, True), (X.round(), torch.tensor([3.0]), 1, False)],
}  # fmt: skip
REFUSED = {
    "check_shape": (X, "x", [(3, 5)]),
    "crop_resize": (IMAGE, torch.rand(2, 3, 1, 1), (3, 2), 0, 0, False, 1.0),
    "cut_between": (X, [torch.tensor([0]), torch.tensor([3, 4])], [[1, 1]] * 4),
    "deconvolution_window": (VOLUME, VOLUME, ((2, 2),) * 3, (), None, True),
    "pad_by": (X, [1], False, 0.0),
    "scaled_size": (IMAGE, (0.1, 0.1)),
}


def written(name):
    """Return the text of a helper as a file of its own, and what it imports."""
    texts, names = sources([FUNCTIONS[name]])
    imports = [IMPORTED[each] for each in sorted(names)]
    return "\n".join([*imports, *texts]) + "\n", names


def executed(name):
    scope = {"__name__": "model"}
    exec(written(name)[0], scope)
    return scope[name]


def test_every_helper_has_a_call_here():
    assert set(CALLS) == set(FUNCTIONS) == helpers.NAMES


@pytest.mark.parametrize(
    ("name", "args"), [(n, args) for n, rows in CALLS.items() for args in rows]
)
def test_the_source_of_a_helper_computes_the_same(name, args):
    function = executed(name)
    assert function is not FUNCTIONS[name]
    torch.testing.assert_close(
        function(*args), FUNCTIONS[name](*args), rtol=0, atol=0, equal_nan=True
    )


@pytest.mark.parametrize(("name", "args"), REFUSED.items(), ids=REFUSED)
def test_the_source_of_a_helper_refuses_with_the_same_words(name, args):
    with pytest.raises(ValueError) as original:  # noqa: PT011
        FUNCTIONS[name](*args)
    with pytest.raises(ValueError) as copied:  # noqa: PT011
        executed(name)(*args)
    assert str(copied.value) == str(original.value) != ""


def test_the_sources_of_all_together(tmp_path):
    """Names are unique, nothing is there twice or before what it uses, and ruff finds nothing."""
    texts, names = sources(FUNCTIONS.values())
    defined = []
    for text in texts:
        node = ast.parse(text).body[0]
        defined.append(node.name if isinstance(node, ast.FunctionDef) else node.targets[0].id)
    assert len(set(defined)) == len(defined)
    assert set(FUNCTIONS) <= set(defined)
    whole = "\n\n\n".join(["\n".join(IMPORTED[n] for n in sorted(names)), *texts]) + "\n"
    for word in ("migrate", "type: ignore", "noqa", "@helper"):
        assert word not in whole
    file = tmp_path / "model.py"
    file.write_text(whole)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache",
               "--select", "E,F", "--line-length", "100", str(file)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", sorted(helpers.NAMES))
def test_a_helper_imports_no_more_than_it_uses(name):
    text, names = written(name)
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert names == used & set(IMPORTED)


def test_names_mean_one_thing_in_all_modules():
    """Functions and constants that helpers use, for they come to stand in one file."""
    meant, waiting = {}, [inspect.unwrap(f) for f in FUNCTIONS.values()]
    while waiting:
        function = waiting.pop()
        assert meant.setdefault(function.__name__, function) is function
        for name in inspect.getclosurevars(function).globals.keys() - IMPORTED.keys():
            value = inspect.unwrap(function.__globals__[name])
            if inspect.isfunction(value) and value.__name__ not in meant:
                waiting.append(value)
            assert meant.setdefault(name, value) == value


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


LIMIT = (1.5, "a")


@helper
def limited(x):  # type: ignore[no-untyped-def]
    text = "# noqa stays in a text"
    return min(x, LIMIT[0]), text


@inlined
def plain(x: torch.Tensor) -> torch.Tensor:
    return torch.relu(x) + limited(1)[0]


helpers.NAMES -= {"limited", "plain"}  # which are those of the product alone


def test_functions_that_call_each_other_are_both_there():
    texts, names = sources([even])
    scope = {}
    exec("\n".join(texts), scope)
    assert [scope["even"](n) for n in range(4)] == [True, False, True, False]
    assert names == set()


def test_what_a_source_needs_stands_before_it():
    texts, names = sources([plain, limited, plain])
    assert [text.splitlines()[0].partition(":")[0] for text in texts] == [
        "LIMIT = (1.5, 'a')", "def limited(x)", "def plain(x",
    ]  # fmt: skip
    assert names == {"torch"}
    assert "return min(x, LIMIT[0]), text\n" in texts[1] + "\n"


class Listener:
    sizes_vary = True

    def __init__(self):
        self.calls = []

    def call_helper(self, function, args, kwargs):
        self.calls.append((function.__name__, args, kwargs))
        return "noted"


def test_the_last_recorder_hears_of_a_helper_and_not_of_an_inlined_function():
    first, second = Listener(), Listener()
    assert helpers.recorder() is None
    try:
        helpers.activate(first)
        helpers.activate(second)
        assert helpers.recorder() is second
        assert limited(1, y=2) == "noted"
        helpers.deactivate()
        assert helpers.recorder() is first
        assert limited(3) == "noted"
        with pytest.raises(TypeError):
            plain(torch.ones(1))
    finally:
        helpers.deactivate()
    assert helpers.recorder() is None
    assert second.calls == [("limited", (1,), {"y": 2})]
    assert first.calls == [("limited", (3,), {}), ("limited", (1,), {})]
    assert limited(9)[0] == 1.5


def test_a_helper_is_still_the_function():
    assert limited.__name__ == "limited"
    assert inspect.unwrap(limited) is not limited
    assert partial(plain)(torch.ones(1)).item() == 2
