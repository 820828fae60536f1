"""The oracles: numpy slices and pads, and bilinear values of `resampled`."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences
from resampled import ALIGN, ROI, STRICT, UPSAMPLE, bilinear, numbers, sampled

import migrate
from migrate import ModelError


def border(amounts, field="paddingAmounts"):
    """Return a fill function that writes ((top, bottom), (left, right))."""

    def fill(p):
        for start, end in amounts:
            edge = getattr(p, field).borderAmounts.add()
            edge.startEdgeSize, edge.endEdgeSize = start, end

    return fill


def padded(kind, amounts, **values):
    def fill(p):
        border(amounts)(p)
        getattr(p, kind).SetInParent()
        for field, value in values.items():
            setattr(getattr(p, kind), field, value)

    return fill


@pytest.mark.parametrize("shape", [(2, 6, 7), (3, 2, 6, 7), (2, 3, 2, 6, 7)])
def test_crop_cuts_each_border(run_layer, shape):
    x = numbers(*shape)
    y = run_layer("crop", [x], fill=border([(1, 2), (3, 0)], "cropAmounts"))
    np.testing.assert_array_equal(y, x[..., 1:4, 3:])


@pytest.mark.parametrize("rank5", [False, True])
@pytest.mark.parametrize("offset", [[], [2, 1]])
def test_crop_to_the_size_of_a_second_input(run_layer, offset, rank5):
    x = numbers(2, 6, 7)
    y = run_layer("crop", [x, np.zeros((5, 3, 4))], rank5=rank5, offset=offset)
    top, left = offset or (0, 0)
    np.testing.assert_array_equal(y, x[:, top : top + 3, left : left + 4])


@pytest.mark.parametrize(
    ("arrays", "options"),
    [
        ([(1, 3, 3)], {"fill": border([(0, 4), (0, 0)], "cropAmounts")}),
        ([(1, 3, 3)], {"fill": border([(0, 0), (2, 2)], "cropAmounts")}),
        ([(1, 3, 3), (1, 2, 2)], {"offset": [2, 0]}),
        ([(1, 3, 3), (1, 2, 4)], {}),
    ],
)
def test_crop_refuses_to_reach_outside(run_layer, arrays, options):
    with pytest.raises(ModelError, match="cannot be applied"):
        run_layer("crop", [numbers(*shape) for shape in arrays], **options)


@pytest.mark.parametrize(
    ("kind", "options", "match"),
    [
        ("crop", {"offset": [1]}, "offset must be two numbers"),
        ("crop", {"fill": border([(1, 1)], "cropAmounts")}, "cropAmounts must have two entries"),
        ("padding", {"fill": border([(1, 1), (1, 1)])}, "PaddingType is not set"),
        ("padding", {"fill": padded("constant", [(1, 1)])}, "paddingAmounts must have two"),
        ("upsample", {"mode": 2}, "mode 2 is not an InterpolationMode"),
        ("upsample", {"linearUpsampleMode": 3}, "linearUpsampleMode 3"),
        ("upsample", {"scalingFactor": [2]}, "scalingFactor must be two"),
        ("upsample", {"scalingFactor": [2, 0]}, "scalingFactor must be two"),
        ("upsample", {"fractionalScalingFactor": [2, -1]}, "fractionalScalingFactor must be two"),
        ("upsample", {"fractionalScalingFactor": [2, float("nan")]}, "must be two positive"),
        ("upsample", {"scalingFactor": [2, 2], "fractionalScalingFactor": [2, 2]}, "both set"),
        ("resizeBilinear", {"targetSize": [4]}, "targetSize must be two"),
        ("resizeBilinear", {"fill": lambda p: setattr(p.mode, "samplingMethod", 4)}, "Method 4"),
    ],
)
def test_options_that_contradict_the_proto(one_layer, kind, options, match):
    with pytest.raises(ModelError, match=match):
        migrate.to_torch(one_layer(kind, [(1, 3, 3)], **options))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("constant", "0 0 0 0 0 0;0 0 0 0 0 0;0 0 1 2 3 4;0 0 5 6 7 8;0 0 9 10 11 12"),
        (
            "reflection",
            "11 10 9 10 11 12;7 6 5 6 7 8;3 2 1 2 3 4;7 6 5 6 7 8;11 10 9 10 11 12",
        ),
        ("replication", "1 1 1 2 3 4;1 1 1 2 3 4;1 1 1 2 3 4;5 5 5 6 7 8;9 9 9 10 11 12"),
    ],
)
@pytest.mark.parametrize("rank5", [False, True])
def test_padding_as_in_the_examples_of_the_proto(run_layer, kind, expected, rank5):
    x = np.arange(1.0, 13).reshape(1, 3, 4)
    y = run_layer("padding", [x], rank5=rank5, fill=padded(kind, [(2, 0), (2, 0)]))
    np.testing.assert_array_equal(
        y[0].astype(int).astype(str), [row.split() for row in expected.split(";")]
    )


@pytest.mark.parametrize("shape", [(5, 6), (2, 5, 6), (3, 2, 5, 6), (2, 1, 3, 5, 6)])
@pytest.mark.parametrize(
    ("kind", "mode"), [("constant", "constant"), ("reflection", "reflect"), ("replication", "edge")]
)
def test_padding_of_every_rank(run_layer, shape, kind, mode):
    x = numbers(*shape)
    value = {"constant": {"value": -1.5}}.get(kind, {})
    y = run_layer("padding", [x], fill=padded(kind, [(1, 2), (0, 4)], **value))
    amounts = [(0, 0)] * (x.ndim - 2) + [(1, 2), (0, 4)]
    options = {"constant_values": -1.5} if kind == "constant" else {}
    np.testing.assert_array_equal(y, np.pad(x, amounts, mode=mode, **options))


def test_reflection_beyond_the_image_is_refused(run_layer):
    with pytest.raises(ModelError, match="cannot be applied"):
        run_layer("padding", [numbers(1, 3, 3)], fill=padded("reflection", [(3, 0), (0, 0)]))


@pytest.mark.parametrize("factors", [(1, 1), (2, 3), (41, 1), (1, 61)])
@pytest.mark.parametrize("rank5", [False, True])
def test_upsample_repeats_pixels(run_layer, factors, rank5):
    x = numbers(2, 4, 5)
    y = run_layer("upsample", [x], rank5=rank5, scalingFactor=factors)
    np.testing.assert_array_equal(y, x.repeat(factors[0], -2).repeat(factors[1], -1))


def test_upsample_repeats_pixels_in_float32_too(one_layer):
    x = numbers(1, 1, 5).astype(np.float32)
    net = migrate.to_torch(one_layer("upsample", [x.shape], scalingFactor=[1, 47]))
    np.testing.assert_array_equal(net.predict({"in0": x})["out0"], x.repeat(47, -1))


def test_upsample_by_a_fraction_takes_pixels_in_proportion(run_layer):
    x = np.arange(4.0).reshape(1, 1, 4)
    y = run_layer("upsample", [x], fractionalScalingFactor=[1.0, 1.5])
    np.testing.assert_array_equal(y, [[[0, 0, 1, 2, 2, 3]]])
    y = run_layer("upsample", [x], fractionalScalingFactor=[2.0, 0.5])
    np.testing.assert_array_equal(y, [[[0, 2], [0, 2]]])


def upsampled(mode, size, out):
    """LinearUpsampleMode's definition, word for word."""
    i = np.arange(out)
    if mode == 2:
        points = i * (size / out) + 0.5 * (size / out) - 0.5
    else:
        span = size - size / out if mode == 0 else size - 1
        points = i * (span / (out - 1) if out > 1 else 0)
    return np.minimum(size - 1, np.maximum(0, points))


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize(
    ("factors", "out"),
    [
        ({}, (6, 5)),
        ({"scalingFactor": [2, 3]}, (12, 15)),
        ({"scalingFactor": [1, 4]}, (6, 20)),
        ({"fractionalScalingFactor": [0.5, 2.5]}, (3, 12)),
        ({"fractionalScalingFactor": [1.2, 0.2]}, (7, 1)),
        ({"fractionalScalingFactor": [0.5000001, 0.8]}, (3, 4)),
    ],
)
@pytest.mark.parametrize("shape", [(2, 6, 5), (2, 1, 3, 6, 5)])
def test_upsample_bilinear(run_layer, mode, factors, out, shape):
    x = numbers(*shape)
    y = run_layer("upsample", [x], mode=1, linearUpsampleMode=mode, **factors)
    points = (upsampled(mode, size, n) for size, n in zip((6, 5), out, strict=True))
    np.testing.assert_allclose(y, bilinear(x, *points), atol=1e-12)


