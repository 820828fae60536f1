"""Compressed weights: scales and offsets, look-up tables, masks, and pairs of them.

Each form of iOS 16 has its data in packed bytes, and the shape apart; those of iOS 18 have types of
less than a byte, which the loader gives as integers of 8 bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from migrate.mil.quantization import dequantize
from migrate.mil.registry import op
from migrate.mil.values import ints


@op("constexpr_affine_dequantize")
def constexpr_affine_dequantize(
    quantized_data: Tensor, zero_point: Any, scale: Any, axis: int
) -> Tensor:
    """Subtract the zero point and multiply by the scale."""
    return dequantize(quantized_data, scale, zero_point, axis)


@op("constexpr_blockwise_shift_scale")
def constexpr_blockwise_shift_scale(
    data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> Tensor:
    """Subtract the offset of its block from each element, and multiply by its scale."""
    shift = 0 if offset is None else _repeated(offset, data).float()
    return _repeated(scale, data).float() * (data.float() - shift)


@op("constexpr_cast")
def constexpr_cast(source_val: Any, output_dtype: str) -> Tensor:
    """Return float16 values as float32."""
    if output_dtype != "fp32":
        raise ValueError(f"output_dtype {output_dtype!r} is not known")
    return torch.as_tensor(source_val, dtype=torch.float32)


@op("constexpr_lut_to_dense")
def constexpr_lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Any = None, vector_axis: int | None = None
) -> Tensor:
    """Replace indices by what a table has there: one value, or a vector along an axis."""
    if shape is None:
        return _looked_up(indices, lut, vector_axis)
    width = (len(lut) - 1).bit_length()
    return lut[_unpacked(indices, width, ints(shape))]


@op("constexpr_lut_to_sparse")
def constexpr_lut_to_sparse(
    indices_mask: Tensor,
    indices_nonzero_data: Tensor,
    lut: Tensor,
    vector_axis: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Replace the indices that a mask keeps; return the mask of the values, and those."""
    indices = _spread(indices_nonzero_data, indices_mask)
    mask = indices_mask
    if lut.shape[-1] > 1 and vector_axis is not None:
        mask = mask.repeat_interleave(lut.shape[-1], vector_axis)
    return mask, _looked_up(indices, lut, vector_axis)[mask != 0]


@op("constexpr_sparse_to_dense")
def constexpr_sparse_to_dense(nonzero_data: Tensor, mask: Tensor, shape: Any = None) -> Tensor:
    """Put values where a mask has ones, and zeros elsewhere."""
    return _spread(nonzero_data, mask if shape is None else _unpacked(mask, 1, ints(shape)))


@op("constexpr_sparse_blockwise_shift_scale")
def constexpr_sparse_blockwise_shift_scale(
    data_mask: Tensor, nonzero_data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Shift and scale the elements that a mask keeps; return the mask, and those."""
    dense = constexpr_blockwise_shift_scale(_spread(nonzero_data, data_mask), scale, offset)
    return data_mask, dense[data_mask != 0]


def _spread(values: Tensor, mask: Tensor) -> Tensor:
    """Return values where the mask is set, in the order of memory, and zeros elsewhere."""
    dense = torch.zeros(mask.shape, dtype=values.dtype)
    dense[mask != 0] = values
    return dense


def _repeated(blocks: Tensor, data: Tensor) -> Tensor:
    """Return the value of its block for each element."""
    for axis, size in enumerate(data.shape):
        blocks = blocks.repeat_interleave(_block(size, blocks.shape[axis]), axis)
    return blocks


def _block(size: int, count: int) -> int:
    if size % count:
        raise ValueError(f"{count} blocks do not divide {size}")
    return size // count


def _looked_up(indices: Tensor, lut: Tensor, vector_axis: int | None) -> Tensor:
    """Replace each index by the vector in the table of its block, along the axis."""
    if lut.shape[-1] > 1 and vector_axis is None:
        raise ValueError("vector_axis is missing")
    block = []
    for axis, size in enumerate(indices.shape):
        number = torch.arange(size) // _block(size, lut.shape[axis])
        block.append(number.reshape(-1, *(1,) * (indices.ndim - 1 - axis)))
    vectors = lut[(*block, indices.long())]
    axis = (vector_axis or 0) % indices.ndim
    return vectors.movedim(-1, axis + 1).flatten(axis, axis + 1)


def _unpacked(packed: Tensor, width: int, shape: list[int]) -> Tensor:
    """Return integers of some bits each, the least significant first, from a row of bytes."""
    bits = (packed[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
    count = torch.Size(shape).numel()
    digits = bits.flatten()[: count * width].reshape(count, width)
    places = torch.arange(width, dtype=torch.uint8)
    return (digits << places).sum(1, dtype=torch.uint8).reshape(shape).long()
