from __future__ import annotations

import ast
import math
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateNotFound, UndefinedError
from markdown import markdown
from markdown_it import MarkdownIt
from small_reports import measured

from reporter.write import rendering
from reporter.write.rendering import render

hostile = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="|`\\~*_[]()<>&#\n\r\t!-+=.1 ab\"'\u202e\u200f\u2028\x00é", max_size=60),
    st.sampled_from(["<script>alert(1)</script>", "`" * 9, "```\n# x", "a\\", "\\|", "&lt;&#126;"]),
)


class Text(HTMLParser):
    """What a page shows, and its elements."""

    def __init__(self, page):
        super().__init__()
        self.shown, self.tags = "", []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.shown += data


def words(value):
    return "".join(c if c.isprintable() else " " for c in value).split()


def by_python_markdown(source):
    return markdown(source, extensions=["tables", "fenced_code"])


def by_markdown_it(source):
    return MarkdownIt("commonmark").enable("table").render(source)


@pytest.mark.parametrize("to_html", [by_python_markdown, by_markdown_it])
@given(value=hostile)
def test_text_means_itself(to_html, value):
    page = Text(to_html(f"Before **{rendering.text('x' + value + 'x')}** after"))
    assert page.tags == ["p", "strong"]
    assert page.shown.split() == ["Before", *words("x" + value + "x"), "after"]


@pytest.mark.parametrize("to_html", [by_python_markdown, by_markdown_it])
@given(value=hostile)
def test_a_cell_stays_one_cell(to_html, value):
    table = f"| a | b |\n|---|---|\n| {rendering.cell(value)} | end |\n| 1 | 2 |\n"
    page = to_html(table)
    assert Text(page).tags.count("td") == 4
    assert Text(page).tags.count("tr") == 3
    cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    assert Text(cells[0]).tags == []
    assert Text(cells[0]).shown.split() == words(value)
    assert cells[1] == "end"


@given(value=hostile)
def test_plain_is_one_line_of_printable_ascii_without_backticks(value):
    for function in (rendering.plain, rendering.plain_long, rendering.docstring):
        shown = function(value)
        assert shown.isascii()
        assert shown.isprintable()
        assert "`" not in shown


@given(value=hostile)
def test_a_docstring_stays_a_docstring(value):
    source = f'"""Rebuilds {rendering.docstring(value)} with seeds."""\nx = 1\n'
    tree = ast.parse(source)
    assert [type(node).__name__ for node in tree.body] == ["Expr", "Assign"]
    assert not re.search(r"\\", rendering.docstring(value))


@given(value=hostile)
def test_a_block_cannot_end_its_fence(value):
    tokens = MarkdownIt("commonmark").parse(f"```text\n{rendering.block(value)}\n```\n\nafter\n")
    assert [t.type for t in tokens if t.level == 0] == [
        "fence",
        "paragraph_open",
        "paragraph_close",
    ]
    assert all(c.isprintable() or c == "\n" for c in rendering.block(value))


def test_a_block_keeps_its_lines():
    assert rendering.block("one\r\n  two\n\nthree\x1b[0m\n") == "one\n  two\n\nthree [0m"


@pytest.mark.parametrize("letter", ["n", "é", "\u202e", "|", "\U0001f600"])
def test_names_are_cut_and_that_shows(letter):
    name = letter * 10_000
    assert len(rendering.plain(name)) == 200
    assert len(rendering.plain_long(name)) == 600
    assert rendering.plain(name).endswith("...")
    assert rendering.cell(name).endswith("...")
    assert len(rendering.cell(name)) <= 2 * 200


def test_a_backtick_of_a_name_stays_to_be_told_from_a_quote():
    assert rendering.plain("a`'b") == r"a\x60'b"
    assert rendering.plain_long("`") == r"\x60"


def test_a_name_of_just_the_length_is_not_cut():
    assert rendering.plain("n" * 200) == "n" * 200


def test_an_empty_cell_keeps_its_column():
    assert rendering.cell("") == " "


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (23.2243, "23.2"), (1.5e-9, "1.5e-09"), (math.inf, "inf"), (math.nan, "nan")],
)
def test_number(value, shown):
    assert rendering.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0766, "0.1"), (-3.25, "-3.2"), (math.inf, "equal"), (-math.inf, "-inf"), (math.nan, "nan")],
)
def test_decibel(value, shown):
    assert rendering.decibel(value) == shown


def test_extent():
    assert rendering.extent((1, -1, 3)) == "1x?x3"
    assert rendering.extent(()) == "scalar"
    assert rendering.extent(None) == "-"


def test_shape():
    assert rendering.shape((1, 1600, 39, 1)) == "1x1600x39x1"
    assert rendering.shape(()) == "not declared"


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0 bytes"), (9_999, "9,999 bytes"), (3_014_828, "3.01 MB")]
)
def test_size(value, shown):
    assert rendering.size(value) == shown


def test_a_value_that_a_template_needs_and_does_not_get_is_an_error():
    with pytest.raises(UndefinedError):
        render("report.md")


def test_a_template_that_does_not_exist_is_an_error():
    with pytest.raises(TemplateNotFound):
        render("nothing.md")


def test_html_escapes_by_itself_and_markdown_does_not():
    environment = rendering._environment()
    assert environment.autoescape("report.html")
    assert not environment.autoescape("report.md")
    assert not environment.autoescape("repro.py")


def test_every_template_compiles():
    environment = rendering._environment()
    names = environment.list_templates()
    assert {"report.md", "report.html", "forum.md", "feedback.txt", "repro.py"} <= set(names)
    for name in names:
        environment.get_template(name)


def test_blocks_are_those_of_the_template_filled_in_and_in_its_order():
    found = rendering.blocks(
        "forum.md", report=measured(feedback="FB1234567"), title="A title", script="", notes="",
        fenced=True, values=lambda c, most: f"{c.output} {most}", units=lambda c, tolerance: "",
    )  # fmt: skip
    assert list(found)[:3] == ["title", "filed", "simulated"]
    assert list(found)[-2:] == ["script", "missing"]
    assert found["title"] == "Title: A title\n"
    assert found["filed"] == "Filed with Apple as FB1234567.\n"
    assert "\noutput 99\n" in found["table"]
    assert "\noutput 5\n" in found["short_table"]
    assert found["notes"] == found["missing"] == ""