def test_the_size_of_a_fractional_upsample_is_that_of_the_float32_product(run_layer):
    """0.7 is stored as 0.69999999: ten times it is 7 in float32, and 6 rounded down in float64."""
    assert run_layer(
        "upsample", [numbers(1, 1, 10)], fractionalScalingFactor=[1, 0.7], mode=1
    ).shape == (1, 1, 7)


def test_an_upsample_to_nothing_is_refused(run_layer):
    for mode in (0, 1):
        with pytest.raises(ModelError, match="1 by 0 pixels"):
            run_layer("upsample", [numbers(1, 1, 3)], fractionalScalingFactor=[1, 0.1], mode=mode)


@pytest.mark.parametrize("method", [STRICT, ALIGN, UPSAMPLE, ROI])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (7, 3), (6, 5), (11, 13), (2, 1)])
@pytest.mark.parametrize("shape", [(2, 6, 5), (2, 2, 6, 5), (2, 1, 3, 6, 5), (1, 1, 1)])
def test_resize_bilinear_samples_as_its_mode_says(run_layer, method, size, shape):
    x = numbers(*shape)

    def fill(p):
        p.mode.samplingMethod = method

    y = run_layer("resizeBilinear", [x], fill=fill, targetSize=size)
    points = (sampled(method, n, out) for n, out in zip(shape[-2:], size, strict=True))
    np.testing.assert_allclose(y, bilinear(x, *points), atol=1e-12)


