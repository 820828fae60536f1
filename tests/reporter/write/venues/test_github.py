from __future__ import annotations

import dataclasses

from markdown_pages import parsed

from reporter.write.venues import github

HEADINGS = [
    "Describing the bug", "Stack Trace", "To Reproduce", "System environment", "Additional context",
]  # fmt: skip


def section(text, heading):
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_snapshot(report, as_file):
    assert github.text(report) == as_file("md")


def test_the_sections_are_those_of_the_template_once_and_in_order(report):
    tokens = parsed(github.text(report))
    found = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"]
    assert found == HEADINGS


def test_it_says_first_where_bugs_of_the_framework_belong_and_what_the_cpu_gave(make_report):
    lines = github.text(make_report()).splitlines()
    assert lines[0] == (
        "Title: `Core ML: Tiny.mlmodel (stuck constant), MacBook Pro (14-inch, Nov 2023), "
        "macOS 14.1 (23B81)`"
    )
    assert "Apple's Feedback Assistant](https://developer.apple.com/bug-reporting/)" in lines[2]
    assert "Does the CPU alone agree? Yes" in lines[2]


def test_the_script_is_whole_with_its_imports_and_the_comparison(make_report):
    script = "import numpy as np\nprint(np.pi)\n"
    report = make_report(repro=dataclasses.replace(make_report().repro, script=script))
    fences = [t.content for t in parsed(github.text(report)) if t.type == "fence"]
    assert fences[0] == script
    assert "print((error > 0.01).sum()" in fences[1]
    assert "ANE           23.2" in fences[2]


def test_a_script_too_long_for_an_issue_is_to_be_attached(make_report):
    script = "x = 1\n" * 5_000
    text = github.text(make_report(repro=dataclasses.replace(make_report().repro, script=script)))
    assert "has 30,000 characters: attach it" in text
    assert len(text) < 20_000


def test_what_failed_stands_in_the_place_of_the_stack_trace(make_report):
    assert section(github.text(make_report()), "Stack Trace").strip() == "None: nothing failed."
    (one,) = make_report().comparisons
    cpu, gpu, ane = one.units
    gpu = dataclasses.replace(gpu, why="failed in load: no such plan")
    report = make_report(comparisons=(dataclasses.replace(one, units=(cpu, gpu, ane)),))
    assert section(github.text(report), "Stack Trace").strip() == (
        "- GPU: failed in load: no such plan"
    )


def test_without_results_nothing_is_said_to_have_gone_well(without_records):
    said = section(github.text(without_records), "Stack Trace").strip()
    assert said == "None: nothing was run."


def test_versions_and_devices_are_the_environment(make_report):
    text = section(github.text(make_report()), "System environment")
    assert "- numpy: 1.0" in text
    assert "- results from: Mac15,3, Apple M3, macOS 14.1 (23B81) (measured)" in text


def test_simulated_results_are_not_to_be_filed(simulated):
    assert "> **SIMULATED.**" in github.text(simulated)
    assert "not to be filed" in github.text(simulated)


def test_hostile_names_make_no_html_no_heading_and_no_open_fence(hostile):
    tokens = parsed(github.text(hostile))
    assert not [t for t in tokens if t.type == "html_block"]
    inline = [c for t in tokens for c in t.children or []]
    assert not [c for c in inline if c.type in ("html_inline", "image")]
    links = [c.attrs["href"] for c in inline if c.type == "link_open"]
    assert links == ["https://developer.apple.com/bug-reporting/"]
    assert "\u202e" not in github.text(hostile)


def test_what_is_not_measured_is_said_once(without_records):
    text = github.text(without_records)
    assert "Does the CPU alone agree? Not measured." in text
    assert "(not measured)" not in text
