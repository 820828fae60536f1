"""BorderAmounts, ValidPadding and SamePadding, as convolution, pooling and crop use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional as F

from migrate.errors import ModelError
from migrate.network import LARGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

BOTTOM_RIGHT_HEAVY, TOP_LEFT_HEAVY = 0, 1


def pair(values: Sequence[int], default: int, field: str) -> tuple[int, int]:
    """Return the [H, W] field, or its default for both where it is not set."""
    if not values:
        return default, default
    if len(values) != 2 or not all(0 < v <= LARGEST for v in values):
        raise ModelError(f"{field} must be two positive numbers [H, W], found {list(values)}")
    return int(values[0]), int(values[1])


def edges(amounts: Any, field: str) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) of a `BorderAmounts` message; zeros where it is unset."""
    borders = amounts.borderAmounts
    if not borders:
        return 0, 0, 0, 0
    if len(borders) != 2:
        raise ModelError(f"{field} must have two entries [H, W], found {len(borders)}")
    height, width = borders
    found = height.startEdgeSize, height.endEdgeSize, width.startEdgeSize, width.endEdgeSize
    if max(found) > LARGEST:
        raise ModelError(f"{field} of {max(found)} is not a size")
    return tuple(int(n) for n in found)  # type: ignore[return-value]


def heavy_start(mode: int) -> bool:
    """Tell whether this `SamePaddingMode` puts the odd pixel of padding at the start."""
    if mode not in (BOTTOM_RIGHT_HEAVY, TOP_LEFT_HEAVY):
        raise ModelError(f"asymmetryMode {mode} is not a SamePaddingMode")
    return mode == TOP_LEFT_HEAVY


def split(total: int, at_start: bool) -> tuple[int, int]:
    """Divide a padding total over start and end; the odd one goes to the heavy side."""
    less = total // 2
    return (total - less, less) if at_start else (less, total - less)


def same_total(size: int, reach: int, stride: int) -> int:
    """Return SamePadding's total for one axis: the output is ceil(size / stride)."""
    return max(0, (-(-size // stride) - 1) * stride + reach - size)


class SamePad(nn.Module):
    """SamePadding: pads so that the output's size is the input's over the stride, rounded up."""

    def __init__(
        self, reach: tuple[int, ...], stride: tuple[int, ...], mode: int, value: float = 0.0
    ) -> None:
        super().__init__()
        self.reach, self.stride, self.value = reach, stride, value
        self.heavy_start = heavy_start(mode)

    def amounts(self, x: Tensor) -> tuple[int, int, int, int]:
        """Return (top, bottom, left, right) for an input of this size."""
        totals = [
            same_total(size, reach, stride)
            for size, reach, stride in zip(x.shape[-2:], self.reach, self.stride, strict=True)
        ]
        return *split(totals[0], self.heavy_start), *split(totals[1], self.heavy_start)

    def forward(self, x: Tensor) -> Tensor:
        """Return the padded blob."""
        top, bottom, left, right = self.amounts(x)
        return F.pad(x, (left, right, top, bottom), value=self.value)
