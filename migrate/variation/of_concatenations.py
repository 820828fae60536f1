"""Variants of concatenations: the other layer type, and the inputs in another order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.variation.channels import Source, follow, restoring
from migrate.variation.choice import chosen
from migrate.variation.editing import copied, forget_sizes, network_of, new_layer
from migrate.variation.registry import variant
from migrate.variation.relation import ANOTHER, CHANNEL, UP_TO, Relation
from migrate.variation.variant import Draft, EditError, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.variation.channels import Followed
    from migrate.variation.original import Original

FIRST_WITH_ND = 4  # the spec version that has concatND
NONE = "the network joins no channels"
OTHER = {"concat": "concatND", "concatND": "concat"}


def _each(original: Original, kind: str) -> tuple[list[int], list[LeftOut]]:
    found = original.concatenations()
    if not found:
        return [], [LeftOut(kind, NONE)]
    return chosen(original, kind, found, "concatenations")


@variant("other-concat")
def other_concat(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on the layer type: concatND for concat, or the reverse."""
    positions, others = _each(original, "other-concat")
    yield from others
    for i in positions:
        layer, other = original.network.layers[i], OTHER[original.network.layers[i].kind]
        raised = other == "concatND" and original.network.spec_version < FIRST_WITH_ND
        needed = f", in spec version {FIRST_WITH_ND}, which has it" if raised else ""
        yield Draft(
            layer.name,
            f"Whether the bug depends on the type of a layer: '{layer.name}' is a {other} in the "
            f"place of a {layer.kind}{needed}.",
            partial(_other_type, i),
            layers=(layer.name,),
        )


def _other_type(position: int, spec: Any) -> None:
    old = network_of(spec).layers[position]
    kind = OTHER[old.WhichOneof("layer")]
    new = new_layer(kind, old.name, old.input, old.output)
    if kind == "concatND":
        new.concatND.axis = CHANNEL
        spec.specificationVersion = max(spec.specificationVersion, FIRST_WITH_ND)
    new.inputTensor.extend(old.inputTensor)
    new.outputTensor.extend(old.outputTensor)
    old.CopyFrom(copied(new))


@variant("swapped")
def swapped(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on the order of a concatenation's inputs; the weights follow."""
    positions, others = _each(original, "swapped")
    yield from others
    for i in positions:
        layer = original.network.layers[i]
        line = (
            "Whether the bug depends on the order of a concatenation's inputs: the inputs of "
            f"'{layer.name}' are reversed, and the weights behind it permuted, so that the numbers "
            "are the same."
        )
        try:
            followed = follow(original, {i: Source(_reversed(original, i))})
            same = _permuted(original, followed)
        except EditError as error:
            yield LeftOut("swapped", str(error), layer.name, line)
            continue
        edit = partial(_reverse, i, followed)
        yield Draft(layer.name, line, edit, same, (layer.name, *_names(original, followed)))


def _names(original: Original, followed: Followed) -> list[str]:
    return [original.network.layers[i].name for i in followed.changes]


def _permuted(original: Original, followed: Followed) -> Relation:
    if not followed.outputs:
        return Relation()
    names = ", ".join(f"'{name}'" for name in followed.outputs)
    what = f"the order of the channels of {names}"
    return Relation(UP_TO, what, outputs=restoring(original, followed.outputs))


def _reversed(original: Original, position: int) -> Any:
    """Return which original channel each channel is, once the inputs are reversed."""
    sizes = [original.shapes[blob][CHANNEL] for blob in original.network.layers[position].inputs]
    ends = np.cumsum(sizes)
    parts = [np.arange(end - n, end) for end, n in zip(ends, sizes, strict=True)]
    return np.concatenate(parts[::-1])


def _reverse(position: int, followed: Followed | None, spec: Any) -> None:
    inputs = network_of(spec).layers[position].input
    inputs[:] = list(inputs)[::-1]
    if followed:
        followed.edit(spec)
    else:
        forget_sizes(spec)


@variant("swapped-only")
def swapped_only(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the wrong channels go with an input or with its place: inputs in another order."""
    positions, others = _each(original, "swapped-only")
    yield from others
    for i in positions:
        layer = original.network.layers[i]
        yield Draft(
            layer.name,
            "Whether the wrong channels go with an input or with its place: the inputs of "
            f"'{layer.name}' are reversed, and nothing else follows.",
            partial(_reverse, i, None),
            Relation(ANOTHER, f"with the inputs of '{layer.name}' reversed"),
            (layer.name,),
        )
