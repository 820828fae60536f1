"""A layered layout: where the boxes of a graph stand, and through which points its edges go.

Layers by the longest path, an edge that passes layers by a slot in each of them (Sugiyama, Tagawa
and Toda 1981); the order within a layer by barycentres; then each as near to its neighbours as the
order allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SWEEPS = 12


@dataclass(frozen=True)
class Layout:
    """Of each box its layer and its centre, of each edge its bends, (layer, across) both."""

    layers: tuple[int, ...]
    across: tuple[float, ...]
    bends: tuple[tuple[tuple[int, float], ...], ...]  # both ends included
    width: float


def layout(
    count: int, edges: Sequence[tuple[int, int]], box: float, slot: float, gap: float
) -> Layout:
    """Return the layout of boxes 0 to count - 1 with edges from lower to higher ones.

    `box` and `slot` are the widths of a box and of an edge that passes by, `gap` is between them.
    """
    layers = _layers(count, edges)
    chains: list[list[int]] = []
    for a, b in edges:
        passed = range(layers[a] + 1, layers[b])
        chains.append([a, *range(len(layers), len(layers) + len(passed)), b])
        layers += passed
    widths = [box] * count + [slot] * (len(layers) - count)
    up: list[list[int]] = [[] for _ in layers]
    down: list[list[int]] = [[] for _ in layers]
    for chain in chains:
        for a, b in pairwise(chain):
            down[a].append(b)
            up[b].append(a)
    rows = _ordered(layers, up, down)
    across = _placed(rows, up, down, widths, gap)
    left = min((x - w / 2 for x, w in zip(across, widths, strict=True)), default=0.0)
    across = [x - left for x in across]
    return Layout(
        layers=tuple(layers[:count]),
        across=tuple(across[:count]),
        bends=tuple(tuple((layers[v], across[v]) for v in chain) for chain in chains),
        width=max((x + w / 2 for x, w in zip(across, widths, strict=True)), default=0.0),
    )


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Return each box's layer: below all that it reads; what reads nothing, above its reader."""
    layers = [0] * count
    for a, b in sorted(edges):
        layers[b] = max(layers[b], layers[a] + 1)
    readers: dict[int, int] = {}
    for a, b in edges:
        readers[a] = min(readers.get(a, layers[b]), layers[b])
    reading = {b for _, b in edges}
    for a, reader in readers.items():
        if a not in reading:
            layers[a] = reader - 1
    return layers


def _ordered(
    layers: Sequence[int], up: Sequence[Sequence[int]], down: Sequence[Sequence[int]]
) -> list[list[int]]:
    """Return the layers' rows, each in the order of its neighbours' mean place."""
    rows: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
    for vertex, layer in enumerate(layers):
        rows[layer].append(vertex)
    place = {v: i / len(row) for row in rows for i, v in enumerate(row)}
    for sweep in range(SWEEPS):
        near = down if sweep % 2 else up
        for row in reversed(rows) if sweep % 2 else rows:
            row.sort(key=lambda v: _mean([place[n] for n in near[v]], place[v]))
            place.update((v, (i + 0.5) / len(row)) for i, v in enumerate(row))
    return rows


def _placed(
    rows: Sequence[Sequence[int]],
    up: Sequence[Sequence[int]],
    down: Sequence[Sequence[int]],
    widths: Sequence[float],
    gap: float,
) -> list[float]:
    """Return where each vertex stands: near its neighbours, and none on another."""
    across = [0.0] * len(widths)
    for sweep in range(SWEEPS + 1):
        near = (up, down)[sweep % 2]
        for row in reversed(rows) if sweep % 2 else rows:
            wanted = [_mean([across[n] for n in near[v]], across[v]) for v in row]
            apart = [(widths[a] + widths[b]) / 2 + gap for a, b in pairwise(row)]
            for v, x in zip(row, _spread(wanted, apart), strict=True):
                across[v] = x
    return across


def _spread(wanted: Sequence[float], apart: Sequence[float]) -> list[float]:
    """Return places in this order, so far apart: between those pushed to the right and the left."""
    right, left = list(wanted), list(wanted)
    for i, distance in enumerate(apart):
        right[i + 1] = max(right[i + 1], right[i] + distance)
    for i in range(len(apart) - 1, -1, -1):
        left[i] = min(left[i], left[i + 1] - apart[i])
    return [(a + b) / 2 for a, b in zip(right, left, strict=True)]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
