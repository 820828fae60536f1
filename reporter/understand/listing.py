"""What a pasted listing shows, and no more: statements that its printed rows alone carry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from reporter.understand.divergence import Row, Table, axes
from reporter.understand.wording import some

if TYPE_CHECKING:
    from reporter.measure.listing import Listing

NAMES = {"cpu": "CPU", "gpu": "GPU", "ane": "ANE", "all": "ALL"}
NOT_COMPARABLE = "not comparable: the listing carries neither inputs nor weights"


def statements(listing: Listing) -> list[str]:
    """Return one sentence per fact that the rows show."""
    return [
        _where(listing),
        *(_constant(listing, unit) for unit in listing.units if _is_constant(listing, unit)),
        *(_grid(listing, unit) for unit in listing.units if not _is_constant(listing, unit)),
        *_rounded(listing),
        _unknown(listing),
    ]


def table(listing: Listing) -> Table:
    """Return the listing's rows as a table with the columns that every report has."""
    lines = sorted(listing.lines, key=lambda line: line.index)
    rows: list[Row | None] = [None] if lines[0].index else []
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        given = dict(zip(listing.units, line.values, strict=True))
        values = ("", *(given.get(unit, "") for unit in ("cpu", "gpu", "ane")))
        rows.append(Row(line.index, listing.position(line.index), values))
        next_index = math.prod(listing.shape) if following is None else following.index
        if next_index != line.index + 1:
            rows.append(None)
    return Table(("Reference", "CPU", "GPU", "ANE"), axes(len(listing.shape)), tuple(rows))


def _where(listing: Listing) -> str:
    rows = _amount(len(listing.lines))
    channels = list(dict.fromkeys(_channel(listing, line.index) for line in listing.lines))
    if len(listing.shape) < 3:
        indices = [line.index for line in listing.lines]
        return f"The {rows} rows lie between index {min(indices)} and {max(indices)}."
    if len(channels) > 1:
        return f"The {rows} rows lie in {len(channels)} channels: {some(channels, 8)}."
    spots = [_within(listing, line.index) for line in listing.lines]
    if len(spots) == 1:
        where = f"position {spots[0]} of its {_plane(listing)}"
        return f"The only row lies in channel {channels[0]}, {where}."
    return (
        f"All {rows} rows lie in channel {channels[0]}, positions {min(spots)} to {max(spots)} "
        f"of its {_plane(listing)}."
    )


def _constant(listing: Listing, unit: str) -> str:
    text = listing.column(unit)[0]
    on_grid = on_float16_grid(text, _printing(listing, unit))
    grid = "lies on the float16 grid" if on_grid else "is not on the float16 grid"
    if not np.isfinite(float(text)):
        return f"The {NAMES[unit]} value is {text} in every row."
    return f"The {NAMES[unit]} value is constant there ({text}) and {grid}."


def _grid(listing: Listing, unit: str) -> str:
    values = listing.column(unit)
    printing = _printing(listing, unit)
    hits = sum(on_float16_grid(value, printing) for value in values)
    return (
        f"{hits} of {len(values)} {NAMES[unit]} values lie on the float16 grid, "
        "at the precision printed."
    )


def _rounded(listing: Listing) -> list[str]:
    """Compare every other unit that varies with the CPU's values rounded to float16."""
    if "cpu" not in listing.units:
        return []
    found = []
    for unit in listing.units:
        if unit == "cpu" or _is_constant(listing, unit):
            continue
        pairs = list(zip(listing.column("cpu"), listing.column(unit), strict=True))
        printings = _printing(listing, "cpu"), _printing(listing, unit)
        hits = sum(is_rounded_to_float16(cpu, other, *printings) for cpu, other in pairs)
        name, what = NAMES[unit], "is the CPU value rounded to float16"
        if hits == len(pairs):
            found.append(f"Every {name} value {what}.")
        else:
            found.append(f"{hits} of {len(pairs)} {name} values are the CPU value so rounded.")
    return found


