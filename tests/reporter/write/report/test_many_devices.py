"""A report of many devices: the matrix in every venue, and what is never mixed silently."""

from __future__ import annotations

import json
import shutil

import many_devices
import pytest
from many_devices import MATRIX, phone, record_of
from markdown_it import MarkdownIt
from rule_devices import concat_into_depthwise, joined_spec, record
from typer.testing import CliRunner

from migrate import AnereportError
from reporter.cli import app
from reporter.measure.record import Device, dumps
from reporter.understand.understood import Bounds
from reporter.write import repro
from reporter.write.create import Options, create
from reporter.write.migration import migration
from reporter.write.report.questions import questions
from reporter.write.variants import variants

FAST = repro.Repro("print(1)\n", "anereport", "executed: not in this test", "", True)
HEAD = ["device", "label", "system", "unit", "model", "verdict", "times what rounding explains",
        "runs", "inputs", "records"]  # fmt: skip


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(repro, "execute", lambda script, model, *kinds: FAST)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder: a model, and ten records of it in the folder `records`."""
    monkeypatch.chdir(tmp_path)
    path = many_devices.model(tmp_path / "m.mlmodel")
    many_devices.written(tmp_path / "records", many_devices.ten(path))
    return tmp_path


def report(here, *records, **options):
    given = [here / name for name in records]
    options = Options(given, bounds=Bounds(budget=0), **options)
    return create(here / "m.mlmodel", here / "out", options)


def text(here, name="report.md"):
    return (here / "out" / name).read_text(encoding="utf-8")


def table(here):
    """The rows of the matrix, as another Markdown parser than ours reads them."""
    found, row = [], []
    tokens = MarkdownIt("commonmark").enable("table").parse(text(here))
    for i, token in enumerate(tokens):
        if token.type == "tr_open":
            row = []
            found.append(row)
        elif token.type in ("th_open", "td_open"):
            parts = tokens[i + 1].children or []
            row.append("".join(c.content for c in parts if c.type in ("text", "code_inline")))
    start = found.index(HEAD)
    return [row for row in found[start + 1 :] if len(row) == len(HEAD)]


def test_the_table_of_ten_records_parses_back(here):
    report(here, "records")
    found = {
        (unit.lower(), device.split(", ")[0], label, system):
        (verdict.split(":")[0], int(runs), int(inputs), tuple(records.split(", ")))
        for device, label, system, unit, model, verdict, ratio, runs, inputs, records in table(here)
    }  # fmt: skip
    assert found == MATRIX
    assert {row[4] for row in table(here)} == {"m.mlmodel"}
    ratios = {row[5]: row[6] for row in table(here)}
    assert ratios["failed: predict: it was killed"] == "not known"
    assert float(ratios["diverges"]) > 100 > 8 > float(ratios["rounding"])


def test_the_words_are_in_every_venue(here):
    report(here, "records")
    first = "Devices of one kind and build disagree on the same input seed-1: the ANE of iPhone14,5"
    for name in ("report.md", "report.html", "forum.md", "feedback.txt"):
        assert first in text(here, name)
        assert "Records of one device are in conflict: " in text(here, name)
    where = "The ANE, with the input seed-1 that all have, fails on: iPhone14,5"
    assert where in text(here)
    assert where not in text(here, "forum.md")  # where two lines suffice
    assert text(here).index(first) < text(here).index("## What is usually asked")
    assert "<summary>On which devices</summary>" in text(here, "report.html")


def test_how_often_it_happens_is_said_by_device_and_build(here):
    found = {q.asked: q for q in questions(report(here, "records"))}
    one = "iPhone14,5, iPhone 13 (iOS 16.2, 20C65)"
    new = "iPhone14,5, iPhone 13 (iOS 17.0, 21A329)"
    third = "iPhone14,6, iPhone SE (3rd generation)"
    assert found["Does it happen every time?"].answer == (
        f"Not on every device: in every run on {one}, label a (3 of 3), and on "
        f"{third} (iOS 17.0, 21A329), label c (1 of 1); in some runs on {new}, label b "
        f"(1 of 2); in none on {new}, label a (0 of 3), and on {one}, label b (0 of 1), and on "
        f"{third} (iOS 16.2, 20C65), label c (0 of 2)"
    )
    assert "; right on: " in found["On which device and build?"].answer


def test_programs_read_the_same_from_report_json(here):
    report(here, "records")
    kept = json.loads(text(here, "report.json"))["agreement"]
    found = {
        (r["unit"], r["origin"]["kind"]["identifier"], r["origin"]["label"],
         f"{r['origin']['kind']['system']}, {r['origin']['kind']['build']}"):
        (r["word"], r["runs"], r["inputs"], tuple(r["records"]))
        for r in kept["rows"]
    }  # fmt: skip
    assert found == MATRIX


@pytest.mark.parametrize("names", [["a1.json"], ["a1.json", "a2.json"]])
def test_of_one_device_nothing_is_added(here, names):
    found = report(here, *(f"records/{name}" for name in names))
    assert found.agreement.rows == ()
    assert "On which devices" not in text(here)
    assert "(no label)" not in text(here)


def test_a_conflict_on_one_device_is_shown(here):
    report(here, "records/b2.json", "records/b3.json")
    assert [row[5] for row in table(here)] == ["in conflict", "rounding"]
    assert "Records of one device are in conflict: " in text(here, "forum.md")


def test_the_verdict_names_the_record_that_it_is_of(here):
    found = report(here, "records/b1.json", "records/a1.json")
    assert found.verdict.startswith("diverges: output 'y' on the ANE in a1.json (a, iPhone14,5")
    assert report(here, "records/a1.json", force=True).verdict.startswith(
        "diverges: output 'y' on the ANE, "
    )


def test_records_of_the_same_name_are_told_apart_as_they_are_bundled(here):
    other = {"a1.json": record_of(here / "m.mlmodel", phone("z"), ane="right")}
    many_devices.written(here / "more", other)
    report(here, "records/a1.json", "more/a1.json")
    assert [row[-1] for row in table(here)] == ["a1.json", "2-a1.json", "a1.json"]
    for name, label in (("a1.json", "a"), ("2-a1.json", "z")):
        kept = json.loads((here / "out" / "records" / name).read_text())
        assert kept["device"]["label"] == label


def test_devices_that_nobody_named_are_rows_of_their_own(here):
    for name, how in (("x", "right"), ("y", "wrong")):
        found = record_of(here / "m.mlmodel", Device(), ane=how)
        (here / f"{name}.json").write_text(dumps(found))
    report(here, "x.json", "y.json")
    assert [row[:3] for row in table(here)] == [["unknown device", "none", "not known"]] * 2
    assert [row[-1] for row in table(here)] == ["x.json", "y.json"]
    assert "No device is named in x.json and y.json, each of which stands by itself." in text(here)


def test_the_same_record_twice_is_a_finding_and_counted_once(here):
    shutil.copy(here / "records" / "a1.json", here / "copy.json")
    found = report(here, "records/a1.json", "copy.json", "records/a1.json")
    assert len(found.comparisons) == 1
    for name in ("copy.json is the same file as ", "a1.json was given twice"):
        assert any(name in finding for finding in found.model.findings)
    assert [p.name for p in (here / "out" / "records").iterdir()] == ["a1.json"]


def test_hostile_labels_break_no_table(here):
    label = "a|b`c\n# <i>\\| *z* é"
    for name, how in (("x", "right"), ("y", "wrong")):
        found = record_of(here / "m.mlmodel", phone(label + name), ane=how)
        (here / f"{name}.json").write_text(dumps(found))
    report(here, "x.json", "y.json")
    assert [row[1].replace(" ", "") for row in table(here)] == [
        (label + name).replace("\n", "").replace(" ", "") for name in "xy"
    ]
    assert "<i>" not in text(here, "report.html")
    assert text(here, "forum.md").isascii()


def test_a_simulated_matrix_says_so_in_each_row(here):
    for name, fault, how in (("x", "none", "right"), ("y", "zeroed@y", "wrong")):
        found = record_of(here / "m.mlmodel", Device(label="simulator"), evidence="simulated",
                          simulation=fault, ane=how)  # fmt: skip
        (here / f"{name}.json").write_text(dumps(found))
    report(here, "x.json", "y.json")
    assert [row[5] for row in table(here)] == ["SIMULATED: rounding", "SIMULATED: diverges"]
    said = "The ANE (SIMULATED) fails on: unknown device, label simulator (zeroed@y); passes on: "
    assert said in text(here)
    assert said in text(here, "forum.md")


def test_what_is_refused(here):
    (here / "empty").mkdir()
    with pytest.raises(AnereportError, match="empty holds no record"):
        report(here, "empty")
    (here / "other.mlmodel").write_bytes(joined_spec(3, 2).SerializeToString())
    found = record(here / "other.mlmodel", concat_into_depthwise(4))
    (here / "records" / "b0.json").write_text(dumps(found))
    with pytest.raises(AnereportError, match=r"b0.json is a record of another model: other.mlm"):
        report(here, "records")
    assert not (here / "out").exists()


def test_the_command_line_takes_folders_and_files(here):
    arguments = ["create", "m.mlmodel", "--record", "records", "--record", "records/a1.json",
                 "--budget", "0", "--out", "out"]  # fmt: skip
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "finding: records/a1.json was given twice, and is counted once" in done.stdout
    assert len(table(here)) == len(MATRIX)


def test_variants_of_two_devices_are_rows_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = joined_spec(3, 2)
    (tmp_path / "m.mlmodel").write_bytes(spec.SerializeToString(deterministic=True))
    variants.write(tmp_path / "m.mlmodel", tmp_path / "m-variants")
    (tmp_path / "records").mkdir()
    for label, most in (("a", 4), ("b", 99)):
        for file in ("m.mlmodel", "m-swapped-concat.mlmodel", "m-split-deep.mlmodel"):
            device = Device(label=label, identifier="iPhone14,5", build="20C65")
            found = record(tmp_path / "m-variants" / file, concat_into_depthwise(most),
                           device=device, repeats=2)  # fmt: skip
            (tmp_path / "records" / f"{label}-{file}.json").write_text(dumps(found))
    report(tmp_path, "records")
    ane = {(row[4], row[1]): (row[5], row[7]) for row in table(tmp_path) if row[3] == "ANE"}
    assert ane == {
        ("m.mlmodel", "a"): ("diverges", "2"),
        ("m.mlmodel", "b"): ("rounding", "2"),
        ("m-swapped-concat.mlmodel", "a"): ("diverges", "2"),
        ("m-swapped-concat.mlmodel", "b"): ("rounding", "2"),
        ("m-split-deep.mlmodel", "a"): ("rounding", "2"),
        ("m-split-deep.mlmodel", "b"): ("rounding", "2"),
    }
    said = text(tmp_path)
    phone = "iPhone14,5, iPhone 13 (20C65)"
    assert f"m-swapped-concat.mlmodel on the ANE of {phone} fails with label a" in said
    assert "m-split-deep.mlmodel on the ANE fails" not in said


def test_a_migration_on_two_devices_is_rows_too(here):
    migration.write(here / "m.mlmodel", here / "m-mlprogram")
    package = here / "m-mlprogram" / "m.mlpackage"
    for label, how in (("a", "wrong"), ("b", "right")):
        found = record_of(package, phone(label), seeds=(1, 2), cpu="right", ane=how)
        (here / f"after-{label}.json").write_text(dumps(found))
    report(here, "records/a1.json", "records/b1.json", "after-a.json", "after-b.json")
    found = {(row[1], row[3]): (row[5], row[7:]) for row in table(here) if row[4] == "m.mlpackage"}
    assert found == {  # of input seed-1 alone, which the network has too
        ("a", "ANE"): ("diverges", ["1", "1", "after-a.json"]),
        ("b", "ANE"): ("rounding", ["1", "1", "after-b.json"]),
        ("a", "CPU"): ("rounding", ["1", "1", "after-a.json"]),
        ("b", "CPU"): ("rounding", ["1", "1", "after-b.json"]),
    }
    fails = "m.mlpackage on the ANE of iPhone14,5, iPhone 13 (iOS 16.2, 20C65) fails with label a"
    assert fails in text(here)
