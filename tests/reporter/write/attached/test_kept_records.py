"""Records that a folder of models keeps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from migrations import put

from migrate import AnereportError
from reporter.measure.identity import ModelIdentity
from reporter.measure.record import Device, Record, RecordError
from reporter.write.attached.kept_records import carry, counting, keep, kept

MODEL = ModelIdentity(
    name="m.mlmodel", kind="neuralNetwork", spec_version=4, sha256="0", size=1,
    sha256_without_metadata="1",
)  # fmt: skip


def record(**changes):
    facts = {"evidence": "measured", "model": MODEL, "device": Device(), "inputs": {}, "runs": ()}
    return Record(**{**facts, **changes})


def test_they_are_read_by_their_names(tmp_path):
    assert kept(tmp_path) == {}
    put(tmp_path / "records" / "b.json", record())
    put(tmp_path / "records" / "a.json", record(date="later"))
    (tmp_path / "records" / "notes.txt").write_text("no record")
    assert list(kept(tmp_path)) == ["a.json", "b.json"]
    assert kept(tmp_path)["b.json"] == record()
    (tmp_path / "records" / "c.json").write_text("{}")
    with pytest.raises(RecordError, match=r"c\.json: schema"):
        kept(tmp_path)


def test_a_record_is_kept_once_and_another_of_its_name_beside_it(tmp_path):
    assert keep(tmp_path, []) == {}
    assert not (tmp_path / "records").exists()
    assert list(keep(tmp_path, [("a", record())])) == ["a.json"]
    found = keep(tmp_path, [("other.json", record()), ("A.json", record(date="later"))])
    assert list(found) == ["a.json", "2-A.json"]
    assert kept(tmp_path) == {"a.json": record(), "2-A.json": record(date="later")}


def test_what_is_kept_names_no_home(tmp_path):
    keep(tmp_path, [("a.json", record(simulation=f"{Path.home()}/x.npz"))])
    assert kept(tmp_path)["a.json"].simulation == "~/x.npz"


def said(folder):
    """A reader of a folder's one file, which holds the hash of its network."""
    if not (text := (folder / "of.txt").read_text()):
        raise AnereportError("it is empty")
    return SimpleNamespace(source=MODEL.model_copy(update={"sha256_without_metadata": text}))


@pytest.fixture
def folders(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "of.txt").write_text("1")
    return old, new


@pytest.mark.parametrize("text", ["1", ""])
def test_they_are_carried_along_as_they_are(folders, text):
    """Also where nothing can be read any more of what they are of."""
    old, new = folders
    carry(old, new, said, "of.txt")
    assert [path.name for path in new.iterdir()] == ["of.txt"]
    keep(old, [("a.json", record())])
    (old / "records" / "torn.json").write_text("{")
    (old / "of.txt").write_text(text)
    carry(old, new, said, "of.txt")
    assert (new / "records" / "a.json").read_bytes() == (old / "records" / "a.json").read_bytes()
    assert (new / "records" / "torn.json").read_text() == "{"


def test_they_are_not_carried_to_another_network_or_from_another_kind_of_folder(folders):
    old, new = folders
    keep(old, [("a.json", record())])
    (old / "of.txt").write_text("2")
    carry(old, new, said, "of.txt")
    (old / "of.txt").unlink()
    carry(old, new, said, "of.txt")
    assert not (new / "records").exists()


def test_measured_ones_count_before_simulated_ones(tmp_path):
    assert counting(tmp_path, set()) == []
    simulated = record(evidence="simulated")
    keep(tmp_path, [("s.json", simulated)])
    place = tmp_path / "records"
    assert counting(tmp_path, set()) == [(place / "s.json", simulated)]
    keep(tmp_path, [("m.json", record())])
    assert counting(tmp_path, set()) == [(place / "m.json", record())]
    assert counting(tmp_path, {"simulated"}) == [(place / "s.json", simulated)]
