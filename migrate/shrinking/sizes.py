"""Smaller inputs: the height and the width that all array inputs have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrate.shrinking.knob import Knob, Reduction
from migrate.variation.editing import declare
from migrate.variation.variant import EditError

if TYPE_CHECKING:
    from migrate.feature_types import Feature
    from migrate.variation.original import Original

AXES = {"height": -2, "width": -1}
SPATIAL = 3  # the rank from which an array has height and width


def knobs(original: Original) -> tuple[list[Knob], list[str]]:
    """Return the knobs of height and width, and why there is none."""
    found, why = [], []
    inputs = [f for f in original.network.inputs if len(f.shape) >= SPATIAL]
    for kind, axis in AXES.items():
        sizes = {f.shape[axis] for f in inputs} - {1}
        if any(f.kind != "multiArray" or f.flexible or min(f.shape) < 1 for f in inputs):
            why.append(f"the {kind} of the inputs stays: images and flexible shapes are not cut")
        elif len(sizes) > 1:
            why.append(f"the {kind} of the inputs stays: they have several, {_listed(sizes)}")
        elif sizes:
            found.append(Knob(kind, "", sizes.pop()))
    return found, why


def _listed(sizes: set[int]) -> str:
    return ", ".join(map(str, sorted(sizes)))


def edit(original: Original, reduction: Reduction, spec: Any) -> None:
    """Declare the inputs with a smaller height or width, those that have 1 aside."""
    axis = AXES[reduction.kind]
    concerned = {f.name: f for f in original.network.inputs if _has(f, axis)}
    if not concerned:
        raise EditError(f"no input has a {reduction.kind}")
    for feature in spec.description.input:
        if feature.name in concerned:
            shape = list(concerned[feature.name].shape)
            if not 0 < reduction.value <= shape[axis]:
                raise EditError(
                    f"input '{feature.name}' has {reduction.kind} {shape[axis]}, "
                    f"which cannot be {reduction.value}"
                )
            shape[axis] = reduction.value
            declare(feature, shape)


def _has(feature: Feature, axis: int) -> bool:
    plain = feature.kind == "multiArray" and len(feature.shape) >= SPATIAL
    return plain and feature.shape[axis] > 1
