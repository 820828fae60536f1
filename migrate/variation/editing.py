"""Edits of a spec in place that every family needs: layers, blobs, weights, features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.coreml import proto
from migrate.features import output_blobs
from migrate.network import read_network
from migrate.variation.variant import EditError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from migrate.variation.relation import Array

FLOAT_VALUE = 0x0A  # the tag of WeightParams.floatValue, packed


def copied(source: Any) -> Any:
    """Return a copy of a message."""
    found = type(source)()
    found.CopyFrom(source)
    return found


def network_of(spec: Any) -> Any:
    """Return the message that holds the layers."""
    return getattr(spec, spec.WhichOneof("Type"))


def predicting(source: Any) -> Any:
    """Return a copy of a spec without what only training uses."""
    spec = copied(source)
    spec.isUpdatable = False
    network_of(spec).ClearField("updateParams")
    del spec.description.trainingInput[:]
    for layer in network_of(spec).layers:
        layer.isUpdatable = False
        if layer.WhichOneof("layer") in ("convolution", "innerProduct"):
            for weight in (parameters(layer).weights, parameters(layer).bias):
                if weight.isUpdatable:
                    weight.isUpdatable = False
    return spec


def parameters(layer: Any) -> Any:
    """Return the message of a layer's own kind."""
    return getattr(layer, layer.WhichOneof("layer"))


def new_layer(kind: str, name: str, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """Return a layer of a kind, its parameters at their defaults."""
    layer = proto("NeuralNetwork_pb2").NeuralNetworkLayer(
        name=name, input=list(inputs), output=list(outputs)
    )
    getattr(layer, kind).SetInParent()
    return layer


def identity(name: str, source: str, target: str) -> Any:
    """Return a layer that copies a blob: a linear activation with alpha 1 and beta 0."""
    layer = new_layer("activation", name, [source], [target])
    layer.activation.linear.alpha, layer.activation.linear.beta = 1.0, 0.0
    return layer


def replace(layers: Any, position: int, others: Iterable[Any]) -> None:
    """Put other layers, or none, in the place of one."""
    others = list(others)
    del layers[position]
    for offset, layer in enumerate(others):
        layers.insert(position + offset, layer)


def free_name(spec: Any, stem: str) -> str:
    """Return a name that no layer, blob or feature of the spec has."""
    taken = {f.name for f in (*spec.description.input, *spec.description.output)}
    for layer in every_layer(network_of(spec).layers):
        taken.update((layer.name, *layer.input, *layer.output))
    name = stem
    while name in taken:
        name += "_"
    return name


def every_layer(layers: Any) -> Iterator[Any]:
    """Yield layers, those inside branches and loops included."""
    for layer in layers:
        yield layer
        kind = layer.WhichOneof("layer")
        if kind in ("branch", "loop"):
            for field in ("ifBranch", "elseBranch", "conditionNetwork", "bodyNetwork"):
                if field in parameters(layer).DESCRIPTOR.fields_by_name:
                    yield from every_layer(getattr(parameters(layer), field).layers)


def read_instead(layers: Any, blob: str, other: str) -> None:
    """Let every layer that reads a blob read another one."""
    for layer in every_layer(layers):
        for i, name in enumerate(layer.input):
            if name == blob:
                layer.input[i] = other
        if layer.WhichOneof("layer") == "loop" and layer.loop.conditionVar == blob:
            layer.loop.conditionVar = other


def forget_sizes(spec: Any) -> None:
    """Clear the ranks and sizes that layers state of their blobs; they are optional."""
    for layer in every_layer(network_of(spec).layers):
        del layer.inputTensor[:], layer.outputTensor[:]


def store(weight: Any, values: Array) -> None:
    """Write values into a `WeightParams`: as float16 if it held such, else as float32."""
    half = bool(weight.float16Value)
    weight.Clear()
    if half:
        weight.float16Value = values.astype("<f2").tobytes()
        return
    content = np.ascontiguousarray(values, "<f4").tobytes()
    length, size = bytearray(), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    weight.MergeFromString(bytes([FLOAT_VALUE, *length, size]) + content)


def prune(spec: Any) -> None:
    """Remove the layers that no output needs, and the inputs that are read no more."""
    network, layers = read_network(spec), network_of(spec).layers
    needed = {blob for _, blob in output_blobs(network)}
    dead = []
    for position, layer in reversed(list(enumerate(network.layers))):
        if needed.isdisjoint(layer.outputs):
            dead.append(position)
        else:
            needed.difference_update(layer.outputs)
            needed.update(layer.inputs)
    for position in dead:
        del layers[position]
    if not needed & {f.name for f in network.inputs}:
        raise EditError("nothing is left that depends on an input")
    for position, feature in reversed(list(enumerate(spec.description.input))):
        if feature.name not in needed:
            del spec.description.input[position]
            _forget_preprocessing(network_of(spec), feature.name)


def _forget_preprocessing(network: Any, name: str) -> None:
    steps = network.preprocessing
    for position in reversed(range(len(steps))):
        if steps[position].featureName == name:
            del steps[position]


def declare(feature: Any, shape: Sequence[int]) -> None:
    """Declare a fixed shape of an array."""
    array = feature.type.multiArrayType
    array.ClearField("enumeratedShapes")
    array.ClearField("shapeRange")
    array.shape[:] = shape


def array_output(spec: Any, name: str, shape: Sequence[int]) -> None:
    """Add a float32 array to the outputs; without a shape it is declared without one."""
    array = spec.description.output.add(name=name).type.multiArrayType
    array.dataType = array.FLOAT32
    array.shape.extend(shape)


def as_plain_network(spec: Any) -> None:
    """Make a plain network of a classifier or regressor, whose outputs are fixed."""
    kind = spec.WhichOneof("Type")
    if kind == "neuralNetwork":
        return
    plain, held = proto("NeuralNetwork_pb2").NeuralNetwork(), getattr(spec, kind)
    for name in plain.DESCRIPTOR.fields_by_name:
        if name in ("layers", "preprocessing"):
            getattr(plain, name).extend(getattr(held, name))
        elif name in ("arrayInputShapeMapping", "imageInputShapeMapping"):
            setattr(plain, name, getattr(held, name))
    spec.neuralNetwork.CopyFrom(plain)
    spec.description.ClearField("predictedFeatureName")
    spec.description.ClearField("predictedProbabilitiesName")
