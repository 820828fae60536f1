"""Layers that read at indices, or give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrate.linting.finding import NO_REPORT, WARNING, Place
from migrate.linting.registry import rule
from migrate.linting.scene import MOVES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.linting.scene import Scene

    Found = Iterator[tuple[Place, str]]

GATHERS = ("gather", "gatherND", "gatherAlongAxis")
SCATTERS = ("scatter", "scatterND", "scatterAlongAxis")
ARGUMENTS = ("argMax", "argMin")
CORE_AI = "https://github.com/apple/coreai-torch/issues"


@rule("negative-index", severity=WARNING, source=NO_REPORT)
def negative_index(scene: Scene) -> Found:
    """Find where an index counts from the end."""
    for node in scene.of(*GATHERS, *SCATTERS):
        indices = node.given(1)
        if indices is not None and indices.numel() and float(indices.min()) < 0:
            yield (
                node.place,
                f"reads index {float(indices.min()):g}, which counts from the end: one such gather "
                "was seen to be wrong on an M1 Pro, and exact with the index counted from the "
                "front (in a repository whose address is not known)",
            )


@rule(
    "computed-index",
    severity=WARNING,
    source="https://github.com/john-rocky/CoreML-LLM",
)
def computed_index(scene: Scene) -> Found:
    """Find where a gatherND reads at indices that the network computes."""
    for node in scene.of("gatherND"):
        source = node.sources[1] if len(node.sources) > 1 else None
        fixed = source is not None and not source.layer.inputs
        if len(node.sources) > 1 and not fixed and node.given(1) is None:
            yield (
                node.place,
                "reads at indices that are computed: reported to give zeros alone on an iPhone 17 "
                "Pro",
            )


@rule("ends-in-argmax", severity=WARNING, source=f"{CORE_AI}/116")
def ends_in_argmax(scene: Scene) -> Found:
    """Find where an output is the place of a largest or smallest value."""
    writers = scene.writers()
    for feature in scene.outputs:
        node = writers.get(feature.name)
        last = node.source(0, MOVES) if node is not None and node.kind in MOVES else node
        if last is not None and last.kind in ARGUMENTS:
            yield (
                scene.at(feature, "output"),
                f"comes from {last.place.where} ({last.kind}): a network that ends so was reported "
                "to give wrong classes, and right ones with the choice made outside of it",
            )


@rule("top-k-gather", severity=WARNING, source=f"{CORE_AI}/115")
def top_k_gather(scene: Scene) -> Found:
    """Find where a gather reads at the indices that a topK gives."""
    for node in scene.of(*GATHERS):
        if len(node.sources) > 1 and node.source(1, MOVES).kind == "topK":
            yield (
                node.place,
                f"reads at the indices of {node.source(1, MOVES).place.where} (topK): such a head "
                "was reported to give zeros on an iPhone 17 Pro",
            )
