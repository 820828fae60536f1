"""Boxes against loops over their pixels, and results that coremltools documents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import compute, outputs_of

from migrate.coreml import coremltools

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types
X = np.random.RandomState(0).randint(-32, 32, (2, 3, 4, 5)).astype(np.float32) / 8
RAMP = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)


def pixel(image, y, x, pad):
    """The value between pixels; beyond the image a number, or the border for None."""
    height, width = image.shape
    if pad is not None and not (0 <= y <= height - 1 and 0 <= x <= width - 1):
        return pad
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    steps = np.arange(width)
    rows = [np.interp(x, steps, row) for row in image]
    return np.interp(y, np.arange(height), rows)


def cropped(images, top, left, bottom, right, size, points, pad):
    """A box of each channel; `points` are the places in its extent."""
    ys = [top + points(bottom - top, i, size[0]) for i in range(size[0])]
    xs = [left + points(right - left, j, size[1]) for j in range(size[1])]
    return np.array([[[pixel(one, y, x, pad) for x in xs] for y in ys] for one in images])


POINTS = {
    "ALIGN_CORNERS": lambda length, i, n: i * length / (n - 1) if n > 1 else length / 2,
    "DEFAULT": lambda length, i, n: min(i * (length + 1) / n, length),
    "OFFSET_CORNERS": lambda length, i, n: min((i + 0.5) * max(1, length) / n, length),
    "STRICT_ALIGN_CORNERS": lambda length, i, n: i * length / (n - 1) if n > 1 else 0,
    "UNALIGN_CORNERS": lambda length, i, n: min(max((i + 0.5) * (length + 1) / n - 0.5, 0), length),
}
BOXES = np.array(
    [[0.5, 1.0, 2.5, 3.5], [1.0, 0.25, 3.0, 5.25], [-1.0, 0.0, 1.0, 2.0], [1.0, 1.0, 1.5, 1.75]],
    np.float32,
)


def written(boxes, mode):
    """Boxes [top, left, bottom, right] as the mode has them."""
    top, left, bottom, right = boxes.T
    if mode.startswith("CENTER_SIZE"):
        top, left, bottom, right = (
            (top + bottom) / 2,
            (left + right) / 2,
            bottom - top,
            right - left,
        )
    order = (
        (top, left, bottom, right) if mode.endswith("HEIGHT_FIRST") else (left, top, right, bottom)
    )
    return np.stack(order, 1).astype(np.float32)


@pytest.mark.parametrize("mode", POINTS)
@pytest.mark.parametrize("size", [(3, 4), (1, 1)])
def test_boxes_are_resized_with_every_sampling_mode(mode, size):
    def build(x, boxes):
        return mb.crop_resize(
            x=x,
            boxes=boxes,
            box_indices=[1, 0, 1, 0],
            target_height=size[0],
            target_width=size[1],
            sampling_mode=mode,
            pad_value=-7.0,
        )

    pairs = zip([1, 0, 1, 0], BOXES, strict=True)
    expected = [cropped(X[i], *box, size, POINTS[mode], -7) for i, box in pairs]
    np.testing.assert_allclose(outputs_of(build, x=X, boxes=BOXES)[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    "mode",
    [
        "CORNERS_HEIGHT_FIRST",
        "CORNERS_WIDTH_FIRST",
        "CENTER_SIZE_HEIGHT_FIRST",
        "CENTER_SIZE_WIDTH_FIRST",
    ],
)
@pytest.mark.parametrize("normalized", [False, True])
def test_boxes_are_written_in_many_ways(mode, normalized):
    scale = np.array([3, 4, 3, 4] if normalized else [1] * 4, np.float32) * 2
    boxes = written(BOXES[:2] / scale, mode)

    def build(x, boxes):
        return mb.crop_resize(
            x=x,
            boxes=boxes,
            target_height=2,
            target_width=3,
            normalized_coordinates=normalized,
            spatial_scale=2.0,
            box_coordinate_mode=mode,
            sampling_mode="ALIGN_CORNERS",
        )

    pairs = zip(X, BOXES, strict=False)
    expected = [cropped(x, *box, (2, 3), POINTS["ALIGN_CORNERS"], 0) for x, box in pairs]
    np.testing.assert_allclose(outputs_of(build, x=X, boxes=boxes)[0], expected, atol=1e-5)


@pytest.mark.parametrize(("target", "pad"), [("iOS15", None), ("iOS16", 0)])
@pytest.mark.parametrize("named", [False, True])
def test_a_roi_names_its_image_or_means_all(target, pad, named):
    images = [1, 0, 1, 0]
    table = np.hstack([np.array(images)[:, None], BOXES]) if named else BOXES
    roi = table.reshape(4, 1, -1, 1, 1).astype(np.float32)

    def build(x, roi):
        return mb.crop_resize(x=x, roi=roi, target_height=2, target_width=3)

    every = [[i] for i in images] if named else [[0, 1]] * 4
    expected = [
        [cropped(X[i], *box, (2, 3), POINTS["DEFAULT"], pad) for i in chosen]
        for chosen, box in zip(every, BOXES, strict=True)
    ]
    np.testing.assert_allclose(
        outputs_of(build, target=target, x=X, roi=roi)[0], expected, atol=1e-5
    )


@pytest.mark.parametrize("pad", [0.0, 10.0])
def test_boxes_give_what_core_ml_has_been_seen_to_give(pad):
    boxes = torch.tensor([[0.1, 0.3, 1.3, 1.0], [0.5, 1.8, 1.0, 0.3], [0.0, 0.4, 0.6, 0.7]])
    result = compute(
        "crop_resize",
        x=torch.from_numpy(RAMP),
        boxes=boxes,
        box_indices=torch.tensor([0, 0, 0]),
        target_height=2,
        target_width=2,
        normalized_coordinates=True,
        sampling_mode="ALIGN_CORNERS",
        pad_value=pad,
    )
    expected = [3.1, 5.2, pad, pad, pad, 7.9, pad, 13.9, 2.2, 3.1, 9.4, 10.3]
    np.testing.assert_allclose(result.flatten(), expected, rtol=1e-5)


def test_a_box_upside_down_is_read_backwards():
    boxes = torch.tensor([[2.0, 2.0, 1.0, 1.0]])
    arguments = {"target_height": 2, "target_width": 2, "sampling_mode": "ALIGN_CORNERS"}
    result = compute("crop_resize", x=torch.from_numpy(RAMP), boxes=boxes, **arguments)
    np.testing.assert_allclose(result.flatten(), [11, 10, 7, 6])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"boxes": torch.ones(1, 4), "sampling_mode": "X"}, "sampling_mode 'X' is not known"),
        ({"boxes": torch.ones(1, 4), "box_coordinate_mode": "X"}, "mode 'X' is not known"),
        ({}, "boxes are missing"),
    ],
)
def test_boxes_that_are_not_known_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        compute("crop_resize", x=torch.zeros(1, 1, 2, 2), **arguments)
