"""Reading images at computed places: boxes, affine transforms, and coordinates of each pixel."""

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


@op("affine")
def affine(
    x: Tensor,
    transform_matrix: Tensor,
    output_height: Any,
    output_width: Any,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Any,
    coordinates_mode: str,
    align_corners: bool,
) -> Tensor:
    """Read an image where a matrix puts the coordinates [x, y] of each pixel of the result."""
    options = (sampling_mode.lower(), padding_mode.lower(), coordinates_mode.lower())
    known = ("bilinear", "constant", "normalized_minus_one_to_one")
    if options != known or padding_value or not align_corners:
        raise ValueError(f"{options}, {padding_value}, {align_corners} are not what MIL supports")
    rows, columns = (_spread(int(n)) for n in (output_height, output_width))
    ones = torch.ones(len(rows), len(columns), dtype=torch.float64)
    place = torch.stack([columns * ones, rows[:, None] * ones, ones], -1)
    matrix = transform_matrix.double().reshape(-1, 2, 3)
    coordinates = torch.einsum("dij,hwj->dhwi", matrix, place).expand(len(x), -1, -1, -1)
    return resample(x, coordinates, *options[:2], 0.0, options[2], align_corners)


def _spread(count: int) -> Tensor:
    """Return points from -1 to 1; a single one is 0, as torch's affine_grid has it."""
    return points("ALIGN_CORNERS", 2.0, count) - 1


@op("resample")
def resample(
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Any,
    coordinates_mode: str,
    align_corners: bool,
) -> Tensor:
    """Read an image at the coordinates [x, y] of each pixel of the result."""
    rows, columns = (
        _folded(
            _pixel(at, size, coordinates_mode.lower(), align_corners), size, padding_mode.lower()
        )
        for at, size in zip(coordinates.double().unbind(-1)[::-1], x.shape[-2:], strict=True)
    )
    if sampling_mode.lower() == "nearest":
        return _read(x, rows.round(), columns.round(), padding_value)
    if sampling_mode.lower() != "bilinear":
        raise ValueError(f"sampling_mode {sampling_mode!r} is not known")
    y = torch.zeros(())
    for row, down in _neighbours(rows):
        for column, right in _neighbours(columns):
            y = y + (down * right).float()[:, None] * _read(x, row, column, padding_value)
    return y


def _neighbours(at: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the pixels before and after each point, and how much each of them weighs."""
    before = at.floor()
    return [(before, before + 1 - at), (before + 1, at - before)]


def _pixel(at: Tensor, size: int, mode: str, align_corners: bool) -> Tensor:
    """Return coordinates as pixels: the ends are the centres of the outer ones, or their edges."""
    if mode == "unnormalized":
        return at
    if mode == "normalized_minus_one_to_one":
        at = (at + 1) / 2
    elif mode != "normalized_zero_to_one":
        raise ValueError(f"coordinates_mode {mode!r} is not known")
    return at * (size - 1) if align_corners else at * size - 0.5


def _folded(at: Tensor, size: int, mode: str) -> Tensor:
    """Return where in the image the points beyond it are read; of `constant`, still beyond it."""
    last = size - 1
    if mode == "constant":
        return at.clamp(-2, size + 1)
    if mode == "border":
        return at.clamp(0, last)
    if mode == "reflection":
        return last - (torch.remainder(at, 2 * last) - last).abs() if last else torch.zeros_like(at)
    if mode == "symmetric":
        inside = size - (torch.remainder(at + 0.5, 2 * size) - size).abs() - 0.5
        return inside.clamp(0, last)
    raise ValueError(f"padding_mode {mode!r} is not known")


def _read(x: Tensor, rows: Tensor, columns: Tensor, beyond: Any) -> Tensor:
    """Return the pixels of whole places [B, H, W], and a value for those beyond the image."""
    height, width = x.shape[-2:]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    row, column = rows.clamp(0, height - 1).long(), columns.clamp(0, width - 1).long()
    image = torch.arange(len(x))[:, None, None]
    pixels = x.permute(0, 2, 3, 1)[image, row, column].permute(0, 3, 1, 2)
    return torch.where(inside[:, None], pixels, float(beyond))
