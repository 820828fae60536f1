"""A Core ML NeuralNetwork as plain frozen data: mirrors the proto, knows no torch.

`read` accepts a path, a `Model_pb2.Model` or a coremltools `MLModel`, unwraps the container
(neuralNetwork, neuralNetworkClassifier, neuralNetworkRegressor, or a pipeline of these) and returns
a `Network`. Of an updatable model it is the part that predicts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from migrate.coreml import proto
from migrate.errors import ModelError
from migrate.spec import load_spec, not_a_network

NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")
PIPELINES = ("pipeline", "pipelineClassifier", "pipelineRegressor")
RECURRENT = (
    "simpleRecurrent", "gru", "uniDirectionalLSTM", "biDirectionalLSTM", "sequenceRepeat",
)  # fmt: skip
FIRST_ND_FIELD = 600  # NeuralNetwork.proto: the layers numbered from here on need spec version 4
LARGEST = 2**31 - 1  # elements of a feature or blob: a claimed size is refused, not allocated
FLEXIBLE_DIMENSION = 64  # what stands for a dimension that the description leaves open


@dataclass(frozen=True)
class Feature:
    """An input or output of the model as its description declares it."""

    name: str
    kind: str  # "multiArray", "image", "dictionary", "string", "int64", ...
    shape: tuple[int, ...] = ()  # declared; an image is (1, channels, height, width)
    dtype: str = "float32"  # float16, float32, float64 or int32
    color: str = ""  # RGB, BGR or GRAYSCALE, of an image
    optional: bool = False
    default: float | None = None  # what an absent optional input is filled with
    shapes: tuple[tuple[int, ...], ...] = ()  # the enumerated shapes, if any
    bounds: tuple[tuple[int, int], ...] = ()  # (lower, upper) per dimension; -1: no upper bound

    @property
    def flexible(self) -> bool:
        """Whether the description allows several shapes, and says which."""
        return bool(self.shapes or self.bounds)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The (lower, upper) bounds of an input's dimensions, of those that it leaves open too."""
        is_open = not self.shapes and min(self.shape, default=1) < 1
        open_too = tuple((n, n) if n > 0 else (1, -1) for n in self.shape) if is_open else ()
        return self.bounds or open_too


@dataclass(frozen=True)
class Layer:
    """One layer: `kind` is the proto field that is set, `params` that field's message."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Any = field(repr=False)
    blocks: tuple[tuple[Layer, ...], ...] = ()  # the sub-networks of branch and loop
    captured: int = 0  # how many of the last inputs are outer blobs that the sub-networks use


@dataclass(frozen=True)
class Network:
    """The whole model: features in the description's order, layers in the order of execution."""

    kind: str
    spec_version: int
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    layers: tuple[Layer, ...]
    rank5_arrays: bool
    rank5_images: bool
    preprocessing: tuple[Any, ...] = field(repr=False, default=())
    labels: tuple[str, ...] | tuple[int, ...] = ()
    probabilities: str = ""  # the blob that a classifier reads its probabilities from
    predicted_feature: str = ""
    stages: tuple[Network, ...] = ()  # of a pipeline, which has no layers of its own

    @property
    def legacy(self) -> bool:
        """Whether every layer is of those that know only [Seq, Batch, C, H, W] tensors."""
        fields = _layer_fields()
        return all(
            fields.get(layer.kind, FIRST_ND_FIELD) < FIRST_ND_FIELD for layer in self.all_layers()
        )

    @property
    def sequential(self) -> bool:
        """Whether layers address Seq, the first of the five dimensions, or may do so."""
        return not self.legacy or any(_addresses_sequence(layer) for layer in self.layers)

    @property
    def computes_sizes(self) -> bool:
        """Whether the sizes of blobs may follow from numbers in others."""
        return any(_computes_sizes(layer) for layer in self.all_layers())

    def all_layers(self) -> tuple[Layer, ...]:
        """Return every layer, those inside branches and loops included."""
        own = tuple(_flatten(self.layers))
        return own + tuple(layer for stage in self.stages for layer in stage.all_layers())

    def passed_through(self) -> set[str]:
        """Return the outputs that are the input of their name, as they came, or copies of it."""
        source = {feature.name: feature.name for feature in self.inputs}
        for layer in self.layers:
            copied = source.get(layer.inputs[0], "") if layer.kind == "copy" else ""
            source.update(dict.fromkeys(layer.outputs, copied))
        given = {(f.name, f.kind, f.shape) for f in self.inputs}
        given |= set() if self.rank5_arrays else {(f.name, f.kind, ()) for f in self.inputs}
        return {
            f.name
            for f in self.outputs
            if source.get(f.name) == f.name and (f.name, f.kind, f.shape) in given
        }

    def overwritten(self) -> dict[str, tuple[str, ...]]:
        """Return each blob that several top-level layers write, with the layers' names."""
        if self.stages:
            return {b: w for stage in self.stages for b, w in stage.overwritten().items()}
        writers: dict[str, list[str]] = {feature.name: ["the input"] for feature in self.inputs}
        for layer in self.layers:
            if not layer.blocks:
                for blob in layer.outputs:
                    writers.setdefault(blob, []).append(layer.name)
        return {blob: tuple(names) for blob, names in writers.items() if len(names) > 1}


