"""Constants: one value in place of data (K1, K2), or what the buffer held before (K3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reporter.understand.signatures.evidence import signature, wrong_values
from reporter.understand.signatures.regions import channel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reporter.understand.signatures.evidence import Array, Evidence, Mask, Signature

MOST = 0.9  # of the wrong values, or of the wrong channels
PRINTED = 1e-6  # relative; digits of a printed float32, and far below the steps of float16


def bias_only(evidence: Evidence) -> Signature | None:
    """Match wrong values that are the constants of a layer, in float16 or as they are (K2)."""
    bad = evidence.bad
    for layer, given in _broadcast(evidence):
        expected = given.astype(np.float16).astype(np.float64)
        hit = bad & (_equal(evidence.values, expected) | _equal(evidence.values, given))
        count, told = int(hit.sum()), hit & (given != 0)
        if count < max(2, MOST * bad.sum()) or not told.any():
            continue
        first = int(np.flatnonzero(told)[0])
        value = float(evidence.values.reshape(-1)[first])
        rows = int(hit.any(axis=1).sum())
        where = channel(first // bad.shape[1], evidence.shape)
        return signature(
            "K2",
            "Constant equal to a bias",
            f"{count:,} of {int(bad.sum()):,} {wrong_values(evidence)} are the bias of layer "
            f"'{layer}' for their channel ({value:.7g} in {where}).",
            "an output of the bias alone, its data term lost",
            layer=layer,
            values=count,
            wrong=int(bad.sum()),
            channels=rows,
            value=value,
        )
    return None


def _broadcast(evidence: Evidence) -> Iterator[tuple[str, Array]]:
    """Yield layers with their constants, along channels and along the last axis."""
    shape = evidence.shape
    axes = ([-3] if len(shape) >= 3 else []) + ([-1] if shape else [])
    for layer, given in evidence.biases.items():
        vector = np.ravel(np.asarray(given, np.float64))
        for axis in axes:
            if vector.size == shape[axis] and vector.size:
                along = vector.reshape(-1, *[1] * (-1 - axis))
                yield layer, evidence.rows(np.broadcast_to(along, shape))


def _equal(values: Array, expected: Array) -> Mask:
    """Tell which values are as expected, to the digits of a printed float32."""
    near: Mask = np.abs(values - expected) <= PRINTED * np.abs(expected)
    return near


def stuck(evidence: Evidence) -> Signature | None:
    """Match one value in all of the output, or in whole channels, where the reference varies (K1).

    Zeros and a buffer that was not written have signatures of their own.
    """
    values, exact = evidence.values, evidence.exact
    bad = evidence.bad
    if not bad.any() or int(evidence.untouched.sum()) >= MOST * bad.sum():
        return None
    held = _whole(evidence) if values.shape[1] < 2 else _constant(values) & evidence.varies(exact)
    held &= evidence.wrong
    count, wrong = int(held.sum()), int(evidence.wrong.sum())
    if not count or 2 * count < wrong:
        return None
    first = int(np.flatnonzero(held)[0])
    value = float(values[first, 0])
    everywhere = bool((values == value).all())
    return signature(
        "K1",
        "Stuck constant",
        _stuck_words(evidence, held, value, everywhere),
        "a stuck constant",
        value=value,
        float16_holds_it=_on_grid(value),
        everywhere=everywhere,
        channels=count,
        wrong_channels=wrong,
        of=len(values),
        first_channel=first,
        different_values=len(np.unique(values[held, 0])),
    )


def _stuck_words(evidence: Evidence, held: Mask, value: float, everywhere: bool) -> str:
    grid = "a" if _on_grid(value) else "no"
    number = f"{value:.7g}, which is {grid} float16 number"
    if everywhere:
        return f"All {evidence.values.size:,} values are {number}, where the reference varies."
    first = int(np.flatnonzero(held)[0])
    rows, total = int(held.sum()), len(held)
    return (
        f"{rows:,} of {total:,} channels hold one value each, where the reference varies: "
        f"{channel(first, evidence.shape)} holds {number}."
    )


def _constant(rows: Array) -> Mask:
    """Tell of each row whether it is one finite value other than zero."""
    first = rows[:, :1]
    same: Mask = (rows == first).all(axis=1) & np.isfinite(first[:, 0]) & (first[:, 0] != 0)
    return same


def _whole(evidence: Evidence) -> Mask:
    """Tell the same of channels of one value each: all of them or none."""
    values, exact = evidence.values, evidence.exact
    one = values.size > 1 and bool(_constant(values.reshape(1, -1))[0])
    spread = np.ptp(exact[evidence.both]) if evidence.both.any() else 0.0
    return np.full(len(values), one and spread > evidence.limit * float(np.max(evidence.unit)))


def _on_grid(value: float) -> bool:
    """Tell whether float16 holds the value, to the digits of a printed float32."""
    with np.errstate(over="ignore"):
        near = float(np.float16(value))
    return abs(near - value) <= PRINTED * abs(value)


def untouched(evidence: Evidence) -> Signature | None:
    """Match wrong values that are what the buffer held before the call (K3)."""
    if evidence.prefilled is None or not evidence.bad.any():
        return None
    held = evidence.rows(evidence.prefilled)
    same = (evidence.values == held) | (np.isnan(evidence.values) & np.isnan(held))
    count, wrong = int((same & evidence.bad).sum()), int(evidence.bad.sum())
    if count < MOST * wrong:
        return None
    whole = bool(same.all())
    return signature(
        "K3",
        "Untouched buffer",
        f"{count:,} of {wrong:,} {wrong_values(evidence)} are what the buffer held before the call"
        f"{'; so is the whole output' if whole else ''}.",
        "a buffer that was not written",
        values=count,
        wrong=wrong,
        whole=whole,
    )
