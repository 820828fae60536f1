"""How wrong an output is, by what rounding explains: exact, rounding, suspicious or diverges.

    exact        the reference, rounded to float32 or float16
    rounding     no channel is further off than `limit` times what rounding explains
    suspicious   at most DIVERGES times that
    diverges     further off, or not finite where the reference is
    unfit        rounding alone would be as large as the output: these inputs cannot tell

The limit was chosen on simulated accumulators, not yet on a measured device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import migrate
from migrate import AnereportError

if TYPE_CHECKING:
    from migrate import Envelope

Word = Literal["exact", "rounding", "unfit", "suspicious", "diverges"]
ORDER: tuple[Word, ...] = ("exact", "rounding", "unfit", "suspicious", "diverges")  # of severity
LIMIT = migrate.ENVELOPE_K
DIVERGES = 1.5
CAVEAT = (
    "the limit was chosen on simulated accumulators of float16, not yet on a measured device: "
    "--limit takes another"
)


@dataclass(frozen=True)
class Assessment:
    """One output of one run, against its reference and what rounding explains of it."""

    word: Word
    ratio: float  # of the worst channel's error to what rounding explains
    channel: int  # the worst, counted along axis -3 and those before it
    beyond: int  # channels further off than the limit
    channels: int

    @property
    def wrong(self) -> bool:
        """Whether rounding does not explain it."""
        return self.word in ("suspicious", "diverges")

    @property
    def severity(self) -> tuple[int, float]:
        """What assessments are ordered by."""
        return ORDER.index(self.word), self.ratio


def check_limit(limit: float) -> None:
    """Raise AnereportError unless the limit is a positive number."""
    if not 0 < limit < math.inf:
        raise AnereportError(f"a limit is a positive number, not {limit}")


def assess(values: Any, envelope: Envelope, limit: float = LIMIT) -> Assessment:
    """Return the assessment of an output's numbers, in the order that envelopes have.

    Raises AnereportError unless their shape is the reference's, apart from ones.
    """
    ratios = envelope.ratio(values)
    worst = int(np.argmax(ratios)) if ratios.size else 0
    ratio = float(ratios[worst]) if ratios.size else 0.0
    return Assessment(
        word=_word(values, envelope, ratio, limit),
        ratio=ratio,
        channel=worst,
        beyond=int(np.sum(ratios > limit)),
        channels=ratios.size,
    )


def _word(values: Any, envelope: Envelope, ratio: float, limit: float) -> Word:
    if _exact(np.asarray(values), envelope.reference):
        return "exact"
    if math.isinf(ratio):
        return "diverges"
    if envelope.unfit:
        return "unfit"
    return graded(ratio, limit)


def graded(ratio: float, limit: float = LIMIT) -> Literal["rounding", "suspicious", "diverges"]:
    """Return the word for how many times what rounding explains a channel is off."""
    if ratio <= limit:
        return "rounding"
    return "suspicious" if ratio <= DIVERGES * limit else "diverges"


def _exact(values: Any, reference: Any) -> bool:
    exact, found = reference.reshape(values.shape), values.astype(np.float64)
    with np.errstate(over="ignore"):
        return any(
            np.array_equal(found, exact.astype(kind), equal_nan=True)
            for kind in (np.float64, np.float32, np.float16)
        )
