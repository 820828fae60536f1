"""Shapes, orders and parts of tensors against numpy, torch's own, and places one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import compute, outputs_of

from migrate.coreml import coremltools

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 2


def check(results, expected):
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)
        assert result.shape == np.shape(wanted)


def ints(*values):
    return np.array(values, np.int32)


@pytest.mark.parametrize("half", [False, True])
def test_dimensions_of_size_one_come_and_go(half):
    def build(x):
        y = mb.expand_dims(x=x, axes=[-1, 1])
        return (
            y,
            mb.squeeze(x=y),
            mb.squeeze(x=y, axes=[-1]),
            mb.squeeze(x=y, axes=[-1, 1]),
        )

    y = X[:, None, ..., None]
    check(outputs_of(build, half=half, x=X), (y, X, y[..., 0], X))


def test_a_number_can_be_given_dimensions():
    assert compute("expand_dims", x=2.5, axes=torch.tensor([0, 1])).tolist() == [[2.5]]
    assert compute("reshape", x=2.5, shape=torch.tensor([1, 1])).tolist() == [[2.5]]


def test_squeeze_leaves_axes_of_another_size():
    assert compute("squeeze", x=torch.ones(1, 2), axes=torch.tensor([0, 1])).shape == (2,)


@pytest.mark.parametrize(
    ("target", "shape", "expected"),
    [
        ("iOS15", [4, -1], (4, 6)),
        ("iOS15", [0, -1, 2], (2, 6, 2)),
        ("iOS15", [-1, 0, 0], (2, 3, 4)),
        ("iOS17", [0, 0, -1, 0, 0], (1, 1, 2, 3, 4)),
        ("iOS17", [-1, 0], (6, 4)),
    ],
)
def test_reshape_takes_sizes_of_its_input_for_zeros(target, shape, expected):
    def build(x):
        return mb.reshape(x=x, shape=shape)

    check(outputs_of(build, target=target, x=X), [X.reshape(expected)])


def test_reshape_takes_a_computed_shape():
    result = outputs_of(lambda x, s: mb.reshape(x=x, shape=s), x=X, s=ints(3, -1))
    check(result, [X.reshape(3, 8)])


def test_reshape_like_joins_parts_of_shapes():
    def build(x, a, b):
        return mb.reshape_like(
            x=x, ref_tensors=(a, b), begins=(0, 1), ends=(2, 0), end_masks=(False, True)
        )

    a, b = np.zeros((2, 2, 5), np.float32), ints([1] * 6)
    check(outputs_of(build, target="iOS16", x=X, a=a, b=b), [X.reshape(2, 2, 6)])


def test_transpose_and_reverse_take_negative_axes():
    def build(x):
        return (
            mb.transpose(x=x, perm=[-1, 0, 1]),
            mb.reverse(x=x),
            mb.reverse(x=x, axes=[0, -1]),
        )

    expected = (X.transpose(2, 0, 1), X[::-1, ::-1, ::-1], X[::-1, :, ::-1])
    check(outputs_of(build, x=X), expected)


@pytest.mark.parametrize(("sequence", "batch"), [(1, 0), (-1, 1), (0, 2)])
def test_reverse_sequence_reverses_what_each_length_says(sequence, batch):
    lengths = ints(*[(1, 2, 0, 2), (3, 0), (4, 2, 1)][{0: 1, 1: 2, 2: 0}[batch]])
    moved = np.moveaxis(X, (batch, sequence), (0, 1)).copy()
    for one, length in zip(moved, lengths, strict=True):
        one[:length] = one[:length][::-1].copy()

    def build(x, lengths):
        return mb.reverse_sequence(x=x, lengths=lengths, seq_axis=sequence, batch_axis=batch)

    expected = np.moveaxis(moved, (0, 1), (batch, sequence))
    check(outputs_of(build, x=X, lengths=lengths), [expected])


def test_reverse_sequence_refuses_what_has_no_meaning():
    with pytest.raises(ValueError, match="are both 0"):
        compute("reverse_sequence", x=torch.ones(2, 2), lengths=torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="length 3 is not in"):
        compute("reverse_sequence", x=torch.ones(1, 2), lengths=torch.tensor([3]), seq_axis=1)


Y = [False, True, False]
SLICES = [
    ({"begin": [0, 1, 1], "end": [2, 3, 3]}, np.s_[0:2, 1:3, 1:3]),
    ({"begin": [-1, -2, -4], "end": [2, -1, 9], "stride": [1, 1, 2]}, np.s_[-1:2, -2:-1, -4:9:2]),
    ({"begin": [0, 9, 0], "end": [9, 9, 2], "begin_mask": Y, "end_mask": Y}, np.s_[0:9, :, 0:2]),
    ({"begin": [0, 2, 3], "end": [2, 0, 0], "stride": [1, -1, -2]}, np.s_[0:2, 2:0:-1, 3:0:-2]),
    (
        {
            "begin": [1, 5, 0],
            "end": [0, 5, 4],
            "stride": [-1, -1, 1],
            "begin_mask": Y,
            "end_mask": Y,
        },
        np.s_[1:0:-1, ::-1, 0:4],
    ),
    ({"begin": [0, -1, 0], "end": [2, 0, 4], "squeeze_mask": Y}, np.s_[0:2, -1, 0:4]),
    ({"begin": [1, 2, 3], "end": [0, 0, 0], "squeeze_mask": [True] * 3}, np.s_[1, 2, 3]),
    (
        {"begin": [1, 2, 0], "end": [2, 3, 3], "squeeze_mask": Y, "begin_mask": Y},
        np.s_[1:2, 0, 0:3],
    ),
]


@pytest.mark.parametrize(("arguments", "index"), SLICES)
def test_slices_are_python_s(arguments, index):
    def build(x, n):
        return (
            mb.identity(x=mb.slice_by_index(x=x, **arguments)),
            mb.slice_by_index(x=n, **arguments),
        )

    if arguments.get("squeeze_mask") == [True] * 3:  # no output of a model has rank 0
        arrays = {name: torch.tensor(value) for name, value in arguments.items()}
        assert compute("slice_by_index", x=torch.from_numpy(X), **arrays).item() == X[index]
        return
    check(outputs_of(build, x=X, n=X.astype(np.int32)), (X[index], X.astype(np.int32)[index]))


def test_the_bounds_of_a_slice_may_be_computed():
    def build(x, begin, end):
        return mb.slice_by_index(x=x, begin=begin, end=end), mb.slice_by_size(
            x=x, begin=begin, size=end
        )

    results = outputs_of(build, x=X, begin=ints(0, 1, -3), end=ints(1, 2, 2))
    check(results, (X[0:1, 1:2, -3:2], X[0:1, 1:3, 1:3]))


# an update has an axis at least
@pytest.mark.parametrize(("arguments", "index"), [one for one in SLICES if X[one[1]].ndim])
def test_slice_update_writes_where_slices_read(arguments, index):
    update = -1 - np.arange(X[index].size, dtype=np.float32).reshape(X[index].shape)
    expected = X.copy()
    expected[index] = update

    def build(x, update):
        return mb.slice_update(x=x, update=update, **arguments)

    check(outputs_of(build, target="iOS18", x=X, update=update), [expected])


def test_slice_update_leaves_its_input_as_it_is():
    x, bounds = torch.zeros(2), {"begin": torch.tensor([0]), "end": torch.tensor([1])}
    assert compute("slice_update", x=x, update=torch.ones(1), **bounds).tolist() == [1, 0]
    assert x.tolist() == [0, 0]


def test_slice_by_size_takes_what_remains_for_minus_one():
    def build(x):
        return mb.slice_by_size(x=x, begin=[0, -2, 1], size=[1, -1, 2])

    check(outputs_of(build, target="iOS15", x=X), [X[:1, 1:, 1:3]])
    with pytest.raises(ValueError, match="size -2 is negative"):
        compute("slice_by_size", x=torch.ones(2), begin=[0], size=[-2])


@pytest.mark.parametrize(("axis", "size", "stride"), [(-1, 2, 1), (1, 2, 1), (2, 3, 1), (2, 1, 2)])
def test_sliding_windows_stand_in_place_of_their_axis(axis, size, stride):
    def build(x):
        return mb.sliding_windows(x=x, axis=axis, size=size, stride=stride)

    starts = range(0, X.shape[axis] - size + 1, stride)
    windows = [np.take(X, range(start, start + size), axis) for start in starts]
    check(outputs_of(build, x=X), [np.stack(windows, axis % 3)])


def test_short_integers_are_moved_too():
    def build(x):
        short = mb.cast(x=x, dtype="uint16")
        moved = (
            mb.reverse(x=short, axes=[0]),
            mb.slice_by_index(x=short, begin=[3], end=[0], stride=[-1]),
            mb.expand_dims(x=short, axes=[0]),
        )
        return tuple(mb.cast(x=one, dtype="int32") for one in moved)

    x = ints(1, 65535, 7, 9)
    check(outputs_of(build, x=x), (x[::-1], x[3:0:-1], x[None]))


def image(*shape):
    return np.random.RandomState(0).randint(-32, 32, shape).astype(np.float32) / 8


def test_depth_and_space_are_exchanged_by_place_first():
    x = image(2, 8, 3, 2)

    def build(x):
        y = mb.depth_to_space(x=x, block_size=2)
        return y, mb.space_to_depth(x=y, block_size=2)

    expected = np.empty((2, 2, 6, 4))
    for n, c, h, w in np.ndindex(*expected.shape):
        place = h % 2 * 2 + w % 2
        expected[n, c, h, w] = x[n, place * 2 + c, h // 2, w // 2]
    check(outputs_of(build, x=x), (expected, x))


def test_pixels_are_shuffled_as_torch_does():
    x = image(1, 18, 2, 3)
    expected = torch.nn.PixelShuffle(3)(torch.from_numpy(x))

    def build(x):
        y = mb.pixel_shuffle(x=x, upscale_factor=3)
        return y, mb.pixel_unshuffle(x=y, downscale_factor=np.uint32(3))

    check(outputs_of(build, target="iOS16", x=x), (expected.numpy(), x))


def test_space_and_batch_are_exchanged():
    x = image(2, 3, 3, 5)

    def build(x):
        y = mb.space_to_batch(x=x, block_shape=[2, 3], paddings=[[1, 0], [0, 1]])
        return y, mb.batch_to_space(x=y, block_shape=[2, 3], crops=[[1, 0], [0, 1]])

    padded = np.pad(x, [(0, 0), (0, 0), (1, 0), (0, 1)])
    parts = [padded[:, :, i::2, j::3] for i in range(2) for j in range(3)]
    check(outputs_of(build, x=x), (np.concatenate(parts), x))
