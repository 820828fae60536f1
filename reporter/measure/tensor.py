"""Values of a record: arrays as base64, dictionaries, strings and integers."""

from __future__ import annotations

import binascii
import math
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    SerializationInfo,
    Tag,
)
from pydantic import model_validator as validates

from migrate import AnereportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

DTYPES = {"float16": "<f2", "float32": "<f4", "float64": "<f8", "int32": "<i4", "uint8": "|u1"}
CHUNK = 3 << 18  # bytes that become base64 at once; a multiple of three needs no padding


class RecordError(AnereportError):
    """A results file that cannot be read, or that belongs to another model."""


class Part(BaseModel):
    """A part of a record."""

    # NaN and the infinities are strings in the JSON; pydantic would write null by itself
    model_config = ConfigDict(frozen=True, populate_by_name=True, ser_json_inf_nan="strings")


def _decoded(data: Any) -> Any:
    """Return the bytes of base64 text; what are bytes already is kept."""
    if isinstance(data, bytes):
        return data
    if not isinstance(data, str):
        raise ValueError("expected a string of base64")
    try:
        found = binascii.a2b_base64(data)  # passes over what is not base64, so the size is checked
    except ValueError as error:
        raise ValueError("data is not base64") from error
    if len(data) % 4 or len(found) != len(data) // 4 * 3 - data[-2:].count("="):
        raise ValueError("data is not base64")
    return found


def _encoded(data: bytes, info: SerializationInfo[Any]) -> str:
    """Return base64 text; or a mark in its place, where `pieces` writes the text itself."""
    if info.context is None:
        return binascii.b2a_base64(data, newline=False).decode()
    mark, arrays = info.context
    arrays.append(data)
    return str(mark)


Base64 = Annotated[
    bytes, BeforeValidator(_decoded), PlainSerializer(_encoded, return_type=str, when_used="json")
]


def pieces(part: Part) -> Iterator[bytes]:
    """Yield the JSON text of a part, UTF-8, such that no array is held as text whole."""
    mark, arrays = uuid.uuid4().hex, list[bytes]()
    text = part.model_dump_json(by_alias=True, exclude_none=True, indent=1, context=(mark, arrays))
    before, *others = text.split(mark)
    yield before.encode()
    for array, after in zip(arrays, others, strict=True):
        whole = memoryview(array)
        for start in range(0, len(whole), CHUNK):
            yield binascii.b2a_base64(whole[start : start + CHUNK], newline=False)
        yield after.encode()


class Tensor(Part):
    """An array of little-endian bytes, base64 in the file; strides, if given, count elements."""

    dtype: Literal["float16", "float32", "float64", "int32", "uint8"]
    shape: tuple[Annotated[int, Field(ge=0, strict=True)], ...]
    strides: tuple[int, ...] | None = None
    data: Base64

    @validates(mode="after")
    def _bytes_suffice(self) -> Tensor:
        stored = len(self.data)
        needed = self._elements() * np.dtype(DTYPES[self.dtype]).itemsize
        if self.strides is not None and math.prod(self.shape) > self._elements():
            raise ValueError("strides give several elements of the array one place")
        if stored < needed or (stored > needed and self.strides is None):
            sizes = "x".join(map(str, self.shape)) or "scalar"
            raise ValueError(f"data holds {stored} bytes, {sizes} of {self.dtype} needs {needed}")
        return self

    def _elements(self) -> int:
        if self.strides is None:
            return math.prod(self.shape)
        if len(self.strides) != len(self.shape) or min(self.strides, default=0) < 0:
            raise ValueError("strides must be one non-negative number per dimension")
        if 0 in self.shape:
            return 0
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))

    def array(self) -> NDArray[Any]:
        """Return the values as a numpy array of `shape`, the strides honoured."""
        if 0 in self.shape:  # with strides, the bytes may be of more
            return np.zeros(self.shape, DTYPES[self.dtype])
        flat = np.frombuffer(self.data, DTYPES[self.dtype])
        if self.strides is None:
            return flat.reshape(self.shape)
        steps = [s * flat.itemsize for s in self.strides]
        return np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False)

    @classmethod
    def of(cls, array: NDArray[Any]) -> Tensor:
        """Return the tensor that holds a numpy array."""
        name = "int32" if array.dtype.name == "int64" else array.dtype.name
        if name not in DTYPES:
            raise RecordError(f"a record holds {', '.join(DTYPES)}; got {array.dtype}")
        content = array.astype(DTYPES[name])
        if array.dtype.name == "int64" and (content != array).any():
            raise RecordError("a record holds integers of 32 bits; one of these is larger")
        return cls(dtype=name, shape=array.shape, data=content.tobytes())  # type: ignore[arg-type]


def _value_kind(value: Any) -> str | None:
    if isinstance(value, Tensor) or (isinstance(value, dict) and "dtype" in value):
        return "tensor"
    return {dict: "dictionary", str: "string", int: "integer"}.get(type(value))


Value = Annotated[
    Union[  # noqa: UP007  Annotated members need Union before Python 3.11
        Annotated[Tensor, Tag("tensor")],
        Annotated[dict[str, float], Tag("dictionary")],
        Annotated[str, Tag("string")],
        Annotated[int, Tag("integer")],
    ],
    Discriminator(
        _value_kind,
        custom_error_type="value_kind",
        custom_error_message="expected a tensor, a dictionary of numbers, a string or an integer",
    ),
]


def values(outputs: Mapping[str, Any]) -> dict[str, Value]:
    """Return predicted outputs, or given inputs, as a record's values."""
    return {name: _value(output) for name, output in outputs.items()}


def _value(output: Any) -> Value:
    if isinstance(output, (str, int)):
        return output
    if isinstance(output, dict):
        return {str(label): float(probability) for label, probability in output.items()}
    return Tensor.of(np.asarray(output))
