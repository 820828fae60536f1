"""ML Programs on any system: features in and out as `MLModel.predict` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from migrate import features
from migrate.errors import InputError, ModelError
from migrate.feature_types import read_features
from migrate.limits import INT32_MAX
from migrate.mil.program import load
from migrate.mil.run import Arithmetic, run_block, torch_dtype
from migrate.names import mil_name

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.feature_types import Feature
    from migrate.mil.program import Program


def evaluate(program: Any, inputs: dict[str, Any], *, widened: bool = False) -> dict[str, Any]:
    """Return the outputs of an ML Program for inputs, both by feature name.

    `program` is an `MLModel` of type ML Program or the path of an .mlpackage. Arrays and images go
    in and come out as with `MLModel.predict`. Each operation is computed in float32 on the CPU and
    rounded to the type that the program declares; a device may accumulate otherwise. Widened, what
    it declares as float16 stays float32, outputs included: what float16 is to be measured by.
    Raises ModelError, UnsupportedError or InputError, each in a sentence.
    """
    outputs = compute(load(program), inputs, Arithmetic(widened))
    return {feature.name: _output(feature, value, exact=widened) for feature, value in outputs}


def compute(
    program: Program, inputs: dict[str, Any], arithmetic: Arithmetic
) -> list[tuple[Feature, Any]]:
    """Return each output feature with its value: a tensor, or of a classifier a label and scores.

    An input is in the type of its feature whatever the arithmetic: that is what a device is given.
    """
    description = read_features(program.description.input, "inputs")
    outputs = read_features(program.description.output, "outputs")
    _match(program, description, outputs)
    inputs = _named(inputs, {feature.name for feature in description})
    features.refuse_unknown(description, inputs)
    values: dict[Any, Any] = {}
    for feature in description:
        var = program.function.inputs[feature.name]
        values[var] = _input(feature, inputs, torch_dtype(var))
    with torch.no_grad():
        results = run_block(program.function, values, arithmetic)
    given = {var.name: r for var, r in zip(program.function.outputs, results, strict=True)}
    return [(feature, given[feature.name]) for feature in outputs]


def _match(program: Program, inputs: tuple[Feature, ...], outputs: tuple[Feature, ...]) -> None:
    """Raise ModelError if the description names what the function does not have."""
    given = {var.name for var in program.function.outputs}
    for what, features_, names in (
        ("input", inputs, set(program.function.inputs)),
        ("output", outputs, given),
    ):
        missing = [feature.name for feature in features_ if feature.name not in names]
        if missing:
            raise ModelError(f"the program has no {what} {missing[0]!r}, which its model describes")
    unfed = sorted(set(program.function.inputs) - {feature.name for feature in inputs})
    if unfed:
        raise ModelError(f"the program has an input {unfed[0]!r} that its model does not describe")


def _named(inputs: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Return the inputs by the names of the program: coremltools rewrites what MIL cannot hold."""
    names = {name: name if name in known else mil_name(name) for name in inputs}
    clash = [name for name in names if names[name] != name and names[name] in inputs]
    names.update({name: name for name in clash})
    return {names[name] if names[name] in known else name: x for name, x in inputs.items()}


def _input(feature: Feature, inputs: dict[str, Any], dtype: torch.dtype) -> Tensor:
    """Return an input in the program's type; one of another kind of number is refused."""
    value = inputs.get(feature.name)
    if feature.dtype == "int32" and np.asarray(value).dtype.kind == "f":
        raise InputError(f"input {feature.name!r} takes integers, got {np.asarray(value).dtype}")
    x = features.to_tensor(feature, inputs, torch.float64)
    if dtype == torch.int32 and bool(((x < -INT32_MAX - 1) | (x > INT32_MAX)).any()):
        raise InputError(f"input {feature.name!r} has integers of more than 32 bits")
    if x.ndim != len(feature.shape):
        raise InputError(
            f"input {feature.name!r} has {x.ndim} dimensions, the model takes {len(feature.shape)}"
        )
    return x.to(dtype)


def _output(feature: Feature, value: Any, exact: bool) -> Any:
    if not isinstance(value, torch.Tensor):
        if feature.kind == "image":
            raise ModelError(
                f"output {feature.name!r} is an image, the program gives a {type(value).__name__}"
            )
        return value
    if feature.kind == "image":
        return features.to_pil(value, feature)
    return features.to_array(value, "" if exact else feature.dtype)
