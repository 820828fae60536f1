from __future__ import annotations

import time
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from reporter.write.pictures.layout import layout

BOX, SLOT, GAP = 10.0, 2.0, 3.0


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 14))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    edges = draw(st.lists(pairs.filter(lambda p: p[0] < p[1]), max_size=25, unique=True))
    return count, edges


def spans(found, layer, edges):
    """Return what stands in a layer: the boxes, and the edges that pass by, from left to right."""
    boxes = [(x, BOX) for x, of in zip(found.across, found.layers, strict=True) if of == layer]
    passing = [(x, SLOT) for bends in found.bends for of, x in bends[1:-1] if of == layer]
    return sorted((x - w / 2, x + w / 2) for x, w in (*boxes, *passing))


@settings(max_examples=150)
@given(graphs())
def test_nothing_overlaps_and_every_edge_goes_down(graph):
    count, edges = graph
    found = layout(count, edges, BOX, SLOT, GAP)
    assert len(found.layers) == len(found.across) == count
    assert len(found.bends) == len(edges)
    for layer in range(max(found.layers) + 1):
        row = spans(found, layer, edges)
        assert all(b - a >= GAP - 1e-6 for (_, a), (b, _) in pairwise(row))
        assert all(left >= -1e-6 and right <= found.width + 1e-6 for left, right in row)
    for (a, b), bends in zip(edges, found.bends, strict=True):
        assert bends[0] == (found.layers[a], found.across[a])
        assert bends[-1] == (found.layers[b], found.across[b])
        assert [layer for layer, _ in bends] == list(range(found.layers[a], found.layers[b] + 1))


def test_a_chain_is_straight():
    found = layout(5, [(0, 1), (1, 2), (2, 3), (3, 4)], BOX, SLOT, GAP)
    assert found.layers == (0, 1, 2, 3, 4)
    assert set(found.across) == {BOX / 2}
    assert found.width == BOX


def test_what_reads_nothing_stands_above_its_reader():
    found = layout(5, [(0, 2), (2, 3), (1, 4), (3, 4)], BOX, SLOT, GAP)
    assert found.layers == (0, 2, 1, 2, 3)


def test_edges_are_untangled():
    edges = [(0, 2), (0, 3), (1, 4), (1, 5), (2, 9), (3, 8), (4, 7), (5, 6)]
    found = layout(10, edges, BOX, SLOT, GAP)

    def crossed(one, other):
        (a, b), (c, d) = ((found.across[v] for v in edge) for edge in (one, other))
        same = found.layers[one[0]] == found.layers[other[0]]
        return same and (a - c) * (b - d) < 0

    assert not any(crossed(one, other) for one in edges for other in edges)


def test_a_skip_passes_beside_what_it_skips():
    found = layout(4, [(0, 1), (1, 2), (2, 3), (0, 3)], BOX, SLOT, GAP)
    for layer, x in found.bends[3][1:-1]:
        assert abs(x - found.across[layer]) >= (BOX + SLOT) / 2 + GAP - 1e-6


def test_a_long_chain_is_quick():
    start = time.process_time()
    found = layout(5000, [(i, i + 1) for i in range(4999)], BOX, SLOT, GAP)
    assert time.process_time() - start < 5
    assert found.layers == tuple(range(5000))


def test_a_graph_without_boxes():
    assert layout(0, [], BOX, SLOT, GAP).width == 0
