"""The copy of a model in a report, alone and where it is a migration's."""

from __future__ import annotations

import json
import shutil

import planted_secrets as planted
import pytest
from migrations import written
from packages import affine, saved
from small_block import small_block

from migrate import load_spec
from reporter.measure import record as records
from reporter.measure.identity import identify
from reporter.measure.simulate import simulate
from reporter.understand import migrated
from reporter.write.create import Options, create
from reporter.write.migration import migration
from reporter.write.privacy import model_copy
from reporter.write.privacy.model_copy import Copied, CopyError, copied, reidentified
from reporter.write.privacy.redact import Gate, opened

MAIL = "jane.doe@example.com"


@pytest.fixture(autouse=True)
def _among_strangers(monkeypatch):
    planted.strangers(monkeypatch)


def by_jane(folder):
    spec = small_block()
    spec.description.metadata.author = f"Jane <{MAIL}>"
    return written(folder / "m.mlmodel", spec)


def test_a_copy_lacks_what_is_private_and_knows_both_identities(tmp_path):
    path = by_jane(tmp_path)
    copy = copied(path, tmp_path / "n.mlmodel")
    assert load_spec(copy.path).description.metadata.author == "Jane <[mail address]>"
    assert copy.before == identify(path)
    assert copy.after.sha256 == identify(copy.path).sha256 != identify(path).sha256
    assert copy.after.sha256_without_metadata == identify(path).sha256_without_metadata
    assert copy.after.name == "m.mlmodel"


def test_a_copy_of_a_copy_is_the_same_to_the_byte(tmp_path):
    once = copied(by_jane(tmp_path), tmp_path / "n.mlmodel").path
    again = copied(once, tmp_path / "o.mlmodel")
    assert again == Copied(tmp_path / "o.mlmodel")
    assert again.path.read_bytes() == once.read_bytes()


def test_bytes_behind_a_model_without_private_texts_stay(tmp_path):
    path = written(tmp_path / "m.mlmodel", small_block())
    path.write_bytes(path.read_bytes() + b"\xfa\x7f\x02hi")  # a field that the proto does not know
    assert copied(path, tmp_path / "n.mlmodel").path.read_bytes() == path.read_bytes()


def test_a_package_keeps_an_empty_folder_of_weights_and_opens(tmp_path):
    path = saved(affine(), tmp_path / "p.mlpackage")
    assert not list((path / "Data" / "com.apple.CoreML" / "weights").iterdir())
    copy = copied(path, tmp_path / "q.mlpackage").path
    assert load_spec(copy) == load_spec(path)


def test_weights_that_differ_are_refused(tmp_path, monkeypatch):
    program = affine()
    program.author = MAIL
    path = saved(program, tmp_path / "p.mlpackage")
    weights = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    weights.write_bytes(bytes(100))
    monkeypatch.setattr(shutil, "copyfile", lambda source, target: target.write_bytes(bytes(99)))
    with pytest.raises(CopyError, match="give --keep-metadata"):
        copied(path, tmp_path / "q.mlpackage")


def test_identities_in_json_become_the_copies_and_others_stay(tmp_path):
    path = by_jane(tmp_path)
    copy = copied(path, tmp_path / "n.mlmodel")
    other = identify(written(tmp_path / "other.mlmodel", small_block())).model_dump()
    text = json.dumps({"a": [identify(path).model_dump()], "b": {"c": other, "d": 1}})
    told = json.loads(reidentified(text, [copy, Copied(path)]))
    assert told == {"a": [copy.after.model_dump()], "b": {"c": other, "d": 1}}
    assert reidentified("not read", [Copied(path)]) == "not read"


def test_texts_stay_where_the_gate_keeps_them(tmp_path):
    path = by_jane(tmp_path)
    with opened(Gate(keeps_metadata=True)) as gate:
        copy = copied(path, tmp_path / "n.mlmodel")
    assert copy.path.read_bytes() == path.read_bytes()
    assert [(one.kind, one.kept) for one in gate.removed] == [("mail address", True)]


def test_a_migration_in_a_report_is_told_too_and_agrees_with_its_file(tmp_path):
    path = by_jane(tmp_path)
    migration.write(path, tmp_path / "m-mlprogram")
    package = tmp_path / "m-mlprogram" / "m.mlpackage"
    assert MAIL in load_spec(package).description.metadata.author
    given = []
    for one, fault in ((path, "bias-only@one"), (package, "none")):
        given.append(tmp_path / f"{one.name}.json")
        given[-1].write_text(records.dumps(simulate(one, fault)))
    (tmp_path / "mine.py").write_text("print(1)\n")
    options = Options(
        records=given, migration=tmp_path / "m-mlprogram", script=tmp_path / "mine.py"
    )
    create(path, tmp_path / "out", options)
    copy = tmp_path / "out" / "migration" / "m.mlpackage"
    assert "[mail address]" in load_spec(copy).description.metadata.author
    found = migrated.load(tmp_path / "out" / "migration")
    migrated.check(tmp_path / "out" / "migration", found)
    assert identify(copy) in found.identities
    assert found.source == identify(path)
    assert model_copy.identify(path).sha256 != identify(tmp_path / "out" / "m.mlmodel").sha256
