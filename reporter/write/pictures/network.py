"""The network as a drawing, from the inputs down to the outputs, with the suspect layers marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.write.pictures import frame
from reporter.write.pictures.layout import layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reporter.write.pictures.graph import Graph, Node

BOX, SLOT, GAP = 196, 12, 16
WIDE = 480  # a drawing that is not to be shrunk to a phone's width
PLAIN, MARKED = 38, 54  # heights of boxes
BETWEEN = 26  # layers
MARGIN = 6
LINE = 14
NAME, COLUMNS = 26, 31  # characters of a line


def draw(graph: Graph, marks: Mapping[str, str], title: str, says: str) -> str:
    """Return the drawing; `marks` are words for the layers of these names, which stand out."""
    placed = layout(len(graph.nodes), graph.edges, BOX, SLOT, GAP)
    found = [marks.get(n.name, "") if n.kind == "layer" else "" for n in graph.nodes]
    tops, bottoms = _bands(placed.layers, found)
    parts = [_edge(bends, tops, bottoms) for bends in placed.bends]
    for node, mark, layer, x in zip(graph.nodes, found, placed.layers, placed.across, strict=True):
        parts += _box(node, mark, x + MARGIN - BOX / 2, tops[layer], bottoms[layer] - tops[layer])
    height = max(bottoms, default=0) + MARGIN
    width = placed.width + 2 * MARGIN
    return frame.picture(width, height, title, says, parts, "wide" if width > WIDE else "")


def _bands(layers: Sequence[int], marks: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the top and the bottom of each layer's boxes, which are taller where one is marked."""
    tops, bottoms, y = [], [], MARGIN
    for layer in range(max(layers, default=-1) + 1):
        marked = any(mark for of, mark in zip(layers, marks, strict=True) if of == layer)
        tops.append(y)
        bottoms.append(y + (MARKED if marked else PLAIN))
        y = bottoms[-1] + BETWEEN
    return tops, bottoms


def _edge(bends: Sequence[tuple[int, float]], tops: Sequence[int], bottoms: Sequence[int]) -> str:
    """Return an edge from the bottom of a box past the layers between to the top of another."""
    places = [(layer, frame.at(x + MARGIN)) for layer, x in bends]
    layer, x = places[0]
    steps = f"M{x} {bottoms[layer]}"
    for layer, to in places[1:]:
        middle = tops[layer] - BETWEEN // 2
        steps += f"C{x} {middle} {to} {middle} {to} {tops[layer]}"
        steps += f"V{bottoms[layer]}" if layer != places[-1][0] else ""
        x = to
    return frame.path("edge", steps) + frame.path("ink", f"M{x} {tops[layer]}l-3.5-6h7z")


def _box(node: Node, mark: str, x: float, y: float, height: float) -> Iterator[str]:
    """Yield a box, with its words cut at its border."""
    kind = f"box {'marked' if mark else node.kind}"
    yield frame.box(x, y, BOX, height, kind, 3 if node.kind == "layer" else 16)
    says = node.says if node.kind == "layer" else f"{node.kind} {node.says}"
    lines = [(node.name, "strong", NAME), (says, "small", COLUMNS), (mark, "suspect", COLUMNS)]
    if node.kind == "more":
        lines = [(node.name, "small", COLUMNS)]
    shown = [(frame.fitted(words, columns), of) for words, of, columns in lines if words]
    first = height / 2 + 12 - LINE * len(shown) / 2
    yield (
        f'<svg x="{frame.at(x)}" y="{frame.at(y)}" width="{BOX}" height="{frame.at(height)}">'
        + "".join(
            frame.text(BOX / 2, first + i * LINE, words, of, "middle")
            for i, (words, of) in enumerate(shown)
        )
        + "</svg>"
    )
