"""The features of an ML Program, so that it stands in for the NeuralNetwork it was made from.

`input_types` and `output_types` are what coremltools is told, `describe` sets what it does not
carry over, and `limits` says in a sentence each what an ML Program cannot have.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.coreml import coremltools, proto
from migrate.errors import UnsupportedError
from migrate.features import NUMBERS, class_features, tensor_outputs
from migrate.network import RECURRENT, default_shape
from migrate.options import FIRST_WITH_HALVES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrate.network import Feature, Network
    from migrate.options import Options

HIGHEST_RANK = 5  # of any tensor in an ML Program
SEVERAL_ENUMERATED = 18  # the first iOS release in which several inputs may have enumerated shapes
SOURCE = "com.github.anereport.source_sha256"


def input_types(network: Network, options: Options) -> list[Any]:
    """Return coremltools' type of each input."""
    ct = coremltools()
    found = []
    for feature in network.inputs:
        name, shape = feature.name, _shape(feature, network, options)
        if feature.kind == "image":
            layout = getattr(ct.colorlayout, feature.color)
            found.append(ct.ImageType(name=name, shape=shape, color_layout=layout))
        else:
            found.append(ct.TensorType(name=name, shape=shape, dtype=_dtype(feature, options)))
    return found


def output_types(network: Network, options: Options) -> list[Any]:
    """Return coremltools' type of each output that is a tensor."""
    ct = coremltools()
    return [
        ct.ImageType(name=name, color_layout=getattr(ct.colorlayout, f.color))
        if f.kind == "image"
        else ct.TensorType(name=name, dtype=_dtype(f, options))
        for f, name in zip(tensor_outputs(network), _tensor_names(network), strict=True)
    ]


def _tensor_names(network: Network) -> list[str]:
    """Return the names of the outputs that are tensors; a classifier's scores become another."""
    taken = {mil_name(feature.name) for feature in network.inputs}
    classes = class_features(network)
    return [
        f"{output_name(f.name, taken)}_scores" if f in classes else output_name(f.name, taken)
        for f in tensor_outputs(network)
    ]


def _dtype(feature: Feature, options: Options) -> type:
    if feature.dtype == "int32":
        return np.int32
    declared = "fp16" if feature.dtype == "float16" else "fp32"
    halves = (options.features or declared) == "fp16" and options.release >= FIRST_WITH_HALVES
    return np.float16 if halves else np.float32


def _shape(feature: Feature, network: Network, options: Options) -> Any:
    ct = coremltools()
    default = default_shape(feature)
    if len(feature.shapes) > 1:
        if options.release >= SEVERAL_ENUMERATED or len(_enumerated(network)) == 1:
            return ct.EnumeratedShapes(feature.shapes, default=default)
        bounds = tuple((min(sizes), max(sizes)) for sizes in zip(*feature.shapes, strict=True))
    elif feature.bounds:
        bounds = feature.bounds
    else:
        return default
    return ct.Shape(
        tuple(
            low
            if low == high
            else ct.RangeDim(max(low, 1), _upper(high, size, options), default=size)
            for (low, high), size in zip(bounds, default, strict=True)
        )
    )


def _upper(high: int, size: int, options: Options) -> int:
    return high if high > 0 else max(options.max_size, size)


def _enumerated(network: Network) -> list[Feature]:
    return [feature for feature in network.inputs if len(feature.shapes) > 1]


def limits(network: Network, options: Options) -> list[str]:
    """Return a sentence for each thing of the interface that the ML Program cannot have."""
    features = (*network.inputs, *network.outputs)
    taken = {mil_name(f.name) for f in network.inputs}
    names = {f.name: output_name(f.name, taken) for f in network.outputs}
    found = [_renamed(f.name, mil_name(f.name)) for f in network.inputs]
    found += [_renamed(*pair) for pair in names.items()]
    found = [sentence for sentence in found if sentence]
    doubles = [f.name for f in features if f.dtype == "float64" or f.kind in NUMBERS]
    if doubles and not network.labels:
        found.append(
            f"{_named(doubles)}: DOUBLE becomes FLOAT32, the widest an ML Program's features have"
        )
    halves = [f.name for f in features if f.dtype == "float16"]
    if halves and options.release < FIRST_WITH_HALVES:
        found.append(f"{_named(halves)}: FLOAT16 becomes FLOAT32 before iOS 16")
    for f in network.inputs:
        if any(high <= 0 for _, high in f.bounds):
            found.append(
                f"input '{f.name}' has no largest size, an ML Program must have one: "
                f"{max(options.max_size, *default_shape(f))} (--max-size)"
            )
    several = _enumerated(network)
    if len(several) > 1 and options.release < SEVERAL_ENUMERATED:
        found.append(
            f"{_named([f.name for f in several])}: below iOS 18 only one input may have enumerated "
            "shapes, so each takes the range from its smallest to its largest"
        )
    found += [
        f"input '{f.name}' is optional, which an image of an ML Program cannot be"
        for f in network.inputs
        if f.optional and f.kind == "image"
    ]
    if network.kind.endswith("Regressor"):
        found.append(
            "the regressor's value is an array of one element; ML Programs have no regressor"
        )
    found += [
        f"input '{f.name}' takes sequences as [Seq, Batch, ...] at run time; "
        "the ML Program takes its declared shape alone"
        for f in network.inputs
        if network.rank5_arrays and f.kind == "multiArray" and len(f.shape) in (1, 3)
        and any(layer.kind in RECURRENT for layer in network.all_layers())
    ]  # fmt: skip
    return found


