"""Pseudo-random weights in the place of the model's own, so that it can be handed out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate import weights
from migrate.shrinking.knob import SEEDS, Knob, Reduction
from migrate.variation.editing import every_layer, network_of, parameters, store
from migrate.variation.variant import EditError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.variation.original import Original
    from migrate.variation.relation import Array

SEEDED = (
    "convolution", "innerProduct", "batchedMatmul", "embedding", "scale", "bias", "batchnorm",
)  # fmt: skip
GRID = 64  # values are whole multiples of a power of two, so exact in float16


def knobs(original: Original) -> tuple[list[Knob], list[str]]:
    """Return the knob of the weights, and why there is none."""
    try:
        found = any(True for _ in _weights(original.spec))
    except EditError as error:
        return [], [f"the weights stay: {error}"]
    return ([Knob("weights", "", SEEDS, 0)] if found else []), []


def edit(reduction: Reduction, spec: Any) -> None:
    """Draw every weight anew, from -1 to 1 times about the largest that its tensor had.

    The variance of a batch normalisation is positive. Raises EditError for an unknown seed and for
    weights that are not plain numbers.
    """
    if not 0 <= reduction.value < SEEDS:
        raise EditError(f"weights are seeded by 0 to {SEEDS - 1}, not by {reduction.value}")
    for position, (name, weight) in enumerate(list(_weights(spec))):
        count = weights.count(weight)
        before = weights.array(weight, (count,), "weights")
        drawn = _drawn(reduction.value * 65536 + position, count) * _scale(before)
        store(weight, np.abs(drawn) + _scale(before) if name == "variance" else drawn)


def _drawn(seed: int, count: int) -> Array:
    """Return values from -1 to 1 on the grid of 1 / GRID, 0 left out."""
    random = np.random.RandomState(seed)  # whose numbers are the same on every system
    whole = random.randint(1, GRID + 1, count) * random.choice((-1, 1), count)
    return (whole / GRID).astype(np.float32)


def _scale(values: Array) -> float:
    """Return the power of two that is nearest to the largest of some values."""
    largest = float(np.abs(values).max(initial=0.0))
    return 2.0 ** round(math.log2(largest)) if 0 < largest < math.inf else 1.0


def _weights(spec: Any) -> Iterator[tuple[str, Any]]:
    """Yield every weight with the name of its field; EditError where not all can be seeded."""
    for layer in every_layer(network_of(spec).layers):
        for field, weight in parameters(layer).ListFields() if layer.WhichOneof("layer") else ():
            if getattr(field.message_type, "name", "") != "WeightParams":
                continue
            if not weights.count(weight):
                continue
            if layer.WhichOneof("layer") not in SEEDED or weight.HasField("quantization"):
                raise EditError(
                    f"those of layer '{layer.name}' ({layer.WhichOneof('layer')}) are quantised, "
                    "or no plain weights"
                )
            yield field.name, weight
