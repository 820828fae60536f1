from __future__ import annotations

import ast
import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from migrate import AnereportError
from reporter.write.rendering import plain
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


@pytest.mark.parametrize("length", [7_000, 60_000])
def test_a_script_too_long_for_a_post_is_left_out_and_takes_nothing_with_it(make_report, length):
    repro = dataclasses.replace(make_report().repro, building="x = 1 # " + "y" * length)
    text = forum.text(make_report(repro=repro))
    assert "yyyy" not in text
    assert "the script that builds the model" in text.splitlines()[-1]
    assert len(text) <= 7000
    assert "Not measured: the GPU's numbers." in text


def test_the_script_stays_when_all_else_but_the_table_has_to_go(make_report, whole):
    """The last part to go: it is there whenever it fits with the first table alone."""
    for length in range(3_000, 5_500, 500):
        repro = dataclasses.replace(whole.repro, building="x = 1 # " + "y" * length)
        text = forum.text(dataclasses.replace(whole, repro=repro))
        assert len(text) <= 7000
        assert "y" * length in text
        assert len(fences(text)) >= 2
        said = text.splitlines()[-1]
        assert ("Output 'second'" in text) != ("the table of the second output" in said)


@pytest.mark.parametrize("script", ["x = '\u202e'", "x = '\x00'", "x = 'é'"])
def test_a_script_that_is_no_ascii_is_not_posted_and_that_is_said(make_report, script):
    repro = dataclasses.replace(make_report().repro, building=script)
    text = forum.text(make_report(repro=repro))
    assert len(fences(text)) == 1
    assert "repro.py, is no text for a post" in text


def test_backticks_in_a_script_keep_their_meaning_and_end_no_fence(make_report):
    building = "name = 'a```b\\\\`'"
    repro = dataclasses.replace(make_report().repro, building=building)
    text = forum.text(make_report(repro=repro))
    (line,) = [line for line in fences(text)[1].splitlines() if line.startswith("name = ")]
    assert "`" not in line
    assert ast.literal_eval(line.removeprefix("name = ")) == "a```b\\`"


@pytest.mark.parametrize(
    ("own", "rebuilds", "said"),
    [
        (True, True, "This builds the model itself:"),
        (False, True, "This builds the same network, with seeded weights in place of its own:"),
        (False, False, "This is to build the model (FAILED when executed: x):"),
    ],
)
def test_a_script_is_said_to_build_what_it_was_seen_to_build(make_report, own, rebuilds, said):
    repro = dataclasses.replace(
        make_report().repro, own_weights=own, rebuilds=rebuilds, status="FAILED when executed: x"
    )
    text = forum.text(make_report(repro=repro))
    assert said in text
    assert ("It prints the sha256 of the file, " + "cd" * 32 in text) == own


@pytest.mark.parametrize("limit", [forum.LEAST, 4200, 7000, 20_000])
def test_the_limit_is_the_reports_own(whole, limit):
    text = forum.text(dataclasses.replace(whole, forum_limit=limit))
    assert len(text) <= limit
    assert "Index" in fences(text)[0]
    assert ("Left out here" in text) == (limit < 4300)


@pytest.mark.parametrize("limit", [-1, 0, 3999])
def test_a_limit_that_no_post_can_keep_is_refused(limit):
    with pytest.raises(AnereportError, match="--forum-limit is 4,000 characters or more, not"):
        forum.checked(limit)
    assert forum.checked(4000) == 4000
    assert forum.checked(None) is None


@pytest.mark.parametrize("limit", [4000, 7000])
@pytest.mark.parametrize("letter", ["n", "é", "\U0001f600", "`", "\n", "<"])
def test_long_names_and_many_findings_stay_within_the_limit(make_report, letter, limit):
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
        forum_limit=limit,
    )
    text = forum.text(report)
    assert len(text) <= limit
    assert "Index" in fences(text)[0]


def test_only_what_is_answered_is_said_of_what_is_usually_asked(whole, without_records):
    assert "Which was the last good system? iOS 13.7 (stated by the user)." in forum.text(whole)
    assert "?" not in forum.text(without_records)


def test_simulated_is_said_at_the_top_and_in_each_table(simulated):
    text = forum.text(simulated)
    assert text.splitlines()[0].startswith("Title: SIMULATED")
    assert text.splitlines()[2].startswith("SIMULATED:")
    assert fences(text)[0].strip().startswith("SIMULATED\n")
    assert "SIMULATED: Output 'output'" in text


NAMES = st.text(alphabet="<>![]()*_`\\&#;~-ab1 ", max_size=40) | st.sampled_from(
    ["<img src=x onerror=y>", "<!-- x", "*b*", "**b**", "__init__", "_i_", "a__b__c", "[l](y)",
     "![i](y)", "&lt;b&gt;", "&#60;", "a\\*b*", "<https://a.example>", "``x``"]
)  # fmt: skip


@given(NAMES)
def test_outside_of_fences_a_name_is_neither_html_nor_markdown(name):
    said = " ".join(f"x {plain(name)} x".split())
    tokens = MarkdownIt("commonmark").parse(forum.escaped(said))
    assert [t.type for t in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert {c.type for c in tokens[1].children} <= {"text", "text_special"}
    assert "".join(c.content for c in tokens[1].children) == said


def test_in_fences_and_within_words_names_stay_plain():
    assert forum.escaped("a_name_b <\n\n```\n<b> *x* __y__\n```\n\n<b>") == (
        "a_name_b \\<\n\n```\n<b> *x* __y__\n```\n\n\\<b>"
    )


def test_a_hostile_post_is_paragraphs_lists_and_fences(hostile, whole):
    named = dataclasses.replace(whole.readings[0], brief=("<img src=x> [l](y) *b*",))
    for report in (hostile, dataclasses.replace(whole, readings=(named,))):
        tokens = MarkdownIt("commonmark").parse(forum.text(report))
        assert not [t for t in tokens if t.type == "html_block"]
        inner = {c.type for t in tokens for c in t.children or []}
        assert inner <= {"text", "text_special", "softbreak"}


def test_the_readings_are_those_of_devices_that_fail_under_one_heading(whole):
    passing = dataclasses.replace(whole.readings[0], brief=("It passes.",))
    failing = [
        dataclasses.replace(passing, brief=(f"It fails on {i}.",), diverges=True) for i in "ab"
    ]
    text = forum.text(dataclasses.replace(whole, readings=(passing, *failing)))
    assert "\nWhat was tried:\n- It fails on a.\n- It fails on b.\n" in text
    assert "It passes." not in text


def test_a_short_form_says_that_it_is_simulated(whole):
    (one,) = whole.readings
    long = dataclasses.replace(one, simulated=True, brief=("It fails.", "It vanishes.", "x" * 590))
    script = dataclasses.replace(whole.repro, building="x = 1 # " + "y" * 4_000)
    report = dataclasses.replace(whole, readings=(long,) * 2, repro=script, forum_limit=6300)
    text = forum.text(report)
    assert "SIMULATED: What was tried: It vanishes." in text.splitlines()
    assert "more on variants" in text.splitlines()[-1]


def test_the_post_says_what_exact_weights_showed(make_report, whole):
    said = "It diverged with exact weights too: 5 of 6 elements of output 'seed-0' differ"
    assert said in forum.text(whole).replace("\n", " ")
    assert "exact weights" not in forum.text(make_report())
