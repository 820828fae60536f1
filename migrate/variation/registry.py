"""Which function drafts which kind of variant: the one table, in the order of the families."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migrate.variation.original import Original
    from migrate.variation.variant import Draft, LeftOut

    Drafter = Callable[[Original], Iterator[Draft | LeftOut]]

FAMILIES = ("layers", "concatenations", "convolutions", "channels", "layout", "interface", "cuts")
_DRAFTERS: dict[str, Drafter] = {}


def variant(kind: str) -> Callable[[Drafter], Drafter]:
    """Register a function that drafts variants; its docstring says what they test, in one line."""

    def decorate(draft: Drafter) -> Drafter:
        if kind in _DRAFTERS:
            raise ValueError(f"{kind!r} has two functions")
        if not (draft.__doc__ or "").strip() or "\n" in (draft.__doc__ or ""):
            raise ValueError(f"{kind!r} needs a docstring of one line")
        _DRAFTERS[kind] = draft
        return draft

    return decorate


def drafters() -> dict[str, Drafter]:
    """Return the table, by kind."""
    _import_families()
    return _DRAFTERS


def kinds() -> dict[str, str]:
    """Return what each kind of variant tests."""
    return {kind: (draft.__doc__ or "").strip() for kind, draft in drafters().items()}


@functools.cache
def _import_families() -> None:
    for family in FAMILIES:
        importlib.import_module(f"migrate.variation.of_{family}")
