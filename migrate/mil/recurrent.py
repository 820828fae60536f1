"""Recurrent layers over [sequence, batch, features].

Outputs of a reversed sequence are in the order in which they are computed; the backward half of a
bidirectional LSTM is in the order of its inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from migrate.mil.registry import op

if TYPE_CHECKING:
    from collections.abc import Callable

    Activation = Callable[[Tensor], Tensor]


def _hard_sigmoid(x: Tensor) -> Tensor:
    return (0.2 * x + 0.5).clamp(min=0, max=1)


# MIL names no constants. Those of coremltools' tests, which compare with Core ML, have the scaled
# tanh at its defaults of 1 and 1.
ACTIVATIONS: dict[str, Activation] = {
    "hard_sigmoid": _hard_sigmoid,
    "sigmoid_hard": _hard_sigmoid,
    "linear": lambda x: x,
    "relu": lambda x: x.clamp(min=0),
    "scaled_tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


class Functions(NamedTuple):
    """The activations of an LSTM, and the limit of its cells."""

    gates: Activation
    block: Activation
    output: Activation
    clip: float | None


class Direction(NamedTuple):
    """The weights of one direction of an LSTM: gates in the order input, forget, output, cell."""

    inputs: Tensor
    hidden: Tensor
    bias: Tensor | None
    peephole: Tensor | None


@op("rnn")
def rnn(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """Run h = activation(W x + R h + b)."""
    function, h, outputs = _activation(activation), initial_h, []
    for step in F.linear(_directed(x, direction), weight_ih, bias).unbind(0):
        h = function(step + F.linear(h, weight_hh))
        outputs.append(h)
    return _sequence(outputs, output_sequence), h


@op("gru")
def gru(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: bool = False,
    input_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Run gated recurrent units, the gates in the order reset, output, update.

    The reset gate multiplies h before the product with its weights, or after it, with the bias.
    """
    gate, function = _activation(recurrent_activation), _activation(activation)
    h, outputs = initial_h, []
    hidden = bias if bias is not None else weight_hh.new_zeros(weight_hh.shape[0])
    (wr, wo, wz), (br, bo, bz) = weight_hh.chunk(3), hidden.chunk(3)
    for step in F.linear(_directed(x, direction), weight_ih, input_bias).unbind(0):
        xr, xo, xz = step.chunk(3, -1)
        r, z = gate(xr + F.linear(h, wr, br)), gate(xz + F.linear(h, wz, bz))
        o = function(xo + (r * F.linear(h, wo, bo) if reset_after else F.linear(r * h, wo, bo)))
        h = (1 - z) * o + z * h
        outputs.append(h)
    return _sequence(outputs, output_sequence), h


@op("lstm")
def lstm(
    x: Tensor,
    initial_h: Tensor,
    initial_c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    peephole: Tensor | None = None,
    weight_ih_back: Tensor | None = None,
    weight_hh_back: Tensor | None = None,
    bias_back: Tensor | None = None,
    peephole_back: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: Any = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a long short-term memory in one direction or in both, concatenating their outputs."""
    functions = Functions(
        gates=_activation(recurrent_activation),
        block=_activation(cell_activation),
        output=_activation(activation),
        clip=None if clip is None else float(clip),
    )
    first = Direction(weight_ih, weight_hh, bias, peephole)
    if direction != "bidirectional":
        steps = _directed(x, direction)
        outputs, h, c = _run_lstm(steps, initial_h, initial_c, first, functions)
        return _sequence(outputs, output_sequence), h, c
    if weight_ih_back is None or weight_hh_back is None:
        raise ValueError("a bidirectional LSTM needs weight_ih_back and weight_hh_back")
    second = Direction(weight_ih_back, weight_hh_back, bias_back, peephole_back)
    (h0, h1), (c0, c1) = initial_h.chunk(2, -1), initial_c.chunk(2, -1)
    ahead, h0, c0 = _run_lstm(x, h0, c0, first, functions)
    back, h1, c1 = _run_lstm(x.flip(0), h1, c1, second, functions)
    h, c = torch.cat([h0, h1], -1), torch.cat([c0, c1], -1)
    both = [torch.cat(pair, -1) for pair in zip(ahead, reversed(back), strict=True)]
    return (torch.stack(both) if output_sequence else h[None]), h, c


def _run_lstm(
    steps: Tensor, h: Tensor, c: Tensor, weights: Direction, functions: Functions
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return the outputs, and the last output and cell; with peepholes the gates see the cell."""
    gates, block, output, clip = functions
    peephole = weights.peephole
    pi, pf, po = (0.0, 0.0, 0.0) if peephole is None else peephole.chunk(3)
    outputs = []
    for step in F.linear(steps, weights.inputs, weights.bias).unbind(0):
        i, f, o, z = (step + F.linear(h, weights.hidden)).chunk(4, -1)
        c = gates(f + pf * c) * c + gates(i + pi * c) * block(z)
        c = c if clip is None else c.clamp(min=-clip, max=clip)
        h = gates(o + po * c) * output(c)
        outputs.append(h)
    return outputs, h, c


def _activation(name: str) -> Activation:
    if name.lower() not in ACTIVATIONS:
        raise ValueError(f"activation {name!r} is not known")
    return ACTIVATIONS[name.lower()]


def _directed(x: Tensor, direction: str) -> Tensor:
    if direction not in ("forward", "reverse"):
        raise ValueError(f"direction {direction!r} is not known")
    return x.flip(0) if direction == "reverse" else x


def _sequence(outputs: list[Tensor], every: bool) -> Tensor:
    return torch.stack(outputs) if every else outputs[-1][None]
