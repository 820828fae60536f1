"""A Core ML NeuralNetwork as plain frozen data: mirrors the proto, knows no torch.

`read` accepts a path, a `Model_pb2.Model` or a coremltools `MLModel`, unwraps the container
(neuralNetwork, neuralNetworkClassifier, neuralNetworkRegressor, or a pipeline of these) and returns
a `Network`. Of an updatable model it is the part that predicts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from migrate.coreml import proto
from migrate.errors import ModelError
from migrate.feature_types import Feature, read_features
from migrate.spec import load_spec, not_a_network

NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")
PIPELINES = ("pipeline", "pipelineClassifier", "pipelineRegressor")
RECURRENT = (
    "simpleRecurrent", "gru", "uniDirectionalLSTM", "biDirectionalLSTM", "sequenceRepeat",
)  # fmt: skip
FIRST_ND_FIELD = 600  # NeuralNetwork.proto: the layers numbered from here on need spec version 4


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
        return any(computes_sizes(layer) for layer in self.all_layers())

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
    inputs = read_features(description.input, "inputs")
    return Network(
        kind=kind,
        spec_version=int(spec.specificationVersion),
        inputs=inputs,
        outputs=read_features(description.output, "outputs"),
        layers=tuple(_layers(network.layers, {f.name for f in inputs})),
        rank5_arrays=network.arrayInputShapeMapping == 0,
        rank5_images=network.imageInputShapeMapping == 0,
        preprocessing=tuple(network.preprocessing),
        labels=_labels(network),
        probabilities=getattr(network, "labelProbabilityLayerName", ""),
        predicted_feature=description.predictedFeatureName,
    )


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


def computes_sizes(layer: Layer) -> bool:
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


@cache
def _layer_fields() -> dict[str, int]:
    oneof = proto("NeuralNetwork_pb2").NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"]
    return {f.name: f.number for f in oneof.fields}
