"""A report with the model's variants: found, read by all records, and those named bundled."""

from __future__ import annotations

import json
import shutil
import zipfile

import pytest
from rule_devices import concat_into_depthwise, joined_spec, never, record

from migrate import AnereportError
from reporter.measure.record import Device, dumps
from reporter.understand.manifest import load
from reporter.understand.understood import Bounds
from reporter.write import repro
from reporter.write.create import Options, create
from reporter.write.variants import variants

FAST = repro.Repro("print(1)\n", "anereport", "executed: not in this test", "", True)
NOT_READ = "which edits of the model make it vanish, and the smallest part that fails"
MEASURED = ("split-deep", "copied-behind-concat", "without-deep", "swapped-concat", "tap-concat")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model of few channels, its variants, and records of a device that fails beyond 4."""
    folder = tmp_path_factory.mktemp("made")
    spec = joined_spec(3, 2)
    (folder / "m.mlmodel").write_bytes(spec.SerializeToString(deterministic=True))
    variants.write(folder / "m.mlmodel", folder / "m-variants")
    (folder / "records").mkdir()
    known = load(folder / "m-variants")
    measured = [e.file for e in known.made if e.name in MEASURED]
    for file in ("m.mlmodel", *measured):
        found = record(folder / "m-variants" / file, concat_into_depthwise(4), repeats=2)
        (folder / "records" / f"{file}.json").write_text(dumps(found))
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of that folder, as the current one; the repro script is left unrun."""
    monkeypatch.setattr(repro, "execute", lambda script, model, *kinds: FAST)
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


def report(here, *records, bounds=Bounds(budget=0), **options):  # noqa: B008  it is frozen
    given = [here / name for name in records]
    return create(here / "m.mlmodel", here / "out", Options(given, bounds=bounds, **options))


def missing(found):
    return {m.what: m.command for m in found.missing}


def test_a_reading_stands_in_every_venue(here):
    found = report(here, "records")
    (reading,) = found.readings
    rule = "it fails wherever a concatenation is read by a depthwise convolution"
    assert any(rule in sentence for sentence in reading.sentences)
    assert NOT_READ not in missing(found)
    for name in ("report.md", "report.html", "forum.md", "feedback.txt"):
        text = (here / "out" / name).read_text()
        assert "What was tried" in text
        assert rule in text
        assert "split-deep" in text
    kept = json.loads((here / "out" / "report.json").read_text())["readings"]
    assert [v["name"] for v in kept[0]["tried"]] == [v.name for v in reading.tried]


def test_the_table_has_a_row_for_each_variant_that_was_measured(here):
    found = report(here, "records")
    tried = {v.name: (v.word.split(":")[0], v.repeats) for v in found.readings[0].tried}
    assert found.readings[0].diverges
    assert tried == {
        "split-deep": ("right", 2), "copied-behind-concat": ("right", 2),
        "without-deep": ("right", 2), "swapped-concat": ("fails", 2), "tap-concat": ("fails", 2),
    }  # fmt: skip
    lines = (here / "out" / "report.md").read_text().splitlines()
    for v in found.readings[0].tried:
        (row,) = [line for line in lines if line.startswith(f"| {v.name} | ")]
        assert row.split(" | ")[1].startswith(v.word.split(":")[0])
        assert v.ratio > 8 if v.word == "fails" else v.ratio < 8
        assert v.line in row
        assert v.records == (f"m-{v.name}.mlmodel.json",)


def test_models_and_records_that_are_named_are_bundled_and_no_others(here):
    report(here, "records")
    names = set(zipfile.ZipFile(here / "out" / "m-report.zip").namelist())
    assert "variants/manifest.json" in names
    for name in ("split-deep", "copied-behind-concat", "without-deep"):
        assert f"variants/m-{name}.mlmodel" in names
        assert f"variants/expected/m-{name}.npz" in names
        assert f"records/m-{name}.mlmodel.json" in names
    assert "records/m.mlmodel.json" in names
    assert not [name for name in names if "swapped" in name or "tap-concat" in name]


def test_records_that_the_folder_keeps_are_used(here):
    variants.read(here / "m.mlmodel", here / "m-variants", [here / "records"])
    shutil.rmtree(here / "records")
    found = report(here)
    assert [c.source for c in found.comparisons] == ["m.mlmodel.json"]
    assert len(found.readings[0].tried) == len(MEASURED)


