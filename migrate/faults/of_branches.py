"""Faults where several inputs are joined: concatenations, and sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from migrate.faults.catalogue import counterfactual

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.faults.site import Place, Site

CONCATENATIONS = ("concat", "concatND")
JOINING = (*CONCATENATIONS, "stack")
SUMS = ("add", "addBroadcastable")


def _joins_nothing(place: Place) -> str:
    joins = place.layer.kind in JOINING and len(place.layer.inputs) > 1
    return "" if joins else "joins no branches"


def _concatenates_nothing(place: Place) -> str:
    return _joins_nothing(place) if place.layer.kind in CONCATENATIONS else "joins no branches"


def _neither_joins_nor_adds(place: Place) -> str:
    adds = place.layer.kind in SUMS and len(place.layer.inputs) > 1
    return "" if adds else _joins_nothing(place)


def _alike(site: Site) -> bool:
    return len({x.shape for x in site.inputs}) == 1


@counterfactual(
    "branch-dropped",
    lacks=_neither_joins_nor_adds,
    choices=lambda place: tuple(range(len(place.layer.inputs))),
)
def branch_dropped(site: Site) -> Tensor:
    """Read input N, counted from 0, as zeros."""
    return site.again(
        *(torch.zeros_like(x) if i == site.choice else x for i, x in enumerate(site.inputs))
    )


@counterfactual("branches-duplicated", lacks=_joins_nothing, where=_alike)
def branches_duplicated(site: Site) -> Tensor:
    """Put the first input in the place of every other."""
    return site.again(*(site.inputs[:1] * len(site.inputs)))


@counterfactual("branches-swapped", lacks=_joins_nothing)
def branches_swapped(site: Site) -> Tensor:
    """Join the inputs in the opposite order."""
    return site.again(*site.inputs[::-1])


@counterfactual("branches-interleaved", lacks=_concatenates_nothing, where=_alike)
def branches_interleaved(site: Site) -> Tensor:
    """Let the inputs' channels take turns; of an interleaving layer, let them not."""
    axis, count = _axis(site), len(site.inputs)
    turns = site.place.layer.kind == "concatND" and site.params.interleave
    healthy: Any = site.healthy
    parts = healthy.unflatten(axis, (-1, count) if turns else (count, -1))
    return parts.transpose(axis, axis + 1).flatten(axis, axis + 1)


@counterfactual("rolled", lacks=_concatenates_nothing)
def rolled(site: Site) -> Tensor:
    """Shift the channels by one: each is the one before it, the first the last."""
    return site.healthy.roll(1, _axis(site))


def _axis(site: Site) -> int:
    """Return the axis of a concatenation, counted from the front."""
    if site.place.layer.kind == "concat":
        axis = -5 if site.params.sequenceConcat else -3
    else:
        axis = int(site.params.axis)
    return axis % site.healthy.ndim
