"""`anereport variants --shrink`: the next round of smaller networks, until none is smaller.

shrink.json                what is known so far, and in the end the generalisation table
round-1/                   a folder of variants, as `anereport run` takes it: the smallest network
round-2/                   that fails so far, and smaller ones
records/                   what was given of them
smallest.mlmodel           in the end
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import migrate
from reporter.measure import record
from reporter.measure.identity import identify
from reporter.measure.results import record_files
from reporter.progress import Progress, Silent
from reporter.understand import shrink_words, shrunk
from reporter.understand.assessment import LIMIT, check_limit
from reporter.understand.shrink_import import Given, imported, round_folder
from reporter.understand.shrink_table import rows
from reporter.understand.shrunk import Candidate, ShrinkError, Shrunk
from reporter.write.attached.kept_records import carry, keep
from reporter.write.files.outputs import OutputError, check_free, new_file, new_folder, write_file
from reporter.write.privacy.model_texts import leaving
from reporter.write.privacy.redact import say
from reporter.write.variants.shrink_round import Making

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migrate import Reductions

MOST = 8  # networks of a round
SMALLEST = "smallest.mlmodel"


def default_folder(model: Path) -> str:
    """Return the name of the folder of a model's shrink, unless the user has another."""
    return f"{model.stem}-shrink"


@dataclass(frozen=True)
class Options:
    """What the user asked for: networks of a round at most, the limit, builders, replacing."""

    most: int = MOST
    limit: float = LIMIT
    custom: Sequence[str] = ()
    force: bool = False


