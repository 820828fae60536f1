"""The network of a report as a graph, of a long one the part around some layers and both ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reporter.understand.wording import several
from reporter.write.rendering import extent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from reporter.write.report.model_facts import FeatureFact, ModelFacts

MOST = 64  # boxes of a network that is drawn whole
ENDS = 5  # boxes at each end of one that is not
AROUND = 2  # edges from a layer to those that are drawn with it
NEAR = 40  # boxes around all such layers


@dataclass(frozen=True)
class Node:
    """A box: an input, a layer, an output, or the layers that are left out ("more")."""

    kind: str
    name: str
    says: str = ""  # a layer's kind and the shape of its output, or a feature's shape


@dataclass(frozen=True)
class Graph:
    """Boxes in the order of execution, and edges from earlier to later ones."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]


def graph(facts: ModelFacts) -> Graph:
    """Return the graph of a model's layers; those inside of branches and loops are not shown.

    An output that no layer writes is drawn behind the layers that nothing reads.
    """
    nodes: list[Node] = []
    edges: list[tuple[int, int]] = []
    writers: dict[str, int] = {}
    for f in facts.features:
        if f.role == "input":
            writers[f.name] = len(nodes)
            nodes.append(Node("input", f.name, _sizes(f)))
    for layer in facts.layers:
        if layer.nested:
            continue
        sizes = "" if layer.shape is None else f" {extent(layer.shape)}"
        edges += [(writers[blob], len(nodes)) for blob in layer.inputs if blob in writers]
        writers.update(dict.fromkeys(layer.outputs, len(nodes)))
        nodes.append(Node("layer", layer.name, f"{layer.kind}{sizes}"))
    read = {source for source, _ in edges}
    unread = [i for i, node in enumerate(nodes) if node.kind == "layer" and i not in read]
    for f in facts.features:
        if f.role == "output":
            sources = [writers[f.name]] if f.name in writers else unread
            edges += [(source, len(nodes)) for source in sources]
            nodes.append(Node("output", f.name, _sizes(f)))
    return Graph(tuple(nodes), tuple(dict.fromkeys(edges)))


def shortened(whole: Graph, names: Collection[str]) -> Graph:
    """Return the graph, of a long one both ends and what lies around the layers of these names.

    What is left out between is one box, which keeps the order: no cycle comes of it.
    """
    count = len(whole.nodes)
    if count <= MOST:
        return whole
    kept = {*range(ENDS), *range(count - ENDS, count), *_around(whole, names)}
    nodes: list[Node] = []
    place: list[int] = []
    for first, last in _stretches(count, kept):
        left_out = whole.nodes[first:last]
        alone = last - first == 1
        nodes.append(left_out[0] if alone else Node("more", _counted(left_out)))
        place += [len(nodes) - 1] * (last - first)
    edges = [(place[a], place[b]) for a, b in whole.edges if place[a] != place[b]]
    return Graph(tuple(nodes), tuple(dict.fromkeys(edges)))


def _around(whole: Graph, names: Collection[str]) -> set[int]:
    """Return the layers of these names and those near to them, the nearest first."""
    neighbours: dict[int, list[int]] = {}
    for a, b in whole.edges:
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    shell = [i for i, n in enumerate(whole.nodes) if n.kind == "layer" and n.name in names]
    found: dict[int, None] = {}
    for _ in range(AROUND + 1):
        found.update(dict.fromkeys(shell))
        shell = [near for i in shell for near in neighbours.get(i, ()) if near not in found]
    return set(list(found)[:NEAR])


def _stretches(count: int, kept: set[int]) -> Iterator[tuple[int, int]]:
    """Yield each node that is kept alone, and stretches of the others."""
    start = 0
    for i in range(count):
        if i in kept:
            if start < i:
                yield start, i
            yield i, i + 1
            start = i + 1


def _counted(nodes: Sequence[Node]) -> str:
    kinds = Counter(node.kind for node in nodes)
    counts = [several(n, kind) for kind, n in kinds.items()]
    return f"\u2026 {' and '.join(counts)} \u2026"


def _sizes(feature: FeatureFact) -> str:
    """Return a feature's shape, or what it is in place of an array."""
    shape = feature.computed or feature.declared
    return extent(shape) if shape else feature.kind
