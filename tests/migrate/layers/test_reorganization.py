"""The oracles: the proto's examples, and elements placed one by one."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences, side_by_side

import migrate
from migrate import ModelError

SPACE_TO_DEPTH, DEPTH_TO_SPACE, PIXEL_SHUFFLE = range(3)


def counted(*shape):
    return np.arange(float(np.prod(shape))).reshape(shape)


@pytest.mark.parametrize("lead", [(), (2,), (3, 2)])
@pytest.mark.parametrize("mode", [0, 1])
def test_flatten(run_layer, lead, mode):
    """CHANNEL_LAST visits the channels of a pixel before the next pixel."""
    x = counted(*lead, 2, 3, 4)
    y = run_layer("flatten", [x], mode=mode)
    expected = np.empty((*lead, 24, 1, 1))
    for c, h, w in np.ndindex(2, 3, 4):
        place = (c * 3 + h) * 4 + w if mode == 0 else (h * 4 + w) * 2 + c
        expected[..., place, 0, 0] = x[..., c, h, w]
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(("mode", "order"), [(0, [0, 1, 2, 3]), (1, [0, 2, 1, 3])])
def test_flatten_in_the_rank5_mapping(run_layer, mode, order):
    y = run_layer("flatten", [counted(2, 1, 2)], mode=mode, rank5=True)
    np.testing.assert_array_equal(y, np.array(order, float).reshape(4, 1, 1))


@pytest.mark.parametrize("rank5", [False, True])
def test_concat_joins_channels(run_layer, rank5):
    x, y, z = counted(2, 3, 4), -counted(1, 3, 4), counted(5, 3, 4) + 100
    found = run_layer("concat", [x, y, z], rank5=rank5)
    assert found.shape == (8, 3, 4)
    for part, first in ((x, 0), (y, 2), (z, 3)):
        np.testing.assert_array_equal(found[first : first + len(part)], part)


@pytest.mark.parametrize("rank5", [False, True])
def test_concat_joins_sequences(run_layer, rank5):
    x, y = counted(2, 3, 2, 1, 2), -counted(1, 3, 2, 1, 2)
    found = run_layer("concat", [x, y], sequenceConcat=True, rank5=rank5)
    assert found.shape == (3, 3, 2, 1, 2)
    np.testing.assert_array_equal(found[:2], x)
    np.testing.assert_array_equal(found[2:], y)


def test_concat_makes_a_sequence_of_two_images(run_layer):
    x, y = counted(2, 3, 4), -counted(2, 3, 4)
    found = run_layer("concat", [x, y], sequenceConcat=True, rank5=True)
    np.testing.assert_array_equal(found, np.array([[x], [y]]))


def test_concat_refuses_other_sizes(run_layer):
    with pytest.raises(ModelError, match="cannot be applied to inputs of shape 2x3x4, 2x3x5"):
        run_layer("concat", [counted(2, 3, 4), counted(2, 3, 5)])


@pytest.mark.parametrize("lead", [(1, 1), (3, 1), (2, 2)])
@pytest.mark.parametrize("mode", [0, 1])
def test_reshape_of_the_channels_keeps_the_sequence(run_layer, lead, mode):
    x = counted(*lead, 2, 3, 4)
    y = run_layer("reshape", [x], mode=mode, targetShape=[6, 2, 2])
    expected = np.empty((*lead, 6, 2, 2))
    for at in np.ndindex(lead):
        if mode == 0:
            expected[at] = x[at].reshape(6, 2, 2)
        else:
            pixels = x[at].transpose(1, 2, 0).ravel()
            expected[at] = pixels.reshape(2, 2, 6).transpose(2, 0, 1)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("batch", [1, 2])
def test_reshape_into_another_sequence(run_layer, mode, batch):
    x = counted(4, batch, 2, 3, 1)
    y = run_layer("reshape", [x], mode=mode, targetShape=[2, 3, 1, 4])
    assert y.shape == (2, batch, 3, 1, 4)
    for b in range(batch):
        if mode == 0:
            expected = x[:, b].ravel().reshape(2, 3, 1, 4)
        else:
            expected = x[:, b].transpose(0, 2, 3, 1).ravel().reshape(2, 1, 4, 3)
            expected = expected.transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(y[:, b], expected)


def test_reshape_makes_a_sequence_of_an_image(run_layer):
    y = run_layer("reshape", [counted(2, 3, 4)], rank5=True, targetShape=[2, 3, 4, 1])
    np.testing.assert_array_equal(y, counted(2, 1, 3, 4, 1))
    y = run_layer("reshape", [counted(2, 3, 4)], rank5=True, targetShape=[4, 3, 2])
    np.testing.assert_array_equal(y, counted(4, 3, 2))


@pytest.mark.parametrize(
    ("axis", "shape"),
    [
        ([0, 3, 1, 2], (2, 3, 6, 4, 5)),
        ([3, 1, 2, 0], (6, 3, 4, 5, 2)),
        ([0, 3, 2, 1], (2, 3, 6, 5, 4)),
        ([1, 0, 2, 3], (4, 3, 2, 5, 6)),
        ([2, 3, 0, 1], (5, 3, 6, 2, 4)),
        ([0, 1, 2, 3], (2, 3, 4, 5, 6)),
        ([], (2, 3, 4, 5, 6)),
    ],
)
@pytest.mark.parametrize("rank5", [False, True])
def test_permute(run_layer, axis, shape, rank5):
    """Output axis i is the input's `axis[i]`; the first three are the proto's examples."""
    x = counted(2, 3, 4, 5, 6)  # [Seq, B, C, H, W]
    y = run_layer("permute", [x], rank5=rank5, axis=axis)
    assert y.shape == shape
    for at in [(0, 0, 0, 0), (1, 3, 4, 5), (1, 0, 2, 1), (0, 2, 1, 4)]:
        moved = [at[n] for n in axis or range(4)]
        assert y[(moved[0], 2, *moved[1:])] == x[(at[0], 2, *at[1:])]


def test_permute_of_an_image_in_the_rank5_mapping(run_layer):
    x = counted(2, 3, 4)
    y = run_layer("permute", [x], rank5=True, axis=[0, 2, 3, 1])
    np.testing.assert_array_equal(y, x.transpose(1, 2, 0))
    y = run_layer("permute", [x], rank5=True, axis=[1, 0, 2, 3])  # channels become a sequence
    np.testing.assert_array_equal(y, x.reshape(2, 1, 1, 3, 4))


@pytest.mark.parametrize("shape", [(6, 2, 3), (2, 6, 2, 3), (2, 1, 6, 2, 3)])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_split(run_layer, shape, parts):
    x = counted(*shape)
    found = run_layer("split", [x], outputs=parts, nOutputs=parts)
    for i, y in enumerate(found if parts > 1 else [found]):
        size = 6 // parts
        np.testing.assert_array_equal(y, x[..., i * size : (i + 1) * size, :, :])


def test_split_in_the_rank5_mapping(run_layer):
    first, second = run_layer("split", [counted(4, 1, 1)], outputs=2, nOutputs=2, rank5=True)
    assert (first.ravel().tolist(), second.ravel().tolist()) == ([0, 1], [2, 3])


def test_split_refuses_channels_that_do_not_divide(run_layer):
    with pytest.raises(ModelError, match="4 channels do not divide into 3 outputs"):
        run_layer("split", [counted(4, 1, 1)], outputs=3, nOutputs=3)


@pytest.mark.parametrize(("times", "expected"), [(0, 1), (1, 1), (3, 3)])
@pytest.mark.parametrize("rank5", [False, True])
def test_sequence_repeat(run_layer, times, expected, rank5):
    x = counted(2, 3, 1, 2, 2)
    y = run_layer("sequenceRepeat", [x], nRepetitions=times, rank5=rank5)
    assert y.shape == (2 * expected, 3, 1, 2, 2)
    for i, element in enumerate(y):
        np.testing.assert_array_equal(element, x[i % 2])


def test_sequence_repeat_of_an_image(run_layer):
    x = counted(2, 3, 4)
    y = run_layer("sequenceRepeat", [x], nRepetitions=2, rank5=True)
    np.testing.assert_array_equal(y, np.array([[x], [x]]))


EXAMPLE = np.arange(1.0, 17).reshape(8, 1, 2)
BLOCKS = {
    DEPTH_TO_SPACE: [[[1, 5, 2, 6], [9, 13, 10, 14]], [[3, 7, 4, 8], [11, 15, 12, 16]]],
    PIXEL_SHUFFLE: [[[1, 3, 2, 4], [5, 7, 6, 8]], [[9, 11, 10, 12], [13, 15, 14, 16]]],
}


@pytest.mark.parametrize("rank5", [False, True])
def test_reorganize_data_as_in_the_examples_of_the_proto(run_layer, rank5):
    def run(x, mode):
        return run_layer("reorganizeData", [x], mode=mode, blockSize=2, rank5=rank5)

    for mode, expected in BLOCKS.items():
        np.testing.assert_array_equal(run(EXAMPLE, mode), expected)
    np.testing.assert_array_equal(run(np.array(BLOCKS[DEPTH_TO_SPACE]), SPACE_TO_DEPTH), EXAMPLE)


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
@pytest.mark.parametrize("block", [2, 3])
@pytest.mark.parametrize("mode", [SPACE_TO_DEPTH, DEPTH_TO_SPACE, PIXEL_SHUFFLE])
def test_reorganize_data(run_layer, lead, block, mode):
    area = block * block
    deep, wide = counted(*lead, 2 * area, 2, 3), counted(*lead, 2, 2 * block, 3 * block)
    for c, h, w, i, j in np.ndindex(2, 2, 3, block, block):
        pixel = i * block + j
        channel = c * area + pixel if mode == PIXEL_SHUFFLE else pixel * 2 + c
        wide[..., c, h * block + i, w * block + j] = deep[..., channel, h, w]
    given, expected = (wide, deep) if mode == SPACE_TO_DEPTH else (deep, wide)
    y = run_layer("reorganizeData", [given], mode=mode, blockSize=block)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("mode", "shape"), [(0, (2, 3, 4)), (0, (2, 4, 3)), (1, (6, 1, 1)), (2, (6, 1, 1))]
)
def test_reorganize_data_refuses_sizes_that_do_not_divide(run_layer, mode, shape):
    with pytest.raises(ModelError, match="cannot be applied"):
        run_layer("reorganizeData", [counted(*shape)], mode=mode, blockSize=2)


@pytest.mark.parametrize(
    ("start", "end", "stride", "kept"),
    [
        (0, 3, 1, [0, 1, 2]),
        (1, 6, 2, [1, 3, 5]),
        (0, 7, 4, [0, 4]),
        (-3, -1, 1, [4, 5]),
        (-7, 2, 1, [0, 1]),
        (2, -2, 1, [2, 3, 4]),
        (5, 100, 1, [5, 6]),
    ],
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slice(run_layer, start, end, stride, kept, axis):
    x = counted(2, 7, 7, 7)
    y = run_layer("slice", [x], startIndex=start, endIndex=end, stride=stride, axis=axis)
    np.testing.assert_array_equal(y, x.take(kept, axis - 3))


def test_slice_of_low_ranks(run_layer):
    fields = {"startIndex": 1, "endIndex": 3, "stride": 1}
    assert run_layer("slice", [counted(4)], axis=2, **fields).tolist() == [1, 2]
    assert run_layer("slice", [counted(4, 1)], axis=1, **fields).tolist() == [[1], [2]]
    np.testing.assert_array_equal(
        run_layer("slice", [counted(4, 1, 2)], rank5=True, **fields), counted(4, 1, 2)[1:3]
    )
    with pytest.raises(ModelError, match="cannot be applied to inputs of shape 4x1"):
        run_layer("slice", [counted(4, 1)], axis=0, **fields)


@pytest.mark.parametrize(
    ("kind", "options", "match"),
    [
        ("flatten", {"mode": 2}, "mode 2 is not a FlattenOrder"),
        ("reshape", {"targetShape": [1, 1, 1], "mode": 2}, "mode 2 is not a ReshapeOrder"),
        ("reshape", {}, "targetShape must be 3 or 4"),
        ("reshape", {"targetShape": [4, 1]}, "targetShape must be 3 or 4"),
        ("reshape", {"targetShape": [4, 1, -1]}, "targetShape must be 3 or 4 positive"),
        ("permute", {"axis": [0, 1, 2]}, "axis must be a permutation"),
        ("permute", {"axis": [0, 1, 2, 2]}, "axis must be a permutation"),
        ("permute", {"axis": [1, 2, 3, 4]}, "axis must be a permutation"),
        ("split", {}, "nOutputs must be positive"),
        ("reorganizeData", {"blockSize": 1}, "blockSize must be greater than 1"),
        ("reorganizeData", {"blockSize": 2, "mode": 3}, "mode 3 is not a ReorganizationType"),
        ("slice", {"endIndex": 2}, "stride must be positive"),
        ("slice", {"endIndex": 2, "stride": 1, "axis": 3}, "axis 3 is not a SliceAxis"),
        ("slice", {"startIndex": 2, "endIndex": 2, "stride": 1}, "nothing lies between"),
        ("slice", {"startIndex": -1, "endIndex": -2, "stride": 1}, "nothing lies between"),
    ],
)
def test_options_that_contradict_the_proto(one_layer, kind, options, match):
    with pytest.raises(ModelError, match=match):
        migrate.to_torch(one_layer(kind, [(4, 1, 1)], **options))


def test_reshape_to_another_number_of_elements_is_refused(run_layer):
    for target in ([3, 1, 1], [1, 3, 1, 1]):
        with pytest.raises(ModelError, match="cannot be applied to inputs of shape 1x1x4x1x1"):
            run_layer("reshape", [counted(1, 1, 4, 1, 1)], targetShape=target)


# as an ML Program

X = np.random.default_rng(0).normal(size=(2, 8, 4, 6))
SEQUENCE = X[:, None]
PROGRAMS = {
    "flatten": case("flatten", [X], mode=0),
    "flatten, channels last": case("flatten", [X], mode=1),
    "flatten, rank 5": case("flatten", [SEQUENCE], mode=1),
    "concat": case("concat", [X, X[:, :3], X]),
    "concat, ranks 4 and 5": case("concat", [X[:1], SEQUENCE[:1]]),
    "concat along the sequence": case("concat", [SEQUENCE, SEQUENCE[:1]], sequenceConcat=True),
    "reshape": case("reshape", [X], targetShape=[4, 8, 6]),
    "reshape, channels last": case("reshape", [X], mode=1, targetShape=[4, 8, 6]),
    "reshape with a sequence": case("reshape", [SEQUENCE], targetShape=[4, 8, 2, 6]),
    "permute": case("permute", [SEQUENCE], axis=[0, 3, 1, 2]),
    "permute the sequence": case("permute", [SEQUENCE], axis=[2, 1, 0, 3]),
    "split": case("split", [X], outputs=4, nOutputs=4),
    "repeat the sequence": case("sequenceRepeat", [SEQUENCE], nRepetitions=3),
    "space to depth": case("reorganizeData", [X], "space_to_depth", mode=0, blockSize=2),
    "depth to space": case("reorganizeData", [X], "depth_to_space", mode=1, blockSize=2),
    "depth to space, rank 5": case("reorganizeData", [SEQUENCE], mode=1, blockSize=2),
    "pixel shuffle": case("reorganizeData", [X], "pixel_shuffle", mode=2, blockSize=2),
    "slice": case("slice", [X], axis=1, startIndex=1, endIndex=-1, stride=2),
    "slice of channels": case("slice", [X], axis=0, startIndex=-5, endIndex=7, stride=1),
}


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target) == {}


def test_a_number_is_flattened_in_an_ml_program():
    """A blob of rank 0, which coremltools' flatten does not take, says how often to repeat."""
    cases = [case("squeeze", [[2]], squeezeAll=True), case("tile", [[1, 5], [0]])]
    spec, given = side_by_side(cases)
    spec.neuralNetwork.layers[1].input[1] = "out_0_0"
    program = migrate.to_mlprogram(spec, "fp32")
    np.testing.assert_array_equal(migrate.evaluate(program, given)["out_1_0"], [1, 5, 1, 5])
