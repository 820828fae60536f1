"""Boxes cut out of images, each resampled to the same size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.layers.image import MIL_METHODS, between, grid, mix, sampling_method
from migrate.layers.padding import pair
from migrate.lowering import lowers
from migrate.registry import layer
from migrate.shapes import rank5
from migrate.tracing import shape_of

if TYPE_CHECKING:
    from migrate.registry import Step

WIDTH_FIRST, CENTER_SIZE = 1, 2  # the bits of BoxCoordinatesMode.Coordinates
MIL_BOX_MODES = ("CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST",
                 "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST")  # fmt: skip


@layer("cropResize")
def cropResize(p: Any) -> Step:
    """Resize patches of the first input, each to the same size; boxes are the second."""
    size, method, box_mode = pair(p.targetSize, 1, "targetSize"), sampling_method(p), _box_mode(p)
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
