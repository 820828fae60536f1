from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from sketches import sketch_of, sketches_of
from small_block import inputs, small_block

import migrate
from reporter.measure import simulate
from reporter.understand import comparison
from reporter.understand.reference import Referee
from reporter.write.report.report_file import tree

DRAW = np.random.RandomState(0)


def test_one_wrong_element_of_a_million_shows_where_it_is():
    reference = DRAW.rand(1, 1000, 40, 25)
    values = reference.copy()
    values[0, 321, 17, 3] += 20.0
    errors = sketch_of(values, reference).errors
    assert (errors.down.size, errors.down.parts) == (1000, 96)
    assert (errors.across.size, errors.across.parts) == (1000, 128)
    rows = enumerate(errors.grid.rows)
    marked = [(y, x) for y, row in rows for x, letter in enumerate(row) if letter != "."]
    assert marked == [(errors.down.part(321), errors.across.part(17 * 25 + 3))]
    assert errors.grid.rows[marked[0][0]][marked[0][1]] == "c"  # 20, of the limit 8
    assert errors.at == 321 * 1000 + 17 * 25 + 3
    assert errors.worst == pytest.approx(20.0, rel=1e-3)
    assert (errors.beyond, errors.broken) == (1, 0)


@pytest.mark.parametrize(
    ("shape", "down", "across"),
    [
        ((), ("channel", 1, 1), ("position", 1, 1)),
        ((1,), ("channel", 1, 1), ("position", 1, 1)),
        ((300,), ("channel", 1, 1), ("position (c)", 300, 128)),
        ((4, 6), ("h", 4, 4), ("w", 6, 6)),
        ((1, 1000), ("channel", 1, 1), ("position (w)", 1000, 128)),
        ((5, 1, 1), ("channel (c)", 5, 5), ("position", 1, 1)),
        ((1, 1, 97, 129), ("h", 97, 96), ("w", 129, 128)),
        ((1, 3, 7, 2), ("channel (c)", 3, 3), ("position (h, w)", 14, 14)),
        ((2, 1, 4, 5, 6), ("channel (s, c)", 8, 8), ("position (h, w)", 30, 30)),
        ((2, 1, 1, 1, 3, 4), ("channel (d0)", 2, 2), ("position (d4, d5)", 12, 12)),
    ],
)
def test_a_map_of_any_shape_has_channels_and_positions(shape, down, across):
    reference = np.random.RandomState(1).rand(*shape)
    errors = sketch_of(reference + 1, reference).errors
    assert dataclasses.astuple(errors.down) == down
    assert dataclasses.astuple(errors.across) == across
    assert len(errors.grid.rows) == down[2]
    assert {len(row) for row in errors.grid.rows} == {across[2]}


def test_a_classifiers_elements_are_its_labels():
    scores = np.array([0.5, 0.25, 0.25])
    errors = sketch_of(scores + np.array([0, 9, 0]), scores, labels=("cat", "dog", 7)).errors
    assert (errors.label, errors.at, errors.across.name) == ("dog", 1, "label")
    other = sketch_of(scores + np.array([0, 0, 9]), scores, labels=("cat", "dog", 7))
    assert other.errors.label == "7"


def test_an_output_without_elements_has_no_sketch():
    assert sketches_of({"ane": [np.zeros((1, 0, 4, 4))]}, np.zeros((1, 0, 4, 4))) == ()


def test_what_is_not_finite_is_counted_and_is_the_worst_of_its_cell():
    reference = np.ones((1, 200, 1, 1))
    reference[0, 5] = np.nan
    reference[0, 6] = np.inf
    values = reference.copy()
    values[0, 100], values[0, 101], values[0, 102] = np.nan, np.inf, 1000.0
    found = sketch_of(values, reference)
    assert (found.errors.broken, found.errors.beyond) == (2, 3)
    assert math.isinf(found.errors.worst)
    assert found.errors.at == 100
    letters = "".join(found.errors.grid.rows)
    assert letters[found.errors.down.part(100)] == "!"
    assert letters[found.errors.down.part(5)] == "."
    assert found.scatter.broken == 4
    assert found.scatter.points == ((1.0, 1000.0),)


def test_an_output_of_nothing_but_nan():
    found = sketch_of(np.full((1, 2, 3, 1), np.nan), np.ones((1, 2, 3, 1)))
    assert found.errors.grid.rows == ("!!!", "!!!")
    assert set("".join(found.scatter.grid.rows)) == {"."}
    assert (found.scatter.broken, found.scatter.points) == (6, ())
    assert found.channels.ratios == (math.inf, math.inf)


def test_the_scatter_counts_values_as_numpy_does():
    reference = DRAW.randn(1, 8, 50, 50)
    values = reference + DRAW.randn(*reference.shape) / 4
    scatter = sketch_of(values, reference, rmse=100.0).scatter
    low, high = min(values.min(), reference.min()), max(values.max(), reference.max())
    margin = (high - low) / 64
    assert scatter.low == pytest.approx(low - margin)
    assert scatter.high == pytest.approx(high + margin)
    edges = np.linspace(scatter.low, scatter.high, 65)
    counts, _, _ = np.histogram2d(reference.ravel(), values.ravel(), bins=(edges, edges))
    steps = [1, 10, 100, 1000, 10000]
    for y, row in enumerate(scatter.grid.rows):
        for x, letter in enumerate(row):
            count = counts[x, 63 - y]
            assert letter == ("." if not count else "abcdef"[sum(count > s for s in steps)])
    assert (scatter.outside, scatter.broken, scatter.points) == (0, 0, ())


