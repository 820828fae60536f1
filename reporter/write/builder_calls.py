"""A layer as a line of Python: a NeuralNetworkBuilder call, or its proto text.

A call is used only if executing it rebuilds the layer, field by field, weights aside; so a layer
whose options a call cannot say falls back to the text, which can say everything. In the lines,
`u(scale, *shape)` draws seeded weights and `add(text, weights)` parses a proto text.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format

from migrate import coremltools, proto, weight_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Call = Callable[[Any], str]


SMALL_CONSTANT = 64


def line(layer: Any) -> str:
    """Return the statement that adds `layer` to the builder `b`."""
    call = CALLS.get(layer.WhichOneof("layer"))
    if call is not None:
        try:
            text = call(layer)
        except (IndexError, ValueError):  # a broken layer: too few blobs, too many numbers
            return as_text(layer)
        if _rebuilds(text, layer):
            return text
    return as_text(layer)


def as_text(layer: Any) -> str:
    """Return the call that parses the layer's proto text and draws its weights."""
    if _is_structure(layer):
        return f"add({literal(text_format.MessageToString(layer, as_one_line=True))})"
    weights = [_drawn(layer, path, count) for path, count in weight_paths(layer)]
    text = text_format.MessageToString(without_weights(layer), as_one_line=True)
    return f"add({literal(text)}{', ' + ', '.join(weights) if weights else ''})"


def _is_structure(layer: Any) -> bool:
    """Tell whether a constant is so small that it may be a shape or an index: it stays as it is."""
    constant = layer.WhichOneof("layer") in ("loadConstant", "loadConstantND")
    return constant and sum(count for _, count in weight_paths(layer)) <= SMALL_CONSTANT


def _drawn(layer: Any, path: str, count: int) -> str:
    """Return (path, scale, count), and an offset where a value must be positive."""
    params = getattr(layer, layer.WhichOneof("layer"))
    outputs = getattr(params, "outputChannels", 0)
    fan_in = count / outputs if outputs and path.endswith("weights") else 1
    if path.endswith(("variance", "gamma")):
        return f"({path!r}, 1/2, {count}, 1)"
    return f"({path!r}, {_scale(fan_in)}, {count})"


def literal(text: str) -> str:
    """Return an ASCII Python literal that cannot end a Markdown code fence."""
    return ascii(text).replace("`", "\\x60")


def without_weights(message: Any) -> Any:
    """Return a copy of a layer, or of a whole spec, whose weights and rank notes are cleared."""
    copy = type(message)()
    copy.CopyFrom(message)
    for _, found in _messages(copy):
        if found.DESCRIPTOR.name == "WeightParams":
            found.Clear()
        if found.DESCRIPTOR.name == "NeuralNetworkLayer":
            found.ClearField("inputTensor")
            found.ClearField("outputTensor")
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


def _scale(fan_in: float) -> str:
    """Return the power of two next to 1 / sqrt(fan in), as it is written: 1/32."""
    power = round(math.log2(max(fan_in, 1)) / 2)
    return f"1/{2**power}" if power else "1"


def _draw(fan_in: float, *shape: int) -> str:
    return f"u({_scale(fan_in)},{','.join(map(str, shape))})"


def _call(method: str, *values: Any, **named: Any) -> str:
    parts = [v if isinstance(v, _Code) else _value(v) for v in values]
    parts += [f"{k}={v if isinstance(v, _Code) else _value(v)}" for k, v in named.items()]
    return f"b.{method}({','.join(parts)})"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_value, value))}]"
    return literal(value) if isinstance(value, str) else ascii(value).replace(", ", ",")


class _Code(str):
    """An argument that is an expression already."""


def _ends(layer: Any) -> dict[str, str]:
    return {"input_name": layer.input[0], "output_name": layer.output[0]}


def _inputs(layer: Any) -> dict[str, Any]:
    return {"input_names": list(layer.input), "output_name": layer.output[0]}


def _padding(p: Any) -> tuple[str, dict[str, Any]]:
    """Return border_mode and the padding arguments that differ from the builder's defaults."""
    if p.HasField("same"):
        heavy = p.same.asymmetryMode == 1
        return "same", {"same_padding_asymmetry_mode": "TOP_LEFT_HEAVY"} if heavy else {}
    names = ("padding_top", "padding_bottom", "padding_left", "padding_right")
    edges = [
        e for b in p.valid.paddingAmounts.borderAmounts for e in (b.startEdgeSize, b.endEdgeSize)
    ]
    return "valid", {name: int(n) for name, n in zip(names, edges, strict=False) if n}


def _convolution(layer: Any) -> str:
    p = layer.convolution
    height, width = p.kernelSize or (3, 3)
    stride = p.stride or (1, 1)
    groups = max(p.nGroups, 1)
    border, more = _padding(p)
    if list(p.dilationFactor) not in ([], [1, 1]):
        more["dilation_factors"] = list(map(int, p.dilationFactor))
    if p.isDeconvolution:
        more["is_deconv"] = True
        more["output_shape"] = tuple(map(int, p.outputShape)) or None
    outputs = p.outputChannels // groups if p.isDeconvolution else p.outputChannels
    weights = _draw(height * width * p.kernelChannels, height, width, p.kernelChannels, outputs)
    bias = _draw(1, p.outputChannels) if p.hasBias else "None"
    return _call(
        "add_convolution",
        layer.name, int(p.kernelChannels), int(p.outputChannels), int(height), int(width),
        *map(int, stride), border, groups, _Code(weights), _Code(bias), p.hasBias,
        **_ends(layer), **more,
    )  # fmt: skip


