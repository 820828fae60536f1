"""Exponentials that leave float16 for inputs of ordinary size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from migrate.linting.finding import WARNING, Place
from migrate.linting.registry import rule
from migrate.linting.scene import MOVES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.linting.scene import Node, Scene

    Found = Iterator[tuple[Place, str]]

ISSUES = "https://github.com/apple/coremltools/issues"
CLIFF = 15 * math.log(2)  # exp of it is 2 to the 15; softplus was reported zero from there on
LEAST = 2.0**-24
DEPTH = 8  # layers to look back
EVERYTHING = -math.inf, math.inf
KNOWN = {
    "sigmoid": (0.0, 1.0), "sigmoidHard": (0.0, 1.0), "tanh": (-1.0, 1.0), "softsign": (-1.0, 1.0),
    "softmax": (0.0, 1.0), "softmaxND": (0.0, 1.0), "sin": (-1.0, 1.0), "cos": (-1.0, 1.0),
    "erf": (-1.0, 1.0), "sign": (-1.0, 1.0), "softplus": (0.0, math.inf),
}  # fmt: skip


@rule("softplus", severity=WARNING, source=f"{ISSUES}/2687")
def softplus(scene: Scene) -> Found:
    """Find where a softplus is applied to what may be large."""
    for node in scene.of("activation"):
        kind = node.layer.params.WhichOneof("NonlinearityType")
        large = bounds(node, 0)[1] > CLIFF
        if kind == "parametricSoftplus" or (kind == "softplus" and large):
            yield node.place, "softplus was reported to be 0 on the Neural Engine above 10.4"


@rule("log-sum-exp", severity=WARNING, source=f"{ISSUES}/2690")
def log_sum_exp(scene: Scene) -> Found:
    """Find where exponentials are summed up in one layer."""
    for node in scene.of("reduceLogSumExp"):
        yield (
            node.place,
            "the logarithm of a sum of exponentials was reported to be 0 on the Neural Engine "
            "where the sum is beyond 65,504 (of 32 channels: above 7.6)",
        )


@rule("log-of-softmax", severity=WARNING, source=f"{ISSUES}/2728")
def log_of_softmax(scene: Scene) -> Found:
    """Find where a logarithm is taken of a softmax."""
    for node in scene.of("unary"):
        p, source = node.layer.params, node.source(0, MOVES)
        guarded = max(p.shift, p.epsilon) >= LEAST
        if _function(p) == "LOG" and source.kind in ("softmax", "softmaxND") and not guarded:
            yield (
                node.place,
                f"is the logarithm of {source.place.where} ({source.kind}), whose small values are "
                "0 in float16: reported to be minus infinity on the Neural Engine",
            )


@rule("unstable-exp", severity=WARNING, source=f"{ISSUES}/2729")
def unstable_exp(scene: Scene) -> Found:
    """Find where an exponential is taken of what may be large."""
    for node in scene.of("unary", "exp2"):
        binary = node.kind == "exp2"
        if not binary and _function(node.layer.params) != "EXP":
            continue
        highest = _transformed(node.layer.params, bounds(node, 0))[1] if not binary else (
            bounds(node, 0)[1] * math.log(2)
        )  # fmt: skip
        if highest > CLIFF:
            yield (
                node.place,
                "is an exponential of what no layer before it limits, as taking off the largest "
                "value would: float16 ends at exp(11.09), and such were reported infinite on the "
                "Neural Engine",
            )


def bounds(node: Node, number: int, depth: int = DEPTH) -> tuple[float, float]:
    """Return the least and the largest value that an input can have, as far as layers limit it."""
    source = node.sources[number] if number < len(node.sources) else None
    values = node.given(number)
    if values is not None and values.numel():
        return float(values.min()), float(values.max())
    if source is None or not depth:
        return EVERYTHING
    return _of(source, depth - 1)


def _of(node: Node, depth: int) -> tuple[float, float]:
    """Return the bounds of a layer's output."""
    kind, p = node.kind, node.layer.params
    if kind in KNOWN:
        return KNOWN[kind]
    if kind in MOVES or (kind == "activation"):
        before = bounds(node, 0, depth)
        return before if kind in MOVES else _activated(p, before)
    if kind == "clip":
        return float(p.minVal), float(p.maxVal)
    if kind == "unary":
        return _unary(p, _transformed(p, bounds(node, 0, depth)))
    if kind == "subtractBroadcastable" and _takes_off_largest(node):
        return -math.inf, 0.0
    if kind in ("min", "minBroadcastable"):
        every = [bounds(node, i, depth) for i in range(len(node.sources))]
        return min(low for low, _ in every), min(high for _, high in every)
    if kind in ("add", "multiply") and len(node.sources) == 1:
        low, high = bounds(node, 0, depth)
        return (low + p.alpha, high + p.alpha) if kind == "add" else _scaled(low, high, p.alpha)
    return EVERYTHING


def _takes_off_largest(node: Node) -> bool:
    largest = node.source(1, MOVES)
    return largest.kind == "reduceMax" and largest.layer.inputs[:1] == node.layer.inputs[:1]


def _activated(p: Any, before: tuple[float, float]) -> tuple[float, float]:
    kind = p.WhichOneof("NonlinearityType")
    if kind in KNOWN:
        return KNOWN[kind]
    low, high = before
    if kind == "ReLU":
        return max(low, 0.0), max(high, 0.0)
    if kind == "linear":
        low, high = _scaled(low, high, p.linear.alpha)
        return low + p.linear.beta, high + p.linear.beta
    if kind == "scaledTanh":
        return -abs(p.scaledTanh.alpha), abs(p.scaledTanh.alpha)
    return EVERYTHING


def _function(p: Any) -> str:
    return str(p.DESCRIPTOR.enum_types_by_name["Operation"].values_by_number[p.type].name)


def _transformed(p: Any, before: tuple[float, float]) -> tuple[float, float]:
    """Return the bounds of scale * x + shift."""
    low, high = _scaled(*before, p.scale or 1.0)
    return low + p.shift, high + p.shift


def _unary(p: Any, given: tuple[float, float]) -> tuple[float, float]:
    kind, (low, high) = _function(p), given
    if kind == "ABS":
        return 0.0, max(abs(low), abs(high))
    if kind == "THRESHOLD":
        return max(low, p.alpha), max(high, p.alpha)
    return EVERYTHING


def _scaled(low: float, high: float, by: float) -> tuple[float, float]:
    if by == 0:
        return 0.0, 0.0
    return (low * by, high * by) if by > 0 else (high * by, low * by)
