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
from migrate.shapes import HEIGHT, WIDTH, affordable, rank5
from migrate.tracing import shape_of

if TYPE_CHECKING:
    from migrate.registry import Step

NEAREST, BILINEAR = 0, 1
DEFAULT, ALIGN_CORNERS_TRUE, ALIGN_CORNERS_FALSE = 0, 1, 2
STRICT_ALIGN_ENDPOINTS, ALIGN_ENDPOINTS, UPSAMPLE, ROI_ALIGN = 0, 1, 2, 3
WIDTH_FIRST, CENTER_SIZE = 1, 2  # the bits of BoxCoordinatesMode.Coordinates
LARGEST_NEAREST_FACTOR = 40
FIRST_WITH_CENTERS = 16  # iOS release, of upsample_bilinear's half_pixel_centers
MIL_METHODS = ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS")
MIL_BOX_MODES = ("CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST",
                 "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST")  # fmt: skip


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
    size, method = pair(p.targetSize, 1, "targetSize"), _method(p)
    if method == STRICT_ALIGN_ENDPOINTS or (method == ALIGN_ENDPOINTS and 1 not in size):
        return expressed(
            partial(F.interpolate, size=size, mode="bilinear", align_corners=True),
            lambda mb, x: _resize_bilinear_in_mil(mb, x, size, method),
        )
    return lambda x: resize_bilinear(x, size, method)


def _method(p: Any) -> int:
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


@layer("cropResize")
def cropResize(p: Any) -> Step:
    """Resize patches of the first input, each to the same size; boxes are the second."""
    size, method, box_mode = pair(p.targetSize, 1, "targetSize"), _method(p), _box_mode(p)
    scale = p.spatialScale or 1.0

    def step(x: Tensor, boxes: Tensor) -> Tensor:
        return crop_resize(x, boxes, size, method, box_mode, p.normalizedCoordinates, scale)

    return step


def _box_mode(p: Any) -> int:
    mode = int(p.boxIndicesMode.boxMode)
    if mode not in range(4):
        raise ModelError(f"boxMode {mode} is not one of BoxCoordinatesMode")
    return mode


@helper
def crop_resize(
    x: Tensor,
    boxes: Tensor,
    size: tuple[int, ...],
    method: int,
    box_mode: int,
    normalized: bool,
    scale: float,
) -> Tensor:
    """Return a bilinear patch of each box; of a box's interval SamplingMode takes the points.

    The result is [N, Batch, C, H, W], or [N, 1, C, H, W] if the boxes name their image.
    """
    images = rank5(x).flatten(0, 1)
    boxes = rank5(boxes).flatten(0, 1).flatten(1)
    if boxes.shape[1] not in (4, 5):
        raise ValueError(f"a box has 4 or 5 values, found {boxes.shape[1]}")
    last = shape_of(images)[-2:].to(images.dtype) - 1
    start, end = corners(boxes[:, -4:], box_mode, last * scale if normalized else scale)
    (top, bottom, down), (left, right, along) = (
        between(start[:, i : i + 1] + grid(method, (end - start)[:, i : i + 1], n), edge)
        for i, (n, edge) in enumerate(zip(size, last.unbind(), strict=True))
    )
    every = torch.arange(images.shape[0])[None]
    index = (boxes[:, :1].long() if boxes.shape[1] == 5 else every)[:, :, None, None]
    pixels = images.permute(0, 2, 3, 1)

    def row(i: Tensor) -> Tensor:
        start, end = (pixels[index, i[:, None, :, None], j[:, None, None]] for j in (left, right))
        return mix(start, end, along[:, None, None, :, None])

    return mix(row(top), row(bottom), down[:, None, :, None, None]).permute(0, 1, 4, 2, 3)


def corners(boxes: Tensor, box_mode: int, scale: Tensor | float) -> tuple[Tensor, Tensor]:
    """Return the boxes' [top, left] and [bottom, right] in pixels."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if box_mode & WIDTH_FIRST:
        first, second = first.flip(1), second.flip(1)
    if box_mode & CENTER_SIZE:
        first, second = first - second / 2, first + second / 2
    return first * scale, second * scale


@lowers(crop_resize)
def _crop_resize_in_mil(
    mb: Any,
    x: Any,
    boxes: Any,
    size: tuple[int, ...],
    method: int,
    box_mode: int,
    normalized: bool,
    scale: float,
) -> Any:
    if x.rank == 5:
        single = x.shape[0] == 1
        x = mb.squeeze(x=x, axes=[0]) if single else mb.reshape(x=x, shape=(-1, *x.shape[2:]))
    options = {
        "target_height": size[0],
        "target_width": size[1],
        "normalized_coordinates": normalized,
        "spatial_scale": scale,
        "box_coordinate_mode": MIL_BOX_MODES[box_mode],
        "sampling_mode": MIL_METHODS[method],
    }
    x, boxes = _at_rank_in_mil(mb, x, 4), _at_rank_in_mil(mb, boxes, 5)
    if mb.release < 17:
        return mb.crop_resize(x=x, roi=boxes, **options)
    boxes = mb.squeeze(x=boxes, axes=[1, 3, 4])
    if boxes.shape[1] == 5:
        index, boxes = mb.split(x=boxes, split_sizes=[1, 4], axis=1)
        index = mb.cast(x=mb.squeeze(x=index, axes=[1]), dtype="int32")
        patches = mb.crop_resize(x=x, boxes=boxes, box_indices=index, **options)
        return mb.expand_dims(x=patches, axes=[1])
    zeros = mb.fill_like(
        ref_tensor=mb.slice_by_index(
            x=boxes, begin=[0, 0], end=[0, 1], end_mask=[True, False], squeeze_mask=[False, True]
        ),
        value=0,
    )
    every = [
        mb.crop_resize(x=x, boxes=boxes, box_indices=mb.add(x=zeros, y=i), **options)
        for i in range(int(x.shape[0]))
    ]
    return mb.stack(values=every, axis=1)


def _at_rank_in_mil(mb: Any, x: Any, rank: int) -> Any:
    return mb.expand_dims(x=x, axes=list(range(rank - x.rank))) if x.rank < rank else x
