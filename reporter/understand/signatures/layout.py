"""Layout: the right numbers, read or written in another arrangement.

L1: rows padded to 64 bytes (desert-ant-core #120: 200 became 224 elements) that are read as if they
followed each other, or the other way around; float16 read as float32, or the other way around.
L2: the same numbers in another order: axes permuted, an axis reversed, or only sorted the same.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate import ENVELOPE_K
from reporter.understand.signatures.evidence import rms, signature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from reporter.understand.signatures.evidence import Array, Evidence, Signature

BOUNDARY = 64  # bytes that the Neural Engine pads rows to
SIZES = (2, 4, 1)  # bytes of an element
MATCH = 0.99  # of the values
LEAST = 4  # values that must be told apart
FAR_MOVED = 0.5  # of the standard deviation is the error; drift is smaller
BETTER = 4.0  # times as close as chance would have it


def misread(evidence: Evidence) -> Signature | None:
    """Match a row stride or a type of number that the reader of the buffer had wrong (L1)."""
    if not evidence.bad.any():
        return None
    return _misread_rows(evidence) or _misread_type(evidence)


def _misread_rows(evidence: Evidence) -> Signature | None:
    if not evidence.shape:
        return None
    width = evidence.shape[-1]
    for stride in _strides(evidence, width):
        for padded, (at, of) in _row_readings(evidence.reference.size, width, stride):
            share = _share(evidence, evidence.values.reshape(-1), at, of)
            if share is None:
                continue
            read, written = (width, stride) if padded else (stride, width)
            return signature(
                "L1",
                "Rows read with another stride",
                f"{share:.1%} of the {len(at):,} values that can be checked are the reference's if "
                f"rows that are {written} elements apart are read as if they were {read} apart.",
                "a buffer whose row stride was not honoured",
                row_length=width,
                stride_written=written,
                stride_read=read,
                share_matched=share,
            )
    return None


def _strides(evidence: Evidence, width: int) -> list[int]:
    """Return the row strides that may have been meant: as recorded, and padded to 64 bytes."""
    recorded = evidence.strides[-2:-1] if len(evidence.strides) == len(evidence.shape) else ()
    padded = (-(-width * size // BOUNDARY) * BOUNDARY // size for size in SIZES)
    return [n for n in dict.fromkeys((*recorded, *padded)) if n > width > 0]


def _row_readings(count: int, width: int, stride: int) -> Iterator[tuple[bool, tuple[Any, Any]]]:
    """Yield flat indices of what was found, and of the reference they should hold."""
    index = np.arange(count)
    row, column = index // stride, index % stride
    kept = column < width
    yield True, (index[kept], (row * width + column)[kept])
    source = index // width * stride + index % width
    kept = source < count
    yield False, (index[kept], source[kept])


def _misread_type(evidence: Evidence) -> Signature | None:
    found = np.ravel(evidence.found)
    single = found.astype(np.float32) if found.dtype.kind == "f" else _same_bits(found, np.float32)
    half = found.astype(np.float16) if found.dtype.kind == "f" else _same_bits(found, np.float16)
    readings = (
        ("float16", "a wider type", single, np.float16),
        ("float32", "a narrower type", half, np.float32),
    )
    for written, read, bits, dtype in readings:
        if bits is None or bits.nbytes < np.dtype(dtype).itemsize:
            continue
        whole = bits.nbytes - bits.nbytes % np.dtype(dtype).itemsize
        inner = np.frombuffer(bits.tobytes()[:whole], dtype).astype(np.float64)[: found.size]
        index = np.arange(len(inner))
        share = _share(evidence, inner, index, index, first=0)
        if share is not None:
            return signature(
                "L1",
                "Numbers read as another type",
                f"{share:.1%} of {len(inner):,} values are the reference's if the buffer holds "
                f"{written} and was read as {read} ({found.dtype}).",
                f"a buffer of {written} that was read as another type",
                type_written=written,
                values=len(inner),
                share_matched=share,
            )
    return None


def _same_bits(found: NDArray[Any], dtype: Any) -> NDArray[Any] | None:
    return found.view(dtype) if found.dtype.itemsize == np.dtype(dtype).itemsize else None


def _share(
    evidence: Evidence, values: Array, at: NDArray[Any], of: NDArray[Any], first: int = 1
) -> float | None:
    """Return the share of values at `at` that are the reference's at `of`, if it tells anything.

    Only values count that would not be right where they are; the first row always is.
    """
    flat = evidence.exact.reshape(-1)
    unit = np.broadcast_to(evidence.unit, evidence.exact.shape).reshape(-1)
    limit = evidence.limit * unit[of]
    told = np.isfinite(flat[of]) & ~(np.abs(flat[of] - flat[at]) <= limit)
    near = np.abs(values[at] - flat[of]) <= limit
    matched = int((near & told).sum())
    if first == 0:  # the same place, in other bits: what is read must vary for that to mean much
        told = np.isfinite(flat[of]) & (np.abs(flat[of]) > limit)
        matched = int((near & told).sum())
    if matched < LEAST or matched < MATCH * told.sum() or not near.mean() >= MATCH:
        return None
    return float(near.mean())


def permuted(evidence: Evidence) -> Signature | None:
    """Match the reference's numbers in another order (L2)."""
    if evidence.broken.any() or not evidence.bad.any() or not evidence.both.all():
        return None
    return _rearranged(evidence) or _sorted(evidence)


