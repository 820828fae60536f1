"""Inputs on which a network can be run that computes sizes and indices from them.

Most networks run on zeros of their default shapes. For the others there is a row of further tries:
other allowed shapes, and each input filled with one of a few numbers that are sizes or indices.
"""

from __future__ import annotations

import itertools
import math
from random import Random
from time import monotonic
from typing import TYPE_CHECKING

import torch

from migrate import shapes
from migrate.errors import ModelError
from migrate.feature_types import default_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from migrate.feature_types import Feature
    from migrate.module import Model
    from migrate.network import Network

    Shape = tuple[int, ...]

MOST = 600  # tries
PATIENCE = 10.0  # seconds of tries
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
    yield from _with_shapes(inputs, default)
    values = sorted({0, 1, 2, *(n for shape in default for n in shape if n <= LARGEST_SIZE)})
    for chosen in itertools.islice(itertools.product(values, repeat=len(inputs)), MOST // 2):
        yield _filled(inputs, default, [float(value) for value in chosen])
    random = Random(0)
    while True:
        sizes = [_draw(feature, random) for feature in inputs]
        yield _filled(inputs, sizes, [float(random.choice(values)) for _ in inputs])


def _with_shapes(inputs: tuple[Feature, ...], sizes: list[Shape]) -> Iterator[dict[str, Tensor]]:
    """Yield inputs of which each vector holds a shape that another of them can be given.

    The first has its dimensions, ones in front; the second all of its elements in one dimension.
    """
    zeros = _filled(inputs, sizes, [0.0] * len(inputs))
    vectors = [(f.name, size[0]) for f, size in zip(inputs, sizes, strict=True) if len(size) == 1]
    for other in dict.fromkeys(sizes):
        for shape in (other, (math.prod(other),)):
            found = {
                name: torch.tensor([1.0] * (length - len(shape)) + [float(n) for n in shape])
                for name, length in vectors
                if length >= len(shape)
            }
            yield {**zeros, **found}


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


def runnable(net: Model) -> dict[str, Tensor]:
    """Return the first example that a network runs on; ModelError where it runs on none."""
    failures = []
    until = monotonic() + PATIENCE
    for inputs in examples(net.network):
        try:
            with torch.no_grad():
                net(*inputs.values())
        except ModelError as error:
            failures.append(error)
            if monotonic() > until:
                break
        else:
            return inputs
    raise failures[0]
