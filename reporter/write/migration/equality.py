"""What a page says of a verification: the worst of each output, what became of weights, layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrate import LayerMap, Verification

KINDS = ("same", "nearest fp16", "compressed", "merged", "read as a number", "left out")


@dataclass(frozen=True)
class Worst:
    """The worst of an output's comparisons, over all inputs."""

    variant: str
    output: str
    largest: float  # error
    ratio: float  # to what rounding explains
    inputs: str
    within: bool


@dataclass(frozen=True)
class Fate:
    """What became of how many weights of a program."""

    program: str
    fate: str
    count: int
    example: str


def worst(verification: Verification) -> list[Worst]:
    """Return the worst comparison of each output of each variant, in order."""
    found: dict[tuple[str, str], Worst] = {}
    for c in verification.comparisons:
        key = (c.variant, c.output)
        this = Worst(c.variant, c.output, c.largest, c.ratio, c.inputs, c.within)
        before = found.get(key, this)
        worse = this if c.ratio > before.ratio else before
        found[key] = replace(worse, largest=max(c.largest, before.largest))
    return list(found.values())


def fates(verification: Verification) -> list[Fate]:
    """Return what became of the weights, counted by program and fate."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for weight in verification.weights:
        for program, fate in weight.became.items():
            key = (program, _kind(fate))
            counts[key] += 1
            examples.setdefault(key, f"{weight.layer}: {weight.name}")
    return [Fate(*key, count, examples[key]) for key, count in sorted(counts.items())]


def _kind(fate: str) -> str:
    """Return a fate without the names of what it is about, so that equal ones can be counted."""
    return next((kind for kind in KINDS if fate.startswith(kind)), fate)


def layers(verification: Verification) -> LayerMap | None:
    """Return the map of the first program that says where its operations come from."""
    return next((m for m in verification.maps.values() if m.carried), None)


def carried(operations: Sequence[tuple[str, str]]) -> str:
    """Return the operations of a layer in words, casts aside."""
    return ", ".join(f"{name} ({kind})" for name, kind in operations if kind != "cast") or "a cast"
