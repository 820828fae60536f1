"""What the rules look at: the layers of one network, who writes what each reads, and the shapes.

    scene.nodes         the layers in order, those inside of branches and loops after their layer
    node.sources[i]     the layer that writes input i; None for an input of the model, or nobody
    node.inputs[i]      the shape of input i; None where it is not known
    node.constants[i]   the values of output i, if they are the same for every input

Shapes are those for inputs of their default shapes, of top layers alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from migrate.linting.finding import Place
from migrate.linting.running import Built, Run, built, runs
from migrate.ranges import audit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from migrate.block import Custom
    from migrate.feature_types import Feature
    from migrate.network import Layer, Network
    from migrate.ranges import Range

    Shape = tuple[int, ...]

MOVES = {
    "copy", "expandDims", "flatten", "flattenTo2D", "permute", "rankPreservingReshape", "reshape",
    "reshapeDynamic", "reshapeLike", "reshapeStatic", "squeeze", "transpose",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Node:
    """A layer in its place."""

    layer: Layer
    place: Place
    made: Built
    sources: tuple[Node | None, ...]
    inputs: tuple[Shape | None, ...]
    outputs: tuple[Shape | None, ...]
    constants: tuple[Tensor | None, ...]
    refusal: str = ""  # why it cannot be applied to its inputs
    unknown: tuple[str, ...] = ()  # the blobs that it reads and nothing before it writes
    is_top: bool = True  # in no branch and no loop

    @property
    def kind(self) -> str:
        """The proto field of the layer."""
        return self.layer.kind

    @cached_property
    def ranges(self) -> tuple[Range, ...]:
        """What of the layer's weights float16 cannot hold; those of sub-networks are theirs."""
        if self.made.module is None or self.layer.blocks:
            return ()
        return audit(self.made.module, (), lambda path: self.layer.name)[0]

    def source(self, number: int = 0, through: frozenset[str] | set[str] = frozenset()) -> Node:
        """Return the layer that gives an input, seen through kinds; itself if that is no layer."""
        found = self.sources[number] if number < len(self.sources) else None
        while found is not None and found.kind in through:
            found = found.sources[0] if found.sources else None
        return found or self

    def given(self, number: int) -> Tensor | None:
        """Return the values of an input, if it is a constant."""
        source = self.sources[number] if number < len(self.sources) else None
        if source is None:
            return None
        blob = self.layer.inputs[number]
        return dict(zip(source.layer.outputs, source.constants, strict=False)).get(blob)


@dataclass(frozen=True, eq=False)
class Scene:
    """One network; of a pipeline each stage, and the pipeline itself, without layers."""

    network: Network
    nodes: tuple[Node, ...]
    run: Run
    stage: str = ""  # " of stage 2"
    computes_sizes: bool = False  # whether sizes may follow from the values of inputs

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """The input features, of a network."""
        return () if self.network.stages else self.network.inputs

    @property
    def outputs(self) -> tuple[Feature, ...]:
        """The output features, of a network."""
        return () if self.network.stages else self.network.outputs

    def of(self, *kinds: str) -> Iterator[Node]:
        """Yield the layers of these kinds, of those that can be built."""
        return (n for n in self.nodes if n.kind in kinds and not n.made.fault)

    def at(self, feature: Feature, role: str) -> Place:
        """Return the place of a feature; inputs stand before the layers, outputs behind them."""
        order = -1 if role == "input" else len(self.nodes)
        return Place(f"{role} '{feature.name}'{self.stage}", order)

    @property
    def whole(self) -> Place:
        """The place of the model as a whole."""
        return Place(f"the model{self.stage.replace(' of', ',')}", -2)

    @property
    def top(self) -> tuple[Node, ...]:
        """The layers that are in no branch and no loop."""
        return tuple(node for node in self.nodes if node.is_top)

    def writers(self) -> dict[str, Node]:
        """Return the top layer that writes each blob last."""
        return {blob: node for node in self.top for blob in node.layer.outputs}


def together(nodes: Sequence[Node]) -> Place:
    """Return one place for several layers: the first, and how many more."""
    first, more = nodes[0].place, len(nodes) - 1
    return Place(f"{first.where} and {more:,} more", first.order) if more else first


def scenes(network: Network, custom: Custom) -> list[Scene]:
    """Build and run a model as far as it can be; return what there is to look at."""
    stages = network.stages or (network,)
    made = [(stage, [built(layer, stage, custom) for layer in stage.layers]) for stage in stages]
    found = runs(network, made)
    result = []
    for number, ((stage, layers), run) in enumerate(zip(made, found, strict=True), 1):
        of = f" of stage {number}" if network.stages else ""
        nodes = _Walk(stage, custom, of, run).nodes(layers)
        result.append(Scene(stage, nodes, run, of, network.computes_sizes))
    if network.stages:
        given = {name: x for run in found for name, x in run.features.items()}
        usual = all(run.usual for run in found)
        result.append(Scene(network, (), Run(features=given, usual=usual)))
    return result


class _Walk:
    """Makes the nodes of a network, in order."""

    def __init__(self, network: Network, custom: Custom, of: str, run: Run) -> None:
        self.network, self.custom, self.of, self.run = network, custom, of, run
        self.made: list[Node] = []

    def nodes(self, layers: list[Built]) -> tuple[Node, ...]:
        writers: dict[str, Node | None] = dict.fromkeys(f.name for f in self.network.inputs)
        for number, one in enumerate(layers):
            self._add(one, writers, number)
        return tuple(self.made)

    def _add(self, one: Built, writers: dict[str, Node | None], number: int | None) -> None:
        layer, run = one.layer, self.run
        key = -1 if number is None else number
        own = layer.inputs[: len(layer.inputs) - layer.captured]
        node = Node(
            layer,
            Place(self._name(layer), len(self.made)),
            one,
            tuple(writers.get(name) for name in layer.inputs),
            run.inputs.get(key, (None,) * len(layer.inputs)),
            run.outputs.get(key, (None,) * len(layer.outputs)),
            run.constants.get(key, (None,) * len(layer.outputs)),
            run.refusals.get(key, ""),
            tuple(name for name in own if name not in writers),
            number is not None,
        )
        self.made.append(node)
        for block in layer.blocks:
            inside = {**writers, **dict.fromkeys(layer.outputs)}
            for inner in block:
                self._add(built(inner, self.network, self.custom), inside, None)
        writers.update(dict.fromkeys(layer.outputs, node))

    def _name(self, layer: Layer) -> str:
        if layer.name:
            return f"layer '{layer.name}'{self.of}"
        return f"layer {len(self.made) + 1} ({layer.kind}){self.of}"
