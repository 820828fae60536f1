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

from migrate import AnereportError
from reporter.measure.listing import decode

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 0.01  # coremltools' own bound in its NeuralNetwork tests
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
    """Return the metrics of an array against its reference, of the same number of elements."""
    a, r = found.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    both = np.isfinite(a) & np.isfinite(r)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where(both, np.abs(a - r), 0.0)
    same = (a == r) | (np.isnan(a) & np.isnan(r))
    beyond = np.where(
        both, error / np.maximum(np.abs(np.where(both, r, 0.0)), 1.0) > tolerance, ~same
    )
    x, y = a[both], r[both]
    with np.errstate(over="ignore"):
        rmse = _root_mean_square(x - y)
    peak = float(np.max(np.abs(y))) if y.size else math.nan
    return Metrics(
        count=a.size,
        max_abs=float(error.max()) if x.size else math.nan,
        max_abs_index=int(np.argmax(error)) if x.size else 0,
        mean_abs=float(np.mean(error[both])) if x.size else math.nan,
        rmse=rmse,
        snr=_decibel(_root_mean_square(y), rmse),
        psnr=_decibel(peak, rmse),
        cosine=_cosine(x, y),
        beyond=int(beyond.sum()),
        nan=int(np.isnan(a).sum()),
        inf=int(np.isinf(a).sum()),
    )


def _root_mean_square(x: NDArray[Any]) -> float:
    """Return sqrt(mean(x^2)) of any magnitude, and nan of nothing."""
    peak = float(np.max(np.abs(x))) if x.size else math.nan
    if peak == 0 or not math.isfinite(peak):
        return peak
    return peak * math.sqrt(float(np.mean((x / peak) ** 2)))


def _decibel(signal: float, noise: float) -> float:
    if math.isnan(signal) or math.isnan(noise):
        return math.nan
    if noise == 0:
        return math.inf
    if math.isinf(noise):
        return -math.inf
    return 20 * (math.log10(signal) - math.log10(noise)) if signal > 0 else -math.inf


def _cosine(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the cosine; 1 for two zero vectors, nan where one alone is zero or both are empty."""
    if not x.size:
        return math.nan
    peaks = float(np.max(np.abs(x))), float(np.max(np.abs(y)))
    if peaks == (0.0, 0.0):
        return 1.0
    if 0.0 in peaks:
        return math.nan
    x, y = x / peaks[0], y / peaks[1]
    return float(np.clip(np.dot(x / np.linalg.norm(x), y / np.linalg.norm(y)), -1.0, 1.0))


def worst_index(found: NDArray[Any], reference: NDArray[Any]) -> int:
    """Return the flat index of the worst element of the worst channel (axis -3, or the whole)."""
    a, r = found.astype(np.float64), reference.astype(np.float64).reshape(found.shape)
    both = np.isfinite(a) & np.isfinite(r)
    broken = ~both & (a != r) & ~(np.isnan(a) & np.isnan(r))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where(both, np.abs(a - r), 0.0)
    error = np.where(broken, np.inf, error)
    if found.size == 0:
        return 0
    if found.ndim < 3:
        return int(np.argmax(error))
    with np.errstate(over="ignore"):
        channels = np.mean(error**2, axis=(-2, -1), keepdims=True)
    return int(np.argmax(np.where(channels == channels.max(), error, -1.0)))


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
