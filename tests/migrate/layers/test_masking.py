"""Parts of a matrix, and selection: against numpy and the proto's formulas."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences

from migrate.errors import ModelError

MATRICES = [(4, 4), (3, 5), (5, 2), (2, 3, 4), (2, 1, 3, 3, 4)]


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 2), (2, 1, 2, 2, 3)])
def test_where_non_zero(run_layer, shape):
    x = np.random.default_rng(3).integers(-1, 2, size=shape).astype(float)
    y = run_layer("whereNonZero", [x])
    assert y.dtype == np.float64
    assert y.tolist() == [list(index) for index in np.ndindex(shape) if x[index] != 0]


def test_where_non_zero_finds_nothing_small_values_and_nan(run_layer):
    assert run_layer("whereNonZero", [np.zeros((2, 3))]).shape == (0, 2)
    x = [0.0, -0.0, 1e-30, np.nan, -np.inf]
    assert run_layer("whereNonZero", [x]).tolist() == [[2], [3], [4]]


@pytest.mark.parametrize("shape", MATRICES)
@pytest.mark.parametrize("lower", [-3, -1, 0, 1, 9])
@pytest.mark.parametrize("upper", [-2, 0, 1, 2, 9])
def test_matrix_band_part(run_layer, shape, lower, upper):
    x = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    row, column = np.indices(shape[-2:])
    band = ((lower < 0) | (row - column <= lower)) & ((upper < 0) | (column - row <= upper))
    y = run_layer("matrixBandPart", [x], numLower=lower, numUpper=upper)
    np.testing.assert_array_equal(y, np.where(band, x, 0))


@pytest.mark.parametrize("shape", MATRICES)
@pytest.mark.parametrize("k", [None, -2, -1, 1, 3, 9, -9])
def test_triangles(run_layer, shape, k):
    x = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    row, column = np.indices(shape[-2:])
    options = {} if k is None else {"k": k}
    diagonal = column - row - (k or 0)
    lower = run_layer("lowerTriangular", [x], **options)
    np.testing.assert_array_equal(lower, np.where(diagonal <= 0, x, 0))
    upper = run_layer("upperTriangular", [x], **options)
    np.testing.assert_array_equal(upper, np.where(diagonal >= 0, x, 0))


def test_what_is_outside_becomes_0_whatever_it_was(run_layer):
    x = np.full((2, 2), np.nan)
    for kind in ("matrixBandPart", "lowerTriangular", "upperTriangular"):
        y = run_layer(kind, [x])
        assert np.isnan(y[[0, 1], [0, 1]]).all()
        assert y[0, 1] == 0 or kind == "upperTriangular"
        assert y[1, 0] == 0 or kind == "lowerTriangular"


@pytest.mark.parametrize("kind", ["matrixBandPart", "lowerTriangular", "upperTriangular"])
def test_a_vector_is_no_matrix(run_layer, kind):
    with pytest.raises(ModelError, match=rf"'tested' \({kind}\).*inputs of shape 3:"):
        run_layer(kind, [np.ones(3)])


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3), (2, 3), (2, 3)),
        ((3,), (2, 1), (1, 3)),
        ((1,), (2, 3), (3,)),
        ((2, 1, 3), (2, 1), (1,)),
    ],
)
def test_where_broadcastable(run_layer, shapes):
    x, y = 10.0 + np.arange(6), -1.0 - np.arange(6)
    inputs = [
        np.resize(v, s) for v, s in zip(([0.0, 1, -2, 1e-9, -0.0], x, y), shapes, strict=True)
    ]
    z = run_layer("whereBroadcastable", inputs)
    condition, a, b = np.broadcast_arrays(*inputs)
    assert z.shape == condition.shape
    wanted = [p if c else q for c, p, q in zip(condition.flat, a.flat, b.flat, strict=True)]
    assert z.ravel().tolist() == wanted


def test_where_broadcastable_does_not_leak_what_it_leaves_out(run_layer):
    z = run_layer("whereBroadcastable", [[1.0, 0.0], [2.0, np.nan], [np.inf, 3.0]])
    assert z.tolist() == [2, 3]


def test_where_broadcastable_needs_three_inputs_that_fit(run_layer):
    with pytest.raises(ModelError, match=r"'tested' \(whereBroadcastable\)"):
        run_layer("whereBroadcastable", [np.ones(2), np.ones(2)])
    with pytest.raises(ModelError, match=r"inputs of shape 2, 3, 2"):
        run_layer("whereBroadcastable", [np.ones(2), np.ones(3), np.ones(2)])


# as an ML Program

X = np.random.default_rng(0).normal(size=(2, 3, 5))
NOT_ZERO = [[0, 1, -0.0], [0.25, np.inf, 1e-30]]
PROGRAMS = {
    "indices": case("whereNonZero", [NOT_ZERO], "non_zero"),
    "indices of a vector": case("whereNonZero", [[0, 2, -1]], "non_zero"),
    "indices of rank 3": case("whereNonZero", [X.clip(0)], "non_zero"),
    **{
        f"band {lower} {upper}": case("matrixBandPart", [X], numLower=lower, numUpper=upper)
        for lower, upper in ((0, 0), (1, 0), (0, 2), (-1, 1), (2, -1), (-1, -1), (9, 9))
    },
    **{f"lower {k}": case("lowerTriangular", [X], k=k) for k in (-9, -2, -1, 0, 1, 3, 9)},
    **{f"upper {k}": case("upperTriangular", [X], k=k) for k in (-9, -2, -1, 0, 1, 3, 9)},
    "choose": case("whereBroadcastable", [NOT_ZERO, X[0, :2, :3], X[1, :2, :3]], "select"),
    "choose, broadcast": case("whereBroadcastable", [[0, 1, 0.5], X[:, :, :1], [[[2]]]], "select"),
    "choose, by a higher rank": case("whereBroadcastable", [X.clip(0), [1], [2]], "select"),
}  # fmt: skip


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target) == {}


def test_infinities_outside_a_triangle_are_left_out_of_an_ml_program():
    x = np.full((3, 4), np.inf)
    cases = {
        f"{kind} {k}": case(kind, [x], k=k)
        for kind in ("lowerTriangular", "upperTriangular")
        for k in (-1, 0, 2)
    }
    assert differences(cases, "iOS16") == {}