def test_without_variants_the_report_says_how_to_make_them(here):
    shutil.rmtree(here / "m-variants")
    found = report(here, "records/m.mlmodel.json")
    assert found.readings == ()
    assert missing(found)[NOT_READ] == "anereport variants m.mlmodel"
    assert "What was tried" not in (here / "out" / "report.md").read_text()


def test_without_records_of_them_it_says_how_to_measure_them(here):
    found = report(here, "records/m.mlmodel.json")
    assert missing(found)[NOT_READ] == "anereport run m-variants --out m-variants-records"


def test_another_folder_can_be_named(here):
    (here / "m-variants").rename(here / "mine")
    assert NOT_READ in missing(report(here, "records/m.mlmodel.json"))
    found = report(here, "records", variants=here / "mine", force=True)
    assert len(found.readings[0].tried) == len(MEASURED)


def test_records_of_variants_that_are_not_there_are_refused(here):
    shutil.rmtree(here / "m-variants")
    with pytest.raises(AnereportError, match="is a record of another model: m-copied-behind"):
        report(here, "records")
    assert not (here / "out").exists()


def test_a_reading_is_by_the_limit_that_is_given(here):
    found = report(here, "records", bounds=Bounds(limit=1e9, budget=0))
    assert {v.word.split(":")[0] for v in found.readings[0].tried} == {"right", "set aside"}
    assert "itself is right" in found.readings[0].sentences[0]
    assert not found.readings[0].diverges


def test_each_device_has_a_reading_of_its_own(here):
    right = record(here / "m.mlmodel", never, device=Device(label="other phone", build="20C65"))
    (here / "records" / "other.json").write_text(dumps(right))
    found = report(here, "records")
    assert [r.sentences[0].split(":")[0] for r in found.readings] == [
        "MEASURED on my phone (20C65)", "MEASURED on other phone (20C65)",
    ]  # fmt: skip


def test_changed_variants_beside_the_model_are_a_finding_and_named_ones_an_error(here):
    (here / "m-variants" / "m.mlmodel").write_bytes(b"")
    shutil.rmtree(here / "records")
    found = report(here)
    (finding,) = [f for f in found.model.findings if "variants" in f]
    assert finding.startswith("the variants beside the model are left aside: ")
    with pytest.raises(AnereportError):
        report(here, variants=here / "m-variants", force=True)


def test_a_variant_that_is_changed_or_missing_is_set_aside_and_the_others_are_read(here):
    other = joined_spec(3, 3).SerializeToString()
    (here / "m-variants" / "m-split-deep.mlmodel").write_bytes(other)
    (here / "m-variants" / "m-without-deep.mlmodel").unlink()
    (reading,) = report(here, "records").readings
    said = "\n".join(reading.sentences)
    assert (
        "Set aside: split-deep: m-split-deep.mlmodel is not the model that manifest.json says it "
        "is."
    ) in said
    assert "Set aside: without-deep: the folder lacks m-without-deep.mlmodel." in said
    assert "The divergence vanishes with 'copied-behind-concat'" in said
    bundled = {path.name for path in (here / "out" / "variants").iterdir()}
    assert "m-copied-behind-concat.mlmodel" in bundled
    assert "m-split-deep.mlmodel" not in bundled


def test_a_record_of_a_variant_that_is_no_more_stays_out_of_the_report(here):
    variants.read(here / "m.mlmodel", here / "m-variants", [here / "records"])
    shutil.rmtree(here / "records")
    path = here / "m-variants" / "manifest.json"
    manifest = json.loads(path.read_text())
    gone = next(e for e in manifest["variants"] if e["name"] == "swapped-concat")
    manifest["variants"].remove(gone)
    path.write_text(json.dumps(manifest))
    found = report(here)
    assert len(found.readings[0].tried) == len(MEASURED) - 1
    assert not [f for f in (here / "out").rglob("*") if "swapped-concat" in f.name]
    assert (here / "m-variants" / "records" / "m-swapped-concat.mlmodel.json").exists()


def test_variants_of_another_model_are_refused(here):
    other = joined_spec(3, 3)
    (here / "m.mlmodel").write_bytes(other.SerializeToString(deterministic=True))
    with pytest.raises(AnereportError, match=r"holds variants of another model: m\.mlmodel"):
        report(here, variants=here / "m-variants")


def test_an_ml_program_has_none(here, tmp_path):
    from packages import affine, saved

    package = saved(affine(), tmp_path / "p.mlpackage")
    with pytest.raises(AnereportError, match="--variants are of a NeuralNetwork"):
        create(package, here / "out", Options(variants=here / "m-variants"))
