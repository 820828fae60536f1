"""Copying, control flow, and ranges of numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from migrate import regions
from migrate.allowance import rounds
from migrate.errors import ModelError, UnsupportedError
from migrate.flow import CLOSE_TO_ZERO
from migrate.helpers import helper
from migrate.limits import largest
from migrate.lowering import converting, lowers
from migrate.registry import layer
from migrate.tracing import has_values, is_traced, unseen

if TYPE_CHECKING:
    from collections.abc import Callable

    from migrate.network import Layer
    from migrate.registry import Step

    MakeBlock = Callable[[tuple[Layer, ...]], Any]  # to a migrate.block.Block
    Blobs = dict[str, Tensor]


@layer("copy")
def copy(p: Any) -> Step:
    """Return the input; the only layer that may write a blob again."""
    return lambda x: x.clone()


@lowers("clone")
def _clone_in_mil(mb: Any, x: Any, memory: Any) -> Any:
    return mb.identity(x=x)  # coremltools has none, and an output may not be an input renamed


class Leave(ModelError):  # noqa: N818  a signal, as StopIteration is
    """Leaves the body of a loop; an error only where there is no loop around it."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"a {kind} layer was reached outside the bodyNetwork of a loop")
        self.blobs: Blobs = {}  # what branches have written on the way here


class Break(Leave):
    """Ends the loop."""


class Continue(Leave):
    """Ends this iteration of the loop."""


@layer("loopBreak")
def loopBreak(p: Any) -> Step:
    """End the loop around this layer."""

    def leave() -> None:
        raise Break("loopBreak")

    return leave


@layer("loopContinue")
def loopContinue(p: Any) -> Step:
    """Go on with the next iteration of the loop around this layer."""

    def leave() -> None:
        raise Continue("loopContinue")

    return leave


class Flow(nn.Module):
    """A layer of sub-networks: the blobs they read come in, the blobs they write go out."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.inputs, self.outputs = layer.inputs, layer.outputs
        self.own = len(layer.inputs) - layer.captured
        self.wanted: set[str] = set()  # the blobs that are read later on, told for a conversion

    def forward(self, *inputs: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the outputs; None for a blob that nothing has written."""
        given = {n: x for n, x in zip(self.inputs, inputs, strict=True) if x is not None}
        blobs = dict(given)
        if is_traced(*inputs):
            if not converting():
                raise UnsupportedError("control flow cannot be traced or exported, only its parts")
            self.convert(blobs, self.wanted)
            return tuple(blobs.get(name) for name in self.outputs)
        try:
            self.run(blobs, inputs[0] if self.own else None)
        except Leave as leave:
            leave.blobs = {**self._written(given, blobs), **leave.blobs}
            raise
        written = self._written(given, blobs)
        return tuple(written.get(name) for name in self.outputs)

    def run(self, blobs: Blobs, own: Tensor | None) -> None:
        """Run the sub-networks over the table of blobs; `own` is the layer's own input."""
        raise NotImplementedError

    def convert(self, blobs: Blobs, wanted: set[str]) -> None:
        """Put the layer into the graph of a conversion (see `regions`)."""
        raise NotImplementedError

    def _written(self, given: Blobs, blobs: Blobs) -> Blobs:
        return {name: x for name, x in blobs.items() if x is not given.get(name)}


class Branch(Flow):
    """One of two sub-networks."""

    def __init__(self, layer: Layer, make_block: MakeBlock) -> None:
        super().__init__(layer)
        if self.own != 1:
            raise ModelError(f"a branch has 1 input, its condition; found {self.own}")
        if not layer.params.HasField("ifBranch"):
            raise ModelError("ifBranch is not set")
        self.if_branch, self.else_branch = map(make_block, layer.blocks)

    def run(self, blobs: Blobs, own: Tensor | None) -> None:
        """Run one of the two."""
        (self.if_branch if holds(_written(own)) else self.else_branch).run(blobs)

    def convert(self, blobs: Blobs, wanted: set[str]) -> None:
        """Put both into the graph, and a choice between them."""
        condition = _written(blobs.get(self.inputs[0]))
        regions.branch([self.if_branch, self.else_branch], condition, blobs, wanted)


@layer("branch", nested=True)
def branch(layer: Layer, make_block: MakeBlock, given: Any) -> Step:
    """Run ifBranch where the input is not close to zero, else elseBranch."""
    return Branch(layer, make_block)


