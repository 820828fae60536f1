"""`WeightParams` to numpy: every form in which a NeuralNetwork stores weights.

The forms, from `NeuralNetwork.proto`: float32 values, float16 bytes, raw bytes of linearly or
lookup-table quantised integers of 1 to 8 bits, and int8 bytes for dynamic quantisation.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from migrate.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


class Quantised(NamedTuple):
    """A weight as it is stored: codes, and a table of their values, or else a scale and a bias."""

    field: str
    bits: int
    codes: NDArray[Any]  # uint8, or int8 for dynamic quantisation; of the weight's shape
    table: Array | None
    scale: Array  # of one value or one per channel, and so is the bias
    bias: Array

    def values(self) -> Array:
        """Return the values that the codes stand for."""
        if self.table is not None:
            return self.table[self.codes]
        return self.codes.astype(np.float32) * self.scale + self.bias


_collected: ContextVar[list[Quantised] | None] = ContextVar("collected", default=None)


@contextmanager
def collecting() -> Iterator[list[Quantised]]:
    """Yield a list that is given each quantised weight that is read meanwhile."""
    found: list[Quantised] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def array(weight: Any, shape: Sequence[int], field: str, channel_axis: int = 0) -> Array:
    """Return the values of the `WeightParams` message `weight` as float32 of `shape`.

    `field` names the weight in errors; `channel_axis` is the axis of per-channel scales.
    Raises ModelError if the stored number of values is not the product of `shape`.
    """
    shape = tuple(int(n) for n in shape)
    values = _stored(weight, shape, field, channel_axis)
    if values.size != math.prod(shape):
        raise ModelError(
            f"{field} holds {values.size:,} values, expected {math.prod(shape):,} "
            f"for shape {'x'.join(map(str, shape)) or 'scalar'}"
        )
    return values.reshape(shape)


def count(weight: Any) -> int:
    """Return how many values a `WeightParams` message stores; 0 if it is empty."""
    if weight.quantization.numberOfBits and weight.rawValue:
        return len(weight.rawValue) * 8 // int(weight.quantization.numberOfBits)
    return (
        len(weight.floatValue)
        or len(weight.float16Value) // 2
        or len(weight.int8RawValue)
        or len(weight.rawValue)
    )


def _stored(weight: Any, shape: tuple[int, ...], field: str, channel_axis: int) -> Array:
    forms = ("floatValue", "float16Value", "rawValue", "int8RawValue")
    found = [form for form in forms if getattr(weight, form)]
    if len(found) > 1:
        raise ModelError(f"{field} is stored twice, as {' and as '.join(found)}")
    if weight.floatValue:
        return _packed_floats(weight)
    if weight.float16Value:
        if len(weight.float16Value) % 2:
            raise ModelError(f"{field} holds an odd number of float16 bytes")
        return np.frombuffer(weight.float16Value, "<f2").astype(np.float32)
    if weight.rawValue or weight.int8RawValue:
        return _quantised(weight, shape, field, channel_axis)
    return np.zeros(0, np.float32)


def _packed_floats(weight: Any) -> Array:
    """Read `repeated float floatValue` from its wire bytes, without a Python float per value.

    It is the message's first field, packed: a tag, the length as a varint, then the floats.
    """
    count = len(weight.floatValue)
    length_bytes = max(1, -(-(4 * count).bit_length() // 7))
    wire = weight.SerializeToString()
    return np.frombuffer(wire, "<f4", count, offset=1 + length_bytes)


def _quantised(weight: Any, shape: tuple[int, ...], field: str, channel_axis: int) -> Array:
    bits = int(weight.quantization.numberOfBits)
    codes = _codes(weight, bits, math.prod(shape), field)
    meaning = _meaning(weight, codes, shape, field, channel_axis)
    if codes.size != math.prod(shape):
        return codes.astype(np.float32)
    quantised = Quantised(field, bits or 8, codes.reshape(shape), *meaning)
    collected = _collected.get()
    if collected is not None:
        collected.append(quantised)
    return quantised.values()


def _meaning(
    weight: Any, codes: NDArray[Any], shape: tuple[int, ...], field: str, channel_axis: int
) -> tuple[Array | None, Array, Array]:
    """Return the table, or None, and the scale and the bias."""
    quantization = weight.quantization
    kind = quantization.WhichOneof("QuantizationType")
    if weight.int8RawValue and kind != "linearQuantization":
        raise ModelError(f"{field} holds int8 values without a linear scale")
    if kind == "lookupTableQuantization":
        table = np.asarray(quantization.lookupTableQuantization.floatValue, np.float32)
        if codes.size and codes.max() >= table.size:
            raise ModelError(f"{field} looks up entry {codes.max()} of a table of {table.size}")
        return table, np.ones(1, np.float32), np.zeros(1, np.float32)
    if kind == "linearQuantization":
        linear = quantization.linearQuantization
        scale = _per_channel(linear.scale, shape, channel_axis, f"the scale of {field}", 1.0)
        bias = _per_channel(linear.bias, shape, channel_axis, f"the bias of {field}", 0.0)
        return None, scale, bias
    raise ModelError(f"{field} holds raw bytes without saying how they are quantised")


def _codes(weight: Any, bits: int, size: int, field: str) -> NDArray[Any]:
    """Return the integer codes; sub-byte codes are a bit stream, most significant bit first."""
    if weight.int8RawValue:
        return np.frombuffer(weight.int8RawValue, np.int8)
    if not 1 <= bits <= 8:
        raise ModelError(f"{field} is quantised to {bits} bits; 1 to 8 are possible")
    stored = np.frombuffer(weight.rawValue, np.uint8)
    if bits == 8:
        return stored
    if stored.size * 8 // bits < size or stored.size > math.ceil(size * bits / 8):
        return np.zeros(stored.size * 8 // bits, np.uint8)
    stream = np.unpackbits(stored)[: size * bits].reshape(size, bits)
    return stream @ (1 << np.arange(bits - 1, -1, -1, dtype=np.uint8))


def _per_channel(
    values: Any, shape: tuple[int, ...], axis: int, what: str, default: float
) -> Array:
    found: Array = np.array(values if len(values) else [default], np.float32)
    if found.size == 1:
        return found
    axis_shape = [1] * len(shape)
    if axis < len(shape):
        axis_shape[axis] = shape[axis]
    if found.size != math.prod(axis_shape):
        raise ModelError(f"{what} holds {found.size} values, expected 1 or {math.prod(axis_shape)}")
    return found.reshape(axis_shape)
