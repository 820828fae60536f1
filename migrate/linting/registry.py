"""The one table of lint rules."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrate.linting.finding import NO_REPORT, SEVERITIES, Place

if TYPE_CHECKING:
    from migrate.linting.scene import Scene

Check = Callable[["Scene"], Iterable[tuple[Place, str]]]
FAMILIES = (
    "interface", "dataflow", "layers", "shapes", "patterns", "indices", "numbers", "exponentials",
    "placement",
)  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """A rule: what it is called, how grave it is, who reported it, and the function that looks."""

    name: str
    severity: str
    source: str
    check: Check


_RULES: dict[str, Rule] = {}


def rule(name: str, *, severity: str, source: str = NO_REPORT) -> Callable[[Check], Check]:
    """Register a check under a name; it yields a place and a reason for each thing it finds."""
    if severity not in SEVERITIES:
        raise ValueError(f"{severity!r} is none of {', '.join(SEVERITIES)}")
    if source != NO_REPORT and not source.startswith("https://"):
        raise ValueError(f"{source!r} is no address")

    def decorate(check: Check) -> Check:
        if name in _RULES:
            raise ValueError(f"there are two rules {name!r}")
        _RULES[name] = Rule(name, severity, source, check)
        return check

    return decorate


def rules() -> dict[str, Rule]:
    """Return all rules by name, in the order of their families."""
    _import_families()
    return _RULES


@functools.cache
def _import_families() -> None:
    for family in FAMILIES:
        importlib.import_module(f"migrate.linting.of_{family}")
