"""notes.md: the page of a report that the user writes, and anereport keeps as it is."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from migrate import AnereportError
from reporter.write.rendering import block, plain_long, render
from reporter.write.rendering import text as as_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "notes.md"
LONGEST = 50_000  # bytes that a report shows
SHORT = 800  # characters that a post and a form show
REST = "... (the rest is in notes.md of the Feedback report)"

COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
HEADING = re.compile(r"#{1,6}\s+(.*)")
ITEM = re.compile(r"([-*+]|[0-9]{1,9}[.)])\s+(.*)")
FENCE = re.compile(r"(`{3,}|~{3,})")
RULE = re.compile(r"[-=+\\_*\s]*")  # below a line it would make a heading of it


class NotesError(AnereportError):
    """A notes.md that cannot be read."""


def read(folder: Path) -> str:
    """Return what the user wrote in a folder's notes.md; nothing if there is none.

    Comments are left out, and the headings of ours that nothing stands under.
    """
    path = folder / FILE
    if not path.exists():
        return ""
    try:
        size = path.stat().st_size
        if size > LONGEST:
            raise NotesError(f"{path} has {size:,} bytes, a report takes {LONGEST:,}: shorten it")
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NotesError(f"cannot read {path}: {error}: save it as a text in UTF-8") from error
    return _written(content)


def _written(content: str) -> str:
    ours = [line for line in render(FILE).splitlines() if HEADING.fullmatch(line)]
    lines = [line.rstrip() for line in COMMENT.sub("", content).splitlines()]
    filled = [line for line in lines if line] + ["#"]
    empty = {one for one, following in pairwise(filled) if one in ours and following[0] == "#"}
    return "\n".join(line for line in lines if line not in {*empty, ours[0]}).strip()


def markdown(notes: str) -> str:
    """Return notes as Markdown that is no more than headings, lists, paragraphs and code."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(_markdown(notes))).strip()


def _markdown(notes: str) -> Iterator[str]:
    for code, lines in _blocks(notes):
        if code:
            yield from ("", "```text", block("\n".join(lines)), "```", "")
            continue
        for line in lines:
            yield from _line(line)


def _line(line: str) -> tuple[str, ...]:
    heading, item = HEADING.fullmatch(line), ITEM.fullmatch(line)
    said = as_text(heading[1] if heading else item[2] if item else line).strip()
    if RULE.fullmatch(said):
        return ("",)
    if heading:
        return ("", f"### {said}", "")
    mark = f"{item[1] if item[1][0].isdigit() else '-'} " if item else ""
    return (mark + said,)


def brief(notes: str) -> str:
    """Return notes as plain ASCII for a post or a form; of long ones the start, and where more is.

    Their backticks are their marks of code, and become quotes.
    """
    lines = [_plain(line) for _, lines in _blocks(notes) for line in lines]
    said = "\n".join(line for line in lines if line)
    return said if len(said) <= SHORT else f"{said[:SHORT].rstrip()}{REST}"


def _plain(line: str) -> str:
    return plain_long(line.lstrip("# ").replace("`", "'"))


def _blocks(notes: str) -> Iterator[tuple[bool, list[str]]]:
    """Yield runs of lines, and whether they are code; a fence that is left open ends at the end."""
    fence, lines = "", list[str]()
    for line in notes.splitlines():
        found = FENCE.match(line.strip())
        if not (found and (not fence or line.strip().startswith(fence))):
            lines.append(line if fence else line.strip())
            continue
        yield bool(fence), lines
        fence, lines = "" if fence else found[1], []
    yield bool(fence), lines
