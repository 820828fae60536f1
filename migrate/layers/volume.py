"""Convolution and pooling of [Batch, C, Depth, Height, Width]."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate import weights
from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.layers.convolution import parameter
from migrate.layers.padding import same_border
from migrate.registry import layer

if TYPE_CHECKING:
    from migrate.registry import Step

    Triple = tuple[int, int, int]

CUSTOM, VALID, SAME = 0, 1, 2
MAX, AVERAGE = 0, 1
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
        return same_border(x, self.reach, self.stride)

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
    """A transposed convolution brought to the output size that Core ML defines."""

    def __init__(
        self, conv: nn.ConvTranspose3d, border: Border, size: tuple[int, ...], padding_type: int
    ) -> None:
        super().__init__()
        self.conv = conv
        self.size, self.same, self.custom = size, border.same, padding_type == CUSTOM
        # per axis, where F.pad names the last axis first
        self.edges = tuple(zip(border.fixed[4::-2], border.fixed[5::-2], strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return the result at the size that outputShape, or else the padding, names."""
        conv = self.conv
        y = F.conv_transpose3d(x, conv.weight, None, conv.stride, 0, 0, conv.groups, conv.dilation)
        stride = conv.stride if self.same else None
        y = deconvolution_window(x, y, self.edges, self.size, stride, self.custom)
        return y if conv.bias is None else y + conv.bias.reshape(-1, 1, 1, 1)


@helper
def deconvolution_window(
    x: Tensor,
    y: Tensor,
    edges: tuple[tuple[int, int], ...],
    size: tuple[int, ...],
    stride: tuple[int, ...] | None,
    custom: bool,
) -> Tensor:
    """Cut the output of a transposed convolution, `y` of `x`, to its [D, H, W].

    That is `size`, or else the input's times `stride`, or else what is within the edges. Of custom
    padding the edges are cut off, the ends only up to the size; otherwise both sides alike. Where
    the size exceeds what the kernels reach there are zeros.
    """
    spans = []
    for axis, (start, end) in enumerate(edges):
        reached = y.shape[axis - 3]
        wanted = reached - start - end
        if size:
            wanted = size[axis]
        elif stride:
            wanted = x.shape[axis - 3] * stride[axis]
        if size or stride:
            start = start if custom else max(0, reached - wanted) // 2
        spans.append((start, wanted))
    if min(wanted for _, wanted in spans) < 1:
        raise ValueError("customPadding leaves nothing of the output")
    missing = [max(0, sum(span) - n) for span, n in zip(spans, y.shape[-3:], strict=True)]
    if any(missing):
        y = F.pad(y, (0, missing[2], 0, missing[1], 0, missing[0]))
    depth, height, width = (slice(start, start + wanted) for start, wanted in spans)
    return y[..., depth, height, width]


@layer("pooling3d")
def pooling3d(p: Any) -> Step:
    """Take the maximum or the mean of each window."""
    kernel, stride = _triple(p, "kernel"), _triple(p, "stride")
    border, kind = Border(p, kernel, stride), _pooling_type(p)
    padding = border.symmetric()
    if padding is None or any(2 * n > k for n, k in zip(padding, kernel, strict=True)):
        if kind == MAX:
            return lambda x: F.max_pool3d(_surrounded(x, border), kernel, stride)
        if p.countExcludePadding:
            return lambda x: average_pool_inside(x, border.amounts(x), kernel, stride)
        return lambda x: F.avg_pool3d(border(x), kernel, stride)
    if kind == MAX:
        return lambda x: F.max_pool3d(x, kernel, stride, padding)
    inside = not p.countExcludePadding
    return lambda x: F.avg_pool3d(x, kernel, stride, padding, count_include_pad=inside)


def _surrounded(x: Tensor, border: Border) -> Tensor:
    """Pad for maxima of what is inside; Pooling3DLayerParams speaks of zeros, Core ML has none."""
    return F.pad(x, border.amounts(x), value=float("-inf"))


@helper
def average_pool_inside(
    x: Tensor, border: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...]
) -> Tensor:
    """Average each window of [D, H, W] over its part in the input."""
    inside = F.pad(torch.ones_like(x[:1, :1]), border)
    y = F.avg_pool3d(F.pad(x, border), kernel, stride)
    return y / F.avg_pool3d(inside, kernel, stride)


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
