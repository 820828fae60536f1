"""Which layers to edit where there are too many: the nearest to a concatenation or an output."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from migrate.variation.variant import LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migrate.variation.original import Original

FAR = 10**9
GROUP = 4


def chosen(
    original: Original, kind: str, positions: Iterable[int], what: str = "layers"
) -> tuple[list[int], list[LeftOut]]:
    """Return positions of layers, in order, at most `original.most`, and a word on the others."""
    given = list(positions)
    if len(given) <= original.most:
        return given, []
    distance = distances(original)
    nearest = _spread({i: distance.get(i, FAR) for i in given})[: original.most]
    reason = (
        f"{len(given) - original.most} of {len(given)} {what} are not tried: "
        f"{original.most} at and near concatenations and outputs are enough to begin with"
    )
    return sorted(nearest), [LeftOut(kind, reason)]


def _spread(distance: dict[int, int]) -> list[int]:
    """Return positions, the nearest first; after GROUP of one distance the next has its turn."""
    places: Counter[int] = Counter()
    keys = {}
    for i in sorted(distance, reverse=True):  # of one distance, the latest first
        keys[i] = (distance[i] + places[distance[i]] / GROUP, -i)
        places[distance[i]] += 1
    return sorted(keys, key=keys.__getitem__)


def distances(original: Original) -> dict[int, int]:
    """Return how many layers away each layer is, by position, from a concatenation or an output."""
    touching: dict[str, list[int]] = defaultdict(list)
    layers = original.network.layers
    for i, layer in enumerate(layers):
        for blob in {*layer.inputs, *layer.outputs}:
            touching[blob].append(i)
    ends = set(original.output_blobs.values())
    joins = original.concatenations()
    found = {i: 0 for i, o in enumerate(layers) if i in joins or ends.intersection(o.outputs)}
    border = list(found)
    while border:
        reached = []
        for i in border:
            for blob in {*layers[i].inputs, *layers[i].outputs}:
                for other in touching[blob]:
                    if other not in found:
                        found[other] = found[i] + 1
                        reached.append(other)
        border = reached
    return found
