"""Boxes cut out of images and resized."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from migrate.mil.image import linear, points
from migrate.mil.registry import op

BOXES = {  # which of the four values are [top, left, bottom, right], or [y, x, height, width]
    "CENTER_SIZE_HEIGHT_FIRST": (0, 1, 2, 3),
    "CENTER_SIZE_WIDTH_FIRST": (1, 0, 3, 2),
    "CORNERS_HEIGHT_FIRST": (0, 1, 2, 3),
    "CORNERS_WIDTH_FIRST": (1, 0, 3, 2),
}


@op("crop_resize")
def crop_resize(
    x: Tensor,
    roi: Tensor | None = None,
    boxes: Tensor | None = None,
    box_indices: Tensor | None = None,
    target_height: Any = 1,
    target_width: Any = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float | None = None,
) -> Tensor:
    """Resize what is in each box: [N, C, H, W], or [N, B, C, H, W] of a `roi` (before iOS 17)."""
    if roi is not None:
        images, boxes = _split_roi(roi, len(x))
    elif boxes is not None:
        numbers = torch.arange(len(boxes)) if box_indices is None else box_indices
        images = numbers.long()[:, None]
    else:
        raise ValueError("boxes are missing")
    start, end = _corners(boxes.double(), box_coordinate_mode)
    last = torch.tensor(x.shape[-2:], dtype=torch.float64) - 1
    scale = spatial_scale * (last if normalized_coordinates else torch.ones_like(last))
    sizes = (int(target_height), int(target_width))
    patches = [
        _patch(x[image], first, size, sizes, sampling_mode, pad_value)
        for image, first, size in zip(images, start * scale, (end - start) * scale, strict=True)
    ]
    return torch.stack(patches) if roi is not None else torch.cat(patches)


def _split_roi(roi: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the images of each box, the one it names or all, and the four values of each."""
    table = roi.flatten(1)
    if table.shape[1] == 5:
        return table[:, :1].long(), table[:, 1:]
    return torch.arange(count).expand(len(table), -1), table


def _corners(boxes: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """Return [top, left] and [bottom, right] of boxes."""
    if mode not in BOXES:
        raise ValueError(f"box_coordinate_mode {mode!r} is not known")
    first, second = torch.split(boxes[:, list(BOXES[mode])], 2, 1)
    if mode.startswith("CENTER_SIZE"):
        return first - second / 2, first + second / 2
    return first, second


def _patch(
    images: Tensor, start: Tensor, extent: Tensor, sizes: tuple[int, int], mode: str, pad: Any
) -> Tensor:
    """Resize one box of images; beyond them is `pad`, or their border before iOS 16 (None)."""
    outside = torch.zeros(sizes, dtype=torch.bool)
    y = images
    for axis, size in zip((-2, -1), sizes, strict=True):
        last = images.shape[axis] - 1
        at = start[axis] + points(mode, extent[axis], size)
        beyond = (at < 0) | (at > last)
        outside |= beyond[:, None] if axis == -2 else beyond
        y = linear(y, axis, at.clamp(0, last))
    return y if pad is None else torch.where(outside, float(pad), y)