def _renamed(before: str, after: str) -> str:
    """Return why a feature has another name, or nothing where it has not."""
    if after == before:
        return ""
    if mil_name(before) == before:
        return f"output '{before}' is called '{after}': no output may have an input's name"
    return (
        f"'{before}' is called '{after}': names in an ML Program are letters, digits and "
        "underscores, and no words of its language"
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in dict.fromkeys(names))


def mil_name(name: str) -> str:
    """Return the name that coremltools gives a feature of this one."""
    coremltools()
    from coremltools.converters.mil.mil.passes.defs.preprocess import NameSanitizer

    return str(NameSanitizer().sanitize_name(name))


def output_name(name: str, taken: set[str]) -> str:
    """Return the name of an output; an input of the same one has taken it."""
    found = mil_name(name)
    return f"{found}_output" if found in taken else found


def check_ranks(network: Network) -> None:
    """Raise UnsupportedError for features of a higher rank than an ML Program's may have."""
    features = (*network.inputs, *network.outputs)
    high = [f for f in features if len(f.shape) > HIGHEST_RANK]
    if high:
        found = ", ".join(f"'{f.name}' has {len(f.shape)}" for f in high)
        raise UnsupportedError(f"an ML Program's tensors have at most 5 dimensions; {found}")


def classifier(network: Network) -> Any:
    """Return coremltools' configuration of a classifier, or None."""
    if not network.labels:
        return None
    return coremltools().ClassifierConfig(
        list(network.labels),
        predicted_feature_name=mil_name(network.predicted_feature),
        predicted_probabilities_output=_scores_name(network),
    )


def _scores_name(network: Network) -> str:
    (scores,) = class_features(network)
    names = dict(zip(tensor_outputs(network), _tensor_names(network), strict=True))
    return names[scores]


def align_types(network: Network, program: Any) -> None:
    """Put the types of a classifier's outputs in the order that they are about to have.

    coremltools replaces the probabilities by two outputs in front, and goes on to read the type of
    each output by its old number.
    """
    if not network.labels:
        return
    function = program.functions["main"]
    scores = _scores_name(network)
    rows = zip(function.outputs, function.output_types, strict=True)
    others = [type_ for var, type_ in rows if var.name != scores]
    function.output_types = [coremltools().TensorType()] * 2 + others


def describe(spec: Any, source: Any, network: Network) -> None:
    """Give the ML Program's spec the names, order and words of the NeuralNetwork's description."""
    description = spec.description
    if network.labels:
        _name_probabilities(spec, network)
    taken = {mil_name(feature.name) for feature in source.description.input}
    inputs = {mil_name(feature.name): feature for feature in source.description.input}
    outputs = {output_name(f.name, taken): f for f in source.description.output}
    for given, wanted in ((description.input, inputs), (description.output, outputs)):
        found = {feature.name: feature for feature in given}
        ordered = [found[name] for name in wanted if name in found]
        for feature in ordered:
            _describe_feature(feature, wanted[feature.name])
        given.sort(key=lambda feature: list(wanted).index(feature.name))
    metadata = description.metadata
    metadata.MergeFrom(source.description.metadata)
    serialized = source.SerializeToString(deterministic=True)
    metadata.userDefined[SOURCE] = sha256(serialized).hexdigest()


def _describe_feature(new: Any, old: Any) -> None:
    new.shortDescription = old.shortDescription
    if old.type.isOptional and new.type.WhichOneof("Type") == "multiArrayType":
        new.type.isOptional = True
        array = old.type.multiArrayType
        kind = array.WhichOneof("defaultOptionalValue")
        value = getattr(array, kind) if kind else 0.0
        of_integers = (
            new.type.multiArrayType.dataType == proto("FeatureTypes_pb2").ArrayFeatureType.INT32
        )
        if of_integers:
            new.type.multiArrayType.intDefaultValue = int(value)
        else:
            new.type.multiArrayType.floatDefaultValue = value


def _name_probabilities(spec: Any, network: Network) -> None:
    """Give the dictionary of a classifier its name; without one in the NeuralNetwork, none."""
    (feature,) = class_features(network)
    description = spec.description
    old, new = description.predictedProbabilitiesName, mil_name(feature.name)
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    outputs = [f for f in description.output if f.name == old]
    if feature.kind != "dictionary":
        block.outputs.remove(old)
        description.output.remove(outputs[0])
        description.predictedProbabilitiesName = ""
        return
    places = [o for op in block.operations for o in op.outputs if o.name == old]
    for place in (*places, *outputs):
        place.name = new
    names = [new if name == old else name for name in block.outputs]
    del block.outputs[:]
    block.outputs.extend(names)
    description.predictedProbabilitiesName = new
