"""Three kinds of seeded inputs that a model is tried on; the same numbers on every system.

    normal                 standard normal values; of an image, normal around mid-grey
    integers               whole numbers from -8 to 8, exact in float16; of an image, any pixel
    as preprocessed        from 0 to 1, as images often are scaled; of an image, a bright gradient

Where a model computes sizes or indices from its inputs, few numbers fit; `fitting` gives such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.examples import runnable
from migrate.feature_types import default_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from migrate.feature_types import Feature
    from migrate.module import Model
    from migrate.network import Network

    Array = NDArray[Any]
    Draw = Callable[[np.random.RandomState, Feature, tuple[int, ...]], Array]


def trial(network: Network, kind: str, seed: int) -> dict[str, Array]:
    """Return inputs of one of KINDS, of the default shapes and declared types."""
    found = {}
    for position, feature in enumerate(network.inputs):
        random = np.random.RandomState((seed * 256 + position) % 2**32)
        values = KINDS[kind](random, feature, default_shape(feature))
        found[feature.name] = _typed(feature, values)
    return found


def fitting(net: Model) -> dict[str, Array]:
    """Return an example that the network runs on; ModelError where there is none."""
    example = runnable(net)
    return {f.name: _typed(f, example[f.name].numpy()) for f in net.network.inputs}


def _typed(feature: Feature, values: Array) -> Array:
    if feature.kind == "image" and not feature.color.endswith("FLOAT16"):
        return np.rint(values).clip(0, 255).astype(np.uint8)
    return np.rint(values).astype(np.int32) if feature.dtype == "int32" else values.astype("f4")


def _normal(random: np.random.RandomState, feature: Feature, shape: tuple[int, ...]) -> Array:
    if feature.kind == "image":
        return 128 + 40 * random.standard_normal(shape)
    drawn: Array = random.standard_normal(shape)
    return np.abs(drawn) if feature.dtype == "int32" else drawn


def _integers(random: np.random.RandomState, feature: Feature, shape: tuple[int, ...]) -> Array:
    if feature.kind == "image":
        return random.randint(0, 256, shape)
    return random.randint(0 if feature.dtype == "int32" else -8, 9, shape)


def _preprocessed(random: np.random.RandomState, feature: Feature, shape: tuple[int, ...]) -> Array:
    if feature.kind != "image":
        return random.randint(0, 1025, shape) / 1024
    height, width = shape[-2:]
    ramp = np.linspace(64, 255, height)[:, None] - np.linspace(0, 64, width)
    return ramp + random.randint(-16, 17, shape)


KINDS: dict[str, Draw] = {
    "normal": _normal,
    "integers": _integers,
    "as preprocessed": _preprocessed,
}
