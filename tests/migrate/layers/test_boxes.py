"""The oracle: bilinear values of `resampled`, patch by patch."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences
from resampled import ALIGN, ROI, STRICT, UPSAMPLE, bilinear, numbers, sampled

import migrate
from migrate import ModelError

CORNERS = np.array([[1.0, 2.0, 4.0, 6.0], [0.0, 0.5, 2.5, 3.0], [2.0, 1.0, 2.5, 1.5]])


def boxes_of(corners, mode):
    """Write [top, left, bottom, right] in a BoxCoordinatesMode."""
    start, end = corners[:, :2], corners[:, 2:]
    first, second = (start, end) if mode < 2 else ((start + end) / 2, end - start)
    order = [1, 0] if mode % 2 else [0, 1]
    return np.concatenate([first[:, order], second[:, order]], 1)


def cropped(x, corners, method, size, images=None):
    """The patches [N, Batch, C, H, W] of images [Batch, C, H, W], one by one."""
    patches = []
    for i, (top, left, bottom, right) in enumerate(corners):
        rows = np.minimum(bottom, top + sampled(method, bottom - top + 1, size[0]))
        columns = np.minimum(right, left + sampled(method, right - left + 1, size[1]))
        of = x if images is None else x[images[i]][None]
        patches.append(bilinear(of, rows, columns))
    return np.stack(patches)


@pytest.mark.parametrize("method", [STRICT, ALIGN, UPSAMPLE, ROI])
@pytest.mark.parametrize("box_mode", range(4))
@pytest.mark.parametrize("size", [(3, 2), (1, 5)])
@pytest.mark.parametrize("images", [None, [1, 0, 1]])
def test_crop_resize(run_layer, method, box_mode, size, images):
    x = numbers(2, 3, 6, 8)
    boxes = boxes_of(CORNERS, box_mode)
    if images:
        boxes = np.concatenate([np.array(images, float)[:, None], boxes], 1)

    def fill(p):
        p.mode.samplingMethod, p.boxIndicesMode.boxMode = method, box_mode

    blobs = [x[None], boxes[:, None, :, None, None]]
    y = run_layer("cropResize", blobs, fill=fill, targetSize=size, spatialScale=1)
    np.testing.assert_allclose(y, cropped(x, CORNERS, method, size, images), atol=1e-12)


@pytest.mark.parametrize("box_mode", [1, 2])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_crop_resize_scales_coordinates(run_layer, box_mode, normalized, scale):
    """A spatialScale that is not set, 0 in proto3, scales by 1."""
    x = numbers(1, 2, 6, 8)
    unit = np.array([5, 7, 5, 7]) if normalized else 1
    given = boxes_of(CORNERS / unit, box_mode)[:, None, :, None, None]

    def fill(p):
        p.boxIndicesMode.boxMode = box_mode

    y = run_layer(
        "cropResize",
        [x[None], given],
        fill=fill,
        targetSize=[2, 3],
        normalizedCoordinates=normalized,
        spatialScale=scale,
    )
    expected = cropped(x, CORNERS * (scale or 1), STRICT, (2, 3))
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_crop_resize_of_one_box_in_the_rank5_mapping(run_layer):
    x = numbers(2, 6, 8)
    y = run_layer("cropResize", [x, CORNERS[0].reshape(4, 1, 1)], rank5=True, targetSize=[4, 5])
    np.testing.assert_allclose(y, cropped(x[None], CORNERS[:1], STRICT, (4, 5)), atol=1e-12)


def test_crop_resize_stays_inside_the_image(run_layer):
    x = np.arange(12.0).reshape(1, 1, 1, 3, 4)
    box = np.array([-1.0, -2.0, 5.0, 9.0]).reshape(1, 1, 4, 1, 1)
    y = run_layer("cropResize", [x, box], targetSize=[2, 2])
    np.testing.assert_array_equal(y.reshape(2, 2), [[0, 3], [8, 11]])


@pytest.mark.parametrize("box", [[0.0, 0, 1], [5.0, 0, 0, 1, 1]])
def test_crop_resize_refuses_boxes_that_are_none(run_layer, box):
    blobs = [numbers(1, 2, 1, 3, 3), np.array(box).reshape(1, 1, -1, 1, 1)]
    with pytest.raises(ModelError, match="cannot be applied"):
        run_layer("cropResize", blobs)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"targetSize": [0, 1]}, "targetSize must be two"),
        ({"fill": lambda p: setattr(p.mode, "samplingMethod", 9)}, "Method 9"),
        ({"fill": lambda p: setattr(p.boxIndicesMode, "boxMode", 4)}, "boxMode 4"),
    ],
)
def test_options_that_contradict_the_proto(one_layer, options, match):
    with pytest.raises(ModelError, match=match):
        migrate.to_torch(one_layer("cropResize", [(1, 3, 3)], **options))


# as an ML Program

IMAGES = numbers(2, 3, 6, 5)


def cropping(boxes, method=STRICT, box_mode=0, x=IMAGES[:1], size=(3, 2), **options):
    def fill(p):
        p.targetSize.extend(size)
        p.mode.samplingMethod = method
        p.boxIndicesMode.boxMode = box_mode

    return case("cropResize", [x, boxes], fill=fill, **options)


INSIDE = np.array([[0.5, 1, 4, 3.25], [1, 0, 5, 4], [2, 2, 2, 2]])


def as_blob(boxes):
    return boxes[:, None, :, None, None]


BOXES = as_blob(INSIDE)
INDEXED = as_blob(np.concatenate([[[1], [0], [1]], boxes_of(INSIDE, 1)], 1))
BEYOND = {"beyond the image": cropping(BOXES + 2.5, UPSAMPLE)}
CROPS = {
    **{f"method {m}": cropping(BOXES, m) for m in range(4)},
    **{f"boxes {m}": cropping(as_blob(boxes_of(INSIDE, m)), box_mode=m) for m in range(4)},
    "normalized": cropping(BOXES / 6, normalizedCoordinates=True),
    "scaled": cropping(BOXES * 4, ROI, spatialScale=0.25),
    "one pixel": cropping(BOXES, ALIGN, size=(1, 1)),
    "images that boxes name": cropping(INDEXED, ROI, x=IMAGES, box_mode=1),
    "images of rank 5": cropping(INDEXED, x=IMAGES[:, None], box_mode=1),
    "an image of rank 5": cropping(BOXES, x=IMAGES[None, :1]),
    "an image of rank 3": cropping(BOXES[0], x=IMAGES[0]),
}


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(CROPS, target, tolerance=1e-5) == {}


@pytest.mark.parametrize("target", ["iOS16", "iOS17"])
def test_one_operation_crops_and_resizes(target):
    cases = {name: c._replace(operation="crop_resize") for name, c in CROPS.items()}
    assert differences(cases, target, tolerance=1e-5) == {}


def test_beyond_the_image_an_ml_program_has_its_border_only_before_ios16():
    """There crop_resize got a value for what is beyond, and has no border."""
    assert differences(BEYOND, "iOS15", tolerance=1e-5) == {}
    assert list(differences(BEYOND, "iOS16", tolerance=1e-5)) == list(BEYOND)


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_a_patch_of_each_box_in_each_image(target):
    cases = {"each": cropping(BOXES, ALIGN, x=IMAGES)}
    assert differences(cases, target, tolerance=1e-5) == {}
