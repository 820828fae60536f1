"""Reading images at computed places: affine transforms, and coordinates of each pixel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from migrate.mil.image import points
from migrate.mil.registry import op


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
