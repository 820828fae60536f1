"""Spatial pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.layers.padding import Pad, edges, pair, same_pad, shortest
from migrate.limits import INT32_MAX
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
    # the proto is silent on what a mean divides by in a window that overhangs: torch's ceil_mode
    counted: Any = (0, 0) if p.avgPoolExcludePadding else None
    if border == "same":
        pad: Any = same_pad(kernel, stride, p.same.asymmetryMode)
    elif border == "includeLastPixel":
        pad = IncludeLastPixel(p.includeLastPixel, kernel, stride)
        counted = counted or pad.padding
    else:
        top, bottom, left, right = edges(p.valid.paddingAmounts, "paddingAmounts")
        if p.type == MAX and top == bottom <= kernel[0] // 2 and left == right <= kernel[1] // 2:
            padding, sizes = shortest((top, left)), _window(kernel, stride)
            return lambda x: F.max_pool2d(x, *sizes, padding=padding)  # type: ignore[call-overload]
        pad = Pad((left, right, top, bottom))
    if p.type == AVERAGE and counted:
        return lambda x: average_pool(x, pad.border(x), kernel, stride, counted)
    window = {MAX: _max, AVERAGE: _average, L2: _l2}[p.type]
    return lambda x: window(x, pad, kernel, stride)


class IncludeLastPixel:
    """ValidCompletePadding: the last window always holds the last pixel of the input."""

    def __init__(self, p: Any, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        self.padding = tuple(int(n) for n in p.paddingAmounts) or (0, 0)
        if len(self.padding) != 2 or max(self.padding) > INT32_MAX:
            raise ModelError(f"paddingAmounts must be two sizes [H, W], found {self.padding}")
        self.kernel, self.stride = kernel, stride

    def border(self, x: Tensor) -> tuple[int, ...]:
        """Return the padding of an input of this size, as F.pad takes it."""
        return last_pixel_border(x, self.padding, self.kernel, self.stride)


@helper
def last_pixel_border(
    x: Tensor, padding: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the padding for F.pad with which the last window holds the last pixel.

    Where the kernel's last step would overhang, the end is padded more; where pixels are not
    reached, it is negative. A window that would start in the padding is left out.
    """
    border: list[int] = []
    for axis in (1, 0):
        size, pad, step = x.shape[axis - 2], padding[axis], stride[axis]
        windows = -(-(size + 2 * pad - kernel[axis]) // step) + 1
        if any(padding):
            windows -= 1 * ((windows - 1) * step >= size + pad)
        border += [pad, (windows - 1) * step + kernel[axis] - size - pad]
    return tuple(border)


@helper
def average_pool(
    x: Tensor,
    border: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    counted: tuple[int, ...],
) -> Tensor:
    """Average each window over its part in the input, widened by `counted` [H, W] on each side."""
    high, wide = counted
    left, right, top, bottom = border
    inside = F.pad(torch.ones_like(x[:1, :1]), (wide, wide, high, high), value=1.0)
    inside = F.pad(inside, (left - wide, right - wide, top - high, bottom - high))
    y = F.avg_pool2d(F.pad(x, border), kernel, stride)
    return y / F.avg_pool2d(inside, kernel, stride)


def _window(kernel: tuple[int, int], stride: tuple[int, int]) -> tuple[Any, ...]:
    """Return what torch's pools take; the kernel's size is their default of the stride."""
    return (shortest(kernel),) if kernel == stride else (shortest(kernel), shortest(stride))


def _max(x: Tensor, pad: Any, kernel: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    return F.max_pool2d(F.pad(x, pad.border(x), value=float("-inf")), *_window(kernel, stride))


def _average(x: Tensor, pad: Any, kernel: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    padded = pad(x) if isinstance(pad, Pad) else F.pad(x, pad.border(x))
    return F.avg_pool2d(padded, *_window(kernel, stride))


def _l2(x: Tensor, pad: Any, kernel: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    return torch.sqrt(_average(x * x, pad, kernel, stride) * (kernel[0] * kernel[1]))


def _global_max(x: Tensor) -> Tensor:
    return x.amax((-2, -1), keepdim=True)


def _global_average(x: Tensor) -> Tensor:
    return x.mean((-2, -1), keepdim=True)


def _global_l2(x: Tensor) -> Tensor:
    return torch.sqrt((x * x).sum((-2, -1), keepdim=True))
