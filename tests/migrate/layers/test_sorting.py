"""Order along an axis, against Python's stable sort."""

from __future__ import annotations

import numpy as np
import pytest

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
