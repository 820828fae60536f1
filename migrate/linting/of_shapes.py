"""Shapes of blobs that were reported to go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrate.linting.finding import INFO, WARNING, Place
from migrate.linting.registry import rule
from migrate.linting.scene import together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.linting.scene import Scene

    Found = Iterator[tuple[Place, str]]

ROW = 32  # values of float16 in 64 bytes


@rule(
    "last-axis-1",
    severity=WARNING,
    source="https://developer.apple.com/forums/thread/720810",
)
def last_axis_1(scene: Scene) -> Found:
    """Find where blobs are one value wide and more than one high."""
    found = [
        node
        for node in scene.top
        if any(s and len(s) >= 2 and s[-1] == 1 and s[-2] > 1 for s in node.outputs)
    ]
    if found:
        yield (
            together(found),
            "gives rows of a single value: so do the layers of the network that was reported to "
            "give constants on iPhone 13 and 14",
        )


@rule(
    "narrow-last-axis",
    severity=INFO,
    source="https://github.com/FluidInference/FluidAudio/pull/730",
)
def narrow_last_axis(scene: Scene) -> Found:
    """Find where blobs of several rows are less than 32 wide."""
    found = [
        node
        for node in scene.top
        if any(s and len(s) >= 3 and s[-2] > 1 and 1 < s[-1] < ROW for s in node.outputs)
    ]
    if found:
        yield (
            together(found),
            f"gives rows of fewer than {ROW} values, which fill less than the 64 bytes that the "
            "Neural Engine was reported to pad rows to",
        )
