"""How far computed outputs are from measured ones, in what rounding explains of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Outputs = Mapping[str, NDArray[Any]]

LEAST_NORMAL = 2.0**-14  # of float16


class Ruler:
    """Measures how far outputs are from the measured ones, in what rounding explains."""

    def __init__(self, measured: Outputs, envelopes: Mapping[str, migrate.Envelope]) -> None:
        self.measured = {
            name: migrate.channels(np.asarray(values).reshape(envelopes[name].reference.shape))
            for name, values in measured.items()
        }
        self.envelopes = envelopes

    def within(self, name: str, limit: float) -> bool:
        """Tell whether rounding explains a measured output."""
        envelope = self.envelopes[name]
        values = self.measured[name].reshape(envelope.reference.shape)
        return bool((envelope.ratio(values) <= limit).all())

    def residual(self, outputs: Outputs) -> float:
        """Return the worst channel's residual of the worst output."""
        return self._worst(self.measured, outputs)

    def between(self, one: Outputs, other: Outputs) -> float:
        """Return how far two candidates are from each other."""
        return self._worst({name: migrate.channels(one[name]) for name in self.measured}, other)

    def _worst(self, rows: Outputs, outputs: Outputs) -> float:
        return max((self._of(name, rows[name], outputs[name]) for name in rows), default=math.inf)

    def _of(self, name: str, rows: NDArray[Any], output: NDArray[Any]) -> float:
        values = migrate.channels(output)
        if values.shape != rows.shape:
            return math.inf
        both = np.isfinite(values) & np.isfinite(rows)
        same = (values == rows) | (np.isnan(values) & np.isnan(rows))
        if not (both | same).all():
            return math.inf
        difference = np.subtract(values, rows, out=np.zeros(rows.shape), where=both)
        unit = self._unit(name, values)
        with np.errstate(over="ignore"):  # further off than float64 can say
            squares = np.sum((difference / unit[:, None]) ** 2, axis=1)
        return float(np.max(np.sqrt(squares / np.maximum(both.sum(axis=1), 1)), initial=0.0))

    def _unit(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """Return what rounding explains of each channel of a candidate."""
        envelope = self.envelopes[name]
        before, now = _peaks(migrate.channels(envelope.reference)), _peaks(values)
        share = float(np.median((envelope.rmse / before)[before > 0])) if before.any() else 0.0
        ulp = np.ldexp(1.0, np.frexp(np.maximum(now, LEAST_NORMAL))[1] - 11)
        return np.maximum.reduce([envelope.rmse, share * now, ulp])


def _peaks(rows: NDArray[Any]) -> NDArray[Any]:
    """Return the largest finite absolute value of each row, 0 if there is none."""
    peaks: NDArray[Any] = np.max(np.abs(rows), axis=1, initial=0.0, where=np.isfinite(rows))
    return peaks
