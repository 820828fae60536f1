from __future__ import annotations

import dataclasses
import re

from markdown_it import MarkdownIt

from reporter.write.venues import markdown


def parsed(text):
    """Return what another Markdown parser than ours makes of it."""
    return MarkdownIt("commonmark").enable("table").parse(text)


def tables(text):
    """Return each table as rows of cells, with the last heading above it."""
    found, heading, tokens = [], "", parsed(text)
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[i + 1].content
        elif token.type == "table_open":
            found.append((heading, []))
        elif token.type == "tr_open":
            found[-1][1].append([])
        elif token.type in ("th_open", "td_open"):
            inline = tokens[i + 1].children or []
            cell = "".join(c.content for c in inline if c.type in ("text", "code_inline"))
            found[-1][1][-1].append(cell)
    return found


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


def test_metrics_as_printed(make_report):
    rows = next(rows for _, rows in tables(markdown.text(make_report())) if rows[0][0] == "unit")
    ane = dict(zip(rows[0], rows[3], strict=True))
    assert ane["max abs error"] == "23.2"
    assert ane["SNR dB"] == "0.1"
    assert ane["beyond 0.01"] == "5 of 6"
    assert ane["NaN"] == "1"
    assert dict(zip(rows[0], rows[1], strict=True))["SNR dB"] == "equal"
    gpu = dict(zip(rows[0], rows[2], strict=True))
    assert gpu.pop("unit") == "GPU"
    assert gpu.pop("evidence") == "failed in load: no such plan"
    assert set(gpu.values()) == {""}


def test_hostile_names_are_shown_as_they_are(hostile):
    layers = next(rows for _, rows in tables(markdown.text(hostile)) if rows[0][0] == "layer")
    shown = layers[2][0]
    printable = "".join(c if c.isprintable() else " " for c in hostile.model.layers[1].name)
    assert shown.split() == printable.split()


def test_hostile_names_make_no_html_no_heading_and_no_open_fence(hostile):
    tokens = parsed(markdown.text(hostile))
    headings = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"]
    assert len(headings) == 12
    assert not [t for t in tokens if t.type == "html_block"]
    inline = [c for t in tokens for c in t.children or []]
    assert not [c for c in inline if c.type in ("html_inline", "link_open", "image")]
    fences = [t for t in tokens if t.type == "fence"]
    assert len(fences) == 1  # the script's output; headings after it are headings still
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
    assert len(found) == 2
    for heading, _ in found:
        assert heading.startswith("SIMULATED")
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
