"""Resizing against MIL's formulas in one dimension, Core ML's documented results, and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import compute, outputs_of, quiet
from torch.nn import functional as F

from migrate import evaluate
from migrate.coreml import coremltools

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types
X = np.random.RandomState(0).randint(-32, 32, (2, 3, 4, 5)).astype(np.float32) / 8
MODES = ["STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"]


def grid(mode, size, count):
    """The points of a mode, one by one."""
    points = []
    for i in range(count):
        if mode == "DEFAULT":
            point = i * size / count
        elif mode == "OFFSET_CORNERS":
            point = (0.5 + i) * max(1, size - 1) / count
        elif mode == "UNALIGN_CORNERS":
            point = i * size / count + 0.5 * size / count - 0.5
        elif count > 1:
            point = i * (size - 1) / (count - 1)
        else:
            point = 0 if mode == "STRICT_ALIGN_CORNERS" else (size - 1) / 2
        points.append(min(size - 1, max(0, point)))
    return np.array(points)


def linear(x, axis, points):
    """Each slice with a point, by numpy's interpolation."""
    steps = np.arange(x.shape[axis])
    return np.apply_along_axis(lambda values: np.interp(points, steps, values), axis, x)


def resized(x, sizes, mode):
    for axis, size in enumerate(sizes, start=x.ndim - len(sizes)):
        x = linear(x, axis, grid(mode, x.shape[axis], size))
    return x


@pytest.mark.parametrize(
    ("mode", "count", "expected"),
    [
        ("UNALIGN_CORNERS", 5, [0, 0.1, 0.5, 0.9, 1]),
        ("STRICT_ALIGN_CORNERS", 5, [0, 0.25, 0.5, 0.75, 1]),
        ("ALIGN_CORNERS", 5, [0, 0.25, 0.5, 0.75, 1]),
        ("ALIGN_CORNERS", 1, [0.5]),
        ("STRICT_ALIGN_CORNERS", 1, [0]),
        ("DEFAULT", 5, [0, 0.4, 0.8, 1, 1]),
        ("OFFSET_CORNERS", 5, [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("DEFAULT", 6, [0, 1 / 3, 2 / 3, 1, 1, 1]),
        ("OFFSET_CORNERS", 6, [1 / 12, 0.25, 5 / 12, 7 / 12, 0.75, 11 / 12]),
    ],
)
def test_the_points_are_those_that_mil_lists(mode, count, expected):
    x = torch.tensor([[[0.0, 1.0]]])
    arguments = {"target_size_height": 1, "target_size_width": count, "sampling_mode": mode}
    result = compute("resize_bilinear", x=x, **arguments)
    np.testing.assert_allclose(result[0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(7, 3), (1, 10), (2, 1)])
def test_bilinear_resizing_takes_every_sampling_mode(mode, size):
    height, width = size

    def build(x):
        old = mb.resize_bilinear(
            x=x, target_size_height=height, target_size_width=width, sampling_mode=mode
        )
        new = mb.resize(x=x, shape=[0, *size], resized_dims=np.uint32(2), sampling_mode=mode)
        return old, new

    for result in outputs_of(build, x=X):
        np.testing.assert_allclose(result, resized(X, size, mode), rtol=1e-5, atol=1e-6)


def test_resize_keeps_sizes_of_zero_and_the_axes_before():
    def build(x, shape):
        return (
            mb.resize(x=x, shape=[6, 0, 3], resized_dims=np.uint32(3)),
            mb.resize(x=x, shape=[9, 9, 7], resized_dims=np.uint32(1)),
            mb.resize(x=x, shape=shape, resized_dims=np.uint32(2)),
        )

    three, one, two = outputs_of(build, x=X, shape=np.array([3, 8], np.int32))
    np.testing.assert_allclose(three, resized(X, (6, 4, 3), "DEFAULT"), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one, resized(X, (7,), "DEFAULT"), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(two, resized(X, (3, 8), "DEFAULT"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(10, 15), (3, 2), (8, 5), (9, 7)])
def test_the_nearest_pixel_has_the_centre_of_the_new_one(size):
    height, width = size

    def build(x, n):
        three = {"shape": size, "resized_dims": np.uint32(2)}
        return (
            mb.resize_nearest_neighbor(x=x, target_size_height=height, target_size_width=width),
            mb.resize(x=x, interpolation_mode="NEAREST_NEIGHBOR", **three),
            mb.resize(x=n, interpolation_mode="NEAREST_NEIGHBOR", **three),
        )

    n = (X * 8).astype(np.int32) + 2**24
    expected = F.interpolate(torch.from_numpy(X), size=size, mode="nearest-exact").numpy()
    old, new, whole = outputs_of(build, x=X, n=n)
    np.testing.assert_array_equal(old, expected)
    np.testing.assert_array_equal(new, expected)
    np.testing.assert_array_equal(whole, (expected * 8).astype(np.int32) + 2**24)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "DEFAULT"])
def test_nearest_pixels_to_other_points_are_rounded_half_up(mode):
    def build(x):
        return mb.resize(
            x=x,
            shape=[7],
            resized_dims=np.uint32(1),
            interpolation_mode="NEAREST_NEIGHBOR",
            sampling_mode=mode,
        )

    index = np.minimum(np.floor(grid(mode, 5, 7) + 0.5), 4).astype(int)
    np.testing.assert_array_equal(outputs_of(build, x=X)[0], X[..., index])


def test_resize_gives_what_core_ml_has_been_seen_to_give():
    x = torch.tensor([[[[-6.0], [9.0]]]])
    arguments = {"shape": [1, 1, 3, 2], "resized_dims": 2}
    result = compute("resize", x=x, interpolation_mode="NEAREST_NEIGHBOR", **arguments)
    np.testing.assert_array_equal(result.flatten(), [-6, -6, 9, 9, 9, 9])


@pytest.mark.parametrize("factors", [(2, 3), (1, 4), (2.5, 1.2), (0.5, 0.8), (3.17, 1.12)])
def test_nearest_upsampling_is_torch_s_for_the_size_of_the_result(factors):
    height, width = factors

    def build(x):
        return mb.upsample_nearest_neighbor(
            x=x, scale_factor_height=height, scale_factor_width=width
        )

    size = (int(4 * height), int(5 * width + 1e-6))
    expected = F.interpolate(torch.from_numpy(X), size=size, mode="nearest")
    np.testing.assert_array_equal(outputs_of(build, x=X)[0], expected)


@pytest.mark.parametrize("factors", [(2, 3), (2.5, 1.0), (0.5, 0.8)])
@pytest.mark.parametrize("align", [True, False])
def test_bilinear_upsampling_is_torch_s_for_the_size_of_the_result(factors, align):
    height, width = factors

    def build(x):
        return mb.upsample_bilinear(
            x=x, scale_factor_height=height, scale_factor_width=width, align_corners=align
        )

    size = (int(4 * height), int(5 * width))
    x = torch.from_numpy(X)
    expected = F.interpolate(x, size=size, mode="bilinear", align_corners=align)
    result = outputs_of(build, target="iOS15", x=X)[0]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("align", "centers", "mode"),
    [
        (False, False, "DEFAULT"),
        (False, True, "UNALIGN_CORNERS"),
        (True, False, "STRICT_ALIGN_CORNERS"),
    ],
)
def test_pixels_of_upsampling_have_centers_or_not(align, centers, mode):
    def build(x):
        return mb.upsample_bilinear(
            x=x,
            scale_factor_height=2,
            scale_factor_width=3,
            align_corners=align,
            half_pixel_centers=centers,
        )

    expected = resized(X, (8, 15), mode)
    result = outputs_of(build, target="iOS16", x=X)[0]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "module", [torch.nn.Upsample(scale_factor=2), torch.nn.UpsamplingBilinear2d(7)]
)
def test_converted_modules_resize_as_they_do_in_torch(module):
    x = torch.from_numpy(X)
    with quiet():
        model = ct.convert(
            torch.jit.trace(module, x),
            inputs=[ct.TensorType(name="x", shape=X.shape)],
            convert_to="mlprogram",
            skip_model_load=True,
        )
    (result,) = evaluate(model, {"x": X}).values()
    # float16 programs: the inputs are exact, the result is rounded
    np.testing.assert_allclose(result, module(x), rtol=2**-10, atol=2**-10)


