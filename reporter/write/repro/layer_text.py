"""A layer as its proto text, and a spec without what the text leaves out.

In the lines, `u(scale, *shape)` draws weights and `add(text, weights)` parses a proto text.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format

from migrate import weight_count

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL_CONSTANT = 64


def as_text(layer: Any) -> str:
    """Return the call that parses the layer's proto text and draws its weights."""
    layer = without_notes(layer)
    if is_structure(layer):
        return f"add({literal(text_format.MessageToString(layer, as_one_line=True))})"
    weights = [_drawn(layer, path, count) for path, count in weight_paths(layer)]
    text = text_format.MessageToString(without_weights(layer), as_one_line=True)
    return f"add({literal(text)}{', ' + ', '.join(weights) if weights else ''})"


def is_structure(layer: Any) -> bool:
    """Tell whether a constant may be a shape or an index, and no weights: it stays as it is.

    That is one number, or no more than SMALL_CONSTANT whole ones.
    """
    if layer.WhichOneof("layer") not in ("loadConstant", "loadConstantND"):
        return False
    data = getattr(layer, layer.WhichOneof("layer")).data
    whole = all(value.is_integer() for value in data.floatValue)
    return weight_count(data) <= 1 or (whole and len(data.floatValue) <= SMALL_CONSTANT)


def _drawn(layer: Any, path: str, count: int) -> str:
    """Return (path, scale, count), and an offset where a value must be positive."""
    params = getattr(layer, layer.WhichOneof("layer"))
    outputs = getattr(params, "outputChannels", 0)
    fan_in = count / outputs if outputs and path.endswith("weights") else 1
    if path.endswith(("variance", "gamma")):
        return f"({path!r}, 1/2, {count}, 1)"
    return f"({path!r}, {scale(fan_in)}, {count})"


def scale(fan_in: float) -> str:
    """Return the power of two next to 1 / sqrt(fan in), as it is written: 1/32."""
    power = round(math.log2(max(fan_in, 1)) / 2)
    return f"1/{2**power}" if power else "1"


def literal(text: str) -> str:
    """Return an ASCII Python literal that cannot end a Markdown code fence."""
    return ascii(text).replace("`", "\\x60")


def without_weights(message: Any) -> Any:
    """Return a copy of a layer, or of a whole spec, whose weights are cleared."""
    copy = _copy(message)
    clear_weights(copy)
    return copy


def clear_weights(message: Any) -> None:
    """Clear the weights of a layer, or of a whole spec, in place."""
    for _, found in _messages(message):
        if found.DESCRIPTOR.name == "WeightParams":
            found.Clear()


def without_notes(message: Any) -> Any:
    """Return a copy of a layer, or of a whole spec, without what layers note of their ranks."""
    copy = _copy(message)
    for _, found in _messages(copy):
        if found.DESCRIPTOR.name == "NeuralNetworkLayer":
            found.ClearField("inputTensor")
            found.ClearField("outputTensor")
    return copy


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def weight_paths(layer: Any) -> list[tuple[str, int]]:
    """Return where a layer holds weights, and how many: ("convolution.weights", 800)."""
    return [
        (path, weight_count(found))
        for path, found in _messages(layer)
        if found.DESCRIPTOR.name == "WeightParams" and weight_count(found)
    ]


def _messages(message: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, message
    for field, value in message.ListFields():
        here = f"{path}.{field.name}" if path else field.name
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        if hasattr(value, "__len__"):  # a repeated field
            for i, item in enumerate(value):
                yield from _messages(item, f"{here}.{i}")
        else:
            yield from _messages(value, here)
