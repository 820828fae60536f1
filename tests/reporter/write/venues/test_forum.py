from __future__ import annotations

import dataclasses
import re

import pytest

from reporter.understand.divergence import Row
from reporter.write.venues import forum


def fences(text):
    """Return the fenced blocks; the fence lines must pair."""
    parts = re.split(r"^```.*$", text, flags=re.MULTILINE)
    assert len(parts) % 2 == 1
    return parts[1::2]


def test_snapshot(report, as_file):
    assert forum.text(report) == as_file("md")


def test_ascii_only_without_control_characters(report):
    text = forum.text(report)
    assert text.isascii()
    assert all(c.isprintable() or c == "\n" for c in text)


def test_the_table_is_aligned_and_whole(make_report):
    block = fences(forum.text(make_report()))[0].strip("\n").splitlines()
    rows = block[:5]
    assert rows[0].split() == ["Index", "Position", "Reference", "CPU", "GPU", "ANE"]
    assert rows[1].strip() == rows[4].strip() == "..."
    ends = {i: [m.end() for m in re.finditer(r"\S+", rows[i])] for i in (0, 2, 3)}
    assert ends[0] == ends[2] == ends[3]
    assert rows[3].split()[2:] == ["-23.0196609", "-23.0196609", "-23.016", "nan"]
    assert "GPU: failed in load: no such plan" in block


def test_values_that_are_absent_are_dashes():
    text = forum.fixed_width(("Reference", "ANE"), (Row(7, (0, 7), ("", "1")), None))
    assert [line.split() for line in text.splitlines()] == [
        ["Index", "Position", "Reference", "ANE"],
        ["7", "(0,7)", "-", "1"],
        ["..."],
    ]


def test_hostile_names_break_no_fence(hostile):
    text = forum.text(hostile)
    table, *others = fences(text)
    assert "Index" in table
    assert others == []  # this report has no script to show
    assert text.splitlines()[0].startswith("Title: ")
    assert not [line for line in text.splitlines() if line.lstrip().startswith(("#", "<"))]


def test_the_script_is_in_a_fence_of_its_own(make_report):
    report = make_report()
    assert report.repro.building in fences(forum.text(report))[1]


@pytest.mark.parametrize("length", [6_000, 60_000])
def test_a_script_too_long_for_a_post_is_left_out_and_that_is_said(make_report, length):
    repro = dataclasses.replace(make_report().repro, building="x = 1 # " + "y" * length)
    text = forum.text(make_report(repro=repro))
    assert "yyyy" not in text
    assert "too long for a post" in text
    assert len(text) <= forum.LIMIT


@pytest.mark.parametrize("letter", ["n", "é", "\U0001f600", "`", "\n"])
def test_long_names_and_many_findings_stay_within_the_limit(make_report, letter):
    name = letter * 10_000
    base = make_report()
    (comparison,) = base.comparisons
    facts = dataclasses.replace(
        base.model,
        identity=base.model.identity.model_copy(update={"name": name}),
        findings=tuple(f"the model declares output '{name}' as 1x{i}" for i in range(300)),
    )
    report = make_report(
        title=f"Core ML: {name}",
        model=facts,
        summary=f"of 6 values of output '{name}', 5 differ",
        comparisons=(dataclasses.replace(comparison, output=name, device=name),) * 5,
        devices=tuple(dataclasses.replace(d, text=name) for d in base.devices) * 50,
        missing=tuple(dataclasses.replace(m, what=name) for m in base.missing) * 5,
        repro=dataclasses.replace(base.repro, status=f"FAILED when executed: {name}"),
    )
    text = forum.text(report)
    assert len(text) <= forum.LIMIT == 7000
    assert "Index" in fences(text)[0]


def test_simulated_is_said_at_the_top_and_in_each_table(simulated):
    text = forum.text(simulated)
    assert text.splitlines()[0].startswith("Title: SIMULATED")
    assert text.splitlines()[2].startswith("SIMULATED:")
    assert fences(text)[0].strip().startswith("SIMULATED\n")
    assert "SIMULATED: Output 'output'" in text
