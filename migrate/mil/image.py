"""Resizing and cropping of images, whose rows and columns are the last two axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from migrate.mil.registry import op
from migrate.mil.scatter_gather import take
from migrate.mil.values import ints

if TYPE_CHECKING:
    from collections.abc import Callable


def _align_corners(i: Tensor, last: Tensor, n: int) -> Tensor:
    """Spread points over [0, last]; a single one stands in the middle."""
    return i * last / (n - 1) if n > 1 else i + last / 2


# the points 0, ..., n - 1 of an interval [0, last], before they are clipped to it
SAMPLING: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "ALIGN_CORNERS": _align_corners,
    "DEFAULT": lambda i, last, n: i * (last + 1) / n,
    "OFFSET_CORNERS": lambda i, last, n: (i + 0.5) * last.clamp(min=1) / n,
    "STRICT_ALIGN_CORNERS": lambda i, last, n: i * last / max(n - 1, 1),
    "UNALIGN_CORNERS": lambda i, last, n: (i + 0.5) * (last + 1) / n - 0.5,
}


def points(mode: str, last: Any, count: int) -> Tensor:
    """Return the points of a sampling mode in [0, last], or [last, 0] of a negative one."""
    if mode not in SAMPLING:
        raise ValueError(f"sampling_mode {mode!r} is not known")
    end = torch.as_tensor(last, dtype=torch.float64)
    at = SAMPLING[mode](torch.arange(count, dtype=torch.float64), end, count)
    return torch.clamp(at, end.clamp(max=0), end.clamp(min=0))


def linear(x: Tensor, axis: int, at: Tensor) -> Tensor:
    """Read an axis at points between its elements."""
    axis = axis % x.ndim
    before = at.floor()
    weight = (at - before).float().reshape(-1, *(1,) * (x.ndim - 1 - axis))
    first = take(x, axis, before.long())
    second = take(x, axis, (before.long() + 1).clamp(max=x.shape[axis] - 1))
    return first + (second - first) * weight


def _resized(x: Tensor, sizes: list[int], mode: str) -> Tensor:
    """Resize the last axes linearly."""
    for axis, size in enumerate(sizes, start=x.ndim - len(sizes)):
        x = linear(x, axis, points(mode, x.shape[axis] - 1, size))
    return x


def _scaled(x: Tensor, height: Any, width: Any) -> list[int]:
    """Return rows and columns times factors, rounded down; the product is float32, as they are."""
    axes = zip(x.shape[-2:], (height, width), strict=True)
    return [int(np.floor(np.float32(n) * np.float32(factor))) for n, factor in axes]


@op("upsample_nearest_neighbor")
def upsample_nearest_neighbor(
    x: Tensor, scale_factor_height: Any = 1, scale_factor_width: Any = 1
) -> Tensor:
    """Multiply the sizes, with the pixel at or before each place."""
    for axis, size in zip(
        (-2, -1), _scaled(x, scale_factor_height, scale_factor_width), strict=True
    ):
        x = take(x, axis, torch.arange(size) * x.shape[axis] // size)
    return x


@op("upsample_bilinear")
def upsample_bilinear(
    x: Tensor,
    scale_factor_height: Any = 1,
    scale_factor_width: Any = 1,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    """Multiply the sizes, with points between pixels."""
    centers = not align_corners if half_pixel_centers is None else half_pixel_centers
    if align_corners and centers:
        raise ValueError("align_corners and half_pixel_centers are both set")
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS" if centers else "DEFAULT"
    return _resized(x, _scaled(x, scale_factor_height, scale_factor_width), mode)


@op("resize_nearest_neighbor")
def resize_nearest_neighbor(x: Tensor, target_size_height: Any, target_size_width: Any) -> Tensor:
    """Resize to a size, with the pixel whose area has the centre of each new one."""
    return _resized_nearest(x, [int(target_size_height), int(target_size_width)], "DEFAULT")


def _resized_nearest(x: Tensor, sizes: list[int], mode: str) -> Tensor:
    """Resize the last axes with the pixels nearest to the points, halfway the later one.

    MIL does not say what this is. By coremltools' tests DEFAULT is TensorFlow's
    half_pixel_centers, which is the pixel nearest to UNALIGN_CORNERS' points.
    """
    if mode not in SAMPLING:
        raise ValueError(f"sampling_mode {mode!r} is not known")
    for axis, size in enumerate(sizes, start=x.ndim - len(sizes)):
        old = x.shape[axis]
        if mode in ("DEFAULT", "UNALIGN_CORNERS"):
            at = (2 * torch.arange(size) + 1) * old // (2 * size)
        else:
            at = (points(mode, old - 1, size) + 0.5).floor().long().clamp(max=old - 1)
        x = take(x, axis, at)
    return x


@op("resize_bilinear")
def resize_bilinear(
    x: Tensor,
    target_size_height: Any = 1,
    target_size_width: Any = 1,
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """Resize to a size, with points between pixels."""
    return _resized(x, [int(target_size_height), int(target_size_width)], sampling_mode)


@op("resize")
def resize(
    x: Tensor,
    shape: Any,
    resized_dims: Any,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """Resize the last axes to the last sizes of a shape; a size of 0 stays as it is."""
    count = int(resized_dims)
    wanted = ints(shape)
    if not 0 <= count <= len(wanted):
        raise ValueError(f"resized_dims {count} are more than a shape of {len(wanted)} has")
    old = x.shape[x.ndim - count :]
    sizes = [n or size for n, size in zip(wanted[len(wanted) - count :], old, strict=True)]
    if interpolation_mode == "LINEAR":
        return _resized(x, sizes, sampling_mode)
    if interpolation_mode == "NEAREST_NEIGHBOR":
        return _resized_nearest(x, sizes, sampling_mode)
    raise ValueError(f"interpolation_mode {interpolation_mode!r} is not known")


@op("crop")
def crop(x: Tensor, crop_height: Any, crop_width: Any) -> Tensor:
    """Cut rows and columns off the borders."""
    for axis, amounts in zip((-2, -1), (crop_height, crop_width), strict=True):
        before, after = ints(amounts)
        x = x.narrow(axis, before, x.shape[axis] - before - after)
    return x
