"""Cropping, padding and resampling of [H, W].

Resampling is bilinear on a grid: `SamplingMode` says where the points of an axis lie, `_between`
finds the two pixels next to each point.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate.errors import ModelError
from migrate.layers.padding import edges, pair
from migrate.registry import layer
from migrate.shapes import HEIGHT, WIDTH, affordable, rank5
from migrate.tracing import shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migrate.registry import Step

NEAREST, BILINEAR = 0, 1
DEFAULT, ALIGN_CORNERS_TRUE, ALIGN_CORNERS_FALSE = 0, 1, 2
STRICT_ALIGN_ENDPOINTS, ALIGN_ENDPOINTS, UPSAMPLE, ROI_ALIGN = 0, 1, 2, 3
WIDTH_FIRST, CENTER_SIZE = 1, 2  # the bits of BoxCoordinatesMode.Coordinates
LARGEST_NEAREST_FACTOR = 40


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
        return nn.ConstantPad2d(amounts, p.constant.value)
    return {"reflection": nn.ReflectionPad2d, "replication": nn.ReplicationPad2d}[kind](amounts)


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
            return nn.Upsample(scale_factor=factors, mode="nearest")
        return Upsample(factors, _nearest)
    if p.linearUpsampleMode == DEFAULT:
        return Upsample(factors, partial(_resample, method=UPSAMPLE))
    align = p.linearUpsampleMode == ALIGN_CORNERS_TRUE
    if whole:
        return nn.Upsample(scale_factor=factors, mode="bilinear", align_corners=align)
    return Upsample(factors, partial(F.interpolate, mode="bilinear", align_corners=align))


def _factors(p: Any) -> tuple[float, float]:
    if p.scalingFactor and p.fractionalScalingFactor:
        raise ModelError("scalingFactor and fractionalScalingFactor are both set")
    field = "fractionalScalingFactor" if p.fractionalScalingFactor else "scalingFactor"
    values = list(getattr(p, field)) or [1, 1]
    if len(values) != 2 or not all(0 < v < float("inf") for v in values):
        raise ModelError(f"{field} must be two positive numbers [H, W], found {values}")
    affordable(values, field)
    return float(values[0]), float(values[1])


class Upsample(nn.Module):
    """Resize to the input's size times the factors, rounded down."""

    def __init__(
        self, factors: tuple[float, float], resize: Callable[[Tensor, list[int]], Tensor]
    ) -> None:
        super().__init__()
        self.factors, self.resize = factors, resize

    def forward(self, x: Tensor) -> Tensor:
        """Return the resized blob; the product is a float32, as the factors in the file are."""
        axes = zip(x.shape[-2:], self.factors, strict=True)
        size = [int(np.float32(n) * np.float32(factor)) for n, factor in axes]
        if 0 in size:
            raise ValueError(f"the factors leave {size[0]} by {size[1]} pixels")
        return self.resize(x, size)


