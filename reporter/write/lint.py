"""What lint found, as lines for a terminal, as JSON, and as sentences for a report."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import migrate
from reporter.understand.wording import printable, several

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = "anereport.lint/1"
ERROR, WARNING, INFO = "error", "warning", "info"


def findings(model: Path, custom: Sequence[str] = ()) -> tuple[migrate.Finding, ...]:
    """Return what lint finds on a model; `custom` are builders as on the command line."""
    network = migrate.read(model)
    return migrate.lint(network, migrate.load_custom(custom, network))


def lines(found: Sequence[migrate.Finding]) -> list[str]:
    """Return a line per finding, and the counts."""
    return [*(printable(str(finding)) for finding in found), summary(found)]


def summary(found: Sequence[migrate.Finding]) -> str:
    """Return how many findings there are of each severity."""
    count = Counter(finding.severity for finding in found)
    told = (
        several(count[ERROR], ERROR),
        several(count[WARNING], WARNING),
        f"{count[INFO]:,} {INFO}",
    )
    return ", ".join(told)


def failed(found: Sequence[migrate.Finding], strict: bool = False) -> bool:
    """Tell whether an error was found, or in strict mode a warning."""
    grave = {ERROR, WARNING} if strict else {ERROR}
    return any(finding.severity in grave for finding in found)


def to_json(model: Path, found: Sequence[migrate.Finding]) -> str:
    """Return the findings as strict JSON."""
    count = Counter(finding.severity for finding in found)
    content = {
        "schema": SCHEMA,
        "model": model.name,
        "counts": {severity: count[severity] for severity in (ERROR, WARNING, INFO)},
        "findings": [asdict(finding) for finding in found],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
