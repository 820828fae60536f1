"""Inputs that any language can make again. Seeded: a 32-bit hash of each element's index.

    x = index + 0x9E3779B9 * (seed * 256 + input + 1)            all arithmetic modulo 2**32
    x ^= x >> 16; x *= 0x85EBCA6B; x ^= x >> 13; x *= 0xC2B2AE35; x ^= x >> 16
    array:  ((x & 2047) - 1024) / 512     image:  x & 255     integer array:  x & 1

`input` is the position of the feature in the model's description, `index` counts elements in row
major order. Controls have the same of every seed and feature:

               array                              image            integer array
    ramp       ((index & 2047) - 1024) / 512      index & 255      index & 1
    impulse    0, and 1 at index count // 2       0, and 255       0, and 1
    zeros      0                                  0                0
    ones       1                                  255              1

Every value is exact in float16, so no compute unit rounds the input itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from migrate import default_shape
from reporter.measure import subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from migrate import Feature

TRIED = 4  # seeds
SEED = "seed-"  # of an input's name
CONTROLS = ("ramp", "impulse", "zeros", "ones")
GOLDEN, FIRST, SECOND = 0x9E3779B9, 0x85EBCA6B, 0xC2B2AE35


@dataclass(frozen=True)
class Schedule:
    """How much is measured: of how many seeds, each how often, and whether of the controls too.

    Raises AnereportError for less than one.
    """

    seeds: int = 2
    repeats: int = 3
    controls: bool = False

    def __post_init__(self) -> None:
        for name, count in (("seeds", self.seeds), ("repeats", self.repeats)):
            if count < 1:
                raise migrate.AnereportError(f"--{name} is 1 or more, not {count}")


def scheduled(
    model: Any, schedule: Schedule, custom: Sequence[str] = ()
) -> dict[str, dict[str, NDArray[Any]]]:
    """Return inputs by name: the first telling seed and those that follow it, then controls."""
    first, arrays = telling(model, custom)
    start = int(first.removeprefix(SEED))
    more = range(start + 1, start + schedule.seeds)
    found = {first: arrays, **{f"{SEED}{seed}": seeded(model, seed) for seed in more}}
    return found | (controls(model) if schedule.controls else {})


def controls(model: Any) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the inputs that are no noise, by what they are called."""
    features = subject.read(model).inputs
    return {
        name: {feature.name: control(feature, name) for feature in features} for name in CONTROLS
    }


def seeded(model: Any, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Return an array for each input of the model, of its default shape and declared type."""
    return {
        feature.name: values(feature, seed, position)
        for position, feature in enumerate(subject.read(model).inputs)
    }


def telling(model: Any, custom: Sequence[str] = ()) -> tuple[str, dict[str, NDArray[Any]]]:
    """Return the first seeded inputs on which rounding leaves something to see, and their name.

    Where rounding alone makes errors as large as an output, a wrong unit could not be told. If all
    of TRIED are so, or nothing is known of rounding, they are those of seed 0.
    """
    for seed in range(TRIED):
        found = seeded(model, seed)
        try:
            envelopes = _envelopes(model, dict(found), custom)
        except migrate.AnereportError:
            break
        if not any(envelope.unfit for envelope in envelopes.values()):
            return f"{SEED}{seed}", found
    return f"{SEED}0", seeded(model)


def _envelopes(
    model: Any, inputs: dict[str, Any], custom: Sequence[str]
) -> dict[str, migrate.Envelope]:
    found = subject.read(model, custom)
    if isinstance(found, migrate.ProgramOverview):
        return migrate.program_envelopes(model, inputs)
    return migrate.envelopes(migrate.to_torch(found, migrate.load_custom(custom, found)), inputs)


def values(feature: Feature, seed: int, position: int) -> NDArray[Any]:
    """Return the seeded values of one feature."""
    shape = default_shape(feature)
    return _drawn(feature, hashed(int(np.prod(shape)), seed, position)).reshape(shape)


def control(feature: Feature, name: str) -> NDArray[Any]:
    """Return the values of one feature in a control; `name` is one of CONTROLS."""
    shape = default_shape(feature)
    index = np.arange(np.prod(shape, dtype=int), dtype=np.uint32)
    ramp = _drawn(feature, index)
    if name == "ramp":
        return ramp.reshape(shape)
    middle = index.size // 2
    lit = {"impulse": slice(middle, middle + 1), "zeros": slice(0), "ones": slice(None)}[name]
    found = np.zeros_like(ramp)
    found[lit] = 255 if feature.kind == "image" else 1
    return found.reshape(shape)


def _drawn(feature: Feature, x: NDArray[np.uint32]) -> NDArray[Any]:
    """Return what a feature has for 32 bits of each element."""
    if feature.kind == "image":
        return (x & 255).astype(np.uint8)
    if feature.dtype == "int32":
        return (x & 1).astype(np.int32)
    return ((x & 2047).astype(np.float32) - 1024) / 512


def hashed(count: int, seed: int, position: int) -> NDArray[np.uint32]:
    """Return the hash of the indices 0 to count - 1."""
    start = GOLDEN * (seed * 256 + position + 1) % 2**32
    x = np.arange(count, dtype=np.uint32) + np.uint32(start)
    for shift, factor in ((16, FIRST), (13, SECOND)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))
