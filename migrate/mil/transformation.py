"""Tensors of the same elements in another shape or order, or a part of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from migrate.mil.registry import op
from migrate.mil.scatter_gather import take
from migrate.mil.values import axes_of, flags, ints, tensor


@op("expand_dims")
def expand_dims(x: Any, axes: Any) -> Tensor:
    """Insert dimensions of size 1, at axes of the result."""
    y = tensor(x)
    rank = y.ndim + len(ints(axes))
    for axis in sorted(axes_of(axes, rank)):
        y = y.unsqueeze(axis)
    return y


@op("squeeze")
def squeeze(x: Tensor, axes: Any = None) -> Tensor:
    """Remove dimensions of size 1, all or those of axes; axes of another size stay."""
    return x.squeeze(axes_of(axes, x.ndim))


@op("reshape")
def reshape(x: Any, shape: Any) -> Tensor:
    """Give x a shape, where -1 is what remains and 0 a size of x, both counted from the end."""
    x, sizes = tensor(x), ints(shape)
    # of iOS 15, where the two ranks are equal, this is the size at the same place
    own = [1] * max(0, len(sizes) - x.ndim) + list(x.shape[max(0, x.ndim - len(sizes)) :])
    return x.reshape([same if n == 0 else n for n, same in zip(sizes, own, strict=True)])


@op("reshape_like")
def reshape_like(x: Any, ref_tensors: Any, begins: Any, ends: Any, end_masks: Any) -> Tensor:
    """Give x a shape joined from parts of the shapes of other tensors."""
    sizes: list[int] = []
    for ref, begin, end, mask in zip(ref_tensors, begins, ends, end_masks, strict=True):
        sizes += tensor(ref).shape[int(begin) : None if bool(mask) else int(end)]
    return tensor(x).reshape(sizes)


@op("transpose")
def transpose(x: Tensor, perm: Any) -> Tensor:
    """Put the axes in another order."""
    return x.permute(axes_of(perm, x.ndim))


@op("reverse")
def reverse(x: Tensor, axes: Any = None) -> Tensor:
    """Reverse axes, or all of them."""
    for axis in axes_of(axes, x.ndim):
        x = take(x, axis, torch.arange(x.shape[axis] - 1, -1, -1))
    return x


@op("reverse_sequence")
def reverse_sequence(x: Tensor, lengths: Any, seq_axis: int = 0, batch_axis: int = 0) -> Tensor:
    """Reverse the first elements of an axis, as many as each slice of another axis says."""
    sequence, batch = seq_axis % x.ndim, batch_axis % x.ndim
    if sequence == batch:
        raise ValueError(f"seq_axis and batch_axis are both {sequence}")
    size = x.shape[sequence]
    slices = []
    for one, length in zip(x.unbind(batch), ints(lengths), strict=True):
        order = [*range(length - 1, -1, -1), *range(length, size)]
        if len(order) != size:
            raise ValueError(f"length {length} is not in [0, {size}]")
        slices.append(take(one, sequence - (batch < sequence), torch.tensor(order).long()))
    return torch.stack(slices, batch)


@op("slice_by_index")
def slice_by_index(
    x: Tensor,
    begin: Any,
    end: Any,
    stride: Any = None,
    begin_mask: Any = None,
    end_mask: Any = None,
    squeeze_mask: Any = None,
) -> Tensor:
    """Slice each axis as Python does; a squeezed one is read at its begin."""
    indices = _slices(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    y = x
    for axis, index in enumerate(indices):
        y = take(y, axis, index)
    squeezed = _flags(squeeze_mask, x.ndim)
    return y.reshape([n for n, flag in zip(y.shape, squeezed, strict=True) if not flag])


@op("slice_update")
def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Any,
    end: Any,
    stride: Any = None,
    begin_mask: Any = None,
    end_mask: Any = None,
    squeeze_mask: Any = None,
) -> Tensor:
    """Replace what slice_by_index would read."""
    indices = _slices(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    y = x.clone()
    grid = [index.reshape(-1, *(1,) * (x.ndim - 1 - i)) for i, index in enumerate(indices)]
    y[tuple(grid)] = update.to(x.dtype).reshape([len(index) for index in indices])
    return y


def _slices(
    x: Tensor, begin: Any, end: Any, stride: Any, begin_mask: Any, end_mask: Any, squeeze_mask: Any
) -> list[Tensor]:
    """Return the places along each axis that the bounds, strides and masks select."""
    rank = x.ndim
    steps = [1] * rank if stride is None else ints(stride)
    masks = [_flags(mask, rank) for mask in (begin_mask, end_mask, squeeze_mask)]
    found = []
    columns = zip(x.shape, ints(begin), ints(end), steps, *masks, strict=True)
    for size, first, last, step, open_begin, open_end, squeezed in columns:
        if squeezed:
            # MIL does not say which of begin_mask and begin holds: coremltools takes 0
            at = range(size)[0 if open_begin else first]
            found.append(torch.tensor([at]))
        else:
            bounds = slice(None if open_begin else first, None if open_end else last, step)
            found.append(torch.tensor(range(size)[bounds]).long())
    return found


def _flags(mask: Any, rank: int) -> list[bool]:
    return [False] * rank if mask is None else flags(mask)


@op("slice_by_size")
def slice_by_size(x: Tensor, begin: Any, size: Any) -> Tensor:
    """Take as many elements of each axis from its begin; -1 is all that follow."""
    for axis, (first, count) in enumerate(zip(ints(begin), ints(size), strict=True)):
        start = first + x.shape[axis] if first < 0 else first
        if count < -1:
            raise ValueError(f"size {count} is negative")
        x = x.narrow(axis, start, x.shape[axis] - start if count == -1 else count)
    return x


@op("sliding_windows")
def sliding_windows(x: Tensor, axis: int, size: int, stride: int = 1) -> Tensor:
    """Return all windows of an axis, in place of it: their number, then their size."""
    axis = axis % x.ndim
    return x.unfold(axis, int(size), int(stride)).movedim(-1, axis + 1)


@op("depth_to_space")
def depth_to_space(x: Tensor, block_size: int) -> Tensor:
    """Make blocks of pixels of the channels, whose first factors are the place in the block."""
    n, c, h, w = x.shape
    b = int(block_size)
    y = x.reshape(n, b, b, c // (b * b), h, w)
    return y.permute(0, 3, 4, 1, 5, 2).reshape(n, c // (b * b), h * b, w * b)


@op("space_to_depth")
def space_to_depth(x: Tensor, block_size: int) -> Tensor:
    """Make channels of blocks of pixels: undo depth_to_space."""
    n, c, h, w = x.shape
    b = int(block_size)
    y = x.reshape(n, c, h // b, b, w // b, b)
    return y.permute(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)


@op("space_to_batch")
def space_to_batch(x: Tensor, block_shape: Any, paddings: Any) -> Tensor:
    """Pad with zeros and make images of the pixels at each place in a block."""
    (rows, columns), (top, bottom, left, right) = ints(block_shape), ints(paddings)
    x = F.pad(x, (left, right, top, bottom), mode="constant", value=0)
    n, c, h, w = x.shape
    y = x.reshape(n, c, h // rows, rows, w // columns, columns)
    return y.permute(3, 5, 0, 1, 2, 4).reshape(-1, c, h // rows, w // columns)


@op("batch_to_space")
def batch_to_space(x: Tensor, block_shape: Any, crops: Any) -> Tensor:
    """Make blocks of the pixels of images, and crop: undo space_to_batch."""
    (rows, columns), (top, bottom, left, right) = ints(block_shape), ints(crops)
    _, c, h, w = x.shape
    y = x.reshape(rows, columns, -1, c, h, w).permute(2, 3, 4, 0, 5, 1)
    y = y.reshape(-1, c, h * rows, w * columns)
    y = y.narrow(2, top, h * rows - top - bottom)
    return y.narrow(3, left, w * columns - left - right)


@op("pixel_shuffle")
def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """Make blocks of pixels of the channels, whose last factors are the place in the block."""
    return F.pixel_shuffle(x, int(upscale_factor))


@op("pixel_unshuffle")
def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """Make channels of blocks of pixels: undo pixel_shuffle."""
    return F.pixel_unshuffle(x, int(downscale_factor))
