"""Making, joining, splitting, padding and sorting against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import compute, outputs_of

from migrate.coreml import coremltools

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types
X = np.array([[[3, -1, 4, 4], [0, 5, -9, 2], [6, 5, 3, 5]]] * 2, np.float32) / 4
X[1] *= -2
N = np.array([[3, 0, 2**24 + 1], [2**24, -7, 3]], np.int32)  # not all of them are float32


def check(results, expected):
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted, strict=False)
        assert result.shape == np.shape(wanted)


@pytest.mark.parametrize("target", ["iOS15", "iOS17"])
def test_bands_are_what_triangles_leave(target):
    def build(x, n):
        return (
            mb.band_part(x=x),
            mb.band_part(x=x, lower=0),
            mb.band_part(x=x, lower=-1, upper=1),
            mb.band_part(x=n, lower=1, upper=0),
        )

    expected = (X, np.triu(X), np.tril(X, 1), np.triu(np.tril(N), -1))
    check(outputs_of(build, target=target, x=X, n=N), expected)


def test_cumsum_sums_either_way_with_and_without_each_element():
    def build(x, n):
        return (
            mb.cumsum(x=x),
            mb.cumsum(x=x, axis=-1, exclusive=True),
            mb.cumsum(x=x, axis=1, reverse=True),
            mb.cumsum(x=n, axis=1, reverse=True, exclusive=True),
        )

    inclusive = X.cumsum(2)
    reverse = X[:, ::-1].cumsum(1)[:, ::-1]
    last = N[:, ::-1].cumsum(1)[:, ::-1] - N
    check(outputs_of(build, x=X, n=N), (X.cumsum(0), inclusive - X, reverse, last))


def test_fill_takes_a_computed_shape_and_its_value_s_type():
    def build(x):
        return (
            mb.fill(shape=mb.shape(x=x), value=2.5),
            mb.fill(shape=[2, 3], value=7),
            mb.cast(x=mb.fill(shape=[1], value=True), dtype="int32"),
            mb.fill(shape=[2]),
            mb.fill_like(ref_tensor=x, value=4),
            mb.fill_like(ref_tensor=x),
        )

    expected = (
        np.full(X.shape, 2.5),
        np.full((2, 3), 7),
        np.ones(1),
        np.zeros(2),
        np.full(X.shape, 4),
        np.zeros(X.shape),
    )
    results = outputs_of(build, x=X)
    check(results, expected)
    assert results[1].dtype == np.int32


def test_non_zero_lists_indices_in_the_order_of_memory():
    result = outputs_of(lambda x: mb.non_zero(x=x), x=X)[0]
    np.testing.assert_array_equal(result, np.argwhere(X))


@pytest.mark.parametrize("axis", [-1, 0, 1, -2])
def test_one_hot_puts_the_new_axis_anywhere(axis):
    index = np.array([[1, 0, 3], [2, 9, 1]], np.int32)  # 9 is nowhere

    def build(i, size):
        return (
            mb.one_hot(indices=i, one_hot_vector_size=4, axis=axis),
            mb.one_hot(
                indices=i,
                one_hot_vector_size=mb.squeeze(x=size),
                axis=axis,
                on_value=0.5,
                off_value=-2.0,
            ),
        )

    hot = np.stack([index == n for n in range(4)], axis)
    results = outputs_of(build, i=index, size=np.array([4], np.int32))
    check(results, (hot.astype(int), np.where(hot, 0.5, -2.0)))


def test_one_hot_of_a_number_is_a_vector():
    result = compute("one_hot", indices=2, one_hot_vector_size=3)
    np.testing.assert_array_equal(result, [0, 0, 1])


@pytest.mark.parametrize("half", [False, True])
def test_pad_surrounds_the_last_axes(half):
    def build(x):
        return (
            mb.pad(x=x, pad=[1, 2]),
            mb.pad(x=x, pad=[0, 1, 2, 0], mode="constant", constant_val=-1.5),
            mb.pad(x=x, pad=[2, 1, 3, 2], mode="reflect"),
            mb.pad(x=x, pad=[1, 0, 2, 3, 4, 1], mode="replicate"),
        )

    expected = (
        np.pad(X, [(0, 0), (0, 0), (1, 2)]),
        np.pad(X, [(0, 0), (0, 1), (2, 0)], constant_values=-1.5),
        np.pad(X, [(0, 0), (2, 1), (3, 2)], "reflect"),
        np.pad(X, [(1, 0), (2, 3), (4, 1)], "edge"),
    )
    check(outputs_of(build, half=half, x=X), expected)


def test_pad_takes_computed_amounts():
    amounts = np.array([0, 0, 1, 0, 0, 2], np.int32)
    result = outputs_of(lambda x, amounts: mb.pad(x=x, pad=amounts), x=X, amounts=amounts)[0]
    np.testing.assert_array_equal(result, np.pad(X, [(0, 0), (1, 0), (0, 2)]))


def test_no_more_is_reflected_than_there_is():
    with pytest.raises(ValueError, match="3 elements cannot be reflected of 3"):
        compute("pad", x=torch.zeros(3), pad=[3, 0], mode="reflect")


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [(0, 5, 1), (7, -2, -3), (0.5, 2.0, 0.25), (0.0, 1.0, 0.1), (1.0, -1.0, -0.75), (3, 3, 1)],
)
def test_range_1d_is_numpy_s(start, end, step):
    result = compute("range_1d", start=start, end=end, step=step)
    np.testing.assert_allclose(result, np.arange(start, end, step), rtol=1e-6)


def test_range_1d_takes_computed_bounds():
    def build(n, x):
        end = mb.squeeze(x=n)
        return mb.range_1d(start=1, end=end, step=2), mb.range_1d(
            start=0.0, end=mb.squeeze(x=x), step=0.5
        )

    inputs = {"n": np.array([8], np.int32), "x": np.array([1.75], np.float32)}
    check(outputs_of(build, **inputs), ([1, 3, 5, 7], [0, 0.5, 1, 1.5]))


def test_tile_repeats_each_axis():
    def build(x, reps):
        return mb.tile(x=x, reps=[1, 2, 3]), mb.tile(x=x, reps=reps)

    results = outputs_of(build, x=X, reps=np.array([2, 1, 2], np.int32))
    check(results, (np.tile(X, (1, 2, 3)), np.tile(X, (2, 1, 2))))


@pytest.mark.parametrize("name", ["argsort", "topk"])
def test_many_equal_elements_keep_their_order(name):
    x = np.random.RandomState(0).randint(0, 3, 5000)
    result = compute(name, x=torch.from_numpy(x), **({"k": 5000} if name == "topk" else {}))
    order = result if name == "argsort" else result[1]
    np.testing.assert_array_equal(order, np.argsort(-x, kind="stable"))


@pytest.mark.parametrize("axis", [-1, 1])
def test_argsort_and_topk_take_the_first_of_equal_elements(axis):
    def build(x):
        most = mb.topk(x=x, k=2, axis=axis)
        least = mb.topk(x=x, k=3, axis=axis, ascending=True)
        return (
            mb.argsort(x=x, axis=axis),
            mb.argsort(x=x, axis=axis, ascending=True),
            *most,
            *least,
        )

    down, up = np.argsort(-X, axis, "stable"), np.argsort(X, axis, "stable")
    most, least = np.split(down, [2], axis)[0], np.split(up, [3], axis)[0]
    values = (np.take_along_axis(X, index, axis) for index in (most, least))
    expected = (down, up, next(values), most, next(values), least)
    check(outputs_of(build, target="iOS15", x=X), expected)


def test_topk_of_ios_17_has_more_options():
    def build(x, n):
        return (
            mb.topk(x=x, k=1, return_indices=False),
            mb.topk(x=n, k=2, axis=0, sort=False)[0],
            mb.cast(x=mb.topk(x=x, k=2, output_indices_dtype="uint16")[1], dtype="int32"),
        )

    order = np.argsort(-X, 2, "stable")
    most, unsorted, indices = outputs_of(build, x=X, n=N)
    np.testing.assert_array_equal(most, X.max(2, keepdims=True))
    np.testing.assert_array_equal(np.sort(unsorted, 0), np.sort(N, 0))
    np.testing.assert_array_equal(indices, order[..., :2])


def test_topk_of_minus_one_is_all():  # coremltools cannot write such a program
    results = compute("topk", x=torch.from_numpy(X), k=-1, axis=2)
    check(results, (-np.sort(-X, 2), np.argsort(-X, 2, "stable")))


@pytest.mark.parametrize(("axis", "shape"), [(1, (2, 12)), (-1, (6, 4)), (2, (6, 4)), (0, (1, 24))])
def test_flatten2d_joins_what_is_before_and_from_an_axis(axis, shape):
    check(outputs_of(lambda x: mb.flatten2d(x=x, axis=axis), x=X), [X.reshape(shape)])


def test_concat_joins_in_a_row_or_slice_by_slice():
    def build(x, n):
        y = mb.mul(x=x, y=2.0)
        number = mb.squeeze(x=mb.slice_by_index(x=n, begin=[0, 2], end=[1, 3]))
        return (
            mb.concat(values=(x, y, x), axis=-2),
            mb.concat(values=(x, y), axis=-1, interleave=True),
            mb.concat(values=(number, 5), axis=0),
            mb.stack(values=(x, y), axis=-1),
            mb.stack(values=(x, y), axis=1),
        )

    interleaved = np.stack([X, 2 * X], -1).reshape(2, 3, 8)
    expected = (
        np.concatenate([X, 2 * X, X], 1),
        interleaved,
        [N[0, 2], 5],
        np.stack([X, 2 * X], -1),
        np.stack([X, 2 * X], 1),
    )
    check(outputs_of(build, x=X, n=N), expected)


def test_split_cuts_into_equal_or_given_sizes():
    def build(x):
        parts = (
            *mb.split(x=x, num_splits=2, axis=-1),
            *mb.split(x=x, split_sizes=[1, 2], axis=1),
            *mb.split(x=x, num_splits=2, split_sizes=[3, 1], axis=2),
        )
        return tuple(mb.identity(x=part) for part in parts)

    expected = [*np.split(X, 2, 2), *np.split(X, [1], 1), *np.split(X, [3], 2)]
    check(outputs_of(build, x=X), expected)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("pad", {"pad": [1, 1], "mode": "wrap"}, "mode 'wrap' is not known"),
        ("topk", {"output_indices_dtype": "int8"}, "'int8' is not known"),
        ("split", {"axis": 0, "num_splits": 2}, "3 cannot be split into 2 equal parts"),
        ("split", {"axis": 0}, "3 cannot be split into None equal parts"),
    ],
)
def test_what_is_not_known_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        compute(name, x=torch.zeros(3), **arguments)
