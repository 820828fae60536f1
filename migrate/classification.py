"""The two outputs of a classifier, which coremltools adds in front and names itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrate.coreml import coremltools
from migrate.features import class_features, tensor_outputs
from migrate.interface import program_names, tensor_names

if TYPE_CHECKING:
    from migrate.network import Network


def classifier(network: Network) -> Any:
    """Return coremltools' configuration of a classifier, or None."""
    if not network.labels:
        return None
    return coremltools().ClassifierConfig(
        list(network.labels),
        predicted_feature_name=program_names(network).outputs[network.predicted_feature],
        predicted_probabilities_output=_scores_name(network),
    )


def _scores_name(network: Network) -> str:
    (scores,) = class_features(network)
    names = dict(zip(tensor_outputs(network), tensor_names(network), strict=True))
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


def name_probabilities(spec: Any, network: Network) -> None:
    """Give the dictionary of a classifier its name; without one in the NeuralNetwork, none."""
    (feature,) = class_features(network)
    description = spec.description
    old, new = description.predictedProbabilitiesName, program_names(network).outputs[feature.name]
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    _make_way(block, {description.predictedFeatureName, new})
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


def _make_way(block: Any, names: set[str]) -> None:
    """Rename the variables inside that have the names of a classifier's two outputs."""
    for operation in block.operations:
        written = [] if operation.type == "classify" else operation.outputs
        read = [b for argument in operation.inputs.values() for b in argument.arguments]
        for variable in (*written, *read):
            if variable.name in names:
                variable.name += "_inside"
        for inner in operation.blocks:
            _make_way(inner, names)
            inner.outputs[:] = [f"{n}_inside" if n in names else n for n in inner.outputs]
