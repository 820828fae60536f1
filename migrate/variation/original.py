"""The network whose variants are made: its spec, its module, and what that gives on one input."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from migrate import features
from migrate.block import Custom
from migrate.errors import InputError, ModelError
from migrate.module import Model, to_torch
from migrate.network import NETWORKS, PIPELINES, Layer, Network, read_network
from migrate.spec import load_spec, not_a_network
from migrate.trial_inputs import fitting, trial
from migrate.variation.editing import predicting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from migrate.variation.relation import Array

MOST = 12  # variants of a kind, about
CHANNELWISE_CONCAT = ("concat", "concatND")


@dataclass(frozen=True)
class Original:
    """A network that is to be edited; inputs and outputs are arrays by feature name, float64."""

    spec: Any = field(repr=False)
    network: Network
    net: Model = field(repr=False)
    custom: Custom
    inputs: Mapping[str, Array] = field(repr=False)
    outputs: Mapping[str, Array] = field(repr=False)
    shapes: Mapping[str, tuple[int, ...]]  # of each blob, as last written
    most: int = MOST

    @classmethod
    def of(
        cls,
        model: Any,
        custom: Custom | None = None,
        most: int = MOST,
        given: Mapping[str, Any] | None = None,
    ) -> Original:
        """Read a model and run it; ModelError, in a sentence, for what has no variants."""
        spec = predicting(_one_network(model))
        network = read_network(spec)
        net = to_torch(network, custom).double()
        inputs: Mapping[str, Any] = given or trial(network, "normal", 0)
        shapes: dict[str, tuple[int, ...]] = {}

        def watch(blob: str, value: Any) -> Any:
            shapes[blob] = tuple(value.shape)
            return value

        try:
            outputs = run(net, inputs, watch)
        except (ModelError, InputError):
            if given:
                raise
            inputs = fitting(net)
            outputs = run(net, inputs, watch)
        return cls(spec, network, net, custom or {}, inputs, outputs, shapes, most)

    @cached_property
    def writes(self) -> Counter[str]:
        """How often each blob is written; by a layer in a branch or a loop counts twice."""
        found = Counter(feature.name for feature in self.network.inputs)
        for layer in self.network.layers:
            found.update(layer.outputs)
            found.update(layer.outputs if layer.blocks else ())
        return found

    @cached_property
    def output_blobs(self) -> dict[str, str]:
        """The blob of each output that is a tensor."""
        return {feature.name: blob for feature, blob in features.output_blobs(self.network)}

    def once(self, layer: Layer) -> bool:
        """Tell whether the blobs of a layer are written by no other."""
        known = [blob in self.shapes for blob in layer.outputs]
        return all(known) and all(
            self.writes[blob] == 1 for blob in (*layer.inputs, *layer.outputs)
        )

    def declarable(self, blob: str) -> tuple[int, ...]:
        """Return what a feature of this blob is declared as; nothing where inputs are flexible."""
        shape = self.shapes[blob]
        if any(f.flexible or min(f.shape, default=1) < 1 for f in self.network.inputs):
            return ()
        if self.network.rank5_arrays:
            return shape[-3:] if set(shape[:-3]) <= {1} else ()
        return shape

    def readers(self, blob: str) -> list[int]:
        """Return the positions of the layers that read a blob."""
        return [i for i, layer in enumerate(self.network.layers) if blob in layer.inputs]

    def concatenations(self) -> list[int]:
        """Return the positions of layers that join channels, of two inputs or more."""
        return [
            i
            for i, layer in enumerate(self.network.layers)
            if len(layer.inputs) > 1 and self.once(layer) and joins_channels(self, layer)
        ]


def joins_channels(original: Original, layer: Layer) -> bool:
    """Tell whether a layer joins its inputs along the channels, axis -3."""
    if layer.kind not in CHANNELWISE_CONCAT or len(set(layer.inputs)) < len(layer.inputs):
        return False
    rank = len(original.shapes.get(layer.outputs[0], ()))
    if rank < 3:
        return False
    if layer.kind == "concat":
        return not layer.params.sequenceConcat
    axis = int(layer.params.axis)
    return not layer.params.interleave and (axis if axis < 0 else axis - rank) == -3


def _one_network(model: Any) -> Any:
    spec = load_spec(model)
    kind = spec.WhichOneof("Type")
    if kind in PIPELINES:
        stages = getattr(spec, kind)
        count = len((stages if kind == "pipeline" else stages.pipeline).models)
        raise ModelError(
            f"a pipeline of {count} models has no variants: edits are of one network, so give one "
            "of its stages as a model of its own"
        )
    if kind not in NETWORKS:
        raise ModelError(not_a_network(model, kind))
    if not getattr(spec, kind).layers:
        raise ModelError("the network has no layers, so there is nothing to edit")
    return spec


def run(
    net: Model, inputs: Mapping[str, Any], watch: Callable[[str, Any], Any] | None = None
) -> dict[str, Array]:
    """Return the tensor outputs of a float64 module; the labels of a classifier are checked too."""
    tensors = [features.to_tensor(f, dict(inputs), torch.float64) for f in net.network.inputs]
    torch.manual_seed(0)
    with torch.no_grad(), net.watching(watch or (lambda _, value: value)):
        found = net(*tensors)
    values = found if isinstance(found, tuple) else (found,)
    features.to_outputs(net.network, values, exact=True)
    names = [feature.name for feature in features.tensor_outputs(net.network)]
    return {name: value.numpy() for name, value in zip(names, values, strict=True)}


def blobs_of(original: Original, wanted: Collection[str]) -> dict[str, Array]:
    """Return these blobs of the original, as last written."""
    found: dict[str, Array] = {}

    def watch(blob: str, value: Any) -> Any:
        if blob in wanted:
            found[blob] = value.numpy()
        return value

    if wanted:
        run(original.net, original.inputs, watch)
    return found
