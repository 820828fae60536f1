"""How far an output is from its reference: metrics in float64, and the table around the worst.

Formulas, with e = a - r over the elements where both are finite:
    RMSE = sqrt(mean(e^2))             SNR  = 10 log10(mean(r^2) / mean(e^2))
    cosine = a.r / (|a| |r|)           PSNR = 20 log10(max|r| / RMSE)
    beyond tolerance: |a - r| / max(|r|, 1) > tolerance, or finite in only one of the two
No maximum of the plain relative error: next to zero it says nothing (coremltools issue 1809).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate import AnereportError, channels
from reporter.measure.listing import decode
from reporter.understand.sums import Cosine, Squares

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 0.01  # coremltools' own bound in its NeuralNetwork tests
PIECE = 2**17  # values read at a time
WINDOW = 11  # rows, as the forum's thread shows them
DIGITS = {"float16": 5, "float32": 9, "float64": 9}


@dataclass(frozen=True)
class Metrics:
    """One unit's output against the reference."""

    count: int
    max_abs: float
    max_abs_index: int
    mean_abs: float
    rmse: float
    snr: float  # dB; inf where equal
    psnr: float  # dB
    cosine: float
    beyond: int
    nan: int
    inf: int


@dataclass(frozen=True)
class Row:
    """A row of the table; the values as they are to be printed, in the table's column order."""

    index: int
    position: tuple[int, ...]
    values: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of an output; None stands for a gap."""

    columns: tuple[str, ...]
    axes: tuple[str, ...]
    rows: tuple[Row | None, ...]


def check_tolerance(tolerance: float) -> None:
    """Raise AnereportError unless the tolerance is a positive number."""
    if not 0 < tolerance < math.inf:
        raise AnereportError(f"a tolerance is a positive number, not {tolerance}")


def compare(found: NDArray[Any], reference: NDArray[Any], tolerance: float = TOLERANCE) -> Metrics:
    """Return the metrics of an array against its reference, of the same number of elements.

    They are read in pieces, so that memory is bounded whatever their size.
    """
    a, r = found.reshape(-1), reference.reshape(-1)
    totals = _Totals(tolerance)
    for start in range(0, a.size, PIECE):
        piece = slice(start, start + PIECE)
        totals.add(a[piece].astype(np.float64), r[piece].astype(np.float64), start)
    return totals.metrics(a.size)


class _Totals:
    """What is added up of the pieces."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.compared = self.beyond = self.nan = self.inf = 0
        self.largest, self.at, self.sum = 0.0, 0, 0.0
        self.errors, self.cosine = Squares(), Cosine()

    def add(self, a: NDArray[Any], r: NDArray[Any], start: int) -> None:
        """Add a piece that begins at an index."""
        if not (np.isfinite(a).all() and np.isfinite(r).all()):
            a, r = self._finite(a, r)
        with np.errstate(over="ignore"):
            signed = a - r
            error = np.abs(signed)
            bound = np.maximum(np.abs(r), 1.0)
            self.beyond += int(np.count_nonzero(error / bound > self.tolerance))
        at = int(np.argmax(error))
        if error[at] > self.largest:
            self.largest, self.at = float(error[at]), start + at
        self.sum += float(error.sum())
        self.errors.add(signed)
        self.cosine.add(a, r)
        self.compared += a.size

    def _finite(self, a: NDArray[Any], r: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Count what is not finite, and return the piece with zeros in its place."""
        both = np.isfinite(a) & np.isfinite(r)
        same = (a == r) | (np.isnan(a) & np.isnan(r))
        self.beyond += int(np.count_nonzero(~both & ~same))
        self.nan += int(np.count_nonzero(np.isnan(a)))
        self.inf += int(np.count_nonzero(np.isinf(a)))
        self.compared -= int(np.count_nonzero(~both))
        return np.where(both, a, 0.0), np.where(both, r, 0.0)

    def metrics(self, count: int) -> Metrics:
        """Return the metrics of all pieces."""
        known = self.compared > 0
        reference = self.cosine.other
        rmse = self.errors.root_mean(self.compared)
        return Metrics(
            count=count,
            max_abs=self.largest if known else math.nan,
            max_abs_index=self.at,
            mean_abs=self.sum / self.compared if known else math.nan,
            rmse=rmse,
            snr=_decibel(reference.root_mean(self.compared), rmse),
            psnr=_decibel(reference.peak if known else math.nan, rmse),
            cosine=self.cosine.value(self.compared),
            beyond=self.beyond,
            nan=self.nan,
            inf=self.inf,
        )


def _decibel(signal: float, noise: float) -> float:
    if math.isnan(signal) or math.isnan(noise):
        return math.nan
    if noise == 0:
        return math.inf
    if math.isinf(noise):
        return -math.inf
    return 20 * (math.log10(signal) - math.log10(noise)) if signal > 0 else -math.inf


def worst_index(found: NDArray[Any], reference: NDArray[Any]) -> int:
    """Return the flat index of the worst element of the worst channel (axis -3, or the whole)."""
    error = _errors(found, reference)
    if found.size == 0:
        return 0
    if found.ndim < 3:
        return int(np.argmax(error))
    with np.errstate(over="ignore"):
        squares = np.mean(error**2, axis=(-2, -1), keepdims=True)
    return int(np.argmax(np.where(squares == squares.max(), error, -1.0)))


def worst_in_channel(found: NDArray[Any], reference: NDArray[Any], channel: int) -> int:
    """Return the flat index of the worst element of one channel of the reference."""
    if found.size == 0:
        return 0
    rows = channels(_errors(found, reference).reshape(reference.shape))
    return channel * rows.shape[1] + int(np.argmax(rows[channel]))


def _errors(found: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
    """Return |a - r| in the shape of `found`, infinite where only one of the two is finite."""
    a, r = found.astype(np.float64), reference.astype(np.float64).reshape(found.shape)
    both = np.isfinite(a) & np.isfinite(r)
    broken = ~both & (a != r) & ~(np.isnan(a) & np.isnan(r))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where(both, np.abs(a - r), 0.0)
    return np.where(broken, np.inf, error)


def table(columns: dict[str, NDArray[Any] | None], shape: tuple[int, ...], centre: int) -> Table:
    """Return the rows around the flat index `centre`; a column without values stays empty."""
    size = math.prod(shape)
    first = max(0, min(centre - WINDOW // 2, size - WINDOW))
    last = min(size, first + WINDOW)
    flat = {name: None if a is None else a.ravel() for name, a in columns.items()}
    rows: list[Row | None] = [None] if first else []
    for index in range(first, last):
        values = tuple("" if a is None else printed(a[index]) for a in flat.values())
        rows.append(Row(index, decode(index, shape), values))
    return Table(tuple(columns), axes(len(shape)), (*rows, *([None] if last < size else [])))


def axes(rank: int) -> tuple[str, ...]:
    """Return the letters of an output's axes: the last of s, n, c, h, w."""
    if rank > 5:
        return tuple(f"d{i}" for i in range(rank))
    return tuple("snchw"[5 - rank :]) if rank != 1 else ("c",)


def printed(value: Any) -> str:
    """Return a number with the digits by which its type can be read back."""
    kind = np.asarray(value).dtype.name
    return f"{value:.{DIGITS[kind]}g}" if kind in DIGITS else str(value)
