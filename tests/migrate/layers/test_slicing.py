"""Slices and windows, against numpy's own slicing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from programs import case, differences

import migrate
from migrate.errors import ModelError

rng = np.random.default_rng(0)
FIELDS = ("beginIds", "endIds", "strides", "beginMasks", "endMasks", "squeezeMasks")


def same(got, want):
    np.testing.assert_array_equal(got, np.asarray(want, np.float64), strict=True)


def numpy_slice(begin, end, stride, open_begin, open_end, squeeze=False):
    if squeeze:
        return begin
    return slice(None if open_begin else begin, None if open_end else end, stride)


CASES = {  # per dimension: begin, end, stride, beginMask, endMask, squeezeMask
    "the example of the specification": [
        (1, 3, 2, True, False, False), (2, -3, 2, False, True, False), (3, 2, 2, True, True, False),
    ],
    "squeezed": [
        (1, 3, 2, True, False, False), (2, -3, 2, False, True, True), (3, 2, 2, True, True, False),
    ],
    "squeezed from the end, whatever the masks": [
        (-2, 1, -1, True, True, True), (1, 4, 1, False, False, False),
        (0, 5, 3, False, False, False),
    ],
    "backwards": [
        (4, 0, -1, False, False, False), (-1, -5, -2, False, False, False),
        (0, 0, -3, True, True, False),
    ],
    "backwards from inside": [
        (2, 0, -1, False, True, False), (0, 1, -2, True, False, False),
        (-2, -4, -1, False, False, False),
    ],
    "bounds beyond the end": [
        (-9, 9, 2, False, False, False), (9, -9, -2, False, False, False),
        (-3, 7, 1, False, False, False),
    ],
    "all squeezed": [
        (1, 2, 1, False, False, True), (-1, 0, 1, False, False, True),
        (2, 3, 1, False, False, True),
    ],
}  # fmt: skip


@pytest.mark.parametrize("spans", CASES.values(), ids=CASES)
@pytest.mark.parametrize("inputs", [None, 1, 2, 3, 4, 5, 6])
def test_slice(run_layer, spans, inputs):
    """`inputs` fields come as inputs; those parameters are wrong and must not be read."""
    x = rng.normal(size=(5, 5, 5))
    want = x[tuple(numpy_slice(*span) for span in spans)]
    want = want if want.ndim else want.reshape(1)
    columns = dict(zip(FIELDS, map(list, zip(*spans, strict=True)), strict=True))
    if inputs is None:
        same(run_layer("sliceStatic", [x], **columns), want)
        return
    given = [np.array(columns.pop(field), float) for field in FIELDS[:inputs]]
    columns |= {field: [1] for field in FIELDS[1:inputs]}
    same(run_layer("sliceDynamic", [x, *given], **columns), want)


@pytest.mark.parametrize("stride", [1, 2, -1, -3])
def test_every_pair_of_bounds(run_layer, stride):
    x = np.arange(4.0)
    for begin, end in itertools.product(range(-6, 7), repeat=2):
        want = x[begin:end:stride]
        got = run_layer(
            "sliceStatic", [x], beginIds=[begin], endIds=[end], strides=[stride],
            beginMasks=[False], endMasks=[False],
        )  # fmt: skip
        same(got, want)


def test_parameters_may_be_longer_than_the_rank(run_layer):
    """coremltools writes five defaults where a dynamic slice is given none."""
    x = rng.normal(size=(4, 5))
    got = run_layer(
        "sliceDynamic", [x, np.array([1, 2]), np.array([3, 5])], endIds=[1] * 5, strides=[2] * 5,
        beginMasks=[False] * 5, endMasks=[False] * 5,
    )  # fmt: skip
    same(got, x[1:3:2, 2:5:2])


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"endIds": [2]}, "2 beginIds, 1 endIds"),
        ({"squeezeMasks": [True]}, "1 squeezeMasks"),
        ({"beginMasks": []}, "0 beginMasks"),
        ({"strides": [1, 0]}, "strides must not be 0"),
    ],
)
def test_static_parameters_that_contradict(one_layer, fields, match):
    good = {
        "beginIds": [0, 0],
        "endIds": [1, 1],
        "strides": [1, 1],
        "beginMasks": [False] * 2,
        "endMasks": [False] * 2,
    }
    with pytest.raises(ModelError, match=match):
        migrate.to_torch(one_layer("sliceStatic", [(2, 3)], **(good | fields)))


def test_static_parameters_of_another_rank(run_layer):
    with pytest.raises(ModelError, match="beginIds has 1 entries, the input has rank 2"):
        run_layer(
            "sliceStatic", [np.zeros((2, 3))], beginIds=[0], endIds=[1], strides=[1],
            beginMasks=[False], endMasks=[False],
        )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "fields", "match"),
    [
        ([[0]], {"endIds": [1, 1], "strides": [1, 1]}, "beginIds has 1"),
        ([[0, 0]], {"endIds": [1], "strides": [1, 1]}, "endIds has 1"),
        ([[0, 0], [1, 1]], {}, "strides has 0"),
        ([[0, 0], [1, 1], [0, 1]], {}, "strides must not be 0"),
        ([[5, 0], [1, 1], [1, 1], [0, 0], [0, 0], [1, 0]], {}, "out of (range|bounds)"),
    ],
)
def test_dynamic_slices_that_do_not_fit(run_layer, given, fields, match):
    with pytest.raises(ModelError, match=match):
        run_layer("sliceDynamic", [np.zeros((2, 3)), *map(np.array, given)], **fields)


def test_dynamic_strides_must_not_be_zero(one_layer):
    with pytest.raises(ModelError, match="strides must not be 0"):
        migrate.to_torch(one_layer("sliceDynamic", [(2,), (1,)], endIds=[1], strides=[0]))


@pytest.mark.parametrize(("axis", "begin", "size"), [(0, 1, 2), (1, 0, 4), (-1, 2, 3), (-2, 3, 1)])
def test_slice_by_size(run_layer, axis, begin, size):
    x = rng.normal(size=(4, 4, 5))
    want = np.take(x, range(begin, begin + size), axis)
    same(run_layer("sliceBySize", [x, np.array([begin])], axis=axis, size=size), want)


def test_slice_by_size_beyond_the_end(run_layer, one_layer):
    with pytest.raises(ModelError, match="out of range"):
        run_layer("sliceBySize", [np.zeros(4), np.array([3])], size=2)
    with pytest.raises(ModelError, match="size must be positive, found 0"):
        migrate.to_torch(one_layer("sliceBySize", [(4,), (1,)]))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize(("size", "step"), [(1, 1), (3, 1), (2, 3), (5, 2)])
def test_sliding_windows(run_layer, axis, size, step):
    x = rng.normal(size=(6, 5, 7))
    starts = range(0, x.shape[axis] - size + 1, step)
    want = np.stack([np.take(x, range(i, i + size), axis) for i in starts], axis % 3)
    same(run_layer("slidingWindows", [x], axis=axis, windowSize=size, step=step), want)


def test_windows_that_do_not_fit(run_layer, one_layer):
    with pytest.raises(ModelError, match=r"layer 'tested'.*inputs of shape 3"):
        run_layer("slidingWindows", [np.zeros(3)], windowSize=4, step=1)
    for fields in ({"windowSize": 2}, {"step": 1}):
        with pytest.raises(ModelError, match="windowSize and step must be positive"):
            migrate.to_torch(one_layer("slidingWindows", [(3,)], **fields))


# as an ML Program

X = rng.normal(size=(2, 5, 6, 3, 4))


def cutting(x, begin, end, strides, begin_masks, end_masks, squeeze_masks, **options):
    """A slice between fixed bounds."""
    return case(
        "sliceStatic", [x], "slice_by_index", beginIds=begin, endIds=end, strides=strides,
        beginMasks=begin_masks, endMasks=end_masks, squeezeMasks=squeeze_masks, **options,
    )  # fmt: skip


def between(x, *inputs, operation="slice_by_index", **options):
    """A slice between bounds that are inputs, the last ones parameters."""
    return case("sliceDynamic", [x, *inputs], operation, **options)


def windows(x, axis, size, step):
    return case("slidingWindows", [x], "sliding_windows", axis=axis, windowSize=size, step=step)


NO, YES = [False] * 2, [True] * 2
PAIR = X[0, 0, :, :, 0]  # [6, 3]
OPEN = {"beginMasks": [False, True], "endMasks": [True, False], "squeezeMasks": NO}
PROGRAMS = {
    "slice": cutting(X[0, 0], [1, 0, 2], [5, 2, 4], [2, 1, 1], *[[False] * 3] * 3),
    "slice, from the end": cutting(PAIR, [-5, -3], [-1, -1], [1, 1], NO, NO, NO),
    "slice, beyond the end": cutting(PAIR, [1, 0], [99, 3], [1, 1], NO, NO, NO),
    "slice, open": cutting(PAIR, [3, 2], [2, 1], [1, 1], [True, False], [False, True], NO),
    "slice, backwards": cutting(PAIR, [4, 2], [1, 0], [-1, -2], NO, NO, NO),
    "slice, backwards and open": cutting(PAIR, [4, 2], [1, 0], [-2, -1], YES, YES, NO),
    "slice, backwards from the end": cutting(PAIR, [-1, -1], [-5, -3], [-1, -1], NO, NO, NO),
    "slice, squeezed": cutting(PAIR, [-2, 0], [0, 3], [1, 1], NO, NO, [True, False]),
    "slice of rank 5": cutting(X, [0] * 5, [9] * 5, [1, 2, 3, -1, 1], [*YES, False, True, False],
                               [*YES, False, True, False], [False] * 5),
    "slice of a vector": cutting(PAIR[0], [1], [3], [1], [False], [False], [False]),
    "between": between(PAIR, [1, -3], endIds=[5, -1], strides=[2, 1]),
    "between, open": between(PAIR, [1, 1], endIds=[4, 2], strides=[1, 1], **OPEN),
    "between, squeezed": between(PAIR, [-2, 1], endIds=[6, 3], strides=[1, 1],
                                 squeezeMasks=[True, False]),
    "between, backwards": between(PAIR, [4, 2], endIds=[-6, 0], strides=[-2, -1]),
    "between two": between(PAIR, [0, -2], [-1, 3], strides=[1, 1]),
    "between two, backwards": between(PAIR, [-1, 2], [1, 0], strides=[-3, -1]),
    "between, stored strides": between(PAIR, [4, 0], [0, 2], [-2, 1], stored=[3]),
    "between, all given": between(PAIR, [4, 2], [0, 1], [-1, 1], NO, [False, True], NO,
                                  stored=[3, 4, 5, 6]),
    "between, all stored": between(PAIR, [1, 0], [5, 2], [1, 1], stored=[1, 2, 3]),
    "by size": case("sliceBySize", [PAIR, [2]], axis=0, size=3),
    "by size, last axis": case("sliceBySize", [X, [1]], axis=-1, size=2),
    "by size, stored": case("sliceBySize", [X, [1]], axis=2, size=2, stored=[1]),
    "windows": windows(PAIR, 0, 3, 2),
    "windows, from the end": windows(X[0], -2, 2, 1),
    "windows, middle axis": windows(X[0], 1, 4, 1),
    "windows of a vector": windows(X[0, 0, :, 0, 0], 0, 2, 3),
}  # fmt: skip


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target) == {}


def test_as_an_ml_program_of_halves():
    assert differences(PROGRAMS, "iOS17", "fp16", tolerance=1e-2) == {}
