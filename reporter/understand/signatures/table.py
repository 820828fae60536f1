"""The table of detectors, in the order of priority, and who gives way to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reporter.understand.signatures import (
    cliff,
    constants,
    gain,
    history,
    layout,
    overall,
    pattern,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from reporter.understand.signatures.evidence import Evidence, Signature

TABLE: dict[str, Callable[[Evidence], Signature | None]] = {
    "L1": layout.misread,
    "L2": layout.permuted,
    "N1": values.not_finite,
    "Z1": values.all_zero,
    "Z2": values.partly_zero,
    "K2": constants.bias_only,
    "K1": constants.stuck,
    "K3": constants.untouched,
    "G1": gain.gain_or_offset,
    "C1": cliff.above_threshold,
    "P1": pattern.part,
    "M1": pattern.graded,
    "D1": overall.drift,
    "F1": overall.flipped,
    "S1": history.state,
    "R1": overall.garbage,
    "B0": overall.benign,
    "X0": history.elsewhere,
}
CODES = tuple(TABLE)
WITHOUT_STRUCTURE = ("D1", "R1")  # what an output is that shows none of the other patterns
BESIDE = ("F1", "B0", "X0")  # said of an output, whatever its pattern is


def signatures(evidence: Evidence) -> tuple[Signature, ...]:
    """Return every signature that an output matches, the headline first; none is an answer too."""
    with np.errstate(all="ignore"):
        found = {code: TABLE[code](evidence) for code in CODES if code not in WITHOUT_STRUCTURE}
        if not any(one for code, one in found.items() if code not in BESIDE):
            found |= {code: TABLE[code](evidence) for code in WITHOUT_STRUCTURE}
    if found["S1"]:
        del found["F1"]  # other data decide otherwise
    return tuple(one for code in CODES if (one := found.get(code)) is not None)
