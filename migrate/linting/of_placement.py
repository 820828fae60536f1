"""Layers that are listed as not running on the Neural Engine; nothing here was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrate.linting.finding import INFO, Place
from migrate.linting.registry import rule
from migrate.linting.scene import together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.linting.scene import Node, Scene

    Found = Iterator[tuple[Place, str]]

LIST = "https://github.com/hollance/neural-engine/blob/master/docs/unsupported-layers.md"
OFF = {
    "a recurrent layer": (
        "simpleRecurrent", "gru", "uniDirectionalLSTM", "biDirectionalLSTM",
    ),
    "a gather": ("gather", "gatherND", "gatherAlongAxis"),
    "a custom layer": ("custom",),
}  # fmt: skip


@rule("off-engine", severity=INFO, source=LIST)
def off_engine(scene: Scene) -> Found:
    """Find where a layer is of a kind that is listed as not running on the Neural Engine."""
    for what, kinds in OFF.items():
        yield from _listed([n for n in scene.nodes if n.kind in kinds], what)
    dilated = [
        n for n in scene.of("convolution") if max(n.layer.params.dilationFactor, default=1) > 1
    ]
    yield from _listed(dilated, "a dilated convolution")


def _listed(nodes: list[Node], what: str) -> Found:
    if nodes:
        yield (
            together(nodes),
            f"is {what}, listed by observation (in part guesses) as not running on the Neural "
            "Engine: measure where it runs",
        )


@rule("any-rank-layer", severity=INFO, source=LIST)
def any_rank_layer(scene: Scene) -> Found:
    """Find where a layer is of those of specification 4 that broadcast, or work at any rank."""
    found = [
        n
        for n in scene.nodes
        if n.kind.endswith(("Broadcastable", "ND")) and n.kind not in ("loadConstantND", "gatherND")
    ]
    if found:
        kinds = ", ".join(dict.fromkeys(n.kind for n in found))
        yield (
            together(found),
            f"({kinds}) is listed as not running on the Neural Engine; the network of forum thread "
            "720810 has a concatND, and was reported wrong there",
        )
