"""Records of a shrink's networks, judged: what they add to what is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import migrate
from reporter.measure.record import of
from reporter.understand.judged import Judged, judge
from reporter.understand.manifest import load
from reporter.understand.place import place_of_fault
from reporter.understand.reading import HEALTHY
from reporter.understand.shrunk import Candidate, Finding, ShrinkError, Shrunk
from reporter.understand.variant_set import members, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from reporter.measure.record import Record
    from reporter.understand.place import Place

UNABLE = "the simulator's fault has no place in it"
OPEN = ("not measured", "in conflict")  # words after which other records are waited for
TELLING = ("fails", "right", "flaky", "does not run")


@dataclass(frozen=True)
class Given:
    """A record, what its file is called, and the file's sha256."""

    name: str
    record: Record
    digest: str


@dataclass(frozen=True)
class Imported:
    """What records added."""

    state: Shrunk
    new: tuple[tuple[Candidate, Judged], ...]
    unstable: tuple[Candidate, ...]  # that an earlier round found to be otherwise
    known: int  # files that were imported before
    strange: tuple[str, ...]  # records of none of the networks
    unplaced: tuple[str, ...]  # records that name no device

    @property
    def telling(self) -> bool:
        """Whether anything follows that was not known before."""
        words = [judged.word for _, judged in self.new]
        return bool(self.unstable) or not {"fails", "right", "does not run"}.isdisjoint(words)


def round_folder(folder: Path, number: int) -> Path:
    """Return the folder of a round."""
    return folder / f"round-{number}"


def imported(
    state: Shrunk,
    folder: Path,
    given: Sequence[Given],
    custom: Sequence[str],
    tell: Callable[[str], None],
) -> Imported:
    """Judge records that are new; ShrinkError if they are of another device than those before.

    A network that gives otherwise than in an earlier round is flaky from now on.
    """
    fresh = [g for g in given if g.digest not in state.imported]
    ours = [g for g in fresh if any(of(g.record, c.identity) for c in state.candidates)]
    placed = [g for g in ours if place_of_fault(g.record)]
    unable = _unable(state, placed)
    place = _one_place(state, [g for g in placed if g not in unable])
    new, unstable, taken = [], [], list(state.imported)
    candidates = list(state.candidates)
    for i, candidate in enumerate(candidates):
        own = [g for g in placed if of(g.record, candidate.identity)]
        if not own:
            continue
        tell(f"comparing records of {candidate.name}")
        judged = _judged(state, folder, candidate, own, custom)
        if all(g in unable for g in own):
            judged = replace(judged, word="set aside", reason=UNABLE)
        if judged.word not in OPEN:
            taken += [g.digest for g in own]
        before = candidate.finding
        if before is None or before.word not in TELLING:
            new.append((candidate, judged))
            finding = before if judged.word in OPEN else _finding(judged)
        elif before.word != judged.word and judged.word in TELLING:
            unstable.append(candidate)
            finding = _both(before, _finding(judged))
        else:
            finding = before
        candidates[i] = candidate.model_copy(update={"finding": finding})
    update = {"candidates": tuple(candidates), "place": place, "imported": tuple(taken)}
    return Imported(
        state.model_copy(update=update),
        tuple(new),
        tuple(unstable),
        len(given) - len(fresh),
        tuple(g.name for g in fresh if g not in ours),
        tuple(g.name for g in ours if g not in placed),
    )


def _unable(state: Shrunk, placed: Sequence[Given]) -> list[Given]:
    """Return the simulator's records without a fault, if the shrink is of a fault."""
    known = [place_of_fault(g.record) for g in placed if g.record.simulation not in ("", HEALTHY)]
    places = [place for place in (state.place, *known) if place]
    if not any(p.evidence == "simulated" and not p.device.endswith(f", {HEALTHY}") for p in places):
        return []
    return [g for g in placed if g.record.simulation == HEALTHY]


def _one_place(state: Shrunk, placed: Sequence[Given]) -> Place | None:
    """Return the one device and build that all records are of."""
    known = state.place
    for given in placed:
        place = place_of_fault(given.record)
        if known and place != known:
            raise ShrinkError(
                f"{given.name} is {_where(place)}, and what it is to go with is {_where(known)}: a "
                "shrink is of one device and system build, so give its records alone, or begin "
                "another with --out"
            )
        known = place
    return known


def _where(place: Place | None) -> str:
    return f"{place.evidence} on {place}" if place else "of no device"


def _judged(
    state: Shrunk, folder: Path, candidate: Candidate, own: Sequence[Given], custom: Sequence[str]
) -> Judged:
    inside = round_folder(folder, candidate.round)
    member = next((m for m in members(load(inside)) if m.file == candidate.file), None)
    if member is None:
        raise ShrinkError(f"the manifest of {inside} has no {candidate.file}: it was edited")
    try:
        network = opened(inside, member, custom)
    except migrate.AnereportError as error:
        return Judged(member, "set aside", str(error))
    return judge(network, [(g.name, g.record) for g in own], state.limit)


def _finding(judged: Judged) -> Finding:
    said = judged.reason
    if judged.attempts and judged.word != "set aside":
        worst = judged.worst
        said = worst.detail or f"{worst.ratio:.3g} times what rounding explains"
    return Finding(word=judged.word, failed=judged.failed, repeats=len(judged.attempts), said=said)


def _both(before: Finding, after: Finding) -> Finding:
    """Return the finding on a network that one round found to be so, and another otherwise."""
    return Finding(
        word="flaky",
        failed=before.failed + after.failed,
        repeats=before.repeats + after.repeats,
        said=f"{before.word} in an earlier round, and {after.word} in a later one",
    )
