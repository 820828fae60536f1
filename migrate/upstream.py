"""Which steps of a plan an output depends on, and how far before it they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migrate.network import Layer
    from migrate.replay_plan import Plan

# what gives another output for every other input, so that no change dies out in it
FAITHFUL = (
    "concat", "concatND", "copy", "expandDims", "flatten", "flattenTo2D", "permute",
    "rankPreservingReshape", "reshape", "reshapeStatic", "reverse", "squeeze", "stack", "transpose",
)  # fmt: skip


def suspects(plan: Plan, wrong: Sequence[int], right: Sequence[int]) -> list[int]:
    """Return the steps that may be at fault for wrong values, the most plausible first.

    Those are the steps that all of the wrong values depend on, without those that a right value
    shows as they are. First come those that no right value depends on, then the nearest to the
    farthest wrong value, by the fewest steps between, then the later.
    """
    found = [_distances(plan, number) for number in wrong]
    if not found:
        return []
    affecting = {at for number in right for at in _distances(plan, number)}
    steps = set.intersection(*map(set, found)) - {at for n in right for at in _shown(plan, n)}
    return sorted(steps, key=lambda at: (at in affecting, max(d[at] for d in found), -at))


def of_loops(plan: Plan) -> set[int]:
    """Return the steps that a loop depends on."""
    found: set[int] = set()
    for at, step in enumerate(plan.steps):
        if step.layer and _loops(step.layer):
            found |= _before(plan, [at]).keys() - {at}
    return found


def _loops(layer: Layer) -> bool:
    inside = (one for block in layer.blocks for one in block)
    return layer.kind == "loop" or any(map(_loops, inside))


def _writers(plan: Plan) -> dict[int, int]:
    return {number: at for at, step in enumerate(plan.steps) for number in step.writes}


def _distances(plan: Plan, number: int) -> dict[int, int]:
    """Return the steps that a value depends on, with the fewest steps between."""
    writers = _writers(plan)
    return _before(plan, [writers[number]] if number in writers else [])


def _before(plan: Plan, ends: Iterable[int]) -> dict[int, int]:
    writers, found, front, distance = _writers(plan), {}, set(ends), 0
    while front:
        found.update(dict.fromkeys(front, distance))
        read = {n for at in front for n in plan.steps[at].reads if n in writers}
        front = {writers[n] for n in read} - found.keys()
        distance += 1
    return found


def _shown(plan: Plan, number: int) -> set[int]:
    """Return the steps whose values a value holds as they are, in another place or shape."""
    writers, found = _writers(plan), set()
    front = {number}
    while front:
        at = {writers[n] for n in front if n in writers}
        found |= at
        front = {n for i in at if _faithful(plan, i) for n in plan.steps[i].reads if n is not None}
    return found


def _faithful(plan: Plan, at: int) -> bool:
    """Tell whether a step loses nothing; an exit, unless it makes whole numbers of an image."""
    step = plan.steps[at]
    return step.layer.kind in FAITHFUL if step.layer else step.faithful
