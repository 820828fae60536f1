"""Which networks stay exact with whole numbers, and the certificate that they do.

In float16 every whole number up to 2048 is exact, so a sum of products of whole numbers is too, in
any order of summation and with any wider accumulator, if the magnitudes add up to no more:

    max over a layer's outputs of  sum |w| |x| + |b|  <=  2048

That is each layer by itself, computed as the layer says: a scheme that transforms the operands
first, as Winograd's does, is not covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import torch
from torch.func import functional_call

from migrate import features
from migrate.errors import AnereportError
from migrate.faults.site import Place, places
from migrate.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

    from migrate.module import Interpreter
    from migrate.network import Layer

    Parameters = Mapping[str, Tensor]
    Choose = Callable[["At"], Parameters]

LARGEST_EXACT = 2048  # whole numbers of float16 up to it are all there

PRODUCTS = ("convolution", "innerProduct", "batchedMatmul", "scale", "multiply",
            "multiplyBroadcastable", "dot")  # fmt: skip
SUMS = ("add", "addBroadcastable", "subtractBroadcastable", "bias", "cumSum", "reduceSum")
MOVES = (
    "broadcastToDynamic", "broadcastToLike", "broadcastToStatic", "ceil", "clip", "concat",
    "concatND", "constantPad", "copy", "crop", "equal", "expandDims", "fillDynamic", "fillLike",
    "fillStatic", "flatten", "flattenTo2D", "floor", "gather", "gatherAlongAxis", "gatherND",
    "getShape", "greaterEqual", "greaterThan", "lessEqual", "lessThan", "loadConstant",
    "loadConstantND", "logicalAnd", "logicalNot", "logicalOr", "logicalXor", "lowerTriangular",
    "matrixBandPart", "max", "maxBroadcastable", "min", "minBroadcastable", "notEqual", "oneHot",
    "padding", "permute", "rangeDynamic", "rangeStatic", "rankPreservingReshape", "reduceMax",
    "reduceMin", "reorganizeData", "reshape", "reshapeDynamic", "reshapeLike", "reshapeStatic",
    "reverse", "reverseSeq", "round", "sequenceRepeat", "sign", "slice", "sliceBySize",
    "sliceDynamic", "sliceStatic", "slidingWindows", "split", "splitND", "squeeze", "stack",
    "tile", "transpose", "upperTriangular", "whereBroadcastable",
)  # fmt: skip
DIVIDES = "it divides"
ROOT = "it takes a square root"
EXPONENTIAL = "it takes exponentials"
BETWEEN = "it interpolates"
WHY = {
    "average": DIVIDES, "batchnorm": ROOT, "biDirectionalLSTM": EXPONENTIAL,
    "cropResize": BETWEEN, "divideBroadcastable": DIVIDES, "floorDivBroadcastable": DIVIDES,
    "gelu": EXPONENTIAL, "gru": EXPONENTIAL, "l2normalize": ROOT, "layerNormalization": ROOT,
    "lrn": DIVIDES, "modBroadcastable": DIVIDES, "mvn": ROOT, "reduceMean": DIVIDES,
    "resizeBilinear": BETWEEN, "simpleRecurrent": EXPONENTIAL, "softmax": EXPONENTIAL,
    "softmaxND": EXPONENTIAL, "tanh": EXPONENTIAL, "uniDirectionalLSTM": EXPONENTIAL,
    "branch": "its course depends on the data", "loop": "its course depends on the data",
    "custom": "what it computes is known to its author alone",
}  # fmt: skip
COMPARISONS = ("equal", "greaterEqual", "greaterThan", "lessEqual", "lessThan", "notEqual")
STRAIGHT = {"ReLU": (), "linear": ("alpha", "beta"), "leakyReLU": ("alpha",),
            "thresholdedReLU": ("alpha",)}  # fmt: skip


class InexactError(AnereportError):
    """A network whose numbers do not stay exact: the layer or input where they stop to."""


@dataclass(frozen=True, eq=False)
class At:
    """A layer on its way through the network: where it sits, and the blobs that it reads."""

    place: Place
    inputs: tuple[Tensor, ...]

    def stored(self) -> dict[str, Tensor]:
        """Return the layer's weights and biases by name."""
        step = self.place.step
        return dict(chain(step.named_parameters(), step.named_buffers()))

    def weights(self, parameters: Parameters) -> dict[str, Tensor]:
        """Return the same with these in their place."""
        return {**self.stored(), **parameters}

    def run(self, parameters: Parameters) -> tuple[Tensor, ...]:
        """Return the layer's outputs with these weights, or its own."""
        return self.place.run(self.inputs, **parameters)

    def bound(self, parameters: Parameters, outputs: Sequence[Tensor]) -> float:
        """Return the certificate: no partial sum of the layer is further from 0 than this."""
        kind, params = self.place.layer.kind, self.place.layer.params
        largest = max(map(_largest, outputs), default=0.0)
        straight = _straight(self.place.layer)
        if straight is not None:
            scale, shift = (abs(float(x)) for x in straight)
            return max(largest, scale * max(map(_largest, self.inputs)) + shift)
        if kind in MOVES or _moves(self.place.layer):
            return largest
        least = kind == "multiply"  # of its factors: one that is 0 hides the others' product
        inputs = [x.abs().clamp(min=int(least)) for x in self.inputs]
        if kind == "subtractBroadcastable":
            inputs[1:] = [-x for x in inputs[1:]]
        if kind in ("add", "multiply") and len(inputs) == 1:
            alpha = abs(float(params.alpha))
            return _largest(inputs[0]) + alpha if kind == "add" else _largest(inputs[0]) * alpha
        magnitudes = {n: x.abs() for n, x in self.weights(parameters).items()}
        return max(largest, *map(_largest, self.place.run(inputs, **magnitudes)))


