"""Matrix products with stored weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from migrate import weights
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
    linear = nn.Linear(int(p.inputChannels), int(p.outputChannels), p.hasBias, device="meta")
    linear.weight = parameter(
        weights.array(p.weights, (p.outputChannels, p.inputChannels), "weights")
    )
    if p.hasBias:
        linear.bias = parameter(weights.array(p.bias, (p.outputChannels,), "bias"))
    return InnerProduct(linear)
