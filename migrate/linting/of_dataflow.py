"""Blobs: who writes and who reads them, and in which order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from migrate import features
from migrate.errors import ModelError
from migrate.linting.finding import ERROR, INFO, WARNING, Place
from migrate.linting.registry import rule
from migrate.linting.scene import together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.linting.scene import Node, Scene

    Found = Iterator[tuple[Place, str]]


@rule("blob-unwritten", severity=ERROR)
def blob_unwritten(scene: Scene) -> Found:
    """Find where a layer reads a blob that no input and no earlier layer gives."""
    for node in scene.nodes:
        for blob in node.unknown:
            yield node.place, f"reads blob '{blob}', which no input and no earlier layer gives"


@rule("blob-lost", severity=ERROR)
def blob_lost(scene: Scene) -> Found:
    """Find where a blob is written again before anything has read it."""
    for node, blob, first in _lost(scene):
        yield node.place, f"overwrites blob '{blob}' of {first} before anything has read it"


def _lost(scene: Scene) -> Iterator[tuple[Node, str, str]]:
    """Yield the layer that overwrites, the blob, and who wrote it first."""
    unread = {f.name: f"input '{f.name}'" for f in scene.inputs}
    for node in scene.top:
        for blob in node.layer.inputs:
            unread.pop(blob, None)
        for blob in node.layer.outputs if not node.layer.blocks else ():
            if blob in unread:
                yield node, blob, unread[blob]
            unread[blob] = node.place.where


@rule("blob-rewritten", severity=WARNING)
def blob_rewritten(scene: Scene) -> Found:
    """Find where several layers write one blob, each after the value before it was read."""
    lost = {blob for _, blob, _ in _lost(scene)}
    written = scene.network.overwritten() if not scene.network.stages else {}
    last = scene.writers()
    for blob, names in written.items():
        if blob not in lost and blob in last:
            writers = " and ".join(name if name == "the input" else f"'{name}'" for name in names)
            yield last[blob].place, f"blob '{blob}' is written by {writers}; the later one wins"


@rule("unused-layer", severity=INFO)
def unused_layer(scene: Scene) -> Found:
    """Find where no output depends on a layer."""
    wanted = _ends(scene)
    idle = []
    for node in reversed(scene.top):
        if wanted.isdisjoint(node.layer.outputs) and node.layer.outputs and not node.layer.blocks:
            idle.append(node)
        else:
            wanted.update(node.layer.inputs)
    if idle:
        yield together(idle[::-1]), "no output of the model depends on it"


def _ends(scene: Scene) -> set[str]:
    """Return the blobs that leave the network; all of the last layer's where that is not known."""
    last = scene.top[-1:]
    ends = {blob for node in last for blob in node.layer.outputs}
    try:
        blobs = [] if scene.network.stages else features.output_blobs(scene.network)
    except ModelError:
        return ends.union(f.name for f in scene.outputs)
    return {blob for _, blob in blobs} or ends


@rule("same-name", severity=INFO)
def same_name(scene: Scene) -> Found:
    """Find where several layers have one name, so that a report by name is ambiguous."""
    counts = Counter(node.layer.name for node in scene.nodes if node.layer.name)
    first: dict[str, Node] = {}
    for node in scene.nodes:
        first.setdefault(node.layer.name, node)
    for name, count in counts.items():
        if count > 1:
            yield (
                first[name].place,
                f"{count} layers have this name, and a report names only one",
            )