def _unknown(listing: Listing) -> str:
    total = math.prod(listing.shape)
    if len(listing.lines) == total:
        return f"All {total:,} values are listed."
    known = f"{len(listing.lines)} of {total:,} values are listed"
    channels = {_channel(listing, line.index) for line in listing.lines}
    others = math.prod(listing.shape[:-2]) - len(channels)
    if len(listing.shape) < 3 or not others:
        return f"{known}; nothing is known of the others."
    return f"{known}; nothing is known of the other {others:,} channels."


@dataclass(frozen=True)
class Printing:
    """How a column's numbers were printed: to so many digits, if some lost their zeros."""

    digits: int = 0  # significant ones; 0: every number shows all its decimals

    def half_unit(self, text: str) -> Decimal:
        """Return half a unit of the last digit that was printed, a lost zero included."""
        value = Decimal(text)
        if not value.is_finite():
            return Decimal(0)
        last = value.adjusted() - self.digits + 1 if self.digits else _exponent(value)
        return Decimal(5).scaleb(last - 1)


AS_WRITTEN = Printing()


def _printing(listing: Listing, unit: str) -> Printing:
    """Return how a column was printed: "-22.5" below "-22.34375" is exact, not cut to a decimal."""
    values = [v for v in map(Decimal, listing.column(unit)) if v.is_finite()]
    if len({_exponent(value) for value in values}) < 2:
        return AS_WRITTEN
    return Printing(max(len(value.as_tuple().digits) for value in values))


def on_float16_grid(text: str, printing: Printing = AS_WRITTEN) -> bool:
    """Tell whether a float16 number prints as `text` at its number of digits."""
    return _prints_as(_half(text), text, printing)


def is_rounded_to_float16(
    exact: str,
    rounded: str,
    exact_printing: Printing = AS_WRITTEN,
    printing: Printing = AS_WRITTEN,
) -> bool:
    """Tell whether `rounded` is the float16 nearest to `exact`, as far as both are printed.

    `exact` was itself cut to the digits printed, so any number that prints as it may be meant.
    """
    if not (Decimal(exact).is_finite() and Decimal(rounded) == Decimal(rounded)):
        return str(float(exact)) == str(float(rounded))
    slack = exact_printing.half_unit(exact)
    low, high = (_half(Decimal(exact) + step) for step in (-slack, slack))
    return _prints_as(min(max(_half(rounded), low), high), rounded, printing)


def _half(number: str | Decimal) -> float:
    with np.errstate(over="ignore"):
        return float(np.float16(float(number)))


def _prints_as(value: float, text: str, printing: Printing) -> bool:
    if not np.isfinite(value) or not Decimal(text).is_finite():
        return str(value) == str(float(text))
    # the shortest form by which a float16 can be read back has five digits at most
    shortest = 0 < printing.digits <= 5 and Decimal(str(np.float16(value))) == Decimal(text)
    return shortest or abs(Decimal(value) - Decimal(text)) <= printing.half_unit(text)


def _exponent(value: Decimal) -> int:
    """Return the power of ten of a finite number's last digit."""
    return int(value.as_tuple().exponent)


def _is_constant(listing: Listing, unit: str) -> bool:
    values = listing.column(unit)
    return len(values) > 1 and len({str(float(value) + 0.0) for value in values}) == 1


def _plane(listing: Listing) -> int:
    return int(np.prod(listing.shape[-2:]))


def _channel(listing: Listing, index: int) -> str:
    """Return what names a channel: its number, with those of the axes before it if they count."""
    leading = listing.position(index)[:-2]
    counts = [n for n, size in zip(leading, listing.shape[:-2], strict=True) if size > 1]
    return "/".join(map(str, counts)) or "0"


def _within(listing: Listing, index: int) -> int:
    return index % _plane(listing)


def _amount(number: int) -> str:
    words = ["", "one", "two", "three", "four", "five", "six"]
    words += ["seven", "eight", "nine", "ten", "eleven", "twelve"]
    return words[number] if number < len(words) else str(number)
