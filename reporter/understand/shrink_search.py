"""Which smaller networks to measure next, from what those before them gave.

A network is named by its reductions. It is below another if every knob that the other has turned
is turned as far or farther. The search assumes that what is below a right one is right, leaves
aside a right one that has a failing one below it, and measures the last step of every knob itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from migrate import Knob, Reduction, Reductions

    Key = tuple[str, str]

ENDS = ("start", "end")
STRUCTURE = (*ENDS, "given", "cut", "bypass")
NEAR = 2  # steps beside a value that cannot be made, to be tried in its place


class Networks(Protocol):
    """What the search asks of `migrate.Reducible`."""

    def ordered(self, reductions: Iterable[Reduction]) -> Reductions:
        """Return reductions in the order in which they are made."""

    def settled(self, reductions: Iterable[Reduction]) -> Reductions:
        """Return them without those that the others take away."""

    def lacks(self, reductions: Reductions, other: Reduction) -> bool:
        """Tell whether reductions take away what another one is of."""

    def knobs(self, reductions: Iterable[Reduction]) -> tuple[tuple[Knob, ...], tuple[str, ...]]:
        """Return what can be made smaller still."""


@dataclass
class Search:
    """The networks that were measured, and what follows from them.

    `makeable` tells whether a network can be measured at all; it is asked once for each.
    """

    networks: Networks
    base: Reductions  # the smallest that fails
    failing: tuple[Reductions, ...]
    right: tuple[Reductions, ...]
    others: frozenset[Reductions]  # neither, or never to be measured
    makeable: Callable[[Reductions], bool]
    _found: list[Reductions] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trusted = [r for r in self.right if not any(self.below(f, r) for f in self.failing)]
        self.measured = {*self.failing, *self.right, *self.others}

    def smaller(self, most: int) -> list[Reductions]:
        """Return at most so many networks that may fail and are smaller than the base."""
        self._found = []
        start, together = self.base, self.together()
        if together != start and self._take(together):
            start = together
        self._split(start, most)
        if start != self.base:
            self._split(self.base, most)
        return self._found

    def together(self) -> Reductions:
        """Return the base, reduced as far as any that fails in every knob that can go with it."""
        least: dict[Key, Reduction] = {}
        for failing in self.failing:
            for r in failing:
                if r.key not in least or r.value < least[r.key].value:
                    least[r.key] = r
        found = self.base
        for r in least.values():
            own = {other.key: other.value for other in found}
            if own.get(r.key) != r.value and not self.networks.lacks(found, r):
                found = self._joined(found, r)
        return found

    def _joined(self, reductions: Reductions, other: Reduction) -> Reductions:
        """Return reductions with another one, or as they are if they do not go together."""
        kept = [r for r in reductions if r.key != other.key]
        try:
            found = self.networks.settled([*kept, other])
        except migrate.AnereportError:
            return reductions
        return found if self.makeable(found) else reductions

    def last_steps(self, most: int) -> list[Reductions]:
        """Return the networks one step below the base that were never measured themselves."""
        self._found = []
        for knob in self.networks.knobs(self.base)[0]:
            if knob.value > knob.least and len(self._found) < most:
                self._take(self.turned(self.base, knob, knob.value - knob.step), implied=True)
        return self._found

    def wider(self, most: int) -> list[Reductions]:
        """Return networks that differ from the base in one knob, that is turned less far."""
        self._found = []
        for reductions in _alternating([self._wider(r) for r in self.base]):
            if len(self._found) == most:
                break
            self._take(reductions, implied=True)
        return self._found

    def below(self, one: Reductions, other: Iterable[Reduction]) -> bool:
        """Tell whether `one` has every knob that `other` turned as far or farther, or lost it."""
        own = {r.key: r.value for r in one}
        return all(
            own[r.key] <= r.value if r.key in own else self.networks.lacks(one, r) for r in other
        )

    def _wider(self, turned: Reduction) -> list[Reductions]:
        """Return the base with one knob as it was, half way, and a step above, as far as it has."""
        without = tuple(r for r in self.base if r != turned)
        if overruled(self.networks, self.base, turned.key) or not self.makeable(without):
            return []
        knobs = {knob.key: knob for knob in self.networks.knobs(without)[0]}
        knob = knobs.get(turned.key)
        if knob is None or knob.kind in STRUCTURE:
            return []
        half = turned.value + (knob.value - turned.value + 1) // 2 // knob.step * knob.step
        above = dict.fromkeys((half, turned.value + knob.step))
        values = [v for v in above if turned.value < v < knob.value]
        return [self.networks.ordered(without), *(self.turned(self.base, knob, v) for v in values)]

    def turned(self, reductions: Reductions, knob: Knob, value: int) -> Reductions:
        """Return reductions with a knob at another value."""
        others = [r for r in reductions if r.key != knob.key]
        make = self.networks.settled if knob.kind in STRUCTURE else self.networks.ordered
        return make([*others, knob.at(value)])

    def _split(self, start: Reductions, most: int) -> None:
        """Take values of the open knobs of a network, one of each, then more of the widest."""
        knobs = self.networks.knobs(start)[0]
        values = {knob: self._open(start, knob) for knob in knobs}
        waiting = {knob.key for knob, found in values.items() if found}
        values = {k: v for k, v in values.items() if v and waiting.isdisjoint(k.behind)}
        left = most - len(self._found)
        several = max(left // 4, 1) if len(values) > left else 1  # few ends at once: many knobs
        shares: dict[Knob, int] = {}
        for knob, found in values.items():
            wanted = min(several if knob.kind in ENDS else 1, len(found))
            if sum(shares.values()) + wanted <= left:
                shares[knob] = wanted
        while shares and sum(shares.values()) < left:
            knob = max(shares, key=lambda k: len(values[k]) / (shares[k] + 1))
            if shares[knob] >= len(values[knob]):
                break
            shares[knob] += 1
        for knob, share in shares.items():
            for value in _spread(values[knob], share, knob.least):
                self._near(start, knob, value, values[knob])

    def _open(self, start: Reductions, knob: Knob) -> list[int]:
        """Return the values of a knob that may fail and were not measured, upwards."""
        rest = tuple(r for r in start if r.key != knob.key)
        low = knob.least - knob.step
        for right in self.trusted:
            own = {r.key: r.value for r in right}
            if knob.key in own and self.below(rest, [r for r in right if r.key != knob.key]):
                low = max(low, own[knob.key])
        low += -(low - knob.value) % knob.step
        values = range(low + knob.step, knob.value, knob.step)
        return [v for v in values if self.turned(start, knob, v) not in self.measured]

    def _near(self, start: Reductions, knob: Knob, value: int, values: Sequence[int]) -> None:
        """Take a value of a knob; if it cannot be made one beside it, above the least the first."""
        place = values.index(value)
        if place == 0 and value == knob.least:
            self._first(start, knob, values)
            return
        for near in values[place : place + NEAR + 1]:
            if self._take(self.turned(start, knob, near)):
                return

    def _first(self, start: Reductions, knob: Knob, values: Sequence[int]) -> None:
        """Take the smallest value that can be made, if what is above one that can, can too."""
        low, high = 0, len(values)
        while low < high:
            middle = (low + high) // 2 if low else 0
            if self.makeable(self.turned(start, knob, values[middle])):
                high = middle
            else:
                low = middle + 1
        if high < len(values):
            self._take(self.turned(start, knob, values[high]))

    def _take(self, reductions: Reductions, implied: bool = False) -> bool:
        """Take a network that is new, may fail (unless `implied`) and can be made."""
        new = reductions not in self.measured and reductions not in self._found
        open_ = implied or not any(self.below(reductions, right) for right in self.trusted)
        if not new or not open_ or not self.makeable(reductions):
            return False
        self._found.append(reductions)
        return True


def overruled(networks: Networks, base: Reductions, key: Key) -> bool:
    """Tell whether a sum of channels says nothing, as one of its parts was turned after it."""
    keys = [r.key for r in base]
    if key not in keys:
        return False
    place = keys.index(key)
    parts = {knob.key for knob in networks.knobs(base[:place])[0] if key in knob.behind}
    return not parts.isdisjoint(keys[place:])


def _spread(values: Sequence[int], share: int, least: int) -> list[int]:
    """Return so many values, evenly; first and last too if nothing is known of the least."""
    if share >= len(values):
        return list(values)
    if values[0] > least:
        return [values[len(values) * (i + 1) // (share + 1)] for i in range(share)]
    if share == 1:
        return [values[0]]
    return [values[(len(values) - 1) * i // (share - 1)] for i in range(share)]


def _alternating(lists: Sequence[Sequence[Reductions]]) -> Iterator[Reductions]:
    """Yield the first of each list, then the second of each."""
    for place in range(max(map(len, lists), default=0)):
        yield from (found[place] for found in lists if place < len(found))
