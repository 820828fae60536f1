"""Gather and scatter, against loops over every index."""

from __future__ import annotations

import numpy as np
import pytest

import migrate
from migrate.errors import ModelError

rng = np.random.default_rng(0)

MODES = {
    "SCATTER_UPDATE": lambda old, new: new,
    "SCATTER_ADD": lambda old, new: old + new,
    "SCATTER_SUB": lambda old, new: old - new,
    "SCATTER_MUL": lambda old, new: old * new,
    "SCATTER_DIV": lambda old, new: old / new,
    "SCATTER_MAX": np.maximum,
    "SCATTER_MIN": np.minimum,
}
every_mode = pytest.mark.parametrize(
    ("mode", "function"), list(enumerate(MODES.values())), ids=MODES
)


def same(got, want):
    np.testing.assert_array_equal(got, np.asarray(want, np.float64), strict=True)


def close(got, want):
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-13)


@pytest.mark.parametrize("axis", [0, 1, -1, -3])
@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3)])
def test_gather(run_layer, axis, shape):
    x = rng.normal(size=(4, 3, 5))
    indices = rng.integers(-3, 3, size=shape)
    same(run_layer("gather", [x, indices], axis=axis), np.take(x, indices, axis, mode="wrap"))


@pytest.mark.parametrize(
    ("shape", "indices"), [((4, 3, 5), (6, 2)), ((4, 3, 5), (2, 3, 1)), ((3, 4), (2, 2)),
                           ((3, 4), (2,)), ((3, 4), (1,)), ((5,), (1,))],
)  # fmt: skip
def test_gather_at_multi_indices(run_layer, shape, indices):
    x = rng.normal(size=shape)
    at = np.stack([rng.integers(-n, n, indices[:-1]) for n in shape[: indices[-1]]], -1)
    want = np.empty(indices[:-1] + shape[indices[-1] :])
    for i in np.ndindex(indices[:-1]):
        want[i] = x[tuple(at[i])]
    # a single element stays a vector: Core ML has no rank 0
    same(run_layer("gatherND", [x, at]), want if want.ndim else want.reshape(1))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_along_axis(run_layer, axis):
    x = rng.normal(size=(4, 3, 5))
    shape = [6 if i == axis % 3 else n for i, n in enumerate(x.shape)]
    indices = rng.integers(-x.shape[axis], x.shape[axis], size=shape)
    same(
        run_layer("gatherAlongAxis", [x, indices], axis=axis), np.take_along_axis(x, indices, axis)
    )


@every_mode
@pytest.mark.parametrize(
    ("axis", "shape"), [(0, (9,)), (1, (7,)), (-2, (2, 5)), (-1, (4,)), (-3, (3, 2, 2))]
)
def test_scatter(run_layer, mode, function, axis, shape):
    x = rng.normal(size=(4, 3, 5))
    at = axis % 3
    indices = rng.integers(-x.shape[axis], x.shape[axis], size=shape)  # repeats
    updates = rng.uniform(0.5, 2, size=x.shape[:at] + shape + x.shape[at + 1 :])
    want = np.moveaxis(x.copy(), at, 0)
    for i in np.ndindex(shape):
        want[indices[i]] = function(want[indices[i]], updates[(slice(None),) * at + i])
    got = run_layer("scatter", [x, indices, updates], axis=axis, mode=mode)
    close(got, np.moveaxis(want, 0, at))


def test_scatter_into_a_vector(run_layer):
    indices = np.array([[0, 2], [2, -1]])
    updates = np.array([[1.0, 2.0], [3.0, 4.0]])
    got = run_layer("scatter", [np.zeros(5), indices, updates], axis=-1, mode=1)
    same(got, [1, 0, 5, 0, 4])


@every_mode
@pytest.mark.parametrize(
    ("shape", "indices"), [((3, 2), (9, 2)), ((7, 6), (4, 2, 1)), ((3, 2, 4), (6, 2)),
                           ((3, 2, 4), (2,)), ((4,), (6, 1))],
)  # fmt: skip
def test_scatter_at_multi_indices(run_layer, mode, function, shape, indices):
    x = rng.normal(size=shape)
    at = np.stack([rng.integers(-n, n, indices[:-1]) for n in shape[: indices[-1]]], -1)
    updates = rng.uniform(0.5, 2, size=indices[:-1] + shape[indices[-1] :])
    want = x.copy()
    for i in np.ndindex(indices[:-1]):
        want[tuple(at[i])] = function(want[tuple(at[i])], updates[i])
    close(run_layer("scatterND", [x, at, updates], mode=mode), want)


@every_mode
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter_along_axis(run_layer, mode, function, axis):
    x = rng.normal(size=(4, 3, 5))
    shape = tuple(6 if i == axis % 3 else n for i, n in enumerate(x.shape))
    indices = rng.integers(-x.shape[axis], x.shape[axis], size=shape)
    updates = rng.uniform(0.5, 2, size=shape)
    want = x.copy()
    for i in np.ndindex(shape):
        at = tuple(indices[i] if d == axis % 3 else n for d, n in enumerate(i))
        want[at] = function(want[at], updates[i])
    close(run_layer("scatterAlongAxis", [x, indices, updates], axis=axis, mode=mode), want)


def test_the_last_of_repeated_updates_stays(run_layer):
    indices = rng.integers(0, 5, size=20_000)
    updates = rng.normal(size=(20_000, 3))
    want = np.zeros((5, 3))
    for i, update in zip(indices, updates, strict=True):
        want[i] = update
    same(run_layer("scatter", [np.zeros((5, 3)), indices, updates]), want)


def test_untouched_elements_are_left_as_they_are(run_layer):
    x = np.array([0.0, -np.inf, 3.0])
    for mode in range(len(MODES)):
        got = run_layer("scatter", [x, np.array([2]), np.array([1.0])], mode=mode)
        same(got[:2], x[:2])


@pytest.mark.parametrize("kind", ["scatter", "scatterND", "scatterAlongAxis"])
def test_unknown_mode(one_layer, kind):
    with pytest.raises(ModelError, match="mode 7 is not a ScatterMode"):
        migrate.to_torch(one_layer(kind, [(2,), (2,), (2,)], mode=7))


@pytest.mark.parametrize("bad", [3, -4])
@pytest.mark.parametrize(
    ("kind", "shape", "updates"),
    [("gather", (1,), None), ("gatherND", (1, 1), None), ("gatherND", (1, 2), None),
     ("gatherAlongAxis", (1, 3), None), ("scatter", (1,), (1, 3)), ("scatterND", (1, 1), (1, 3)),
     ("scatterND", (1, 2), (1,)), ("scatterAlongAxis", (1, 3), (1, 3))],
)  # fmt: skip
def test_indices_out_of_range(run_layer, kind, shape, updates, bad):
    inputs = [np.zeros((3, 3)), np.full(shape, bad)] + ([np.zeros(updates)] if updates else [])
    with pytest.raises(ModelError, match=r"out of (range|bounds)"):
        run_layer(kind, inputs)


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [("scatter", [(4, 3), (5,), (6, 3)]), ("scatter", [(4, 3), (5,), (5, 2, 1)]),
     ("scatterND", [(4, 3), (5, 1), (6, 3)]), ("scatterAlongAxis", [(4, 3), (2, 3), (3, 3)])],
)  # fmt: skip
def test_updates_that_do_not_fit(run_layer, kind, shapes):
    with pytest.raises(ModelError, match="layer 'tested'"):
        run_layer(kind, [np.zeros(shape) for shape in shapes])
