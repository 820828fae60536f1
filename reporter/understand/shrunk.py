"""What a shrink has found so far, as one JSON file, shrink.json; models are made again from it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

import migrate
from reporter.measure.identity import ModelIdentity
from reporter.understand import kept_file
from reporter.understand.judged import Word
from reporter.understand.place import Place
from reporter.understand.reading import CHANCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from migrate import Reductions

SCHEMA: Literal["anereport.shrink/1"] = "anereport.shrink/1"
FILE = "shrink.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="forbid")


class Finding(_Part):
    """What the records of a network say of it, on the device of the shrink."""

    word: Word
    failed: int = Field(ge=0)  # repeats that were wrong, or did not run
    repeats: int = Field(ge=0)
    said: str = ""  # how far off, or why it is set aside


class Candidate(_Part):
    """A network that was written to be measured; the model itself is the one of no reductions."""

    name: str
    file: str  # in the folder of its round
    round: int = Field(ge=1)
    reductions: tuple[migrate.Reduction, ...]
    identity: ModelIdentity
    layers: int
    weights: int
    inputs: int  # numbers that it is given
    finding: Finding | None = None

    @property
    def size(self) -> tuple[int, ...]:
        """What the smallest is the least of; of equals it is the one that more was done to."""
        turned = sum(1 for _ in self.reductions)
        return self.layers, self.weights, self.inputs, -turned


class Refused(_Part):
    """Reductions whose network was not written, and why."""

    reductions: tuple[migrate.Reduction, ...]
    reason: str


class Row(_Part):
    """One knob, and what the networks gave that differ from the smallest in it alone."""

    kind: str
    name: str
    fails: tuple[int, ...]
    right: tuple[int, ...]
    neither: tuple[int, ...] = ()  # flaky, set aside, ...


class Shrunk(_Part):
    """The whole file."""

    schema_: Literal["anereport.shrink/1"] = Field(SCHEMA, alias="schema")
    source: ModelIdentity
    limit: float
    place: Place | None = None  # the one device and build
    rounds: int = Field(ge=1)
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    refused: tuple[Refused, ...] = ()
    imported: tuple[str, ...] = ()  # sha256 of the files of records
    widened: tuple[migrate.Reduction, ...] | None = None  # the smallest that larger ones were of
    table: tuple[Row, ...] = ()  # once it has ended
    ended: str = ""  # why there is no further round

    @property
    def model(self) -> Candidate:
        """The model itself."""
        return self.candidates[0]

    @property
    def pending(self) -> tuple[Candidate, ...]:
        """What the last round wrote and no record tells of."""
        return tuple(c for c in self.candidates if c.round == self.rounds and not c.finding)

    @property
    def failure(self) -> Word:
        """What counts as failing: wrong numbers, unless the model itself does not run."""
        found = self.model.finding
        return "does not run" if found and found.word == "does not run" else "fails"

    @property
    def rate(self) -> float:
        """How often the model itself fails; 1 unless it is flaky."""
        found = self.model.finding
        flaky = found is not None and found.word == "flaky"
        return found.failed / found.repeats if found and flaky and found.repeats else 1.0

    @cached_property
    def failing(self) -> tuple[Candidate, ...]:
        """The networks that fail in every repeat."""
        return tuple(c for c in self.candidates if c.finding and c.finding.word == self.failure)

    @cached_property
    def right(self) -> tuple[Candidate, ...]:
        """The networks that are right in every repeat, which is not to be chance."""
        return tuple(
            c
            for c in self.candidates
            if c.finding
            and c.finding.word == "right"
            and (1 - self.rate) ** c.finding.repeats < CHANCE
        )

    @property
    def smallest(self) -> Candidate | None:
        """The smallest network that fails in every repeat."""
        return min(self.failing, key=lambda c: c.size, default=None)

    def of(self, reductions: Reductions) -> Candidate | None:
        """Return the network of these reductions, if it was written."""
        return next((c for c in self.candidates if c.reductions == reductions), None)


class ShrinkError(migrate.AnereportError):
    """A shrink that cannot begin, or go on."""


def load(folder: Path) -> Shrunk:
    """Read and check a folder's shrink.json; a fault is one sentence."""
    path = folder / FILE
    state = kept_file.load(path, Shrunk, SCHEMA, ShrinkError, "anereport variants --shrink --force")
    _check(path, state)
    return state


def _check(path: Path, state: Shrunk) -> None:
    for fault in _faults(state):
        raise ShrinkError(f"{path}: {fault}: it was edited; begin again with --force")


def _faults(state: Shrunk) -> Iterator[str]:
    """Yield what no shrink has written."""
    names = [c.name for c in state.candidates]
    if state.model.reductions:
        yield "the first candidate is not the model itself"
    if len(set(names)) < len(names):
        yield "two candidates have one name"
    if any(c.round > state.rounds for c in state.candidates):
        yield "a candidate is of a later round than the last"
    for c in state.candidates:
        found = c.finding
        if found and found.failed > found.repeats:
            yield f"more repeats of {c.name} failed than there are"
        if found and not _follows(found):
            yield (
                f"{c.name} has the word '{found.word}', which does not follow from {found.failed} "
                f"of {found.repeats} repeats that failed"
            )


def _follows(finding: Finding) -> bool:
    """Tell whether a word is one that its repeats can give."""
    failed, repeats = finding.failed, finding.repeats
    if finding.word in ("fails", "does not run"):
        return 0 < failed == repeats
    if finding.word == "right":
        return failed == 0 < repeats
    return failed > 0 or finding.word not in ("flaky", "some inputs")


def dumps(state: Shrunk) -> str:
    """Return the JSON text."""
    return state.model_dump_json(by_alias=True, indent=1) + "\n"