def test_resize_bilinear_by_default_is_strict_and_gives_one_pixel(run_layer):
    x = numbers(2, 3, 4)
    np.testing.assert_array_equal(run_layer("resizeBilinear", [x], rank5=True), x[:, :1, :1])


@pytest.mark.parametrize("method", range(4))
def test_resize_bilinear_in_float32_gives_float32(one_layer, method):
    spec = one_layer(
        "resizeBilinear",
        [(1, 3, 3)],
        targetSize=[5, 4],
        fill=lambda p: setattr(p.mode, "samplingMethod", method),
    )
    y = migrate.to_torch(spec).predict({"in0": numbers(1, 3, 3)})["out0"]
    assert (y.dtype, y.shape) == (np.float32, (1, 5, 4))


# as an ML Program

IMAGES = numbers(2, 3, 6, 5)


def resizing(size, method, x=IMAGES):
    def fill(p):
        p.targetSize.extend(size)
        p.mode.samplingMethod = method

    return case("resizeBilinear", [x], "resize_bilinear", fill=fill)


PROGRAMS = {
    **{
        f"resize {size} {m}": resizing(size, m)
        for m in (STRICT, ALIGN, UPSAMPLE, ROI)
        for size in ((7, 3), (1, 4), (12, 10))
    },
    "resize, rank 3": resizing((4, 9), ROI, IMAGES[0]),
    "resize, rank 5": resizing((4, 9), ALIGN, IMAGES[None]),
    **{
        f"upsample {name} {mode} {linear}": case(
            "upsample", [IMAGES], mode=mode, linearUpsampleMode=linear, **options
        )
        for mode, linear in ((0, 0), (1, 0), (1, 1), (1, 2))
        for name, options in (
            ("2x3", {"scalingFactor": [2, 3]}),
            ("1x41", {"scalingFactor": [1, 41]}),
            ("1.5x2.25", {"fractionalScalingFactor": [1.5, 2.25]}),
        )
    },
}


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target, tolerance=1e-5) == {}
