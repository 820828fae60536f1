"""`anereport explain`: what results show, in sentences; the verdict first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reporter.measure import results
from reporter.measure.devices import named
from reporter.measure.identity import identify
from reporter.measure.listing import decode
from reporter.measure.record import OtherModelError, Record, RecordError
from reporter.progress import Progress, Silent
from reporter.understand import listed_faults, listing, understood
from reporter.understand.agreement_words import line, statements
from reporter.understand.assessment import CAVEAT
from reporter.understand.explanation import sentences
from reporter.understand.headline import sentence
from reporter.understand.listing import NAMES
from reporter.understand.reference import Referee
from reporter.understand.understood import Bounds, Understood
from reporter.understand.wording import counted, some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from reporter.measure.identity import ModelIdentity
    from reporter.measure.listing import Listing
    from reporter.understand.comparison import Comparison
    from reporter.understand.unit_result import UnitResult


def explain(
    paths: Sequence[Path],
    model: Path | None = None,
    shape: tuple[int, ...] | None = None,
    bounds: Bounds | None = None,
    custom: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[str]:
    """Return the sentences for records, archives and listings; a folder stands for its records.

    Records of other models than `model` are left aside, and that is said. Raises RecordError if
    none is left, for records of different models if none was given, or if some are simulated.
    """
    progress, bounds = progress or Silent(), bounds or Bounds()
    progress.step("reading the results")
    files, said = results.distinct(results.record_files(paths))
    records = _Records(identify(model) if model else None, shape)
    listings = [(path, found) for path in files if (found := records.add(path))]
    referee = Referee(model, custom) if model else None
    lines = [f"{s}." for s in (*said, *records.left_aside(len(listings)))]
    for path, found in listings:
        progress.step("trying faults")
        lines += [f"Listing {path}:"] if len(files) > 1 else []
        lines += listing.statements(found)
        left = listed_faults.said(found, referee, bounds.budget)
        lines += [f"{sentence(s)}." for s in left]
    if len(records):
        known = understood.of_records(records, referee, bounds, progress)
        lines = [*_lines(records, known), *lines]
    return lines


class _Records:
    """Records of one model, by what their files are called; of several one is in memory at a time.

    `model` is the model, if it is known before the first of them; others are left aside then.
    """

    def __init__(self, model: ModelIdentity | None, shape: tuple[int, ...] | None) -> None:
        self.model, self.shape, self.chosen = model, shape, model is not None
        self.others: list[OtherModelError] = []
        self.heads: dict[Path, str] = {}  # what each file is, in a sentence
        self.evidence = ""
        self.only: Record | None = None

    def add(self, path: Path) -> Listing | None:
        """Check and add the record of a file, or return the listing that it is."""
        self.only = None  # before another is read
        try:
            found = results.load(path, self.model, self.shape)
        except OtherModelError as other:
            if not self.chosen:
                message = f"{other}: say which with --model, and the others are left aside"
                raise OtherModelError(message, other.model) from other
            self.others.append(other.with_traceback(None))  # which holds the record
            return None
        if not isinstance(found, Record):
            return found
        if self.heads and found.evidence != self.evidence:
            raise RecordError(
                f"{path} is {found.evidence} and {next(iter(self.heads))} is {self.evidence}: "
                "explain records of each kind by themselves"
            )
        self.only = None if self.heads else found
        self.model, self.evidence = self.model or found.model, found.evidence
        self.heads[path] = (
            f"{found.evidence.upper()} results of {found.model.name} on {named(found.device)}"
        )
        return None

    def left_aside(self, listings: int) -> Iterator[str]:
        """Say how many records are of other models; raises the error if there is nothing else."""
        if not self.others:
            return
        if not self.heads and not listings:
            raise self.others[0]
        models = some(list(dict.fromkeys(other.model for other in self.others)), 5)
        count = len(self.others) + len(self.heads)
        yield f"Left aside: {len(self.others)} of {count} records, of other models: {models}"

    def __len__(self) -> int:
        return len(self.heads)

    def __iter__(self) -> Iterator[tuple[str, Record]]:
        for name, path in self.named():
            yield name, self.only or self._again(path)

    def _again(self, path: Path) -> Record:
        found = results.load(path, self.model, self.shape)
        if not isinstance(found, Record):
            raise RecordError(f"{path} changed while it was read")
        return found

    def named(self) -> Iterator[tuple[str, Path]]:
        """Yield the files by what they are called: with folders where names are the same."""
        names = [path.name for path in self.heads]
        for path in self.heads:
            yield path.name if names.count(path.name) == 1 else str(path), path


def _lines(records: _Records, known: Understood) -> Iterator[str]:
    yield f"{known.verdict}."
    yield from (f"{sentence(s)}." for s in statements(known.agreement))
    if known.agreement.shown:
        yield from (f"  {line(known.agreement, row)}" for row in known.agreement.rows)
    beside = {c.source: c.says for c in known.circumstances}
    for name, path in records.named():
        yield f"{records.heads[path]}{f' ({name})' if len(records) > 1 else ''}."
        yield from (f"  {sentence(s)}." for s in beside[name])
        here = [c for c in known.comparisons if c.source == name]
        several = len({c.input for c in here}) > 1
        for c in here:
            yield from _of_output(c, known.bounds.tolerance, several)
    for one in known.explanations:
        yield from (f"{sentence(s)}." for s in sentences(one))
    yield from (f"{sentence(i.says)}: {i.title} ({i.url})." for i in known.incidents)
    if any(c.diagnosis for c in known.comparisons):
        yield f"{sentence(CAVEAT)}."


def _of_output(compared: Comparison, tolerance: float, several: bool) -> Iterator[str]:
    """Yield the lines on an output; the input is named if there are `several`."""
    sizes = "x".join(map(str, compared.shape))
    what = f"Output '{compared.output}' ({sizes})" if compared.output else "Outputs"
    which = f", input {compared.input}" if several else ""
    yield f"{what}{which}. Reference: {compared.reference}."
    for result in compared.units:
        yield f"  {NAMES[result.unit]}: {_line(result, compared, tolerance)}"
    yield from (f"  {sentence(s)}." for s in compared.losses)
    found = compared.diagnosis
    for who in found.who if found else ():
        yield f"  {sentence(who)}."
    for signature in found.signatures if found else ():
        yield f"  {signature.title}: {signature.says}"


def _line(result: UnitResult, compared: Comparison, tolerance: float) -> str:
    metrics = result.metrics
    if metrics is None:
        return result.status
    word = _word(result, compared)
    if not (metrics.max_abs > 0 or metrics.beyond):  # nan: nothing finite, and all of it the same
        return f"{word}equal to {compared.against} in all {metrics.count:,} values"
    position = ",".join(map(str, decode(metrics.max_abs_index, compared.shape)))
    snr = f"{metrics.snr:.1f} dB" if math.isfinite(metrics.snr) else str(metrics.snr)
    odd = f", {metrics.nan} NaN, {metrics.inf} infinite" if metrics.nan or metrics.inf else ""
    return (
        f"{word}{metrics.beyond:,} of {metrics.count:,} values beyond {tolerance:g}; "
        f"max abs error {metrics.max_abs:.3g} at index {metrics.max_abs_index} ({position}), "
        f"SNR {snr}, cosine {metrics.cosine:.6f}{odd}"
    )


def _word(result: UnitResult, compared: Comparison) -> str:
    """Return a unit's verdict and how far off it is, if that is known."""
    found = compared.diagnosis.assessments.get(result.unit) if compared.diagnosis else None
    return f"{found.word} ({counted(found.ratio)} times what rounding explains); " if found else ""
