"""Spatial convolution and deconvolution."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate import weights
from migrate.errors import ModelError
from migrate.layers.padding import SamePad, edges, pair, split
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
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    conv = nn.Conv2d(
        int(p.kernelChannels) * groups, int(p.outputChannels), kernel, stride,
        dilation=dilation, groups=groups, bias=p.hasBias, device="meta",
    )  # fmt: skip
    _load(conv, p, (p.outputChannels, p.kernelChannels, *kernel), channel_axis=0)
    pad = _border(p, reach, stride)
    if isinstance(pad, nn.ZeroPad2d) and pad.padding[::2] == pad.padding[1::2]:
        conv.padding = (pad.padding[2], pad.padding[0])
        return conv
    return nn.Sequential(OrderedDict(pad=pad, conv=conv))


class GivenWeights(nn.Module):
    """A convolution whose weights, and bias if any, are inputs of the layer."""

    def __init__(self, p: Any) -> None:
        super().__init__()
        if p.isDeconvolution:
            raise ModelError("weights are empty; only a convolution may take them as an input")
        kernel, self.stride, self.dilation = _geometry(p)
        self.groups = p.nGroups or 1
        reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, self.dilation, strict=True))
        self.pad = _border(p, reach, self.stride)

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the convolution of `x` with `weight` [C_out, C_in / groups, H, W]."""
        bias = None if bias is None else bias.flatten()
        return F.conv2d(self.pad(x), weight, bias, self.stride, 0, self.dilation, self.groups)


def _border(p: Any, reach: tuple[int, ...], stride: tuple[int, int]) -> nn.Module:
    if p.WhichOneof("ConvolutionPaddingType") == "same":
        return SamePad(reach, stride, p.same.asymmetryMode)
    top, bottom, left, right = edges(p.valid.paddingAmounts, "paddingAmounts")
    return nn.ZeroPad2d((left, right, top, bottom))


class Deconvolution(nn.Module):
    """A transposed convolution brought to the output size that Core ML defines."""

    def __init__(self, conv: nn.ConvTranspose2d, p: Any) -> None:
        super().__init__()
        self.conv = conv
        self.heavy_start = p.same.asymmetryMode == 1  # TOP_LEFT_HEAVY
        self.edges = edges(p.valid.paddingAmounts, "paddingAmounts")
        self.same = p.WhichOneof("ConvolutionPaddingType") == "same"
        self.size = tuple(int(n) for n in p.outputShape)

    def forward(self, x: Tensor) -> Tensor:
        """ValidPadding crops its amounts; outputShape, or else SamePadding, names the size."""
        if not (self.size or self.same):
            top, bottom, left, right = self.edges
            return F.pad(self.conv(x), (-left, -right, -top, -bottom))
        wanted = self.size or tuple(
            n * s for n, s in zip(x.shape[-2:], self.conv.stride, strict=True)
        )
        full = [
            (n - 1) * s + k
            for n, s, k in zip(x.shape[-2:], self.conv.stride, self.conv.kernel_size, strict=True)
        ]
        grow = [max(0, want - n) for want, n in zip(wanted, full, strict=True)]
        (top, bottom), (left, right) = (
            split(max(0, n - want), self.heavy_start) for want, n in zip(wanted, full, strict=True)
        )
        y = F.conv_transpose2d(
            x, self.conv.weight, self.conv.bias, self.conv.stride, 0, grow, self.conv.groups
        )
        return F.pad(y, (-left, -right, -top, -bottom))


def _deconvolution(p: Any) -> nn.Module:
    kernel, stride, _ = _geometry(p)
    groups = p.nGroups or 1
    conv = nn.ConvTranspose2d(
        int(p.kernelChannels), int(p.outputChannels), kernel, stride,
        groups=groups, bias=p.hasBias, device="meta",
    )  # fmt: skip
    shape = (p.kernelChannels, p.outputChannels // groups, *kernel)
    _load(conv, p, shape, channel_axis=1)
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
    return (
        pair(p.kernelSize, 3, "kernelSize"),
        pair(p.stride, 1, "stride"),
        pair(p.dilationFactor, 1, "dilationFactor"),
    )


def _load(
    conv: nn.Conv2d | nn.ConvTranspose2d, p: Any, shape: tuple[int, ...], channel_axis: int
) -> None:
    conv.weight = parameter(weights.array(p.weights, shape, "weights", channel_axis))
    if p.hasBias:
        conv.bias = parameter(weights.array(p.bias, (p.outputChannels,), "bias"))


def parameter(values: Any) -> nn.Parameter:
    """Return an inference parameter that holds a copy of a numpy array."""
    return nn.Parameter(torch.tensor(values), requires_grad=False)