def require_whole(network: Network) -> None:
    """Raise InexactError, in a sentence on the first layer, for one that cannot stay exact."""
    if network.stages:
        raise InexactError("the model is a pipeline, whose features pass between its stages")
    for i, layer in enumerate(network.layers, 1):
        why = _why(layer)
        if why:
            place = f"{i} of {len(network.layers)}"
            raise InexactError(f"layer {layer.name!r} ({layer.kind}), {place}: {why}")


def certify(
    net: Interpreter, inputs: dict[str, Any], choose: Choose | None = None
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return the certificate of each layer, by its place, and the network's output blobs.

    `choose` may give each layer other weights. InexactError where a number, stored or computed, is
    not whole, or a magnitude beyond LARGEST_EXACT. The module may be of any precision.
    """
    require_whole(net.network)
    blobs = dict(_entered(net, inputs))
    bounds = {}
    with torch.no_grad():
        for place, gone in zip(places(net), chain(net.unread, repeat(())), strict=False):
            at = At(place, tuple(blobs[name] for name in place.layer.inputs))
            parameters = choose(at) if choose else {}
            what = f"layer {place.layer.name!r} ({place.layer.kind})"
            weights = at.weights(parameters).values()
            _check(f"{what} holds", weights, max(map(_largest, weights), default=0.0))
            results = at.run(parameters)
            bounds[place.name] = at.bound(parameters, results)
            _check(f"{what} gives", results, bounds[place.name])
            blobs.update(zip(place.layer.outputs, results, strict=False))
            for name in gone:
                blobs.pop(name, None)
    return bounds, blobs


def _entered(net: Interpreter, inputs: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    described, dtype = net.network.inputs, net._precision.dtype
    tensors = [features.to_tensor(f, inputs, dtype) for f in described]
    for (name, x), entrance in zip(net.admit(tensors).items(), net.entrances, strict=True):
        value, stored = entrance(x), dict(entrance.named_buffers())
        magnitudes = {n: -b.abs() if n.endswith("mean") else b.abs() for n, b in stored.items()}
        bound = _largest(functional_call(entrance, magnitudes, (x.abs(),)))
        _check(f"the preprocessing of input {name!r} gives", [*stored.values(), value], bound)
        yield name, value


def _check(what: str, values: Iterable[Tensor], bound: float) -> None:
    if not all(bool((x == x.round()).all()) for x in values if x.is_floating_point()):
        raise InexactError(f"{what} numbers that are not whole")
    if not bound <= LARGEST_EXACT:
        raise InexactError(
            f"{what} numbers whose magnitudes add up to {bound:.6g}, beyond {LARGEST_EXACT}"
        )


def _largest(x: Tensor) -> float:
    return float(x.abs().max()) if x.numel() else 0.0


def _why(layer: Layer) -> str:
    """Return why a layer may not keep whole numbers; nothing if it does."""
    kind, params = layer.kind, layer.params
    if kind in WHY:
        return WHY[kind]
    if kind == "activation":
        return _of_activation(params)
    if kind == "unary":
        known = params.type in (params.ABS, params.THRESHOLD)
        numbers = (params.scale, params.shift, params.alpha)
        return _fractions(numbers) if known else "it takes a root, a quotient or an exponential"
    if kind == "pooling":
        return "" if params.type == params.MAX else "it divides or takes a square root"
    if kind == "upsample":
        return "" if params.mode == params.NN else BETWEEN
    if kind == "reduce":
        known = params.mode in (params.SUM, params.MAX, params.MIN)
        return "" if known else "it divides, or takes a root or a logarithm"
    if kind == "dot" and params.cosineSimilarity:
        return ROOT
    if kind in ("add", "multiply", *COMPARISONS) and len(layer.inputs) == 1:
        return _fractions([params.alpha])
    if getattr(params, "int8DynamicQuantize", False):
        return "it rounds its input to 8 bits"
    return "" if kind in (*PRODUCTS, *SUMS, *MOVES) else "it is not known to keep whole numbers"


def _of_activation(params: Any) -> str:
    kind = params.WhichOneof("NonlinearityType")
    if kind in STRAIGHT:
        return _fractions([getattr(getattr(params, kind), name) for name in STRAIGHT[kind]])
    return "it multiplies by stored slopes" if kind == "PReLU" else EXPONENTIAL


def _fractions(numbers: Sequence[float]) -> str:
    broken = [x for x in numbers if not (abs(x) <= LARGEST_EXACT and x == round(x))]
    return f"its number {broken[0]:.6g} is not whole, or beyond {LARGEST_EXACT}" if broken else ""


def _moves(layer: Layer) -> bool:
    params = layer.params
    return layer.kind in ("pooling", "upsample") or (
        layer.kind == "reduce" and params.mode != params.SUM
    )


def _straight(layer: Layer) -> tuple[float, float] | None:
    """Return the largest factor and the term of a layer that is a line in each element."""
    params = layer.params
    if layer.kind == "unary":
        return params.scale, params.shift
    if layer.kind == "activation":
        kind = params.WhichOneof("NonlinearityType")
        if kind == "linear":
            return params.linear.alpha, params.linear.beta
        return (max(1.0, abs(params.leakyReLU.alpha)) if kind == "leakyReLU" else 1.0), 0.0
    return None
