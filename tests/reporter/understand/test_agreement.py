"""The matrix of many devices: rows, conflicts, and what can be compared."""

from __future__ import annotations

import itertools

import pytest
from many_devices import MATRIX, matrix, model, phone, record_of, ten

from reporter.progress import Silent
from reporter.understand.agreement import Agreement, agreement, apart, comparable, disagreements
from reporter.understand.cells import Cell
from reporter.understand.origin import Kind, Origin
from reporter.understand.reference import Referee
from reporter.understand.understood import Bounds, of_records

KIND = Kind("measured", "iPhone14,5", "iOS 16.2", "20C65")
A, B, C = (Origin(KIND, label) for label in "abc")


def cell(origin=A, word="rounding", ratio=0.5, key="1", record="", **more):
    fields = {"variant": "m.mlmodel", "unit": "ane", "input": f"seed-{key}", "runs": 3}
    return Cell(
        origin=origin, word=word, ratio=ratio, key=key, record=record or f"{origin.label}.json",
        **{**fields, **more},
    )  # fmt: skip


def rows(*cells):
    return agreement("m.mlmodel", cells).rows


@pytest.fixture(scope="module")
def referee(tmp_path_factory):
    return Referee(model(tmp_path_factory.mktemp("models") / "m.mlmodel"))


def found(referee, records):
    return of_records(list(records.items()), referee, Bounds(budget=0), Silent()).agreement


def test_ten_records_of_three_devices_and_two_builds(referee):
    known = found(referee, ten(referee.model))
    assert matrix(known) == MATRIX
    assert len(known.rows) == len(MATRIX)
    assert list(matrix(known)) == list(MATRIX)  # the units in the order of interest
    assert known.model == "m.mlmodel"
    assert known.shown


def test_the_matrix_is_the_same_in_whatever_order_records_come(referee):
    backwards = dict(reversed(ten(referee.model).items()))
    expected = {place: (*row[:-1], row[-1][::-1]) for place, row in MATRIX.items()}
    assert matrix(found(referee, backwards)) == expected


def test_one_device_is_not_shown_unless_its_records_are_in_conflict(referee):
    right, wrong = (record_of(referee.model, phone("a"), ane=how) for how in ("right", "wrong"))
    assert not found(referee, {"x.json": wrong}).shown
    assert not found(referee, {"x.json": wrong, "y.json": wrong}).shown
    assert found(referee, {"x.json": right, "y.json": wrong}).shown
    assert found(referee, {}) == Agreement()
    assert not Agreement().shown


def test_a_simulated_model_and_what_it_became_are_no_two_devices():
    kind = Kind("simulated", "", "", "")
    one, other = (Origin(kind, "sim", simulation=fault) for fault in ("none", "zeroed@y"))
    assert not agreement("m.mlmodel", [cell(one), cell(other, variant="p.mlpackage")]).shown
    assert agreement("m.mlmodel", [cell(one), cell(other, word="diverges")]).shown
    assert agreement("m.mlmodel", [cell(A), cell(B, unit="cpu")]).shown


def test_records_without_a_label_are_not_merged(referee):
    records = {n: record_of(referee.model, phone(), ane="right") for n in ("x.json", "y.json")}
    known = found(referee, records)
    assert [(r.origin.file, r.records) for r in known.rows] == [
        ("x.json", ("x.json",)), ("y.json", ("y.json",)),
    ]  # fmt: skip
    assert known.shown


def test_a_row_is_the_worst_of_its_inputs():
    (row,) = rows(
        cell(key="1", ratio=0.5), cell(key="2", word="diverges", ratio=99.0, runs=2),
        cell(key="3", word="unfit", ratio=120.0),
    )  # fmt: skip
    assert (row.word, row.ratio, row.runs, row.inputs) == ("diverges", 120.0, 8, 3)
    assert row.state == "wrong"
    assert [one.word for one in row.by_input()] == ["rounding", "diverges", "unfit"]
    assert row.keys == {"1", "2", "3"}


def test_an_input_that_cannot_tell_does_not_undo_one_that_can():
    (row,) = rows(cell(), cell(key="2", word="unfit", ratio=9.0))
    assert (row.word, row.state) == ("unfit", "right")
    (none,) = rows(cell(word="unfit"), cell(key="2", word="not known", ratio=None))
    assert (none.word, none.state, none.ratio) == ("unfit", "", 0.5)


def test_the_same_input_of_two_records_is_counted_once():
    (row,) = rows(cell(record="x"), cell(record="y"), cell(record="y", key="2", inputs=4))
    assert (row.runs, row.inputs, row.records) == (9, 5, ("x", "y"))
    assert [r.runs for r in row.by_record()] == [3, 6]


