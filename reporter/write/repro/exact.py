"""Exact weights: small whole numbers for which float16 is exact, found layer by layer.

Each draw has one number n in the script. Above 0, all its weights are +-1 to +-n; below 0, every
|n|-th of them is 1 or -1, and the others are 0. The search goes from the inputs to the outputs and
gives each layer the densest, and then the largest, weights whose certificate stays within a budget
that grows with the depth, so that the values of the last layers need most digits of float16.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure.inputs import hashed
from reporter.write.repro.building import SEED, assembled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from reporter.write.repro.building import Building

    Array = NDArray[np.float32]

WORK = 3e10  # multiplications that a search may take, some 20 s: no clock decides the text
FIRST = 64  # the budget of the first layers
MOST_DRAWN = 2**24  # weights of one draw, so that float32 counts them
THINNER = 1.2  # each try, until the certificate is within the budget
BIAS = 8  # a bias takes one such part of its layer's budget
MOST_ALIKE = 0.9  # part of an output's elements that may be one number


@dataclass(frozen=True)
class Exact:
    """The numbers of the draws and the sha256 of each output, or why there are none."""

    numbers: tuple[int, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    largest: float = 0.0  # magnitude of an output


def inputs(network: migrate.Network) -> dict[str, Any]:
    """Return the inputs of exact weights: the seeded ones' hash, as whole numbers.

    Arrays have -8 to 7, images 0 to 15, integers 0 and 1.
    """
    found: dict[str, Any] = {}
    for position, feature in enumerate(network.inputs):
        shape = migrate.default_shape(feature)
        x = (hashed(math.prod(shape), 0, position) & 15).reshape(shape)
        if feature.kind == "image":
            found[feature.name] = x.astype(np.uint8)
        elif feature.dtype == "int32":
            found[feature.name] = (x & 1).astype(np.int32)
        else:
            found[feature.name] = x.astype(np.float32) - 8
    return found


def find(spec: Any, building: Building) -> Exact:
    """Return exact weights for a network, or the reason why there are none."""
    try:
        network = migrate.read(spec)
        migrate.require_whole(network)
        numbers = _Search(building, inputs(network)).numbers()
        return _answered(numbers, building)
    except migrate.AnereportError as error:
        return Exact(refused=str(error))


def spec_of(building: Building, numbers: Sequence[int]) -> Any:
    """Return the spec that the script builds with exact weights."""
    draw, left = np.random.RandomState(SEED), iter(numbers)

    def u(_: float, *shape: int) -> Array:
        raw = np.float32(draw.uniform(-1, 1, shape))
        return _whole(raw, np.arange(raw.size).reshape(shape), next(left))

    return assembled(building, u)


def _whole(raw: Any, index: Any, number: int) -> Any:
    """Return weights of one draw; `raw` are -1 to 1, `index` counts them."""
    return np.copysign(np.ceil(np.abs(raw) * max(number, 1)), raw) * (index % max(-number, 1) == 0)


def _answered(numbers: Sequence[int], building: Building) -> Exact:
    """Return the digests of the outputs, from the model itself, in float64 and in float32."""
    net: Any = migrate.to_torch(spec_of(building, numbers))
    given = inputs(net.network)
    found = net.predict(given, exact=True)
    net = net.double()
    migrate.certify(net, given)
    precise = net.predict(given, exact=True)
    answers, largest = {}, 0.0
    for feature in net.network.outputs:
        if feature.kind != "multiArray":
            continue
        values = np.asarray(precise[feature.name], np.float64)
        if not np.array_equal(values, np.asarray(found[feature.name], np.float64)):
            raise migrate.InexactError(f"output {feature.name!r} differs in float32")
        _require_varied(feature.name, values)
        answers[feature.name] = _digest(values)
        largest = max(largest, float(np.abs(values).max(initial=0)))
    if not answers:
        raise migrate.InexactError("no output is an array")
    return Exact(tuple(numbers), answers, largest=largest)


def _digest(values: NDArray[Any]) -> str:
    """Return the sha256 of an output as little-endian float32, its last axis the fastest.

    A zero has no sign: it depends on the order of summation.
    """
    unsigned = np.ascontiguousarray(values, "<f4") + np.float32(0)
    return hashlib.sha256(unsigned.tobytes()).hexdigest()


def _require_varied(name: str, values: NDArray[Any]) -> None:
    most = int(np.unique(values, return_counts=True)[1].max(initial=0))
    if values.size > 1 and most > MOST_ALIKE * values.size:
        raise migrate.InexactError(
            f"with whole numbers {most} of {values.size} elements of output {name!r} are one and "
            "the same, which shows little"
        )


class _Draws:
    """Stands in for `u`: keeps what it draws, layer by layer, and gives the places in its stead."""

    def __init__(self) -> None:
        self.random = np.random.RandomState(SEED)
        self.layers: list[list[Array]] = [[]]  # the draws of each statement

    def __call__(self, _: float, *shape: int) -> Array:
        """Return the places of a draw among all numbers of its layer, counted from 1."""
        draws = self.layers[-1]
        before = sum(raw.size for raw in draws)
        after = before + math.prod(shape)
        if after > MOST_DRAWN:
            raise migrate.InexactError("a layer has more weights than the search can count")
        draws.append(self.random.uniform(-1, 1, shape).astype(np.float32).ravel())
        return np.arange(before + 1, after + 1, dtype=np.float32).reshape(shape)

    def next(self) -> None:
        """Begin another statement."""
        self.layers.append([])


class _Search:
    """A walk through the network whose weights are the places of its draws."""

    def __init__(self, building: Building, given: dict[str, Any]) -> None:
        drawn = _Draws()
        self.net: Any = migrate.to_torch(assembled(building, drawn, drawn.next))
        self.given = given
        self.chosen: list[int] = []
        draws = drawn.layers[-1 - len(building.calls) : -1]
        self.turns = iter(draws)
        self.budgets = _budgets(self.net.network, draws)
        self.work = 0.0

    def numbers(self) -> list[int]:
        """Return the number of each draw."""
        migrate.certify(self.net, self.given, self._choose)
        return self.chosen

    def _choose(self, at: Any) -> dict[str, Any]:
        draws, layer = next(self.turns), at.place.layer
        if not draws:
            return {}
        if len(draws) > 2:
            raise migrate.InexactError(f"layer {layer.name!r} has {len(draws)} kinds of weights")
        budget = self._budget(layer, at)
        bias = [max(budget // BIAS, 1)] * (len(draws) - 1)
        number = self._number(at, draws, budget, bias)
        self.chosen += [number, *bias]
        return _parameters(at, draws, [number, *bias])

    def _budget(self, layer: Any, at: Any) -> int:
        largest = max((float(x.abs().max()) for x in at.inputs if x.numel()), default=1.0)
        return int(min(max(self.budgets[layer.outputs[0]], 4 * largest), migrate.LARGEST_EXACT))

    def _number(self, at: Any, draws: Sequence[Array], budget: int, bias: list[int]) -> int:
        """Return the number of the layer's first draw, for the densest and largest within."""
        rest = budget - sum(bias)
        sums = max(self._bound(at, draws, [1] * len(draws)), 1)
        largest = int(rest // sums)
        if largest:
            return largest
        every = sums / rest
        while every <= draws[0].size:
            number = _prime(int(every), draws[0].size)
            if self._bound(at, draws, [-number, *bias]) <= budget:
                return -number
            every = number * THINNER + 1
        name = at.place.layer.name
        raise migrate.InexactError(f"no weights of layer {name!r} keep its sums within {budget}")

    def _bound(self, at: Any, draws: Sequence[Array], numbers: list[int]) -> float:
        sizes = [x.numel() / max(x.shape[-3], 1) for x in at.inputs if x.ndim > 2]
        self.work += max(sizes, default=1.0) * sum(raw.size for raw in draws)
        if self.work > WORK:
            raise migrate.InexactError("the search for its whole numbers would take too long")
        found: float = at.bound(_parameters(at, draws, numbers), ())
        return found


def _parameters(at: Any, draws: Sequence[Array], numbers: Sequence[int]) -> dict[str, Any]:
    """Return a layer's weights by the numbers of its draws, each at its place."""
    import torch

    whole = [_whole(x, np.arange(x.size), n) for x, n in zip(draws, numbers, strict=True)]
    values = torch.from_numpy(np.concatenate(whole).astype(np.float32))
    return {name: values[place.long() - 1] for name, place in at.stored().items()}


def _prime(least: int, count: int) -> int:
    """Return the next number from 2 on that shares no divisor with a count."""
    number = max(least, 2)
    while math.gcd(number, count) > 1:
        number += 1
    return number


def _budgets(network: migrate.Network, draws: Sequence[Sequence[Array]]) -> dict[str, float]:
    """Return the budget of each blob: from FIRST to the limit, by how many layers with draws."""
    depths: dict[str, int] = {}
    for layer, drawn in zip(network.layers, draws, strict=True):
        before = max((depths.get(blob, 0) for blob in layer.inputs), default=0)
        depths.update(dict.fromkeys(layer.outputs, before + bool(drawn)))
    last = max(depths.values(), default=0)
    growth = (migrate.LARGEST_EXACT / FIRST) ** (1 / max(last - 1, 1))
    start = FIRST if last > 1 else migrate.LARGEST_EXACT
    return {blob: start * growth ** max(depth - 1, 0) for blob, depth in depths.items()}
