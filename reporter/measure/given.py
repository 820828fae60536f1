"""What Core ML can be given: what it would refuse on every compute unit is refused here, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure import subject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from migrate import Feature, Network, ProgramOverview

    Shape = tuple[int, ...]
    Form = tuple[tuple[int, int], ...]  # (lower, upper) per dimension; -1: no upper bound

ANY = -1


class GivenError(migrate.AnereportError):
    """A model that Core ML cannot load by itself, or inputs that are not the model's."""


def custom_classes(model: Path) -> tuple[str, ...]:
    """Return the classes of a model's custom layers, which Core ML loads in their own app alone."""
    found = subject.read(model)
    if isinstance(found, migrate.ProgramOverview):
        return ()
    layers = migrate.custom_layers(found)
    return tuple(dict.fromkeys(layer.params.className for layer in layers))


def check_layers(model: Path) -> None:
    """Raise GivenError for a model with custom layers."""
    if classes := custom_classes(model):
        raise GivenError(
            f"{model.name} has custom layers ({', '.join(classes)}): Core ML needs the app's own "
            "implementation of each class, so measure it in that app and give its outputs as "
            "results.npz"
        )


def check_inputs(inputs: Mapping[str, Any], model: Path) -> None:
    """Raise GivenError for an input that is too many, missing, or of another shape.

    An image has the values 0 to 255, whole, unless it is GRAYSCALE_FLOAT16.
    """
    described = subject.read(model)
    features = {f.name: f for f in described.inputs}
    names = ", ".join(features)
    for name in inputs:
        if name not in features:
            raise GivenError(f"{model.name} has no input '{name}': its inputs are {names}")
    for name, feature in features.items():
        if name in inputs:
            _check(feature, np.asarray(inputs[name]), described)
        elif not feature.optional:
            raise GivenError(f"the inputs lack '{name}': those of {model.name} are {names}")


def planes(feature: Feature, array: NDArray[Any]) -> NDArray[Any]:
    """Return an image's values as (1, C, H, W), of (C, H, W) too."""
    channels = feature.shape[1]
    if array.shape[-3:-2] != (channels,) or array.size != np.prod(array.shape[-3:]):
        raise GivenError(
            f"input '{feature.name}' is an image: give (1, {channels}, H, W), "
            f"not {_times(array.shape)}"
        )
    return array.reshape(1, *array.shape[-3:])


def _check(feature: Feature, array: NDArray[Any], model: Network | ProgramOverview) -> None:
    if feature.kind == "image":
        array = planes(feature, array)
        if feature.color != "GRAYSCALE_FLOAT16" and not _are_bytes(array):
            raise GivenError(f"input '{feature.name}' is an image: its values are 0 to 255, whole")
    elif feature.kind != "multiArray" or not feature.shape:
        return
    shape, forms = array.shape, _forms(feature)
    if not any(_fits(part, form) for form in forms for part in (shape, _inner(shape, form, model))):
        wanted = " or ".join(_times(map(_size, form)) for form in forms)
        raise GivenError(f"input '{feature.name}' has the shape {wanted}, not {_times(shape)}")


def _are_bytes(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "biuf" and bool(
        np.all((array >= 0) & (array <= 255) & (array == np.floor(array)))
    )


def _forms(feature: Feature) -> tuple[Form, ...]:
    """Return the forms that the description allows."""
    if feature.ranges:
        return (feature.ranges,)
    return tuple(tuple((n, n) for n in shape) for shape in feature.shapes or (feature.shape,))


def _fits(shape: Shape, form: Form) -> bool:
    return len(shape) == len(form) and all(
        low <= n and (high == ANY or n <= high) for n, (low, high) in zip(shape, form, strict=True)
    )


def _inner(shape: Shape, form: Form, model: Network | ProgramOverview) -> Shape:
    """Return C or [C, H, W] of [Seq, Batch, C, H, W], which the rank-5 mapping takes in its place.

    Any other shape is returned as it is.
    """
    rank = len(form)
    if isinstance(model, migrate.ProgramOverview) or rank not in (1, 3) or len(shape) != 5:
        return shape
    first, *_ = model.stages or (model,)
    is_sequence = first.rank5_arrays and shape[2 + rank :] == (1,) * (3 - rank)
    return shape[2 : 2 + rank] if is_sequence else shape


def _size(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return str(low) if low == high else f"{low}..{'' if high == ANY else high}"


def _times(sizes: Any) -> str:
    return "x".join(map(str, sizes))
