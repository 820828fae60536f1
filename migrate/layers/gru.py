"""Gated recurrent units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from migrate.helpers import helper
from migrate.layers.convolution import parameter
from migrate.layers.recurrent import LIMIT, Recurrent, activations, mil_activation, stack
from migrate.lowering import lowers
from migrate.registry import layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from migrate.registry import Step

GATES = ("updateGate", "resetGate", "outputGate")


class GRU(Recurrent):
    """Gated recurrent units, in the first form of their paper.

    GRULayerParams multiplies by the reset gate before the product with R_o; torch's GRU after it.
    """

    def __init__(self, p: Any) -> None:
        super().__init__(p, sequence=p.sequenceOutput, reverse=p.reverseInput)
        self.f, self.g = activations(p.activations, 2, "activations")
        bias = np.zeros(3 * self.size, np.float32)
        if p.hasBiasVectors:
            bias = stack(p, GATES, "BiasVector", (self.size,))
        self.weight = parameter(stack(p, GATES, "WeightMatrix", (self.size, self.inside)))
        self.recursion = parameter(stack(p, GATES, "RecursionMatrix", (self.size, self.size)))
        self.bias = parameter(bias)

    def run(self, steps: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Run the cell over the steps."""
        (h,) = states or self.zeros(steps)
        return run_gru(steps, h, self.weight, self.recursion, self.bias, self.f, self.g)


@helper
def run_gru(
    steps: Tensor,
    h: Tensor,
    weight: Tensor,
    recursion: Tensor,
    bias: Tensor,
    f: Callable[[Tensor], Tensor],
    g: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Run gated recurrent units that reset the state before its product with R_o.

    torch's GRU resets it afterwards. What goes into the activations is clipped.
    """
    rz, rr, ro = recursion.chunk(3)
    outputs = []
    for x in F.linear(steps, weight, bias).unbind(0):
        xz, xr, xo = x.chunk(3, -1)
        z = f((xz + F.linear(h, rz)).clamp(-LIMIT, LIMIT))
        r = f((xr + F.linear(h, rr)).clamp(-LIMIT, LIMIT))
        o = g((xo + F.linear(h * r, ro)).clamp(-LIMIT, LIMIT))
        h = (1 - z) * o + z * h
        outputs.append(h[0])
    return torch.stack(outputs), h


@lowers(run_gru, when=lambda *args: None not in map(mil_activation, args[-2:]))
def _run_gru_in_mil(
    mb: Any, steps: Any, h: Any, weight: Any, recursion: Any, bias: Any, f: Step, g: Step
) -> tuple[Any, Any]:
    ys, last = mb.gru(
        x=steps, initial_h=mb.squeeze(x=h, axes=[0]), weight_ih=mil_gru_order(weight.val),
        weight_hh=mil_gru_order(recursion.val), bias=mil_gru_order(bias.val), output_sequence=True,
        recurrent_activation=mil_activation(f), activation=mil_activation(g),
    )  # fmt: skip
    return ys, mb.expand_dims(x=last, axes=[0])


def mil_gru_order(weight: Any) -> Any:
    """Return weights with the gates in the order of MIL: reset, output, update."""
    update, reset, output = np.split(weight, 3)
    return np.concatenate([reset, output, update])


@layer("gru")
def gru(p: Any) -> Step:
    """Run gated recurrent units."""
    return GRU(p)
