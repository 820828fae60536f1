from __future__ import annotations

import dataclasses
import re

import pytest

from reporter.understand.comparison import UnitResult
from reporter.write.report.missing import Missing
from reporter.write.repro import Weights
from reporter.write.venues import feedback


def field(text, question):
    """Return what stands below a heading of the form."""
    (answer,) = re.findall(
        rf"^== {re.escape(question)}[^\n]*\n(.*?)(?=^== |\Z)", text, re.MULTILINE | re.DOTALL
    )
    return answer.strip()


def test_snapshot(report, as_file):
    assert feedback.text(report) == as_file("txt")


def test_the_form_has_its_fields_once_and_in_order(report):
    found = re.findall(r"^== (.*)$", feedback.text(report), re.MULTILINE)
    starts = [
        "Please provide a descriptive title", "Which platform", "Which technology",
        "What type of feedback", "What build", "Where does", "Please describe the issue",
        "Please describe the impact", "Files", "Before you send it",
    ]  # fmt: skip
    assert [f[: len(s)] for f, s in zip(found, starts, strict=True)] == starts


def test_ascii_only(report):
    assert feedback.text(report).isascii()


@pytest.mark.parametrize("length", [10, 230, 10_000])
def test_the_title_fits_the_form_and_no_warning_contradicts_it(make_report, length):
    text = feedback.text(make_report(title="Core ML: " + "n" * length))
    title = field(text, "Please provide a descriptive title")
    assert len(title) <= feedback.TITLE_LIMIT == 255
    assert "\n" not in title
    assert "WARNING" not in text


def test_a_description_is_shortened_until_it_fits_and_that_is_said(make_report):
    facts = make_report().model
    long = dataclasses.replace(facts, findings=("a finding of some length " * 20,) * 20)
    missing = tuple(Missing(f"what number {i} is " * 9, "x") for i in range(20))
    text = feedback.text(make_report(model=long, missing=missing))
    description = field(text, "Please describe the issue")
    assert len(description) < feedback.DESCRIPTION_LIMIT == 4096
    assert description.endswith("in report.md: what is not measured.")
    assert "WARNING" not in text
    assert "Index" in description


def test_a_description_that_cannot_be_shortened_is_warned_of(make_report):
    long = "a name of some length " * 100
    (one,) = make_report().comparisons
    units = tuple(dataclasses.replace(u, metrics=None, status=f"{i} {long}")
                  for i, u in enumerate(one.units * 9))  # fmt: skip
    text = feedback.text(make_report(comparisons=(dataclasses.replace(one, units=units),)))
    assert len(field(text, "Please describe the issue")) > 4096
    (warning,) = re.findall(r"WARNING: (.*)", text)
    assert re.match(r"the description has [\d,]+ characters, the form takes 4,096", warning)


@pytest.mark.parametrize("kind_of_model", ["nn", "program", "own"])
def test_the_steps_are_those_of_the_script(make_report, kind_of_model):
    report = make_report()
    if kind_of_model == "own":
        mine = dataclasses.replace(report.repro, author="the user", status="not executed")
        report = make_report(repro=mine)
        assert "2. Run repro.py, a script of my own (not executed)." in feedback.text(report)
    else:
        other = dataclasses.replace(report.repro, own_weights=False, rebuilds=kind_of_model == "nn")
        text = feedback.text(make_report(repro=other))
        said = "each compute unit; --weights seeded is a network that it builds. On an iPhone"
        assert (said in text) == (kind_of_model == "nn")


def test_the_steps_name_exact_weights_where_the_script_has_them(make_report, whole):
    said = "; --weights exact is the network with whole numbers, for which the tolerance is zero"
    assert said in feedback.text(whole)
    refused = Weights("exact", "", refused="it divides")
    repro = dataclasses.replace(make_report().repro, weights=(refused,))
    assert said not in feedback.text(make_report(repro=repro))
    assert said not in feedback.text(make_report())


def test_what_other_weights_showed_is_said(make_report, whole):
    said = "It diverged with exact weights too: 5 of 6 elements of output 'seed-0' differ"
    assert said in feedback.text(whole).replace("\n", " ")
    assert "with exact weights" not in feedback.text(make_report())


def test_a_platform_that_no_device_names_is_left_to_choose(make_report):
    assert field(feedback.text(make_report()), "Which platform") == "macOS"
    text = feedback.text(make_report(devices=()))
    assert field(text, "Which platform") == "(not stated: please choose)"
    assert "not stated" in field(text, "What build")


def test_simulated_is_not_to_be_filed(simulated):
    text = feedback.text(simulated)
    assert text.splitlines()[1] == "SIMULATED RESULTS: a demonstration, not to be filed."
    description = field(text, "Please describe the issue")
    assert "Do not file" in description
    assert "SIMULATED: Output 'output'" in description


def test_hostile_names_add_no_field(hostile):
    text = feedback.text(hostile)
    assert len(re.findall(r"^== ", text, re.MULTILINE)) == 10


def test_the_attachments_with_their_sizes(make_report):
    assert field(feedback.text(make_report()), "Files") == "2.77 MB  Tiny-report.zip"


NOTHING = "WARNING: no result here is wrong on the Neural Engine: nothing to file yet"


