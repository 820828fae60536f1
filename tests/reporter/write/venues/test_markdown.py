from __future__ import annotations

import contextlib
import dataclasses
import io
import re

import numpy as np
from markdown_pages import parsed, tables

from reporter.understand.divergence import compare
from reporter.write.repro import Weights
from reporter.write.venues import markdown


def test_snapshot(report, as_file):
    assert markdown.text(report) == as_file("md")


def test_every_table_is_whole(report):
    found = tables(markdown.text(report))
    lines = [line for line in markdown.text(report).splitlines() if line.startswith("|")]
    assert len(found) >= 4
    assert sum(len(rows) + 1 for _, rows in found) == len(lines)  # no row fell out of its table


def test_every_row_has_as_many_cells_as_written_in_the_heading(report):
    """GitHub drops cells beyond the heading's, so they are counted in the source."""
    width = 0
    for line in markdown.text(report).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line))
        width = width or cells
        assert cells == width, line


def test_values_stand_in_the_column_of_their_unit(make_report):
    rows = next(rows for _, rows in tables(markdown.text(make_report())) if rows[0][0] == "Index")
    assert rows[0] == ["Index", "(n,c,h,w)", "Reference", "CPU", "GPU", "ANE"]
    assert rows[2] == ["2", "0,0,2,0", "1.5", "1.5", "1.5", "0.20471"]
    assert rows[1] == rows[4] == ["...", "", "", "", "", ""]


def test_metrics_as_printed_few_at_the_top_and_all_in_the_details(make_report):
    found = tables(markdown.text(make_report()))
    few, every = (rows for _, rows in found if rows[0][0] == "unit")
    assert few[0] == [
        "unit", "evidence", "max abs error", "SNR dB", "beyond 0.01",
        "times what rounding explains", "verdict",
    ]  # fmt: skip
    assert few[3] == [
        "ANE", "measured", "23.2 of finite values", "0.1 of finite values", "5 of 6 (1 NaN, 0 Inf)",
        "inf", "diverges",
    ]  # fmt: skip
    assert few[1][2:5] == ["0", "equal", "0 of 6"]
    assert few[2] == ["GPU", "failed in load: no such plan", "", "", "", "", ""]
    page = markdown.text(make_report())
    assert (
        "\nRows around the worst element of channel 1, the worst by what rounding explains:" in page
    )
    ane = dict(zip(every[0], every[3], strict=True))
    assert ane["max abs error"] == "23.2"
    assert ane["SNR dB"] == "0.1"
    assert ane["beyond 0.01"] == "5 of 6"
    assert ane["NaN"] == "1"
    assert dict(zip(every[0], every[1], strict=True))["SNR dB"] == "equal"
    gpu = dict(zip(every[0], every[2], strict=True))
    assert gpu.pop("unit") == "GPU"
    assert gpu.pop("evidence") == "failed in load: no such plan"
    assert set(gpu.values()) == {""}


def test_what_is_not_finite_is_counted_beside_the_metrics(make_report):
    """In the table at the top; where nothing is finite there is no metric."""
    (base,) = make_report().comparisons
    for values, cells in (
        ([np.nan] * 6, ["no finite value", "no finite value", "6 of 6 (6 NaN, 0 Inf)"]),
        ([1, np.nan, np.inf, 1, 1.5, -np.inf],
         ["0.5 of finite values", "10.8 of finite values", "4 of 6 (1 NaN, 2 Inf)"]),
        ([1, 1, 1, 1, 1, 1], ["0", "equal", "0 of 6"]),
    ):  # fmt: skip
        unit = dataclasses.replace(base.units[2], metrics=compare(np.array(values), np.ones(6)))
        shown = dataclasses.replace(base, units=(*base.units[:2], unit))
        found = tables(markdown.text(make_report(comparisons=(shown,))))
        few = next(rows for _, rows in found if rows[0][0] == "unit")
        assert few[3][2:5] == cells


def test_the_order_is_from_what_is_wrong_to_what_is_missing_and_then_details(whole):
    tokens = parsed(markdown.text(whole))
    headings = [
        tokens[i + 1].content
        for i, t in enumerate(tokens)
        if t.type == "heading_open" and t.tag == "h2"
    ]
    assert headings == [
        "What I did myself", "Numbers", "Devices", "What is usually asked", "Reproduce",
        "What else is known", "Not measured", "Privacy", "Details",
    ]  # fmt: skip
    details = [
        tokens[i + 1].content
        for i, t in enumerate(tokens)
        if t.type == "heading_open" and t.tag == "h3"
    ]
    assert details == [
        "Output 'output', 1x2x3x1, input seed-0 (record.json)",
        "Output 'second', 1x2x3x1, input seed-0 (record.json)",
        "On which devices", "What would explain it", "What was tried",
        "Did the newer backend help?", "Model", "Lint", "What repro.py printed", "Made with",
    ]  # fmt: skip


def test_every_question_is_answered_with_its_evidence_or_the_command_that_would(whole):
    for report in (whole, dataclasses.replace(whole, shrunk=None, readings=(), devices=())):
        section = markdown.text(report).partition("## What is usually asked\n")[2]
        lines = section.partition("\n## ")[0].strip().splitlines()
        assert len(lines) == 10
        for line in lines:
            said = re.search(r"\((measured|simulated|stated by the user)\)\.", line)
            assert said or "To measure: `anereport " in line, line


