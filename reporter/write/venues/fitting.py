"""A text within a limit: parts are left out in a stated order, and what was is said at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.write.rendering import plain, plain_long
from reporter.write.report.questions import questions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from reporter.write.report.report import Report

ASKED = "asked"  # the part in whose place the answers stand
SHORT = "short_"  # begins the name of a part that another gives way to
LAST_TO_GO = (
    "Does a second device of the same model show it?",
    "Does it go away in fp32?",
    "Which was the last good system?",
)


def answers(report: Report) -> dict[str, str]:
    """Return what is known of the usual questions, a paragraph for each."""
    return {
        q.asked: f"{q.asked} {plain_long(q.answer)} ({plain(q.evidence)})."
        for q in questions(report)
        if q.answered
    }


def with_answers(
    parts: Mapping[str, str], told: Mapping[str, str], foldable: Mapping[str, str], limit: int
) -> str:
    """Return parts `fitted`: each answer is a part, and "short_NAME" the shorter form of NAME."""
    shorter = {n.removeprefix(SHORT): text for n, text in parts.items() if n.startswith(SHORT)}
    whole = {n: text for n, text in parts.items() if not n.startswith(SHORT)}
    ranked = [*reversed([n for n in told if n not in LAST_TO_GO]), *LAST_TO_GO]
    called = dict.fromkeys(ranked, foldable[ASKED])
    return fitted(_instead(whole, told), _instead(foldable, called), shorter, limit)


def _instead(mapping: Mapping[str, str], answers: Mapping[str, str]) -> dict[str, str]:
    """Return a mapping with the answers in their place, in its order."""
    found: dict[str, str] = {}
    for name, value in mapping.items():
        found |= answers if name == ASKED else {name: value}
    return found


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
        called = ", ".join(dict.fromkeys(foldable[name] for name in gone))
        said = f"Left out here, and in report.md: {called}." if gone else ""
        return "\n\n".join(filter(None, [*shown, said])) + "\n"

    if len(whole := joined([])) <= limit:
        return whole
    for name in reversed(tuple(gone)):
        fewer = [other for other in gone if other != name]
        if len(joined(fewer)) <= limit:
            gone = fewer
    return joined(gone)
