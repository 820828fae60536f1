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
    mean_square = float(np.mean((x - y) ** 2)) if x.size else math.nan
    peak = float(np.max(np.abs(y))) if y.size else math.nan
    return Metrics(
        count=a.size,
        max_abs=float(error.max()) if a.size else math.nan,
        max_abs_index=int(_worst(error, both, same)) if a.size else 0,
        mean_abs=float(np.mean(np.abs(x - y))) if x.size else math.nan,
        rmse=math.sqrt(mean_square),
        snr=_decibel(float(np.mean(y**2)) if y.size else math.nan, mean_square),
        psnr=_decibel(peak**2, mean_square),
        cosine=_cosine(x, y),
        beyond=int(beyond.sum()),
        nan=int(np.isnan(a).sum()),
        inf=int(np.isinf(a).sum()),
    )


def _worst(error: NDArray[Any], both: NDArray[Any], same: NDArray[Any]) -> int:
    """Return the first element where only one of the two is finite, else the largest error."""
    broken = ~both & ~same
    return int(np.argmax(broken)) if broken.any() else int(np.argmax(error))


def _decibel(signal: float, noise: float) -> float:
    if math.isnan(signal) or math.isnan(noise):
        return math.nan
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def _cosine(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the cosine of two vectors; 1 for two zero vectors, nan where one alone is zero."""
    lengths = float(np.linalg.norm(x)), float(np.linalg.norm(y))
    if lengths == (0.0, 0.0):
        return 1.0
    if 0.0 in lengths:
        return math.nan
    return float(np.clip(np.dot(x / lengths[0], y / lengths[1]), -1.0, 1.0))


def worst_index(found: NDArray[Any], reference: NDArray[Any]) -> int:
    """Return the flat index of the worst element of the worst channel (axis -3, or the whole)."""
    a, r = found.astype(np.float64), reference.astype(np.float64).reshape(found.shape)
    broken = (np.isfinite(a) != np.isfinite(r)) & ~(np.isnan(a) & np.isnan(r))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where(np.isfinite(a) & np.isfinite(r), np.abs(a - r), 0.0)
    error = np.where(broken, np.inf, error)
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