def test_what_else_is_known_is_a_few_lines_and_nothing_is_said_of_nothing(whole, make_report):
    section = markdown.text(whole).partition("## What else is known\n")[2].partition("\n## ")[0]
    starts = [line[2:16] for line in section.strip().splitlines()]
    assert starts == [
        "As an ML Progr", "Variants, meas", "Shrunk on iPho", "Single faults,", "Lint of the fi",
    ]  # fmt: skip
    facts = dataclasses.replace(make_report().model, lint=())
    section = markdown.text(make_report(model=facts)).partition("## What else is known\n")[2]
    assert section.partition("\n## ")[0].strip() == "Nothing."


def test_the_comparison_shown_gives_the_count_of_the_table(whole):
    """The two lines, executed on arrays, count what the metrics count."""
    (code,) = [t.content for t in parsed(markdown.text(whole)) if "error >" in t.content]
    reference = np.array([0.0, 1.0, -200.0, 3.0])
    found = np.array([0.009, 1.02, -201.0, 2.0])
    counted = compare(found, reference, whole.tolerance).beyond
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code, {"np": np, "found": found, "reference": reference})
    assert said.getvalue().split() == [str(counted), "of", "4"]
    assert counted == 2


def test_hostile_names_are_shown_as_they_are(hostile):
    layers = next(rows for _, rows in tables(markdown.text(hostile)) if rows[0][0] == "layer")
    shown = layers[2][0]
    printable = "".join(c if c.isprintable() else " " for c in hostile.model.layers[1].name)
    assert shown.split() == printable.split()


def test_hostile_names_make_no_html_no_heading_and_no_open_fence(hostile):
    tokens = parsed(markdown.text(hostile))
    headings = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"]
    assert len(headings) == 17
    assert not [t for t in tokens if t.type == "html_block"]
    inline = [c for t in tokens for c in t.children or []]
    assert not [c for c in inline if c.type in ("html_inline", "link_open", "image")]
    fences = [t for t in tokens if t.type == "fence"]
    assert len(fences) == 2  # the comparison, the script's output; headings follow still
    assert "\u202e" not in markdown.text(hostile)


def test_nothing_is_invented_without_a_record(without_records):
    text = markdown.text(without_records)
    found = tables(text)
    index = next(rows for _, rows in found if rows[0][0] == "Index")
    assert index[1] == ["0", "0,0,0,0", "1.25", "not measured", "not measured", "not measured"]
    units = next(rows for _, rows in found if rows[0][0] == "unit")
    assert units == [
        ["unit", "evidence"],
        ["CPU", "not measured"],
        ["GPU", "not measured"],
        ["ANE", "not measured"],
    ]
    assert "None: not measured." in text


def test_simulated_is_said_at_the_top_and_above_each_table(simulated):
    text = markdown.text(simulated)
    assert text.splitlines()[0].startswith("# SIMULATED")
    assert "> **SIMULATED.**" in "\n".join(text.splitlines()[:4])
    found = [(h, rows) for h, rows in tables(text) if rows[0][0] in ("unit", "Index")]
    assert [rows[0][0] for _, rows in found] == ["unit", "Index", "unit"]
    assert all(heading.startswith("SIMULATED") for heading, _ in found)
    for title in ("Against the reference", "Rows around"):
        assert f"SIMULATED. {title}" in text
    assert found[1][1][0][2:] == [
        "Reference", "CPU (SIMULATED)", "GPU (SIMULATED)", "ANE (SIMULATED)",
    ]  # fmt: skip


def test_a_measured_report_never_says_simulated_of_itself(make_report):
    """The last line explains the word; it stands nowhere else."""
    *lines, legend = markdown.text(make_report()).rstrip().splitlines()
    assert "simulated" not in "\n".join(lines).lower()
    assert "*simulated* is none of these" in legend


def test_a_network_of_many_layers_is_cut_and_that_is_said(make_report):
    facts = make_report().model
    facts = dataclasses.replace(facts, layers=facts.layers[:1] * 75)
    text = markdown.text(make_report(model=facts))
    layers = next(rows for _, rows in tables(text) if rows[0][0] == "layer")
    assert len(layers) == 1 + 60
    assert "15 more layers stand in report.json" in text


def test_several_records_of_the_same_output_all_appear(make_report):
    (one,) = make_report().comparisons
    other = dataclasses.replace(one, source="second.json", device="iPhone15,2")
    text = markdown.text(make_report(comparisons=(one, other)))
    assert sum(rows[0][0] == "Index" for _, rows in tables(text)) == 2
    assert "second.json" in text
    assert "Device: iPhone15,2 (measured)." in text


def test_each_kind_of_weights_says_whether_it_diverges(make_report, whole):
    text = markdown.text(whole)
    assert "- real (Tiny.mlmodel): not measured with the model's own weights\n" in text
    assert "- exact (repro-exact.mlmodel): diverged with exact weights too: 5 of 6" in text
    refused = Weights("exact", "", refused="layer 's' (softmax), 1 of 1: it takes exponentials")
    repro = dataclasses.replace(make_report().repro, weights=(refused,))
    assert "- exact: exact weights are not offered: layer 's' (softmax), 1 of 1: it takes" in (
        markdown.text(make_report(repro=repro))
    )
    assert "- exact" not in markdown.text(make_report())
