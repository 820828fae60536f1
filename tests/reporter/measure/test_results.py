"""Result files told apart by what they hold."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reporter.measure import record, results
from reporter.measure.identity import ModelIdentity
from reporter.measure.listing import Listing
from reporter.measure.record import Device, Record, RecordError

MINE, OTHER = (
    ModelIdentity(
        name=name, kind="neuralNetwork", spec_version=4, size=3,
        sha256=name[0] * 64, sha256_without_metadata=name[0] * 64,
    )
    for name in ("a.mlmodel", "b.mlmodel")
)  # fmt: skip
RECORD = Record(evidence="measured", model=MINE, device=Device(), inputs={}, runs=[])


@pytest.mark.parametrize("name", ["r.json", "r.txt", "record"])
def test_a_record_under_any_name(tmp_path, name):
    path = tmp_path / name
    path.write_text(record.dumps(RECORD))
    assert results.load(path, None, None) == RECORD
    assert results.load(path, MINE, (1, 2)) == RECORD
    with pytest.raises(RecordError, match="is a record of another model"):
        results.load(path, OTHER, None)


def test_a_listing(samples):
    path = samples / "thread-720810.txt"
    found = results.load(path, MINE, (1, 1600, 39, 1))
    assert isinstance(found, Listing)
    assert results.load(path, None, (1, 1600, 39, 1)) == found
    with pytest.raises(RecordError, match=r"is a listing: give .* --shape 1,1600,39,1"):
        results.load(path, MINE, None)
    with pytest.raises(RecordError, match="index 12568 lies outside shape 1x3x4"):
        results.load(path, MINE, (1, 3, 4))


def test_an_archive(tmp_path):
    path = tmp_path / "r.npz"
    np.savez(path, **{"cpu::y": np.zeros(3)})
    assert results.load(path, MINE, None).model == MINE
    with pytest.raises(RecordError, match="carries no model identity"):
        results.load(path, None, None)


@pytest.mark.parametrize("name", ["r.json", "r.npz", "r.txt"])
def test_what_is_no_file(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(RecordError, match="no such file"):
        results.load(path, MINE, (1,))
    path.touch()
    with pytest.raises(RecordError, match="is empty"):
        results.load(path, MINE, (1,))
    path.unlink()
    path.mkdir()
    with pytest.raises(RecordError, match="is a directory, not a record"):
        results.load(path, MINE, (1,))
    with pytest.raises(RecordError, match="name too long"):
        results.load(tmp_path / (name * 100), MINE, (1,))


@pytest.mark.parametrize("text", ["hello\n", json.dumps({"a": 1}), "Index TPU\n1 2\n", "\0\xff"])
def test_what_is_neither(tmp_path, text):
    path = tmp_path / "r.txt"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"not JSON|schema: expected"):
        results.load(path, MINE, (1,))


@pytest.mark.parametrize(
    ("text", "shape"),
    [("1,1600,39,1", (1, 1600, 39, 1)), ("1x2x3", (1, 2, 3)), ("7", (7,)), (" 1, 2 ", (1, 2)),
     ("007", (7,))],
)  # fmt: skip
def test_shapes(text, shape):
    assert results.parse_shape(text) == shape


@pytest.mark.parametrize("text", ["", ",", "1,,2", "0", "1,0", "-1", "1.5", "a", "1 2", "²,3",
                                  "\u0661", "9" * 5000, "1,2,", "nan", "(1,2)"])  # fmt: skip
def test_what_is_no_shape(text):
    with pytest.raises(RecordError, match="is not a shape: write it like 1,1600,39,1"):
        results.parse_shape(text)


def test_a_folder_stands_for_its_records(tmp_path):
    for name in ("b.json", "a.json", "notes.txt"):
        (tmp_path / name).write_text("{}")
    single = tmp_path / "b.json"
    assert results.record_files([tmp_path, single]) == [
        tmp_path / "a.json", tmp_path / "b.json", single,
    ]  # fmt: skip
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match=r"empty holds no record: no file in it ends in .json"):
        results.record_files([tmp_path / "empty"])
    (tmp_path / "m.mlpackage").mkdir()
    with pytest.raises(RecordError, match=r"m\.mlpackage is a model, and no record"):
        results.record_files([tmp_path / "m.mlpackage"])


def test_the_same_file_is_counted_once_and_that_is_said(tmp_path):
    first, copy, other = (tmp_path / name for name in ("a.json", "copy.json", "other.json"))
    for path, text in ((first, "1"), (copy, "1"), (other, "2")):
        path.write_text(text)
    found, said = results.distinct([first, other, copy, first])
    assert found == [first, other]
    assert said == [
        f"{copy} is the same file as {first}, and is counted once",
        f"{first} was given twice, and is counted once",
    ]
    assert results.distinct([]) == ([], [])


def test_what_is_no_file_is_left_to_the_reader(tmp_path):
    assert results.distinct([tmp_path / "absent.json", tmp_path]) == (
        [tmp_path / "absent.json", tmp_path], [],
    )  # fmt: skip


def test_names_of_files_from_several_folders(tmp_path):
    paths = [tmp_path / a / b for a, b in ("xr", "yr", "ys", "zr", "ws")]
    assert results.names(paths) == ["r", "2-r", "s", "4-r", "5-s"]
    assert results.names([tmp_path / n for n in ("2-r", "r", "x/r")]) == ["2-r", "r", "3-r"]
    assert results.names([tmp_path / n for n in ("r", "3-r", "x/r")]) == ["r", "3-r", "3-3-r"]
