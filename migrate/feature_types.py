"""Features as a description declares them: mirrors FeatureTypes.proto, knows no torch."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from migrate.errors import ModelError
from migrate.limits import largest

FLEXIBLE_DIMENSION = 64  # what stands for a dimension that the description leaves open


@dataclass(frozen=True)
class Feature:
    """An input or output of the model as its description declares it."""

    name: str
    kind: str  # "multiArray", "image", "dictionary", "string", "int64", ...
    shape: tuple[int, ...] = ()  # declared; an image is (1, channels, height, width)
    dtype: str = "float32"  # float16, float32, float64 or int32
    color: str = ""  # RGB, BGR or GRAYSCALE, of an image
    optional: bool = False
    default: float | None = None  # what an absent optional input is filled with
    shapes: tuple[tuple[int, ...], ...] = ()  # the enumerated shapes, if any
    bounds: tuple[tuple[int, int], ...] = ()  # (lower, upper) per dimension; -1: no upper bound

    @property
    def flexible(self) -> bool:
        """Whether the description allows several shapes, and says which."""
        return bool(self.shapes or self.bounds)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The (lower, upper) bounds of an input's dimensions, of those that it leaves open too."""
        is_open = not self.shapes and min(self.shape, default=1) < 1
        open_too = tuple((n, n) if n > 0 else (1, -1) for n in self.shape) if is_open else ()
        return self.bounds or open_too


def read_features(descriptions: Any, what: str) -> tuple[Feature, ...]:
    """Return the inputs or the outputs of a description; ModelError for two of one name."""
    found = tuple(read_feature(f) for f in descriptions)
    names = Counter(feature.name for feature in found)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ModelError(f"two of the {what} are called {twice[0]!r}")
    return found


def read_feature(description: Any) -> Feature:
    """Return a feature of the description; ModelError for a shape that is none."""
    feature = _described(description)
    if any(n < -1 for n in feature.shape):
        shape = "x".join(map(str, feature.shape))
        raise ModelError(f"feature {feature.name!r} is declared with the shape {shape}")
    return feature


def _described(description: Any) -> Feature:
    kind = description.type.WhichOneof("Type") or ""
    kind = kind.removesuffix("Type")
    optional = description.type.isOptional
    if kind == "multiArray":
        return _array_feature(description.name, description.type.multiArrayType, optional)
    if kind == "image":
        return _image_feature(description.name, description.type.imageType, optional)
    return Feature(description.name, kind, optional=optional)


def _array_feature(name: str, array: Any, optional: bool) -> Feature:
    codes = {0: "float32", 65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32"}
    default = array.WhichOneof("defaultOptionalValue")
    enumerated = tuple(tuple(map(int, s.shape)) for s in array.enumeratedShapes.shapes)
    bounds = tuple((int(r.lowerBound), int(r.upperBound)) for r in array.shapeRange.sizeRanges)
    return Feature(
        name=name,
        kind="multiArray",
        shape=tuple(map(int, array.shape)) or _first(enumerated, bounds),
        dtype=codes.get(array.dataType, "float32"),
        optional=optional,
        default=float(getattr(array, default)) if default else None,
        shapes=enumerated,
        bounds=bounds,
    )


def _image_feature(name: str, image: Any, optional: bool) -> Feature:
    colors = {10: "GRAYSCALE", 20: "RGB", 30: "BGR", 40: "GRAYSCALE_FLOAT16"}
    color = colors.get(image.colorSpace, "RGB")
    channels = 1 if color.startswith("GRAYSCALE") else 3
    sizes = tuple((1, channels, int(s.height), int(s.width)) for s in image.enumeratedSizes.sizes)
    ranges = image.imageSizeRange
    bounds: tuple[tuple[int, int], ...] = ()
    if image.WhichOneof("SizeFlexibility") == "imageSizeRange":
        bounds = (
            (1, 1),
            (channels, channels),
            _bounds(ranges.heightRange),
            _bounds(ranges.widthRange),
        )
    shape: tuple[int, ...] = (1, channels, int(image.height), int(image.width))
    if not (image.height and image.width):
        shape = _first(sizes, bounds) or shape
    return Feature(
        name, "image", shape, "float32", color, optional=optional, shapes=sizes, bounds=bounds
    )


def _first(
    shapes: tuple[tuple[int, ...], ...], bounds: tuple[tuple[int, int], ...]
) -> tuple[int, ...]:
    """Return what FeatureTypes.proto makes the default where the description names none."""
    return shapes[0] if shapes else tuple(low for low, _ in bounds)


def _bounds(size_range: Any) -> tuple[int, int]:
    return int(size_range.lowerBound), int(size_range.upperBound)


def default_shape(feature: Feature) -> tuple[int, ...]:
    """Return a concrete shape that the feature allows: the declared one, open dimensions filled.

    They are FLEXIBLE_DIMENSION, or the half of it and so on where that is too large. Raises
    ModelError if all that are allowed are.
    """
    for halvings in range(FLEXIBLE_DIMENSION.bit_length()):
        shape = _filled(feature, FLEXIBLE_DIMENSION >> halvings)
        if math.prod(n for n in shape if n) <= largest():
            return shape
    claimed = "x".join(map(str, shape))
    raise ModelError(
        f"feature {feature.name!r} claims a size of {claimed}, the largest is {largest():,}: "
        "declare a smaller shape"
    )


def _filled(feature: Feature, size: int) -> tuple[int, ...]:
    """Return the declared shape with its open dimensions of a size, or as near as is allowed."""
    bounds = dict(enumerate(feature.bounds))
    lows_and_highs = (bounds.get(axis, (0, -1)) for axis in range(len(feature.shape)))
    return tuple(
        n if n > 0 else low or (size if high < 0 else min(high, size))
        for n, (low, high) in zip(feature.shape, lows_and_highs, strict=True)
    )
