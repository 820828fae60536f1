"""A spec's bytes a piece at a time: a layer's, a field's, so that they are never held whole.

They are those of `SerializeToString(deterministic=True)`: the fields in the order of their numbers,
and each message behind its tag and its length. A message that holds fields unknown here is one
piece, and so is every one that is not in CONTAINERS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.unknown_fields import UnknownFieldSet

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "CoreML.Specification."
NETWORKS = ("NeuralNetwork", "NeuralNetworkClassifier", "NeuralNetworkRegressor")
PIPELINES = ("Pipeline", "PipelineClassifier", "PipelineRegressor")
CONTAINERS = {PACKAGE + name for name in ("Model", *NETWORKS, *PIPELINES)}  # without maps
DELIMITED = 2  # the wire type of what stands behind its length


class _Piece(NamedTuple):
    """A message to serialize, or bytes that are; and how many bytes it takes."""

    content: Any
    size: int


def serialized(message: Any) -> Iterator[bytes]:
    """Yield the deterministically serialized message in pieces; it may not change meanwhile."""
    for content, _ in _pieces(message):
        yield content if isinstance(content, bytes) else _whole(content)


def _pieces(message: Any) -> list[_Piece]:
    if message.DESCRIPTOR.full_name not in CONTAINERS or len(UnknownFieldSet(message)):
        return [_Piece(message, message.ByteSize())]
    return [
        piece for field, value in message.ListFields() for piece in _field(message, field, value)
    ]


def _field(message: Any, field: Any, value: Any) -> Iterator[_Piece]:
    if field.message_type is None:
        yield _ready(_whole(type(message)(**{field.name: value})))
        return
    for item in [value] if hasattr(value, "ListFields") else value:
        inside = _pieces(item)
        size = sum(piece.size for piece in inside)
        yield _ready(_varint(field.number << 3 | DELIMITED) + _varint(size))
        yield from inside


def _ready(content: bytes) -> _Piece:
    return _Piece(content, len(content))


def _whole(message: Any) -> bytes:
    return message.SerializeToString(deterministic=True)


def _varint(number: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first, each but the last marked."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
