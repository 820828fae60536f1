"""Order along an axis, against Python's stable sort."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences

import migrate
from migrate.errors import ModelError

rng = np.random.default_rng(0)
X = rng.integers(0, 4, size=(4, 9, 5)).astype(float)  # many elements are equal


def same(got, want):
    np.testing.assert_array_equal(got, np.asarray(want, np.float64), strict=True)


def order(x, axis, descending):
    """Return the stable order, line by line: of equal elements the first comes first."""

    def line(values):
        return sorted(range(len(values)), key=lambda i: -values[i] if descending else values[i])

    return np.apply_along_axis(line, axis, x)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
@pytest.mark.parametrize("bottom", [False, True])
@pytest.mark.parametrize("k", [1, 4])
def test_top_k(run_layer, axis, bottom, k):
    indices = np.take(order(X, axis, descending=not bottom), range(k), axis)
    for inputs, stored in ([X], k), ([X, np.array([k])], 9):
        got = run_layer("topK", inputs, outputs=2, axis=axis, useBottomK=bottom, K=stored)
        same(got[0], np.take_along_axis(X, indices, axis))
        same(got[1], indices)


@pytest.mark.parametrize(
    ("fields", "match"),
    [({}, "K is not set"), ({"K": 4}, "out of range"), ({"K": 1, "axis": 1}, "layer 'tested'")],
)
def test_top_k_refuses(run_layer, fields, match):
    with pytest.raises(ModelError, match=match):
        run_layer("topK", [np.zeros(3)], outputs=2, **fields)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("descending", [False, True])
def test_arg_sort_is_stable(run_layer, axis, descending):
    same(run_layer("argSort", [X], axis=axis, descending=descending), order(X, axis, descending))


def test_arg_sort_takes_no_negative_axis(one_layer):
    with pytest.raises(ModelError, match="axis must not be negative, found -1"):
        migrate.to_torch(one_layer("argSort", [(3,)], axis=-1))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("kind", ["argMax", "argMin"])
def test_position_of_the_first_extreme(run_layer, kind, axis, remove):
    want = np.take(order(X, axis, descending=kind == "argMax"), [0], axis)
    got = run_layer(kind, [X], axis=axis, removeDim=remove)
    same(got, want.squeeze(axis) if remove else want)


@pytest.mark.parametrize("remove", [False, True])
def test_position_in_a_vector_stays_a_vector(run_layer, remove):
    same(run_layer("argMax", [np.array([1.0, 3, 3, 2])], removeDim=remove), [1])
    same(run_layer("argMin", [np.array([1.0, 0, 3, 0])], removeDim=remove), [1])


# as an ML Program

TIES = np.array([[3.0, -1.0, 3.0, 0.0, -1.0], [-2.0, -2.0, 7.0, -np.inf, 7.0]])
STACKED = np.stack([TIES, -TIES, TIES + 1]).clip(-9, 9)
PROGRAMS = {
    "top k": case("topK", [TIES], "topk", outputs=2, axis=-1, K=3),
    "top k, all, smallest": case("topK", [TIES], "topk", outputs=2, axis=1, K=5, useBottomK=True),
    "top k, first axis": case("topK", [STACKED], "topk", outputs=2, axis=0, K=2),
    "top k, stored": case("topK", [STACKED, [2]], "topk", outputs=2, axis=-2, stored=[1]),
    "top k, given": case("topK", [STACKED, [4]], "argsort", outputs=2, axis=-1),
    "top k, given, smallest": case(
        "topK", [STACKED, [1]], "argsort", outputs=2, axis=1, useBottomK=True
    ),
    "top k, given, of a vector": case("topK", [TIES[0], [2]], "argsort", outputs=2, axis=0),
    "arg sort": case("argSort", [TIES], "argsort", axis=1),
    "arg sort, descending": case("argSort", [STACKED], "argsort", axis=2, descending=True),
    "arg sort, middle axis": case("argSort", [STACKED], "argsort", axis=1),
    "arg max": case("argMax", [TIES], "reduce_argmax", axis=1),
    "arg max, no dimension": case("argMax", [TIES], "reduce_argmax", axis=-2, removeDim=True),
    "arg min": case("argMin", [STACKED], "reduce_argmin", axis=0),
    "arg min, no dimension": case("argMin", [STACKED], "reduce_argmin", axis=-1, removeDim=True),
}


@pytest.mark.parametrize("target", ["iOS15", "iOS16", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target) == {}


def test_as_an_ml_program_of_halves():
    assert differences(PROGRAMS, "iOS17", "fp16") == {}
