"""Matrix products and embeddings of any rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from migrate import weights
from migrate.errors import ModelError
from migrate.layers.convolution import parameter
from migrate.registry import layer

if TYPE_CHECKING:
    from migrate.registry import Step


class BatchedMatmul(nn.Module):
    """A product with a second input, or with stored weights where there is none."""

    def __init__(self, p: Any, linear: nn.Linear | None) -> None:
        super().__init__()
        self.transpose_a, self.transpose_b = p.transposeA, p.transposeB
        self.linear = linear

    def forward(self, a: Tensor, b: Tensor | None = None) -> Tensor:
        """BatchedMatMulLayerParams: a vector becomes a matrix and stays one."""
        if b is None:
            if self.linear is None:
                raise ValueError("weights are empty and there is no second input")
            return self.linear(a)
        a = a.unsqueeze(0) if a.ndim == 1 else a
        b = b.unsqueeze(1) if b.ndim == 1 else b
        a = a.transpose(-2, -1) if self.transpose_a else a
        b = b.transpose(-2, -1) if self.transpose_b else b
        return torch.matmul(a, b)


@layer("batchedMatmul")
def batchedMatmul(p: Any) -> Step:
    """Multiply matrices, broadcasting all dimensions but the last two."""
    rows, columns = int(p.weightMatrixFirstDimension), int(p.weightMatrixSecondDimension)
    stored = bool(weights.count(p.weights))
    if stored != bool(rows and columns):
        raise ModelError("weights and the weight matrix dimensions must be given together")
    if not stored:
        return BatchedMatmul(p, None)
    if p.int8DynamicQuantize:
        _check_int8(p.weights)
    linear = nn.Linear(rows, columns, p.hasBias, device="meta")
    # a matrix [X1, X2] in column major order is one of [X2, X1] in row major order
    linear.weight = parameter(weights.array(p.weights, (columns, rows), "weights"))
    if p.hasBias:
        linear.bias = parameter(weights.array(p.bias, (columns,), "bias"))
    return BatchedMatmul(p, linear)


def _check_int8(message: Any) -> None:
    """Refuse weights that int8DynamicQuantize cannot use; its rounding of the input is left out."""
    linear = message.quantization.linearQuantization
    if not message.int8RawValue or message.rawValue or message.quantization.numberOfBits != 8:
        raise ModelError("int8DynamicQuantize needs weights of 8 bits in int8RawValue")
    if len(linear.scale) != 1 or len(linear.bias):
        raise ModelError("int8DynamicQuantize needs linearQuantization with one scale and no bias")


class EmbeddingND(nn.Module):
    """A row of a table for each index of (..., 1), plus a bias."""

    def __init__(self, table: nn.Embedding, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.table = table
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., embeddingSize)."""
        y = self.table(x.long().reshape(tuple(x.shape[:-1])))
        return y if self.bias is None else y + self.bias


@layer("embeddingND")
def embeddingND(p: Any) -> Step:
    """Look up the vector of each index, stored as a column of [embeddingSize, vocabSize]."""
    count, size = int(p.vocabSize), int(p.embeddingSize)
    if not count or not size:
        raise ModelError("vocabSize and embeddingSize must be positive")
    table = nn.Embedding(count, size, device="meta")
    table.weight = parameter(weights.array(p.weights, (size, count), "weights").T.copy())
    bias = parameter(weights.array(p.bias, (size,), "bias")) if p.hasBias else None
    return EmbeddingND(table, bias)
