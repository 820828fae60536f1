"""Inputs as an app carries them: the bytes that the record will hold, in files named by their hash.

An array keeps the element type it has, as on a Mac. An image is (1, C, H, W) in the feature's
order: uint8, or float16 where the feature is GRAYSCALE_FLOAT16.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate import AnereportError
from reporter.measure import subject
from reporter.measure.given import check_inputs, planes
from reporter.measure.inputs import scheduled
from reporter.measure.tensor import RecordError, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from migrate import Feature
    from reporter.measure.inputs import Schedule

NUMBERS = ("float16", "float32", "float64", "int32")  # what an MLMultiArray of iOS 16 holds


class CarriedError(AnereportError):
    """Inputs that an app cannot give to the model."""


@dataclass(frozen=True)
class InputValue:
    """One input: `file` holds its elements, little-endian and in row major order."""

    name: str
    kind: str  # "multiArray" or "image"
    dtype: str
    shape: tuple[int, ...]
    color: str  # of an image, as `Feature` has it
    file: str  # SHA256.bin


@dataclass(frozen=True)
class InputSet:
    """The inputs of one prediction; `name` is what the record calls them."""

    name: str
    values: tuple[InputValue, ...]


def input_sets(
    model: Path, given: Mapping[str, Any] | None, schedule: Schedule, folder: Path
) -> Iterator[InputSet]:
    """Yield a model's inputs, those `given` or the schedule's, and write their files to `folder`.

    Raises AnereportError for inputs that are not the model's, or that no app can make.
    """
    features = {feature.name: feature for feature in subject.read(model).inputs}
    for feature in features.values():
        if feature.kind not in ("multiArray", "image"):
            raise CarriedError(
                f"input '{feature.name}' of {model.name} is a {feature.kind}: an app of anereport "
                "carries arrays and images only"
            )
    if given is not None:
        check_inputs(given, model)
    sets = {"user": given} if given is not None else scheduled(model, schedule)
    for name, arrays in sets.items():
        values = (_value(features[key], array, folder) for key, array in arrays.items())
        yield InputSet(name, tuple(values))


def _value(feature: Feature, array: NDArray[Any], folder: Path) -> InputValue:
    try:
        tensor = Tensor.of(_pixels(feature, array) if feature.kind == "image" else array)
    except RecordError as error:
        raise CarriedError(f"input '{feature.name}': {error}") from error
    if feature.kind == "multiArray" and tensor.dtype not in NUMBERS:
        raise CarriedError(
            f"input '{feature.name}' is an array of {tensor.dtype}; "
            f"Core ML takes {', '.join(NUMBERS)}"
        )
    file = f"{hashlib.sha256(tensor.data).hexdigest()}.bin"
    (folder / file).write_bytes(tensor.data)
    return InputValue(feature.name, feature.kind, tensor.dtype, tensor.shape, feature.color, file)


def _pixels(feature: Feature, array: NDArray[Any]) -> NDArray[Any]:
    """Return an image's values as (1, C, H, W), of the type that its pixels have."""
    half = feature.color == "GRAYSCALE_FLOAT16"
    return planes(feature, array).astype(np.float16 if half else np.uint8)
