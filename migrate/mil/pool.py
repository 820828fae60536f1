"""Pooling over one to three spatial axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from migrate.mil.conv import Border, border, for_pad, spatial
from migrate.mil.registry import op
from migrate.mil.values import ints

if TYPE_CHECKING:
    from collections.abc import Callable

AVERAGES: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
MAXIMA: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


class Windows(NamedTuple):
    """Where the windows of a pool are."""

    kernel: list[int]
    stride: list[int]
    padding: Border
    overhang: Border  # what ceil_mode adds to the padding, at the end


@op("avg_pool")
def avg_pool(
    x: Tensor,
    kernel_sizes: Any,
    pad_type: str,
    strides: Any = None,
    pad: Any = None,
    ceil_mode: bool = False,
    exclude_padding_from_average: bool = False,
) -> Tensor:
    """Average each window; what hangs over the padding is never counted, as in torch."""
    windows = _windows(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    counted = 0.0 if exclude_padding_from_average else 1.0
    ones = _padded(torch.ones_like(x[:1, :1]), windows, counted, 0.0)
    return _mean(_padded(x, windows, 0.0, 0.0), windows) / _mean(ones, windows)


@op("l2_pool")
def l2_pool(
    x: Tensor,
    kernel_sizes: Any,
    pad_type: str,
    strides: Any = None,
    pad: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the root of the sum of squares of each window."""
    windows = _windows(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    squares = _mean(_padded(x * x, windows, 0.0, 0.0), windows)
    return torch.sqrt(squares * math.prod(windows.kernel))


@op("max_pool")
def max_pool(
    x: Tensor,
    kernel_sizes: Any,
    pad_type: str,
    strides: Any = None,
    pad: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the maximum of each window; padding has none."""
    windows = _windows(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    padded = _padded(x, windows, -math.inf, -math.inf)
    return MAXIMA[x.ndim - 2](padded, windows.kernel, windows.stride)


def _windows(
    x: Tensor, kernel_sizes: Any, strides: Any, pad_type: str, pad: Any, ceil_mode: bool
) -> Windows:
    kernel, stride, kind = ints(kernel_sizes), spatial(strides, x.ndim - 2), pad_type.lower()
    if ceil_mode and kind in ("same", "same_lower"):
        raise ValueError(f"ceil_mode cannot be combined with pad_type {pad_type!r}")
    shapes = list(zip(x.shape[2:], kernel, stride, strict=True))
    totals = [(-(-size // step) - 1) * step + window - size for size, window, step in shapes]
    padding = border(kind, pad, totals)
    overhang = [
        (0, _overhang(*shape, *pads) if ceil_mode else 0)
        for shape, pads in zip(shapes, padding, strict=True)
    ]
    return Windows(kernel, stride, padding, overhang)


def _overhang(size: int, window: int, step: int, start: int, end: int) -> int:
    """Return by how much the last window exceeds the padding when their count is rounded up."""
    # unlike torch, MIL leaves a window beyond the input out only where there is padding
    count = -(-(size + start + end - window) // step) + 1
    if start + end > 0 and (count - 1) * step >= size + start:
        count -= 1
    return max(0, (count - 1) * step + window - size - start - end)


def _padded(x: Tensor, windows: Windows, padding: float, overhang: float) -> Tensor:
    inner = F.pad(x, for_pad(windows.padding), value=padding)
    return F.pad(inner, for_pad(windows.overhang), value=overhang)


def _mean(x: Tensor, windows: Windows) -> Tensor:
    return AVERAGES[x.ndim - 2](x, windows.kernel, windows.stride)
