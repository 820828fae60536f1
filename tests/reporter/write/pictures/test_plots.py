"""The three pictures of an output, read back from the SVG."""

from __future__ import annotations

import numpy as np
import pytest
from sketches import SVG, parsed, paths, sketch_of, words

from reporter.write.pictures import channels, error_map, frame, scatter

DRAWN = (error_map, scatter, channels)
RIGHT, BOTTOM = frame.LEFT + frame.ACROSS, frame.TOP + error_map.HEIGHT


def faulty(wrong=20.0, at=(0, 3, 5, 0)):
    reference = np.linspace(-1, 1, 64).reshape(1, 8, 8, 1)
    values = reference.copy()
    values[at] += wrong
    return sketch_of(values, reference)


@pytest.mark.parametrize("picture", DRAWN)
def test_a_picture_is_the_same_each_time_and_says_its_title(picture):
    svg = picture.draw(faulty(), "SIMULATED ANE: <errors>", "says & means")
    assert svg == picture.draw(faulty(), "SIMULATED ANE: <errors>", "says & means")
    assert words(svg)[0] == "SIMULATED ANE: <errors>"
    assert [parsed(svg).find(f"{SVG}{tag}").text for tag in ("title", "desc")] == [
        "SIMULATED ANE: <errors>", "says & means",
    ]  # fmt: skip


@pytest.mark.parametrize("picture", DRAWN)
@pytest.mark.parametrize(
    "values",
    [np.zeros((1, 1)), np.full((1, 5, 2, 2), np.nan), np.full((3,), np.inf), np.float64(4),
     np.array([[1e300, -1e300]]), np.ones((1, 2000, 1, 1))],
)  # fmt: skip
def test_any_output_is_drawn_within_the_picture(picture, values):
    svg = picture.draw(sketch_of(values, np.zeros(np.shape(values))), "t", "d")
    root = parsed(svg)
    _, _, width, height = map(float, root.get("viewBox").split())
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.get("x")) <= width
        assert 0 <= float(element.get("y")) <= height
    assert "nan" not in svg.replace("NaN", "")


@pytest.mark.parametrize("picture", DRAWN)
@pytest.mark.parametrize("limit", [1e308, 1e-320, 0.3])
def test_any_limit_is_drawn(picture, limit):
    reference = np.zeros((1, 4, 2, 1))
    parsed(picture.draw(sketch_of(reference + 1, reference, limit=limit), "t", "d"))


def test_the_map_marks_rows_and_columns_with_a_value_beyond_the_limit():
    svg = error_map.draw(faulty(), "t", "d")
    row, column = error_map.HEIGHT / 8, frame.ACROSS / 8
    (marks,) = paths(svg, "mark")
    right = f"M{RIGHT + 6} {frame.TOP + 3 * row:g}V{frame.TOP + 4 * row:g}"
    below = f"M{frame.at(frame.LEFT + 5 * column)} {BOTTOM + 6}"
    assert marks == f"{right}{below}H{frame.at(frame.LEFT + 6 * column)}"
    (ring,) = (c for c in parsed(svg).iter(f"{SVG}circle") if c.get("class") == "ring")
    assert float(ring.get("cx")) == pytest.approx(frame.LEFT + 5.5 * column, abs=0.1)
    assert float(ring.get("cy")) == pytest.approx(frame.TOP + 3.5 * row, abs=0.1)
    assert "\u2503 beside the map: with a value beyond the limit of 8" in words(svg)


def test_a_map_within_the_limit_has_no_marks():
    svg = error_map.draw(faulty(wrong=7.9), "t", "d")
    assert paths(svg, "mark") == []
    assert "circle" not in svg


def test_the_map_names_its_axes_and_its_grades():
    reference = np.zeros((1, 1600, 39, 1))
    found = words(error_map.draw(sketch_of(reference, reference), "t", "d"))
    for text in ("channel (c), 16 or 17 a cell", "position (h)", "1,599", "38",
                 "0", "\u22642", "\u22648", "\u226424", "\u226480", "\u2264800", "\u22648k", "more",
                 "NaN \u221e"):  # fmt: skip
        assert text in found


def test_the_scatter_draws_single_points_and_arrows_to_those_outside():
    reference = np.linspace(-1, 1, 8).reshape(1, 1, 8, 1)
    values = reference.copy()
    values[0, 0, 2] += 2.0
    values[0, 0, 3:6, 0] = 900.0, -900.0, 1000.0
    svg = scatter.draw(sketch_of(values, reference, rmse=0.01), "t", "d")
    (points,), (arrows,) = paths(svg, "point"), paths(svg, "ink")
    assert points.count("M") == 1
    assert arrows.count("l4 7h-8z") == 2
    assert arrows.count("l4 -7h-8z") == 1


def test_the_scatter_has_a_line_where_both_are_equal():
    (line,) = paths(scatter.draw(faulty(), "t", "d"), "dashed")
    top, bottom = frame.TOP, frame.TOP + frame.ACROSS
    assert line == f"M{frame.LEFT} {bottom}L{RIGHT} {top}"


def test_the_scatter_of_nothing_finite_says_so():
    svg = scatter.draw(sketch_of(np.full((2, 2), np.nan), np.ones((2, 2))), "t", "d")
    assert "no pair of finite values" in words(svg)
    assert "no pair of finite values" not in words(scatter.draw(faulty(), "t", "d"))


def test_channels_are_bars_on_a_logarithmic_scale_beside_the_limit():
    reference = np.zeros((1, 4, 2, 1))
    values = np.array([0.0, 0.08, 8.0, 800.0])[None, :, None, None] * np.ones((1, 1, 2, 1))
    svg = channels.draw(sketch_of(values, reference), "t", "d")
    (within,), (beyond,), (limit,) = paths(svg, "g3"), paths(svg, "g6"), paths(svg, "limit")

    def top(decade):  # of 0.01 to 10,000
        return channels.HEIGHT * (1 - (decade + 2) / 6)

    small = f"M1.5 150V{frame.at(top(np.log10(0.08)) - 0.5)}"
    assert within == f"{small}M2.5 150V{frame.at(top(np.log10(8)) - 0.5)}"
    assert beyond == f"M3.5 150V{frame.at(top(np.log10(800)) - 0.5)}"
    assert limit.split("H")[0].endswith(f" {frame.at(frame.TOP + top(np.log10(8)))}")
    for text in ("0.01", "100", "10,000", "limit", "channel (c)"):
        assert text in words(svg)


def test_an_infinite_channel_has_a_cross_and_a_tiny_one_is_said():
    reference = np.zeros((1, 2, 2, 1))
    values = np.array([np.nan, 1.0])[None, :, None, None] * np.ones((1, 1, 2, 1))
    assert paths(channels.draw(sketch_of(values, reference), "t", "d"), "cross")[0].count("M") == 1
    tiny = channels.draw(sketch_of(reference + 1e-5, reference), "t", "d")
    assert paths(tiny, "cross") == []
    assert "all below 0.01" in words(tiny)
    assert "all 0" in words(channels.draw(sketch_of(reference, reference), "t", "d"))


@pytest.mark.parametrize("picture", DRAWN)
def test_the_pictures_of_a_million_noisy_values_are_small(picture):
    draw = np.random.RandomState(0)
    reference = draw.randn(1, 1000, 40, 25)
    values = reference + np.exp(draw.randn(*reference.shape) * 4) / 100
    assert len(picture.draw(sketch_of(values, reference), "t", "d")) < 120_000