def _rearranged(evidence: Evidence) -> Signature | None:
    """Match axes that were permuted, or one that was reversed."""
    naive = rms(evidence.errors)
    for name, candidate in _arrangements(evidence.reference):
        distance = (evidence.values - candidate.reshape(evidence.exact.shape)) / evidence.unit
        error = rms(np.clip(distance, -1e100, 1e100))
        if error <= evidence.limit and error * BETTER <= naive:
            return signature(
                "L2",
                "Axes permuted",
                f"The values are the reference's with {name}: {error:.3g} envelopes off, in place "
                f"of {naive:.3g}.",
                "a permuted layout",
                arrangement=name,
                envelopes=error,
                envelopes_as_it_is=naive,
            )
    return None


def _arrangements(reference: Array) -> Iterator[tuple[str, Array]]:
    axes = [i for i, n in enumerate(reference.shape) if n > 1]
    if len(axes) <= 4:
        for order in itertools.permutations(axes):
            if list(order) != axes:
                full = list(range(reference.ndim))
                for axis, source in zip(axes, order, strict=True):
                    full[axis] = source
                yield f"the axes in the order {tuple(full)}", np.transpose(reference, full)
    for axis in axes:
        yield f"axis {axis - reference.ndim} reversed", np.flip(reference, axis)


def _sorted(evidence: Evidence) -> Signature | None:
    """Match wrong values that are those of the reference once both are sorted.

    Other values of the same distribution are close too, the closer the more there are: what counts
    is to be much closer than these would be.
    """
    bad = evidence.bad
    unit = np.broadcast_to(evidence.unit, bad.shape)[bad]
    exact, values = evidence.exact[bad], evidence.values[bad]
    if exact.size < LEAST:
        return None
    order = np.argsort(exact, kind="stable")
    error = rms((np.sort(values) - exact[order]) / unit[order])
    chance = float(np.std(exact / np.median(unit))) * (2 / exact.size) ** 0.5
    naive = rms(evidence.errors[bad])
    moved = naive >= FAR_MOVED * float(np.std(exact / unit))
    if not moved or error > ENVELOPE_K or error * BETTER > min(chance, naive):
        return None
    return signature(
        "L2",
        "The same numbers in another order",
        f"The {exact.size:,} wrong values are, sorted, the reference's: {error:.3g} envelopes "
        f"apart, where others of the same distribution would be {chance:.3g} apart.",
        "values that were moved",
        values=exact.size,
        envelopes_sorted=error,
        envelopes_by_chance=chance,
    )
