"""Matrix products with stored weights, and looking up a matrix's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from migrate import weights
from migrate.errors import ModelError
from migrate.layers.convolution import parameter
from migrate.registry import layer

if TYPE_CHECKING:
    from migrate.registry import Step


class InnerProduct(nn.Module):
    """A dense layer over [C, H, W] from rank 4 on, over the last axis below."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., C_out, 1, 1) for rank 4 and 5, (..., C_out) for ranks 1 to 3."""
        if x.ndim < 4:
            return self.linear(x)
        return self.linear(x.flatten(-3)).unsqueeze(-1).unsqueeze(-1)


@layer("innerProduct")
def innerProduct(p: Any) -> Step:
    """Multiply by a matrix [C_out, C_in], and add a bias."""
    # InnerProductLayerParams: with int8DynamicQuantize the runtime rounds the input to 8 bits as
    # well. That only approximates the product of the dequantised weights, which is computed here.
    if p.int8DynamicQuantize and not p.weights.int8RawValue:
        raise ModelError("int8DynamicQuantize is set, but weights has no int8RawValue")
    inside, outside = positive(p, "inputChannels"), positive(p, "outputChannels")
    linear = nn.Linear(inside, outside, p.hasBias, device="meta")
    linear.weight = parameter(weights.array(p.weights, (outside, inside), "weights"))
    if p.hasBias:
        linear.bias = parameter(weights.array(p.bias, (outside,), "bias"))
    return InnerProduct(linear)


class Embedding(nn.Module):
    """A row of a matrix for each number of a blob (..., 1, 1, 1)."""

    def __init__(self, embedding: nn.Embedding, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.embedding = embedding
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., C_out, 1, 1)."""
        rows = self.embedding(x.reshape(tuple(x.shape[:-3])).long())
        rows = rows if self.bias is None else rows + self.bias
        return rows.unsqueeze(-1).unsqueeze(-1)


@layer("embedding")
def embedding(p: Any) -> Step:
    """Look up the columns of a matrix [C_out, inputDim], and add a bias."""
    entries, channels = positive(p, "inputDim"), positive(p, "outputChannels")
    table = nn.Embedding(entries, channels, device="meta")
    matrix = weights.array(p.weights, (channels, entries), "weights")
    table.weight = parameter(matrix.T.copy())  # torch looks up rows
    bias = parameter(weights.array(p.bias, (channels,), "bias")) if p.hasBias else None
    return Embedding(table, bias)


def positive(p: Any, field: str) -> int:
    """Return a size that a layer cannot do without."""
    size = int(getattr(p, field))
    if size < 1:
        raise ModelError(f"{field} must be positive, found {size}")
    return size
