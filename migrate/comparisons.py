"""Outputs of the module and of ML Programs against the float64 reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from migrate import features
from migrate.envelope import Envelope, K, envelopes
from migrate.errors import AnereportError
from migrate.evaluation import evaluate
from migrate.interface import program_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from migrate.followed import Program
    from migrate.module import Model
    from migrate.network import Feature

    Array = NDArray[np.float64]

TORCH = "torch float32"


@dataclass(frozen=True)
class Comparison:
    """One output of one variant, for one set of inputs."""

    inputs: str
    output: str
    variant: str  # "torch float32", or "ML Program" and its name
    largest: float  # error
    rmse: float
    ratio: float  # of the worst channel's error to what rounding explains
    within: bool  # what rounding explains, K times


def compare(
    net: Model, programs: Sequence[Program], kind: str, inputs: dict[str, Any]
) -> tuple[list[Comparison], list[str]]:
    """Return a comparison for each output and variant, and in a sentence each what is not compared.

    The envelope is that of float16 for fp16 programs, and that of float32 for the others.
    """
    rows: list[Comparison] = []
    failures: list[str] = []
    for precision in ("fp32", "fp16"):
        judged = [program for program in programs if program.precision == precision]
        if not judged and precision == "fp16":
            continue
        try:
            explained = envelopes(net, inputs, precision)
        except AnereportError as error:
            failures.append(f"not compared: {error}")
            continue
        if precision == "fp32":
            rows += _rows(net, kind, TORCH, explained, _of_module(net, inputs))
        for program in judged:
            variant = f"ML Program {program.name}"
            try:
                found = _of_program(net, evaluate(program.program, _renamed(net, inputs)))
                rows += _rows(net, kind, variant, explained, found)
            except AnereportError as error:
                failures.append(f"{variant} is not compared on {kind} inputs: {error}")
    return rows, failures


def _rows(
    net: Model, kind: str, variant: str, explained: dict[str, Envelope], found: dict[str, Any]
) -> Iterator[Comparison]:
    for name, envelope in explained.items():
        values = np.asarray(found[name], np.float64)
        ratio = float(np.max(envelope.ratio(values), initial=0.0))
        difference = _difference(values.reshape(envelope.reference.shape), envelope.reference)
        largest = float(np.max(difference, initial=0.0))
        relative = difference / largest if 0 < largest < np.inf else np.sign(difference)
        yield Comparison(
            inputs=kind,
            output=name,
            variant=variant,
            largest=largest,
            rmse=largest * float(np.sqrt(np.mean(relative**2))) if largest else 0.0,
            ratio=ratio,
            within=envelope.within(values),
        )


@np.errstate(invalid="ignore", over="ignore")
def _difference(values: Array, reference: Array) -> Array:
    """Return the errors; there is none where both are the same infinity or no number."""
    same = (values == reference) | (np.isnan(values) & np.isnan(reference))
    found: Array = np.where(same, 0.0, np.abs(values - reference))
    return np.nan_to_num(found, nan=np.inf, posinf=np.inf)


def _of_module(net: Model, inputs: dict[str, Any]) -> dict[str, Array]:
    given = (features.to_tensor(f, inputs, torch.float32) for f in net.network.inputs)
    with torch.no_grad():
        outputs = net(*given)
    values = outputs if isinstance(outputs, tuple) else (outputs,)
    return {
        feature.name: _numbers(features.passed_on(feature, value))
        for feature, value in zip(features.tensor_outputs(net.network), values, strict=True)
    }


def _of_program(net: Model, outputs: dict[str, Any]) -> dict[str, Array]:
    names = program_names(net.network).outputs
    label = net.network.predicted_feature if net.network.labels else None
    return {
        feature.name: _read(net, feature, outputs[names[feature.name]])
        for feature in features.tensor_outputs(net.network)
        if feature.name != label
    }


def _read(net: Model, feature: Feature, value: Any) -> Array:
    if feature.kind == "dictionary":
        return np.array([value[label] for label in net.network.labels], np.float64)
    if feature.kind == "image":
        return _numbers(features.to_tensor(feature, {feature.name: value}, torch.float64))
    return np.asarray(value, np.float64)


def _numbers(x: torch.Tensor) -> Array:
    found: Array = x.detach().double().numpy()
    return found


def _renamed(net: Model, inputs: dict[str, Any]) -> dict[str, Any]:
    names = program_names(net.network).inputs
    return {names[name]: value for name, value in inputs.items()}


def excesses(rows: Sequence[Comparison]) -> list[str]:
    """Return a sentence for each output and variant that rounding does not explain."""
    worst: dict[tuple[str, str], Comparison] = {}
    for row in rows:
        key = (row.variant, row.output)
        if not row.within and (key not in worst or row.ratio > worst[key].ratio):
            worst[key] = row
    return [
        f"{row.variant}, output '{row.output}': its error is {row.ratio:.3g} times what rounding "
        f"explains ({K:g} times is the limit), on {row.inputs} inputs"
        for row in worst.values()
    ]
