"""Variants of channel counts: filled up with zeros to multiples of 32 and 64."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate import weights
from migrate.variation.channels import (
    Source,
    channels_of,
    declare_sizes,
    follow,
    restoring,
)
from migrate.variation.editing import forget_sizes, free_name, network_of, new_layer, parameters
from migrate.variation.passages import ZERO, rows
from migrate.variation.registry import variant
from migrate.variation.relation import UP_TO, Relation
from migrate.variation.variant import Draft, EditError, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.network import Layer
    from migrate.variation.channels import Followed
    from migrate.variation.original import Original


@variant("padded-32")
def padded_to_32(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on channel counts that are no multiples of 32: zeros fill them up."""
    yield from _padded(original, 32)


@variant("padded-64")
def padded_to_64(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on channel counts that are no multiples of 64: zeros fill them up."""
    yield from _padded(original, 64)


def _padded(original: Original, multiple: int) -> Iterator[Draft | LeftOut]:
    kind = f"padded-{multiple}"
    sources = {
        i: source
        for i, layer in enumerate(original.network.layers)
        if _can_grow(original, layer) and (source := _grown(original, layer, multiple))
    }
    if not sources:
        reason = f"no convolution gives a number of channels that {multiple} does not divide"
        yield LeftOut(kind, reason)
        return
    followed, kept, why = _followed(original, sources)
    question = f"Whether the bug depends on channel counts that {multiple} does not divide"
    if followed is None:
        names = tuple(original.network.layers[i].name for i in sources)
        line = (
            f"{question}: zeros fill up the channels of {_some(names)} to multiples of {multiple}, "
            "and a slice behind each takes them away again."
        )
        yield Draft("and sliced", line, partial(_pad_and_slice, original, sources), layers=names)
        return
    if len(kept) < len(sources):
        count = f"{len(sources) - len(kept)} of {len(sources)} convolutions"
        yield LeftOut(kind, f"{count} stay as they are: {why}")
    names = tuple(original.network.layers[i].name for i in kept)
    line = f"{question}: zeros fill up the channels of {_some(names)} to multiples of {multiple}."
    same = _extended(original, followed)
    yield Draft("", line, partial(_pad, original, followed), same, names)


def _pad_and_slice(original: Original, sources: dict[int, Source], spec: Any) -> None:
    layers = network_of(spec).layers
    for position in sorted(sources, reverse=True):
        layer, change = layers[position], sources[position].change
        if change:
            change(parameters(layer))
        name = free_name(spec, f"{layer.name}_padded")
        part = new_layer("slice", name, [name], list(layer.output))
        part.slice.endIndex = channels_of(original, original.network.layers[position])
        part.slice.stride = 1
        layer.output[0] = name
        layers.insert(position + 1, part)
    forget_sizes(spec)


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


def _can_grow(original: Original, layer: Layer) -> bool:
    p = layer.params
    return (
        layer.kind == "convolution"
        and (p.nGroups or 1) == 1
        and bool(weights.count(p.weights))
        and original.once(layer)
    )


def _grown(original: Original, layer: Layer, multiple: int) -> Source | None:
    count = channels_of(original, layer)
    if count % multiple == 0:
        return None
    index = np.full(-(-count // multiple) * multiple, ZERO)
    index[:count] = np.arange(count)
    return Source(index, partial(rows, index=index))


def _followed(
    original: Original, sources: dict[int, Source]
) -> tuple[Followed | None, list[int], str]:
    """Follow all the sources, or if that fails those that can be followed alone, and say why."""
    why = ""
    kept = dict(sources)
    try:
        return _checked(original, kept), list(kept), ""
    except EditError as error:
        why = str(error)
    for i in sources:
        try:
            _checked(original, {i: sources[i]})
        except EditError:
            del kept[i]
    try:
        return (_checked(original, kept) if kept else None), list(kept), why
    except EditError as error:
        return None, [], str(error)


def _checked(original: Original, sources: dict[int, Source]) -> Followed:
    followed = follow(original, sources)
    restoring(original, followed.outputs)
    return followed


def _extended(original: Original, followed: Followed) -> Relation:
    if not followed.outputs:
        return Relation()
    names = ", ".join(f"'{name}'" for name in followed.outputs)
    found = restoring(original, followed.outputs)
    return Relation(UP_TO, f"further channels of {names}", outputs=found)


def _pad(original: Original, followed: Followed, spec: Any) -> None:
    followed.edit(spec)
    declare_sizes(original, spec, followed.outputs)
