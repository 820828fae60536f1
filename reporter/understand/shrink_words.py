"""A shrink in sentences: what records said, what is missing, and what was found in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import migrate
from reporter.understand.reading_words import CAVEAT
from reporter.understand.wording import several, some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migrate import Reduction, Reductions
    from reporter.understand.judged import Judged
    from reporter.understand.shrink_import import Imported
    from reporter.understand.shrunk import Candidate, Row, Shrunk

NAMED = 12  # networks or values in one sentence
STAYING = 6  # reasons why something is not made smaller
SAID = {
    "start": "only the last {} layers",
    "end": "only the first {} layers",
    "given": "'{}' left away, its output an input",
    "cut": "'{}' left away, its input an output",
    "bypass": "'{}' left away, its input in its place",
    "channels": "{} channels of '{}'",
    "kernel height": "kernel height {} of '{}'",
    "kernel width": "kernel width {} of '{}'",
    "height": "inputs of height {}",
    "width": "inputs of width {}",
    "weights": "weights seeded by {}",
}
ROWS = {
    "start": "last layers kept",
    "end": "first layers kept",
    "channels": "channels of '{}'",
    "kernel height": "kernel height of '{}'",
    "kernel width": "kernel width of '{}'",
    "height": "height of the inputs",
    "width": "width of the inputs",
    "weights": "seed of the weights",
}


def words(reductions: Reductions) -> str:
    """Return what was made smaller."""
    return ", ".join(map(_reduction, reductions)) or "the model itself"


def _reduction(r: Reduction) -> str:
    text = SAID[r.kind]
    if r.value == 1:
        text = text.replace("{} layers", "layer").replace("channels", "channel")
    values = (r.name,) if r.kind in ("given", "cut", "bypass") else (f"{r.value:,}", r.name)
    return text.format(*values)


def staying(reasons: Sequence[str]) -> Iterator[str]:
    """Say what cannot be made smaller."""
    yield from (f"{reason[0].upper()}{reason[1:]}." for reason in reasons[:STAYING])
    if len(reasons) > STAYING:
        yield f"{len(reasons) - STAYING} more things stay as they are."


def news(found: Imported) -> Iterator[str]:
    """Say what records added."""
    state = found.state
    if state.place and (found.new or found.unstable):
        yield f"{state.place.evidence.upper()} on {state.place}:"
    for candidate, judged in found.new:
        what = f": {words(candidate.reductions)}" if candidate.reductions else ""
        yield f"{candidate.name} {_verdict(judged)}{what}."
    for candidate in found.unstable:
        now = state.of(candidate.reductions)
        said = now.finding.said if now and now.finding else ""
        yield f"{candidate.name} is called flaky from now on: {said}."
    yield from _aside(found)


def _verdict(judged: Judged) -> str:
    """Return what a network's records say, as the predicate of a sentence."""
    failed = f"{judged.failed} of {len(judged.attempts)} repeats"
    if judged.word in ("fails", "does not run"):
        worst = judged.worst
        return (
            f"{judged.word} ({worst.detail or f'{worst.ratio:.3g} times what rounding explains'})"
        )
    return {
        "right": "is right",
        "flaky": f"is flaky, wrong in {failed}, so neither failing nor right",
        "in conflict": (
            f"is in conflict, wrong in {failed} of one input, but not within a record (give the "
            "record that holds)"
        ),
        "some inputs": "is wrong for some inputs only, so neither failing nor right",
        "set aside": f"is set aside, as {judged.reason}",
        "not measured": f"is not measured, as {judged.reason}",
    }[judged.word]


def _aside(found: Imported) -> Iterator[str]:
    if found.known:
        yield f"Records imported before, and not counted again: {found.known}."
    if found.strange:
        yield f"Records of none of these networks, left aside: {_listed(found.strange)}."
    if found.unplaced:
        yield (
            "Records that name no device with its system build, left aside: "
            f"{_listed(found.unplaced)}."
        )


def missing(state: Shrunk) -> Iterator[str]:
    """Say which networks of the last round have no record."""
    names = [c.name for c in state.pending]
    if names:
        yield f"Not measured of round {state.rounds}: {_listed(names)}."


def standing(state: Shrunk) -> Iterator[str]:
    """Say what the smallest failing network is so far."""
    smallest = state.smallest
    if smallest is None:
        return
    yield f"The smallest that fails so far is {smallest.name}: {words(smallest.reductions)}."
    yield from _by_chance(state, smallest)


def _by_chance(state: Shrunk, smallest: Candidate) -> Iterator[str]:
    if state.rate < 1 and smallest.finding:
        share = state.rate**smallest.finding.repeats
        yield (
            f"{state.model.name} itself is flaky (it fails in {state.rate:.0%} of its repeats): a "
            f"network that fails as often does so in all {smallest.finding.repeats} repeats by "
            f"chance in {share:.0%} of cases."
        )


def conclusion(state: Shrunk, sizes: tuple[int, int]) -> Iterator[str]:
    """Say what was found in the end; `sizes` are the bytes of the smallest and of the model."""
    smallest, model = state.smallest, state.model
    if smallest is None:
        return
    if smallest is model:
        yield f"No smaller network was found to fail: the smallest is {model.name} itself."
    else:
        yield f"The smallest network that fails: {words(smallest.reductions)}."
    yield from _by_chance(state, smallest)
    yield from map(row, state.table)
    yield (
        f"It has {several(smallest.layers, 'layer')} of {model.layers:,}, "
        f"{several(smallest.weights, 'weight')} of {model.weights:,}, and {sizes[0]:,} bytes of "
        f"{sizes[1]:,}."
    )
    yield CAVEAT.replace("Variants show", "Smaller networks show")


def row(found: Row) -> str:
    """Return a row of the table, everything else being as in the smallest."""
    if found.kind in ("given", "cut", "bypass"):
        gone = "fails" if 0 in found.fails else "is right" if 0 in found.right else "is undecided"
        return f"Layer '{found.name}': it {gone} without it."
    tried = [
        f"{word} at {_values(found, values)}"
        for word, values in (
            ("fails", found.fails),
            ("right", found.right[::-1]),
            ("undecided", found.neither),
        )
        if values
    ]
    text = f"{ROWS[found.kind].format(found.name).capitalize()}: {'; '.join(tried)}"
    if found.kind == "weights":  # seeds have no order
        return f"{text}."
    if found.fails and found.right and found.right[-1] > found.fails[0]:
        return f"{text}: not in order, so nothing is said of what lies between."
    if len(found.fails) > 1:
        text += f" (all {len(found.fails)} that were tried from {found.fails[0]:,} up)"
    return f"{text}."


def _values(found: Row, values: Sequence[int]) -> str:
    own = found.kind == "weights" and migrate.SEEDS in values
    shown = [f"{v:,}" for v in values if not (own and v == migrate.SEEDS)]
    return _listed([*shown, "the model's own"] if own else shown)


def _listed(names: Sequence[str]) -> str:
    return some(names, NAMED)
