"""Cropping, padding and resampling of [H, W].

Resampling is bilinear on a grid: `SamplingMode` says where the points of an axis lie, `between`
finds the two pixels next to each point.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from migrate.errors import ModelError, UnsupportedError
from migrate.helpers import helper
from migrate.layers.padding import edges, pair, surround
from migrate.lowering import expressed, fixed, known, lowers
from migrate.registry import layer
from migrate.shapes import HEIGHT, WIDTH, affordable
from migrate.tracing import shape_of

if TYPE_CHECKING:
    from migrate.registry import Step

NEAREST, BILINEAR = 0, 1
DEFAULT, ALIGN_CORNERS_TRUE, ALIGN_CORNERS_FALSE = 0, 1, 2
STRICT_ALIGN_ENDPOINTS, ALIGN_ENDPOINTS, UPSAMPLE, ROI_ALIGN = 0, 1, 2, 3
LARGEST_NEAREST_FACTOR = 40
FIRST_WITH_CENTERS = 16  # iOS release, of upsample_bilinear's half_pixel_centers
MIL_METHODS = ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS")


@layer("crop", spatial=True)
def crop(p: Any) -> Step:
    """Cut amounts off the borders, or cut out the size of a second input."""
    top, bottom, left, right = edges(p.cropAmounts, "cropAmounts")
    if len(p.offset) not in (0, 2):
        raise ModelError(f"offset must be two numbers [H, W], found {list(p.offset)}")
    offset = tuple(int(n) for n in p.offset) or (0, 0)

    def step(x: Tensor, like: Tensor | None = None) -> Tensor:
        if like is not None:
            rows, columns = like.shape[HEIGHT], like.shape[WIDTH]
            return x.narrow(HEIGHT, offset[0], rows).narrow(WIDTH, offset[1], columns)
        rows = x.shape[HEIGHT] - top - bottom
        columns = x.shape[WIDTH] - left - right
        return x.narrow(HEIGHT, top, rows).narrow(WIDTH, left, columns)

    return step


@layer("padding", spatial=True)
def padding(p: Any) -> Step:
    """Surround [H, W] with a constant, or with reflected or replicated pixels."""
    top, bottom, left, right = edges(p.paddingAmounts, "paddingAmounts")
    amounts = (left, right, top, bottom)
    kind = p.WhichOneof("PaddingType")
    if kind is None:
        raise ModelError("PaddingType is not set")
    if kind == "constant":
        return lambda x: surround(x, amounts, p.constant.value)
    mode = {"reflection": "reflect", "replication": "replicate"}[kind]
    return lambda x: F.pad(x, amounts, mode)


@layer("upsample", spatial=True)
def upsample(p: Any) -> Step:
    """Multiply [H, W] by factors, with nearest or bilinear pixels."""
    if p.mode not in (NEAREST, BILINEAR):
        raise ModelError(f"mode {p.mode} is not an InterpolationMode")
    if p.linearUpsampleMode not in (DEFAULT, ALIGN_CORNERS_TRUE, ALIGN_CORNERS_FALSE):
        raise ModelError(f"linearUpsampleMode {p.linearUpsampleMode} is not a LinearUpsampleMode")
    factors = _factors(p)
    whole = all(f == int(f) for f in factors)
    if p.mode == NEAREST:
        # torch takes a float32 reciprocal of the factor, which misses pixels at some beyond 40
        if whole and max(factors) <= LARGEST_NEAREST_FACTOR:
            return partial(F.interpolate, scale_factor=factors, mode="nearest")
        return expressed(
            lambda x: resize_nearest(x, scaled_size(x, factors)),
            lambda mb, x: mb.upsample_nearest_neighbor(x=x, **_scaling(factors)),
        )
    if p.linearUpsampleMode == DEFAULT:
        return expressed(
            lambda x: resize_bilinear(x, scaled_size(x, factors), UPSAMPLE),
            lambda mb, x: _upsample_bilinear_in_mil(mb, x, factors),
        )
    aligned = p.linearUpsampleMode == ALIGN_CORNERS_TRUE
    bilinear = partial(F.interpolate, mode="bilinear", align_corners=aligned)
    if whole:
        return partial(bilinear, scale_factor=factors)
    return expressed(
        lambda x: bilinear(x, size=scaled_size(x, factors)),
        lambda mb, x: mb.upsample_bilinear(x=x, align_corners=aligned, **_scaling(factors)),
    )


def _upsample_bilinear_in_mil(mb: Any, x: Any, factors: tuple[float, float]) -> Any:
    """Resize to the size that the factors make, or by them where it is not known."""
    if known(mb.shape(x=x)) is not None:
        size = scaled_size(torch.empty(x.shape, device="meta"), factors)
        return _resize_bilinear_in_mil(mb, x, size, UPSAMPLE)
    if mb.release < FIRST_WITH_CENTERS:
        raise UnsupportedError("bilinear upsampling of flexible sizes needs iOS16 in an ML Program")
    return mb.upsample_bilinear(
        x=x, align_corners=False, half_pixel_centers=False, **_scaling(factors)
    )


def _scaling(factors: tuple[float, float]) -> dict[str, float]:
    return {"scale_factor_height": factors[0], "scale_factor_width": factors[1]}


def _factors(p: Any) -> tuple[float, float]:
    if p.scalingFactor and p.fractionalScalingFactor:
        raise ModelError("scalingFactor and fractionalScalingFactor are both set")
    field = "fractionalScalingFactor" if p.fractionalScalingFactor else "scalingFactor"
    values = list(getattr(p, field)) or [1, 1]
    if len(values) != 2 or not all(0 < v < float("inf") for v in values):
        raise ModelError(f"{field} must be two positive numbers [H, W], found {values}")
    affordable(values, field)
    return float(values[0]), float(values[1])


@helper
def scaled_size(x: Tensor, factors: tuple[float, ...]) -> tuple[int, ...]:
    """Return [H, W] times the factors, rounded down; the product is a float32, as the factors."""
    axes = zip(x.shape[-2:], factors, strict=True)
    size = tuple(int(np.float32(n) * np.float32(factor)) for n, factor in axes)
    if 0 in size:
        raise ValueError(f"the factors leave {size[0]} by {size[1]} pixels")
    return size


@helper
def resize_nearest(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize [H, W] with the pixel at or before each place."""
    for axis, n in zip((-2, -1), size, strict=True):
        x = x.index_select(axis, (torch.arange(n) * x.shape[axis] // n).long())
    return x


@layer("resizeBilinear", spatial=True)
def resizeBilinear(p: Any) -> Step:
    """Resize [H, W] to a fixed size."""
    size, method = pair(p.targetSize, 1, "targetSize"), sampling_method(p)
    if method == STRICT_ALIGN_ENDPOINTS or (method == ALIGN_ENDPOINTS and 1 not in size):
        return expressed(
            partial(F.interpolate, size=size, mode="bilinear", align_corners=True),
            lambda mb, x: _resize_bilinear_in_mil(mb, x, size, method),
        )
    return lambda x: resize_bilinear(x, size, method)


def sampling_method(p: Any) -> int:
    """Return the method of SamplingMode that a layer names."""
    method = int(p.mode.samplingMethod)
    if method not in (STRICT_ALIGN_ENDPOINTS, ALIGN_ENDPOINTS, UPSAMPLE, ROI_ALIGN):
        raise ModelError(f"samplingMethod {method} is not a SamplingMode.Method")
    return method


@helper
def resize_bilinear(x: Tensor, size: tuple[int, ...], method: int) -> Tensor:
    """Resize [H, W]; the method is that of SamplingMode."""
    last = shape_of(x)[-2:].to(x.dtype) - 1
    rows = between(grid(method, last[0], size[0]), last[0])
    columns = between(grid(method, last[1], size[1]), last[1])
    above, below = (x.index_select(-2, row) for row in rows[:2])
    x = mix(above, below, rows[2].unsqueeze(-1))
    left, right = (x.index_select(-1, column) for column in columns[:2])
    return mix(left, right, columns[2])


@lowers(resize_bilinear)
def _resize_bilinear_in_mil(mb: Any, x: Any, size: tuple[int, ...], method: int) -> Any:
    height, width = (int(fixed(n, "the size")) for n in size)
    return mb.resize_bilinear(
        x=x, target_size_height=height, target_size_width=width, sampling_mode=MIL_METHODS[method]
    )


def grid(method: int, last: Tensor, n: int) -> Tensor:
    """Return the `n` points of SamplingMode in the interval [0, last]; its X is last + 1."""
    i = torch.arange(n, dtype=last.dtype)
    if method == UPSAMPLE:
        return torch.minimum(i * ((last + 1) / n), last)
    if method == ROI_ALIGN:
        return torch.minimum((i + 0.5) * (last.clamp(min=1) / n), last)
    if method == ALIGN_ENDPOINTS and n == 1:
        return i + last / 2
    return i * (last / max(n - 1, 1))


def between(points: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pixels before and after each point, and the weight of the latter."""
    inside = torch.minimum(points.clamp(min=0), last)
    before = inside.floor()
    return before.long(), torch.minimum(before + 1, last).long(), inside - before


def mix(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Return what lies between two values, at the weight of the second."""
    return first + (second - first) * weight
