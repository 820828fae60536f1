"""Inputs on which a network can be run that computes sizes and indices from them.

Most networks run on zeros of their default shapes. For the others there is a row of further tries:
other allowed shapes, and each input filled with one of a few numbers that are sizes or indices.
"""

from __future__ import annotations

import itertools
from random import Random
from typing import TYPE_CHECKING

import torch

from migrate import shapes
from migrate.network import default_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from migrate.network import Feature, Network

    Shape = tuple[int, ...]

MOST = 600  # tries
LARGEST_SIZE = 64  # of what fills a shape vector
OPEN_SIZE = 16  # of a dimension without an upper bound, for a second try


def examples(network: Network) -> Iterator[dict[str, Tensor]]:
    """Yield inputs by name, the likeliest first."""
    return itertools.islice(_every(network), MOST)


def _every(network: Network) -> Iterator[dict[str, Tensor]]:
    inputs = network.inputs
    choices = [allowed_shapes(feature, network) for feature in inputs]
    default = [found[0] for found in choices]
    for shapes_ in dict.fromkeys(itertools.zip_longest(*choices)):
        sizes = [shape or default[i] for i, shape in enumerate(shapes_)]
        for value in (0.0, 1.0):
            yield _filled(inputs, sizes, [value] * len(inputs))
    values = sorted({0, 1, 2, *(n for shape in default for n in shape if n <= LARGEST_SIZE)})
    for chosen in itertools.islice(itertools.product(values, repeat=len(inputs)), MOST // 2):
        yield _filled(inputs, default, [float(value) for value in chosen])
    random = Random(0)
    while True:
        sizes = [_draw(feature, random) for feature in inputs]
        yield _filled(inputs, sizes, [float(random.choice(values)) for _ in inputs])


def _filled(
    inputs: tuple[Feature, ...], sizes: list[Shape], values: list[float]
) -> dict[str, Tensor]:
    rows = zip(inputs, sizes, values, strict=True)
    return {feature.name: torch.full(size, value) for feature, size, value in rows}


def allowed_shapes(feature: Feature, network: Network) -> list[Shape]:
    """Return allowed shapes of an input: its default, the others' of its rank, the largest."""
    others = [default_shape(other) for other in network.inputs]
    largest = tuple(high if high > 0 else max(low, OPEN_SIZE) for low, high in feature.bounds)
    found = [default_shape(feature), *feature.shapes, *others, largest]
    return list(dict.fromkeys(shape for shape in found if _is_allowed(feature, shape)))


def _draw(feature: Feature, random: Random) -> Shape:
    """Return an allowed shape; of an open dimension a size up to OPEN_SIZE."""
    if not feature.bounds:
        return random.choice(feature.shapes or (default_shape(feature),))
    ends = ((low, min(high, low + OPEN_SIZE) if high > 0 else OPEN_SIZE)
            for low, high in feature.bounds)  # fmt: skip
    return tuple(random.randint(low, max(low, high)) for low, high in ends)


def _is_allowed(feature: Feature, shape: Shape) -> bool:
    return shape == default_shape(feature) or (
        feature.flexible and any(shapes.fits(shape, form) for form in shapes.allowed(feature))
    )
