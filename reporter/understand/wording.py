"""Numbers, lists and names in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def counted(value: float) -> str:
    """Return a number at three significant digits, or whole: 0.123, 935, 2,569."""
    return f"{value:,.0f}" if 999.5 <= value < 1e6 else f"{value:.3g}"


def several(number: int, what: str) -> str:
    """Return how many there are: "1 layer", "2,569 layers"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def joined(names: Sequence[str]) -> str:
    """Return all names: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def some(names: Sequence[str], most: int, between: str = ", ") -> str:
    """Return the first names, and how many more there are: "a, b", "a, b and 3 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def printable(text: str) -> str:
    """Return a text in one line: names in a model may hold anything."""
    return "".join(c if c.isprintable() else " " for c in text)


def clipped(text: str, longest: int) -> str:
    """Return a text of so many characters at most; dots stand for its end."""
    return text if len(text) <= longest else text[: longest - 3] + "..."
