"""Scales and shifts by constants, and products with constants: what passes of a converter fold.

Step     y = factor x + term, of one call
Chain    steps behind each other, with the convolution or product before them if there is one
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch.nn import functional as F

from migrate.dataflow import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Operand = Node | float

PRODUCTS = {"conv1d": 0, "conv2d": 0, "conv3d": 0, "linear": 0, "matmul": -1, "__matmul__": -1,
            "conv_transpose1d": 1, "conv_transpose2d": 1, "conv_transpose3d": 1}  # fmt: skip
MULTIPLY, ADD = {"mul", "multiply", "__mul__", "__rmul__"}, {"add", "__add__", "__radd__"}
SUBTRACT, REVERSED = {"sub", "subtract", "__sub__"}, {"rsub", "__rsub__"}
DIVIDE = {"div", "divide", "true_divide", "__truediv__"}
LONGEST = 8  # steps of a chain


class Line(NamedTuple):
    """factor x + term; `size` is that of what was added up to the term."""

    factor: Array
    term: Array
    size: Array

    def then(self, other: Line) -> Line:
        """Return this line with another behind it."""
        return Line(
            self.factor * other.factor,
            self.term * other.factor + other.term,
            self.size * np.abs(other.factor) + other.size,
        )


@dataclass(frozen=True)
class Step:
    """A call that scales or shifts by constants."""

    node: Node
    data: Node
    constants: tuple[Node, ...]
    line: Callable[[], Line]
    roles: tuple[tuple[str, str, Callable[[], Array]], ...]  # role, how, the constant in it


@dataclass(frozen=True)
class Chain:
    """Steps in order, and the product before them."""

    steps: Sequence[Step]
    head: Node | None

    @property
    def nodes(self) -> list[Node]:
        """The calls."""
        return [*([self.head] if self.head else []), *(step.node for step in self.steps)]

    @property
    def first(self) -> str:
        """The layer of the first call."""
        return self.nodes[0].layer

    @property
    def layers(self) -> frozenset[str]:
        """The layers of all calls."""
        return frozenset(node.layer for node in self.nodes)

    @property
    def weights(self) -> frozenset[str]:
        """The weights of all calls."""
        constants = [n for node in self.nodes for n in node.inputs() if n.value is not None]
        return frozenset().union(*(n.weights for n in constants))

    @property
    def how(self) -> str:
        """What was done."""
        names = ", ".join(dict.fromkeys(step.node.name.strip("_") for step in self.steps))
        return f"folded: {names}" + (f" into {self.head.name}" if self.head else "")

    def roles(self) -> Iterator[tuple[str, Callable[[], tuple[Array, Array]]]]:
        """Yield what is left in each role."""
        if self.head is None:
            yield "factor", lambda: _sized(self._line().factor)
            yield "term", lambda: (self._line().term, self._line().size)
        else:
            yield "weight", partial(self._weight, self.head)
            yield "bias", partial(self._bias, self.head)

    def _line(self) -> Line:
        line = self.steps[0].line()
        for step in self.steps[1:]:
            line = line.then(step.line())
        return line

    def _weight(self, head: Node) -> tuple[Array, Array]:
        weight = _exact(_argument(head, 1, "weight"))
        return _sized(_scaled(head, weight, _vector(self._line().factor, _channels(head, weight))))

    def _bias(self, head: Node) -> tuple[Array, Array]:
        weight, given = _exact(_argument(head, 1, "weight")), _argument(head, 2, "bias")
        count = _channels(head, weight)
        line = Line(*(_vector(x, count) for x in self._line()))
        bias = np.zeros(count) if given is None else _exact(given)
        return bias * line.factor + line.term, np.abs(bias * line.factor) + line.size


def affine(node: Node) -> Step | None:
    """Return how a call scales or shifts its one input that is no constant; None if it does not."""
    if node.name == "batch_norm" and node.function is F.batch_norm:
        return _batch_norm(node)
    if len(node.args) != 2 or node.kwargs:
        return None
    x, y = node.args
    if _is_data(x) and _is_constant(y):
        return _right(node, x, y)
    return _left(node, x, y) if _is_data(y) and _is_constant(x) else None


def _right(node: Node, x: Node, c: Operand) -> Step | None:
    """Return the step of a call whose second argument is the constant."""
    as_it_is = partial(_exact, c)
    if node.name in DIVIDE:
        roles = (("factor", "the reciprocal", partial(_inverse, c)), ("divisor", "", as_it_is))
        return Step(node, x, _nodes(c), lambda: _scale(_inverse(c)), roles)
    if node.name in SUBTRACT:
        roles = (("term", "the sign changed", partial(_minus, c)), ("subtrahend", "", as_it_is))
        return Step(node, x, _nodes(c), lambda: _shift(_minus(c)), roles)
    return _reversed(node, x, c) if node.name in REVERSED else _either(node, x, c)


def _left(node: Node, c: Operand, x: Node) -> Step | None:
    """Return the step of a call whose first argument is the constant."""
    return _reversed(node, x, c) if node.name in SUBTRACT else _either(node, x, c)


def _either(node: Node, x: Node, c: Operand) -> Step | None:
    """Return the step of a product or a sum."""
    if node.name in MULTIPLY:
        roles = (("factor", "", partial(_exact, c)),)
        return Step(node, x, _nodes(c), lambda: _scale(_exact(c)), roles)
    if node.name in ADD:
        roles = (("term", "", partial(_exact, c)),)
        return Step(node, x, _nodes(c), lambda: _shift(_exact(c)), roles)
    return None


def _reversed(node: Node, x: Node, c: Operand) -> Step:
    """Return the step c - x."""
    roles = (("minuend", "", partial(_exact, c)), ("term", "", partial(_exact, c)))
    return Step(node, x, _nodes(c), lambda: _shift(_exact(c), -1.0), roles)


def _batch_norm(node: Node) -> Step | None:
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum")
    given = dict(zip((*names, "eps"), node.args, strict=False)) | node.kwargs
    x = given["input"]
    if not _is_data(x) or not all(_is_constant(given.get(name)) for name in names[1:3]):
        return None
    stored = {n: given[n] for n in names[1:5] if isinstance(given.get(n), Node)}
    epsilon = float(given.get("eps", 1e-5))
    constants = tuple(stored.values())
    return Step(node, x, constants, partial(_normalised, stored, epsilon), ())


def _normalised(stored: dict[str, Node], epsilon: float) -> Line:
    mean, variance = _exact(stored["running_mean"]), _exact(stored["running_var"])
    factor = 1 / np.sqrt(variance + epsilon)
    factor = factor * _exact(stored["weight"]) if "weight" in stored else factor
    beta = _exact(stored["bias"]) if "bias" in stored else np.zeros_like(mean)
    return Line(factor, beta - mean * factor, np.abs(beta) + np.abs(mean * factor))


def _scale(factor: Array) -> Line:
    return Line(factor, np.zeros(()), np.zeros(()))


def _shift(term: Array, factor: float = 1.0) -> Line:
    return Line(np.array(factor), term, np.abs(term))


def _inverse(c: Operand) -> Array:
    return 1 / _exact(c)


def _minus(c: Operand) -> Array:
    return -_exact(c)


def _nodes(c: Operand) -> tuple[Node, ...]:
    return (c,) if isinstance(c, Node) else ()


def chains(node: Node) -> list[Chain]:
    """Return the chains that end with this call, the longest first.

    They have two steps or more, or normalize, or have a product before them.
    """
    steps: list[Step] = []
    found: list[Chain] = []
    at = node
    while len(steps) < LONGEST and (step := affine(at)) is not None:
        steps.insert(0, step)
        at = step.data
        if len(steps) > 1 or step.node.name == "batch_norm":
            found.insert(0, Chain(tuple(steps), None))
    if steps and _is_product(at):
        found.insert(0, Chain(tuple(steps), at))
    return found


def _is_product(node: Node) -> bool:
    if node.name not in PRODUCTS or not _is_data(node.args[0]):
        return False
    bias = _argument(node, 2, "bias")
    return _is_constant(_argument(node, 1, "weight")) and (bias is None or _is_constant(bias))


def _argument(node: Node, position: int, name: str) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name)


def _is_data(x: Any) -> bool:
    return isinstance(x, Node) and x.value is None


def _is_constant(x: Any) -> bool:
    return x.value is not None if isinstance(x, Node) else isinstance(x, (int, float))


def _exact(x: Operand) -> Array:
    if not isinstance(x, Node):
        return np.array(float(x))
    found: Array = x.exact().detach().double().numpy()
    return found


def _sized(values: Array) -> tuple[Array, Array]:
    return values, np.abs(values)


def _channels(head: Node, weight: Array) -> int:
    axis = PRODUCTS[head.name]
    return weight.shape[axis] * (_groups(head) if axis == 1 else 1)


def _groups(head: Node) -> int:
    return int(_argument(head, 6, "groups") or 1)


def _vector(values: Array, count: int) -> Array:
    """Return one value for each channel; a ValueError if there are not so many."""
    return np.broadcast_to(np.ravel(values), (count,))


def _scaled(head: Node, weight: Array, factor: Array) -> Array:
    """Return a product's weight with a factor for each channel that it gives."""
    axis = PRODUCTS[head.name] % weight.ndim
    shape = [1] * weight.ndim
    if axis != 1 or head.name == "linear" or weight.ndim == 2:
        shape[axis] = -1
        return weight * factor.reshape(shape)
    groups = _groups(head)
    split = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    factors = factor.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
    return (split * factors).reshape(weight.shape)
