"""What of a network stays float32 in an fp16 ML Program whose `keep_fp32` names layers."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from migrate.module import Model


def unrounded(net: Model, kept: Collection[str]) -> frozenset[str]:
    """Return the blobs and weights that are not rounded to float16 if these layers are kept.

    Weights are named by their path in the module. A blob is rounded if a layer that is not kept
    writes or reads it; one that leaves the network is taken to leave it in float32.
    """
    if not kept:
        return frozenset()
    users: dict[str, set[str]] = defaultdict(set)
    for layer in net.network.all_layers():
        for blob in (*layer.inputs, *layer.outputs):
            users[blob].add(layer.name)
    blobs = {blob for blob, names in users.items() if names <= set(kept)}
    return frozenset(blobs.union(_weights(net, kept)))


def _weights(net: Model, kept: Collection[str]) -> Iterator[str]:
    prefixes = tuple(
        f"{path}.{child}." if path else f"{child}."
        for path, module in net.named_modules()
        for child, name in getattr(module, "layer_names", {}).items()
        if name in kept
    )
    for name, _ in (*net.named_parameters(), *net.named_buffers()):
        if name.startswith(prefixes):
            yield name
