"""A module's run as a list of steps over numbered values: what reads what is known beforehand.

Every write has a number of its own, so a blob that several layers write, or two stages of a
pipeline, has several. A branch or loop is one step; a blob that it may leave as it was is among
what it reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor

from migrate import features
from migrate.errors import ModelError
from migrate.module import Interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from migrate.block import Block, Op
    from migrate.feature_types import Feature
    from migrate.module import Model
    from migrate.network import Layer

    Values = Sequence[Tensor | None]


@dataclass(frozen=True, eq=False)
class Step:
    """One computation, and the numbers of the values that it reads and writes.

    What it reads is None where nothing gives the blob. Entrances and layers write blobs, which a
    device rounds, exits do not; an exit is faithful unless it makes whole numbers of an image.
    """

    run: Callable[[Values], Values]
    reads: tuple[int | None, ...]
    writes: tuple[int, ...]
    layer: Layer | None = None
    blobs: bool = True
    faithful: bool = False


@dataclass(eq=False)
class Plan:
    """The steps of a module in order, and the numbers of its input and output features."""

    steps: list[Step] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[tuple[Feature, int]] = field(default_factory=list)
    count: int = 0

    def number(self) -> int:
        """Return the number of another value."""
        self.count += 1
        return self.count - 1

    def add(
        self, run: Callable[[Values], Values], reads: Sequence[int | None], writes: int, **rest: Any
    ) -> tuple[int, ...]:
        """Append a step; return the numbers of what it writes."""
        numbers = tuple(self.number() for _ in range(writes))
        self.steps.append(Step(run, tuple(reads), numbers, **rest))
        return numbers

    def last_readers(self) -> list[int]:
        """Return for each value the last step that reads it, or that writes it if none does."""
        last = [-1] * self.count
        for i, step in enumerate(self.steps):
            for number in (*step.reads, *step.writes):
                if number is not None:
                    last[number] = i
        return last


def plan(net: Model) -> Plan:
    """Return the steps of a network, or of the stages of a pipeline."""
    made = Plan()
    made.inputs = [made.number() for _ in net.network.inputs]
    names = [feature.name for feature in net.network.inputs]
    table = dict(zip(names, made.inputs, strict=True))
    for stage in [net] if isinstance(net, Interpreter) else net.stages:  # type: ignore[union-attr]
        table.update(_stage(made, stage, table))
    tensors = features.tensor_outputs(net.network)
    made.outputs = [(feature, table[feature.name]) for feature in tensors]
    return made


def _stage(made: Plan, stage: Interpreter, table: dict[str, int]) -> dict[str, int]:
    """Append the steps of one network; return the numbers of its output features."""
    blobs: dict[str, int] = {}
    for feature, entrance in zip(stage.network.inputs, stage.entrances, strict=True):
        enter = partial(_enter, stage, feature, entrance)
        (blobs[feature.name],) = made.add(enter, [table.get(feature.name)], 1)
    for op in stage.ops:
        reads: list[int | None] = [blobs.get(name) for name in op.layer.inputs]
        if op.layer.blocks:  # what it does not write is left as it was
            reads += [blobs.get(name) for name in op.layer.outputs]
        run = partial(_layer, stage, op)
        numbers = made.add(run, reads, len(op.layer.outputs), layer=op.layer)
        blobs.update(zip(op.layer.outputs, numbers, strict=True))
    found = {}
    tensors = features.tensor_outputs(stage.network)
    for feature, (blob, leave) in zip(tensors, stage.exits, strict=True):
        run = partial(_leave, feature, blob, leave)
        kinds: dict[str, Any] = {"blobs": False, "faithful": feature.kind != "image"}
        (found[feature.name],) = made.add(run, [blobs.get(blob)], 1, **kinds)
    return found


def _enter(stage: Interpreter, feature: Feature, entrance: nn.Module, values: Values) -> Values:
    return [entrance(features.admitted(feature, values[0], stage._precision.dtype))]


def _layer(block: Block, op: Op, values: Values) -> Values:
    count = len(op.layer.inputs)
    given = zip(op.layer.inputs, values[:count], strict=True)
    blobs = {name: x for name, x in given if x is not None}
    results = block.call(op, blobs)[: len(op.layer.outputs)]
    before = values[count:] or [None] * len(results)
    return [y if x is None else x for x, y in zip(results, before, strict=True)]


def _leave(feature: Feature, blob: str, leave: nn.Module, values: Values) -> Values:
    if values[0] is None:
        raise ModelError(f"output {blob!r} is written by no layer")
    return [features.passed_on(feature, leave(values[0]))]