def with_units(make_report, **ane):
    """A report whose CPU and Neural Engine are right, and no GPU, but for what is said."""
    (one,) = make_report().comparisons
    cpu, gpu, _ = one.units
    right = {"status": "measured", "metrics": cpu.metrics, "runs": 1}
    units = (cpu, UnitResult(gpu.unit, "not measured"), UnitResult("ane", **{**right, **ane}))
    return make_report(comparisons=(dataclasses.replace(one, units=units, diagnosis=None),))


def test_where_all_is_right_or_nothing_is_measured_there_is_nothing_to_file(
    make_report, without_records
):
    assert NOTHING in feedback.text(with_units(make_report)).splitlines()
    assert NOTHING in feedback.text(without_records).splitlines()
    assert NOTHING not in feedback.text(make_report())


@pytest.mark.parametrize(
    "ane",
    [
        {"status": "failed in load: no such plan", "metrics": None},
        {"runs": 3, "lost": 1},
        {"why": "failed in predict: it was killed"},
        {"cold": "failed in load: no such plan"},
        {"metrics": None},  # a listing, or what could not be compared
    ],
)
def test_a_failure_or_what_nobody_could_compare_may_be_filed(make_report, ane):
    assert "nothing to file" not in feedback.text(with_units(make_report, **ane))


def test_an_ml_program_or_a_variant_that_is_wrong_may_be_filed(make_report, whole):
    right = with_units(make_report)
    (known, _), (reading,) = whole.migration.verdicts, whole.readings
    verdicts = (dataclasses.replace(known, word="worse"),)
    worse = dataclasses.replace(whole.migration, verdicts=verdicts)
    assert "nothing to file" not in feedback.text(dataclasses.replace(right, migration=worse))
    assert "nothing to file" not in feedback.text(dataclasses.replace(right, readings=(reading,)))
    fine = dataclasses.replace(reading, tried=reading.tried[:1])  # the one that is right
    odd = (dataclasses.replace(fine.tried[0], word="some inputs: seed-1 is wrong"),)
    odd = dataclasses.replace(fine, tried=odd)
    assert "nothing to file" not in feedback.text(dataclasses.replace(right, readings=(odd,)))
    assert NOTHING in feedback.text(dataclasses.replace(right, readings=(fine,)))
    assert NOTHING in feedback.text(dataclasses.replace(right, migration=whole.migration))


def test_it_occurs_on_a_device_where_one_is_named(make_report, simulated):
    assert field(feedback.text(make_report()), "Where does") == "On device"
    unknown = "(not stated: please choose)"
    assert field(feedback.text(make_report(devices=())), "Where does") == unknown
    assert field(feedback.text(simulated), "Where does") == unknown


def test_rows_and_details_go_before_answers_and_the_word_on_each_stays(whole):
    (one, other) = whole.comparisons
    row = next(r for r in one.table.rows if r)
    table = dataclasses.replace(one.table, rows=(row,) * 60)
    whole = dataclasses.replace(whole, comparisons=(dataclasses.replace(one, table=table), other))
    text = field(feedback.text(whole), "Please describe the issue")
    assert text.count("0.20471") == 5 + 1  # rows, and the answer on what was observed
    assert "Which was the last good system? iOS 13.7 (stated by the user)." in text
    assert "Does the CPU alone agree?" in text
    said = text.splitlines()[-1]
    assert "most rows of the table" in said
    assert "answers" not in said


def test_where_there_is_no_room_a_line_says_how_the_program_and_the_variants_ended(whole):
    long = dataclasses.replace(whole.readings[0], brief=("It fails.", "It vanishes.", "x" * 500),
                               diverges=True)  # fmt: skip
    notes = "\n".join(["what I saw"] * 60)
    reasons = ("y" * 590,)
    verdicts = tuple(dataclasses.replace(v, reasons=reasons) for v in whole.migration.verdicts[:1])
    migration = dataclasses.replace(whole.migration, verdicts=verdicts * 4)
    full = dataclasses.replace(whole, readings=(long,), notes=notes, migration=migration)
    text = field(feedback.text(full), "Please describe the issue")
    assert "What was tried (variants/ in the zip file): It vanishes." in text.splitlines()
    assert "As an ML Program: Tiny.mlpackage: right, but not proven" in text
    assert "yyy" not in text
    assert "more on the ML Program" in text.splitlines()[-1]
    assert len(text) <= 4096


def test_nothing_is_said_under_an_empty_heading(without_records):
    assert "\nKnown" not in feedback.text(without_records)


def test_the_readings_are_those_of_devices_that_fail(whole):
    passing = dataclasses.replace(whole.readings[0], brief=("It passes.",))
    failing = dataclasses.replace(passing, brief=("It fails.",), diverges=True)
    report = dataclasses.replace(whole, readings=(passing, failing), notes="")
    text = feedback.text(report)
    assert "It fails." in text
    assert "It passes." not in text
    assert "It passes." in feedback.text(dataclasses.replace(report, readings=(passing,)))


def test_verdicts_that_nobody_measured_are_one_line(whole):
    known, other = whole.migration.verdicts
    verdicts = (other, dataclasses.replace(other, variant="second"), known)
    migration = dataclasses.replace(whole.migration, verdicts=verdicts)
    text = feedback.describe(dataclasses.replace(whole, migration=migration, notes=""))
    assert "\nNot measured: Tiny-fp32.mlpackage, second.\n" in text
    assert "Tiny.mlpackage on iPhone14,2 (20C65): right, but not proven" in text
