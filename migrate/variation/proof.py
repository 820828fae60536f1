"""A draft made into a variant: it loads, it runs, and its numbers are what it says they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.coreml import coremltools
from migrate.errors import AnereportError, ModelError
from migrate.module import to_torch
from migrate.network import read_network
from migrate.variation.editing import copied, declare
from migrate.variation.original import run
from migrate.variation.relation import ANOTHER, UP_TO, Rearrangement, Relation
from migrate.variation.variant import Draft, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migrate.variation.original import Original
    from migrate.variation.relation import Array

TOLERANCE = 1e-9  # of the largest value of an output, in float64
LEADING = "leading dimensions of 1"


class BrokenVariantError(AnereportError):
    """A variant that is not what it says it is."""


def prove(
    original: Original, kind: str, draft: Draft, name: str, blobs: Mapping[str, Array]
) -> Variant:
    """Make a variant of a draft; AnereportError, in a sentence, where it is none.

    `blobs` are those of the original that the variant shows.
    """
    spec = copied(original.spec)
    draft.edit(spec)
    network = read_network(spec)
    net = to_torch(network, original.custom).double()
    wanted = {feature.name for feature in network.inputs}
    inputs = draft.same.given({n: x for n, x in original.inputs.items() if n in wanted})
    outputs = run(net, inputs)
    same = draft.same
    if same.word == ANOTHER:
        if declare_computed(original, spec, outputs):
            net = to_torch(spec, original.custom).double()
            outputs = run(net, inputs)
    else:
        same = _proved(same, outputs, original.outputs)
    _prove_blobs(same, outputs, blobs)
    _load(spec)
    return Variant(name, kind, draft.line, spec, same, draft.layers, net, inputs, outputs)


def _proved(same: Relation, outputs: Mapping[str, Array], wanted: Mapping[str, Array]) -> Relation:
    """Return the relation, with what it leaves out of ones in front; raise if it does not hold."""
    found = same.restored(outputs)
    if set(found) != set(wanted):
        raise BrokenVariantError(f"it gives {', '.join(found)} in the place of {', '.join(wanted)}")
    ranks = {
        name: len(wanted[name].shape)
        for name, value in found.items()
        if value.shape != wanted[name].shape and _squeezed(value) == _squeezed(wanted[name])
    }
    if ranks:
        arranged = {
            name: replace(same.outputs.get(name, Rearrangement()), rank=rank)
            for name, rank in ranks.items()
        }
        what = f"{same.what}, and {LEADING}" if same.word == UP_TO else LEADING
        same = replace(same, word=UP_TO, what=what, outputs={**same.outputs, **arranged})
        found = same.restored(outputs)
    for name, value in found.items():
        _require_equal(f"output '{name}'", value, wanted[name])
    return same


def _squeezed(x: Array) -> tuple[int, ...]:
    """Return a shape without the ones in front."""
    lead = next((i for i, n in enumerate(x.shape) if n != 1), x.ndim)
    return x.shape[lead:]


def _prove_blobs(same: Relation, outputs: Mapping[str, Array], blobs: Mapping[str, Array]) -> None:
    for name, blob in same.shows.items():
        value, wanted = outputs[name], blobs[blob]
        fits = _squeezed(value) == _squeezed(wanted)
        _require_equal(f"'{name}'", value.reshape(wanted.shape) if fits else value, wanted)


def _require_equal(what: str, value: Array, wanted: Array) -> None:
    """Raise BrokenVariantError unless two arrays are equal, by TOLERANCE of the largest value."""
    if value.shape != wanted.shape:
        shapes = ["x".join(map(str, x.shape)) for x in (value, wanted)]
        raise BrokenVariantError(f"{what} is {shapes[0]} and should be {shapes[1]}")
    finite = np.abs(wanted[np.isfinite(wanted)])
    margin = TOLERANCE * float(finite.max(initial=0.0))
    if not np.allclose(value, wanted, rtol=0.0, atol=margin, equal_nan=True):
        with np.errstate(invalid="ignore"):
            worst = float(np.nan_to_num(np.abs(value - wanted), nan=np.inf).max())
        raise BrokenVariantError(f"{what} is off by {worst:.3g} in float64")


def declare_computed(original: Original, spec: Any, outputs: Mapping[str, Array]) -> bool:
    """Declare outputs whose shapes are not the original's as they are computed; tell if any."""
    changed = False
    for feature in spec.description.output:
        if feature.type.WhichOneof("Type") != "multiArrayType" or feature.name not in outputs:
            continue
        before, shape = original.outputs.get(feature.name), outputs[feature.name].shape
        if before is not None and before.shape != shape and feature.type.multiArrayType.shape:
            declare(feature, shape)
            changed = True
    return changed


def _load(spec: Any) -> None:
    """Load a spec with coremltools, uncompiled."""
    try:
        coremltools().models.MLModel(spec, skip_model_load=True)
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"coremltools does not load it: {first}") from error
