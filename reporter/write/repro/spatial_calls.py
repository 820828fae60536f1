"""Calls of the builder for layers of the first specification, and for concatND."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reporter.write.repro.call_text import Code, drawn, ends, several, written
from reporter.write.repro.layer_text import as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[Any], str]


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


def convolution(layer: Any) -> str:
    """Return the call of add_convolution."""
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
    weights = drawn(height * width * p.kernelChannels, height, width, p.kernelChannels, outputs)
    bias = drawn(1, p.outputChannels) if p.hasBias else "None"
    return written(
        "add_convolution",
        layer.name, int(p.kernelChannels), int(p.outputChannels), int(height), int(width),
        *map(int, stride), border, groups, Code(weights), Code(bias), p.hasBias,
        **ends(layer), **more,
    )  # fmt: skip


def inner_product(layer: Any) -> str:
    """Return the call of add_inner_product."""
    p = layer.innerProduct
    weights = drawn(p.inputChannels, p.outputChannels, p.inputChannels)
    bias = drawn(1, p.outputChannels) if p.hasBias else "None"
    return written(
        "add_inner_product",
        layer.name, Code(weights), Code(bias), int(p.inputChannels), int(p.outputChannels),
        p.hasBias, **ends(layer),
    )  # fmt: skip


def batchnorm(layer: Any) -> str:
    """Return the call of add_batchnorm."""
    p = layer.batchnorm
    any_sign = Code(drawn(1, p.channels))
    positive = Code(f"1+{drawn(4, p.channels)}")
    return written(
        "add_batchnorm",
        layer.name, int(p.channels), positive, any_sign, any_sign, positive, **ends(layer),
        compute_mean_var=p.computeMeanVar, instance_normalization=p.instanceNormalization,
        epsilon=p.epsilon,
    )  # fmt: skip


def activation(layer: Any) -> str:
    """Return the call of add_activation, or the proto text for kinds that it lacks."""
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
    return written("add_activation", layer.name, names[kind], **ends(layer), **more)


def pooling(layer: Any) -> str:
    """Return the call of add_pooling."""
    p = layer.pooling
    height, width = p.kernelSize or (3, 3)
    border = p.WhichOneof("PoolingPaddingType") or "valid"
    more = _padding(p)[1]
    if border == "includeLastPixel":
        amounts = p.includeLastPixel.paddingAmounts or (0, 0)
        edges = {"padding_top": 0, "padding_bottom": 0, "padding_left": 1, "padding_right": 1}
        more = {name: int(amounts[axis]) for name, axis in edges.items()}
    border = {"includeLastPixel": "INCLUDE_LAST_PIXEL"}.get(border, border.upper())
    return written(
        "add_pooling",
        layer.name, int(height), int(width), *map(int, p.stride or (1, 1)),
        ('MAX', 'AVERAGE', 'L2')[p.type], border, **ends(layer),
        exclude_pad_area=p.avgPoolExcludePadding, is_global=p.globalPooling, **more,
    )  # fmt: skip


def concat_nd(layer: Any) -> str:
    """Return the call of add_concat_nd."""
    p = layer.concatND
    return written("add_concat_nd", layer.name, **several(layer), axis=p.axis)


def elementwise(mode: str) -> Call:
    """Return what writes add_elementwise in one mode."""

    def call(layer: Any) -> str:
        single = len(layer.input) == 1 and mode in ("ADD", "MULTIPLY")
        params = getattr(layer, layer.WhichOneof("layer"))
        more = {"alpha": params.alpha} if single else {}
        return written("add_elementwise", layer.name, **several(layer), mode=mode, **more)

    return call


def plain(method: str) -> Call:
    """Return what writes a method that takes a name, an input and an output."""
    return lambda layer: written(method, layer.name, **ends(layer))


def flatten(layer: Any) -> str:
    """Return the call of add_flatten."""
    return written("add_flatten", layer.name, layer.flatten.mode, **ends(layer))
