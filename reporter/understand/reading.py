"""The reading of the variants' records: which edits make the divergence vanish, and what fails.

One reading for each device and system build, measured and simulated ones apart; plain data, which
`reading_words.sentences` says in words. It names what failing variants have in common, and never
the stage that is responsible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import migrate
from reporter.measure.record import of
from reporter.understand.judged import Judged, judge
from reporter.understand.place import place_of_fault
from reporter.understand.traits import Rule, rules
from reporter.understand.variant_set import PROGRAM, members, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from reporter.measure.record import Record
    from reporter.understand.judged import Word
    from reporter.understand.manifest import Manifest
    from reporter.understand.place import Place
    from reporter.understand.variant_set import Member, Opened

    Named = tuple[str, Record]  # a record, and what its file is called

HEALTHY = "none"  # what a simulator without a fault is told
CHANCE = 0.05  # by which a flaky model's variant may be right without being better


@dataclass(frozen=True)
class Reading:
    """What the records of one device say of the model and its variants."""

    folder: str  # as the user knows it
    place: Place | None  # none if there is no record
    model: Judged
    variants: tuple[Judged, ...]
    rules: tuple[Rule, ...] = ()  # any of them separates what fails from what is right
    strange: tuple[str, ...] = ()  # records of none of these models
    unplaced: tuple[str, ...] = ()  # records that name no device

    def with_word(self, word: Word) -> tuple[Judged, ...]:
        """Return the variants of a verdict."""
        return tuple(v for v in self.variants if v.word == word)

    @property
    def diverges(self) -> bool:
        """Whether there is something to explain: the model itself is wrong, or does not run."""
        return self.model.word in ("fails", "flaky", "does not run")

    @property
    def failure(self) -> Word:
        """What counts as failing: wrong numbers, unless the model itself does not run."""
        return _failure(self.model)

    @property
    def failing(self) -> tuple[Judged, ...]:
        """The variants that fail as the model does."""
        return self.with_word(self.failure)

    @property
    def vanishing(self) -> tuple[Judged, ...]:
        """The edits that make the divergence vanish."""
        if not self.diverges:
            return ()
        return tuple(v for v in self.sound if chance(self.model, v) < CHANCE)

    @property
    def undecided(self) -> tuple[Judged, ...]:
        """The edits whose right outputs may be chance, as the model is flaky."""
        sound = self.sound if self.diverges else ()
        return tuple(v for v in sound if v not in self.vanishing)

    @property
    def sound(self) -> tuple[Judged, ...]:
        """The variants that are right, and as much the Neural Engine's work as the model is."""
        return tuple(v for v in self.with_word("right") if _sound(v, self.model))

    @property
    def doubted(self) -> tuple[Judged, ...]:
        """The variants that are right, with a doubt that the model itself is free of."""
        return tuple(v for v in self.with_word("right") if not _sound(v, self.model))

    @property
    def smallest(self) -> Judged | None:
        """The smallest that fails, by layers, then weights; the model itself if none is smaller."""
        failing = [v for v in (self.model, *self.failing) if v.word == self.failure]
        networks = [v for v in failing if v.member.kind != PROGRAM]
        return min(networks, key=lambda v: v.size, default=None)


def chance(model: Judged, variant: Judged) -> float:
    """Return how likely a variant is right in all repeats if it fails as often as the model."""
    rate = model.failed / len(model.attempts)
    return float((1 - rate) ** len(variant.attempts))


def readings(
    manifest: Manifest,
    folder: Path,
    records: Sequence[Named],
    limit: float | None = None,
    custom: Sequence[str] = (),
    tell: Callable[[str], None] = lambda text: None,
    called: str = "",
) -> tuple[Reading, ...]:
    """Return a reading for each device and build that records of the set come from, at least one.

    `limit` is how many times what rounding explains is still right, ENVELOPE_K unless given.
    `custom` are builders as on the command line, `tell` is told what is compared, and `called` is
    what the user knows the folder as. A fault of one variant or record is said in the reading.
    """
    limit = migrate.ENVELOPE_K if limit is None else limit
    if not 0 < limit < float("inf"):
        raise migrate.AnereportError(f"the limit is a positive number, not {limit}")
    known = members(manifest)
    strange = tuple(n for n, r in records if not any(_of(r, m) for m in known))
    ours = [(n, r) for n, r in records if n not in strange]
    unplaced = tuple(n for n, r in ours if place_of_fault(r) is None)
    places = _places([r for _, r in ours])
    spots: list[Place | None] = [*places] or [None]
    found: dict[Place | None, list[Judged]] = {place: [] for place in spots}
    for member in known:  # one network at a time is in memory
        tell(f"comparing records of {member.name}")
        own = [(n, r) for n, r in ours if _of(r, member)]
        judged = _judged(folder, member, own, spots, limit, custom)
        for place, one in zip(spots, judged, strict=True):
            found[place].append(one)
    return tuple(
        Reading(
            called or str(folder), place, rows[0], tuple(rows[1:]), _rules(rows), strange, unplaced
        )
        for place, rows in found.items()
    )


def _places(records: Sequence[Record]) -> list[Place]:
    """Return the places of records; of simulators without a fault only if there is no other.

    A fault cannot be simulated in every variant, and such a record tells nothing of it.
    """
    found = {place: r.simulation for r in records if (place := place_of_fault(r))}
    faulty = [place for place, simulation in found.items() if simulation != HEALTHY]
    return faulty or list(found)


def _judged(
    folder: Path,
    member: Member,
    records: Sequence[Named],
    places: Sequence[Place | None],
    limit: float,
    custom: Sequence[str],
) -> list[Judged]:
    """Return what each place's records say of a member."""
    if not records and not member.fault:
        return [Judged(member, "not measured") for _ in places]
    try:
        model: Opened = opened(folder, member, custom)
    except migrate.AnereportError as error:
        return [Judged(member, "set aside", str(error)) for _ in places]
    return [judge(model, [r for r in records if place_of_fault(r[1]) == p], limit) for p in places]


def _of(record: Record, member: Member) -> bool:
    return member.identity is not None and of(record, member.identity)


def _rules(rows: Sequence[Judged]) -> tuple[Rule, ...]:
    """Return the rules that separate what fails from what is right, ML Programs aside.

    Right taps and cuts are no evidence and were set aside; where the model is flaky there are none.
    """
    failure = _failure(rows[0])
    failing = [v.traits for v in rows if v.word == failure and v.member.kind != PROGRAM]
    right = [
        v.traits
        for v in rows
        if v.word == "right" and v.member.kind != PROGRAM and _sound(v, rows[0])
    ]
    return rules(failing, right) if rows[0].word != "flaky" else ()


def _sound(variant: Judged, model: Judged) -> bool:
    return set(variant.doubts) <= set(model.doubts)


def _failure(model: Judged) -> Word:
    return "does not run" if model.word == "does not run" else "fails"
