from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown import markdown as to_html
from markdown_it import MarkdownIt

from reporter.write.rendering import render
from reporter.write.report import notes
from reporter.write.report.notes import NotesError, brief, markdown

BEGUN = render("notes.md")
FIRST = "## Where I saw it, and what it does to my app"
LINES = st.sampled_from(
    ["text", "", "# A", "- one", "* two", "```", "~~~", "````sh", "---", "===", "<b>x</b>", "> q",
     "    code", "| a | b |", "[x](y)", "<!-- c", "-->", "``x``", "1. one", "`x`",
     "- ---", "7. ===", "- - -", "-", "+ ", "#", "\u202eabc"]
)  # fmt: skip


def written(tmp_path, content, encoding="utf-8"):
    (tmp_path / "notes.md").write_bytes(content.encode(encoding))
    return notes.read(tmp_path)


def parsed(text):
    return MarkdownIt("commonmark").enable("table").parse(text)


def test_without_a_page_nothing_is_written(tmp_path):
    assert notes.read(tmp_path) == ""
    assert notes.read(tmp_path / "nowhere") == ""


def test_the_page_as_it_is_begun_counts_as_not_written(tmp_path):
    assert BEGUN.startswith("<!--")
    assert "treated as spam" in BEGUN
    for same in (BEGUN, BEGUN.replace("\n", "\r\n"), BEGUN.partition("-->")[2], "", "\n \n"):
        assert written(tmp_path, same) == ""


def test_what_the_user_wrote_comes_with_its_heading_alone(tmp_path):
    mine = BEGUN.replace(FIRST, f"{FIRST}\n\nOn my iPhone 14,\n\n  each time.")
    assert written(tmp_path, mine) == f"{FIRST}\n\nOn my iPhone 14,\n\n  each time."
    assert written(tmp_path, f"{BEGUN}\nat the end").endswith("generated report\n\nat the end")
    assert written(tmp_path, "# Mine\n\n## And mine\n") == "# Mine\n\n## And mine"
    assert written(tmp_path, "\ufeffa <!-- not\nthis --> b") == "a  b"


def test_a_page_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(NotesError, match=r"cannot read .*notes\.md: .*utf-8.*: save it as a text"):
        written(tmp_path, "\u00e9", "latin-1")
    with pytest.raises(NotesError, match=r"notes\.md has 50,001 bytes, a report takes 50,000"):
        written(tmp_path, 50_001 * "x")
    assert written(tmp_path, 50_000 * "x") == 50_000 * "x"
    (tmp_path / "notes.md").unlink()
    (tmp_path / "notes.md").mkdir()
    with pytest.raises(NotesError, match=r"cannot read .*notes\.md"):
        notes.read(tmp_path)


def test_markdown_keeps_headings_lists_and_code():
    text = "# One\nfirst\n- a\n* b_c\n1. x\n```sh\nls `pwd`\n# no heading\n```\nlast"
    assert markdown(text) == (
        "### One\n\nfirst\n- a\n- b\\_c\n1. x\n\n```text\nls 'pwd'\n# no heading\n```\n\nlast"
    )


def test_a_line_below_another_makes_no_heading_of_it():
    assert markdown("one\n---\ntwo\n===\n***") == "one\n\ntwo"


def test_a_fence_ends_with_one_like_it_or_at_the_end():
    assert markdown("````\n```\nx\n````\ny") == "```text\n'''\nx\n```\n\ny"
    assert markdown("~~~\n```\nx") == "```text\n'''\nx\n```"


@settings(max_examples=500)
@given(st.lists(LINES | st.text(max_size=20), max_size=12).map("\n".join))
def test_nothing_of_the_notes_escapes(text):
    found = markdown(text)
    kinds = {token.type for token in parsed(found)}
    assert not kinds & {"html_block", "table_open", "blockquote_open", "hr", "code_block"}
    inner = [child for token in parsed(found) for child in token.children or []]
    assert {c.type for c in inner} <= {"text", "softbreak", "hardbreak", "text_special"}
    assert {t.tag for t in parsed(found) if t.type == "heading_open"} <= {"h3"}
    fences = [line for line in found.splitlines() if line.startswith("```")]
    assert fences == len(fences) // 2 * ["```text", "```"]
    after = parsed(f"{found}\n\n## Next\n")
    assert [t.tag for t in after if t.type == "heading_open"][-1] == "h2"


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self):
        super().__init__()
        self.tags = set()

    def handle_starttag(self, tag, attributes):
        self.tags.add((tag, *attributes))


@settings(max_examples=500)
@given(st.lists(LINES | st.text(max_size=20), max_size=12).map("\n".join))
def test_the_page_has_no_other_tags_of_them(text):
    page = Tags()
    page.feed(to_html(markdown(text), extensions=["tables", "fenced_code"]))
    kinds = {tag for tag, *_ in page.tags}
    assert kinds <= {"h3", "p", "ul", "ol", "li", "pre", "code", "br"}
    assert {a for _, *rest in page.tags for a in rest} <= {("class", "language-text")}


def test_a_post_has_them_as_ascii_and_the_start_of_long_ones():
    text = "# Where\n\nOn `iPhone` \u00e9\n- a\n```\nx\n```"
    assert brief(text) == "Where\nOn 'iPhone' \\xe9\n- a\nx"
    lines = ["y" * 99 for _ in range(8)]
    assert brief("\n".join(lines)) == "\n".join(lines)  # 799 characters
    rest = "... (the rest is in notes.md of the Feedback report)"
    assert brief("\n".join([*lines, "z"])) == "\n".join(lines) + rest
    assert brief("\n".join(["y" * 99, *lines])) == "\n".join(["y" * 99, *lines[:7]]) + rest


@settings(max_examples=500)
@given(st.lists(LINES | st.text(max_size=20), max_size=12).map("\n".join))
def test_a_post_has_no_fence_and_no_heading_of_them(text):
    found = brief(text)
    assert found.isascii()
    assert "`" not in found
    assert not any(line.startswith("#") or not line for line in found.splitlines())
