"""What the gate took out of a report, counted; never the things themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NOTHING = "nothing was found to remove"


@dataclass(frozen=True)
class Removed:
    """How many different things of a kind were taken out, and of which files; or were kept."""

    kind: str
    count: int
    where: tuple[str, ...]
    kept: bool = False  # as --keep-metadata asks


def merged(before: Iterable[Removed], fresh: Iterable[Removed]) -> tuple[Removed, ...]:
    """Return what was taken out in two goes, by kind; the second saw what the first had left."""
    found: dict[tuple[str, bool], Removed] = {}
    for one in (*before, *fresh):
        old = found.get((one.kind, one.kept), Removed(one.kind, 0, (), one.kept))
        where = tuple(dict.fromkeys((*old.where, *one.where)))
        found[one.kind, one.kept] = Removed(one.kind, old.count + one.count, where, one.kept)
    return tuple(found.values())


def removals(found: Iterable[Removed]) -> tuple[str, ...]:
    """Return in words what was taken out, and what was kept: "removed: 2 paths (records)"."""
    every = tuple(found)
    out = _list("removed", [one for one in every if not one.kept]) or NOTHING
    kept = _list("kept in the model, as --keep-metadata asks", [one for one in every if one.kept])
    return (out, kept) if kept else (out,)


def _list(what: str, found: list[Removed]) -> str:
    return f"{what}: {', '.join(map(_counted, found))}" if found else ""


def _counted(one: Removed) -> str:
    several = "es" if one.kind.endswith("s") else "s"
    where = f" ({', '.join(one.where)})" if one.where else ""
    return f"{one.count:,} {one.kind}{several if one.count != 1 else ''}{where}"
