"""A report with the model's migration: found, judged anew by all records, and bundled."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pytest

import migrate
from migrate import AnereportError
from migrate.coreml import coremltools
from reporter.measure import record as records
from reporter.measure.simulate import simulate
from reporter.understand.understood import Bounds
from reporter.write import repro
from reporter.write.create import Options, create
from reporter.write.migration import migration

coremltools()
from coremltools.models import datatypes  # noqa: E402  after the quiet import
from coremltools.models.neural_network import NeuralNetworkBuilder  # noqa: E402

FAST = repro.Repro("print(1)\n", "anereport", "executed: not in this test", "", True)
UNPROVEN = "right, but not proven to run on the Neural Engine"


def tiny(path, bias=(3, 4, 5)):
    """Write a model of one small convolution that declares another output than it has."""
    b = NeuralNetworkBuilder(
        [("x", datatypes.Array(1, 2, 4, 4))], [("y", datatypes.Array(1, 2, 4, 4))],
        disable_rank5_shape_mapping=True, use_float_arraytype=True,
    )  # fmt: skip
    kernel = np.random.RandomState(5).uniform(-1, 1, (1, 1, 2, 3)).astype(np.float32)
    b.add_convolution("conv", 2, 3, 1, 1, 1, 1, "valid", 1, kernel, np.float32(bias), True,
                      input_name="x", output_name="y")  # fmt: skip
    path.write_bytes(b.spec.SerializeToString(deterministic=True))
    return path


def saved(record, path):
    path.write_text(records.dumps(record))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the model, its migration, and a record of each, simulated."""
    folder = tmp_path_factory.mktemp("made")
    model = tiny(folder / "Tiny.mlmodel")
    migration.write(model, folder / "Tiny-mlprogram")
    package = folder / "Tiny-mlprogram" / "Tiny.mlpackage"
    saved(simulate(model, "bias-only@conv"), folder / "before.json")
    saved(simulate(package, "none"), folder / "after.json")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of that folder, as the current one; the repro script is left unrun."""
    monkeypatch.setattr(repro, "execute", lambda script, model, *kinds: FAST)
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


def report(here, *names, model="Tiny.mlmodel", **options):
    given = [here / name for name in names]
    return create(here / model, here / "out", Options(records=given, **options))


def words(found):
    return [verdict.word for verdict in found.migration.verdicts]


def test_without_a_migration_the_report_says_how_to_make_one(here):
    shutil.rmtree(here / "Tiny-mlprogram")
    found = report(here, "before.json")
    assert found.migration is None
    assert found.missing[-1].command == "anereport migrate Tiny.mlmodel"
    assert "newer backend help" not in (here / "out" / "report.md").read_text()
    assert not (here / "out" / "migration").exists()


def test_records_of_both_models_give_the_verdict_and_its_evidence(here):
    found = report(here, "before.json", "after.json")
    assert words(found) == [UNPROVEN]
    assert "anereport migrate Tiny.mlmodel" not in [m.command for m in found.missing]
    (verdict,) = found.migration.verdicts
    assert (verdict.before.ane.state, verdict.after.ane.state) == ("wrong", "right")
    for name in ("report.md", "report.html", "forum.md", "feedback.txt", "report.json"):
        text = (here / "out" / name).read_text()
        assert UNPROVEN in text
        assert "SIMULATED" in text or '"simulated"' in text
    assert [c.source for c in found.comparisons] == ["before.json"]  # of the model itself alone


def test_the_packages_that_records_are_of_are_bundled(here):
    report(here, "before.json", "after.json")
    names = zipfile.ZipFile(here / "out" / "Tiny-report.zip").namelist()
    assert {"records/before.json", "records/after.json"} <= set(names)
    for name in ("Tiny.mlpackage/Manifest.json", "migration.md", "migration.json"):
        assert f"migration/{name}" in names
    content = json.loads((here / "out" / "migration" / "migration.json").read_text())
    assert [v["word"] for v in content["verdicts"]] == [UNPROVEN]
    assert UNPROVEN in (here / "out" / "migration" / "migration.md").read_text()


def test_without_records_of_it_the_package_is_not_bundled(here):
    found = report(here, "before.json")
    assert words(found) == ["not measured"]
    assert (
        found.missing[-1].command == "anereport run Tiny-mlprogram/Tiny.mlpackage --out after.json"
    )
    assert not (here / "out" / "migration" / "Tiny.mlpackage").exists()
    assert (here / "out" / "migration" / "migration.md").exists()


def test_a_record_of_the_package_alone_leaves_the_model_unmeasured(here):
    found = report(here, "after.json")
    assert words(found) == ["not measured"]
    assert [c.evidence for c in found.comparisons] == ["computed"]
    assert found.missing[-1].command == "anereport run Tiny.mlmodel --out before.json"


def test_records_that_the_migration_keeps_are_used(here):
    given = [here / "before.json", here / "after.json"]
    migration.write(here / "Tiny.mlmodel", here / "Tiny-mlprogram", records=given)
    found = report(here)
    assert words(found) == [UNPROVEN]
    assert [c.source for c in found.comparisons] == ["before.json"]
    assert sorted(p.name for p in (here / "out" / "records").iterdir()) == [
        "after.json", "before.json",
    ]  # fmt: skip
    again = create(here / "Tiny.mlmodel", here / "second", Options(records=given[:1]))
    assert words(again) == [UNPROVEN]
    assert len(list((here / "second" / "records").iterdir())) == 2


def test_kept_records_of_another_kind_of_evidence_are_left_aside(here):
    given = [here / "before.json", here / "after.json"]
    migration.write(here / "Tiny.mlmodel", here / "Tiny-mlprogram", records=given)
    device = records.Device(identifier="Mac15,3", build="23B81")
    measured = records.load(given[0]).model_copy(update={"evidence": "measured", "device": device})
    saved(measured, here / "measured.json")
    found = report(here, "measured.json")
    assert words(found) == ["not measured"]
    assert not found.simulated


def test_a_migration_in_another_place_is_named(here):
    (here / "Tiny-mlprogram").rename(here / "elsewhere")
    assert report(here, "before.json").migration is None
    found = create(
        here / "Tiny.mlmodel", here / "second",
        Options(records=[here / "after.json"], migration=here / "elsewhere"),
    )  # fmt: skip
    assert words(found) == ["not measured"]


def test_a_migration_beside_the_model_is_found_from_elsewhere(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words(report(here, "before.json", "after.json")) == [UNPROVEN]


def test_a_migration_of_another_model_is_left_aside_and_that_is_said(here):
    tiny(here / "Tiny.mlmodel", bias=(0, 1, 2))
    found = report(here)
    assert found.migration is None
    (finding,) = [f for f in found.model.findings if "left aside" in f]
    assert "is a migration of another model: Tiny.mlmodel (sha256" in finding
    with pytest.raises(AnereportError, match="is a migration of another model"):
        create(
            here / "Tiny.mlmodel", here / "second", Options(migration=here / "Tiny-mlprogram")
        )  # fmt: skip
    assert not (here / "second").exists()


def test_a_migration_whose_package_was_changed_is_not_used(here):
    (file,) = (here / "Tiny-mlprogram").rglob("*.mlmodel")
    spec = migrate.load_spec(file)
    spec.description.metadata.author = "someone else"
    file.write_bytes(spec.SerializeToString())
    found = report(here)
    assert found.migration is None
    assert any("is not as it was written" in finding for finding in found.model.findings)
    shutil.rmtree(here / "Tiny-mlprogram" / "Tiny.mlpackage")
    with pytest.raises(AnereportError, match=r"lacks Tiny\.mlpackage: run anereport migrate again"):
        create(
            here / "Tiny.mlmodel", here / "second", Options(migration=here / "Tiny-mlprogram")
        )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "holds no migration.json: write it with anereport migrate"),
        ("{", "cannot read"),
        ('{"schema": "anereport.migration/1"}', "run anereport migrate again"),
        ('{"schema": "anereport.migration/2"}', "source: Field required"),
    ],
)
def test_a_folder_that_is_no_migration(here, content, reason):
    (here / "other").mkdir()
    if content:
        (here / "other" / "migration.json").write_text(content)
    with pytest.raises(AnereportError, match=reason):
        report(here, migration=here / "other")


def test_a_migration_is_of_a_neural_network(here):
    package = "Tiny-mlprogram/Tiny.mlpackage"
    with pytest.raises(AnereportError, match="is an ML Program already"):
        report(here, model=package, migration=here / "Tiny-mlprogram")
    assert report(here, "after.json", model=package).migration is None


def test_a_record_of_neither_is_refused(here):
    other = tiny(here / "Other.mlmodel", bias=(9, 9, 9))
    saved(simulate(other, "none"), here / "other.json")
    with pytest.raises(AnereportError, match=r"other\.json is a record of another model"):
        report(here, "before.json", "other.json")


def test_the_models_own_findings_are_said_once(here):
    found = report(here)
    (own,) = found.model.findings
    assert "declares output 'y' as 1x2x4x4" in own
    assert found.migration.findings == ()


def test_records_of_the_package_leave_the_kept_ones_of_the_model_in_the_tables(here):
    migration.write(here / "Tiny.mlmodel", here / "Tiny-mlprogram", records=[here / "before.json"])
    found = report(here, "after.json")
    assert [c.source for c in found.comparisons] == ["before.json"]
    assert words(found) == [UNPROVEN]


def test_the_limit_is_that_of_the_verdict_too(here):
    """The data term lost is some hundred times what rounding explains, and not a million."""
    found = report(here, "before.json", "after.json", bounds=Bounds(limit=1e6))
    assert words(found) == ["nothing to avoid: the NeuralNetwork was right on this device"]


def test_a_model_outside_of_the_migrations_folder_is_refused(here):
    file = here / "Tiny-mlprogram" / "migration.json"
    file.write_text(file.read_text().replace('"Tiny.mlpackage"', '"../Tiny.mlpackage"'))
    with pytest.raises(AnereportError, match=r"names \.\./Tiny\.mlpackage, which is not in"):
        report(here, migration=here / "Tiny-mlprogram")
