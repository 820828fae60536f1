"""`--without-weights`: no file of the folder or of the zip is a model, and every text says so."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import pytest
from migrations import model as network
from migrations import written
from small_block import small_block
from small_reports import measured, program

from reporter.measure.record import dumps
from reporter.measure.simulate import simulate
from reporter.understand.understood import Bounds
from reporter.write import repro
from reporter.write.attached.shrink import ShrunkFacts
from reporter.write.create import Options, create
from reporter.write.migration import migration
from reporter.write.report import report_file, report_folder
from reporter.write.report.stated import Stated
from reporter.write.report.without_weights import holds_weights, remove, unattached, without
from reporter.write.variants import variants
from reporter.write.venues import feedback, forum, github, html, markdown

REBUILT = repro.Repro("print(1)\n", "anereport", "executed: not in this test", rebuilds=True)
WITHOUT = "The weights are not attached"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repro, "execute", lambda script, *_, **__: replace(REBUILT, script=script))
    return tmp_path


def files(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def zipped(folder):
    return set(zipfile.ZipFile(next(folder.glob("*.zip"))).namelist())


def models(names):
    return {n for n in names if ".mlmodel" in n or ".mlpackage" in n}


def test_neither_the_model_nor_what_was_made_of_it_is_in_the_folder_or_the_zip(here):
    path = network(here / "m.mlmodel")
    migration.write(path, here / "m-mlprogram")
    variants.write(path, here / "m-variants")
    given = [path, here / "m-mlprogram/m.mlpackage", *(here / "m-variants").glob("*.mlmodel")]
    for i, each in enumerate(given):
        (here / f"{i}.json").write_text(dumps(simulate(each, "none")))
    records = sorted(here.glob("*.json"))
    options = Options(records=records, bounds=Bounds(budget=0))
    create(path, here / "whole", options)
    create(path, here / "out", replace(options, without_weights=True))
    whole = models(files(here / "whole"))
    assert {n.split("/")[0] for n in whole} == {"m.mlmodel", "migration"}
    assert {n for n in models(zipped(here / "whole")) if not n.endswith("/")} == whole
    assert models(files(here / "out") | zipped(here / "out")) == set()
    left = files(here / "whole") - whole
    assert files(here / "out") == left
    manifest = json.loads(zipfile.ZipFile(here / "out/m-report.zip").read("manifest.json"))
    assert manifest["weights"] is False


def small(here, **options):
    path = written(here / "m.mlmodel", small_block())
    return create(path, here / "out", Options(bounds=Bounds(budget=0), **options))


def test_the_report_says_so_and_names_the_sha256(here):
    report = small(here, without_weights=True)
    page = (here / "out/report.md").read_text()
    assert WITHOUT in page
    assert report.model.identity.sha256 in page
    assert "up to 64 whole ones" in page
    assert WITHOUT in (here / "out/feedback.txt").read_text()
    assert report_file.load(here / "out").without_weights


def test_made_again_it_stays_without_and_does_not_ask_for_the_model(here):
    small(here, without_weights=True)
    before = {n: (here / "out" / n).read_bytes() for n in files(here / "out")}
    report_folder.again(here / "out", Stated())
    assert {n: (here / "out" / n).read_bytes() for n in files(here / "out")} == before


def test_a_model_that_its_user_put_beside_stays_there_and_out_of_the_zip(here):
    small(here, without_weights=True)
    (here / "out/m.mlmodel").write_bytes((here / "m.mlmodel").read_bytes())
    (here / "out/records").mkdir()
    (here / "out/records/copy.mlmodel").write_bytes(b"weights")
    report_folder.again(here / "out", Stated())
    assert models(files(here / "out")) == {"m.mlmodel", "records/copy.mlmodel"}
    assert models(zipped(here / "out")) == set()


def test_with_weights_nothing_is_said(here):
    small(here)
    for name in ("report.md", "feedback.txt", "forum.md", "github.md"):
        assert "not attached" not in (here / "out" / name).read_text()
        assert "weights are not shared" not in (here / "out" / name).read_text()
    assert models(zipped(here / "out")) == {"m.mlmodel"}


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("m.mlmodel", True),
        ("variants/A.MLMODEL", True),
        ("migration/m.mlpackage/Data/com.apple.CoreML/weights/weight.bin", True),
        ("shrink/smallest.mlmodel", True),
        ("report.md", False),
        ("records/m.mlmodel.json", False),
        ("migration/migration.json", False),
    ],
)
def test_a_model_is_told_by_its_name(name, holds):
    assert holds_weights(name) is holds


def test_models_are_removed_and_nothing_else(tmp_path):
    for name in ("a.mlmodel", "b.mlpackage/Data/w.bin", "b.mlpackage/x.mlmodel", "sub/c.mlmodel",
                 "sub/c.json", "d.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    remove(tmp_path)
    assert files(tmp_path) == {"sub/c.json", "d.txt"}


def test_a_shrink_no_longer_names_its_smallest_network():
    facts = ShrunkFacts("Mac", "measured", ("It fails.",), "shrink/smallest.mlmodel", 99)
    found = without(measured(shrunk=facts))
    assert (found.shrunk.file, found.shrunk.size) == ("", 0)
    assert "smallest.mlmodel" not in markdown.text(found)
    assert without(measured()).shrunk is None


OWN = replace(REBUILT, own_weights=True)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (measured(repro=REBUILT), "builds the same network with weights of its own making"),
        (measured(repro=OWN), "rebuilds the model itself: its weights are draws from a seed"),
        (measured(), "repro.py does not stand in for it (executed)"),
        (measured(repro=replace(REBUILT, author="the user")), "is the author's own"),
        (program(), "repro.py runs where Tiny.mlmodel lies beside it"),
    ],
)
def test_what_is_there_instead_is_said(report, said):
    found = unattached(without(report))
    assert found.startswith(f"{WITHOUT}: no Tiny.mlmodel, and no other model made of it. ")
    assert said in found
    assert unattached(report) == ""


def test_every_venue_says_it():
    report = without(measured(repro=REBUILT))
    for venue in (markdown, html):
        assert WITHOUT in venue.text(report)
    form = feedback.text(report)
    assert "it is not attached" in form
    assert WITHOUT in form
    assert "No weights are in the zip" in form
    assert "the zip holds them" not in form
    assert "Its weights are not shared." in forum.text(report)
    assert "its weights are not shared" in github.text(report)


def test_the_users_own_script_is_to_be_looked_at():
    own = without(measured(repro=replace(REBUILT, author="the user")))
    assert "See that repro.py, which is yours, holds none." in feedback.text(own)


def test_a_zip_that_is_too_large_is_said_where_it_is_attached():
    large = measured(attachments=(("a.zip", 20_000_000),), oversize="a.zip has 20.00 MB, over it")
    lines = feedback.text(large).splitlines()
    at = lines.index("20.00 MB  a.zip")
    assert lines[at + 1] == "Note: a.zip has 20.00 MB, over it."
    assert "over it" not in feedback.text(measured())
