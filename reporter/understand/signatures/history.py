"""Where and when: data of another call (S1), or a run that was not on the Neural Engine (X0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from migrate import ENVELOPE_K
from reporter.understand.signatures.evidence import rms, signature, times, wrong_values

if TYPE_CHECKING:
    from reporter.understand.signatures.evidence import Array, Evidence, Mask, Signature

MOST = 0.99  # of the wrong values
LEAST = 4  # values
BETTER = 4.0  # times as close as without the other input's output


def state(evidence: Evidence) -> Signature | None:
    """Match the previous input's output, or calls of one input that differ (S1)."""
    return _leftover(evidence) or _leak(evidence) or _calls(evidence) or _cold(evidence)


def _leftover(evidence: Evidence) -> Signature | None:
    """Match wrong values that are those of the previous input's output."""
    if evidence.previous is None or not evidence.bad.any():
        return None
    before = evidence.rows(evidence.previous)
    bad = evidence.bad
    near = np.abs(evidence.values - before) <= evidence.limit * evidence.unit
    count, wrong = int((near & bad).sum()), int(bad.sum())
    if count < max(LEAST, MOST * wrong) or not _of_its_own(evidence, before, near & bad):
        return None
    return signature(
        "S1",
        "Data of the previous input",
        f"{count:,} of {wrong:,} {wrong_values(evidence)} are those of the previous "
        "input's output.",
        "data left over from an earlier call",
        values=count,
        wrong=wrong,
        of=bad.size,
        share_of_previous=1.0,
    )


def _leak(evidence: Evidence) -> Signature | None:
    """Match an output that is a mixture of the previous input's and the right one."""
    if evidence.previous is None or not evidence.bad.any() or evidence.broken.any():
        return None
    before = evidence.rows(evidence.previous)
    toward = evidence.distance(before)
    kept = evidence.both & np.isfinite(before)
    if kept.sum() < 2 * LEAST or not _of_its_own(evidence, before, kept):
        return None
    error, square = evidence.errors[kept], float(np.sum(toward[kept] ** 2))
    if square == 0:
        return None
    share = float(np.sum(toward[kept] * error)) / square
    left = rms(error - share * toward[kept])
    if left > ENVELOPE_K * max(1.0, abs(share)) or left * BETTER > rms(error):
        return None
    return signature(
        "S1",
        "Data of the previous input",
        f"The error is {share:.4g} of the difference to the previous input's output; "
        f"{left:.3g} envelopes are left, of {rms(error):.3g}.",
        "state that is carried from one call to the next",
        share_of_previous=share,
        envelopes_left=left,
        envelopes=rms(error),
    )


def _of_its_own(evidence: Evidence, before: Array, where: Mask) -> bool:
    """Tell whether the previous output is more than a gain and an offset of this one.

    Else a wrong gain, or a stuck constant, would look like what was left over.
    """
    this, other = (rows[where] - np.mean(rows[where]) for rows in (evidence.exact, before))
    square = float(np.sum(this**2))
    gain = float(np.sum(this * other)) / square if square else 0.0
    unit = np.broadcast_to(evidence.unit, before.shape)[where]
    return rms((other - gain * this) / unit) > ENVELOPE_K


def _calls(evidence: Evidence) -> Signature | None:
    """Match calls of one input that are right and wrong by turns, or wrong in different ways."""
    arrays = [evidence.rows(array) for array in evidence.repeats]
    if len(arrays) < 2:
        return None
    worst = [float(np.max(evidence.ratio(array), initial=0.0)) for array in arrays]
    right = [ratio <= ENVELOPE_K for ratio in worst]
    apart = max(_apart(evidence, arrays[0], array) for array in arrays[1:])
    if all(right) or (not any(right) and not apart > ENVELOPE_K):
        return None
    calls = _numbers([i + 1 for i, good in enumerate(right) if good])
    facts = f"Of {len(right)} calls of the same input, {calls or 'none'} right"
    return signature(
        "S1",
        "Calls of one input differ",
        f"{facts}, and they are up to {apart:.3g} envelopes apart from the first.",
        "state that changes from call to call",
        calls=len(right),
        right=sum(right),
        first_right=right[0],
        last_right=right[-1],
        envelopes_apart=apart,
    )


def _cold(evidence: Evidence) -> Signature | None:
    """Match a cold start that is right where the first later call is wrong, or the other way."""
    if evidence.cold is None:
        return None
    cold = evidence.rows(evidence.cold)
    off = [float(np.max(evidence.ratio(rows), initial=0.0)) for rows in (cold, evidence.values)]
    right = [ratio <= ENVELOPE_K for ratio in off]
    if right[0] == right[1]:
        return None
    names = "cold start", "first later call"
    good, bad = names if right[0] else names[::-1]
    return signature(
        "S1",
        "Cold start and later calls differ",
        f"Of the same input the {good} is right, and the {bad} is {times(max(off))}.",
        "what is kept from one load to the next",
        cold_right=right[0],
        envelopes_cold=off[0],
        envelopes_later=off[1],
    )


def _numbers(calls: list[int]) -> str:
    words = ", ".join(map(str, calls))
    return f"number {words} {'is' if len(calls) == 1 else 'are'}" if calls else ""


def _apart(evidence: Evidence, one: Array, other: Array) -> float:
    """Return the RMSE of two calls in envelopes, of the worst channel."""
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    both = np.isfinite(one) & np.isfinite(other)
    if (~both & ~same).any():
        return float("inf")
    difference = np.subtract(one, other, out=np.zeros(one.shape), where=both) / evidence.unit
    squares = np.sum(np.clip(difference, -1e100, 1e100) ** 2, axis=1)
    return float(np.max(np.sqrt(squares / np.maximum(both.sum(axis=1), 1)), initial=0.0))


def elsewhere(evidence: Evidence) -> Signature | None:
    """Match a plan without the Neural Engine, or the same bits as on the CPU (X0)."""
    facts: list[str] = []
    planned, total = evidence.placement or (0, 0)
    if total > 0 and planned == 0:
        facts.append(f"None of the {total:,} operations is planned on the Neural Engine.")
    same = _same_as_cpu(evidence)
    if same:
        facts.append("The output is that of the CPU, bit for bit.")
    if not facts:
        return None
    return signature(
        "X0",
        "Not on the Neural Engine",
        " ".join(facts),
        "a run that was not on the Neural Engine",
        planned=planned,
        operations=total,
        identical_to_cpu=same,
    )


def _same_as_cpu(evidence: Evidence) -> bool:
    """Tell whether the bits are the CPU's, other than by both being exactly right."""
    if evidence.identical_to_cpu is not None:
        return evidence.identical_to_cpu
    if evidence.cpu is None or not evidence.both.any() or not evidence.errors.any():
        return False
    return bool(np.array_equal(evidence.values, evidence.rows(evidence.cpu), equal_nan=True))
