"""Reports that are whole, with hostile strings in every field that holds a name or a sentence."""

from __future__ import annotations

import dataclasses
import itertools
import typing

from hypothesis import strategies as st
from pydantic import BaseModel

NASTY = "|`\\~*_[]()<>&#\n\r\t!-+=.: ab1\"'\u202e\u2066\u200f\u2028\x00\x1b\x85é\u00a0😀{}%"
STRINGS = st.one_of(
    st.text(alphabet=NASTY, max_size=40),
    st.text(max_size=30),
    st.sampled_from([
        "</details></table><script>alert(1)</script>", "```\n# x\n```", "a\\", "\\|", "| a | b |",
        "../../etc/passwd", "/", "..", "<!-- x", "{{ 1 }}", "{% raw %}", "&lt;&#126;", "== Files",
        "Title: x", "    code", "> quote", "- item", "1. item", "a\n\n## Details\n", "<h2>",
        "x" * 10_000,
        "\u202e" * 300, "`" * 300, "|" * 300, "https://example.com/?a=<b>", "",
    ]),
)  # fmt: skip
MANY = st.lists(STRINGS, min_size=1, max_size=7)
KEYS = {"unit", "suspect", "schema", "evidence", "variant", "identifier"}  # told apart by these


def planted(value, strings):
    """Return the value with one of the strings, in turn, for each that is free to be any."""
    return _planted(value, itertools.cycle(strings))


def _planted(value, strings):
    if isinstance(value, BaseModel):
        fields = {
            name: _planted(getattr(value, name), strings)
            for name, field in type(value).model_fields.items()
            if field.annotation is str
        }
        return value.model_copy(update=fields)
    if dataclasses.is_dataclass(value):
        kinds = typing.get_type_hints(type(value))
        return dataclasses.replace(value, **{
            field.name: _planted(getattr(value, field.name), strings)
            for field in dataclasses.fields(value)
            if field.name not in KEYS and not _words(kinds[field.name]) and field.init
        })  # fmt: skip
    if isinstance(value, tuple):
        return tuple(_planted(item, strings) for item in value)
    return next(strings) if isinstance(value, str) else value


def _words(kind):
    """Tell whether a field holds one of a few words."""
    return typing.get_origin(kind) is typing.Literal
