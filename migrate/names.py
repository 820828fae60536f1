"""Names of layers and blobs, which may be any string, as unique Python identifiers."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

LONGEST = 60


def identifiers(names: Iterable[str], reserved: Collection[str] = ()) -> dict[str, str]:
    """Return an identifier for each distinct name: cleaned, never reserved, never the same twice.

    Names that are identifiers already keep theirs, whatever the others are cleaned to.
    """
    distinct = list(dict.fromkeys(names))
    taken = {name for name in distinct if _free(name, reserved)}
    chosen = {}
    for name in distinct:
        chosen[name] = name if name in taken else _unused(_clean(name), taken, reserved)
        taken.add(chosen[name])
    return chosen


def _free(name: str, reserved: Collection[str]) -> bool:
    plain = name.isascii() and name.isidentifier() and len(name) <= LONGEST
    return plain and not keyword.iskeyword(name) and name not in reserved


def _clean(name: str) -> str:
    cleaned = re.sub(r"[^0-9a-zA-Z_]+", "_", name).strip("_")[:LONGEST] or "unnamed"
    return f"n{cleaned}" if cleaned[0].isdigit() else cleaned


def _unused(name: str, taken: set[str], reserved: Collection[str]) -> str:
    number = 2
    candidate = name if _free(name, reserved) else f"{name}_"
    stem = candidate
    while candidate in taken or not _free(candidate, reserved):
        candidate = f"{stem}_{number}"
        number += 1
    return candidate
