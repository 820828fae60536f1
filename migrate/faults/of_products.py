"""Faults of convolutions and dense layers, and of whatever else has a bias."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from migrate.faults.catalogue import counterfactual
from migrate.rounding import LARGEST

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.faults.site import Place, Site

CONVOLUTIONS = ("convolution", "convolution3d")
ALONG_CHANNELS = (*CONVOLUTIONS, "innerProduct", "batchedMatmul")


def _no_bias(place: Place) -> str:
    return "" if place.biases else "has no bias"


def _no_bias_along_channels(place: Place) -> str:
    return _no_bias(place) if place.layer.kind in ALONG_CHANNELS else "has no bias"


@counterfactual("bias-only", lacks=_no_bias_along_channels)
def bias_only(site: Site) -> Tensor:
    """Lose the data term: every position holds its channel's bias."""
    (bias,) = site.place.biases.values()
    shape = (-1, *(1,) * (-1 - site.channel_axis))
    return bias.to(site.healthy).reshape(shape).expand_as(site.healthy).clone()


@counterfactual("no-bias", lacks=_no_bias)
def no_bias(site: Site) -> Tensor:
    """Leave the bias out."""
    return site.again(**{name: torch.zeros_like(x) for name, x in site.place.biases.items()})


def _no_kernel(place: Place) -> str:
    if place.layer.kind not in CONVOLUTIONS:
        return "has no kernels"
    product = place.product
    return "has kernels of one element" if product and not _sizes(product[1].weight) > 1 else ""


def _sizes(weight: Tensor) -> int:
    return math.prod(weight.shape[2:])


@counterfactual("kernel-flipped", lacks=_no_kernel)
def kernel_flipped(site: Site) -> Tensor:
    """Mirror the kernels along every spatial axis: a convolution for a correlation."""
    weight = _weight(site)
    return site.with_weight(weight.flip(tuple(range(2, weight.ndim))))


def _groups(place: Place) -> int:
    return int(place.layer.params.nGroups or 1) if place.layer.kind in CONVOLUTIONS else 1


@counterfactual(
    "groups-misassigned", lacks=lambda place: "" if _groups(place) > 1 else "has no groups"
)
def groups_misassigned(site: Site) -> Tensor:
    """Compute each group of channels with the weights of the next, the last with the first's."""
    weight = _weight(site)
    return site.with_weight(weight.roll(-(weight.shape[0] // _groups(site.place)), 0))


def _no_sums(place: Place) -> str:
    sums = place.product and place.layer.kind in ALONG_CHANNELS
    return "" if sums else "adds up nothing with stored weights"


def _may_overflow(site: Site) -> bool:
    """Tell whether the terms of one sign may add up beyond float16: a bound, cheap to have."""
    product: Any = site.place.product
    transposed, x = getattr(product[1], "transposed", False), site.inputs[0]
    weight = product[1].weight.abs().transpose(0, int(transposed))  # outputs first
    bias = sum(float(b.abs().max()) for b in site.place.biases.values())
    largest = float(torch.where(x.isfinite(), x.abs(), 0).max()) if x.numel() else 0.0
    return largest * float(weight.flatten(1).sum(1).max()) + bias > LARGEST


@counterfactual("overflow", lacks=_no_sums, where=_may_overflow)
def overflow(site: Site) -> Tensor:
    """Overflow where the terms of one sign alone add up beyond 65,504: the sum is infinite."""
    up, down = _terms(site, 1), _terms(site, -1)
    beyond = torch.maximum(up, down) > LARGEST
    return torch.where(beyond, torch.full_like(up, math.inf).copysign(up - down), site.healthy)


def _terms(site: Site, sign: int) -> Tensor:
    """Return the sum of the positive terms, or of the negative ones without their sign."""
    product: Any = site.place.product
    name, weight = f"{product[0]}weight", product[1].weight
    bias = {n: (sign * b).clamp(min=0) for n, b in site.place.biases.items()}
    none = {n: torch.zeros_like(b) for n, b in bias.items()}
    x = site.inputs[0]
    same = site.again(x.clamp(min=0), **{name: (sign * weight).clamp(min=0)}, **bias)
    crossed = site.again((-x).clamp(min=0), **{name: (-sign * weight).clamp(min=0)}, **none)
    return same + crossed


def _weight(site: Site) -> Tensor:
    weight: Any = site.weight
    return weight
