"""The model as the report tells it: its identity, features and layers, read from its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import migrate
from reporter.measure.identity import ModelIdentity, identify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class LayerFact:
    """A layer as the report lists it; `shape` is that of its first output, if it could be run."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shape: tuple[int, ...] | None
    nested: bool = False  # inside of a branch or loop


@dataclass(frozen=True)
class FeatureFact:
    """A feature as declared, and the shape that the layers compute for it."""

    name: str
    role: str  # "input" or "output"
    kind: str
    dtype: str
    declared: tuple[int, ...]
    computed: tuple[int, ...] | None


@dataclass(frozen=True)
class ModelFacts:
    """The model as read from its file."""

    identity: ModelIdentity
    features: tuple[FeatureFact, ...]
    layers: tuple[LayerFact, ...]
    findings: tuple[str, ...]
    unavailable: str = ""  # why the layers could not be run here
    bundled: ModelIdentity | None = None  # of the report's copy, if texts of it were replaced
    program: migrate.ProgramOverview | None = None  # of an ML Program, which has no layers
    lint: tuple[migrate.Finding, ...] = ()  # of a NeuralNetwork


def model_facts(path: Path, custom: Sequence[str] = ()) -> ModelFacts:
    """Return the model's facts; its blobs' shapes by running it once at its default shapes."""
    identity = identify(path)
    network = migrate.read(path)
    builders = migrate.load_custom(custom, network)
    blobs: dict[str, tuple[int, ...]] = {}
    computed: dict[str, tuple[int, ...]] = {}
    findings: tuple[str, ...] = ()
    unavailable = ""
    try:
        computed, findings = _run(network, builders, blobs)
    except migrate.AnereportError as error:
        unavailable = str(error)
    inner = {id(x) for outer in network.all_layers() for block in outer.blocks for x in block}
    return ModelFacts(
        identity=identity,
        features=feature_facts(network, computed),
        layers=tuple(
            LayerFact(x.name, x.kind, x.inputs, x.outputs, _first(blobs, x.outputs), id(x) in inner)
            for x in network.all_layers()
        ),
        findings=findings,
        unavailable=unavailable,
        lint=migrate.lint(network, builders),
    )


def _run(
    network: migrate.Network, builders: Any, blobs: dict[str, tuple[int, ...]]
) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]]:
    """Return the shapes of outputs and what they contradict; blobs are noted as they are written.

    The module, with its copy of the weights, does not outlive the run.
    """
    net = migrate.to_torch(network, builders)

    def note(blob: str, value: Any) -> Any:
        blobs[blob] = tuple(value.shape)
        return value

    with net.watching(note):
        computed = migrate.output_shapes(net)
    return computed, (*stand_in_findings(network), *map(str, migrate.mismatches(net, computed)))


def stand_in_findings(network: Any) -> list[str]:
    """Return a sentence for each output that no layer writes."""
    return [
        f"output '{name}' is written by no layer; '{blob}', the one blob that nothing reads, "
        "is taken for it"
        for name, blob in migrate.stand_ins(network).items()
    ]


def _first(blobs: Mapping[str, tuple[int, ...]], names: Sequence[str]) -> tuple[int, ...] | None:
    return next((blobs[name] for name in names if name in blobs), None)


def feature_facts(
    described: Any, computed: Mapping[str, tuple[int, ...]]
) -> tuple[FeatureFact, ...]:
    """Return the features of a network or ML Program, with the shapes computed for its outputs."""
    found = []
    for role, features in (("input", described.inputs), ("output", described.outputs)):
        for f in features:
            shape = computed.get(f.name) if role == "output" else migrate.default_shape(f)
            dtype = f.color if f.kind == "image" else f.dtype
            found.append(FeatureFact(f.name, role, f.kind, dtype, f.shape, shape))
    return tuple(found)