def _nearest(x: Tensor, size: Sequence[int]) -> Tensor:
    for axis, n in zip((HEIGHT, WIDTH), size, strict=True):
        x = x.index_select(axis, (torch.arange(n) * x.shape[axis] // n).long())
    return x


@layer("resizeBilinear", spatial=True)
def resizeBilinear(p: Any) -> Step:
    """Resize [H, W] to a fixed size."""
    size, method = pair(p.targetSize, 1, "targetSize"), _method(p)
    if method == STRICT_ALIGN_ENDPOINTS or (method == ALIGN_ENDPOINTS and 1 not in size):
        return nn.Upsample(size, mode="bilinear", align_corners=True)
    return ResizeBilinear(size, method)


class ResizeBilinear(nn.Module):
    """Resize to a fixed size in one of the modes that torch does not have."""

    def __init__(self, size: tuple[int, int], method: int) -> None:
        super().__init__()
        self.size, self.method = size, method

    def forward(self, x: Tensor) -> Tensor:
        """Return the resized blob."""
        return _resample(x, self.size, self.method)


def _method(p: Any) -> int:
    method = int(p.mode.samplingMethod)
    if method not in (STRICT_ALIGN_ENDPOINTS, ALIGN_ENDPOINTS, UPSAMPLE, ROI_ALIGN):
        raise ModelError(f"samplingMethod {method} is not a SamplingMode.Method")
    return method


def _resample(x: Tensor, size: Sequence[int], method: int) -> Tensor:
    last = shape_of(x)[-2:].to(x.dtype) - 1
    rows = _between(_grid(method, last[0], size[0]), last[0])
    columns = _between(_grid(method, last[1], size[1]), last[1])
    above, below = (x.index_select(HEIGHT, row) for row in rows[:2])
    x = _mix(above, below, rows[2].unsqueeze(-1))
    left, right = (x.index_select(WIDTH, column) for column in columns[:2])
    return _mix(left, right, columns[2])


def _grid(method: int, last: Tensor, n: int) -> Tensor:
    """Return the `n` points of SamplingMode in the interval [0, last]; its X is last + 1."""
    i = torch.arange(n, dtype=last.dtype)
    if method == UPSAMPLE:
        return torch.minimum(i * ((last + 1) / n), last)
    if method == ROI_ALIGN:
        return torch.minimum((i + 0.5) * (last.clamp(min=1) / n), last)
    if method == ALIGN_ENDPOINTS and n == 1:
        return i + last / 2
    return i * (last / max(n - 1, 1))


def _between(points: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pixels before and after each point, and the weight of the latter."""
    inside = torch.minimum(points.clamp(min=0), last)
    before = inside.floor()
    return before.long(), torch.minimum(before + 1, last).long(), inside - before


def _mix(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    return first + (second - first) * weight


@layer("cropResize")
def cropResize(p: Any) -> Step:
    """Resize patches of the first input, each to the same size; boxes are the second."""
    return CropResize(p)


class CropResize(nn.Module):
    """Bilinear patches; of a box's interval, `SamplingMode` takes the points."""

    def __init__(self, p: Any) -> None:
        super().__init__()
        self.size, self.method = pair(p.targetSize, 1, "targetSize"), _method(p)
        self.box_mode = int(p.boxIndicesMode.boxMode)
        if self.box_mode not in range(4):
            raise ModelError(f"boxMode {self.box_mode} is not one of BoxCoordinatesMode")
        self.normalized = p.normalizedCoordinates
        self.scale = p.spatialScale or 1.0

    def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
        """Return [N, Batch, C, H, W], or [N, 1, C, H, W] if the boxes name their image."""
        images = rank5(x).flatten(0, 1)
        boxes = rank5(boxes).flatten(0, 1).flatten(1)
        if boxes.shape[1] not in (4, 5):
            raise ValueError(f"a box has 4 or 5 values, found {boxes.shape[1]}")
        last = shape_of(images)[-2:].to(images.dtype) - 1
        start, end = self.corners(boxes[:, -4:], last)
        (top, bottom, down), (left, right, along) = (
            _between(start[:, i : i + 1] + _grid(self.method, (end - start)[:, i : i + 1], n), edge)
            for i, (n, edge) in enumerate(zip(self.size, last.unbind(), strict=True))
        )
        every = torch.arange(images.shape[0])[None]
        index = (boxes[:, :1].long() if boxes.shape[1] == 5 else every)[:, :, None, None]
        pixels = images.permute(0, 2, 3, 1)

        def row(i: Tensor) -> Tensor:
            start, end = (
                pixels[index, i[:, None, :, None], j[:, None, None]] for j in (left, right)
            )
            return _mix(start, end, along[:, None, None, :, None])

        return _mix(row(top), row(bottom), down[:, None, :, None, None]).permute(0, 1, 4, 2, 3)

    def corners(self, boxes: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return the boxes' [top, left] and [bottom, right] in pixels."""
        scale = last * self.scale if self.normalized else self.scale
        first, second = boxes[:, :2], boxes[:, 2:]
        if self.box_mode & WIDTH_FIRST:
            first, second = first.flip(1), second.flip(1)
        if self.box_mode & CENTER_SIZE:
            first, second = first - second / 2, first + second / 2
        return first * scale, second * scale
