from __future__ import annotations

import pytest
from sketches import SVG, parsed

from reporter.understand.grid import Grid
from reporter.write.pictures import frame

HOSTILE = (
    "</svg><script>alert(1)</script>",
    "\u202eabc\u2066",
    "a\"b'c&d<e>",
    "\x00\x1b[31m",
    "]]>",
)


@pytest.mark.parametrize("words", HOSTILE)
def test_a_hostile_text_is_text(words):
    text = frame.text(1, 2, words, "small", "end", turned=True)
    svg = frame.picture(10, 20, words, words, [text])
    root = parsed(svg)
    shown = "".join(c if c.isprintable() else " " for c in words)
    assert [e.text for e in root.iter() if e.text] == [shown, shown, shown]
    assert [e.tag for e in root] == [f"{SVG}{tag}" for tag in ("title", "desc", "text")]


def test_a_picture_says_its_size_and_its_class():
    root = parsed(frame.picture(10.04, 20, "t", "d", [], "wide"))
    assert root.get("viewBox") == "0 0 10 20"
    assert (root.get("width"), root.get("class"), root.get("role")) == ("10", "wide", "img")


def test_each_cell_of_a_grid_is_drawn_once_in_its_class():
    rows = ("aab.", "....", "bbbb", "a.a.")
    drawn = {}
    for text in frame.cells(Grid(rows, (1.0,)), {"a": "one", "b": "two"}):
        path = parsed(f"<svg >{text}</svg>")[0]
        for stroke in path.get("d")[1:].split("M"):
            x, rest = stroke.split(" ")
            y, wide = rest.split("h")
            for i in range(int(x), int(x) + int(wide)):
                assert drawn.setdefault((int(y), i), path.get("class")) == path.get("class")
    names = {"a": "one", "b": "two"}
    assert drawn == {
        (y, x): names[c] for y, row in enumerate(rows) for x, c in enumerate(row) if c != "."
    }


@pytest.mark.parametrize(
    ("words", "columns", "shown"),
    [
        ("conv3", 5, "conv3"),
        ("conv3a", 5, "co\u20263a"),
        ("\u540d\u524d", 4, "\u540d\u524d"),
        ("\u540d\u524d\u540d", 5, "\u540d\u2026\u540d"),
        ("", 5, ""),
        ("x" * 10_000, 9, "xxxx\u2026xxxx"),
    ],
)
def test_a_text_is_cut_in_its_middle(words, columns, shown):
    assert frame.fitted(words, columns) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (8.0, "8"), (0.0277, "0.0277"), (-2.984, "-2.98"), (1234.5, "1,234"),
     (6.144e7, "6.1e7"), (1.8e-7, "1.8e-7"), (float("inf"), "\u221e"), (-1e-12, "-1e-12")],
)  # fmt: skip
def test_a_number_takes_few_characters(value, shown):
    assert frame.number(value) == shown
