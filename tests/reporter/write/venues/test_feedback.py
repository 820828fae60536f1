from __future__ import annotations

import dataclasses
import re

import pytest

from reporter.write.missing import Missing
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
        said = "It rebuilds the network with seeded weights and predicts on each compute unit."
        assert (said in text) == (kind_of_model == "nn")


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
