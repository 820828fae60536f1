"""A page of Markdown as another parser than ours reads it."""

from __future__ import annotations

from markdown_it import MarkdownIt


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
