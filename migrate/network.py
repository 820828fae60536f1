"""A Core ML NeuralNetwork as plain frozen data: mirrors the proto, knows no torch.

`read` accepts a path, a `Model_pb2.Model` or a coremltools `MLModel`, unwraps the container
(neuralNetwork, neuralNetworkClassifier, neuralNetworkRegressor) and returns a `Network`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrate.coreml import coremltools, proto
from migrate.errors import ModelError

NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")
FIRST_ND_FIELD = 600  # NeuralNetwork.proto: the layers numbered from here on need spec version 4
KINDS = {
    "neuralNetwork": "NeuralNetwork",
    "neuralNetworkClassifier": "NeuralNetwork classifier",
    "neuralNetworkRegressor": "NeuralNetwork regressor",
    "mlProgram": "ML Program",
    "pipeline": "pipeline",
    "pipelineClassifier": "classifier pipeline",
    "pipelineRegressor": "regressor pipeline",
    "treeEnsembleClassifier": "tree ensemble classifier",
    "treeEnsembleRegressor": "tree ensemble regressor",
}
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
    probabilities_feature: str = ""

    @property
    def legacy(self) -> bool:
        """Whether every layer is of those that know only [Seq, Batch, C, H, W] tensors."""
        fields = _layer_fields()
        return all(
            fields.get(layer.kind, FIRST_ND_FIELD) < FIRST_ND_FIELD for layer in self.all_layers()
        )

    def all_layers(self) -> tuple[Layer, ...]:
        """Return every layer, those inside branches and loops included."""
        return tuple(_flatten(self.layers))

    def overwritten(self) -> dict[str, tuple[str, ...]]:
        """Return each blob that several top-level layers write, with the layers' names."""
        writers: dict[str, list[str]] = {feature.name: ["the input"] for feature in self.inputs}
        for layer in self.layers:
            if not layer.blocks:
                for blob in layer.outputs:
                    writers.setdefault(blob, []).append(layer.name)
        return {blob: tuple(names) for blob, names in writers.items() if len(names) > 1}


def read(model: Any) -> Network:
    """Return the `Network` of a path, a `Model_pb2.Model` or an `MLModel`.

    Raises ModelError, in one sentence, for anything that is not a NeuralNetwork.
    """
    spec = load_spec(model)
    kind = spec.WhichOneof("Type")
    if kind not in NETWORKS:
        raise ModelError(
            f"{_origin(model)} is {_article(kind)}, not a NeuralNetwork{_advice(kind)}"
        )
    network = getattr(spec, kind)
    description = spec.description
    inputs = tuple(_feature(f) for f in description.input)
    layers = tuple(_layers(network.layers, {f.name for f in inputs}))
    return Network(
        kind=kind,
        spec_version=int(spec.specificationVersion),
        inputs=inputs,
        outputs=tuple(_feature(f) for f in description.output),
        layers=layers,
        rank5_arrays=network.arrayInputShapeMapping == 0,
        rank5_images=network.imageInputShapeMapping == 0,
        preprocessing=tuple(network.preprocessing),
        labels=_labels(network),
        probabilities=getattr(network, "labelProbabilityLayerName", ""),
        predicted_feature=description.predictedFeatureName,
        probabilities_feature=description.predictedProbabilitiesName,
    )


def load_spec(model: Any) -> Any:
    """Return the `Model_pb2.Model` of a path, a spec or an `MLModel`."""
    if isinstance(model, (str, Path)):
        return _load_file(Path(model))
    if hasattr(model, "get_spec"):
        return model.get_spec()
    if hasattr(model, "specificationVersion"):
        return model
    raise TypeError(f"expected a path, a Model_pb2.Model or an MLModel, got {type(model).__name__}")


def _load_file(path: Path) -> Any:
    try:
        exists = path.exists()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    if not exists:
        raise ModelError(f"no such file: {path}")
    if path.is_dir() and path.suffix != ".mlpackage":
        raise ModelError(f"{path} is a directory, not a model; give the .mlmodel file itself")
    spec = _load_package(path) if path.is_dir() else _parse(path)
    if spec.WhichOneof("Type") is None:
        raise ModelError(f"{path} is not a Core ML model, or it is cut off: it names no model type")
    return spec


def _parse(path: Path) -> Any:
    from google.protobuf.message import DecodeError

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    if not content:
        raise ModelError(f"{path} is empty")
    spec = proto("Model_pb2").Model()
    try:
        spec.ParseFromString(content)
    except DecodeError as error:
        raise ModelError(
            f"{path} is not a Core ML model, or it is cut off: its protobuf does not parse"
        ) from error
    return spec


def _load_package(path: Path) -> Any:
    try:
        return coremltools().utils.load_spec(str(path))
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path} is not a readable .mlpackage: {first}") from error


def _feature(description: Any) -> Feature:
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
    return tuple(
        n if n > 0 else _filled(*bounds.get(axis, (0, -1))) for axis, n in enumerate(feature.shape)
    )


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


def _origin(model: Any) -> str:
    return str(model) if isinstance(model, (str, Path)) else "the model"


def _article(kind: str | None) -> str:
    words = KINDS.get(kind or "", f"of type {kind}" if kind else "of no type")
    return (
        words if words.startswith("of ") else f"{'an' if words[0] in 'aeioAEIOM' else 'a'} {words}"
    )


def _advice(kind: str | None) -> str:
    return ": it is in the newer format already" if kind == "mlProgram" else ""