@pytest.mark.parametrize(
    ("one", "other", "word"),
    [
        ("rounding", "diverges", "in conflict"),
        ("exact", "suspicious", "in conflict"),
        ("exact", "failed", "in conflict"),
        ("exact", "flaky", "in conflict"),
        ("exact", "rounding", "rounding"),
        ("suspicious", "diverges", "diverges"),
        ("diverges", "failed", "failed"),
        ("rounding", "not known", "rounding"),
        ("rounding", "unfit", "unfit"),
    ],
)
def test_two_records_of_one_place_and_input(one, other, word):
    for pair in itertools.permutations((one, other)):
        (row,) = rows(*(cell(word=w, record=w) for w in pair))
        assert row.word == word
    (row,) = rows(cell(word=one), cell(word=other, key="2"))
    assert row.word != "in conflict"  # of other inputs


@pytest.mark.parametrize("change", [{"origin": B}, {"unit": "cpu"}, {"variant": "other.mlmodel"}])
def test_rows_of_other_places_units_and_models_are_apart(change):
    assert len(rows(cell(), cell(word="diverges", **change))) == 2


def test_the_model_comes_first_and_what_it_became_after():
    made = rows(cell(variant="p.mlpackage"), cell(unit="cpu"), cell(B), cell(), cell(unit="gpu"))
    assert [(r.variant, r.unit, r.origin.label) for r in made] == [
        ("m.mlmodel", "ane", "a"), ("m.mlmodel", "ane", "b"), ("m.mlmodel", "gpu", "a"),
        ("m.mlmodel", "cpu", "a"), ("p.mlpackage", "ane", "a"),
    ]  # fmt: skip
    groups = agreement("m.mlmodel", [c for r in made for c in r.cells]).groups()
    assert [len(group) for group in groups] == [2, 1, 1, 1]


def labels(groups):
    return [[(r.origin.label, r.word, sorted(r.keys)) for r in group] for group in groups]


def test_disagreements_are_on_the_same_input():
    wrong = {"word": "diverges", "ratio": 99.0}
    assert not list(disagreements(rows(cell(A), cell(B, key="2", **wrong))))
    assert not list(disagreements(rows(cell(A, **wrong), cell(B, **wrong))))
    assert not list(disagreements(rows(cell(A), cell(B, word="unfit"))))
    mixed = rows(cell(A), cell(B, **wrong), cell(C), cell(A, key="2"), cell(C, key="2", **wrong))
    assert labels(disagreements(mixed)) == [
        [("a", "rounding", ["1"]), ("b", "diverges", ["1"]), ("c", "rounding", ["1"])],
        [("a", "rounding", ["2"]), ("c", "diverges", ["2"])],
    ]


def test_inputs_on_which_devices_disagree_in_the_same_way_are_told_together():
    wrong = {"word": "failed", "ratio": None}
    both = rows(*(cell(A, key=k) for k in "12"), *(cell(B, key=k, **wrong) for k in "12"))
    assert labels(disagreements(both)) == [
        [("a", "rounding", ["1", "2"]), ("b", "failed", ["1", "2"])]
    ]


def test_a_row_in_conflict_disagrees_with_nobody():
    torn = [cell(A, record="x"), cell(A, record="y", word="diverges")]
    assert not list(disagreements(rows(*torn, cell(B))))
    assert labels(disagreements(rows(*torn, cell(B), cell(C, word="flaky")))) == [
        [("b", "rounding", ["1"]), ("c", "flaky", ["1"])]
    ]


def test_rows_are_compared_over_the_inputs_that_all_have():
    made = rows(cell(A), cell(A, key="2", word="diverges"), cell(B), cell(C), cell(C, key="3"))
    assert labels(comparable(made)) == [
        [("a", "rounding", ["1"]), ("b", "rounding", ["1"]), ("c", "rounding", ["1"])]
    ]


def test_rows_without_an_input_in_common_are_compared_with_none():
    made = rows(cell(A), cell(B, key="2"), cell(C, key="2"))
    assert [[label for label, _, _ in group] for group in labels(comparable(made))] == [
        ["a"], ["b", "c"],
    ]  # fmt: skip


def test_rows_are_apart_if_no_chain_of_inputs_joins_them():
    made = rows(cell(A), cell(B, key="2"), cell(C, key="1"), cell(C, key="2"))
    assert [len(group) for group in apart(made)] == [3]
    made = rows(cell(A), cell(B, key="2"), cell(C, key="2"))
    assert [[r.origin.label for r in group] for group in apart(made)] == [["a"], ["b", "c"]]
