"""Gather and scatter, against loops over every index."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from programs import case, differences

import migrate
from migrate.errors import ModelError
from migrate.mil import scatter_gather

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


# as an ML Program

X = rng.normal(size=(4, 3, 5))


def scattering(kind, mode, indices, updates, operation, **options):
    """A scatter of these indices; the updates are not 0, by which a mode divides."""
    inputs = [X, indices, rng.uniform(0.5, 2, size=updates)]
    return case(kind, inputs, operation, mode=mode, **options)


ALONG = rng.integers(-3, 3, size=(4, 6, 5))
PAIRS = [[0, 2], [-1, -3], [0, 2]]
PROGRAMS = {
    "gather": case("gather", [X, [0, -1, 3, 0]], "gather"),
    "gather, stored indices": case("gather", [X, [0, -1, 2]], "gather", axis=1, stored=[1]),
    "gather, from the end": case("gather", [X, [4, -5]], "gather", axis=-1),
    "gather, a matrix of indices": case("gather", [X, [[0, -3], [1, 2]]], "gather", axis=-2),
    "gather, of a vector": case("gather", [X[0, 0], [-5]], "gather"),
    "gather, of rank 5": case("gather", [X[None, :, None], [1, -1]], "gather", axis=3),
    "multi-indices": case("gatherND", [X, PAIRS], "gather_nd"),
    "multi-indices, stored": case("gatherND", [X, PAIRS], "gather_nd", stored=[1]),
    "multi-indices, to the last axis": case("gatherND", [X, [[[3, 2, -1]]]], "gather_nd"),
    "one element": case("gatherND", [X, [1, -1, 2]], "gather_nd"),
    "along": case("gatherAlongAxis", [X, ALONG], "gather_along_axis", axis=1),
    "along, stored": case("gatherAlongAxis", [X, ALONG], "gather_along_axis", axis=1, stored=[1]),
    "along, from the end": case("gatherAlongAxis", [X, ALONG], "gather_along_axis", axis=-2),
    "along a vector": case("gatherAlongAxis", [X[0, 0], [-1, 4, -5]], "gather_along_axis"),
    "scatter into a vector": case("scatter", [[0.0] * 5, [0, -1], [1, 2]], "scatter", mode=1),
    "scatter, a matrix of indices": scattering(
        "scatter", 1, [[0, -3], [1, 0]], (4, 2, 2, 5), "scatter", axis=-2
    ),
    "scatter, stored": scattering("scatter", 0, [2, -1], (2, 3, 5), "scatter", stored=[1]),
    "scatter at single elements": scattering("scatterND", 1, [[3, 2, -1]] * 2, (2,), "scatter_nd"),
    "scatter at pairs, stored": scattering("scatterND", 2, PAIRS, (3, 5), "scatter_nd", stored=[1]),
} | {
    f"{kind}, {mode}": scattering(kind, number, indices, updates, operation, **options)
    for number, mode in enumerate(MODES)
    for kind, indices, updates, operation, options in (
        ("scatter", [1, -3, 1], (4, 3, 5), "scatter", {"axis": 1}),
        ("scatterND", PAIRS, (3, 5), "scatter_nd", {}),
        ("scatterAlongAxis", ALONG, ALONG.shape, "scatter_along_axis", {"axis": -2}),
    )
}  # fmt: skip


def test_as_an_ml_program():
    assert differences(PROGRAMS, "iOS15") == {}


def test_no_index_counts_from_the_end_since_ios17(monkeypatch):
    """There its meaning is undefined, so the evaluator is made to refuse it."""
    strict = functools.partial(scatter_gather.places, validate=True)
    monkeypatch.setattr(scatter_gather, "places", lambda index, size, validate: strict(index, size))
    assert differences(PROGRAMS, "iOS18") == {}


def test_as_an_ml_program_of_halves():
    assert differences(PROGRAMS, "iOS16", "fp16", tolerance=1e-2) == {}
