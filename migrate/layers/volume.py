"""Convolution and pooling of [Batch, C, Depth, Height, Width]."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate import weights
from migrate.errors import ModelError
from migrate.layers.convolution import parameter
from migrate.layers.padding import same_total, split
from migrate.registry import layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from migrate.registry import Step

    Triple = tuple[int, int, int]

CUSTOM, VALID, SAME = 0, 1, 2
MAX, AVERAGE = 0, 1
AT_END = False  # where SAME puts an odd amount of padding
EDGES = ("Left", "Right", "Top", "Bottom", "Front", "Back")  # the order of F.pad


class Border(nn.Module):
    """The padding that paddingType names; amounts are in the order of `EDGES`."""

    def __init__(self, p: Any, reach: Triple, stride: Triple) -> None:
        super().__init__()
        if p.paddingType not in (CUSTOM, VALID, SAME):
            raise ModelError(f"paddingType {p.paddingType} is not a PaddingType")
        self.same, self.reach, self.stride = p.paddingType == SAME, reach, stride
        custom = tuple(int(getattr(p, f"customPadding{edge}")) for edge in EDGES)
        if min(custom) < 0:
            raise ModelError(f"customPadding must not be negative, found {min(custom)}")
        self.fixed = custom if p.paddingType == CUSTOM else (0,) * 6

    def amounts(self, x: Tensor) -> tuple[int, ...]:
        """Return the six amounts for an input of this size."""
        if not self.same:
            return self.fixed
        axes = zip(x.shape[-3:], self.reach, self.stride, strict=True)
        totals = [split(same_total(*axis), AT_END) for axis in axes]
        return tuple(n for pair in reversed(totals) for n in pair)

    def symmetric(self) -> Triple | None:
        """Return one amount per axis, where each axis has the same at both ends at any size."""
        starts, ends = self.fixed[::2], self.fixed[1::2]
        return starts[::-1] if starts == ends and not self.same else None  # type: ignore[return-value]

    def forward(self, x: Tensor) -> Tensor:
        """Return the blob with zeros around it."""
        return F.pad(x, self.amounts(x))


@layer("convolution3d")
def convolution3d(p: Any) -> Step:
    """Cross-correlate with kernels, or deconvolve; zeros are padded."""
    channels, groups = (p.inputChannels, p.outputChannels), p.nGroups or 1
    if min(channels) < 1 or groups < 1 or any(n % groups for n in channels):
        raise ModelError(
            f"{channels[0]} inputChannels and {channels[1]} outputChannels "
            f"must be positive and divide into {groups} groups"
        )
    kernel, stride = _triple(p, "kernel"), _triple(p, "stride")
    dilation = _triple(p, "dilation")
    kind = nn.ConvTranspose3d if p.isDeconvolution else nn.Conv3d
    conv: nn.Conv3d | nn.ConvTranspose3d = kind(
        *channels, kernel, stride, dilation=dilation, groups=groups, bias=p.hasBias, device="meta"
    )
    # Convolution3DLayerParams words the deconvolution's weights with outputs first; the files
    # hold inputs first, as ConvolutionLayerParams has it, which is also torch's order.
    array = weights.array(p.weights, conv.weight.shape, "weights", int(p.isDeconvolution))
    conv.weight = parameter(array)
    if p.hasBias:
        conv.bias = parameter(weights.array(p.bias, (p.outputChannels,), "bias"))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    border = Border(p, reach, stride)  # type: ignore[arg-type]
    if isinstance(conv, nn.ConvTranspose3d):
        return _deconvolution(p, conv, border)
    return _convolution(conv, border)


def _convolution(conv: nn.Conv3d, border: Border) -> nn.Module:
    padding = border.symmetric()
    if padding is None:
        return nn.Sequential(OrderedDict(pad=border, conv=conv))
    conv.padding = padding
    return conv


def _deconvolution(p: Any, conv: nn.ConvTranspose3d, border: Border) -> nn.Module:
    if len(p.outputShape) not in (0, 3) or 0 in p.outputShape:
        raise ModelError(
            f"outputShape must be three positive numbers [D, H, W], found {list(p.outputShape)}"
        )
    padding = border.symmetric()
    if padding is None or p.outputShape:
        return Deconvolution(conv, border, tuple(int(n) for n in p.outputShape), p.paddingType)
    conv.padding = padding
    return conv


class Deconvolution(nn.Module):
    """A transposed convolution brought to the output size that Core ML defines.

    Of CUSTOM padding the amounts are cut off, the ends only up to outputShape; otherwise the
    surplus over outputShape, or over SAME's input size times stride, is cut off both sides alike.
    """

    def __init__(
        self, conv: nn.ConvTranspose3d, border: Border, size: tuple[int, ...], padding_type: int
    ) -> None:
        super().__init__()
        self.conv, self.border, self.size = conv, border, size
        self.custom = padding_type == CUSTOM

    def forward(self, x: Tensor) -> Tensor:
        """Return the result; where the size exceeds what the kernels reach, the bias stands."""
        conv = self.conv
        y = F.conv_transpose3d(x, conv.weight, None, conv.stride, 0, 0, conv.groups, conv.dilation)
        spans = [self.span(axis, x.shape[axis - 3], y.shape[axis - 3]) for axis in range(3)]
        missing = [max(0, sum(span) - n) for span, n in zip(spans, y.shape[-3:], strict=True)]
        if any(missing):
            y = F.pad(y, (0, missing[2], 0, missing[1], 0, missing[0]))
        if min(wanted for _, wanted in spans) < 1:
            raise ValueError("customPadding leaves nothing of the output")
        depth, height, width = (slice(start, start + wanted) for start, wanted in spans)
        y = y[..., depth, height, width]
        return y if conv.bias is None else y + conv.bias.reshape(-1, 1, 1, 1)

    def span(self, axis: int, size: int, reached: int) -> tuple[int, int]:
        """Return where the output starts in what the kernels reach, and its size."""
        start, end = self.border.fixed[4 - 2 * axis : 6 - 2 * axis]
        if not (self.size or self.border.same):
            return start, reached - start - end
        wanted = self.size[axis] if self.size else size * self.conv.stride[axis]
        return start if self.custom else max(0, reached - wanted) // 2, wanted


@layer("pooling3d")
def pooling3d(p: Any) -> Step:
    """Take the maximum or the mean of each window."""
    kernel, stride = _triple(p, "kernel"), _triple(p, "stride")
    border, kind = Border(p, kernel, stride), _pooling_type(p)
    padding = border.symmetric()
    if padding is None or any(2 * n > k for n, k in zip(padding, kernel, strict=True)):
        return Pool(_max if kind == MAX else _average, kernel, stride, border, p)
    if kind == MAX:
        return nn.MaxPool3d(kernel, stride, padding)
    return nn.AvgPool3d(kernel, stride, padding, count_include_pad=not p.countExcludePadding)


class Pool(nn.Module):
    """Pad, then pool; a mean divides by the window, or by its part inside the input."""

    def __init__(
        self,
        window: Callable[..., Tensor],
        kernel: Triple,
        stride: Triple,
        border: Border,
        p: Any,
    ) -> None:
        super().__init__()
        self.window, self.kernel, self.stride, self.border = window, kernel, stride, border
        self.exclude_padding = window is _average and p.countExcludePadding

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled blob."""
        amounts = self.border.amounts(x)
        y = self.window(x, amounts, self.kernel, self.stride)
        if self.exclude_padding:
            return y / _average(torch.ones_like(x[:1, :1]), amounts, self.kernel, self.stride)
        return y


