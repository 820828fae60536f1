"""Outputs of the module and of ML Programs against the float64 reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from migrate import features
from migrate.envelope import Envelope, K, envelopes
from migrate.errors import AnereportError
from migrate.evaluation import evaluate
from migrate.interface import program_names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from migrate.feature_types import Feature
    from migrate.followed import Program
    from migrate.module import Model

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


class Comparer:
    """Compares variants on the same inputs; the envelopes are computed once for each precision."""

    def __init__(
        self,
        net: Model,
        tries: Sequence[tuple[str, dict[str, Any]]],
        kept: Collection[str] = (),
    ) -> None:
        self.net, self.tries, self.kept = net, tries, kept
        self.rows: list[Comparison] = []
        self.failures: dict[str, None] = {}  # sentences
        self._known: dict[tuple[str, str], dict[str, Envelope] | AnereportError] = {}

    def module(self) -> None:
        """Compare the module in float32, by float16's envelope: float32's is made of its errors."""
        self._compare(TORCH, "fp16", lambda inputs: _of_module(self.net, inputs))

    def program(self, program: Program) -> None:
        """Compare an ML Program, by the envelope of its precision."""

        def outputs(inputs: dict[str, Any]) -> dict[str, Array]:
            return _of_program(self.net, evaluate(program.program, _renamed(self.net, inputs)))

        self._compare(f"ML Program {program.name}", program.precision, outputs)

    def _compare(
        self, variant: str, precision: str, outputs: Callable[[dict[str, Any]], dict[str, Array]]
    ) -> None:
        for kind, inputs in self.tries:
            explained = self._envelopes(kind, inputs, precision)
            if isinstance(explained, AnereportError):
                self.failures[f"not compared: {explained}"] = None
                continue
            try:
                self.rows += _rows(kind, variant, explained, outputs(inputs))
            except AnereportError as error:
                self.failures[f"{variant} is not compared on {kind} inputs: {error}"] = None

    def _envelopes(
        self, kind: str, inputs: dict[str, Any], precision: str
    ) -> dict[str, Envelope] | AnereportError:
        key = (kind, precision)
        if key not in self._known:
            try:
                self._known[key] = envelopes(self.net, inputs, precision, kept=self.kept)
            except AnereportError as error:
                self._known[key] = error
        return self._known[key]


def _rows(
    kind: str, variant: str, explained: dict[str, Envelope], found: dict[str, Any]
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
        feature.name: output_numbers(feature, outputs[names[feature.name]], net.network.labels)
        for feature in features.tensor_outputs(net.network)
        if feature.name != label
    }


def output_numbers(feature: Feature, value: Any, labels: Sequence[Any] = ()) -> Array:
    """Return an output's numbers, as predicted or recorded, in the order that envelopes have.

    Of a classifier those are its scores in the labels' order, of an image (PIL, or its array) the
    pixels as (1, C, H, W).
    """
    if feature.kind == "dictionary" and hasattr(value, "items"):
        scores = {str(label): score for label, score in value.items()}
        return np.array([scores[str(label)] for label in labels], np.float64)
    if feature.kind == "image":
        image = Image.fromarray(value) if _is_of_pil(value) else value
        return _numbers(features.to_tensor(feature, {feature.name: image}, torch.float64))
    return np.asarray(value, np.float64)  # an ML Program may give scores unlabelled


def _is_of_pil(value: Any) -> bool:
    """Tell whether an array is that of a PIL image: (H, W), or (H, W, 3 or 4) in RGB order."""
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8:
        return False
    return value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (3, 4))


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
