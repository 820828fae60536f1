"""Faults that any output may have: lost, cut off, out of range, misread, of another prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from migrate.faults.catalogue import counterfactual
from migrate.faults.of_products import ALONG_CHANNELS, bias_only
from migrate.rounding import LARGEST

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.faults.site import Place, Site

LEAST_NORMAL = 2.0**-14
BLOCKS = (16, 32, 64, 256)  # channels
ROW = 32  # float16 values in 64 bytes
ACTIVATIONS = ("activation", "clampedReLU", "clip", "gelu", "softmax", "softmaxND", "tanh")


@counterfactual("zeroed")
def zeroed(site: Site) -> Tensor:
    """Never write the output: all zeros."""
    return torch.zeros_like(site.healthy)


@counterfactual("input-zeroed", lacks=lambda place: "" if place.layer.inputs else "has no inputs")
def input_zeroed(site: Site) -> Tensor:
    """Read every input as zeros, but not stored weights and biases."""
    if site.place.layer.kind in ALONG_CHANNELS and site.place.product:  # known without computing
        return bias_only(site) if site.place.biases else torch.zeros_like(site.healthy)
    return site.again(*map(torch.zeros_like, site.inputs))


def _truncates(site: Site) -> bool:
    """Tell whether a last, shorter block of N channels follows others."""
    if site.healthy.ndim < -site.channel_axis:
        return False
    channels = site.healthy.shape[site.channel_axis]
    return channels > site.choice and channels % site.choice > 0


@counterfactual("channels-truncated", where=_truncates, choices=lambda _: BLOCKS)
def channels_truncated(site: Site) -> Tensor:
    """Leave the channels beyond the last multiple of N zero."""
    axis = site.channel_axis
    channels = site.healthy.shape[axis]
    kept = channels - channels % site.choice
    result = site.healthy.clone()
    result.narrow(axis, kept, channels - kept).zero_()
    return result


@counterfactual("rows-padded", where=lambda site: _row_ends_early(site))
def rows_padded(site: Site) -> Tensor:
    """Write rows a multiple of 64 bytes apart, with zeros between, and read them as contiguous."""
    width = site.healthy.shape[-1]
    rows = F.pad(site.healthy.reshape(-1, width), (0, -width % ROW))
    return rows.flatten()[: site.healthy.numel()].reshape(site.healthy.shape)


def _row_ends_early(site: Site) -> bool:
    y = site.healthy
    return y.ndim > 0 and y.numel() > y.shape[-1] > 0 and y.shape[-1] % ROW > 0


@counterfactual("saturated", where=lambda site: bool((site.healthy.abs() > LARGEST).any()))
def saturated(site: Site) -> Tensor:
    """Limit values to the largest of float16, 65,504 and -65,504."""
    return site.healthy.clamp(-LARGEST, LARGEST)


@counterfactual("subnormals-flushed", where=lambda site: bool(_subnormal(site.healthy).any()))
def subnormals_flushed(site: Site) -> Tensor:
    """Flush values below the least normal one of float16, 2^-14, to zero."""
    return torch.where(_subnormal(site.healthy), 0, site.healthy)


def _subnormal(x: Tensor) -> Tensor:
    return (x != 0) & (x.abs() < LEAST_NORMAL)


def _no_activation(place: Place) -> str:
    kind, params = place.layer.kind, place.layer.params
    threshold = kind == "unary" and params.type == params.THRESHOLD
    return "" if kind in ACTIVATIONS or threshold else "is no activation"


@counterfactual(
    "activation-skipped",
    lacks=_no_activation,
    where=lambda site: site.inputs[0].shape == site.healthy.shape,
)
def activation_skipped(site: Site) -> Tensor:
    """Skip the activation: the output is the input as it came."""
    return site.inputs[0]


@counterfactual("scale-doubled")
def scale_doubled(site: Site) -> Tensor:
    """Double every value."""
    return site.healthy * 2


def _same_form(site: Site) -> bool:
    return site.previous is not None and site.previous.shape == site.healthy.shape


@counterfactual("stale", where=_same_form)
def stale(site: Site) -> Tensor:
    """Keep the output of the previous prediction."""
    previous: Any = site.previous
    return previous.to(site.healthy)
