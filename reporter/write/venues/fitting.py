"""A text within a limit: parts are left out in a stated order, and what was is said at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def fitted(
    parts: Mapping[str, str], foldable: Mapping[str, str], shorter: Mapping[str, str], limit: int
) -> str:
    """Return parts as paragraphs, in their order, within `limit` characters as far as possible.

    `foldable` says what parts that may be left out are called, those that are wanted least first;
    one that is among `shorter` gives way to that. One too long by itself makes place for others.
    """
    given = {name: text.strip() for name, text in parts.items() if text.strip()}
    gone = [name for name in foldable if name in given]

    def joined(gone: Collection[str]) -> str:
        shown = [shorter.get(n, "").strip() if n in gone else text for n, text in given.items()]
        called = ", ".join(foldable[name] for name in gone)
        said = f"Left out here, and in report.md: {called}." if gone else ""
        return "\n\n".join(filter(None, [*shown, said])) + "\n"

    if len(whole := joined([])) <= limit:
        return whole
    for name in reversed(tuple(gone)):
        fewer = [other for other in gone if other != name]
        if len(joined(fewer)) <= limit:
            gone = fewer
    return joined(gone)
