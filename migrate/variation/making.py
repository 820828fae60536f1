"""All variants of a model, one after the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from migrate.errors import AnereportError
from migrate.variation.original import MOST, Original, blobs_of
from migrate.variation.proof import prove
from migrate.variation.registry import drafters
from migrate.variation.variant import Draft, LeftOut, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from migrate.block import Custom

LONGEST = 60  # letters of a name


def variants(model: Any, custom: Custom | None = None, *, most: int = MOST) -> tuple[Variant, ...]:
    """Return the edits of a NeuralNetwork that a person would try by hand, each proved in torch.

    `model` is a path, a `Model_pb2.Model` or an `MLModel`; `custom` gives builders for custom
    layers by class name; `most` bounds the variants of a kind, those nearest to a concatenation or
    an output first. Each loads with coremltools, runs in torch, and is to the original what its
    `same` says, in float64 and to 1e-9 of the largest value. What cannot be made is left out;
    `each_variant` says why. Raises ModelError for a pipeline, and for what is no NeuralNetwork.
    """
    found = each_variant(model, custom, most=most)
    return tuple(variant for variant in found if isinstance(variant, Variant))


def each_variant(
    model: Any,
    custom: Custom | None = None,
    *,
    most: int = MOST,
    inputs: Mapping[str, Any] | None = None,
    progress: Any = None,
) -> Iterator[Variant | LeftOut]:
    """Yield each variant once it is proved, and for what is left out the reason.

    `inputs`, arrays by feature, are what it is proved on, else seeded normal values. `progress` is
    told how many steps there are, and of each. See `variants`.
    """
    original = Original.of(model, custom, most, inputs)
    drafts: list[tuple[str, Draft]] = []
    for kind, draft in drafters().items():
        for found in draft(original):
            if isinstance(found, LeftOut):
                yield found
            else:
                drafts.append((kind, found))
    if progress:
        progress.expect(len(drafts))
    blobs = blobs_of(original, {b for _, made in drafts for b in made.same.shows.values()})
    taken: set[str] = set()
    for kind, made in drafts:
        name = _name(kind, made.name, taken)
        if progress:
            progress.step(f"making {name}")
        try:
            yield prove(original, kind, made, name, blobs)
        except AnereportError as error:
            yield LeftOut(kind, str(error), name, made.line)


def _name(kind: str, what: str, taken: set[str]) -> str:
    """Return a name for a file that none has yet, small letters or not, and take it."""
    cleaned = re.sub(r"[^0-9A-Za-z_]+", "-", what).strip("-")
    stem = name = f"{kind}-{cleaned}"[:LONGEST].strip("-")
    number = 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.lower())
    return name
