"""A call of the builder as text: its values as literals, as short as they can be."""

from __future__ import annotations

from typing import Any

import numpy as np

from reporter.write.repro.layer_text import literal, scale


def drawn(fan_in: float, *shape: int) -> str:
    """Return the call that draws weights of a shape."""
    return f"u({scale(fan_in)},{','.join(map(str, shape))})"


def written(method: str, *values: Any, **named: Any) -> str:
    """Return a call of a method of the builder `b`."""
    parts = [v if isinstance(v, Code) else value_of(v) for v in values]
    parts += [f"{k}={v if isinstance(v, Code) else value_of(v)}" for k, v in named.items()]
    return f"b.{method}({','.join(parts)})"


def value_of(value: Any) -> str:
    """Return a value as a literal."""
    if isinstance(value, list):
        return f"[{','.join(map(value_of, value))}]"
    if isinstance(value, float):
        return str(np.float32(value))  # as the proto keeps it, in the fewest digits
    return literal(value) if isinstance(value, str) else ascii(value).replace(", ", ",")


class Code(str):
    """An argument that is an expression already."""


def ends(layer: Any) -> dict[str, str]:
    """Return the arguments that name the only input and output."""
    return {"input_name": layer.input[0], "output_name": layer.output[0]}


def several(layer: Any) -> dict[str, Any]:
    """Return the arguments that name several inputs and an output."""
    return {"input_names": list(layer.input), "output_name": layer.output[0]}
