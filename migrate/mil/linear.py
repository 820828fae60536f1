"""Products of matrices."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from migrate.mil.registry import op
from migrate.mil.values import tensor


@op("linear")
def linear(x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    """Return x times the transposed weight, plus the bias."""
    y = matmul(x, weight, transpose_y=True)
    return y if bias is None else y + tensor(bias)


@op("matmul")
def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """Return the product of matrices, batches broadcast; a vector has nothing to transpose."""
    dtype = torch.promote_types(x.dtype, y.dtype)
    x, y = x.to(dtype), y.to(dtype)
    left = x.mT if transpose_x and x.ndim > 1 else x
    right = y.mT if transpose_y and y.ndim > 1 else y
    return torch.matmul(left, right)


@op("einsum")
def einsum(values: list[Tensor], equation: str) -> Tensor:
    """Return the sum of products that the equation names; sizes of 1 are broadcast."""
    return torch.einsum(equation, *values)


@op("scaled_dot_product_attention")
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """Average the values with the softmax of the masked products of queries and keys.

    A query for which all keys are masked has no such average: NaN.
    """
    scores = torch.matmul(query, key.mT) / math.sqrt(query.shape[-1])
    if attn_mask is not None:
        masked = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if masked else scores + attn_mask
    return torch.matmul(torch.softmax(scores, -1), value)
