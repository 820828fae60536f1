"""`anereport explain`: what results show, in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reporter.measure import results
from reporter.measure.identity import identify
from reporter.measure.listing import decode
from reporter.measure.record import Record
from reporter.understand import comparison, listing
from reporter.understand.divergence import check_tolerance
from reporter.understand.listing import NAMES
from reporter.understand.reference import Referee

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from reporter.understand.comparison import Comparison, UnitResult


def explain(
    path: Path,
    model: Path | None,
    shape: tuple[int, ...] | None,
    tolerance: float,
    custom: Sequence[str] = (),
) -> list[str]:
    """Return the sentences for a record, an archive or a listing."""
    check_tolerance(tolerance)
    found = results.load(path, identify(model) if model else None, shape)
    if not isinstance(found, Record):
        return listing.statements(found)
    heading = f"{found.evidence.upper()} results of {found.model.name} on {found.device}"
    referee = Referee(model, custom) if model else None
    compared = comparison.from_record(found, referee, path.name, tolerance)
    return [f"{heading}.", *(line for c in compared for line in _lines(c, tolerance))]


def _lines(compared: Comparison, tolerance: float) -> Iterator[str]:
    sizes = "x".join(map(str, compared.shape))
    yield f"Output '{compared.output}' ({sizes}). Reference: {compared.reference}."
    for result in compared.units:
        yield f"  {NAMES[result.unit]}: {_line(result, compared, tolerance)}"


def _line(result: UnitResult, compared: Comparison, tolerance: float) -> str:
    metrics = result.metrics
    if metrics is None:
        return result.status
    if not (metrics.max_abs > 0 or metrics.beyond):  # nan: nothing finite, and all of it the same
        return f"equal to {compared.against} in all {metrics.count:,} values"
    position = ",".join(map(str, decode(metrics.max_abs_index, compared.shape)))
    snr = f"{metrics.snr:.1f} dB" if math.isfinite(metrics.snr) else str(metrics.snr)
    odd = f", {metrics.nan} NaN, {metrics.inf} infinite" if metrics.nan or metrics.inf else ""
    return (
        f"{metrics.beyond:,} of {metrics.count:,} values beyond {tolerance:g}; "
        f"max abs error {metrics.max_abs:.3g} at index {metrics.max_abs_index} ({position}), "
        f"SNR {snr}, cosine {metrics.cosine:.6f}{odd}"
    )
