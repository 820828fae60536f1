from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from any_reports import reports
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reporter.understand.divergence import Metrics
from reporter.understand.grid import Grid
from reporter.understand.signatures import Signature
from reporter.write.report import report_file
from reporter.write.report.report import Report
from reporter.write.report.report_file import ReportError, as_kept, dumps, load, loads

MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def bare(**changes):
    """The least that is a report, given as its file has it."""
    identity = {
        "name": "m.mlmodel", "kind": "neuralNetwork", "spec_version": 4, "sha256": "a",
        "sha256_without_metadata": "b", "size": 3,
    }  # fmt: skip
    content = {
        "schema": "anereport.report/2", "title": "T", "summary": "S", "simulated": False,
        "model": {"identity": identity, "features": [], "layers": [], "findings": []},
        "devices": [], "comparisons": [], "tolerance": 0.01, "missing": [],
        "repro": {"script": "", "author": "anereport", "status": ""}, "software": [],
    }  # fmt: skip
    return {**content, **changes}


def read(**changes):
    return loads(json.dumps(bare(**changes)))


def with_numbers(*values):
    """A report whose one signature has these numbers."""
    kept = [[f"n{i}", value] for i, value in enumerate(values)]
    diagnosis = {
        "assessments": {}, "suspect": "ane", "who": [],
        "signatures": [{"code": "K1", "title": "", "numbers": kept, "says": ""}],
    }  # fmt: skip
    comparison = {
        "output": "y", "shape": [], "source": "", "device": "", "evidence": "", "input": "",
        "reference": "", "units": [], "diagnosis": diagnosis,
        "table": {"columns": [], "axes": [], "rows": [None]},
    }  # fmt: skip
    return read(comparisons=[comparison])


def strict(text):
    return json.loads(text, parse_constant=pytest.fail)


@MANY
@given(reports)
def test_a_report_comes_back_as_it_was(report):
    text = dumps(report)
    strict(text)
    found = loads(text)
    assert repr(found) == repr(report)  # types, order and NaN too
    if "NaN" not in text:
        assert found == report
    assert dumps(found) == text


@MANY
@given(reports)
def test_what_is_kept_is_kept_once_and_for_all(report):
    kept = as_kept(report)
    assert repr(as_kept(kept)) == repr(kept)
    assert dumps(loads(dumps(kept))) == dumps(kept)


@given(
    st.floats()
    | st.integers()
    | st.text().filter(lambda x: x not in ("NaN", "Infinity", "-Infinity"))
)
def test_a_signatures_numbers_keep_their_kind(value):
    found = with_numbers(*loaded_form(value)).comparisons[0].diagnosis.signatures[0]
    ((name, number),) = found.numbers
    assert (name, type(number)) == ("n0", type(value))
    assert number == value or math.isnan(number)


def loaded_form(value):
    """How a number stands in the file, written out here."""
    if isinstance(value, float) and not math.isfinite(value):
        return ["NaN" if value != value else "Infinity" if value > 0 else "-Infinity"]
    return [value]


def test_numbers_that_json_lacks_are_the_strings_that_records_have():
    metrics = Metrics(1, math.inf, 0, -math.inf, math.nan, 0.1, 0.0, 1.0, 0, 0, 0)
    assert report_file.tree(metrics)["max_abs"] == "Infinity"
    assert report_file.tree(metrics)["mean_abs"] == "-Infinity"
    assert report_file.tree(metrics)["rmse"] == "NaN"
    assert report_file.tree(metrics)["snr"] == 0.1
    signature = Signature("K1", "T", (("ratio", math.inf), ("channels", 3), ("unit", "ane")), "")
    assert report_file.tree(signature)["numbers"] == [
        ["ratio", "Infinity"], ["channels", 3], ["unit", "ane"],
    ]  # fmt: skip


def test_the_file_says_first_what_it_is():
    assert dumps(read()).startswith('{\n "schema": "anereport.report/2",\n')
    assert dumps(read()).endswith("}\n")


def test_every_field_is_written_and_later_ones_are_ignored():
    assert set(strict(dumps(read()))) == {f.name for f in dataclasses.fields(Report)}
    assert read(of_a_later_version=[1]) == read()


def test_scalars_of_numpy_are_kept_as_plain_numbers_and_texts():
    report = dataclasses.replace(read(), tolerance=np.float64(0.1), limit=8, title=np.str_("T"))
    kept = as_kept(report)
    found = (kept.tolerance, kept.limit, kept.title)
    assert found == (0.1, 8.0, "T")
    assert [type(value) for value in found] == [float, float, str]
    assert loads(dumps(report)) == kept == report


def test_texts_are_kept_as_they_are_shown():
    report = dataclasses.replace(
        read(),
        title='at "/Users/alice/m.mlmodel"',
        summary="a\nb /home/bob/x.py\t\\ \x00 \u202e é",
        notes="name \udc80\udcff",
        software=(("Python", "/Users/alice"),),
    )
    kept = as_kept(report)
    assert kept.title == 'at "~/m.mlmodel"'
    assert kept.summary == "a\nb ~/x.py\t\\ \x00 \u202e é"
    assert kept.notes == "name \\udc80\\udcff"
    assert kept.software == (("Python", "~"),)
    assert loads(dumps(kept)) == kept
    dumps(kept).encode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": "anereport.report/1"}, "expected 'anereport.report/2', found 'anereport.rep"),
        ({"schema": None}, "schema: expected 'anereport.report/2', found None"),
        ({"title": 3}, r"title: Input should be a valid string"),
        ({"simulated": "perhaps"}, r"simulated: Input should be a valid boolean"),
        ({"tolerance": "much"}, r"tolerance: Input should be a valid number"),
        ({"devices": {}}, r"devices: Input should be a valid tuple"),
        ({"missing": [{"what": "x"}]}, r"missing\.0\.command: Field required"),
        ({"software": [["a"]]}, r"software\.0\.1: Field required"),
    ],
)
def test_a_file_that_was_edited_is_refused_in_one_sentence(changes, words):
    with pytest.raises(ReportError, match=words) as caught:
        read(**changes)
    assert str(caught.value).startswith("report.json: ")
    assert str(caught.value).endswith("run anereport create again")
    assert "\n" not in str(caught.value)


def test_a_field_that_is_missing_is_named():
    content = bare()
    del content["model"]["identity"]["sha256"]
    with pytest.raises(ReportError, match=r"model\.identity\.sha256: Field required"):
        loads(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "null", "[]", '"anereport.report/2"'])
def test_what_is_no_report_is_refused(text):
    with pytest.raises(ReportError, match=r"report\.json"):
        loads(text)


def test_a_folder_is_read(tmp_path):
    with pytest.raises(ReportError, match=r"holds no report\.json: write it with anereport create"):
        load(tmp_path)
    (tmp_path / "report.json").write_bytes(b"\xff")
    with pytest.raises(ReportError, match=r"cannot read .*report\.json: .*utf-8"):
        load(tmp_path)
    (tmp_path / "report.json").write_text(dumps(read(title="é")), encoding="utf-8")
    assert load(tmp_path) == read(title="é")
    (tmp_path / "report.json").unlink()
    (tmp_path / "report.json").mkdir()
    with pytest.raises(ReportError, match=r"cannot read .*report\.json"):
        load(tmp_path)


def test_letters_that_are_numbers_are_passed_over_by_the_gate():
    row = ("abcdef" * 7)[:40]  # a UDID elsewhere
    assert report_file.shown(row) == "[UDID]"
    assert report_file.tree(Grid((row,), (1.0,)), report_file.shown)["rows"] == [row]