def read(model: Any) -> Network:
    """Return the `Network` of a path, a `Model_pb2.Model` or an `MLModel`.

    Raises ModelError, in one sentence, for anything that is neither a NeuralNetwork nor a pipeline
    whose stages are.
    """
    spec = load_spec(model)
    kind = spec.WhichOneof("Type")
    if kind in PIPELINES:
        from migrate.pipeline import joined

        return joined(spec)
    if kind not in NETWORKS:
        raise ModelError(not_a_network(model, kind))
    return read_network(spec)


def read_network(spec: Any) -> Network:
    """Return the `Network` of a spec that is known to be one."""
    kind, description = spec.WhichOneof("Type"), spec.description
    network = getattr(spec, kind)
    inputs = tuple(read_feature(f) for f in description.input)
    return Network(
        kind=kind,
        spec_version=int(spec.specificationVersion),
        inputs=inputs,
        outputs=tuple(read_feature(f) for f in description.output),
        layers=tuple(_layers(network.layers, {f.name for f in inputs})),
        rank5_arrays=network.arrayInputShapeMapping == 0,
        rank5_images=network.imageInputShapeMapping == 0,
        preprocessing=tuple(network.preprocessing),
        labels=_labels(network),
        probabilities=getattr(network, "labelProbabilityLayerName", ""),
        predicted_feature=description.predictedFeatureName,
    )


def read_feature(description: Any) -> Feature:
    """Return a feature of the description; ModelError for a shape that is none."""
    feature = _described(description)
    if any(n < -1 for n in feature.shape):
        shape = "x".join(map(str, feature.shape))
        raise ModelError(f"feature {feature.name!r} is declared with the shape {shape}")
    return feature


def _described(description: Any) -> Feature:
    kind = description.type.WhichOneof("Type") or ""
    kind = kind.removesuffix("Type")
    optional = description.type.isOptional
    if kind == "multiArray":
        return _array_feature(description.name, description.type.multiArrayType, optional)
    if kind == "image":
        return _image_feature(description.name, description.type.imageType, optional)
    return Feature(description.name, kind, optional=optional)


