"""Gather and scatter against loops over their indices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import compute, outputs_of

from migrate.coreml import coremltools
from migrate.errors import ModelError

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types
X = np.random.RandomState(0).randint(1, 9, (2, 3, 4)).astype(np.float32) / 2
COMBINE = {
    "add": lambda a, b: a + b,
    "div": lambda a, b: a / b,
    "max": max,
    "min": min,
    "mul": lambda a, b: a * b,
    "sub": lambda a, b: a - b,
    "update": lambda a, b: b,
}


def check(results, expected):
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-6)
        assert result.shape == np.shape(wanted)


def ints(*values):
    return np.array(values, np.int32)


@pytest.mark.parametrize("target", ["iOS15", "iOS17"])
def test_gather_puts_the_indices_dimensions_in_place_of_the_axis(target):
    index = ints([[2, 0], [1, 1], [0, 2]]) % 2

    def build(x, i):
        return (
            mb.gather(x=x, indices=i),
            mb.gather(x=x, indices=i, axis=1),
            mb.gather(x=x, indices=[1, 0, 1], axis=-1),
            mb.gather(x=x, indices=1, axis=2),
        )

    expected = (X[index], X[:, index], X[..., [1, 0, 1]], X[..., 1])
    check(outputs_of(build, target=target, x=X, i=index), expected)


def test_negative_indices_count_from_the_end_unless_they_are_validated():
    def build(x):
        return (
            mb.gather(x=x, indices=[-1, 0], axis=1),
            mb.gather_nd(x=x, indices=[[-1, -3], [0, -1]]),
            mb.scatter(data=x, indices=[-2], updates=x_row, axis=1, mode="update"),
        )

    x_row = np.full((2, 1, 4), 9, np.float32)
    written = X.copy()
    written[:, 1:2] = x_row
    check(outputs_of(build, target="iOS16", x=X), (X[:, [-1, 0]], X[[-1, 0], [-3, -1]], written))
    with pytest.raises(IndexError, match=r"not all in \[0, 2\)"):
        compute("gather", x=torch.ones(2), indices=torch.tensor([-1]), validate_indices=True)


@pytest.mark.parametrize(("batch", "axis"), [(1, 1), (1, 2), (1, -1), (2, 2)])
def test_gather_has_its_own_indices_in_each_batch(batch, axis):
    shape = {1: (2, 5, 2), 2: (2, 3, 5)}[batch]
    index = np.random.RandomState(1).randint(0, 3, shape).astype(np.int32)

    def build(x, i):
        return mb.gather(x=x, indices=i, axis=axis, batch_dims=batch)

    expected = np.array(
        [
            np.take(X[b], index[b], axis % 3 - batch + (batch - 1))
            if batch == 1
            else [np.take(X[b, c], index[b, c]) for c in range(3)]
            for b in range(2)
        ]
    )
    check(outputs_of(build, target="iOS16", x=X, i=index), [expected])


def test_gather_nd_reads_slices_at_multi_indices():
    pairs = ints([[1, 2], [0, 0]], [[0, 1], [1, 1]])
    single = ints([2], [0])

    def build(x, pairs, single):
        return (
            mb.gather_nd(x=x, indices=pairs),
            mb.gather_nd(x=x, indices=[[1, 2, 3], [0, 0, 0]]),
            mb.gather_nd(x=x, indices=single, batch_dims=1),
            mb.gather_nd(x=x, indices=pairs, batch_dims=1),
        )

    expected = (
        X[pairs[..., 0], pairs[..., 1]],
        [X[1, 2, 3], X[0, 0, 0]],
        [X[b, single[b, 0]] for b in range(2)],
        [[X[b, i, j] for i, j in pairs[b]] for b in range(2)],
    )
    check(outputs_of(build, x=X, pairs=pairs, single=single), expected)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_along_axis_has_an_index_for_each_place(axis):
    index = np.random.RandomState(2).randint(0, 2, X.shape).astype(np.int32)
    index = np.concatenate([index, index], axis)

    def build(x, i):
        return mb.gather_along_axis(x=x, indices=i, axis=axis, validate_indices=True)

    check(outputs_of(build, x=X, i=index), [np.take_along_axis(X, index, axis)])


@pytest.mark.parametrize("name", ["gather", "gather_along_axis"])
def test_short_integers_are_read_and_are_indices(name):
    def build(x, i):
        short = mb.cast(x=x, dtype="uint16")
        found = getattr(mb, name)(x=short, indices=mb.cast(x=i, dtype="uint16"), axis=0)
        return mb.cast(x=found, dtype="int32")

    x = ints(1, 65535, 7)
    check(outputs_of(build, x=x, i=ints(2, 1)), [[7, 65535]])


@pytest.mark.parametrize("mode", COMBINE)
@pytest.mark.parametrize("whole", [False, True])
def test_scatter_combines_slices_in_their_order(mode, whole):
    data = (X * 16).astype(np.int32) - 41 if whole else X
    updates = data[:, [1, 0, 2, 1]] // 8 * 2 + 1
    index = ints(1, 0, 1, 1)

    def build(data, i, updates):
        return mb.scatter(data=data, indices=i, updates=updates, axis=1, mode=mode)

    expected = data.astype(np.float64)
    for k, place in enumerate(index):
        for b, c in np.ndindex(2, 4):
            expected[b, place, c] = COMBINE[mode](expected[b, place, c], updates[b, k, c])
            if whole:
                expected[b, place, c] = np.trunc(expected[b, place, c])
    check(outputs_of(build, data=data, i=index, updates=updates), [expected])


@pytest.mark.parametrize("mode", COMBINE)
@pytest.mark.parametrize("axis", [0, -1])
def test_scatter_along_axis_has_an_index_for_each_place(mode, axis):
    index = np.random.RandomState(3).randint(0, 2, X.shape).astype(np.int32)
    updates = X[::-1, ::-1] + 0.5

    def build(data, i, updates):
        return mb.scatter_along_axis(
            data=data, indices=i, updates=updates, axis=axis, mode=mode, validate_indices=True
        )

    expected = X.astype(np.float64)
    for place in np.ndindex(*X.shape):
        target = list(place)
        target[axis] = index[place]
        expected[tuple(target)] = COMBINE[mode](expected[tuple(target)], updates[place])
    check(outputs_of(build, data=X, i=index, updates=updates.copy()), [expected])


@pytest.mark.parametrize("mode", COMBINE)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_scatter_nd_writes_slices_at_multi_indices(mode, depth):
    index = ints([1, 2, 0], [0, 1, 3], [1, 2, 0], [1, 0, 2])[:, :depth].reshape(2, 2, depth)
    shape = (2, 2, *X.shape[depth:])
    updates = np.random.RandomState(4).randint(1, 9, shape).astype(np.float32) / 4

    def build(data, i, updates):
        return mb.scatter_nd(data=data, indices=i, updates=updates, mode=mode)

    expected = X.astype(np.float64)
    for k in np.ndindex(2, 2):
        place = tuple(index[k])
        part = np.broadcast_arrays(expected[place], updates[k])
        expected[place] = np.vectorize(COMBINE[mode], otypes=[float])(*part)
    check(outputs_of(build, target="iOS15", data=X, i=index, updates=updates), [expected])


@pytest.mark.parametrize("name", ["scatter", "scatter_along_axis", "scatter_nd"])
def test_the_default_mode_adds(name):
    index = torch.tensor([[1]]) if name == "scatter_nd" else torch.tensor([1])
    result = compute(name, data=torch.ones(2), indices=index, updates=torch.tensor([2.0]))
    np.testing.assert_array_equal(result, [1, 3])
    with pytest.raises(ValueError, match="mode 'xor' is not known"):
        compute(name, data=torch.ones(2), indices=index, updates=torch.ones(1), mode="xor")


@pytest.mark.parametrize("validate", [False, True])
def test_an_index_out_of_range_is_refused(validate):
    def build(x, i):
        return mb.gather(x=x, indices=i, axis=2, validate_indices=validate)

    with pytest.raises(ModelError, match=r"gather.*indices are not all in \[-?\d, 4\)"):
        outputs_of(build, x=X, i=ints(0, 4))
    with pytest.raises(IndexError):
        compute(
            "scatter_nd",
            data=torch.ones(2, 2),
            indices=torch.tensor([[0, 2]]),
            updates=torch.ones(1),
            validate_indices=validate,
        )


def test_batch_dimensions_stand_before_the_axis():
    with pytest.raises(ValueError, match="batch_dims 2 do not go with axis 1"):
        compute("gather", x=torch.ones(2, 2, 2), indices=torch.ones(2, 2), axis=1, batch_dims=2)


def test_float16_sums_are_rounded_once():
    def build(data, i, updates):
        return mb.scatter(data=data, indices=i, updates=updates, mode="add")

    data, updates = np.float32([2048, 1]), np.float32([1, 1, 1])
    result = outputs_of(build, half=True, data=data, i=ints(0, 0, 0), updates=updates)
    check(result, [[np.float16(2051), 1]])
