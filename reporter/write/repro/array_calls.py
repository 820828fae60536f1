"""Calls of the builder for what moves elements, works on each, or stores values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reporter.write.repro.call_text import Code, drawn, ends, several, written

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[Any], str]

UNARY = ("sqrt", "rsqrt", "inverse", "power", "exp", "log", "abs", "threshold")
UPSAMPLE = ("NN", "BILINEAR")


def of_fields(method: str, **fields: str) -> Call:
    """Return what writes a method whose arguments are fields of the layer: axes="axes"."""

    def call(layer: Any) -> str:
        params = getattr(layer, layer.WhichOneof("layer"))
        given = {name: _value(getattr(params, field)) for name, field in fields.items()}
        return written(method, layer.name, **ends(layer), **given)

    return call


def joining(method: str, **fields: str) -> Call:
    """Return the same for a method that takes several inputs."""

    def call(layer: Any) -> str:
        params = getattr(layer, layer.WhichOneof("layer"))
        given = {name: _value(getattr(params, field)) for name, field in fields.items()}
        return written(method, layer.name, **several(layer), **given)

    return call


def _value(field: Any) -> Any:
    return list(map(int, field)) if hasattr(field, "__len__") else field


def unary(layer: Any) -> str:
    """Return the call of add_unary."""
    p = layer.unary
    named = {"alpha": p.alpha, "shift": p.shift, "scale": p.scale, "epsilon": p.epsilon}
    return written("add_unary", layer.name, **ends(layer), mode=UNARY[p.type], **named)


def upsample(layer: Any) -> str:
    """Return the call of add_upsample."""
    p = layer.upsample
    height, width = p.scalingFactor
    return written(
        "add_upsample", layer.name, int(height), int(width), **ends(layer), mode=UPSAMPLE[p.mode]
    )


def padding(layer: Any) -> str:
    """Return the call of add_padding."""
    p = layer.padding
    kind = p.WhichOneof("PaddingType")
    height, width = p.paddingAmounts.borderAmounts
    edges = {"left": width.startEdgeSize, "right": width.endEdgeSize,
             "top": height.startEdgeSize, "bottom": height.endEdgeSize}  # fmt: skip
    given: dict[str, Any] = {name: int(size) for name, size in edges.items()}
    given |= {"value": p.constant.value} if kind == "constant" else {"padding_type": kind}
    return written("add_padding", layer.name, **given, **ends(layer))


def squeeze(layer: Any) -> str:
    """Return the call of add_squeeze."""
    p = layer.squeeze
    given = {"squeeze_all": True} if p.squeezeAll else {"axes": _value(p.axes)}
    return written("add_squeeze", layer.name, **ends(layer), **given)


def bias(layer: Any) -> str:
    """Return the call of add_bias."""
    shape = _value(layer.bias.shape)
    return written("add_bias", layer.name, _vector(shape), **ends(layer), shape_bias=shape)


def scale(layer: Any) -> str:
    """Return the call of add_scale."""
    p = layer.scale
    given: dict[str, Any] = {"shape_scale": _value(p.shapeScale)}
    bias: Any = None
    if p.hasBias:
        given["shape_bias"] = _value(p.shapeBias)
        bias = _vector(given["shape_bias"])
    factors = _vector(given["shape_scale"])
    return written("add_scale", layer.name, factors, bias, p.hasBias, **ends(layer), **given)


def constant(method: str) -> Call:
    """Return what writes add_load_constant or add_load_constant_nd."""

    def call(layer: Any) -> str:
        shape = _value(getattr(layer, layer.WhichOneof("layer")).shape)
        given = {"constant_value": _vector(shape), "shape": shape}
        return written(method, layer.name, output_name=layer.output[0], **given)

    return call


def _vector(shape: list[int]) -> Code:
    return Code(drawn(1, math.prod(shape)))
