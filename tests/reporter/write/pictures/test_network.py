from __future__ import annotations

import pytest
from sketches import SVG, parsed, paths, words

from reporter.write.pictures import network
from reporter.write.pictures.graph import Graph, Node

DIAMOND = Graph(
    (
        Node("input", "x", "1x3"), Node("layer", "a", "conv 1x4"), Node("layer", "b", "relu"),
        Node("layer", "c", "relu"), Node("more", "… 7 layers …"), Node("output", "y", "1x2"),
    ),
    ((0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (0, 4), (4, 5)),
)  # fmt: skip


def boxes(svg):
    return [
        (e.get("class"), *(float(e.get(key)) for key in ("x", "y", "width", "height")))
        for e in parsed(svg).iter(f"{SVG}rect")
    ]


def test_every_box_and_every_edge_is_drawn():
    svg = network.draw(DIAMOND, {}, "t", "d")
    kinds = [kind for kind, *_ in boxes(svg)]
    assert kinds == ["box input", *["box layer"] * 3, "box more", "box output"]
    assert len(paths(svg, "edge")) == len(paths(svg, "ink")) == 7
    for text in ("x", "input 1x3", "a", "conv 1x4", "… 7 layers …", "y", "output 1x2"):
        assert text in words(svg)


def test_no_boxes_overlap_and_all_lie_in_the_picture():
    svg = network.draw(DIAMOND, {"b": "suspect: zeroed"}, "t", "d")
    _, _, width, height = map(float, parsed(svg).get("viewBox").split())
    found = boxes(svg)
    for i, (_, x, y, w, h) in enumerate(found):
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        for _, u, v, ww, hh in found[i + 1 :]:
            assert x + w <= u or u + ww <= x or y + h <= v or v + hh <= y


def test_edges_begin_and_end_at_their_boxes():
    svg = network.draw(DIAMOND, {}, "t", "d")
    found = boxes(svg)
    for (a, b), steps in zip(DIAMOND.edges, paths(svg, "edge"), strict=True):
        x, y = map(float, steps[1:].split("C")[0].split())
        assert (x, y) == pytest.approx(
            (found[a][1] + network.BOX / 2, found[a][2] + found[a][4]), abs=0.11
        )
        *_, u, v = map(float, steps.split("C")[-1].split())
        assert (u, v) == pytest.approx((found[b][1] + network.BOX / 2, found[b][2]), abs=0.11)


def test_a_marked_layer_stands_out_in_a_word_and_in_its_border():
    svg = network.draw(DIAMOND, {"b": "suspect: zeroed", "x": "no layer"}, "t", "d")
    marked = [box for box in boxes(svg) if box[0] == "box marked"]
    assert len(marked) == 1
    assert words(svg).count("suspect: zeroed") == 1
    assert "no layer" not in words(svg)
    assert "suspect" not in network.draw(DIAMOND, {}, "t", "d")


@pytest.mark.parametrize("name", ["x" * 10_000, "\u202e</svg>", "名" * 300, "", "a|b`c`<script>"])
def test_hostile_names_are_cut_and_are_text(name):
    graph = Graph((Node("input", name), Node("layer", name, name)), ((0, 1),))
    svg = network.draw(graph, {name: f"suspect: {name}"}, name, name)
    assert all(len(text) <= network.COLUMNS for text in words(svg))
    assert {e.tag.removeprefix(SVG) for e in parsed(svg).iter()} == {
        "svg", "title", "desc", "path", "rect", "text",
    }  # fmt: skip
    assert "\u202e" not in svg
    assert svg == network.draw(graph, {name: f"suspect: {name}"}, name, name)


def test_a_wide_drawing_is_not_shrunk_to_the_width_of_a_phone():
    fan = Graph(tuple(Node("layer", str(i)) for i in range(4)), ((0, 1), (0, 2), (0, 3)))
    assert parsed(network.draw(fan, {}, "t", "d")).get("class") == "wide"
    assert parsed(network.draw(DIAMOND, {}, "t", "d")).get("class") is None
