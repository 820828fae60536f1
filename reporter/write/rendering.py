"""The Jinja environment: the only file that knows where the templates are.

Templates have plain suffixes. `.html` escapes by itself; in Markdown every string that comes from
a model or a file goes through `text` (running text) or `cell` (a table cell).
"""

from __future__ import annotations

import functools
import html
import math
import re
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from reporter.understand.agreement_words import statements
from reporter.understand.explanation import sentences
from reporter.understand.headline import sentence
from reporter.understand.verdict import sides
from reporter.understand.wording import clipped, printable
from reporter.write.privacy.removed import removals
from reporter.write.report.questions import questions
from reporter.write.report.without_weights import unattached

LONGEST = 200  # characters of a name that are shown
LONGEST_SENTENCE = 600  # of a sentence that holds names


def render(template: str, **values: Any) -> str:
    """Return a template filled in; a value that it needs and does not get is an error."""
    return _environment().get_template(template).render(**values)


def blocks(template: str, **values: Any) -> dict[str, str]:
    """Return the blocks of a template by name, each filled in, in the template's order."""
    found = _environment().get_template(template)
    context = found.new_context(values)
    return {name: "".join(block(context)) for name, block in found.blocks.items()}


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_templates()),
        autoescape=select_autoescape(enabled_extensions=("html",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    ours = (
        unattached,
        sides,
        sentences,
        statements,
        sentence,
        questions,
        removals,
        text,
        cell,
        plain,
        plain_long,
        block,
        docstring,
        number,
        decibel,
        shape,
        extent,
        size,
    )
    environment.filters.update({f.__name__: f for f in (*ours, shlex.quote)})
    return environment


def _templates() -> Path:
    installed = Path(str(files("reporter"))) / "templates"
    return installed if installed.is_dir() else Path(__file__).resolve().parents[2] / "templates"


def text(value: object) -> str:
    """Return any string as one line of Markdown text that means itself."""
    shown = html.escape(printable(str(value)), quote=False)
    return re.sub(r"([\\`*_\[\]#|])", r"\\\1", shown).replace("~", "&#126;")


def cell(value: object) -> str:
    """Return any string for a cell of a Markdown table."""
    return text(clipped(printable(str(value)), LONGEST)) or " "


def plain(value: object) -> str:
    """Return any string as one line of printable ASCII, for a forum or a form."""
    return clipped(_ascii(printable(str(value))), LONGEST)


def plain_long(value: object) -> str:
    """Return a sentence of our own, which may hold names, as one line of printable ASCII."""
    return clipped(_ascii(printable(str(value))), LONGEST_SENTENCE)


def block(value: object) -> str:
    """Return any text for a code fence: its printable lines, which cannot end the fence."""
    lines = str(value).strip().splitlines()
    return "\n".join(map(printable, lines)).replace("`", "'")


def docstring(value: object) -> str:
    """Return any string so that it can stand in a Python docstring."""
    quotes = str(value).replace("`", "'").replace('"', "'")
    return plain(quotes).replace("\\", "/")


def _ascii(value: str) -> str:
    return value.encode("ascii", "backslashreplace").decode().replace("`", "\\x60")


def number(value: float) -> str:
    """Return a metric at three significant digits."""
    return f"{value:.3g}" if math.isfinite(value) else str(value)


def decibel(value: float) -> str:
    """Return decibels; infinite means equal."""
    return f"{value:.1f}" if math.isfinite(value) else ("equal" if value > 0 else str(value))


def shape(value: tuple[int, ...]) -> str:
    """Return 1x1600x39x1."""
    return "x".join(map(str, value)) or "not declared"


def extent(value: tuple[int, ...] | None) -> str:
    """Return the shape of a value: ? for an open dimension, - for what is no tensor."""
    if value is None:
        return "-"
    return "x".join("?" if n < 0 else str(n) for n in value) or "scalar"


def size(value: int) -> str:
    """Return a file's size in words."""
    return f"{value:,} bytes" if value < 10_000 else f"{value / 1e6:.2f} MB"
