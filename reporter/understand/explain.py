"""`anereport explain`: what results show, in sentences; the verdict first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reporter.measure import results
from reporter.measure.identity import identify
from reporter.measure.listing import decode
from reporter.measure.record import Record
from reporter.progress import Progress, Silent
from reporter.understand import listed_faults, listing, understood
from reporter.understand.assessment import CAVEAT
from reporter.understand.explanation import sentences
from reporter.understand.headline import sentence
from reporter.understand.listing import NAMES
from reporter.understand.reference import Referee
from reporter.understand.understood import Bounds, Understood

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from reporter.understand.comparison import Comparison, UnitResult


def explain(
    path: Path,
    model: Path | None = None,
    shape: tuple[int, ...] | None = None,
    bounds: Bounds | None = None,
    custom: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[str]:
    """Return the sentences for a record, an archive or a listing."""
    progress, bounds = progress or Silent(), bounds or Bounds()
    progress.step("reading the results")
    found = results.load(path, identify(model) if model else None, shape)
    referee = Referee(model, custom) if model else None
    if not isinstance(found, Record):
        progress.step("trying faults")
        left = (f"{sentence(s)}." for s in listed_faults.said(found, referee, bounds.budget))
        return [*listing.statements(found), *left]
    known = understood.of_records([(path.name, found)], referee, bounds, progress)
    return list(_lines(found, known))


def _lines(found: Record, known: Understood) -> Iterator[str]:
    yield f"{known.verdict}."
    yield f"{found.evidence.upper()} results of {found.model.name} on {found.device}."
    for c in known.comparisons:
        yield from _of_output(c, known.bounds.tolerance)
    for one in known.explanations:
        yield from (f"{sentence(s)}." for s in sentences(one))
    yield from (f"{sentence(i.says)}: {i.title} ({i.url})." for i in known.incidents)
    if any(c.diagnosis for c in known.comparisons):
        yield f"{sentence(CAVEAT)}."


def _of_output(compared: Comparison, tolerance: float) -> Iterator[str]:
    sizes = "x".join(map(str, compared.shape))
    yield f"Output '{compared.output}' ({sizes}). Reference: {compared.reference}."
    for result in compared.units:
        yield f"  {NAMES[result.unit]}: {_line(result, compared, tolerance)}"
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
    return f"{found.word} ({found.ratio:.3g} times what rounding explains); " if found else ""