def test_crop_cuts_rows_and_columns_off():
    def build(x):
        return mb.crop(x=x, crop_height=[0, 1], crop_width=[2, 1])

    for half in (False, True):
        np.testing.assert_array_equal(outputs_of(build, half=half, x=X)[0], X[:, :, :3, 2:4])


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resize", {"shape": [2], "resized_dims": 1, "interpolation_mode": "CUBIC"}, "'CUBIC' is"),
        ("resize", {"shape": [2], "resized_dims": 1, "sampling_mode": "X"}, "'X' is not known"),
        ("resize", {"shape": [2], "resized_dims": 2}, "resized_dims 2"),
        (
            "resize",
            {
                "shape": [2],
                "resized_dims": 1,
                "sampling_mode": "X",
                "interpolation_mode": "NEAREST_NEIGHBOR",
            },
            "'X' is not known",
        ),
        ("resize_bilinear", {"sampling_mode": "X"}, "sampling_mode 'X' is not known"),
        ("upsample_bilinear", {"half_pixel_centers": True}, "are both set"),
    ],
)
def test_what_is_not_known_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        compute(name, x=torch.zeros(1, 2, 2), **arguments)


def test_sizes_are_products_of_float32():
    x = torch.zeros(1, 10, 10)  # 0.7 of float32 is less than 0.7, but 10 times that is rounded to 7
    arguments = {"scale_factor_height": float(np.float32(0.7)), "scale_factor_width": 1}
    assert compute("upsample_nearest_neighbor", x=x, **arguments).shape == (1, 7, 10)
