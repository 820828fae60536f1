"""Making, joining, splitting, padding and sorting tensors."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from migrate.mil.registry import op
from migrate.mil.scatter_gather import take
from migrate.mil.values import ints, tensor
from migrate.shapes import affordable


@op("band_part")
def band_part(x: Tensor, lower: int = -1, upper: int = -1) -> Tensor:
    """Keep a band around the diagonal of each matrix; a negative width keeps that whole side."""
    rows, columns = (torch.arange(n) for n in x.shape[-2:])
    below = rows[:, None] - columns
    kept = torch.ones_like(below, dtype=torch.bool)
    if lower >= 0:
        kept &= below <= lower
    if upper >= 0:
        kept &= -below <= upper
    return torch.where(kept, x, torch.zeros_like(x))


@op("cumsum")
def cumsum(x: Tensor, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Sum along an axis up to each element, or up to the one before it; or from the end."""
    y = x.flip(axis) if reverse else x
    y = y.cumsum(axis)
    if exclusive:
        y = torch.cat(
            [torch.zeros_like(y.narrow(axis, 0, 1)), y.narrow(axis, 0, y.shape[axis] - 1)], axis
        )
    return y.flip(axis) if reverse else y


@op("fill")
def fill(shape: Any, value: Any = 0.0) -> Tensor:
    """Return a tensor of one value."""
    return tensor(value).expand(ints(shape))


@op("fill_like")
def fill_like(ref_tensor: Any, value: Any = 0.0) -> Tensor:
    """Return a tensor of one value, in the shape of another."""
    return tensor(value).expand(tensor(ref_tensor).shape)


@op("non_zero")
def non_zero(x: Tensor) -> Tensor:
    """Return the indices of all elements that are not zero, one in a row."""
    return torch.nonzero(x, as_tuple=False)


@op("one_hot")
def one_hot(
    indices: Any, one_hot_vector_size: Any, axis: int = -1, on_value: Any = 1, off_value: Any = 0
) -> Tensor:
    """Return vectors along a new axis with one value at the index and another elsewhere."""
    index = tensor(indices)
    axis = axis % (index.ndim + 1)
    numbers = torch.arange(int(one_hot_vector_size))
    hot = index.unsqueeze(axis) == numbers.reshape(-1, *(1,) * (index.ndim - axis))
    return torch.where(hot, tensor(on_value), tensor(off_value))


@op("pad")
def pad(x: Tensor, pad: Any, mode: str = "constant", constant_val: Any = 0.0) -> Tensor:
    """Put elements around the last axes: a constant, the border, or what is reflected in it."""
    amounts = ints(pad)
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))
    first = x.ndim - len(pairs)
    if mode == "constant":
        # torch wants the last axis first
        flat = [n for amount in reversed(pairs) for n in amount]
        return F.pad(x, flat, mode="constant", value=float(constant_val))
    for axis, (before, after) in enumerate(pairs, start=first):
        x = take(x, axis, _padded(x.shape[axis], before, after, mode))
    return x


def _padded(size: int, before: int, after: int, mode: str) -> Tensor:
    """Return which element of an axis stands at each place of the padded one."""
    last = size - 1
    at = torch.arange(-before, size + after)
    if mode == "replicate":
        return at.clamp(0, last)
    if mode != "reflect":
        raise ValueError(f"mode {mode!r} is not known")
    if max(before, after) > last:
        raise ValueError(f"{max(before, after)} elements cannot be reflected of {size}")
    return last - (last - at.abs()).abs()


@op("range_1d")
def range_1d(start: Any, end: Any, step: Any) -> Tensor:
    """Return numbers from start on, up to end and without it."""
    first, last, by = (tensor(n).item() for n in (start, end, step))
    (count,) = affordable([max(0, math.ceil((last - first) / by))], "the range")
    whole = all(isinstance(n, int) for n in (first, last, by))
    return first + by * torch.arange(count, dtype=torch.int64 if whole else torch.float64)


@op("tile")
def tile(x: Tensor, reps: Any) -> Tensor:
    """Repeat each axis as often as is said."""
    return x.repeat(ints(reps))


@op("argsort")
def argsort(x: Tensor, axis: int = -1, ascending: bool = False) -> Tensor:
    """Return the indices that sort an axis; of equal elements the first comes first."""
    return torch.sort(x, dim=axis, descending=not ascending, stable=True).indices


@op("topk")
def topk(
    x: Tensor,
    k: Any = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the k largest or smallest elements of an axis, or all for -1, and their indices."""
    if output_indices_dtype not in ("int32", "uint16"):
        raise ValueError(f"output_indices_dtype {output_indices_dtype!r} is not known")
    # unless `sort` is set MIL promises no order, so any will do
    values, indices = torch.sort(x, dim=axis, descending=not ascending, stable=True)
    count = x.shape[axis] if int(k) == -1 else int(k)
    values, indices = values.narrow(axis, 0, count), indices.narrow(axis, 0, count)
    return (values, indices) if return_indices else values


@op("flatten2d")
def flatten2d(x: Tensor, axis: int = 1) -> Tensor:
    """Join the axes before one, and the others."""
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@op("shape")
def shape(x: Any) -> Tensor:
    """Return the sizes of all axes."""
    return torch.tensor(tensor(x).shape, dtype=torch.int64)


@op("concat")
def concat(values: list[Any], axis: int, interleave: bool = False) -> Tensor:
    """Join tensors along an axis, one after another or slice by slice; numbers make a vector."""
    parts = [tensor(value) for value in values]
    if parts[0].ndim == 0:
        return torch.stack(parts, axis)
    if not interleave:
        return torch.cat(parts, axis)
    axis = axis % parts[0].ndim
    return torch.stack(parts, axis + 1).flatten(axis, axis + 1)


@op("split")
def split(
    x: Tensor, axis: int, num_splits: Any = None, split_sizes: Any = None
) -> tuple[Tensor, ...]:
    """Cut an axis into parts of the given sizes, or into so many of one size."""
    if split_sizes is not None:
        return tuple(torch.split(x, ints(split_sizes), axis))
    if num_splits is None or x.shape[axis] % int(num_splits):
        raise ValueError(f"{x.shape[axis]} cannot be split into {num_splits} equal parts")
    return tuple(torch.split(x, x.shape[axis] // int(num_splits), axis))


@op("stack")
def stack(values: list[Any], axis: int) -> Tensor:
    """Join tensors along a new axis."""
    return torch.stack([tensor(value) for value in values], axis)
