"""Where runs with different faults meet: from there on they are the same.

A run is known by the values that differ from the healthy ones and are still to be read, after a
step. Checksums of them are compared, of 32 bits and a sum: of a million pairs of runs, one in
thousands would be taken for the same by chance.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.envelope import FORMATS, channels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from migrate.faults import Fault

    Checksum = tuple[tuple[int, ...], int, int]
    State = tuple[int, frozenset[tuple[int, Checksum]]]

COMPARED = 4  # changed steps behind a fault after which it is compared with others
FIRST = 4  # channels that are looked at before the others
END = -1


class Meetings:
    """The states of all the runs so far, and which fault each is known by."""

    def __init__(self) -> None:
        self.states: dict[State, Fault] = {}
        self.first: dict[Fault, Fault] = {}  # of a fault that met another: that other


class Meeting:
    """One run among them; `other` is the fault whose run it met."""

    def __init__(self, meetings: Meetings, fault: Fault) -> None:
        self.meetings, self.fault = meetings, fault
        self.other: Fault | None = None
        self.sums: dict[int, Checksum] = {}
        self.steps = 0

    def known(self, at: int, changed: Mapping[int, Tensor]) -> bool:
        """Tell whether another run had the same values after this step; note them if not."""
        self.steps += 1
        return self.steps <= COMPARED and self._known(at, changed)

    def known_at_end(self, changed: Mapping[int, Tensor]) -> bool:
        """Tell whether another run had the same outputs."""
        return bool(changed) and self._known(END, changed)

    def _known(self, at: int, changed: Mapping[int, Tensor]) -> bool:
        for number, x in changed.items():
            if number not in self.sums:
                self.sums[number] = _checksum(x)
        state = at, frozenset((n, self.sums[n]) for n in changed)
        met = self.meetings.states.setdefault(state, self.fault)
        if met == self.fault:
            return False
        self.other = self.meetings.first.get(met, met)
        self.meetings.first[self.fault] = self.other
        return True


def _checksum(x: Tensor) -> Checksum:
    values = x.contiguous().numpy().reshape(-1).view(np.uint8)
    words = values[: len(values) // 8 * 8].view(np.uint64)
    return tuple(x.shape), zlib.crc32(values.data), int(words.sum())


def within_rounding(x: Tensor, healthy: Tensor | None) -> bool:
    """Tell whether every channel of a blob is as near to the healthy as rounding may bring it.

    That is a quarter of the distance of float16 numbers at the channel's peak, root mean square.
    """
    if healthy is None or healthy.shape != x.shape or not x.is_floating_point():
        return False
    values, reference = channels(x.numpy()), channels(healthy.numpy())
    return _few(values[:FIRST], reference[:FIRST]) and _few(values[FIRST:], reference[FIRST:])


def _few(values: Any, reference: Any) -> bool:
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is not near
        errors = np.sqrt(np.mean((values - reference) ** 2, axis=1, dtype=np.float64))
    peaks = np.max(np.abs(reference), axis=1, initial=0.0).astype(np.float64)
    peaks = np.where(np.isfinite(errors), peaks, 0.0)
    return bool((errors <= FORMATS["fp16"].ulp(peaks) / 4).all())