def test_one_outlier_leaves_the_others_to_be_seen_and_is_kept_exactly():
    reference = np.linspace(-1, 1, 1000).reshape(1, 1, 1000, 1)
    values = reference.copy()
    values[0, 0, 7] = 6e4
    scatter = sketch_of(values, reference, rmse=0.01).scatter
    assert scatter.high < 4
    assert scatter.outside == 1
    assert scatter.points == ((reference[0, 0, 7, 0], 6e4),)
    assert sum(letter != "." for row in scatter.grid.rows for letter in row) > 20


def test_the_farthest_points_by_what_rounding_explains_are_kept():
    reference = np.zeros((1, 1, 500, 1))
    values = np.arange(500.0).reshape(reference.shape)
    points = sketch_of(values, reference, limit=299.0).scatter.points
    assert points == tuple((0.0, float(v)) for v in range(499, 299, -1))
    assert len(sketch_of(values, reference, limit=490.0).scatter.points) == 9


@pytest.mark.parametrize("value", [0.0, 3.0, -7e300, 1.7e308, 5e-324])
def test_a_constant_has_a_frame(value):
    scatter = sketch_of(np.full((2, 2), value), np.full((2, 2), value)).scatter
    assert scatter.low < value < scatter.high
    assert math.isfinite(scatter.high)
    assert math.isfinite(scatter.low)
    assert sum(letter != "." for row in scatter.grid.rows for letter in row) == 1


def test_a_range_of_subnormals_has_a_frame():
    reference = np.array([[0.0, 1e-310]])
    grid = sketch_of(reference, reference).scatter.grid
    assert sum(letter == "a" for row in grid.rows for letter in row) == 2


def test_a_range_near_the_largest_of_float64_has_a_frame():
    reference = np.array([[-8e307, 8e307]])
    found = sketch_of(reference[:, ::-1], reference)
    assert found.scatter.low < found.scatter.high
    assert found.scatter.grid.rows[0][0] == found.scatter.grid.rows[-1][-1] == "a"
    assert math.isfinite(found.errors.worst)


def test_channels_keep_the_largest_ratio_of_each_part():
    reference = np.zeros((1, 1300, 4, 1))
    values = np.abs(DRAW.randn(1300))[None, :, None, None] * np.ones((1, 1, 4, 1))
    channels = sketch_of(values, reference, rmse=0.5).channels
    assert channels.axis.parts == len(channels.ratios) == 512
    for part, ratio in enumerate(channels.ratios):
        first, last = channels.axis.span(part)
        expected = values[0, first : last + 1, 0, 0].max() / 0.5
        assert ratio == pytest.approx(expected, rel=1e-3)


def test_of_several_runs_the_worst_is_drawn_and_named():
    zeros = np.zeros((1, 2, 3, 1))
    calls = {"cpu": [zeros], "ane": [zeros, zeros + 90, zeros]}
    cpu, ane = sketches_of(calls, zeros)
    assert (cpu.unit, cpu.run, cpu.errors.worst) == ("cpu", "", 0.0)
    assert (ane.unit, ane.run, ane.errors.worst) == ("ane", "run 2 of 3", 90.0)
    assert (ane.assessment.word, ane.assessment.beyond) == ("diverges", 2)
    (cold,) = sketches_of({"ane": [zeros, zeros]}, zeros, cold={"ane": zeros + 50})
    assert (cold.run, cold.errors.worst) == ("cold start", 50.0)


def test_the_limit_is_a_step_of_the_map():
    zeros = np.zeros((1, 2, 1, 1))
    found = sketch_of(np.array([5.0, 5.1]).reshape(zeros.shape), zeros, limit=5.0)
    assert found.errors.grid.rows == ("b", "c")
    assert found.errors.grid.letters_beyond(5.0) == "cdefg!"
    assert found.errors.beyond == 1


def test_a_sketch_of_a_million_noisy_values_is_small():
    reference = DRAW.randn(1, 1000, 40, 25)
    values = reference * np.exp(DRAW.randn(*reference.shape) * 4)
    text = json.dumps(tree(sketch_of(values, reference, rmse=0.01)), indent=1)
    assert len(text) < 60_000


def test_a_records_comparison_has_a_sketch_of_each_unit(tmp_path: Path):
    model = tmp_path / "m.mlmodel"
    model.write_bytes(small_block().SerializeToString())
    record = simulate.simulate(model, "bias-only@three", inputs())
    (one,) = comparison.from_record(record, Referee(model), "r.json", 0.01)
    assert [s.unit for s in one.sketches] == ["cpu", "gpu", "ane"]
    reference = migrate.to_torch(model).double().predict(inputs(), exact=True)["out"]
    found = next(r for r in record.runs if r.unit == "ane").outputs["out"].array()
    rmse = Referee(model).compute(inputs()).envelopes["out"].rmse
    ratios = np.abs(found.astype("f8") - reference)[0, :, :, 0] / rmse[:, None]
    ane = one.sketches[-1]
    assert ane.assessment == one.diagnosis.assessments["ane"]
    assert ane.errors.at == ratios.argmax()
    assert ane.errors.worst == pytest.approx(ratios.max(), rel=1e-3)
    assert ane.errors.beyond == np.count_nonzero(ratios > 8)
    assert one.sketches[0].errors.beyond == 0
    assert comparison.from_record(record, None, "r.json", 0.01)[0].sketches == ()
