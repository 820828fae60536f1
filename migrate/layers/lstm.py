"""LSTMs in one and two directions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from migrate.errors import ModelError
from migrate.layers.convolution import parameter
from migrate.layers.recurrent import (
    LIMIT,
    Recurrent,
    activations,
    limited,
    load,
    projected,
    recurred,
    stack,
    unroll,
)
from migrate.registry import layer
from migrate.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrate.registry import Step

GATES = ("inputGate", "forgetGate", "blockInput", "outputGate")  # in the order of torch
PEEPHOLES = ("inputGate", "forgetGate", "outputGate")
DIRECTIONS = ("", "_reverse")  # what torch's names of weights end in


class LSTM(Recurrent):
    """Long short-term memory, in one or two directions; the weights are those of an nn.LSTM."""

    def __init__(self, p: Any, directions: Sequence[Any], functions: Any, reverse: bool) -> None:
        options, both = p.params, len(directions) == 2
        super().__init__(
            p, sequence=options.sequenceOutput, reverse=reverse, states=2, directions=1 + both
        )
        self.coupled, self.clip = options.coupledInputAndForgetGate, _cell_clip(options)
        self.functions = [activations(found, 3, name) for name, found in functions.items()]
        biased = options.hasBiasVectors or options.forgetBias
        self.lstm = nn.LSTM(self.inside, self.size, bias=biased, bidirectional=both, device="meta")
        # LSTMParams: the forget gate of a coupled LSTM is not used, so its weights may be missing
        unused = ("forgetGate",) if self.coupled else ()
        for message, suffix in zip(directions, DIRECTIONS, strict=False):
            self._load(message, suffix, options, unused)
        peepholes = directions if options.hasPeepholeVectors else []
        self.peepholes = nn.ParameterList(
            parameter(stack(m, PEEPHOLES, "PeepholeVector", (self.size,), unused))
            for m in peepholes
        )
        kinds = [a.WhichOneof("NonlinearityType") for f in functions.values() for a in f]
        usual = kinds == ["sigmoid", "tanh", "tanh"] * len(directions)
        self.stock = usual and not self.coupled and not peepholes and self.clip >= LIMIT

    def _load(self, message: Any, suffix: str, options: Any, unused: Sequence[str]) -> None:
        inputs = stack(message, GATES, "WeightMatrix", (self.size, self.inside), unused)
        hidden = stack(message, GATES, "RecursionMatrix", (self.size, self.size), unused)
        bias = np.zeros(4 * self.size, np.float32)
        if options.hasBiasVectors:
            bias = stack(message, GATES, "BiasVector", (self.size,), unused)
        bias[self.size : 2 * self.size] += options.forgetBias
        load(self.lstm, suffix, inputs, hidden, bias if self.lstm.bias else None)

    def run(self, steps: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Run torch's LSTM where it computes the same, or its weights by hand."""
        if self.stock and (is_traced(steps) or self._within_clip(steps, *states)):
            ys, (h, c) = self.lstm(steps, states or None)
            return ys, h, c
        h, c = states or self.zeros(steps)
        outputs = []
        for d, suffix in enumerate(DIRECTIONS[: self.directions]):
            gates = projected(self.lstm, suffix, steps.flip(0) if d else steps)
            outputs.append(unroll(partial(self._cell, d), gates, h[d], c[d]))
        ys = [out[0].flip(0) if d else out[0] for d, out in enumerate(outputs)]
        return torch.cat(ys, -1), *(torch.cat([out[i] for out in outputs]) for i in (1, 2))

    def _within_clip(self, steps: Tensor, h: Tensor | None = None, c: Tensor | None = None) -> bool:
        """Tell whether no cell can reach cellClipThreshold, which torch's LSTM does not have.

        A step adds less than 1 to a cell's magnitude. The clip of what goes into sigmoid and tanh
        changes no float. A traced LSTM (`is_traced`) is torch's in any case, so that it stays one
        operation of any length: there the clip, of 50 or more, is given up.
        """
        largest = 0.0 if c is None else float(c.abs().max())
        return steps.shape[0] + largest <= self.clip

    def _cell(self, d: int, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        inner, block, final = self.functions[d]
        f, g = limited(inner), limited(block)
        xi, xf, xz, xo = (x + recurred(self.lstm, DIRECTIONS[d], h)).chunk(4, -1)
        pi, pf, po = self.peepholes[d].chunk(3) if self.peepholes else (0.0, 0.0, 0.0)
        i, z = f(xi + pi * c), g(xz)
        keep = 1 - i if self.coupled else f(xf + pf * c)
        c = (c * keep + i * z).clamp(-self.clip, self.clip)
        return f(xo + po * c) * final(c), c


@layer("uniDirectionalLSTM")
def uniDirectionalLSTM(p: Any) -> Step:
    """Run an LSTM from the first vector to the last, or back."""
    return LSTM(p, [p.weightParams], {"activations": p.activations}, p.reverseInput)


@layer("biDirectionalLSTM")
def biDirectionalLSTM(p: Any) -> Step:
    """Run an LSTM in each direction, and concatenate their outputs vector by vector."""
    if len(p.weightParams) != 2:
        raise ModelError(f"weightParams has {len(p.weightParams)} entries, expected 2")
    names = ("activationsForwardLSTM", "activationsBackwardLSTM")
    return LSTM(p, p.weightParams, {name: getattr(p, name) for name in names}, False)


def _cell_clip(options: Any) -> float:
    """Return cellClipThreshold; its default is 50."""
    if options.cellClipThreshold < 0:
        raise ModelError(f"cellClipThreshold is {options.cellClipThreshold}, below 0")
    return options.cellClipThreshold or LIMIT
