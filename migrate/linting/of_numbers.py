"""Numbers of the model that are none, or that float16 cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from migrate.layers.elementwise import DEFAULT_EPSILON
from migrate.layers.normalization import SMALLEST_BATCHNORM_EPSILON
from migrate.linting.finding import INFO, WARNING, Place
from migrate.linting.registry import rule
from migrate.linting.scene import together
from migrate.ranges import LEAST, LEAST_NORMAL
from migrate.rounding import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.linting.scene import Node, Scene
    from migrate.ranges import Range

    Found = Iterator[tuple[Place, str]]

ISSUE = "https://github.com/apple/coremltools/issues/2110"
PROBE = "https://github.com/john-rocky/CoreML-LLM"
INFINITE = LARGEST + 16  # from here on float16 rounds to infinity


@rule("not-finite", severity=WARNING)
def not_finite(scene: Scene) -> Found:
    """Find where weights hold NaN or infinity."""
    for node in scene.nodes:
        for name, x in _weights(node):
            if bad := _count_not_finite(x):
                yield node.place, f"{bad:,} of {x.numel():,} values of {name} are not finite"


def _count_not_finite(x: torch.Tensor) -> int:
    """Return how many values are NaN or infinite; where none is, without a copy of them."""
    if not x.is_floating_point() or not x.numel():
        return 0
    if all(torch.isfinite(end) for end in x.aminmax()):  # a NaN is both its ends
        return 0
    return int((~torch.isfinite(x)).sum())


@rule("float16-overflow", severity=WARNING, source=ISSUE)
def float16_overflow(scene: Scene) -> Found:
    """Find where weights or constants are beyond the largest number of float16."""
    for node in scene.nodes:
        for what, largest in _largest(node):
            yield (
                node.place,
                f"{what} reaches {largest:,.6g}, and float16 ends at 65,504: a fault of the "
                "precision, not of the hardware",
            )


def _largest(node: Node) -> Iterator[tuple[str, float]]:
    """Yield what of a layer is too large, and how large."""
    yield from ((r.of, r.value) for r in _ranges(node, "overflow"))
    given = [node.given(i) for i in range(len(node.sources))]
    passed_on = any(x is not None and _peak(x) >= INFINITE for x in given)
    if not any(True for _ in _weights(node)) and not passed_on:
        peaks = [_peak(x) for x in node.constants if x is not None]
        yield from (("its constant", peak) for peak in peaks if peak >= INFINITE)
    if node.kind in ("add", "multiply") and len(node.layer.inputs) == 1:
        alpha = abs(float(node.layer.params.alpha))
        yield from [("alpha", alpha)] if alpha >= INFINITE else []


def _peak(x: torch.Tensor) -> float:
    finite = x[x.isfinite()] if x.is_floating_point() else x
    return float(finite.abs().max()) if finite.numel() else 0.0


@rule("float16-flushed", severity=WARNING, source=PROBE)
def float16_flushed(scene: Scene) -> Found:
    """Find where a share of weights is so small that float16 has zero for them."""
    for node in scene.nodes:
        for r in _ranges(node, "flushed"):
            yield node.place, f"{r.value:.0%} of the values of {r.of} are zero in float16"


@rule("float16-subnormal", severity=INFO, source=PROBE)
def float16_subnormal(scene: Scene) -> Found:
    """Find where weights are subnormal in float16: of fewer digits, or zero where flushed."""
    found = [(node, r) for node in scene.nodes for r in _ranges(node, "subnormal")]
    if found:
        share = max(r.value for _, r in found)
        yield (
            together(list(dict.fromkeys(node for node, _ in found))),
            f"up to {share:.0%} of the values of {found[0][1].of} are subnormal in float16, and "
            "were reported to be taken for zero",
        )


@rule("lost-epsilon", severity=WARNING, source=PROBE)
def lost_epsilon(scene: Scene) -> Found:
    """Find where an epsilon that keeps a division from zero is zero in float16."""
    for node, epsilon in _epsilons(scene):
        if epsilon <= LEAST / 2:
            yield node.place, f"its epsilon of {epsilon:.3g} is zero in float16"


@rule("subnormal-epsilon", severity=INFO, source=PROBE)
def subnormal_epsilon(scene: Scene) -> Found:
    """Find where an epsilon that keeps a division from zero is subnormal in float16."""
    found = [(node, e) for node, e in _epsilons(scene) if LEAST / 2 < e < LEAST_NORMAL]
    if found:
        yield (
            together([node for node, _ in found]),
            f"its epsilon of {found[0][1]:.3g} is subnormal in float16: where it was flushed to "
            "zero, single vectors were reported a thousand times too large",
        )


def _epsilons(scene: Scene) -> Iterator[tuple[Node, float]]:
    """Yield the layers that divide by what they compute, each with its epsilon."""
    for node in scene.of("unary", "l2normalize", "mvn", "batchnorm", "layerNormalization"):
        epsilon = _epsilon(node.kind, node.layer.params)
        if epsilon is not None:
            yield node, epsilon


def _epsilon(kind: str, p: Any) -> float | None:
    if kind == "layerNormalization":
        return float(p.eps)
    if kind == "batchnorm":
        return float(p.epsilon or SMALLEST_BATCHNORM_EPSILON) if p.computeMeanVar else None
    divides = kind == "l2normalize" or (kind == "mvn" and p.normalizeVariance)
    if kind == "unary":
        divides = p.DESCRIPTOR.enum_types_by_name["Operation"].values_by_number[p.type].name in (
            "RSQRT", "INVERSE",
        )  # fmt: skip
    return float(p.epsilon or DEFAULT_EPSILON) if divides else None


def _weights(node: Node) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the weights of a layer, those of its sub-networks aside."""
    if node.made.module is not None and not node.layer.blocks:
        (child,) = (getattr(node.made.module, op.child) for op in node.made.module.ops)
        yield from (*child.named_parameters(), *child.named_buffers())


def _ranges(node: Node, what: str) -> list[Range]:
    return [r for r in node.ranges if r.what == what]
