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
