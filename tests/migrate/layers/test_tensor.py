"""Joining, dividing, repeating, turning and summing up, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences

import migrate
from migrate.errors import ModelError

rng = np.random.default_rng(0)


def same(got, want):
    np.testing.assert_array_equal(got, np.asarray(want, np.float64), strict=True)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("sizes", [(2, 3), (1, 4, 2)])
def test_concat_along_any_axis(run_layer, axis, sizes):
    shapes = [[n if i == axis % 3 else 3 for i in range(3)] for n in sizes]
    xs = [rng.normal(size=shape) for shape in shapes]
    same(run_layer("concatND", xs, axis=axis), np.concatenate(xs, axis))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat_interleaved_takes_one_of_each_in_turn(run_layer, axis):
    xs = [rng.normal(size=(2, 3)) for _ in range(3)]
    want = np.empty([n * (3 if i == axis % 2 else 1) for i, n in enumerate((2, 3))])
    for i, x in enumerate(xs):
        want[(slice(None),) * (axis % 2) + (slice(i, None, 3),)] = x
    same(run_layer("concatND", xs, axis=axis, interleave=True), want)


@pytest.mark.parametrize(
    ("kind", "axis", "shapes", "match"),
    [
        ("concatND", 2, [(2, 3), (2, 3)], "layer 'tested'"),
        ("concatND", -3, [(2, 3), (2, 3)], "layer 'tested'"),
        ("concatND", 0, [(2, 3), (2, 4)], "2x3, 2x4"),
        ("stack", 0, [(2, 3), (3, 2)], "2x3, 3x2"),
        ("stack", 3, [(2, 3), (2, 3)], "layer 'tested'"),
    ],
)
def test_joining_what_does_not_fit(run_layer, kind, axis, shapes, match):
    with pytest.raises(ModelError, match=match):
        run_layer(kind, [np.zeros(shape) for shape in shapes], axis=axis)


def test_interleaving_needs_one_shape_and_a_real_axis(run_layer):
    with pytest.raises(ModelError, match="2x3, 4x3"):
        run_layer("concatND", [np.zeros((2, 3)), np.zeros((4, 3))], interleave=True)
    with pytest.raises(ModelError, match="no axis 2 at rank 2"):
        run_layer("concatND", [np.zeros((2, 3))] * 2, interleave=True, axis=2)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2, -4])
def test_stack_counts_axes_of_the_output(run_layer, axis):
    xs = [rng.normal(size=(2, 4, 3)) for _ in range(3)]
    same(run_layer("stack", xs, axis=axis), np.stack(xs, axis))


@pytest.mark.parametrize(("axis", "sizes"), [(0, [3, 2]), (-1, [1, 2, 1]), (-2, [1, 5])])
def test_split_into_given_sizes(run_layer, axis, sizes):
    x = rng.normal(size=(5, 6, 4))
    # a numSplits that disagrees is ignored
    got = run_layer("splitND", [x], outputs=len(sizes), axis=axis, splitSizes=sizes, numSplits=7)
    for part, want in zip(got, np.split(x, np.cumsum(sizes)[:-1], axis), strict=True):
        same(part, want)


@pytest.mark.parametrize(("axis", "count"), [(0, 3), (-1, 4), (1, 5)])
def test_split_into_a_number_of_parts(run_layer, axis, count):
    x = rng.normal(size=(6, 7, 4))
    got = run_layer("splitND", [x], outputs=count, axis=axis, numSplits=count)
    for part, want in zip(got, np.array_split(x, count, axis), strict=True):
        same(part, want)


def test_split_sizes_must_add_up(run_layer):
    with pytest.raises(ModelError, match=r"layer 'tested'.*5"):
        run_layer("splitND", [np.zeros(5)], outputs=2, splitSizes=[2, 2])


@pytest.mark.parametrize(
    ("kind", "fields", "match"),
    [
        ("splitND", {}, "numSplits"),
        ("splitND", {"splitSizes": [2, 0]}, "splitSizes"),
        ("tile", {"reps": [2, 0]}, "reps must be positive"),
        ("transpose", {}, "permutation"),
        ("transpose", {"axes": [0, 0]}, "permutation"),
        ("transpose", {"axes": [1, 2]}, "permutation"),
    ],
)
def test_parameters_that_mean_nothing(one_layer, kind, fields, match):
    with pytest.raises(ModelError, match=match):
        migrate.to_torch(one_layer(kind, [(2, 3)], **fields))


@pytest.mark.parametrize("reps", [(2,), (3, 1), (1, 2, 3), (2, 2, 2)])
def test_tile(run_layer, reps):
    x = rng.normal(size=(2, 4, 3))
    same(run_layer("tile", [x], reps=reps), np.tile(x, reps))
    same(run_layer("tile", [x, np.array(reps, float)], reps=[7]), np.tile(x, reps))


@pytest.mark.parametrize("reps", [[], [1, 2, 3]])
def test_tile_needs_between_one_and_rank_repetitions(run_layer, reps):
    with pytest.raises(ModelError, match=f"reps has {len(reps)} entries, the input has rank 2"):
        run_layer("tile", [np.zeros((2, 3))], reps=reps)


@pytest.mark.parametrize("axes", [[0], [1, 0], [3, 1, 2, 0], [1, 2, 3, 0]])
def test_transpose(run_layer, axes):
    x = rng.normal(size=(6, 7, 8, 9)[: len(axes)])
    same(run_layer("transpose", [x], axes=axes), np.transpose(x, axes))


def test_transpose_of_another_rank(run_layer):
    with pytest.raises(ModelError, match="2x3x4"):
        run_layer("transpose", [np.zeros((2, 3, 4))], axes=[1, 0])


def test_positive_axes_count_from_the_sequence_in_the_rank5_mapping(run_layer):
    x = rng.normal(size=(2, 3, 4))
    got = run_layer("transpose", [x], rank5=True, version=4, axes=[0, 1, 4, 2, 3])
    same(got, x.transpose(2, 0, 1)[None, None])
    got = run_layer("concatND", [x, x], rank5=True, version=4, axis=2)
    same(got, np.concatenate([x, x], 0)[None, None])


@pytest.mark.parametrize("dims", [[True, False], [False, True], [True, True], [False, False]])
def test_reverse(run_layer, dims):
    x = rng.normal(size=(2, 3))
    want = x[:: -1 if dims[0] else 1, :: -1 if dims[1] else 1]
    same(run_layer("reverse", [x], reverseDim=dims), want)


def test_reverse_names_every_dimension(run_layer):
    with pytest.raises(ModelError, match="reverseDim has 1 entries, not 2"):
        run_layer("reverse", [np.zeros((2, 3))], reverseDim=[True])


@pytest.mark.parametrize(
    ("batch", "sequence"), [(0, 1), (0, 2), (1, 2), (-3, -1), (-2, -1), (0, -1), (-3, 1)]
)
def test_reverse_sequence_turns_only_its_length(run_layer, batch, sequence):
    x = rng.normal(size=(4, 4, 4))
    lengths = np.array([0, 1, 3, 4])
    want = np.moveaxis(x.copy(), (batch, sequence), (0, 1))
    for row, length in zip(want, lengths, strict=True):
        row[:length] = row[:length][::-1].copy()
    want = np.moveaxis(want, (0, 1), (batch, sequence))
    got = run_layer(
        "reverseSeq", [x, lengths.astype(float)], batchAxis=batch, sequenceAxis=sequence
    )
    same(got, want)


@pytest.mark.parametrize(
    ("batch", "sequence", "lengths", "match"),
    [
        (1, 0, [1, 1], "batchAxis 1 is not before"),
        (0, 0, [1, 1], "batchAxis 0 is not before"),
        (0, 2, [1, 1], "no axis 2"),
        (0, 1, [1, 4], "index"),
        (0, 1, [1, 1, 1], "2x3, 3"),
    ],
)
def test_reverse_sequence_refuses(run_layer, batch, sequence, lengths, match):
    with pytest.raises(ModelError, match=match):
        run_layer(
            "reverseSeq",
            [np.zeros((2, 3)), np.array(lengths, float)],
            batchAxis=batch,
            sequenceAxis=sequence,
        )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(run_layer, axis):
    x = rng.normal(size=(3, 4)) * 300  # exp overflows unless the largest is taken out
    e = np.exp(x - x.max(axis, keepdims=True))
    got = run_layer("softmaxND", [x], axis=axis)
    np.testing.assert_allclose(got, e / e.sum(axis, keepdims=True), atol=1e-15)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cumulative_sum(run_layer, axis, reverse, exclusive):
    x = rng.integers(-9, 9, size=(3, 4)).astype(float)
    want = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        at, line = i[axis % 2], x[(i[0], slice(None)) if axis % 2 else (slice(None), i[1])]
        span = slice(at + exclusive, None) if reverse else slice(0, at + 1 - exclusive)
        want[i] = line[span].sum()
    fields = {"reverse": reverse, "excludeFinalSum": exclusive}
    same(run_layer("cumSum", [x], axis=axis, **fields), want)
    same(run_layer("cumSum", [x, np.array([axis])], axis=9, **fields), want)


@pytest.mark.parametrize("exclusive", [False, True])
def test_cumulative_sum_without_such_an_axis(run_layer, exclusive):
    with pytest.raises(ModelError, match="layer 'tested'"):
        run_layer("cumSum", [np.zeros((2, 3))], axis=2, excludeFinalSum=exclusive)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("second", [False, True])
def test_one_hot(run_layer, axis, second):
    x = np.array([[0, 3, 1], [-1, 4, 2]], float)
    want = np.moveaxis(np.where(np.arange(4) == x[..., None], 5.5, -1.25), -1, axis)
    inputs = [x, np.array([4.0])] if second else [x]
    size = 9 if second else 4
    got = run_layer("oneHot", inputs, axis=axis, oneHotVectorSize=size, onValue=5.5, offValue=-1.25)
    same(got, want)


@pytest.mark.parametrize(
    ("fields", "match"),
    [({}, "oneHotVectorSize"), ({"oneHotVectorSize": 3, "axis": 3}, "no axis 3 at rank 3")],
)
def test_one_hot_refuses(run_layer, fields, match):
    with pytest.raises(ModelError, match=match):
        run_layer("oneHot", [np.zeros((2, 3))], **fields)


# as an ML Program

X, Y = rng.normal(size=(2, 4, 2, 3, 5))
LENGTHS = [3, 0]


def turned(x, lengths, **options):
    return case("reverseSeq", [x, lengths], "reverse_sequence", **options)


def hot(x, **options):
    return case("oneHot", [x], "one_hot", oneHotVectorSize=4, onValue=2.5, offValue=-1, **options)


def sums(**options):
    return case("cumSum", [X], "cumsum", **options)


AXIS = {"reverse": True, "excludeFinalSum": True}
PROGRAMS = {
    "concat": case("concatND", [X, Y, X], "concat", axis=-3),
    "concat, interleaved": case("concatND", [X, Y], axis=1, interleave=True),
    "concat, interleaved, last axis": case("concatND", [X, Y], axis=-1, interleave=True),
    "concat of vectors": case("concatND", [X[0, 0, 0], [1, 2]], "concat", axis=0),
    "stack": case("stack", [X, Y], "stack", axis=-1),
    "stack, first": case("stack", [X, Y], "stack", axis=0),
    "split, sizes": case("splitND", [X], "split", outputs=2, axis=-1, splitSizes=[4, 1]),
    "split, equal": case("splitND", [X], "split", outputs=2, axis=0, numSplits=2),
    "split, unequal": case("splitND", [X], "split", outputs=3, axis=-1, numSplits=3),
    "tile": case("tile", [X], "tile", reps=[1, 2, 1, 3]),
    "tile, fewer": case("tile", [X], "tile", reps=[2, 2]),
    "tile, given": case("tile", [X[0, 0], [3, 2]], "tile"),
    "tile, stored": case("tile", [X, [2]], "tile", stored=[1]),
    "transpose": case("transpose", [X], "transpose", axes=[3, 0, 2, 1]),
    "reverse": case("reverse", [X], "reverse", reverseDim=[True, False, True, False]),
    "reverse nothing": case("reverse", [X], reverseDim=[False] * 4),
    "softmax": case("softmaxND", [X], "softmax", axis=-3),
    "softmax, first axis, large": case("softmaxND", [100 * X], "softmax", axis=0),
    "reverse sequences": turned(X[0, :, :, 0], [3, 0], batchAxis=0, sequenceAxis=1),
    "from the end": turned(X, LENGTHS, batchAxis=-3, sequenceAxis=-1),
    "lengths of rank 4": turned(X, [[[[5]], [[1]], [[4]], [[2]]]], batchAxis=0, sequenceAxis=3),
    "lengths that are stored": turned(X, LENGTHS, batchAxis=1, sequenceAxis=2, stored=[1]),
    "sums": sums(axis=2),
    "sums, from the end": sums(axis=-1, reverse=True),
    "sums, exclusive": sums(axis=1, excludeFinalSum=True),
    "sums, both": sums(axis=-4, **AXIS),
    "sums, stored axis": case("cumSum", [X, [-2]], "cumsum", stored=[1], **AXIS),
    "one hot": hot([[0, 1, 3], [2, 2, 0]]),
    "one hot, first axis": hot([[0, 1, 3], [2, 2, 0]], axis=0),
    "one hot, middle axis": hot([[0, 1, 3], [2, 2, 0]], axis=-2),
    "one hot, a vector": hot([3, 1]),
    "one hot, outside": hot([4, -1, 1]),
    "one hot, stored size": case("oneHot", [[1, 2], [3]], "one_hot", stored=[1], onValue=1),
    "one hot, given size": case("oneHot", [[[0, 2]], [3]], "equal", onValue=2, offValue=3, axis=1),
}  # fmt: skip


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target) == {}


def test_as_an_ml_program_of_halves():
    assert differences(PROGRAMS, "iOS17", "fp16", tolerance=1e-2) == {}


@pytest.mark.parametrize("axis", [0, 2, -1, -4])
def test_sums_along_a_computed_axis_as_an_ml_program(axis):
    """MIL takes constants, so the sums along every axis are there to choose from."""
    found = differences({"sums": case("cumSum", [X, [axis]], **AXIS)}, "iOS16")
    assert found == {}
