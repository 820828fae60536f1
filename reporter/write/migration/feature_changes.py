"""What became of a model's features: names, shapes and types, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reporter.understand.migrated import ABSENT, FeatureChange

if TYPE_CHECKING:
    from collections.abc import Sequence


def changes(before: Any, after: Any) -> tuple[FeatureChange, ...]:
    """Return the features of two specs side by side: inputs, then outputs, in order."""
    found = []
    for role in ("input", "output"):
        olds = list(getattr(before.description, role))
        news = {feature.name: feature for feature in getattr(after.description, role)}
        kept = {feature.name: news.pop(feature.name, None) for feature in olds}
        renamed = iter(news.values())  # in order: a feature that lost its name took one of these
        for old in olds:
            new = kept[old.name] or next(renamed, None)
            name = new.name if new else old.name
            found.append(_change(role, _words(old), _words(new), old.name, name))
        found += [_change(role, ABSENT, _words(f), f.name, f.name) for f in renamed]
    return tuple(found)


def _change(role: Any, before: str, after: str, name_before: str, name_after: str) -> FeatureChange:
    return FeatureChange(
        role=role, before=before, after=after, name_before=name_before, name_after=name_after
    )


def lost(changes: tuple[FeatureChange, ...]) -> list[str]:
    """Return a sentence for each feature that the ML Program lacks, or gives without labels."""
    found = []
    for c in changes:
        feature = f"{c.role} '{c.name_before}'"
        if c.after == ABSENT:
            found.append(f"{feature} ({c.before}) is not carried over to the ML Program")
        elif c.before == "dictionary" != c.after:
            found.append(f"{feature} is a dictionary; the ML Program gives {c.after} unlabelled")
    return found


def _words(feature: Any) -> str:
    """Return a feature's kind, shape and type in a few words."""
    if feature is None:
        return ABSENT
    kind = feature.type.WhichOneof("Type").removesuffix("Type")
    if kind == "multiArray":
        array = feature.type.multiArrayType
        dtype = array.ArrayDataType.Name(array.dataType)
        return f"{_shapes(array)} {dtype}" + (", optional" if feature.type.isOptional else "")
    if kind == "image":
        image = feature.type.imageType
        return f"image {_sizes(image)} {image.ColorSpace.Name(image.colorSpace)}"
    return str(kind)


def _shapes(array: Any) -> str:
    ranges = array.shapeRange.sizeRanges
    if ranges:
        return "x".join(_range(r) for r in ranges)
    return _enumerated(array.shape, [s.shape for s in array.enumeratedShapes.shapes])


def _sizes(image: Any) -> str:
    if image.WhichOneof("SizeFlexibility") == "imageSizeRange":
        ranges = image.imageSizeRange
        return f"{_range(ranges.widthRange)}x{_range(ranges.heightRange)}"
    others = [(s.width, s.height) for s in image.enumeratedSizes.sizes]
    return _enumerated((image.width, image.height), others)


def _range(bounds: Any) -> str:
    low, high = bounds.lowerBound, bounds.upperBound
    return str(low) if low == high else f"({low}..{high if high > 0 else ''})"


def _enumerated(default: Sequence[int], shapes: Sequence[Sequence[int]]) -> str:
    """Return the default shape, and how many others are allowed."""
    more = sum(tuple(shape) != tuple(default) for shape in shapes)
    others = f" or {more} other{'s' if more > 1 else ''}" if more else ""
    return ("x".join(map(str, default)) or "no shape") + others
