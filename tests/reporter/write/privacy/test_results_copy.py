from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import planted_secrets as planted
import pytest

from reporter.measure.arrays import load_inputs
from reporter.measure.record import RecordError
from reporter.write.privacy.redact import Gate, opened
from reporter.write.privacy.results_copy import copy_arrays, names

MAIL = "jane.doe@example.com"
NUMBERS = {"in::x": np.arange(6, dtype="f4").reshape(2, 3), "cpu::y": np.array([1, 2], "i4")}


@pytest.fixture(autouse=True)
def _among_strangers(monkeypatch):
    planted.strangers(monkeypatch)


def copied(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    with opened(Gate()) as gate:
        copy_arrays(folder / "a.npz", folder / "b.npz")
    return dict(np.load(folder / "b.npz")), gate


def test_arrays_in_which_nothing_is_private_are_copied_to_the_byte(tmp_path):
    _, gate = copied(tmp_path, **NUMBERS, said=np.array(["a", "b"]))
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()
    assert gate.removed == ()


@pytest.mark.parametrize("kind", ["U40", "S40"])
def test_strings_and_names_are_told_and_numbers_keep_their_bits(tmp_path, kind):
    said = np.array([[f"by {MAIL}", "plain"]], kind)
    told, gate = copied(tmp_path, **NUMBERS, **{f"cpu::{MAIL}": NUMBERS["in::x"]}, said=said)
    assert told["said"].tolist() == [["by [mail address]", "plain"]]
    assert list(told) == ["in::x", "cpu::y", "cpu::[mail address]", "said"]
    for name, array in NUMBERS.items():
        assert told[name].dtype == array.dtype
        assert told[name].tobytes() == array.tobytes()
    assert MAIL.encode() not in (tmp_path / "b.npz").read_bytes()
    assert [(one.kind, one.where) for one in gate.removed] == [("mail address", ("records",))]


def test_a_rewritten_file_knows_no_clock(tmp_path):
    copied(tmp_path, **{MAIL: NUMBERS["in::x"]})
    with zipfile.ZipFile(tmp_path / "b.npz") as archive:
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_comment_beside_the_arrays_is_left_out(tmp_path):
    np.savez(tmp_path / "a.npz", **NUMBERS)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.comment = MAIL.encode()
    with opened(Gate()):
        copy_arrays(tmp_path / "a.npz", tmp_path / "b.npz")
    assert MAIL.encode() not in (tmp_path / "b.npz").read_bytes()
    told = np.load(tmp_path / "b.npz")
    assert all(told[name].tobytes() == array.tobytes() for name, array in NUMBERS.items())


def test_a_file_beside_the_arrays_makes_it_no_result(tmp_path):
    """So that it is never copied."""
    np.savez(tmp_path / "a.npz", **NUMBERS)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("notes.txt", MAIL)
    with pytest.raises(RecordError, match=r"a\.npz is not a readable \.npz archive"):
        load_inputs(tmp_path / "a.npz")


def test_names_of_files_are_told_and_stay_different():
    said = names([Path("a@example.com.json"), Path("x/b@example.com.json"), Path("r.json")])
    assert "r.json" in said
    assert len(set(said)) == 3
    assert all("example" not in name and name.endswith(".json") for name in said)
    assert said[0] == "removed-mail-address.json"
