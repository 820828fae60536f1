"""BorderAmounts, ValidPadding and SamePadding, as convolution, pooling and crop use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.limits import INT32_MAX
from migrate.lowering import known, lowers

if TYPE_CHECKING:
    from collections.abc import Sequence

BOTTOM_RIGHT_HEAVY, TOP_LEFT_HEAVY = 0, 1


def pair(values: Sequence[int], default: int, field: str) -> tuple[int, int]:
    """Return the [H, W] field, or its default for both where it is not set."""
    if not values:
        return default, default
    if len(values) != 2 or not all(0 < v <= INT32_MAX for v in values):
        raise ModelError(f"{field} must be two positive numbers [H, W], found {list(values)}")
    return int(values[0]), int(values[1])


def shortest(sizes: tuple[int, ...]) -> Any:
    """Return one number where all sizes are the same: it is what torch takes for them."""
    return sizes[0] if len(set(sizes)) == 1 else sizes


def edges(amounts: Any, field: str) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) of a `BorderAmounts` message; zeros where it is unset."""
    borders = amounts.borderAmounts
    if not borders:
        return 0, 0, 0, 0
    if len(borders) != 2:
        raise ModelError(f"{field} must have two entries [H, W], found {len(borders)}")
    height, width = borders
    found = height.startEdgeSize, height.endEdgeSize, width.startEdgeSize, width.endEdgeSize
    if max(found) > INT32_MAX:
        raise ModelError(f"{field} of {max(found)} is not a size")
    return tuple(int(n) for n in found)  # type: ignore[return-value]


def heavy_start(mode: int) -> bool:
    """Tell whether this `SamePaddingMode` puts the odd pixel of padding at the start."""
    if mode not in (BOTTOM_RIGHT_HEAVY, TOP_LEFT_HEAVY):
        raise ModelError(f"asymmetryMode {mode} is not a SamePaddingMode")
    return mode == TOP_LEFT_HEAVY


def at_least_zero(n: int) -> int:
    """Return a size that may be negative, or 0; a trace records this, and not `max`."""
    return (n + abs(n)) // 2


@helper
def same_border(
    x: Tensor, reach: tuple[int, ...], stride: tuple[int, ...], heavy_start: bool = False
) -> tuple[int, ...]:
    """Return the padding for F.pad with which an output has the input's size over the stride.

    Sizes are rounded up; the odd pixel goes to the heavy side. `reach` is the dilated kernel.
    """
    border: list[int] = []
    for size, window, step in zip(x.shape[::-1], reach[::-1], stride[::-1], strict=False):
        total = at_least_zero((-(-size // step) - 1) * step + window - size)
        more, less = total - total // 2, total // 2
        border += [more, less] if heavy_start else [less, more]
    return tuple(border)


def same_pad(reach: tuple[int, int], stride: tuple[int, int], mode: int) -> SamePad | Pad:
    """Return SamePadding with zeros; with a stride of 1 it is the same at any size."""
    at_start = heavy_start(mode)
    if stride != (1, 1):
        return SamePad(reach, stride, at_start)
    (top, bottom), (left, right) = (
        ((n - 1) - (n - 1) // 2, (n - 1) // 2)[:: 1 if at_start else -1] for n in reach
    )
    return Pad((left, right, top, bottom))


class SamePad(nn.Module):
    """Padding with zeros that depends on the size of the input."""

    def __init__(self, reach: tuple[int, ...], stride: tuple[int, ...], heavy_start: bool) -> None:
        super().__init__()
        self.reach, self.stride, self.heavy_start = reach, stride, heavy_start

    def border(self, x: Tensor) -> tuple[int, ...]:
        """Return the padding of an input of this size, as F.pad takes it."""
        return same_border(x, self.reach, self.stride, self.heavy_start)

    def forward(self, x: Tensor) -> Tensor:
        """Return the padded blob."""
        return F.pad(x, self.border(x))


def surround(x: Tensor, amounts: Sequence[int], value: float) -> Tensor:
    """Pad with a value; `amounts` are in the order of F.pad."""
    return F.pad(x, tuple(amounts), value=value) if value else F.pad(x, tuple(amounts))


class Pad(nn.Module):
    """The same padding of zeros at any size, as F.pad takes it."""

    def __init__(self, amounts: tuple[int, ...]) -> None:
        super().__init__()
        self.amounts = amounts

    def border(self, x: Tensor) -> tuple[int, ...]:
        """Return the amounts."""
        return self.amounts

    def forward(self, x: Tensor) -> Tensor:
        """Return the padded blob."""
        return F.pad(x, self.amounts) if any(self.amounts) else x


@lowers("pad")
def _pad_in_mil(mb: Any, x: Any, amounts: Any, mode: Any, value: Any) -> Any:
    """Pad by computed amounts, or by negative ones, which cut off; coremltools does neither."""
    given = amounts if isinstance(amounts, list) else list(amounts.val)
    if mode.val != "constant" or all(known(n) is not None and known(n) >= 0 for n in given):
        return NotImplemented
    lead = x.rank - len(given) // 2
    starts, ends = (joined(mb, [0] * lead + given[side::2][::-1]) for side in (0, 1))
    pads = mb.reshape(x=mb.stack(values=[starts, ends], axis=1), shape=[2 * x.rank])
    filled = 0.0 if value is None or value.val is None else float(value.val)
    y = mb.pad(x=x, pad=mb.maximum(x=pads, y=0), mode="constant", constant_val=filled)
    sizes = mb.add(x=mb.shape(x=x), y=mb.add(x=starts, y=ends))
    # the sizes in front are unchanged, and those that are known are to stay so
    front = [n if isinstance(n, (int, np.integer)) else -1 for n in x.shape[:lead]]
    size = joined(mb, [*front, mb.slice_by_index(x=sizes, begin=[lead], end=[x.rank])])
    return mb.slice_by_size(x=y, begin=mb.maximum(x=mb.sub(x=0, y=starts), y=0), size=size)


@lowers("narrow")
def _narrow_in_mil(mb: Any, x: Any, axis: Any, start: Any, length: Any) -> Any:
    """Take a part of an axis whose length may be computed, which coremltools does not allow."""
    begin, size = [0] * x.rank, [-1] * x.rank
    begin[axis.val], size[axis.val] = start, length
    return mb.slice_by_size(x=x, begin=joined(mb, begin), size=joined(mb, size))


def joined(mb: Any, values: Sequence[Any]) -> Any:
    """Return a vector of sizes in MIL: of numbers, and of variables of rank 0 or 1."""
    return mb.concat(values=[_vector(mb, value) for value in values], axis=0)


def _vector(mb: Any, value: Any) -> Any:
    if known(value) is not None:
        return np.atleast_1d(np.int32(known(value)))
    return value if value.rank else mb.expand_dims(x=value, axes=[0])
