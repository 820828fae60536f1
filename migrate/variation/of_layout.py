"""Variants of the layout: the longer of the two spatial axes last, in every layer and feature."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from migrate import weights
from migrate.variation.editing import forget_sizes, network_of, parameters, store
from migrate.variation.original import joins_channels
from migrate.variation.passages import TOGETHER, UNCHANGED, kernels
from migrate.variation.registry import variant
from migrate.variation.relation import UP_TO, Rearrangement, Relation
from migrate.variation.variant import Draft, EditError, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.feature_types import Feature
    from migrate.network import Layer
    from migrate.variation.original import Original

ALIKE = ("activation", "batchnorm", "softmax", "lrn")  # for every pixel
SPATIAL = 3  # the rank from which an array has height and width


@variant("turned")
def turned(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on a short last axis: height and width change places everywhere."""
    features = (*original.network.inputs, *original.network.outputs)
    arrays = [f for f in features if len(f.shape) >= SPATIAL]
    if not any(_is_upright(f) for f in original.network.inputs):
        yield LeftOut("turned", "no array input is higher than it is wide")
        return
    line = (
        "Whether the bug depends on a short last axis: height and width change places in features, "
        "kernels, strides and padding, so that the longer axis is last."
    )
    try:
        for layer in original.network.layers:
            _require(original, layer)
        inputs = {f.name: _swapping(len(f.shape)) for f in original.network.inputs if f in arrays}
        outputs = {
            name: _swapping(value.ndim)
            for name, value in original.outputs.items()
            if value.ndim >= SPATIAL
        }
        if any(f.flexible or f.kind == "image" for f in arrays):
            raise EditError("images and flexible shapes cannot change height and width")
    except EditError as error:
        yield LeftOut("turned", str(error), line=line)
        return
    same = Relation(UP_TO, "height and width of the features", inputs, outputs)
    names = tuple(layer.name for layer in original.network.layers)
    yield Draft("", line, partial(_turn, original), same, names)


def _is_upright(feature: Feature) -> bool:
    shape = feature.shape
    return feature.kind == "multiArray" and len(shape) >= SPATIAL and shape[-2] > shape[-1] > 0


def _swapping(rank: int) -> Rearrangement:
    if rank < SPATIAL:
        return Rearrangement()
    return Rearrangement(axes=(*range(rank - 2), rank - 1, rank - 2))


def _require(original: Original, layer: Layer) -> None:
    """Raise EditError for a layer that height and width cannot change places in."""
    shapes = [original.shapes.get(blob, ()) for blob in (*layer.inputs, *layer.outputs)]
    flat = all(min(shape[-2:], default=0) == 1 for shape in shapes[: len(layer.inputs)])
    known = (
        layer.kind in (*UNCHANGED, *ALIKE, "concat")
        or joins_channels(original, layer)
        or (layer.kind in TOGETHER and len({shape[-2:] for shape in shapes}) == 1)
        or (layer.kind == "convolution" and bool(weights.count(layer.params.weights)))
        or (layer.kind in ("flatten", "innerProduct") and flat)
        or (layer.kind in ("scale", "bias") and _per_channel(layer))
    )
    if not known or any(len(shape) < SPATIAL for shape in shapes):
        raise EditError(
            f"height and width cannot change places in layer '{layer.name}' ({layer.kind})"
        )


def _per_channel(layer: Layer) -> bool:
    p = layer.params
    shapes = (p.shapeScale, p.shapeBias) if layer.kind == "scale" else (p.shape,)
    return all(len(shape) < 2 or set(list(shape)[-2:]) == {1} for shape in shapes)


def _turn(original: Original, spec: Any) -> None:
    for feature in (*spec.description.input, *spec.description.output):
        shape = feature.type.multiArrayType.shape if _is_array(feature) else []
        if len(shape) >= SPATIAL:
            shape[-2], shape[-1] = shape[-1], shape[-2]
    for layer in network_of(spec).layers:
        kind = layer.WhichOneof("layer")
        if kind in TURNS:
            TURNS[kind](parameters(layer))
    forget_sizes(spec)


def _is_array(feature: Any) -> bool:
    return bool(feature.type.WhichOneof("Type") == "multiArrayType")


def _turn_convolution(p: Any) -> None:
    values = kernels(p)
    store(p.weights, values.swapaxes(-1, -2))
    p.kernelSize[:] = values.shape[:-3:-1]
    for field in (p.stride, p.dilationFactor, p.outputShape):
        field[:] = list(field)[::-1]
    _turn_borders(p)


def _turn_borders(p: Any) -> None:
    kind = next(
        (
            oneof.name
            for oneof in p.DESCRIPTOR.oneofs
            if p.WhichOneof(oneof.name) in ("valid", "same", "includeLastPixel")
        ),
        "",
    )
    found = p.WhichOneof(kind) if kind else ""
    if found == "valid":
        _reverse(p.valid.paddingAmounts.borderAmounts)
    elif found == "includeLastPixel":
        p.includeLastPixel.paddingAmounts[:] = list(p.includeLastPixel.paddingAmounts)[::-1]


def _reverse(messages: Any) -> None:
    kept = [type(m).FromString(m.SerializeToString()) for m in messages][::-1]
    del messages[:]
    messages.extend(kept)


def _turn_pooling(p: Any) -> None:
    for field in (p.kernelSize, p.stride):
        field[:] = list(field)[::-1]
    _turn_borders(p)


def _turn_upsample(p: Any) -> None:
    for field in (p.scalingFactor, p.fractionalScalingFactor):
        field[:] = list(field)[::-1]


def _turn_padding(p: Any) -> None:
    _reverse(p.paddingAmounts.borderAmounts)


def _turn_resize(p: Any) -> None:
    p.targetSize[:] = list(p.targetSize)[::-1]


TURNS = {
    "convolution": _turn_convolution,
    "pooling": _turn_pooling,
    "upsample": _turn_upsample,
    "padding": _turn_padding,
    "resizeBilinear": _turn_resize,
}
