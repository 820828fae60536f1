from __future__ import annotations

import dataclasses
import re

import pytest

from reporter.write.report import DeviceFact
from reporter.write.venues import feedback


def field(text, question):
    """Return what stands below a heading of the form."""
    (answer,) = re.findall(
        rf"^== {re.escape(question)}[^\n]*\n(.*?)(?=^== |\Z)", text, re.MULTILINE | re.DOTALL
    )
    return answer.strip()


def on(*texts, evidence="measured"):
    return tuple(DeviceFact(text, evidence) for text in texts)


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


def test_a_description_over_the_limit_is_warned_of(make_report):
    description = field(feedback.text(make_report()), "Please describe the issue")
    assert len(description) < feedback.DESCRIPTION_LIMIT == 4096
    assert "WARNING" not in feedback.text(make_report())
    facts = dataclasses.replace(make_report().model, findings=("a finding of some length",) * 200)
    text = feedback.text(make_report(model=facts))
    assert len(field(text, "Please describe the issue")) > 4096
    (warning,) = re.findall(r"WARNING: (.*)", text)
    assert re.match(r"the description has [\d,]+ characters, the form takes 4,096", warning)


@pytest.mark.parametrize(
    ("devices", "platform", "builds"),
    [
        ((), "", ""),
        (on("iPhone 13", "iPhone 14"), "iOS", ""),
        (on("iPhone 14, iOS 16.2 (20C65)"), "iOS", "iOS 16.2 (20C65)"),
        (on("Mac15,3, Apple M3, macOS 14.1 (23B81)"), "macOS", "macOS 14.1 (23B81)"),
        (on("iPad14,3, iPadOS 17.0 (21A329)"), "iPadOS", "iPadOS 17.0 (21A329)"),
        (on("iOS 16.2 (20C65)", "iOS 16.2 (20C65)"), "iOS", "iOS 16.2 (20C65)"),
        (
            on("iOS 16.2 (20C65)", "iOS 17.0 (21A329)"),
            "iOS",
            "iOS 16.2 (20C65), iOS 17.0 (21A329)",
        ),
        (on("anereport simulator, iOS 1.0 (1A1)", evidence="simulated"), "", ""),
    ],
)
def test_platform_and_build_are_those_that_the_devices_name(make_report, devices, platform, builds):
    report = make_report(devices=devices)
    assert feedback.platform(report) == platform
    assert feedback.builds(report) == builds
    shown = field(feedback.text(report), "Which platform")
    assert shown == (platform or "(not stated: please choose)")


def test_simulated_is_not_to_be_filed(simulated):
    text = feedback.text(simulated)
    assert text.splitlines()[1] == "SIMULATED RESULTS: a demonstration, not to be filed."
    description = field(text, "Please describe the issue")
    assert "Do not file" in description
    assert "SIMULATED output 'output'" in description


def test_hostile_names_add_no_field(hostile):
    text = feedback.text(hostile)
    assert len(re.findall(r"^== ", text, re.MULTILINE)) == 10


def test_the_attachments_with_their_sizes(make_report):
    assert field(feedback.text(make_report()), "Files") == "Tiny-report.zip  2.77 MB"
