"""What a pasted listing shows, and no more: statements that its printed rows alone carry."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from reporter.understand.divergence import Row, Table, axes

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
    rows: list[Row | None] = [None]
    lines = sorted(listing.lines, key=lambda line: line.index)
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        given = dict(zip(listing.units, line.values, strict=True))
        values = ("", *(given.get(unit, "") for unit in ("cpu", "gpu", "ane")))
        rows.append(Row(line.index, listing.position(line.index), values))
        if following is None or following.index != line.index + 1:
            rows.append(None)
    return Table(("Reference", "CPU", "GPU", "ANE"), axes(len(listing.shape)), tuple(rows))


def _where(listing: Listing) -> str:
    rows = _amount(len(listing.lines))
    channels = list(dict.fromkeys(_channel(listing, line.index) for line in listing.lines))
    if len(listing.shape) < 3:
        indices = [line.index for line in listing.lines]
        return f"The {rows} rows lie between index {min(indices)} and {max(indices)}."
    if len(channels) > 1:
        names = ", ".join(channels[:8]) + (", ..." if len(channels) > 8 else "")
        return f"The {rows} rows lie in {len(channels)} channels: {names}."
    spots = [_within(listing, line.index) for line in listing.lines]
    return (
        f"All {rows} rows lie in channel {channels[0]}, positions {min(spots)} to {max(spots)} "
        f"of its {_plane(listing)}."
    )


def _constant(listing: Listing, unit: str) -> str:
    text = listing.column(unit)[0]
    grid = "lies on the float16 grid" if on_float16_grid(text) else "is not on the float16 grid"
    return f"The {NAMES[unit]} value is constant there ({text}) and {grid}."


def _grid(listing: Listing, unit: str) -> str:
    values = listing.column(unit)
    hits = sum(map(on_float16_grid, values))
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
        hits = sum(is_rounded_to_float16(cpu, other) for cpu, other in pairs)
        name, what = NAMES[unit], "is the CPU value rounded to float16"
        if hits == len(pairs):
            found.append(f"Every {name} value {what}.")
        else:
            found.append(f"{hits} of {len(pairs)} {name} values are the CPU value so rounded.")
    return found


def _unknown(listing: Listing) -> str:
    total = int(np.prod(listing.shape))
    known = f"{len(listing.lines)} of {total:,} values are listed"
    if len(listing.shape) < 3:
        return f"{known}; nothing is known of the others."
    channels = {_channel(listing, line.index) for line in listing.lines}
    others = int(np.prod(listing.shape[:-2])) - len(channels)
    return f"{known}; nothing is known of the other {others:,} channels."


def on_float16_grid(text: str) -> bool:
    """Tell whether a float16 number prints as `text` at its number of digits."""
    return _prints_as(float(np.float16(float(text))), text)


def is_rounded_to_float16(exact: str, rounded: str) -> bool:
    """Tell whether `rounded` is the float16 nearest to `exact`, as far as both are printed.

    `exact` was itself cut to the digits printed, so any number that prints as it may be meant.
    """
    slack = _half_unit(exact)
    candidates = {
        float(np.float16(float(Decimal(exact) + step))) for step in (-slack, Decimal(0), slack)
    }
    return any(_prints_as(value, rounded) for value in candidates)


def _prints_as(value: float, text: str) -> bool:
    if not np.isfinite(value) or not Decimal(text).is_finite():
        return str(value) == str(float(text))
    return abs(Decimal(value) - Decimal(text)) <= _half_unit(text)


def _half_unit(text: str) -> Decimal:
    """Return half a unit of the last digit printed."""
    exponent = Decimal(text).as_tuple().exponent
    return Decimal(5).scaleb(int(exponent) - 1) if isinstance(exponent, int) else Decimal(0)


def _is_constant(listing: Listing, unit: str) -> bool:
    values = listing.column(unit)
    return len(values) > 1 and len(set(map(float, values))) == 1


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
