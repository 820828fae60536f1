"""Layers by themselves: whether their weights, parameters and inputs fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from migrate import weights
from migrate.linting.finding import ERROR, INFO, Place
from migrate.linting.registry import rule
from migrate.linting.scene import together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.linting.scene import Node, Scene

    Found = Iterator[tuple[Place, str]]

LENGTH = re.compile(r"holds? [\d,]+ (values|entries)\b.*\bexpected|is stored twice|odd number of")
NO_MEMORY = re.compile("alloc|memory", re.IGNORECASE)
PROTO = "https://github.com/apple/coremltools/blob/main/mlmodel/format/NeuralNetwork.proto"


@rule("weights-length", severity=ERROR)
def weights_length(scene: Scene) -> Found:
    """Find where weights or a bias are not as long as the layer's sizes say."""
    for node in scene.nodes:
        if LENGTH.search(node.made.fault):
            yield node.place, node.made.fault


@rule("layer-parameters", severity=ERROR)
def layer_parameters(scene: Scene) -> Found:
    """Find where a layer's parameters contradict the specification."""
    for node in scene.nodes:
        if node.made.fault and not LENGTH.search(node.made.fault):
            yield node.place, node.made.fault


@rule("layer-inputs", severity=ERROR)
def layer_inputs(scene: Scene) -> Found:
    """Find where a layer cannot be applied to what it is given, whatever the inputs hold."""
    for node in scene.nodes:
        if node.refusal and _is_certain(scene, node):
            yield node.place, node.refusal


def _is_certain(scene: Scene, node: Node) -> bool:
    """Tell whether a refusal does not depend on values, on a user's function, or on this machine.

    It was seen for all the inputs tried; indices and sizes that are computed could still fit.
    """
    indexed = node.kind.startswith(("gather", "scatter")) and node.given(1) is None
    computed = scene.computes_sizes or indexed
    return not (computed or node.kind == "custom" or NO_MEMORY.search(node.refusal))


@rule("not-checked", severity=INFO)
def not_checked(scene: Scene) -> Found:
    """Find where a layer was not looked at, nor what depends on it."""
    if scene.run.unrun:
        yield scene.whole, f"nothing was run, so shapes are not known: {scene.run.unrun}"
    unread = [node for node in scene.nodes if node.made.unread]
    for reason in dict.fromkeys(node.made.unread for node in unread):
        same = [node for node in unread if node.made.unread == reason]
        kinds = ", ".join(dict.fromkeys(node.kind for node in same))
        yield together(same), f"({kinds}) {reason}"
    for node in scene.nodes:
        if node.refusal and not _is_certain(scene, node):
            yield node.place, f"it ran on none of the inputs tried: {node.refusal}"


@rule("unused-bias", severity=INFO)
def unused_bias(scene: Scene) -> Found:
    """Find where a bias is stored that the layer is told not to add."""
    for node in scene.of("convolution", "innerProduct", "embedding", "embeddingND", "scale"):
        stored = weights.count(node.layer.params.bias)
        if stored and not node.layer.params.hasBias:
            yield node.place, f"stores a bias of {stored:,} values, and hasBias is not set"


@rule("dynamic-quantised", severity=INFO, source=PROTO)
def dynamic_quantised(scene: Scene) -> Found:
    """Find where an input is rounded to 8 bits at run time, which the reference does not do."""
    for node in scene.of("innerProduct", "batchedMatmul"):
        if node.layer.params.int8DynamicQuantize:
            yield (
                node.place,
                "the runtime rounds its input to 8 bits too: it differs from the reference by more "
                "than float16 explains",
            )