def _array_feature(name: str, array: Any, optional: bool) -> Feature:
    codes = {0: "float32", 65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32"}
    default = array.WhichOneof("defaultOptionalValue")
    enumerated = tuple(tuple(map(int, s.shape)) for s in array.enumeratedShapes.shapes)
    bounds = tuple((int(r.lowerBound), int(r.upperBound)) for r in array.shapeRange.sizeRanges)
    return Feature(
        name=name,
        kind="multiArray",
        shape=tuple(map(int, array.shape)) or _first(enumerated, bounds),
        dtype=codes.get(array.dataType, "float32"),
        optional=optional,
        default=float(getattr(array, default)) if default else None,
        shapes=enumerated,
        bounds=bounds,
    )


def _image_feature(name: str, image: Any, optional: bool) -> Feature:
    colors = {10: "GRAYSCALE", 20: "RGB", 30: "BGR", 40: "GRAYSCALE_FLOAT16"}
    color = colors.get(image.colorSpace, "RGB")
    channels = 1 if color.startswith("GRAYSCALE") else 3
    sizes = tuple((1, channels, int(s.height), int(s.width)) for s in image.enumeratedSizes.sizes)
    ranges = image.imageSizeRange
    bounds: tuple[tuple[int, int], ...] = ()
    if image.WhichOneof("SizeFlexibility") == "imageSizeRange":
        bounds = (
            (1, 1),
            (channels, channels),
            _bounds(ranges.heightRange),
            _bounds(ranges.widthRange),
        )
    shape: tuple[int, ...] = (1, channels, int(image.height), int(image.width))
    if not (image.height and image.width):
        shape = _first(sizes, bounds) or shape
    return Feature(
        name, "image", shape, "float32", color, optional=optional, shapes=sizes, bounds=bounds
    )


def _first(
    shapes: tuple[tuple[int, ...], ...], bounds: tuple[tuple[int, int], ...]
) -> tuple[int, ...]:
    """Return what FeatureTypes.proto makes the default where the description names none."""
    return shapes[0] if shapes else tuple(low for low, _ in bounds)


def _bounds(size_range: Any) -> tuple[int, int]:
    return int(size_range.lowerBound), int(size_range.upperBound)


def default_shape(feature: Feature) -> tuple[int, ...]:
    """Return a concrete shape that the feature allows: the declared one, open dimensions filled."""
    bounds = dict(enumerate(feature.bounds))
    shape = tuple(
        n if n > 0 else _filled(*bounds.get(axis, (0, -1))) for axis, n in enumerate(feature.shape)
    )
    if math.prod(shape) > LARGEST:
        claimed = "x".join(map(str, shape))
        raise ModelError(
            f"feature {feature.name!r} claims a size of {claimed}, the largest is {LARGEST:,}"
        )
    return shape


def _filled(low: int, high: int) -> int:
    return low or (FLEXIBLE_DIMENSION if high < 0 else min(high, FLEXIBLE_DIMENSION))


def _labels(network: Any) -> tuple[str, ...] | tuple[int, ...]:
    if "ClassLabels" not in network.DESCRIPTOR.oneofs_by_name:
        return ()
    if network.WhichOneof("ClassLabels") == "int64ClassLabels":
        return tuple(int(n) for n in network.int64ClassLabels.vector)
    return tuple(network.stringClassLabels.vector)


def _layers(messages: Any, defined: set[str]) -> list[Layer]:
    """Read layers in order; `defined` is the set of blobs that exist so far, and grows."""
    layers = []
    for message in messages:
        layer = _layer(message, defined)
        defined.update(layer.outputs)
        layers.append(layer)
    return layers


def _layer(message: Any, defined: set[str]) -> Layer:
    kind = message.WhichOneof("layer") or "of no known type"
    inputs, outputs = tuple(message.input), tuple(message.output)
    params: Any = getattr(message, kind) if message.WhichOneof("layer") else None
    fields = {"branch": ("ifBranch", "elseBranch"), "loop": ("conditionNetwork", "bodyNetwork")}
    if kind not in fields:
        return Layer(message.name, kind, inputs, outputs, params)
    inside = set(defined)
    blocks = tuple(tuple(_layers(getattr(params, f).layers, inside)) for f in fields[kind])
    written = list(
        dict.fromkeys(blob for block in blocks for layer in block for blob in layer.outputs)
    )
    read = dict.fromkeys(blob for block in blocks for layer in block for blob in layer.inputs)
    read.update(dict.fromkeys([params.conditionVar] if kind == "loop" else []))
    outer = [blob for blob in dict.fromkeys([*read, *written]) if blob in defined]
    return Layer(
        message.name, kind, (*inputs, *outer), (*outputs, *written), params, blocks, len(outer)
    )


def _computes_sizes(layer: Layer) -> bool:
    """Tell whether the sizes of a layer's outputs may follow from numbers in its inputs."""
    return (
        layer.kind.endswith("Dynamic")
        or layer.kind in ("whereNonZero", "NonMaximumSuppression", "custom", "branch", "loop")
        or (layer.kind in ("tile", "topK", "oneHot", "constantPad") and len(layer.inputs) > 1)
    )


def _addresses_sequence(layer: Layer) -> bool:
    p = layer.params
    return (
        layer.kind in RECURRENT
        or (layer.kind == "concat" and p.sequenceConcat)
        or (layer.kind == "reshape" and len(p.targetShape) == 4)
        or (layer.kind == "permute" and bool(p.axis) and p.axis[0] != 0)
    )


def _flatten(layers: tuple[Layer, ...]) -> list[Layer]:
    found = []
    for layer in layers:
        found.append(layer)
        for block in layer.blocks:
            found.extend(_flatten(block))
    return found


def _layer_fields() -> dict[str, int]:
    oneof = proto("NeuralNetwork_pb2").NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"]
    return {f.name: f.number for f in oneof.fields}
