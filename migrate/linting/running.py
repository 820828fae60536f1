"""Each layer built and run by itself, so that all that is wrong is found, not the first alone."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch

from migrate import features, shapes
from migrate.block import REFUSALS
from migrate.errors import AnereportError, ModelError
from migrate.examples import examples
from migrate.feature_types import default_shape
from migrate.module import Interpreter, unsupported

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.block import Custom
    from migrate.network import Layer, Network

    Shape = tuple[int, ...]

PATIENCE = 5.0  # seconds of tries
MOST = 8  # tries, unless sizes are computed from what the inputs hold
LARGEST_KEPT = 2**20  # values of a constant


@dataclass(frozen=True)
class Built:
    """A layer, and the module of it alone; or why there is none."""

    layer: Layer
    module: Interpreter | None = None
    fault: str = ""  # why it cannot be: it contradicts the specification
    unread: str = ""  # why it is not looked at: this project does not compute it


@dataclass
class Run:
    """What a run of a network's top layers gave; a layer is known by its number."""

    inputs: dict[int, tuple[Shape | None, ...]] = field(default_factory=dict)
    outputs: dict[int, tuple[Shape | None, ...]] = field(default_factory=dict)
    constants: dict[int, tuple[Tensor | None, ...]] = field(default_factory=dict)
    refusals: dict[int, str] = field(default_factory=dict)
    features: dict[str, Tensor] = field(default_factory=dict)  # the outputs
    unfit: dict[str, str] = field(default_factory=dict)  # inputs that cannot enter
    unrun: str = ""  # why nothing was run
    usual: bool = True  # whether the inputs had their default shapes


def built(layer: Layer, network: Network, custom: Custom) -> Built:
    """Build one layer; of control flow the sub-networks count as empty where they cannot be."""
    missing = unsupported(replace(network, layers=(_bare(layer),), stages=()), custom)
    if missing:
        return Built(layer, unread="it is not computed here, and nothing that depends on it is")
    try:
        return Built(layer, _module(layer, network, custom))
    except ModelError as error:
        whole = error
    except AnereportError as error:
        return Built(layer, unread=_reason(layer, error))
    if layer.blocks:
        with suppress(AnereportError):
            _module(_bare(layer), network, custom)
            return Built(layer, unread="a layer inside of it cannot be built")
    return Built(layer, fault=_reason(layer, whole))


def _bare(layer: Layer) -> Layer:
    return replace(layer, blocks=tuple(() for _ in layer.blocks))


def _module(layer: Layer, network: Network, custom: Custom) -> Interpreter:
    alone = replace(network, inputs=(), outputs=(), layers=(layer,), stages=(), labels=())
    return Interpreter(alone, custom).eval()


def _reason(layer: Layer, error: Exception) -> str:
    return str(error).removeprefix(f"layer {layer.name!r} ({layer.kind}), 1 of 1: ")


def runs(network: Network, stages: list[tuple[Network, list[Built]]]) -> list[Run]:
    """Run the stages one after another; return the run of each, with what no example escapes.

    Outputs whose shape follows from the values of inputs are left out.
    """
    try:
        tries = examples(network) if network.computes_sizes else islice(examples(network), MOST)
        first, until = None, monotonic() + PATIENCE
        for inputs in tries:
            found = _chain(inputs, stages)
            usual = all(inputs[f.name].shape == default_shape(f) for f in network.inputs)
            found = [replace(run, usual=usual) for run in found]
            first = first or found
            if not any(run.refusals for run in found):
                first = found
                break
            if monotonic() > until:
                break
        return _steady(network, stages, first or [])
    except ModelError as error:  # a claimed size
        return [Run(unrun=str(error)) for _ in stages]


def _steady(
    network: Network, stages: list[tuple[Network, list[Built]]], found: list[Run]
) -> list[Run]:
    """Drop outputs that have another shape on other values; only sizes that are computed may."""
    if not network.computes_sizes or any(run.refusals for run in found):
        return found
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 3.0):
        inputs = {
            f.name: torch.randn(default_shape(f), generator=generator).abs() * scale
            for f in network.inputs
        }
        for run, again in zip(found, _chain(inputs, stages), strict=True):
            for name, value in again.features.items():
                if name in run.features and value.shape != run.features[name].shape:
                    del run.features[name]
    return found


def _chain(inputs: dict[str, Tensor], stages: list[tuple[Network, list[Built]]]) -> list[Run]:
    table, found = dict(inputs), []
    for stage, layers in stages:
        run = _once(stage, layers, table)
        given = {f.name: f for f in stage.outputs}
        table |= {n: features.passed_on(given[n], x) for n, x in run.features.items()}
        found.append(run)
    return found


def _once(network: Network, layers: list[Built], given: dict[str, Tensor]) -> Run:
    """Run each layer whose inputs are there, and take note of the shapes."""
    run, blobs = Run(), {}
    for feature in network.inputs:
        try:
            entrance = features.Entrance(feature, network)
            if feature.name in given:
                blobs[feature.name] = entrance(given[feature.name])
        except (AnereportError, *REFUSALS) as error:
            run.unfit[feature.name] = str(error).splitlines()[0]
    constant: dict[str, bool] = dict.fromkeys(blobs, False)
    for number, one in enumerate(layers):
        _step(run, number, one, blobs, constant)
    with suppress(ModelError):  # an output that no layer writes
        recurrent = network.legacy and network.sequential
        for feature, blob in features.output_blobs(network):
            if blob in blobs:
                leave = shapes.leave(feature, network.rank5_arrays, recurrent)
                run.features[feature.name] = leave(blobs[blob])
    return run


def _step(
    run: Run, number: int, one: Built, blobs: dict[str, Any], constant: dict[str, bool]
) -> None:
    layer = one.layer
    run.inputs[number] = _sizes(layer.inputs, blobs)
    own = layer.inputs[: len(layer.inputs) - layer.captured]
    failed = one.module is None or any(blob not in blobs for blob in own)
    if not failed and one.module is not None:
        try:
            with torch.no_grad():
                one.module.run(blobs)
        except AnereportError as error:
            failed = True
            run.refusals[number] = _reason(layer, error)
    if failed:
        for blob in layer.outputs:
            blobs.pop(blob, None)
    fixed = not layer.kind.startswith("random") and all(constant.get(n, False) for n in own)
    fixed = fixed and not layer.blocks
    constant.update(dict.fromkeys(layer.outputs, fixed))
    run.outputs[number] = _sizes(layer.outputs, blobs)
    values = (blobs.get(name) if fixed else None for name in layer.outputs)
    run.constants[number] = tuple(
        x if x is not None and x.numel() <= LARGEST_KEPT else None for x in values
    )


def _sizes(names: tuple[str, ...], blobs: dict[str, Any]) -> tuple[Shape | None, ...]:
    return tuple(tuple(blobs[name].shape) if name in blobs else None for name in names)
