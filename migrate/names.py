"""Names of layers, blobs and features, which may be any string, as Python and MIL have them."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from typing import TYPE_CHECKING

from migrate.coreml import coremltools

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

LONGEST = 48


def identifiers(names: Iterable[str], reserved: Collection[str] = ()) -> dict[str, str]:
    """Return an identifier for each distinct name: cleaned, never reserved, never the same twice.

    Names that are identifiers already keep theirs, whatever the others are cleaned to.
    """
    distinct = list(dict.fromkeys(names))
    forbidden = {*reserved, *keyword.kwlist}
    kept = {name for name in distinct if _plain(name) and name not in forbidden}
    taken = kept | forbidden
    counts: Counter[str] = Counter()
    chosen = {}
    for name in distinct:
        chosen[name] = name if name in kept else _unused(_clean(name, forbidden), taken, counts)
        taken.add(chosen[name])
    return chosen


def numbered(names: Iterable[str]) -> list[str]:
    """Return the names, those that stood before with a number that makes them new."""
    given = list(names)
    taken = set(given)
    seen: set[str] = set()
    counts: Counter[str] = Counter()
    found = []
    for name in given:
        found.append(_unused(name, taken, counts) if name in seen else name)
        seen.add(name)
        taken.add(found[-1])
    return found


def fresh(stem: str, taken: set[str]) -> str:
    """Return the stem, numbered if it is taken already, and take it."""
    name = _unused(stem, taken, Counter())
    taken.add(name)
    return name


def _plain(name: str) -> bool:
    """Tell whether a name may stay; two underscores in front mean something inside a class."""
    fits = name.isidentifier() and len(name) <= LONGEST
    return fits and name.isascii() and not name.startswith("__")


def _clean(name: str, forbidden: Collection[str]) -> str:
    cleaned = re.sub(r"[^0-9a-zA-Z_]+", "_", name).strip("_") or "unnamed"
    cleaned = f"n{cleaned}" if cleaned[0].isdigit() else cleaned
    cleaned = _ending(cleaned) if len(cleaned) > LONGEST else cleaned
    return f"{cleaned}_" if cleaned in forbidden else cleaned


def _ending(cleaned: str) -> str:
    """Return the end of a long name, which says most, from the start of a word on."""
    end = cleaned[-LONGEST:]
    word = re.search("_([a-zA-Z])", end)
    return end[word.start(1) :] if word else f"n{end[1:]}"


def _unused(stem: str, taken: set[str], counts: Counter[str]) -> str:
    """Return the stem, or the stem with the least number that was not tried before."""
    candidate = stem
    while candidate in taken:
        counts[stem] += 1
        candidate = f"{stem}_{counts[stem] + 1}"
    return candidate


def mil_name(name: str) -> str:
    """Return the name that coremltools gives a feature of this one."""
    coremltools()
    from coremltools.converters.mil.mil.passes.defs.preprocess import NameSanitizer

    return str(NameSanitizer().sanitize_name(name))
