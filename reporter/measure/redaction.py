"""What tells a person or one machine, taken out of a text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from reporter.measure.paths import Paths, paths
from reporter.measure.private import PRIVATE_KEY, RULES, Rule
from reporter.measure.surroundings import Surroundings, here

PATH = "path"
ENDS = "nrt"
SPELLED, ENDED = re.compile(rf"\\([{ENDS}])"), re.compile("\n(\0{1,3})")
Keeps = Callable[[str, int, int], bool]  # a text, where a match begins and ends: whether it stays
Notes = Callable[[str, str], None]  # is told the kind of each thing taken out, and the thing


def _nothing_stays(text: str, start: int, end: int) -> bool:
    return False


def _untold(kind: str, found: str) -> None:
    pass


@dataclass(frozen=True)
class Redaction:
    """The rules in their order: paths, what is this machine's, what is private anywhere."""

    paths: Paths
    rules: tuple[Rule, ...]

    def text(self, text: str, keeps: Keeps = _nothing_stays, notes: Notes = _untold) -> str:
        r"""Return a text with a word in place of each private thing.

        Where it spells ends of lines, "\n" as source does, the lines are looked at one by one too;
        not alone, as a path of Windows spells folders so.
        """
        text = _without(PRIVATE_KEY, self._without_paths(text, keeps, notes), keeps, notes)
        if SPELLED.search(text):
            lines = SPELLED.sub(lambda end: "\n" + "\0" * (1 + ENDS.index(end[1])), text)
            told = self._ruled(self._without_paths(lines, keeps, notes), keeps, notes)
            text = ENDED.sub(lambda end: "\\" + ENDS[len(end[1]) - 1], told)
        return self._ruled(text, keeps, notes)

    def _ruled(self, text: str, keeps: Keeps, notes: Notes) -> str:
        small = text.lower()
        for rule in self.rules:
            if not rule.hints or any(hint in small for hint in rule.hints):
                text = _without(rule, text, keeps, notes)
        return text

    def _without_paths(self, text: str, keeps: Keeps, notes: Notes) -> str:
        said, after = [], 0
        for start, end, short in self.paths.found(text):
            found = text[start:end]
            if short != found and not keeps(text, start, end):
                notes(PATH, found)
                said += [text[after:start], short]
                after = end
        return "".join([*said, text[after:]]) if said else text


def redaction(surroundings: Surroundings | None = None) -> Redaction:
    """Return the rules for a machine; this one, as it is now, unless another is given."""
    known = surroundings or here()
    return Redaction(paths(known.folders), (*known.rules, *RULES))


def _without(rule: Rule, text: str, keeps: Keeps, notes: Notes) -> str:
    said, after = [], 0
    for match in rule.pattern.finditer(text):
        group = "private" if "private" in rule.pattern.groupindex else 0
        found, (start, end) = match[group], match.span(group)
        if rule.accept(found) and not keeps(text, start, end):
            notes(rule.kind, found)
            said += [text[after:start], rule.replacement]
            after = end
    return "".join([*said, text[after:]]) if said else text
