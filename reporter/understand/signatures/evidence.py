"""What a signature is read from: one output's numbers, and its errors in envelopes.

An envelope is the error that rounding explains of a channel (`migrate.Envelope.rmse`): every limit
here counts in it, and none is an absolute tolerance. Channels are those of `migrate.channels`, a
row each: axis -3 and the ones before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from migrate import ENVELOPE_K, AnereportError, channels
from reporter.understand.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Mask = NDArray[np.bool_]

FAR = 1e100  # envelopes; further off is not told apart, so that squares stay finite
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _number(value: Any) -> Any:
    """Return what a file has as a string where JSON lacks the number; all else as it is."""
    return NOT_FINITE.get(value, value) if isinstance(value, str) else value


class EvidenceError(AnereportError):
    """Evidence whose parts do not belong together."""


@dataclass(frozen=True)
class Signature:
    """A pattern that an output matches: the numbers it rests on, and one or two sentences."""

    code: str
    title: str
    numbers: tuple[tuple[str, Annotated[float | int | str, BeforeValidator(_number)]], ...]
    says: str


@dataclass(frozen=True, eq=False)
class Evidence:
    """One output as measured, its float64 reference, and what else is known of it.

    Arrays have as many elements as the reference and are read in its shape. Raises EvidenceError
    for other sizes, for values that are no numbers, and for an `rmse` that is not one positive
    number per channel.
    """

    found: NDArray[Any]
    reference: Array
    rmse: Array  # one per channel
    cpu: NDArray[Any] | None = None
    gpu: NDArray[Any] | None = None
    repeats: tuple[NDArray[Any], ...] = ()  # of the same unit and input, in the order of the calls
    cold: NDArray[Any] | None = None  # of the cold start, which is none of the repeats
    previous: NDArray[Any] | None = None  # what is right for the input before this one
    prefilled: NDArray[Any] | None = None  # what the buffer held before the call
    biases: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # layer to its constants
    strides: tuple[int, ...] = ()  # of the buffer as recorded, in elements
    placement: tuple[int, int] | None = None  # operations planned on the Neural Engine, of how many
    identical_to_cpu: bool | None = None  # bit for bit, where that is known apart from `cpu`
    scores: int | None = None  # the axis that a decision is the largest of; else that of a vector

    def __post_init__(self) -> None:
        _check(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the output, which is the reference's."""
        return np.shape(self.reference)

    @cached_property
    def values(self) -> Array:
        """The output as measured, a row per channel."""
        return self.rows(self.found)

    @cached_property
    def exact(self) -> Array:
        """The reference, a row per channel."""
        return self.rows(self.reference)

    @cached_property
    def unit(self) -> Array:
        """The envelope of each channel, as a column."""
        return np.asarray(self.rmse, np.float64).reshape(-1, 1)

    @cached_property
    def both(self) -> Mask:
        """Where the value and its reference are finite."""
        return np.isfinite(self.values) & np.isfinite(self.exact)

    @cached_property
    def broken(self) -> Mask:
        """Where one of the two is not finite and the other is not the same."""
        return _broken(self.values, self.exact)

    @cached_property
    def errors(self) -> Array:
        """The signed error in envelopes, 0 where either is not finite."""
        return self.distance(self.values)

    @cached_property
    def ratios(self) -> Array:
        """Each channel's RMSE in envelopes, infinite if it is broken anywhere."""
        return self.ratio(self.values)

    @cached_property
    def wrong(self) -> Mask:
        """Which channels rounding does not explain."""
        return self.ratios > ENVELOPE_K

    @cached_property
    def limit(self) -> float:
        """How many envelopes a single value may be off: K, and more where all channels are."""
        right = self.ratios[~self.wrong]
        return ENVELOPE_K * max(1.0, float(np.median(right)) if right.size else 1.0)

    @cached_property
    def bad(self) -> Mask:
        """The values that are wrong; none of an output whose channels are all right."""
        far = (np.abs(self.errors) > self.limit) | self.broken
        return far & bool(self.wrong.any())

    @cached_property
    def untouched(self) -> Mask:
        """The wrong values that are what the buffer held before, other than zeros."""
        if self.prefilled is None:
            return np.zeros_like(self.bad)
        held = self.rows(self.prefilled)
        same = (self.values == held) | (np.isnan(self.values) & np.isnan(held))
        return same & self.bad & (held != 0)

    def rows(self, array: Any) -> Array:
        """Return an array of the output's size as float64, a row per channel."""
        return channels(np.asarray(array, np.float64).reshape(self.shape))

    def distance(self, values: Array) -> Array:
        """Return how far values are from the reference, in envelopes, 0 where not both finite."""
        both = np.isfinite(values) & np.isfinite(self.exact)
        difference = np.subtract(values, self.exact, out=np.zeros(both.shape), where=both)
        return np.clip(difference / self.unit, -FAR, FAR)

    def ratio(self, values: Array) -> Array:
        """Return each channel's RMSE in envelopes, as `migrate.Envelope.ratio` does."""
        both = np.isfinite(values) & np.isfinite(self.exact)
        squares = np.sum(self.distance(values) ** 2, axis=1)
        rmse = np.sqrt(squares / np.maximum(both.sum(axis=1), 1))
        return np.where(_broken(values, self.exact).any(axis=1), np.inf, rmse)

    def varies(self, rows: Array) -> Mask:
        """Tell of each channel whether its finite values differ by more than rounding explains."""
        finite = np.isfinite(rows)
        top = np.max(rows, axis=1, initial=-np.inf, where=finite)
        low = np.min(rows, axis=1, initial=np.inf, where=finite)
        return (top - low) / self.unit[:, 0] > self.limit


