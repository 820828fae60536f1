"""The description of an ML Program: order, words and metadata of the NeuralNetwork's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrate.classification import name_probabilities
from migrate.coreml import proto
from migrate.interface import program_names

if TYPE_CHECKING:
    from migrate.network import Network

SOURCE = "com.github.anereport.source_sha256"


def describe(spec: Any, source: Any, network: Network, sha256: str) -> None:
    """Give the ML Program's spec the names, order and words of the NeuralNetwork's description."""
    description = spec.description
    if network.labels:
        name_probabilities(spec, network)
    names = program_names(network)
    inputs = {names.inputs[f.name]: f for f in source.description.input}
    outputs = {names.outputs[f.name]: f for f in source.description.output}
    for given, wanted in ((description.input, inputs), (description.output, outputs)):
        found = {feature.name: feature for feature in given}
        ordered = [found[name] for name in wanted if name in found]
        for feature in ordered:
            _describe_feature(feature, wanted[feature.name])
        given.sort(key=lambda feature: list(wanted).index(feature.name))
    metadata = description.metadata
    metadata.MergeFrom(source.description.metadata)
    metadata.userDefined[SOURCE] = sha256


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
