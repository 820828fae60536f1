"""LSTMs in one and two directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.layers.convolution import parameter
from migrate.layers.recurrent import (
    LIMIT,
    Recurrent,
    activations,
    linear_steps,
    load,
    mil_activation,
    mil_weights,
    stack,
)
from migrate.lowering import lowers
from migrate.registry import layer
from migrate.tracing import at_most, is_traced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        self.functions = [tuple(activations(f, 3, name)) for name, f in functions.items()]
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
        """Run torch's LSTM where it computes the same, or its weights by hand.

        A traced LSTM is torch's in any case, so that it stays one operation of any length: there
        the clip of the cell, of 50 or more, is given up.
        """
        given = states or None
        if not self.stock:
            found = run_lstm(
                self.lstm, steps, given or self.zeros(steps), self.clip, self.functions,
                list(self.peepholes), self.coupled,
            )  # fmt: skip
        elif is_traced(steps) or at_most(steps.shape[0], self.clip):
            found = self.lstm(steps, given) if given else self.lstm(steps)
        else:
            found = run_clipped_lstm(self.lstm, steps, given, self.clip, self.functions)
        ys, (h, c) = found
        return ys, h, c


@helper
def run_clipped_lstm(
    lstm: nn.LSTM,
    steps: Tensor,
    states: tuple[Tensor, ...] | None,
    clip: float,
    functions: list[tuple[Callable[[Tensor], Tensor], ...]],
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run an LSTM whose cells are clipped: step by step where they are able to reach the clip.

    A step adds less than 1 to a cell's magnitude.
    """
    start = 0.0 if states is None else float(states[1].abs().max())
    if steps.shape[0] + start <= clip:
        return lstm(steps, states)
    if states is None:
        zeros = steps.new_zeros(len(functions), steps.shape[1], lstm.hidden_size)
        states = (zeros, zeros)
    return run_lstm(lstm, steps, states, clip, functions)


@helper
def run_lstm(
    lstm: nn.LSTM,
    steps: Tensor,
    states: tuple[Tensor, ...],
    clip: float,
    functions: list[tuple[Callable[[Tensor], Tensor], ...]],
    peepholes: list[Tensor] = [],  # noqa: B006
    coupled: bool = False,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run an LSTM step by step, with Core ML's options; the weights are those of an nn.LSTM.

    `functions` are (gates, block, output) for each direction, and what goes into the first two is
    clipped; with peepholes the gates see the cell; coupled, the forget gate is 1 - the input gate.
    """
    ys, hs, cs = [], [], []
    for d, (inner, block, final) in enumerate(functions):
        suffix = "_reverse" if d else ""
        recursion = getattr(lstm, f"weight_hh_l0{suffix}")
        pi, pf, po = peepholes[d].chunk(3) if peepholes else (0.0, 0.0, 0.0)
        h, c, outputs = states[0][d], states[1][d], []
        for x in linear_steps(lstm, steps.flip(0) if d else steps, suffix):
            xi, xf, xz, xo = (x + F.linear(h, recursion)).chunk(4, -1)
            i = inner((xi + pi * c).clamp(-LIMIT, LIMIT))
            keep = 1 - i if coupled else inner((xf + pf * c).clamp(-LIMIT, LIMIT))
            c = (c * keep + i * block(xz.clamp(-LIMIT, LIMIT))).clamp(-clip, clip)
            h = inner((xo + po * c).clamp(-LIMIT, LIMIT)) * final(c)
            outputs.append(h)
        y = torch.stack(outputs)
        ys.append(y.flip(0) if d else y)
        hs.append(h)
        cs.append(c)
    return torch.cat(ys, -1), (torch.stack(hs), torch.stack(cs))


def _is_in_mil(
    lstm: Any, steps: Any, states: Any, clip: Any, functions: Any, peepholes: Any, coupled: bool
) -> bool:
    """Tell whether MIL's lstm has these options; it has one set of activations for both ways."""
    known = {tuple(map(mil_activation, row)) for row in functions}
    return not coupled and len(known) == 1 and None not in known.pop()


@lowers(run_lstm, when=_is_in_mil)
def _run_lstm_in_mil(
    mb: Any, lstm: nn.LSTM, steps: Any, states: Any, clip: float, functions: Any,
    peepholes: Any, coupled: bool,
) -> tuple[Any, tuple[Any, Any]]:  # fmt: skip
    directions = len(functions)
    given: dict[str, Any] = {"direction": "bidirectional" if directions > 1 else "forward"}
    for d, (torch_suffix, suffix) in enumerate(zip(DIRECTIONS, ("", "_back"), strict=True)):
        if d < directions:
            names = ("weight_ih", "weight_hh", "bias")
            arrays = mil_weights(lstm, torch_suffix)
            given |= {
                f"{name}{suffix}": _in_mil_order(a) for name, a in zip(names, arrays, strict=True)
            }
            given |= {f"peephole{suffix}": peepholes[d].val} if peepholes else {}
    found = [str(mil_activation(f)) for f in functions[0]]
    gates, block, final = (n.replace("sigmoid_hard", "hard_sigmoid") for n in found)
    width = [-1, directions * lstm.hidden_size]  # MIL has the directions side by side
    h, c = (mb.reshape(x=mb.transpose(x=s, perm=[1, 0, 2]), shape=width) for s in states)
    ys, *finals = mb.lstm(
        x=steps, initial_h=h, initial_c=c, output_sequence=True, clip=clip,
        recurrent_activation=gates, cell_activation=block, activation=final, **given,
    )  # fmt: skip
    shape = [-1, directions, lstm.hidden_size]
    h, c = (mb.transpose(x=mb.reshape(x=s, shape=shape), perm=[1, 0, 2]) for s in finals)
    return ys, (h, c)


def _in_mil_order(weight: Any) -> Any:
    """Return weights with the gates in the order of MIL: input, forget, output, cell."""
    if weight is None:
        return None
    i, f, z, o = np.split(weight, 4)
    return np.concatenate([i, f, o, z])


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
