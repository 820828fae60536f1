"""Making tensors, and giving tensors another shape (spec version 4 and later)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate import weights
from migrate.errors import ModelError, UnsupportedError
from migrate.helpers import helper
from migrate.layers.padding import surround
from migrate.layers.tensor import positive
from migrate.lowering import expressed, lowers
from migrate.registry import layer
from migrate.shapes import affordable, refuse_unaffordable
from migrate.tracing import shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrate.registry import Step


class Constant(nn.Module):
    """A stored value, repeated to the shape that is wanted."""

    def __init__(self, value: Tensor, shape: Sequence[int]) -> None:
        super().__init__()
        self.value = nn.Buffer(value)
        self.shape = tuple(shape)

    def forward(self) -> Tensor:
        """Return the value."""
        return self.value if self.value.shape == self.shape else self.value.expand(self.shape)


def sizes(values: Sequence[int], field: str, lowest: int = 1) -> tuple[int, ...]:
    """Return a shape field; -1 is for the one dimension that follows from the others."""
    shape = affordable(values, field)
    if not shape or min(shape) < lowest or shape.count(-1) > 1:
        raise ModelError(f"{field} {list(shape)} is not a shape")
    return shape


def computed(shape: Tensor) -> tuple[Any, ...]:
    """Return the shape that a tensor holds; ValueError for more elements than are allowed."""
    refuse_unaffordable(shape)
    return tuple(shape.flatten().int().unbind())


def _sizes(mb: Any, shape: Any) -> Any:
    """Return a shape as MIL has it; UnsupportedError where not even the rank is known."""
    if any(not isinstance(n, int) for n in shape.shape):
        raise UnsupportedError("the rank is computed by the model, which MIL does not allow")
    return mb.reshape(x=mb.cast(x=shape, dtype="int32"), shape=[-1])


@layer("getShape")
def getShape(p: Any) -> Step:
    """Return the shape as a vector."""

    def in_mil(mb: Any, x: Any) -> Any:
        shape = mb.cast(x=mb.shape(x=x), dtype="fp32")
        # coremltools' passes fail on floats that are symbols; abs hides from them that these are
        return shape if shape.val is not None else mb.abs(x=shape)

    return expressed(lambda x: shape_of(x).to(x.dtype), in_mil)


@layer("loadConstantND")
def loadConstantND(p: Any) -> Step:
    """Return the stored tensor."""
    shape = sizes(p.shape, "shape")
    return Constant(torch.tensor(weights.array(p.data, shape, "data")), shape)


@layer("fillLike")
def fillLike(p: Any) -> Step:
    """Fill the shape of the input with a value."""
    return lambda x: torch.full_like(x, p.value)


@layer("fillStatic")
def fillStatic(p: Any) -> Step:
    """Fill a fixed shape with a value."""
    shape = sizes(p.targetShape, "targetShape")
    return Constant(torch.full((1,) * len(shape), p.value), shape)


@layer("fillDynamic")
def fillDynamic(p: Any) -> Step:
    """Fill the shape that the input holds with a value."""

    def fill(shape: Tensor) -> Tensor:
        return torch.full(computed(shape), p.value, dtype=shape.dtype)

    return expressed(fill, lambda mb, shape: mb.fill(shape=_sizes(mb, shape), value=p.value))


@layer("broadcastToLike")
def broadcastToLike(p: Any) -> Step:
    """Broadcast to the shape of the second input."""
    return lambda x, like: x.expand_as(like)


@layer("broadcastToStatic")
def broadcastToStatic(p: Any) -> Step:
    """Broadcast to a fixed shape."""
    shape = sizes(p.targetShape, "targetShape")
    return lambda x: x.expand(shape)


@layer("broadcastToDynamic")
def broadcastToDynamic(p: Any) -> Step:
    """Broadcast to the shape that the second input holds."""
    return lambda x, shape: x.expand(computed(shape))


@layer("reshapeLike")
def reshapeLike(p: Any) -> Step:
    """Reshape to the shape of the second input."""
    return lambda x, like: x.reshape_as(like)


@layer("reshapeStatic")
def reshapeStatic(p: Any) -> Step:
    """Reshape to a fixed shape."""
    shape = sizes(p.targetShape, "targetShape", lowest=-1)
    if 0 in shape:
        raise ModelError(f"targetShape {list(shape)} is not a shape")
    return lambda x: x.reshape(shape)


@layer("reshapeDynamic")
def reshapeDynamic(p: Any) -> Step:
    """Reshape to the shape that the second input holds."""

    def reshape(x: Tensor, shape: Tensor) -> Tensor:
        return x.reshape(computed(shape))

    return expressed(reshape, lambda mb, x, shape: mb.reshape(x=x, shape=_sizes(mb, shape)))


@layer("rankPreservingReshape")
def rankPreservingReshape(p: Any) -> Step:
    """Reshape to as many dimensions; one of 0 stays as it is."""
    shape = sizes(p.targetShape, "targetShape", lowest=-1)

    def reshape(x: Tensor) -> Tensor:
        if len(shape) != x.ndim:
            raise ValueError(f"targetShape has {len(shape)} entries, the input has rank {x.ndim}")
        return x.reshape(tuple(n or x.shape[i] for i, n in enumerate(shape)))

    return reshape


@layer("flattenTo2D")
def flattenTo2D(p: Any) -> Step:
    """Join the dimensions before an axis, and those from it on."""

    def flatten(x: Tensor) -> Tensor:
        # FlattenTo2DLayerParams: an axis of the input's rank is allowed, nothing is behind it
        axis = x.ndim if p.axis == x.ndim else positive(p.axis, x.ndim)
        rows = x.flatten(axis) if axis < x.ndim else x.unsqueeze(-1)
        return rows.flatten(0, axis - 1) if axis else rows.unsqueeze(0)

    return flatten


@layer("squeeze")
def squeeze(p: Any) -> Step:
    """Remove dimensions of 1; where none is left the blob has rank 0 (see `shapes`)."""
    axes = tuple(p.axes)
    if not (axes or p.squeezeAll):
        raise ModelError("axes are empty and squeezeAll is not set")

    def remove(x: Tensor) -> Tensor:
        y = x.squeeze() if p.squeezeAll else x.squeeze(axes if len(axes) > 1 else axes[0])
        if not p.squeezeAll and y.ndim != x.ndim - len(axes):
            raise ValueError(f"axes {list(axes)} are not all of size 1")
        return y

    return remove


@lowers("squeeze")
def _squeeze_in_mil(mb: Any, x: Any, axes: Any = None) -> Any:
    """Remove dimensions that are not known to be 1, which coremltools would keep."""
    if axes is None or axes.val is None:
        return NotImplemented
    wanted = [int(axis) for axis in np.atleast_1d(axes.val)]
    sizes = [x.shape[axis] for axis in wanted]
    return (
        mb.squeeze(x=x, axes=wanted)
        if not all(isinstance(n, (int, np.integer)) for n in sizes)
        else NotImplemented
    )


@layer("expandDims")
def expandDims(p: Any) -> Step:
    """Insert dimensions of 1, at these axes of the output."""
    if not p.axes:
        raise ModelError("axes are empty")

    def expand(x: Tensor) -> Tensor:
        axes = sorted({positive(axis, x.ndim + len(p.axes)) for axis in p.axes})
        if len(axes) != len(p.axes):
            raise ValueError(f"axes {list(p.axes)} name one dimension twice")
        for axis in axes:
            x = x.unsqueeze(axis)
        return x

    return expand


@layer("constantPad")
def constantPad(p: Any) -> Step:
    """Pad with a value before and after each dimension, by amounts or up to sizes."""
    stored = [n for amount in p.padAmounts for n in affordable([amount], "padAmounts")]
    if len(stored) % 2:
        raise ModelError(f"padAmounts must be pairs, found {len(stored)} numbers")
    if p.padToGivenOutputSizeMode and any(map(min, zip(stored[::2], stored[1::2], strict=True))):
        raise ModelError("padAmounts may give a size before or after a dimension, not both")

    def pad(x: Tensor, given: Tensor | None = None) -> Tensor:
        if given is not None:
            return pad_by(x, given, p.padToGivenOutputSizeMode, p.value)
        if len(stored) != 2 * x.ndim:
            raise ValueError(f"padAmounts has {len(stored)} entries, expected {2 * x.ndim}")
        if p.padToGivenOutputSizeMode:
            return pad_by(x, stored, True, p.value)
        # torch names the last dimension first
        order = [n for i in reversed(range(x.ndim)) for n in stored[2 * i : 2 * i + 2]]
        while len(order) > 2 and order[-2:] == [0, 0]:
            del order[-2:]
        return surround(x, order, p.value)

    return pad


@helper
def pad_by(x: Tensor, amounts: Tensor | list[int], to_size: bool, value: float) -> Tensor:
    """Pad before and after each dimension, in this order, by amounts or up to a size."""
    given: list[Any] = list(
        amounts.flatten().int().unbind() if isinstance(amounts, Tensor) else amounts
    )
    if len(given) != 2 * x.ndim:
        raise ValueError(f"padAmounts has {len(given)} entries, expected {2 * x.ndim}")
    if to_size:
        missing = (torch.as_tensor(n) - x.shape[i // 2] for i, n in enumerate(given))
        given = [n.clamp(min=0) for n in missing]
    order = [n for i in reversed(range(x.ndim)) for n in given[2 * i : 2 * i + 2]]
    return F.pad(x, order, value=value)


@lowers(pad_by)
def _pad_by_in_mil(mb: Any, x: Any, amounts: Any, to_size: bool, value: float) -> Any:
    if isinstance(amounts, list):
        amounts = np.array(amounts, np.int32)
    else:
        amounts = mb.reshape(x=mb.cast(x=amounts, dtype="int32"), shape=[2 * x.rank])
    if to_size:
        sizes = mb.gather(x=mb.shape(x=x), indices=np.repeat(np.arange(x.rank), 2).astype(np.int32))
        amounts = mb.maximum(x=mb.sub(x=amounts, y=sizes), y=0)
    return mb.pad(x=x, pad=amounts, mode="constant", constant_val=value)