def signature(
    code: str, title: str, facts: str, matches: str, **numbers: float | int | str
) -> Signature:
    """Return a signature; its sentences end in what they match, and in what they do not say."""
    says = f"{facts} This matches {matches}; it does not identify the responsible stage."
    named = tuple((name.replace("_", " "), _plain(value)) for name, value in numbers.items())
    return Signature(code, title, named, says)


def times(ratio: float) -> str:
    """Return how far off something is, in words."""
    if not math.isfinite(ratio):
        return "off by no finite number"
    return f"off by {counted(ratio)} times what rounding explains"


def wrong_values(evidence: Evidence) -> str:
    """Return what `Evidence.bad` marks, in words."""
    return f"values beyond {counted(evidence.limit)} times what rounding explains"


def rms(values: Array) -> float:
    """Return the root of the mean square, 0 of nothing."""
    return math.sqrt(float(np.mean(values**2))) if values.size else 0.0


def _plain(value: Any) -> float | int | str:
    return value.item() if isinstance(value, np.generic) else value


def _broken(values: Array, exact: Array) -> Mask:
    both = np.isfinite(values) & np.isfinite(exact)
    same = (values == exact) | (np.isnan(values) & np.isnan(exact))
    return ~both & ~same


def _check(evidence: Evidence) -> None:
    shape = evidence.shape
    given = {"values": evidence.found, "reference": evidence.reference}
    for name in ("cpu", "gpu", "cold", "previous", "prefilled"):
        given |= {name: getattr(evidence, name)} if getattr(evidence, name) is not None else {}
    for name, array in (*given.items(), *(("repeat", array) for array in evidence.repeats)):
        _check_array(name, array, shape)
    rmse = np.asarray(evidence.rmse)
    rows = math.prod(shape[:-2])
    if rmse.shape != (rows,) or not np.all(np.isfinite(rmse) & (rmse > 0)):
        raise EvidenceError(
            f"the envelope is one positive number for each of the {rows:,} channels, "
            f"not an array of shape {_product(rmse.shape)}"
        )


def _check_array(name: str, array: Any, shape: tuple[int, ...]) -> None:
    kind = np.asarray(array).dtype.kind
    if kind not in "biuf":
        raise EvidenceError(f"the {name} array is of {np.asarray(array).dtype}, not of numbers")
    if [n for n in np.shape(array) if n != 1] != [n for n in shape if n != 1]:
        raise EvidenceError(
            f"the {name} array has shape {_product(np.shape(array))}, "
            f"the reference has {_product(shape)}"
        )


def _product(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
