"""report.json: the Report itself, for programs, and for `anereport create --from`.

Numbers that JSON lacks are the strings "NaN", "Infinity" and "-Infinity", as in records.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from migrate import AnereportError
from reporter.understand import kept_file
from reporter.understand.grid import Grid
from reporter.write.privacy.redact import redact
from reporter.write.report.report import SCHEMA, Report

if TYPE_CHECKING:
    from pathlib import Path

FILE = "report.json"
COMMAND = "anereport create"


class ReportError(AnereportError):
    """A report.json that cannot be read, or is not as it was written."""


def dumps(report: Report) -> str:
    """Return the report as strict JSON, which says first what it is."""
    content = {"schema": report.schema, **tree(report)}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def loads(text: str, path: Path | str = FILE) -> Report:
    """Return the report of such a text; a fault is one ReportError that names `path`."""
    return kept_file.loads(text, path, Report, SCHEMA, ReportError, COMMAND)


def load(folder: Path) -> Report:
    """Return the report of a folder; a fault is one ReportError."""
    return kept_file.load(folder / FILE, Report, SCHEMA, ReportError, COMMAND)


def as_kept(report: Report) -> Report:
    """Return the report as its file gives it back: plain numbers, and every text `shown`."""
    return kept_file.checked(Report, tree(report, shown))


def shown(text: str, where: str = FILE) -> str:
    """Return a text redacted; bytes of the command line that are no UTF-8 stay visible."""
    return redact(text.encode("utf-8", "backslashreplace").decode(), where)


def tree(value: Any, told: Callable[[str], str] = str) -> Any:
    """Return a part of a report in the types of JSON; `told` is done to each text."""
    if isinstance(value, str):
        return told(value)
    if isinstance(value, Grid):
        told = str  # its letters are numbers
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: tree(getattr(value, f.name), told) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return tree(value.model_dump(by_alias=True), told)
    if isinstance(value, Mapping):
        return {told(key): tree(item, told) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [tree(item, told) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
