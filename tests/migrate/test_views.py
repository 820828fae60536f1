from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from migrate.printing import Printer
from migrate.recording import Recorder
from migrate.views import Short, Views

SMALL, LARGE = {"a": 2, "b": 3, "c": 4, "1": 1}, {"a": 5, "b": 2, "c": 3, "1": 1}


def filled(letters, sizes):
    shape = [sizes[letter] for letter in letters]
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape)


@st.composite
def views(draw, letters="abc1"):
    """Return a tensor at two sizes, and how views of it are made."""
    named = draw(st.text(letters, min_size=1, max_size=4))
    small, large = filled(named, SMALL), filled(named, LARGE)
    x, y, steps = small, large, []
    for _ in range(draw(st.integers(1, 6))):
        kinds = ["unsqueeze"] if x.ndim < 6 else []
        kinds += ["squeeze", "squeeze_dims", "permute", "transpose", "flatten"] if x.ndim else []
        kind = draw(st.sampled_from(kinds or ["flatten"]))
        signed = st.integers(-x.ndim, x.ndim - 1)
        function, args = getattr(Tensor, kind.partition("_")[0]), ()
        if kind == "unsqueeze":
            args = (draw(st.integers(-x.ndim - 1, x.ndim)),)
        elif kind == "squeeze":
            args = (draw(signed),)
        elif kind == "squeeze_dims":
            args = (tuple(draw(st.sets(st.integers(0, x.ndim - 1), min_size=1))),)
        elif kind == "permute":
            order = tuple(draw(st.permutations(range(x.ndim))))
            args = draw(st.sampled_from([(order,), order]))
        elif kind == "transpose":
            args = (draw(signed), draw(signed))
        elif kind == "flatten" and x.ndim:
            start = draw(st.integers(0, x.ndim - 1))
            end = draw(st.integers(start, x.ndim - 1))
            args = draw(st.sampled_from([(start, end), (start - x.ndim, end - x.ndim), (start,)]))
        steps.append((function, args))
        x, y = function(x, *args), function(y, *args)
    return small, large, steps


def both(small, large, steps):
    """Yield what `see` says of each view; the views; and those of the other size, by id."""
    seen, others, x, y = Views(), {id(small): large}, small, large
    for function, args in steps:
        before, x, y = x, function(x, *args), function(y, *args)
        others[id(x)] = y
        yield seen, seen.see(function, (before, *args), {}, x), x, y, others


def rebuilt(short, first):
    first = first.squeeze(short.squeezed) if short.squeezed else first
    for axis in short.put_in:
        first = first.unsqueeze(axis)
    return first


@settings(max_examples=300)
@given(views())
def test_what_is_said_more_briefly_is_the_same_view_at_any_size(chain):
    kept = []
    for _, short, x, y, others in both(*chain):
        kept.append(x)
        if short is not None:
            for found, wanted in [(short.first, x), (others[id(short.first)], y)]:
                assert rebuilt(short, found).shape == wanted.shape
                assert torch.equal(rebuilt(short, found), wanted)


@settings(max_examples=300)
@given(views())
def test_dimensions_said_to_be_one_are_one_at_any_size(chain):
    kept = []
    for seen, _, x, y, _ in both(*chain):
        kept.append(x)
        assert all(x.shape[axis] == y.shape[axis] == 1 for axis in seen.ones(x))


@settings(max_examples=300)
@given(views("abc"))
def test_views_that_undo_each_other_are_recognised(chain):
    """Whatever holds the values of the first tensor in its shape is the first tensor."""
    small, large, _ = chain
    kept = []
    for seen, short, x, y, _ in both(*chain):
        kept.append(x)
        unbroken = seen.first(x) is small
        if unbroken and y.shape == large.shape and torch.equal(y, large):
            assert short == Short(small, (), ())


def test_the_same_view_is_seen_again():
    x = torch.rand(2, 3, 4)
    seen = Views()
    first = x.permute(2, 0, 1)
    assert seen.see(Tensor.permute, (x, 2, 0, 1), {}, first) is None
    between = first.transpose(0, 1)
    assert seen.see(Tensor.transpose, (first, 0, 1), {}, between) is None
    again = between.transpose(0, 1)
    assert seen.see(Tensor.transpose, (between, 0, 1), {}, again) == Short(first, (), ())
    assert seen.first(first) is seen.first(between) is x


