"""Spatial convolution and deconvolution."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate import weights
from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.layers.padding import Pad, SamePad, edges, heavy_start, joined, pair, same_pad
from migrate.lowering import lowers
from migrate.registry import layer

if TYPE_CHECKING:
    from migrate.registry import Step


@layer("convolution", spatial=True)
def convolution(p: Any) -> Step:
    """Cross-correlate with kernels, or deconvolve; zeros are padded."""
    if not weights.count(p.weights):
        return GivenWeights(p)
    return _deconvolution(p) if p.isDeconvolution else _convolution(p)


def _convolution(p: Any) -> nn.Module:
    kernel, stride, dilation = _geometry(p)
    groups = p.nGroups or 1
    reach = _reach(kernel, dilation)
    weight = weights.array(p.weights, (p.outputChannels, p.kernelChannels, *kernel), "weights")
    conv = nn.Conv2d(
        int(p.kernelChannels) * groups, int(p.outputChannels), kernel, stride,
        dilation=dilation, groups=groups, bias=p.hasBias, device="meta",
    )  # fmt: skip
    conv.weight, conv.bias = parameter(weight), _bias(p)
    pad = _border(p, reach, stride)
    if isinstance(pad, Pad) and pad.amounts[::2] == pad.amounts[1::2]:
        conv.padding = (pad.amounts[2], pad.amounts[0])
        return conv
    return nn.Sequential(OrderedDict(pad=pad, conv=conv))


class GivenWeights(nn.Module):
    """A convolution whose weights are the layer's second input; a bias is stored."""

    def __init__(self, p: Any) -> None:
        super().__init__()
        if p.isDeconvolution:
            raise ModelError("weights are empty; only a convolution may take them as an input")
        kernel, self.stride, self.dilation = _geometry(p)
        self.groups = p.nGroups or 1
        self.pad = _border(p, _reach(kernel, self.dilation), self.stride)
        self.bias = _bias(p)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the convolution of `x` with `weight` [C_out, C_in / groups, H, W]."""
        return F.conv2d(self.pad(x), weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _border(p: Any, reach: tuple[int, int], stride: tuple[int, int]) -> SamePad | Pad:
    if p.WhichOneof("ConvolutionPaddingType") == "same":
        return same_pad(reach, stride, p.same.asymmetryMode)
    top, bottom, left, right = edges(p.valid.paddingAmounts, "paddingAmounts")
    return Pad((left, right, top, bottom))


class Deconvolution(nn.Module):
    """A transposed convolution brought to the output size that Core ML defines."""

    def __init__(self, conv: nn.ConvTranspose2d, p: Any) -> None:
        super().__init__()
        self.conv = conv
        self.heavy_start = heavy_start(p.same.asymmetryMode)
        self.edges = edges(p.valid.paddingAmounts, "paddingAmounts")
        self.same = p.WhichOneof("ConvolutionPaddingType") == "same"
        self.size = pair(p.outputShape, 0, "outputShape") if p.outputShape else ()

    def forward(self, x: Tensor) -> Tensor:
        """ValidPadding crops its amounts; outputShape, or else SamePadding, names the size."""
        conv = self.conv
        if self.size or self.same:
            return deconvolve(
                x, conv.weight, conv.bias, conv.stride, conv.dilation, conv.groups, self.size,
                self.heavy_start,
            )  # fmt: skip
        y, (top, bottom, left, right) = conv(x), self.edges
        y = y.narrow(-2, top, y.shape[-2] - top - bottom)
        return y.narrow(-1, left, y.shape[-1] - left - right)


@helper
def deconvolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    size: tuple[int, ...] = (),
    heavy_start: bool = False,
) -> Tensor:
    """Convolve transposed, to `size` or else to the input's size times the stride.

    What is too much is cut off both sides, the odd pixel on the heavy one.
    """
    grow, cut = [], []
    wanted = size or [n * step for n, step in zip(x.shape[-2:], stride, strict=True)]
    for axis in (0, 1):
        reach = (weight.shape[axis + 2] - 1) * dilation[axis] + 1
        full = (x.shape[axis - 2] - 1) * stride[axis] + reach
        grow.append(max(0, wanted[axis] - full))
        surplus = max(0, full - wanted[axis])
        cut.append(surplus - surplus // 2 if heavy_start else surplus // 2)
    y = F.conv_transpose2d(x, weight, bias, stride, 0, grow, groups, dilation)
    return y[..., cut[0] : cut[0] + wanted[0], cut[1] : cut[1] + wanted[1]]


def _may_grow(
    x: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Any,
    dilation: Any,
    groups: int,
    size: Any,
    *_: bool,
) -> bool:
    """Tell whether the output may be larger than what the kernels reach."""
    axes = zip(weight.shape[2:], dilation, stride, strict=True)
    return bool(size) or any((n - 1) * step + 1 < gap for n, step, gap in axes)


@lowers(deconvolve, when=_may_grow)
def _deconvolve_in_mil(
    mb: Any,
    x: Any,
    weight: Any,
    bias: Any,
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    size: tuple[int, ...] = (),
    heavy_start: bool = False,
) -> Any:
    """Convolve, pad and cut; coremltools takes no output padding where there is no padding."""
    y = mb.conv_transpose(
        x=x, weight=weight, strides=stride, dilations=dilation, groups=groups, pad_type="valid"
    )
    reached = mb.slice_by_index(x=mb.shape(x=y), begin=[2], end=[4])
    wanted: Any = np.array(size, np.int32)
    if not size:
        wanted = mb.mul(x=mb.slice_by_index(x=mb.shape(x=x), begin=[2], end=[4]), y=stride)
    surplus = mb.sub(x=reached, y=wanted)
    missing = mb.maximum(x=mb.sub(x=0, y=surplus), y=0)
    ends = mb.reshape(x=mb.stack(values=[np.zeros(2, np.int32), missing], axis=1), shape=[4])
    y = mb.pad(x=y, pad=joined(mb, [0, 0, 0, 0, ends]), mode="constant", constant_val=0.0)
    if bias is not None:
        y = mb.add(x=y, y=mb.reshape(x=bias, shape=[-1, 1, 1]))
    begin = mb.floor_div(x=mb.maximum(x=mb.add(x=surplus, y=int(heavy_start)), y=0), y=2)
    channels = weight.shape[1] * groups
    return mb.slice_by_size(
        x=y, begin=joined(mb, [0, 0, begin]), size=joined(mb, [-1, channels, wanted])
    )


def _deconvolution(p: Any) -> nn.Module:
    # ConvolutionLayerParams says that dilationFactor is ignored here; coremltools' converter
    # writes it for dilated transposed convolutions and counts on it, so it is honoured.
    kernel, stride, dilation = _geometry(p)
    groups = p.nGroups or 1
    shape = (p.kernelChannels, p.outputChannels // groups, *kernel)
    weight = weights.array(p.weights, shape, "weights", channel_axis=1)
    conv = nn.ConvTranspose2d(
        int(p.kernelChannels), int(p.outputChannels), kernel, stride,
        groups=groups, bias=p.hasBias, dilation=dilation, device="meta",
    )  # fmt: skip
    conv.weight, conv.bias = parameter(weight), _bias(p)
    top, bottom, left, right = edges(p.valid.paddingAmounts, "paddingAmounts")
    plain = p.WhichOneof("ConvolutionPaddingType") != "same" and not p.outputShape
    if plain and (top, left) == (bottom, right):
        conv.padding = (top, left)
        return conv
    return Deconvolution(conv, p)


def _geometry(p: Any) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    groups = p.nGroups or 1
    if p.outputChannels == 0 or p.kernelChannels == 0:
        raise ModelError("outputChannels and kernelChannels must be positive")
    if p.outputChannels % groups:
        raise ModelError(f"outputChannels {p.outputChannels} do not divide into {groups} groups")
    if p.isDeconvolution and p.kernelChannels % groups:
        raise ModelError(f"kernelChannels {p.kernelChannels} do not divide into {groups} groups")
    return (
        pair(p.kernelSize, 3, "kernelSize"),
        pair(p.stride, 1, "stride"),
        pair(p.dilationFactor, 1, "dilationFactor"),
    )


def _reach(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    """Return how many pixels a dilated kernel spans."""
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def _bias(p: Any) -> nn.Parameter | None:
    return parameter(weights.array(p.bias, (p.outputChannels,), "bias")) if p.hasBias else None


def parameter(values: Any) -> nn.Parameter:
    """Return an inference parameter that holds a copy of a numpy array."""
    return nn.Parameter(torch.from_numpy(np.array(values)), requires_grad=False)