def _max(x: Tensor, border: Any, kernel: Any, stride: Any) -> Tensor:
    """Return maxima of what is inside; Pooling3DLayerParams speaks of zeros, Core ML has none."""
    return F.max_pool3d(F.pad(x, border, value=float("-inf")), kernel, stride)


def _average(x: Tensor, border: Any, kernel: Any, stride: Any) -> Tensor:
    return F.avg_pool3d(F.pad(x, border), kernel, stride)


@layer("globalPooling3d")
def globalPooling3d(p: Any) -> Step:
    """Take the maximum or the mean of [D, H, W]."""
    axes = (-3, -2, -1)
    if _pooling_type(p) == MAX:
        return lambda x: x.amax(axes, keepdim=True)
    return lambda x: x.mean(axes, keepdim=True)


def _pooling_type(p: Any) -> int:
    if p.type not in (MAX, AVERAGE):
        raise ModelError(f"type {p.type} is not MAX or AVERAGE")
    return int(p.type)


def _triple(p: Any, field: str) -> Triple:
    """Return the [D, H, W] values of a field that the message spells out three times."""
    found = tuple(int(getattr(p, f"{field}{axis}")) for axis in ("Depth", "Height", "Width"))
    if min(found) < 1:
        raise ModelError(f"{field}Depth, Height and Width must be positive, found {list(found)}")
    return found  # type: ignore[return-value]
