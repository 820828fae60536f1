"""Recurrent layers over [Seq, Batch, C, 1, 1]: what they share, and the one without gates.

Initial states are further inputs, and final states further outputs, each [1, Batch, C_out, 1, 1].
The proto says that H and W are 1; where they are not, they count as batch.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate import registry, weights
from migrate.errors import ModelError
from migrate.helpers import helper
from migrate.layers.activation import hard_sigmoid, linear_function
from migrate.layers.convolution import parameter
from migrate.layers.dense import positive
from migrate.lowering import lowers
from migrate.registry import layer
from migrate.shapes import rank5
from migrate.tracing import surely

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migrate.registry import Step

LIMIT = 50.0  # clip() before each activation

# The activations of recurrent layers. The proto supports one alpha and beta for each, and
# coremltools therefore leaves them unset.
ACTIVATIONS: dict[str, dict[str, float]] = {
    "linear": {"alpha": 1, "beta": 0},
    "sigmoid": {},
    "tanh": {},
    "ReLU": {},
    "scaledTanh": {"alpha": 1.7159, "beta": 2 / 3},
    "sigmoidHard": {"alpha": 0.2, "beta": 0.5},
}


class Recurrent(nn.Module):
    """What recurrent layers share: the shapes of sequences and states, and their order."""

    def __init__(
        self, p: Any, *, sequence: bool, reverse: bool, states: int = 1, directions: int = 1
    ) -> None:
        super().__init__()
        self.inside, self.size = positive(p, "inputVectorSize"), positive(p, "outputVectorSize")
        self.sequence, self.reverse = sequence, reverse
        self.states, self.directions = states, directions

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return the output and the final states, those of the forward direction first."""
        count = self.states * self.directions
        if len(states) not in (0, count):
            raise ValueError(f"expected 1 input or {1 + count}, found {1 + len(states)}")
        rank, x = x.ndim, rank5(x)
        steps = _vectors(x)
        # With reverseInput the outputs keep the order in which they are computed, as those of
        # Keras' go_backwards do, which coremltools stored as reverseInput.
        steps = steps.flip(0) if self.reverse else steps
        kinds = [states[i :: self.states] for i in range(self.states)] if states else []
        initial = [
            initial_state(steps, self.size, *(_row(rank5(s)) for s in kind)) for kind in kinds
        ]
        ys, *finals = self.run(steps, *initial)
        both = self.directions > 1
        split = [final.chunk(2) if both else (final,) for final in finals]
        ordered = [final for direction in zip(*split, strict=True) for final in direction]
        y = ys if self.sequence else torch.cat(ordered[:: self.states], -1)
        blobs = [_blob(vectors, x) for vectors in (y, *ordered)]
        return tuple(b.squeeze(0) if rank == 4 else b for b in blobs)  # one step, without Seq

    def run(self, steps: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs [Seq, Batch, C], and the final states [directions, Batch, C]."""
        raise NotImplementedError

    def zeros(self, steps: Tensor) -> tuple[Tensor, ...]:
        """Return the states to start from where none are given."""
        shape = (self.directions, steps.shape[1], self.size)
        return (steps.new_zeros(shape),) * self.states


def _row(state: Tensor) -> Tensor:
    """Return a state as vectors, where H and W are known to be 1."""
    known = state.ndim == 5 and surely(state.shape[3], 1) and surely(state.shape[4], 1)
    return _vectors(state) if known else state


@helper
def initial_state(steps: Tensor, size: int, *states: Tensor) -> Tensor:
    """Return [directions, Batch, C] of a state [1, Batch, C] or [1, Batch, C, H, W] for each.

    coremltools' converter also writes [Batch, 1, C], and more rows than the batch has.
    """
    rows = [s.permute(0, 1, *range(3, s.ndim), 2).reshape(1, -1, size) for s in states]
    return torch.cat([row[:, : steps.shape[1]] for row in rows])


def _vectors(x: Tensor) -> Tensor:
    """Return [Seq, Batch, C] of [Seq, Batch, C, H, W]."""
    return x.permute(0, 1, 3, 4, 2).flatten(1, 3)


def _blob(vectors: Tensor, x: Tensor) -> Tensor:
    """Return [Seq, Batch, C, H, W] of [Seq, Batch, C], with the sizes of `x`."""
    height, width = x.shape[3:]
    if surely(height, 1) and surely(width, 1):
        return vectors.unsqueeze(-1).unsqueeze(-1)
    shape = (vectors.shape[0], x.shape[1], height, width, vectors.shape[2])
    return vectors.reshape(shape).permute(0, 1, 4, 2, 3)


class SimpleRecurrent(Recurrent):
    """y = f(clip(W x + R y + b))."""

    def __init__(self, p: Any) -> None:
        super().__init__(p, sequence=p.sequenceOutput, reverse=p.reverseInput)
        self.activation = activation(p.activation, "activation")
        # The clip changes no float's tanh, so this is torch's own layer; a ReLU it would change.
        self.stock = p.activation.WhichOneof("NonlinearityType") == "tanh"
        self.rnn = nn.RNN(self.inside, self.size, bias=p.hasBiasVector, device="meta")
        bias = weights.array(p.biasVector, (self.size,), "biasVector") if p.hasBiasVector else None
        inputs = weights.array(p.weightMatrix, (self.size, self.inside), "weightMatrix")
        hidden = weights.array(p.recursionMatrix, (self.size, self.size), "recursionMatrix")
        load(self.rnn, "", inputs, hidden, bias)

    def run(self, steps: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Run torch's layer, or its weights by hand."""
        if self.stock:
            return self.rnn(steps, *states)
        (h,) = states or self.zeros(steps)
        return run_rnn(self.rnn, steps, h, self.activation)


@helper
def run_rnn(
    rnn: nn.RNN, steps: Tensor, h: Tensor, activation: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Run a recurrent layer with another activation than its own; what goes into it is clipped."""
    outputs = []
    weight: Any = rnn.weight_hh_l0
    for x in linear_steps(rnn, steps):
        h = activation((x + F.linear(h, weight)).clamp(-LIMIT, LIMIT))
        outputs.append(h[0])
    return torch.stack(outputs), h


@lowers(run_rnn, when=lambda rnn, steps, h, activation: mil_activation(activation) is not None)
def _run_rnn_in_mil(mb: Any, rnn: nn.RNN, steps: Any, h: Any, activation: Step) -> tuple[Any, Any]:
    inputs, hidden, bias = mil_weights(rnn)
    ys, last = mb.rnn(
        x=steps, initial_h=mb.squeeze(x=h, axes=[0]), weight_ih=inputs, weight_hh=hidden,
        bias=bias, output_sequence=True, activation=mil_activation(activation),
    )  # fmt: skip
    return ys, mb.expand_dims(x=last, axes=[0])


def linear_steps(rnn: nn.RNNBase, steps: Tensor, suffix: str = "") -> tuple[Tensor, ...]:
    """Return W x + b at each step."""
    weight = getattr(rnn, f"weight_ih_l0{suffix}")
    bias = getattr(rnn, f"bias_ih_l0{suffix}") if rnn.bias else None
    return F.linear(steps, weight, bias).unbind(0)


@layer("simpleRecurrent")
def simpleRecurrent(p: Any) -> Step:
    """Run a recurrent layer without gates."""
    return SimpleRecurrent(p)


def activations(messages: Any, count: int, field: str) -> list[Step]:
    """Return as many activations as a layer needs."""
    if len(messages) != count:
        raise ModelError(f"{field} has {len(messages)} entries, expected {count}")
    return [activation(message, f"{field}[{i}]") for i, message in enumerate(messages)]


def activation(message: Any, field: str) -> Step:
    """Return one of the activations that recurrent layers know."""
    kind = message.WhichOneof("NonlinearityType")
    if kind not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ModelError(f"{field} is {kind or 'not set'}; recurrent layers know {known}")
    p = getattr(message, kind)
    unset = all(getattr(p, name) == 0 for name in ACTIVATIONS[kind])
    return registry.activations()[kind](type(p)(**ACTIVATIONS[kind]) if unset else p)


def stack(
    message: Any, gates: Sequence[str], field: str, shape: tuple[int, ...], unused: Any = ()
) -> Any:
    """Return one weight of all gates, the gates along the first axis."""
    return np.concatenate(
        [
            np.zeros(shape, np.float32)
            if gate in unused
            else weights.array(getattr(message, gate + field), shape, gate + field)
            for gate in gates
        ]
    )


def load(net: nn.RNNBase, suffix: str, inputs: Any, hidden: Any, bias: Any) -> None:
    """Give torch's layer its weights; of its two biases one is zero."""
    setattr(net, f"weight_ih_l0{suffix}", parameter(inputs))
    setattr(net, f"weight_hh_l0{suffix}", parameter(hidden))
    if bias is not None:
        setattr(net, f"bias_ih_l0{suffix}", parameter(bias))
        setattr(net, f"bias_hh_l0{suffix}", parameter(np.zeros_like(bias)))


def mil_activation(function: Step) -> str | None:
    """Return MIL's name of a recurrent layer's activation; None if it knows none like it.

    What MIL's scaled_tanh multiplies by is documented nowhere, so it is not used.
    """
    if isinstance(function, partial):
        given = [np.float32(function.keywords[name]) for name in ("alpha", "beta")]
        if function.func is linear_function and given == [1, 0]:
            return "linear"
        usual = [np.float32(0.2), np.float32(0.5)]
        return "sigmoid_hard" if function.func is hard_sigmoid and given == usual else None
    return {torch.sigmoid: "sigmoid", torch.tanh: "tanh", F.relu: "relu"}.get(function)


def mil_weights(net: nn.RNNBase, suffix: str = "") -> tuple[Any, ...]:
    """Return the weights of a direction for inputs and hidden state, and its bias, as arrays."""
    names = (
        ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0")
        if net.bias
        else ("weight_ih_l0", "weight_hh_l0")
    )
    found = [getattr(net, f"{name}{suffix}").numpy() for name in names]
    return (*found, None)[:3]
