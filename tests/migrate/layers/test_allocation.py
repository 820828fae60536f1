"""Making tensors and giving them another shape, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import case, differences

import migrate
from migrate.errors import ModelError

rng = np.random.default_rng(0)


def same(got, want):
    np.testing.assert_array_equal(got, np.asarray(want, np.float64), strict=True)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 2, 3, 4, 5)])
def test_get_shape(run_layer, shape):
    same(run_layer("getShape", [np.zeros(shape)]), shape)


@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 1, 3)])
def test_constant(run_layer, shape):
    values = rng.normal(size=shape).astype(np.float32)

    def fill(p):
        p.shape.extend(shape)
        p.data.floatValue.extend(values.flatten())

    same(run_layer("loadConstantND", [], fill=fill), values)


@pytest.mark.parametrize(
    ("shape", "count", "match"),
    [((2, 3), 5, "data holds 5 values, expected 6"), ((2, 3), 0, "data"), ((), 1, "is not a shape"),
     ((0, 2), 0, "is not a shape")],
)  # fmt: skip
def test_constant_that_contradicts_its_shape(one_layer, shape, count, match):
    def fill(p):
        p.shape.extend(shape)
        p.data.floatValue.extend([1.0] * count)

    with pytest.raises(ModelError, match=match):
        migrate.to_torch(one_layer("loadConstantND", [], fill=fill))


@pytest.mark.parametrize("shape", [(4,), (2, 3), (1, 2, 1, 2, 3)])
@pytest.mark.parametrize("value", [0.0, -1.5])
def test_fill(run_layer, shape, value):
    want = np.full(shape, value)
    same(run_layer("fillLike", [rng.normal(size=shape)], value=value), want)
    same(run_layer("fillStatic", [], targetShape=shape, value=value), want)
    same(run_layer("fillDynamic", [np.array(shape)], value=value), want)


@pytest.mark.parametrize("kind", ["fillStatic", "getShape", "fillDynamic", "fillLike"])
def test_the_precision_is_that_of_the_network(one_layer, kind):
    fields = {"targetShape": [2]} if kind == "fillStatic" else {}
    net = migrate.to_torch(one_layer(kind, [] if kind == "fillStatic" else [(2,)], **fields))
    for dtype in torch.float32, torch.float64:
        inputs = [torch.ones(2, dtype=dtype)] * (kind != "fillStatic")
        assert net.to(dtype)(*inputs).dtype == dtype


@pytest.mark.parametrize(
    ("shape", "target"),
    [((1,), (3,)), ((3,), (2, 3)), ((2, 1, 4), (2, 3, 4)), ((1, 1), (2, 1, 3, 5))],
)
def test_broadcast(run_layer, shape, target):
    x = rng.normal(size=shape)
    want = np.broadcast_to(x, target)
    same(run_layer("broadcastToLike", [x, np.zeros(target)]), want)
    same(run_layer("broadcastToStatic", [x], targetShape=target), want)
    same(run_layer("broadcastToDynamic", [x, np.array(target)]), want)


@pytest.mark.parametrize("target", [(3, 3), (2,), (1, 3)])
def test_broadcast_to_what_does_not_fit(run_layer, target):
    x = np.zeros((2, 3))
    with pytest.raises(ModelError, match="layer 'tested'"):
        run_layer("broadcastToLike", [x, np.zeros(target)])
    with pytest.raises(ModelError, match="layer 'tested'"):
        run_layer("broadcastToStatic", [x], targetShape=target)
    with pytest.raises(ModelError, match="layer 'tested'"):
        run_layer("broadcastToDynamic", [x, np.array(target)])


@pytest.mark.parametrize("target", [(24,), (4, 6), (2, 2, 3, 2), (1, 24, 1, 1, 1)])
def test_reshape(run_layer, target):
    x = rng.normal(size=(2, 3, 4))
    want = x.reshape(target)
    same(run_layer("reshapeLike", [x, np.zeros(target)]), want)
    same(run_layer("reshapeStatic", [x], targetShape=target), want)
    same(run_layer("reshapeDynamic", [x, np.array(target)]), want)


def test_reshape_infers_one_dimension(run_layer):
    x = rng.normal(size=(2, 3, 4))
    same(run_layer("reshapeStatic", [x], targetShape=[4, -1]), x.reshape(4, 6))
    same(run_layer("reshapeDynamic", [x, np.array([-1, 8])]), x.reshape(3, 8))


@pytest.mark.parametrize(
    ("shape", "target", "want"),
    [
        ((20, 10), (5, -1), (5, 40)),
        ((20, 10, 5), (0, 2, 25), (20, 2, 25)),
        ((10, 3, 5), (25, 0, -1), (25, 3, 2)),
        ((6,), (-1,), (6,)),
        ((2, 3), (0, 0), (2, 3)),
    ],
)
def test_rank_preserving_reshape(run_layer, shape, target, want):
    x = rng.normal(size=shape)
    same(run_layer("rankPreservingReshape", [x], targetShape=target), x.reshape(want))


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("reshapeStatic", []),
        ("reshapeStatic", [-1, -1]),
        ("reshapeStatic", [2, -2]),
        ("reshapeStatic", [0, 6]),
        ("rankPreservingReshape", []),
        ("rankPreservingReshape", [-1, -1]),
        ("rankPreservingReshape", [-2, 3]),
        ("broadcastToStatic", []),
        ("broadcastToStatic", [2, 0]),
        ("fillStatic", []),
        ("fillStatic", [2, 0]),
    ],
)
def test_target_that_is_no_shape(one_layer, kind, target):
    with pytest.raises(ModelError, match=r"targetShape .* is not a shape"):
        migrate.to_torch(one_layer(kind, [(2, 3)], targetShape=target))


@pytest.mark.parametrize("kind", ["reshapeStatic", "rankPreservingReshape"])
def test_reshape_to_another_count(run_layer, kind):
    with pytest.raises(ModelError, match="inputs of shape 2x3"):
        run_layer(kind, [np.zeros((2, 3))], targetShape=[4, 2])


def test_rank_preserving_reshape_of_another_rank(run_layer):
    with pytest.raises(ModelError, match="targetShape has 3 entries, the input has rank 2"):
        run_layer("rankPreservingReshape", [np.zeros((2, 3))], targetShape=[2, 3, 1])


@pytest.mark.parametrize(
    ("shape", "axis", "want"),
    [((3,), -1, (1, 3)), ((3,), 0, (1, 3)), ((3,), 1, (3, 1)), ((4, 3), -1, (4, 3)),
     ((5, 2), 0, (1, 10)), ((5, 2), 2, (10, 1)), ((5, 5, 3), -2, (5, 15)), ((2, 3, 2), -1, (6, 2)),
     ((2, 3, 2, 2, 2), -5, (1, 48)), ((2, 3, 2, 2, 2), 3, (12, 4))],
)  # fmt: skip
def test_flatten_to_2d(run_layer, shape, axis, want):
    x = rng.normal(size=shape)
    same(run_layer("flattenTo2D", [x], axis=axis), x.reshape(want))


@pytest.mark.parametrize("axis", [3, -3])
def test_flatten_at_an_axis_that_is_not_there(run_layer, axis):
    with pytest.raises(ModelError, match=f"no axis {axis} at rank 2"):
        run_layer("flattenTo2D", [np.zeros((2, 3))], axis=axis)


@pytest.mark.parametrize(
    ("shape", "axes", "want"),
    [((1, 1, 10, 5), [0, 1], (10, 5)), ((1, 10, 5, 1), [0, 3], (10, 5)),
     ((10, 5, 1, 1), [-2, -1], (10, 5)), ((1, 5, 1), [0], (5, 1)), ((1,), [0], (1,)),
     ((1, 1), [0, 1], (1,))],
)  # fmt: skip
def test_squeeze(run_layer, shape, axes, want):
    x = rng.normal(size=shape)
    same(run_layer("squeeze", [x], axes=axes), x.reshape(want))


@pytest.mark.parametrize(
    ("shape", "want"), [((1, 3, 1, 2), (3, 2)), ((2, 3), (2, 3)), ((1, 1), (1,)), ((1,), (1,))]
)
def test_squeeze_all(run_layer, shape, want):
    x = rng.normal(size=shape)
    same(run_layer("squeeze", [x], squeezeAll=True), x.reshape(want))
    same(run_layer("squeeze", [x], squeezeAll=True, axes=[0]), x.reshape(want))


@pytest.mark.parametrize("axes", [[0], [1, 0], [2], [-3]])
def test_squeeze_of_what_is_not_one(run_layer, axes):
    with pytest.raises(ModelError, match="layer 'tested'"):
        run_layer("squeeze", [np.zeros((2, 1))], axes=axes)


@pytest.mark.parametrize("axes", [[0, 1], [0, 2], [2, 0], [-2, -1], [-1], [1, -1], [0, 1, 2]])
def test_expand_dims(run_layer, axes):
    x = rng.normal(size=(10, 5))
    same(run_layer("expandDims", [x], axes=axes), np.expand_dims(x, tuple(axes)))


@pytest.mark.parametrize(
    ("axes", "match"), [([3], "no axis 3 at rank 3"), ([0, 0], "twice"), ([0, -4], "twice")]
)
def test_expand_at_axes_that_are_not_there(run_layer, axes, match):
    with pytest.raises(ModelError, match=match):
        run_layer("expandDims", [np.zeros((2, 3))], axes=axes)


@pytest.mark.parametrize("kind", ["squeeze", "expandDims"])
def test_no_axes(one_layer, kind):
    with pytest.raises(ModelError, match="axes are empty"):
        migrate.to_torch(one_layer(kind, [(1, 2)]))


@pytest.mark.parametrize(
    ("shape", "amounts"),
    [((4,), [2, 3]), ((4, 5), [0, 1, 4, 0]), ((4, 5, 2), [0, 0, 3, 4, 0, 9]),
     ((2, 2, 2, 2, 2), [1, 0, 0, 0, 0, 2, 3, 0, 0, 1])],
)  # fmt: skip
@pytest.mark.parametrize("value", [0.0, 3.5])
def test_pad_by_amounts(run_layer, shape, amounts, value):
    x = rng.normal(size=shape)
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))
    want = np.pad(x, pairs, constant_values=value)
    same(run_layer("constantPad", [x], padAmounts=amounts, value=value), want)
    given = [x, np.array(amounts)]
    same(run_layer("constantPad", given, padAmounts=[1, 1], value=value), want)


@pytest.mark.parametrize(
    ("amounts", "pairs"),
    [
        ([0, 21, 14, 0], [(0, 1), (4, 0)]),
        ([0, 5, 0, 0], [(0, 0), (0, 0)]),
        ([25, 0, 0, 10], [(5, 0), (0, 0)]),
    ],
)
def test_pad_to_a_size(run_layer, amounts, pairs):
    x = rng.normal(size=(20, 10))
    want = np.pad(x, pairs, constant_values=-2.0)
    fields = {"padToGivenOutputSizeMode": True, "value": -2.0}
    same(run_layer("constantPad", [x], padAmounts=amounts, **fields), want)
    same(run_layer("constantPad", [x, np.array(amounts)], **fields), want)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"padAmounts": [1, 2, 3]}, "must be pairs, found 3"),
        ({"padAmounts": [0, 0, 5, 5], "padToGivenOutputSizeMode": True}, "not both"),
    ],
)
def test_amounts_that_contradict(one_layer, fields, match):
    with pytest.raises(ModelError, match=match):
        migrate.to_torch(one_layer("constantPad", [(2, 3)], **fields))


@pytest.mark.parametrize(
    ("stored", "given"), [([1, 1], None), ([], None), ([1] * 4, [1, 1]), ([1] * 6, None)]
)
def test_amounts_of_another_rank(run_layer, stored, given):
    inputs = [np.zeros((2, 3))] + ([np.array(given)] if given else [])
    with pytest.raises(ModelError, match=r"padAmounts has . entries, expected 4"):
        run_layer("constantPad", inputs, padAmounts=stored)


# as an ML Program

X = np.random.default_rng(0).normal(size=(2, 3, 4, 5))


def stored_values(*shape):
    def fill(p):
        p.shape.extend(shape)
        p.data.floatValue.extend(range(int(np.prod(shape))))

    return fill


PROGRAMS = {
    "shape": case("getShape", [X]),
    "constant": case("loadConstantND", [], fill=stored_values(2, 1, 3)),
    "fill like": case("fillLike", [X], value=-2.5),
    "fill": case("fillStatic", [], targetShape=[2, 3], value=1.5),
    "fill, given": case("fillDynamic", [[2, 3, 1]], "fill", value=1.5),
    "fill, stored": case("fillDynamic", [[2, 3]], stored=[0], value=1.5),
    "broadcast like": case("broadcastToLike", [X[:, :1, :, :1], X]),
    "broadcast to more dimensions": case("broadcastToStatic", [X[0, 0]], targetShape=[2, 3, 4, 5]),
    "broadcast, given": case("broadcastToDynamic", [X[:1], [2, 3, 4, 5]]),
    "broadcast, stored": case("broadcastToDynamic", [X[0, 0], [2, 4, 5]], stored=[1]),
    "reshape like": case("reshapeLike", [X, np.zeros((4, 30))]),
    "reshape": case("reshapeStatic", [X], "reshape", targetShape=[6, -1]),
    "reshape, given": case("reshapeDynamic", [X, [5, -1, 4, 1, 2]], "reshape"),
    "reshape, stored": case("reshapeDynamic", [X, [20, -1]], "reshape", stored=[1]),
    "reshape, ranks kept": case("rankPreservingReshape", [X], "reshape", targetShape=[0, -1, 2, 0]),
    "flatten": case("flattenTo2D", [X], axis=2),
    "flatten, nothing before": case("flattenTo2D", [X], axis=0),
    "flatten, nothing behind": case("flattenTo2D", [X], axis=4),
    "flatten, from the end": case("flattenTo2D", [X], axis=-1),
    "squeeze": case("squeeze", [X[:1, :, :1]], "squeeze", axes=[0, -2]),
    "squeeze all": case("squeeze", [X[:1, :, :1]], squeezeAll=True),
    "squeeze to a number": case("squeeze", [X[:1, :1, :1, :1]], squeezeAll=True),
    "expand": case("expandDims", [X[0]], axes=[0, -1]),
    "pad": case("constantPad", [X], "pad", padAmounts=[0, 0, 1, 0, 0, 2, 3, 1], value=-2),
    "pad, one axis": case("constantPad", [X], "pad", padAmounts=[0] * 6 + [1, 2], value=3),
    "pad to sizes": case("constantPad", [X], padAmounts=[3, 0, 0, 2, 0, 6, 0, 0], value=2,
                         padToGivenOutputSizeMode=True),
    "pad, given": case("constantPad", [X[0, 0], [1, 0, 2, 3]], "pad", value=-2),
    "pad to sizes, given": case("constantPad", [X[0, 0], [0, 6, 7, 0]], "pad", value=1.5,
                                padToGivenOutputSizeMode=True),
    "pad, stored": case("constantPad", [X[0, 0], [1, 0, 2, 3]], "pad", value=-2, stored=[1]),
    "pad a vector": case("constantPad", [X[0, 0, 0], [4, 2]], "pad"),
}  # fmt: skip


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target) == {}


def test_as_an_ml_program_of_halves():
    assert differences(PROGRAMS, "iOS17", "fp16", tolerance=1e-2) == {}
