"""The generalisation table: what networks gave that differ from the smallest in one knob alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.understand.shrink_search import overruled
from reporter.understand.shrunk import Candidate, Row, Shrunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reporter.understand.shrink_search import Networks


def rows(state: Shrunk, networks: Networks) -> tuple[Row, ...]:
    """Return a row for each knob that another value was measured of, in their order."""
    smallest = state.smallest
    if smallest is None:
        return ()
    own = {r.key: r.value for r in smallest.reductions}
    own |= {k.key: k.value for k in networks.knobs(smallest.reductions)[0] if k.key not in own}
    found: dict[tuple[str, str], dict[int, Candidate]] = {}
    for key, value, candidate in _differing(state, smallest, networks):
        found.setdefault(key, {own[key]: smallest})[value] = candidate
    return tuple(_row(state, key, values) for key, values in found.items())


def _differing(
    state: Shrunk, smallest: Candidate, networks: Networks
) -> Iterator[tuple[tuple[str, str], int, Candidate]]:
    """Yield the networks that differ in one knob: which, and its value."""
    own = {r.key: r.value for r in smallest.reductions}
    for candidate in state.candidates:
        if not candidate.finding:
            continue
        theirs = {r.key: r.value for r in candidate.reductions}
        keys = [k for k in {**own, **theirs} if own.get(k) != theirs.get(k)]
        if len(keys) != 1 or overruled(networks, smallest.reductions, keys[0]):
            continue
        value = theirs.get(keys[0])
        if value is None:
            knobs = networks.knobs(candidate.reductions)[0]
            value = next((k.value for k in knobs if k.key == keys[0]), None)
        if value is not None:
            yield keys[0], value, candidate


def _row(state: Shrunk, key: tuple[str, str], values: dict[int, Candidate]) -> Row:
    failing = sorted(v for v, c in values.items() if c in state.failing)
    right = sorted(v for v, c in values.items() if c in state.right)
    neither = sorted(set(values) - {*failing, *right})
    return Row(
        kind=key[0], name=key[1], fails=tuple(failing), right=tuple(right), neither=tuple(neither)
    )