class Loop(Flow):
    """A sub-network over and over: counted, or while a condition holds, or both."""

    def __init__(self, layer: Layer, make_block: MakeBlock) -> None:
        super().__init__(layer)
        p = layer.params
        if self.own > 1:
            raise ModelError(f"a loop has at most 1 input, its count; found {self.own}")
        if not p.HasField("bodyNetwork"):
            raise ModelError("bodyNetwork is not set")
        # coremltools leaves an empty conditionNetwork in a counted loop, and in one whose
        # condition is a blob that the body writes
        missing = p.conditionVar and not p.HasField("conditionNetwork")
        if missing or (p.conditionNetwork.layers and not p.conditionVar):
            raise ModelError("conditionVar and conditionNetwork must be set together")
        if p.conditionVar and p.conditionVar not in layer.outputs + layer.inputs:
            raise ModelError(f"conditionVar {p.conditionVar!r} is written by no layer of the loop")
        self.condition, self.body = map(make_block, layer.blocks)
        self.variable, self.count = p.conditionVar, int(p.maxLoopIterations)

    def run(self, blobs: Blobs, own: Tensor | None) -> None:
        """Run the body as LoopLayerParams spells out; the condition comes before the count."""
        count = self._count() if own is None else float(own.reshape(()).trunc())
        done = 0
        with rounds() as one_more:
            while self._goes_on(blobs) and done < count:
                one_more()
                try:
                    self.body.run(blobs)
                except Leave as leave:
                    blobs.update(leave.blobs)
                    if isinstance(leave, Break):
                        break
                done += 1

    def convert(self, blobs: Blobs, wanted: set[str]) -> None:
        """Put one iteration into the graph, and how it is repeated."""
        count = _written(blobs.get(self.inputs[0])) if self.own else self._count()
        regions.loop(self.condition, self.body, self.variable, count, blobs, wanted)

    def _count(self) -> float:
        """Return maxLoopIterations; of a loop with a condition 0 is no limit."""
        return math.inf if self.variable and not self.count else self.count

    def _goes_on(self, blobs: Blobs) -> bool:
        if not self.variable:
            return True
        self.condition.run(blobs)
        return holds(_written(blobs.get(self.variable)))


@layer("loop", nested=True)
def loop(layer: Layer, make_block: MakeBlock, given: Any) -> Step:
    """Run bodyNetwork a number of times, while conditionVar is not close to zero, or both."""
    return Loop(layer, make_block)


@helper
def holds(condition: Tensor) -> bool:
    """Tell whether a condition is not close to zero."""
    return bool(condition.reshape(()).abs() > CLOSE_TO_ZERO)


def _written(condition: Tensor | None) -> Tensor:
    if condition is None:
        raise ModelError("the blob of the condition has not been written")
    return condition


class Constant(nn.Module):
    """The same tensor each time."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = nn.Buffer(torch.tensor(value, dtype=torch.float32))

    def forward(self) -> Tensor:
        """Return it."""
        return self.value


@layer("rangeStatic")
def rangeStatic(p: Any) -> Step:
    """Return the numbers from startValue up to endValue, excluded, by steps of stepSizeValue."""
    if p.stepSizeValue == 0:
        raise ModelError("stepSizeValue is 0")
    if not (p.endValue - p.startValue) / p.stepSizeValue <= largest():
        raise ModelError(f"endValue {p.endValue:g} is more than {largest():,} steps away")
    return Constant(np.arange(p.startValue, p.endValue, p.stepSizeValue))


@layer("rangeDynamic")
def rangeDynamic(p: Any) -> Step:
    """Return the numbers up to the first input; start and step may be further inputs."""

    def arange(
        end: Tensor, start: Tensor | float = p.startValue, step: Tensor | float = p.stepSizeValue
    ) -> Tensor:
        if has_values(end, start, step):
            _refuse_distant(end, start, step)
        return range_to(end, start, step)

    return arange


def _refuse_distant(end: Tensor, start: Tensor | float, step: Tensor | float) -> None:
    """Raise ValueError for more steps than a tensor may have elements; what is no range passes."""
    with unseen():
        steps = (end.double() - start) / step
        if steps.numel() == 1 and largest() < steps.item() < math.inf:
            raise ValueError(
                f"the end is {steps.item():,.6g} steps away, the most are {largest():,}"
            )


@helper
def range_to(end: Tensor, start: Any, step: Any) -> Tensor:
    """Return the numbers from `start` up to `end`, excluded, by steps of `step`."""
    end, start, step = (torch.as_tensor(n, dtype=end.dtype).reshape(()) for n in (end, start, step))
    # torch.arange refuses an end before the start, where numpy returns nothing
    count: Any = torch.ceil((end.double() - start) / step).clamp(min=0)
    return start + step * torch.arange(count, dtype=end.dtype, device=end.device)


@lowers(range_to)
def _range_to_in_mil(mb: Any, end: Any, start: Any, step: Any) -> Any:
    bounds = (mb.squeeze(x=n) if getattr(n, "rank", 0) else n for n in (end, start, step))
    end, start, step = bounds
    return mb.range_1d(end=end, start=start, step=step)
