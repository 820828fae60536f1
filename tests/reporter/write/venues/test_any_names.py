"""Names are data: whatever strings a report holds, each page keeps its form."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hostile_reports import MANY, STRINGS, planted
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from markdown_pages import parsed, tables

from reporter.write.rendering import plain_long, render
from reporter.write.report.questions import questions
from reporter.write.venues import feedback, forum, github, html, markdown

FEW = settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],  # a report is long to shrink, and longer to read
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
H2 = ("heading_open", "h2")
NUMBERS = st.floats(width=32).map(lambda x: f"{x:.9g}")


def printable(text):
    return all(c.isprintable() or c == "\n" for c in text)


def of(text, kind):
    return [t for t in parsed(text) if t.type == kind]


def inline(text, *kinds):
    return [c for t in parsed(text) for c in t.children or [] if c.type in kinds]


@pytest.fixture(params=["whole", "doubtful", "listed", "program", "simulated"])
def kind(request):
    return request.param


@FEW
@given(names=MANY)
def test_markdown_keeps_its_tables_headings_and_fences(report, names):
    hostile = planted(report, names)
    text = markdown.text(hostile)
    assert printable(text)
    assert not of(text, "html_block")
    assert not inline(text, "html_inline", "link_open", "image")
    before = [rows[0] for _, rows in tables(markdown.text(report))]
    after = [rows for _, rows in tables(text)]
    assert len(after) == len(before)
    for rows in after:
        assert len({len(row) for row in rows}) == 1
    unfenced = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in unfenced.splitlines() if line.startswith("|")]
    assert sum(len(rows) + 1 for _, rows in tables(text)) == len(lines)
    tokens = parsed(text)
    second = [tokens[i + 1].content for i, t in enumerate(tokens) if (t.type, t.tag) == H2]
    assert second.count("Details") == 1


@FEW
@given(names=MANY)
def test_the_issue_keeps_its_sections_and_fences(report, names):
    text = github.text(planted(report, names))
    tokens = parsed(text)
    found = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"]
    assert found == [
        "Describing the bug", "Stack Trace", "To Reproduce", "System environment",
        "Additional context",
    ]  # fmt: skip
    assert printable(text)
    assert not of(text, "html_block")
    assert not inline(text, "html_inline", "image")
    assert len(inline(text, "link_open")) == 1


@FEW
@given(names=MANY, limit=st.integers(forum.LEAST, 9000))
def test_the_post_is_ascii_within_its_limit_and_its_fences_pair(report, names, limit):
    hostile = dataclasses.replace(planted(report, names), forum_limit=limit)
    text = forum.text(hostile)
    assert len(text) <= limit
    assert text.isascii()
    assert printable(text)
    assert text.startswith("Title:")
    fences = re.findall(r"^.*```.*$", text, re.MULTILINE)
    assert set(fences) <= {"```"}
    assert len(fences) % 2 == 0
    for outside in re.split(r"^```$", text, flags=re.MULTILINE)[::2]:
        assert "`" not in outside


@FEW
@given(names=MANY)
def test_the_form_has_its_fields_once_in_ascii_and_its_title_fits(report, names):
    text = feedback.text(planted(report, names))
    assert text.isascii()
    assert printable(text)
    assert len(re.findall(r"^== ", text, re.MULTILINE)) == 10
    title = text.partition("title for your feedback:\n")[2].partition("\n")[0]
    assert len(title) <= feedback.TITLE_LIMIT
    described = text.partition("to reproduce it:\n")[2].partition("\n== Please describe the impact")
    over = len(described[0].rstrip("\n")) > feedback.DESCRIPTION_LIMIT
    assert ("WARNING" in text.partition("== ")[0]) == over


@FEW
@given(names=MANY)
def test_the_page_has_the_tags_that_it_has_without_them(report, names):
    """HTML: no tag and no attribute comes from a name."""
    text = html.text(planted(report, names))
    assert printable(text)
    tags = set(re.findall(r"</?([a-zA-Z!][\w-]*)", text.partition("<body>")[2]))
    assert tags <= TAGS
    for tag in ("details", "table", "pre", "blockquote", "li", "p", "h2", "summary"):
        assert len(re.findall(rf"<{tag}[ >]", text)) == len(re.findall(rf"</{tag}>", text)), tag
    assert text.count("<h2>Details</h2>") == 1


TAGS = {
    "body", "html", "h1", "h2", "h3", "h4", "p", "blockquote", "strong", "em", "table", "thead",
    "tbody", "tr", "th", "td", "ul", "ol", "li", "pre", "code", "details", "summary", "section",
    "div", "figure", "figcaption", "svg", "title", "desc", "path", "rect", "text", "line", "g",
    "circle", "tspan", "br",
}  # fmt: skip


@FEW
@given(rows=st.lists(st.tuples(*[NUMBERS] * 4), min_size=1, max_size=12))
def test_the_rows_of_each_page_are_read_back_to_the_numbers(make_report, rows):
    (one,) = make_report().comparisons
    row = next(r for r in one.table.rows if r)
    shown = tuple(dataclasses.replace(row, index=i, values=r) for i, r in enumerate(rows))
    table = dataclasses.replace(one.table, rows=shown)
    report = make_report(comparisons=(dataclasses.replace(one, table=table),))
    found = next(rows for _, rows in tables(markdown.text(report)) if rows[0][0] == "Index")
    assert [tuple(cells[2:]) for cells in found[1:]] == rows
    post = forum.text(report)
    block = post.partition("```\n")[2].partition("\n\n")[0].splitlines()
    assert [tuple(line.split()[2:]) for line in block[1:]] == rows


@FEW
@given(name=STRINGS.filter(str.strip))
def test_a_command_is_one_piece_of_code_whatever_the_model_is_called(make_report, name):
    facts = make_report().model
    identity = facts.identity.model_copy(update={"name": name})
    report = make_report(model=dataclasses.replace(facts, identity=identity))
    code = [c.content for c in inline(markdown.text(report), "code_inline")]
    commands = [q.command for q in questions(report) if q.command]
    assert len(commands) == 6
    assert not [c for c in commands if " ".join(plain_long(c).split()) not in map(words, code)]


def words(text):
    return " ".join(text.split())


def test_templates_never_run_what_a_name_says(make_report):
    text = markdown.text(make_report(title="{{ 7 * 7 }}{% raw %}"))
    assert "{{ 7" in text
    assert "49" not in text.splitlines()[0]
    assert render("notes.md")
