"""Statements of a program: which of them count, and how they look."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from migrate.printing import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass
class Line:
    """A statement of one expression; `targets` is the name, or the tuple of names, it assigns."""

    text: str
    reads: set[str]
    targets: Any = ()
    keep: bool = False  # whether it counts though nobody reads what it assigns
    atom: bool = True  # whether the expression needs no parentheses before a dot


@dataclass
class Compound:
    """A statement with statements inside: headers with their bodies."""

    parts: list[tuple[str, list[Any]]]
    reads: set[str] = field(default_factory=set)


Statement = Line | Compound


def live(statements: Sequence[Statement], result: set[str]) -> list[Statement]:
    """Return the statements without those whose results nobody reads; `result` is read last."""
    kept = list(statements)
    while True:
        before = sum(1 for _ in every(kept))
        kept = _keep(kept, all_reads(kept) | result)
        if sum(1 for _ in every(kept)) == before:
            return kept


def _keep(statements: Sequence[Statement], read: set[str]) -> list[Statement]:
    kept: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Line):
            if statement.keep or read & set(names_of(statement.targets)):
                kept.append(statement)
            continue
        first, *others = ((header, _keep(body, read)) for header, body in statement.parts)
        parts = [first, *(part for part in others if part[1])]
        if any(body for _, body in parts):
            kept.append(Compound(parts, statement.reads))
    return kept


def inline(statements: list[Statement], names: Mapping[str, str]) -> list[Statement]:
    """Put what is assigned to each name into the one statement that reads it.

    `names` maps it to the target of that statement; the name stays where others read it as well.
    """
    lines_ = {line.targets: line for line in statements if isinstance(line, Line)}
    reads = Counter(name for statement in every(statements) for name in statement.reads)
    gone = set()
    for name, target in names.items():
        source, user = lines_.get(name), lines_.get(target)
        marked = f"{VARIABLE}{name}{VARIABLE}"
        if source and user and reads[name] == 1 and user.text.count(marked) == 1:
            user.text = user.text.replace(
                marked, source.text if source.atom else f"({source.text})"
            )
            user.reads = (user.reads - {name}) | source.reads
            gone.add(id(source))
    return [statement for statement in statements if id(statement) not in gone]


def every(statements: Sequence[Statement]) -> Iterator[Statement]:
    """Yield the statements and those inside them."""
    for statement in statements:
        yield statement
        if isinstance(statement, Compound):
            for _, body in statement.parts:
                yield from every(body)


def all_reads(statements: Sequence[Statement]) -> set[str]:
    """Return the variables that the statements read."""
    return set().union(*(statement.reads for statement in every(statements)))


def names_of(pattern: Any) -> Iterator[str]:
    """Yield the names that a pattern assigns."""
    if isinstance(pattern, str):
        yield pattern
        return
    for part in pattern:
        yield from names_of(part)


def lines(statements: Sequence[Statement], read: set[str], indent: str = "") -> Iterator[str]:
    """Yield the text; of the several results of a call those that nobody reads are `_`."""
    for statement in statements:
        if isinstance(statement, Line):
            target = _target(statement.targets, read, outermost=True)
            yield f"{indent}{target} = {statement.text}" if target else indent + statement.text
            continue
        for header, body in statement.parts:
            yield indent + header
            yield from lines(body, read, indent + "    ") if body else [f"{indent}    pass"]


def _target(pattern: Any, read: set[str], *, outermost: bool) -> str:
    if isinstance(pattern, str):
        return f"{VARIABLE}{pattern}{VARIABLE}" if outermost or pattern in read else "_"
    if not outermost and not read & set(names_of(pattern)):
        return "_"
    inner = ", ".join(_target(part, read, outermost=False) for part in pattern)
    inner += "," if len(pattern) == 1 else ""
    return inner if outermost or not inner else f"({inner})"
