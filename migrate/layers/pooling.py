"""Spatial pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate.errors import ModelError
from migrate.layers.padding import SamePad, edges, pair
from migrate.network import LARGEST
from migrate.registry import layer

if TYPE_CHECKING:
    from migrate.registry import Step

MAX, AVERAGE, L2 = 0, 1, 2


@layer("pooling", spatial=True)
def pooling(p: Any) -> Step:
    """Take the maximum, the mean or the root of the sum of squares of each window."""
    if p.type not in (MAX, AVERAGE, L2):
        raise ModelError(f"type {p.type} is not a PoolingType")
    if p.globalPooling:
        return (_global_max, _global_average, _global_l2)[p.type]
    kernel, stride = pair(p.kernelSize, 3, "kernelSize"), pair(p.stride, 1, "stride")
    border = p.WhichOneof("PoolingPaddingType")
    counted = (0, 0) if p.avgPoolExcludePadding else None
    if border == "same":
        amounts: Any = SamePad(kernel, stride, p.same.asymmetryMode).amounts
    elif border == "includeLastPixel":
        amounts = IncludeLastPixel(p.includeLastPixel, kernel, stride)
        counted = counted or amounts.padding
    else:
        top, bottom, left, right = edges(p.valid.paddingAmounts, "paddingAmounts")
        if p.type == MAX and top == bottom <= kernel[0] // 2 and left == right <= kernel[1] // 2:
            return nn.MaxPool2d(kernel, stride, (top, left))
        if p.type == AVERAGE and (top, bottom, left, right) == (0, 0, 0, 0):
            return nn.AvgPool2d(kernel, stride)
        amounts = Fixed((top, bottom, left, right))
    window = {MAX: _max, AVERAGE: _average, L2: _l2}[p.type]
    return Pool(window, kernel, stride, amounts, counted)


class Fixed:
    """ValidPadding: the same amounts whatever the size."""

    def __init__(self, amounts: tuple[int, int, int, int]) -> None:
        self.amounts = amounts

    def __call__(self, x: Tensor) -> tuple[int, int, int, int]:
        """Return (top, bottom, left, right)."""
        return self.amounts


class IncludeLastPixel:
    """ValidCompletePadding: the last window always holds the last pixel of the input.

    Where the kernel's last step would overhang, the border is widened at the end, which a mean does
    not count: the proto is silent, torch's ceil_mode has it so. A window that would start in the
    padding is left out.
    """

    def __init__(self, p: Any, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        self.padding = tuple(int(n) for n in p.paddingAmounts) or (0, 0)
        if len(self.padding) != 2 or max(self.padding) > LARGEST:
            raise ModelError(f"paddingAmounts must be two sizes [H, W], found {self.padding}")
        self.kernel, self.stride = kernel, stride

    def __call__(self, x: Tensor) -> tuple[int, int, int, int]:
        """Return (top, bottom, left, right); an end is negative where pixels are not reached."""
        ends = []
        for axis, size in enumerate(x.shape[-2:]):
            pad, kernel, stride = self.padding[axis], self.kernel[axis], self.stride[axis]
            out = -(-(size + 2 * pad - kernel) // stride) + 1
            if any(self.padding) and (out - 1) * stride >= size + pad:
                out -= 1
            ends.append((out - 1) * stride + kernel - size - pad)
        return self.padding[0], ends[0], self.padding[1], ends[1]


class Pool(nn.Module):
    """Pad, then pool.

    A mean divides by the part of the window that lies in the input, widened by the padding
    `counted` [H, W] on each side; by the whole window where that is None.
    """

    def __init__(
        self,
        window: Any,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        amounts: Any,
        counted: tuple[int, ...] | None,
    ) -> None:
        super().__init__()
        self.window, self.kernel, self.stride = window, kernel, stride
        self.amounts, self.counted = amounts, counted

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled blob."""
        top, bottom, left, right = self.amounts(x)
        border = (left, right, top, bottom)
        y = self.window(x, border, self.kernel, self.stride)
        if self.counted is None or self.window is not _average:
            return y
        high, wide = self.counted
        inside = F.pad(torch.ones_like(x[:1, :1]), (wide, wide, high, high), value=1.0)
        overhang = (left - wide, right - wide, top - high, bottom - high)
        return y / _average(inside, overhang, self.kernel, self.stride)


def _max(x: Tensor, border: Any, kernel: Any, stride: Any) -> Tensor:
    return F.max_pool2d(F.pad(x, border, value=float("-inf")), kernel, stride)


def _average(x: Tensor, border: Any, kernel: Any, stride: Any) -> Tensor:
    return F.avg_pool2d(F.pad(x, border), kernel, stride)


def _l2(x: Tensor, border: Any, kernel: Any, stride: Any) -> Tensor:
    return torch.sqrt(_average(x * x, border, kernel, stride) * (kernel[0] * kernel[1]))


def _global_max(x: Tensor) -> Tensor:
    return x.amax((-2, -1), keepdim=True)


def _global_average(x: Tensor) -> Tensor:
    return x.mean((-2, -1), keepdim=True)


def _global_l2(x: Tensor) -> Tensor:
    return torch.sqrt((x * x).sum((-2, -1), keepdim=True))