@pytest.mark.parametrize(("function", "args", "kwargs"), [
    (Tensor.reshape, (6,), {}), (Tensor.flatten, (), {"start_dim": 0}),
    (Tensor.squeeze, (0,), {}), (Tensor.abs, (), {}),
])  # fmt: skip
def test_what_is_not_followed_begins_anew(function, args, kwargs):
    """So does squeezing what is not 1 here, for what it does depends on the size."""
    x, seen = torch.rand(2, 3), Views()
    y = function(x, *args, **kwargs)
    assert seen.see(function, (x, *args), kwargs, y) is None
    assert seen.first(y) is None
    assert seen.ones(y) == ()


def text(function, x, *, fold=True):
    recorder, printer = Recorder(nn.Module(), sizes_vary=True, fold=fold), Printer()
    with recorder.recording():
        recorder.name(x, "x")
        return re.sub("\0", "", printer.text(recorder.node(function(x))))


def applied(steps, x):
    for function, args in steps:
        x = function(x, *args)
    return x


@settings(max_examples=150)
@given(views())
def test_the_text_of_a_chain_is_the_view_at_any_size(chain):
    small, large, steps = chain
    written = text(lambda x: applied(steps, x), small)
    assert torch.equal(eval(written, {"x": large}), applied(steps, large))
    assert eval(written, {"x": small}).shape == applied(steps, small).shape


TEXTS = {
    "x": [
        lambda x: x.unsqueeze(-1).squeeze(-1), lambda x: x.permute(2, 0, 1).permute(1, 2, 0),
        lambda x: x.transpose(0, 1).transpose(1, 0), lambda x: x.unsqueeze(0).flatten(0, 1),
        lambda x: torch.unsqueeze(x, 1).permute(1, 0, 2, 3).squeeze(0), lambda x: x.flatten(0, 0),
    ],
    "x.unsqueeze(0)": [
        lambda x: x.unsqueeze(0), lambda x: x.unsqueeze(3).permute(3, 0, 1, 2),
        lambda x: x.unsqueeze(0).unsqueeze(0).squeeze((0,)),
    ],
    "x.squeeze(2)": [lambda x: x.squeeze(-1), lambda x: x.permute(2, 0, 1).squeeze(0)],
    "x.squeeze(2).unsqueeze(0)": [
        lambda x: x.squeeze(2).unsqueeze(0),
        lambda x: x.permute(2, 0, 1).squeeze(0).unsqueeze(-1).permute(2, 0, 1),
    ],
    "x.flatten(0, 1)": [lambda x: x.flatten(0, 1)],
}  # fmt: skip


@pytest.mark.parametrize(("brief", "function"), [(k, f) for k, fs in TEXTS.items() for f in fs])
def test_how_brief_it_becomes(brief, function):
    x = torch.rand(2, 3, 1)
    assert text(function, x) == brief
    assert torch.equal(eval(brief), function(x))


@pytest.mark.parametrize("function", [
    lambda x: x.squeeze(0), lambda x: x.transpose(0, -1),
    lambda x: x.flatten(), lambda x: x.flatten(0, -1), lambda x: x.unsqueeze(-1).squeeze(0),
    lambda x: x.permute(()), lambda x: x.unsqueeze(0).unsqueeze(1).flatten().squeeze(-1),
])  # fmt: skip
def test_views_of_a_single_number(function):
    x = torch.tensor(3.0)
    written = text(lambda x: function(x) * 2, x)
    assert torch.equal(eval(written), function(x) * 2)
    assert eval(written).shape == function(x).shape


def test_squeezing_whatever_is_one_depends_on_the_sizes():
    written = text(lambda x: x.squeeze() * 2, torch.rand(2, 3))
    assert eval(written, {"x": torch.rand(1, 3)}).shape == (3,)


@pytest.mark.parametrize("fold", [True, False])
def test_of_a_view_that_is_taken_twice_the_ones_are_known_twice(fold):
    def twice(x):
        first, second = (x.unsqueeze(0).permute(2, 0, 1) for _ in range(2))
        assert first.shape[1] == 1
        assert second.shape[1] == 1
        return second

    assert text(twice, torch.rand(2, 3), fold=fold) == "x.unsqueeze(0).permute(2, 0, 1)"
