"""How each kind of layer takes a change of its input's channels: a small function per kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from migrate import weights
from migrate.layers.padding import pair
from migrate.network import Layer
from migrate.variation.editing import store
from migrate.variation.original import joins_channels
from migrate.variation.relation import CHANNEL
from migrate.variation.variant import EditError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migrate.variation.original import Original
    from migrate.variation.relation import Array

Index = NDArray[np.int64]
Change = Callable[[Any], None]  # of a layer's parameters, in place
Shape = tuple[int, ...]
ZERO = -1
UNCHANGED = (
    "pooling",
    "upsample",
    "padding",
    "resizeBilinear",
    "unary",
    "copy",
    "clip",
    "ceil",
    "floor",
    "sign",
    "round",
    "exp2",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "erf",
    "gelu",
    "clampedReLU",
)  # fmt: skip  each channel by itself, all alike
TOGETHER = (
    "add", "multiply", "average", "max", "min", "addBroadcastable", "multiplyBroadcastable",
    "subtractBroadcastable", "divideBroadcastable", "maxBroadcastable", "minBroadcastable",
)  # fmt: skip


class Passage(NamedTuple):
    """What a layer makes of a change: the index of its outputs, and what is edited in it."""

    channels: Index | None  # None: its outputs are as they were
    change: Change | None = None


def passage(original: Original, layer: Layer, known: Mapping[str, Index]) -> Passage:
    """Return what a layer makes of the changes of its inputs; EditError if it cannot be known."""
    shapes = [original.shapes.get(blob, ()) for blob in layer.inputs]
    given = [known.get(blob) for blob in layer.inputs]
    first = given[0]
    if joins_channels(original, layer):
        return Passage(_joined(shapes, given))
    if layer.kind in TOGETHER and len(layer.inputs) > 1:
        return Passage(_together(layer, shapes, given))
    if len(layer.inputs) == 1 and first is not None:
        if layer.kind in UNCHANGED or layer.kind in TOGETHER:
            return Passage(first)
        if layer.kind in PASSAGES:
            return PASSAGES[layer.kind](layer, first, shapes[0])
    raise EditError(f"layer '{layer.name}' ({layer.kind}) does not go with a change of channels")


def _joined(shapes: list[Shape], given: list[Index | None]) -> Index:
    """Return the index behind a concatenation."""
    found, start = [], 0
    for shape, index in zip(shapes, given, strict=True):
        own = np.arange(shape[CHANNEL]) if index is None else index
        found.append(np.where(own == ZERO, ZERO, own + start))
        start += shape[CHANNEL]
    return np.concatenate(found)


def _together(layer: Layer, shapes: list[Shape], given: list[Index | None]) -> Index:
    """Return the index behind a layer whose inputs must have changed alike, single channels not."""
    indices = [index for index in given if index is not None]
    alone = [s for s, index in zip(shapes, given, strict=True) if index is None]
    if any(len(s) >= -CHANNEL and s[CHANNEL] != 1 for s in alone) or any(
        not np.array_equal(index, indices[0]) for index in indices
    ):
        raise EditError(f"the inputs of layer '{layer.name}' do not change their channels alike")
    return indices[0]


def _convolution(layer: Layer, index: Index, shape: Shape) -> Passage:
    p = layer.params
    groups, per_group = int(p.nGroups or 1), int(p.kernelChannels)
    if groups == 1 and weights.count(p.weights):
        return Passage(None, partial(_columns, index=index))
    if p.isDeconvolution or not weights.count(p.weights):
        raise EditError(f"layer '{layer.name}' is a deconvolution of groups, or has no weights")
    rows = _whole_groups(index, per_group)
    if rows is None:
        raise EditError(f"the channels change across the groups of layer '{layer.name}'")
    each = int(p.outputChannels) // groups
    outputs = (rows[:, None] * each + np.arange(each)).ravel()
    outputs = np.where(np.repeat(rows, each) == ZERO, ZERO, outputs)
    return Passage(outputs, partial(_groups, index=outputs, groups=len(rows)))


def _whole_groups(index: Index, per_group: int) -> Index | None:
    """Return the group that each new group of channels is, or None if it is not one as a whole."""
    if len(index) % per_group:
        return None
    parts = index.reshape(-1, per_group)
    rows = np.where(parts[:, 0] == ZERO, ZERO, parts[:, 0] // per_group)
    wanted = np.where(rows[:, None] == ZERO, ZERO, rows[:, None] * per_group + np.arange(per_group))
    return rows if np.array_equal(parts, wanted) else None


def taken(values: Array, index: Index, axis: int, zero: float = 0.0) -> Array:
    """Return the entries along an axis; where there is none, `zero`."""
    found = np.take(values, np.maximum(index, 0), axis)
    shape = [1] * found.ndim
    shape[axis] = len(index)
    return np.where((index == ZERO).reshape(shape), np.float32(zero), found)


def kernels(p: Any) -> Array:
    """Return the weights of a convolution as (C_out, C_in / groups, H, W).

    Those of a deconvolution are stored as (C_in, C_out / groups, H, W), and returned so.
    """
    size, groups = pair(p.kernelSize, 3, "kernelSize"), int(p.nGroups or 1)
    leading = (p.outputChannels, p.kernelChannels)
    if p.isDeconvolution:
        leading = (p.kernelChannels, p.outputChannels // groups)
    return weights.array(p.weights, (*leading, *size), "weights", 1 if p.isDeconvolution else 0)


def _columns(p: Any, index: Index) -> None:
    """Rearrange the input channels of a convolution of one group."""
    store(p.weights, taken(kernels(p), index, 0 if p.isDeconvolution else 1))
    p.kernelChannels = len(index)


def rows(p: Any, index: Index) -> None:
    """Rearrange the output channels of a convolution of one group."""
    store(p.weights, taken(kernels(p), index, 1 if p.isDeconvolution else 0))
    _bias(p, index)
    p.outputChannels = len(index)


def _groups(p: Any, index: Index, groups: int) -> None:
    """Rearrange the groups of a convolution."""
    store(p.weights, taken(kernels(p), index, 0))
    _bias(p, index)
    p.outputChannels, p.nGroups = len(index), groups


def _bias(p: Any, index: Index) -> None:
    if p.hasBias:
        store(p.bias, taken(weights.array(p.bias, (p.outputChannels,), "bias"), index, 0))


def _activation(layer: Layer, index: Index, shape: Shape) -> Passage:
    kind = layer.params.WhichOneof("NonlinearityType")
    fields = {"PReLU": ("alpha",), "parametricSoftplus": ("alpha", "beta")}.get(kind, ())

    def change(p: Any) -> None:
        for field in fields:
            _vector(getattr(getattr(p, kind), field), index)

    return Passage(index, change)


def _vector(weight: Any, index: Index, zero: float = 0.0) -> None:
    """Rearrange a parameter of one value per channel; one value for all stays."""
    size = weights.count(weight)
    if size > 1:
        store(weight, taken(weights.array(weight, (size,), "parameter"), index, 0, zero))


def _batchnorm(layer: Layer, index: Index, shape: Shape) -> Passage:
    def change(p: Any) -> None:
        for field in ("gamma", "beta", "mean", "variance"):
            weight, size = getattr(p, field), weights.count(getattr(p, field))
            if size:
                values = weights.array(weight, (size,), field)
                store(weight, taken(values, index, 0, 1.0 if field == "variance" else 0.0))
        p.channels = len(index)

    return Passage(index, change)


def _affine(layer: Layer, index: Index, shape: Shape) -> Passage:
    """Take a scale or a bias layer, whose parameters have shapes of their own."""
    pairs = {
        "scale": (("shapeScale", "scale"), ("shapeBias", "bias")),
        "bias": (("shape", "bias"),),
    }

    def change(p: Any) -> None:
        for shape_field, field in pairs[layer.kind]:
            sizes, weight = getattr(p, shape_field), getattr(p, field)
            own = tuple(int(n) for n in sizes)
            lead = -CHANNEL if len(own) > 1 else 1
            if not weights.count(weight) or len(own) < lead or own[-lead] == 1:
                continue
            store(weight, taken(weights.array(weight, own, field), index, len(own) - lead))
            sizes[len(own) - lead] = len(index)

    return Passage(index, change)


def _flatten(layer: Layer, index: Index, shape: Shape) -> Passage:
    if layer.params.mode == 1:  # channels last
        found = np.arange(shape[-2] * shape[-1])[:, None] * shape[CHANNEL] + index
        return Passage(np.where(index == ZERO, ZERO, found).ravel())
    return Passage(_pixels(index, shape))


def _pixels(index: Index, shape: Shape) -> Index:
    """Return the index of each pixel of the channels, channels first."""
    area = shape[-2] * shape[-1]
    found = index[:, None] * area + np.arange(area)
    return np.where(index[:, None] == ZERO, ZERO, found).ravel()


def _inner_product(layer: Layer, index: Index, shape: Shape) -> Passage:
    if len(shape) < 4:  # there it works on the last axis
        raise EditError(f"layer '{layer.name}' does not take its channels as its vector")
    index = _pixels(index, shape)

    def change(p: Any) -> None:
        values = weights.array(p.weights, (p.outputChannels, p.inputChannels), "weights")
        store(p.weights, taken(values, index, 1))
        p.inputChannels = len(index)

    return Passage(None, change)


def _softmax(layer: Layer, index: Index, shape: Shape) -> Passage:
    if bool((index == ZERO).any()):
        raise EditError(f"layer '{layer.name}' (softmax) would add up channels of zeros")
    return Passage(index)


def _slice(layer: Layer, index: Index, shape: Shape) -> Passage:
    if layer.params.axis == 0:
        raise EditError(f"layer '{layer.name}' (slice) takes channels by their numbers")
    return Passage(index)


PASSAGES: dict[str, Callable[[Layer, Index, Shape], Passage]] = {
    "convolution": _convolution,
    "activation": _activation,
    "batchnorm": _batchnorm,
    "scale": _affine,
    "bias": _affine,
    "flatten": _flatten,
    "innerProduct": _inner_product,
    "softmax": _softmax,
    "slice": _slice,
}
