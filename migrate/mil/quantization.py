"""Affine quantization of tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from migrate.mil.registry import op
from migrate.mil.values import tensor

RANGES = {"int8": (-128, 127), "uint8": (0, 255)}


@op("quantize")
def quantize(
    input: Tensor,  # noqa: A002  MIL's name
    scale: Any,
    output_dtype: str,
    zero_point: Any = None,
    axis: int | None = None,
) -> Tensor:
    """Divide by the scale, round half to even, shift by the zero point, clip to the dtype."""
    if output_dtype not in RANGES:
        raise ValueError(f"output_dtype {output_dtype!r} is not known")
    low, high = RANGES[output_dtype]
    steps = torch.round(input / per_axis(scale, input, axis))
    shift = 0 if zero_point is None else per_axis(zero_point, input, axis)
    return (steps + shift).clamp(low, high)


@op("dequantize")
def dequantize(
    input: Tensor,  # noqa: A002  MIL's name
    scale: Any,
    zero_point: Any = None,
    axis: int | None = None,
) -> Tensor:
    """Subtract the zero point and multiply by the scale."""
    shift = 0 if zero_point is None else per_axis(zero_point, input, axis)
    return per_axis(scale, input, axis) * (input.float() - shift)


def per_axis(value: Any, x: Tensor, axis: int | None) -> Tensor:
    """Return a number, or one for each slice of an axis, as floats that broadcast over `x`."""
    found = tensor(value).float()
    if found.ndim == 0:
        return found
    if axis is None or found.shape != (x.shape[axis],):
        raise ValueError(f"{list(found.shape)} values do not go with axis {axis}")
    return found.reshape(-1, *(1,) * (x.ndim - 1 - axis % x.ndim))
