"""The module of a network and the ML Programs made of it, compared: numbers, weights, layers.

    comparisons    outputs against the float64 reference, by what rounding explains
    weights        each one traced into each program, and each constant back (`traced_weights`)
    maps           the operations of each layer, and the layers that have none, by program
    ranges         what float16 cannot hold, or loses (`ranges`)

`errors` say where equality is broken: the program is wrong. `findings` say where it is right and
float16 is not enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from migrate import dataflow, features
from migrate.comparisons import Comparer, Comparison, excesses
from migrate.errors import AnereportError
from migrate.followed import Followed, Program, follow
from migrate.layer_map import Layout
from migrate.ranges import Departure, Range, audit, sentences
from migrate.traced_weights import Tracer, Weight
from migrate.trial_inputs import KINDS, fitting, trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migrate.dataflow import Flow
    from migrate.module import Model

    Inputs = dict[str, Any]

SEEDS = (0,)


@dataclass(frozen=True)
class LayerMap:
    """Where the layers are in a program; nothing is known of a package read from a file."""

    carried: dict[str, list[tuple[str, str]]]  # operations (name, type) by layer
    fused: dict[str, str]  # layers without operations, and what became of them


@dataclass(frozen=True)
class Verification:
    """What was compared, and what was found; plain data."""

    comparisons: tuple[Comparison, ...]
    not_compared: tuple[str, ...]  # and why
    departs: Departure | None  # where the fp16 path first leaves the fp32 path
    weights: tuple[Weight, ...]
    ranges: tuple[Range, ...]
    maps: dict[str, LayerMap]  # by program
    errors: dict[str, tuple[str, ...]]  # by program
    findings: tuple[str, ...]


class _Silent:
    def step(self, text: str) -> None:
        """Show nothing."""


def verify(
    net: Model,
    programs: Mapping[str, Any] | Iterable[tuple[str, Any]],
    *,
    seeds: Sequence[int] = SEEDS,
    kinds: Sequence[str] = tuple(KINDS),
    kept: Sequence[str] = (),
    progress: Any = None,
) -> Verification:
    """Compare a module with its ML Programs, an `MLModel` or a package each, by a name of choice.

    `programs` are asked for one after the other, so that they can be made, compared and let go.
    A package that was read from a file does not say which layer its operations come from: its
    weights are traced, its layers are not mapped. `kinds` are the inputs to compare on, of
    `trial_inputs.KINDS`; `kept` names layers that stay float32. `progress` is told of each step:
    two, and one for each program.
    Raises AnereportError for another kind, ModelError for a network that runs on no input.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise AnereportError(f"inputs '{kind}' are not one of {', '.join(KINDS)}")
    tell = progress or _Silent()
    tell.step("following the weights through the module")
    layout = Layout(net)
    tries, without = _tries(net, seeds, kinds)
    comparer = Comparer(net, tries, kept)
    comparer.module()
    flow = _flow(net, tries[0][1])
    tracer = Tracer(net, flow, layout.describe)
    followed: dict[str, Followed] = {}
    for name, program in programs.items() if isinstance(programs, Mapping) else programs:
        tell.step(f"comparing the {name} ML Program with the module")
        made = Program(net, name, program, layout)
        followed[name] = follow(made, flow, tracer, [inputs for _, inputs in tries])
        comparer.program(made)
    tell.step("looking for what float16 cannot hold")
    ranges, departs = audit(net, [inputs for _, inputs in tries], layout.name, kept)
    return Verification(
        comparisons=tuple(comparer.rows),
        not_compared=(*without, *comparer.failures),
        departs=departs,
        weights=tracer.table({name: found.trace for name, found in followed.items()}),
        ranges=ranges,
        maps={name: _map(layout, found) for name, found in followed.items()},
        errors={name: tuple(found.errors) for name, found in followed.items() if found.errors},
        findings=(*sentences(ranges, departs), *excesses(comparer.rows)),
    )


def _flow(net: Model, inputs: Inputs) -> Flow:
    given = [features.to_tensor(f, inputs, torch.float32) for f in net.network.inputs]
    return dataflow.flow(net, lambda: net(*given))


def _tries(
    net: Model, seeds: Sequence[int], kinds: Sequence[str]
) -> tuple[list[tuple[str, Inputs]], list[str]]:
    """Return the inputs that the network runs on, and why there are not more."""
    found, failures = [], []
    for seed in seeds:
        for kind in kinds:
            inputs = trial(net.network, kind, seed)
            try:
                net.predict(inputs)
            except AnereportError as error:
                failures.append(f"not compared on {kind} inputs: {error}")
            else:
                found.append((f"{kind}, seed {seed}" if len(seeds) > 1 else kind, inputs))
    return found or [("an example that fits", fitting(net))], failures


def _map(layout: Layout, found: Followed) -> LayerMap:
    carried: dict[str, list[tuple[str, str]]] = {}
    for path, given in found.carriers.operations.items():
        if path:
            carried.setdefault(layout.name(path), []).extend(given)
    return LayerMap(carried, {layout.name(path): why for path, why in found.fused.items()})