def shrink(
    model: Path,
    out: Path,
    records: Sequence[Path] = (),
    options: Options | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Write the next round of a shrink to the folder `out`, and say what the last one gave.

    Without a shrink.json in `out` it begins, and again with `force`; records of its networks stay
    in `out`. Raises ShrinkError for another model's shrink, for records of another device, and
    where nothing of the model can be made smaller.
    """
    options, progress = options or Options(), progress or Silent()
    check_limit(options.limit)
    if options.most < 1:
        raise ShrinkError(f"a round has 1 network or more, not {options.most}")
    goes_on = _goes_on(out, options.force)
    if not goes_on:
        check_free(out, options.force, model, *records)
    with leaving(model) as model:
        work = _Work(model, out, options, progress)
        said = [] if goes_on else work.begin()
        state = work.known()
        if said and not records:
            return [*said, *work.commands(state)]
        if state.ended and not records:
            return [state.ended, *work.conclusion(state)]
        return [*said, *work.go_on(state, records)]


def _goes_on(out: Path, force: bool) -> bool:
    if force or not out.exists():
        return False
    if not (out / shrunk.FILE).exists():
        raise OutputError(
            f"{out} exists already, and holds no {shrunk.FILE}: choose another with --out, or give "
            "--force"
        )
    return True


@dataclass
class _Work:
    """A shrink of one model in one folder."""

    model: Path
    out: Path
    options: Options
    progress: Progress

    def __post_init__(self) -> None:
        self.making = Making(self.model, self.options.custom, self.progress)
        self.networks = self.making.networks

    def known(self) -> Shrunk:
        """Return what is known; ShrinkError for a shrink of another model or another limit."""
        state = shrunk.load(self.out)
        path = self.out / shrunk.FILE
        if state.source != identify(self.model):
            raise ShrinkError(
                f"{self.out} is a shrink of another model ({state.source.name}, sha256 "
                f"{state.source.sha256[:12]}): choose another with --out, or give --force"
            )
        if state.limit != self.options.limit:
            raise ShrinkError(f"{path} was begun with --limit {state.limit:g}: go on with that")
        for candidate in state.candidates:
            try:
                self.networks.ordered(candidate.reductions)
            except migrate.AnereportError as error:
                raise ShrinkError(f"{path}: candidate {candidate.name}: {error}") from error
        return state

    def begin(self) -> list[str]:
        """Write the first round: the model itself, and what may show the most."""
        self.progress.step("reading the model")
        why = self.networks.knobs(())[1]
        found = self.making.search(()).smaller(self.options.most)
        if not found:
            faults = [
                f"{shrink_words.words(r.reductions)}: {r.reason}" for r in self.making.refused()
            ]
            reasons = "; ".join([*why, *faults]) or "it has one layer, without weights"
            raise ShrinkError(f"nothing of {self.model.name} can be made smaller: {reasons}")
        layers, weights, numbers = self.networks.size(())
        itself = Candidate(
            name=self.model.name, file=self.model.name, round=1, reductions=(),
            identity=identify(self.model), layers=layers, weights=weights, inputs=numbers,
        )  # fmt: skip
        with new_folder(self.out, self.options.force) as folder:
            round_folder(folder, 1).mkdir()
            written = self.making.write(round_folder(folder, 1), 1, itself, found)
            state = Shrunk(
                schema=shrunk.SCHEMA, source=itself.identity, limit=self.options.limit, rounds=1,
                candidates=(itself, *written), refused=self.making.refused(),
            )  # fmt: skip
            say(folder / shrunk.FILE, shrunk.dumps(state))
            carry(self.out, folder, shrunk.load, shrunk.FILE)
        return [*shrink_words.staying(why), *_round(state)]

    def go_on(self, state: Shrunk, records: Sequence[Path]) -> list[str]:
        """Import records, and write the next round if they decide anything."""
        self.progress.step("reading the records")
        given = [_given(path) for path in record_files(records)] if records else []
        found = imported(state, self.out, given, self.options.custom, self.progress.step)
        keep(self.out, [(Path(g.name).name, g.record) for g in given if _of_one(g, state)])
        said, state = list(shrink_words.news(found)), found.state
        if found.new or found.unstable or not state.ended:
            state = self._decided(state.model_copy(update={"ended": ""}), found.telling)
        if state.rounds == found.state.rounds:
            self._keep(state)
        said += shrink_words.missing(found.state)
        if state.ended:
            return [*said, state.ended, *self.conclusion(state)]
        said += shrink_words.standing(state)
        said += _round(state) if state.rounds > found.state.rounds else []
        return [*said, *self.commands(state)]

    def conclusion(self, state: Shrunk) -> list[str]:
        """Return what was found, in sentences."""
        smallest = state.smallest
        if smallest is None or state.model.finding is None:
            return []
        sizes = (smallest.identity.size, state.source.size)
        said = list(shrink_words.conclusion(state, sizes))
        return [*said, f"wrote {self.out / SMALLEST} and {self.out / shrunk.FILE}"]

    def commands(self, state: Shrunk) -> list[str]:
        """Return what measures the last round, and what reads that."""
        folder = round_folder(self.out, state.rounds)
        records, options = f"{folder}-records", self.options
        given = [f"--custom={builder}" for builder in options.custom]
        given += [f"--limit={options.limit:g}"] if options.limit != LIMIT else []
        given += [f"--most={options.most}"] if options.most != MOST else []
        measure = ["run", str(folder), "--out", records]
        again = ["variants", str(self.model), "--shrink", "--out", str(self.out), *given]
        return [
            f"to measure: anereport {shlex.join(measure)}",
            f"then: anereport {shlex.join([*again, '--record', records])}",
        ]

    def _decided(self, state: Shrunk, telling: bool) -> Shrunk:
        """Return what is known once the next round is written, or there is none."""
        itself = state.model.finding
        if itself is None:
            return state
        if itself.word in ("right", "set aside"):
            why = f" ({itself.said})" if itself.word == "set aside" else ""
            ended = f"{self.model.name} itself is {itself.word}{why}: there is nothing to shrink."
            return state.model_copy(update={"ended": ended})
        base = state.smallest
        if base is None and not state.pending:
            how = "flaky" if itself.word == "flaky" else "wrong for some inputs only"
            ended = (
                f"{self.model.name} is {how} (wrong in {itself.failed} of {itself.repeats} "
                "repeats), and no smaller network fails in every repeat: shrinking ends here."
            )
            return state.model_copy(update={"ended": ended})
        if base is None or (state.pending and not telling):
            return state
        return self._next(state, base)

    def _next(self, state: Shrunk, base: Candidate) -> Shrunk:
        """Write the next round, or end."""
        search = self.making.search(base.reductions, state)
        most, widened = self.options.most, state.widened
        found = search.smaller(most)
        if not found:
            found = search.last_steps(most)
            if len(found) < most and widened != base.reductions:
                found += search.wider(most - len(found))
                widened = base.reductions
        state = state.model_copy(update={"refused": self.making.refused(), "widened": widened})
        return self._round(state, base, found) if found else self._end(state, base)

    def _round(self, state: Shrunk, base: Candidate, found: Sequence[Reductions]) -> Shrunk:
        number = state.rounds + 1
        with new_folder(round_folder(self.out, number), True) as folder:
            written = self.making.write(folder, number, base, found)
        again = {c.reductions for c in written}
        kept = [c for c in state.candidates if c.finding or c.reductions not in again]
        update = {"rounds": number, "candidates": (*kept, *written)}
        state = state.model_copy(update=update)
        self._keep(state)
        return state

    def _end(self, state: Shrunk, base: Candidate) -> Shrunk:
        source = round_folder(self.out, base.round) / base.file
        if not source.exists() or identify(source) != base.identity:
            raise ShrinkError(f"{source} is not as it was written: begin again with --force")
        with new_file(self.out / SMALLEST, force=True) as stream:
            stream.write(source.read_bytes())
        update = {
            "table": rows(state, self.networks),
            "ended": "The shrink has ended: nothing smaller that was tried fails.",
        }
        return state.model_copy(update=update)

    def _keep(self, state: Shrunk) -> None:
        write_file(self.out / shrunk.FILE, shrunk.dumps(state), force=True)


def _given(path: Path) -> Given:
    found = record.load(path)
    return Given(str(path), found, hashlib.sha256(path.read_bytes()).hexdigest())


def _of_one(given: Given, state: Shrunk) -> bool:
    return any(record.of(given.record, candidate.identity) for candidate in state.candidates)


def _round(state: Shrunk) -> Iterator[str]:
    """Say what the last round holds."""
    yield f"Round {state.rounds}:"
    for candidate in state.candidates:
        if candidate.round == state.rounds and not candidate.finding:
            yield f"{candidate.file}: {shrink_words.words(candidate.reductions)}"