def _inner_product(layer: Any) -> str:
    p = layer.innerProduct
    weights = _draw(p.inputChannels, p.outputChannels, p.inputChannels)
    bias = _draw(1, p.outputChannels) if p.hasBias else "None"
    return _call(
        "add_inner_product",
        layer.name, _Code(weights), _Code(bias), int(p.inputChannels), int(p.outputChannels),
        p.hasBias, **_ends(layer),
    )  # fmt: skip


def _batchnorm(layer: Any) -> str:
    p = layer.batchnorm
    drawn = _Code(_draw(1, p.channels))
    positive = _Code(f"1+{_draw(4, p.channels)}")
    return _call(
        "add_batchnorm",
        layer.name, int(p.channels), positive, drawn, drawn, positive, **_ends(layer),
        compute_mean_var=p.computeMeanVar, instance_normalization=p.instanceNormalization,
        epsilon=p.epsilon,
    )  # fmt: skip


def _activation(layer: Any) -> str:
    p = layer.activation
    kind = p.WhichOneof("NonlinearityType")
    names = {"ReLU": "RELU", "leakyReLU": "LEAKYRELU", "tanh": "TANH", "sigmoid": "SIGMOID",
             "scaledTanh": "SCALED_TANH", "linear": "LINEAR", "sigmoidHard": "SIGMOID_HARD",
             "ELU": "ELU", "thresholdedReLU": "THRESHOLDEDRELU", "softsign": "SOFTSIGN",
             "softplus": "SOFTPLUS"}  # fmt: skip
    if kind not in names:
        return as_text(layer)
    fields = getattr(p, kind)
    params = [getattr(fields, f.name) for f in fields.DESCRIPTOR.fields]
    alone = kind in ("ELU", "thresholdedReLU")  # the builder takes theirs as a number
    more = {"params": params[0] if alone else params} if params else {}
    return _call("add_activation", layer.name, names[kind], **_ends(layer), **more)


def _pooling(layer: Any) -> str:
    p = layer.pooling
    height, width = p.kernelSize or (3, 3)
    border = p.WhichOneof("PoolingPaddingType") or "valid"
    more = _padding(p)[1]
    if border == "includeLastPixel":
        amounts = p.includeLastPixel.paddingAmounts or (0, 0)
        edges = {"padding_top": 0, "padding_bottom": 0, "padding_left": 1, "padding_right": 1}
        more = {name: int(amounts[axis]) for name, axis in edges.items()}
    border = {"includeLastPixel": "INCLUDE_LAST_PIXEL"}.get(border, border.upper())
    return _call(
        "add_pooling",
        layer.name, int(height), int(width), *map(int, p.stride or (1, 1)),
        ('MAX', 'AVERAGE', 'L2')[p.type], border, **_ends(layer),
        exclude_pad_area=p.avgPoolExcludePadding, is_global=p.globalPooling, **more,
    )  # fmt: skip


def _concat_nd(layer: Any) -> str:
    p = layer.concatND
    more = {"interleave": True} if p.interleave else {}
    return _call("add_concat_nd", layer.name, **_inputs(layer), axis=p.axis, **more)


def _elementwise(mode: str) -> Call:
    def call(layer: Any) -> str:
        single = len(layer.input) == 1 and mode in ("ADD", "MULTIPLY")
        params = getattr(layer, layer.WhichOneof("layer"))
        more = {"alpha": params.alpha} if single else {}
        return _call("add_elementwise", layer.name, **_inputs(layer), mode=mode, **more)

    return call


def _plain(method: str) -> Call:
    return lambda layer: _call(method, layer.name, **_ends(layer))


def _flatten(layer: Any) -> str:
    return _call("add_flatten", layer.name, layer.flatten.mode, **_ends(layer))


CALLS: dict[str, Call] = {
    "convolution": _convolution,
    "innerProduct": _inner_product,
    "batchnorm": _batchnorm,
    "activation": _activation,
    "pooling": _pooling,
    "concatND": _concat_nd,
    "concat": _elementwise("CONCAT"),
    "add": _elementwise("ADD"),
    "multiply": _elementwise("MULTIPLY"),
    "softmax": _plain("add_softmax"),
    "copy": _plain("add_copy"),
    "flatten": _flatten,
}


def _rebuilds(text: str, layer: Any) -> bool:
    """Execute a generated call on an empty builder and compare what it added with `layer`."""
    import numpy as np

    builder = _empty_builder()
    names = {"b": builder, "u": lambda scale, *shape: np.zeros(shape, np.float32)}
    try:
        exec(text, names)  # our own text, of literals alone
    except Exception:  # a call that the builder refuses cannot be used
        return False
    added = builder.nn_spec.layers
    return len(added) == 1 and without_weights(added[0]) == without_weights(layer)


def _empty_builder() -> Any:
    spec = proto("Model_pb2").Model()
    spec.neuralNetwork.SetInParent()
    return _builder_class()(spec=spec)


@functools.cache
def _builder_class() -> Any:
    coremltools()
    from coremltools.models.neural_network import NeuralNetworkBuilder

    return NeuralNetworkBuilder
