"""The reference: what the model's definition gives, on any system.

That is a NeuralNetwork in float64, and an ML Program with all of its float16 in float32.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure import subject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reporter.measure.record import Value

METHOD = "computed here: the network as a torch module in float64"
PROGRAM_METHOD = "computed here: the ML Program evaluated with every fp16 operation in float32"


@dataclass(frozen=True)
class Reference:
    """The outputs that results are compared with, and what they are.

    `computed` is false where there are none, or where the CPU's values stand in for them.
    `envelopes` are what rounding explains of each output, or `unexplained` says why there are none.
    """

    outputs: dict[str, Any]
    note: str = METHOD
    computed: bool = True
    envelopes: Mapping[str, migrate.Envelope] = field(default_factory=dict)
    unexplained: str = ""


class Referee:
    """Computes the references for one model; `custom` are builders as on the command line."""

    def __init__(self, model: Path, custom: Sequence[str] = ()) -> None:
        self.model, self.custom = model, custom
        self.subject: Any = subject.read(model, custom)
        self._known: dict[tuple[Any, ...], Reference] = {}

    def compute(self, inputs: Mapping[str, Any]) -> Reference:
        """Return the outputs for arrays of inputs, or the reason why there are none.

        What was computed once is kept.
        """
        if not inputs:
            return unavailable("not comparable: the results carry no inputs")
        key = _key(inputs)
        if key not in self._known:
            self._known[key] = self._new(inputs)
        return self._known[key]

    def _new(self, inputs: Mapping[str, Any]) -> Reference:
        try:
            return self._explained(self._computed(dict(inputs)), dict(inputs))
        except migrate.UnsupportedError as error:
            return unavailable(f"not available: {self._missing() or error}")
        except migrate.AnereportError as error:
            return unavailable(f"not available: {error}")

    def _computed(self, inputs: dict[str, Any]) -> Reference:
        if isinstance(self.subject, migrate.ProgramOverview):
            outputs = migrate.evaluate(self.model, inputs, widened=True)
            return Reference(outputs, PROGRAM_METHOD)
        return Reference(self._built().double().predict(inputs, exact=True))

    def numbers(self, output: str, value: Any) -> NDArray[Any]:
        """Return an output's numbers, as recorded, in the order that its envelope has."""
        feature = next(f for f in self.subject.outputs if f.name == output)
        return migrate.output_numbers(feature, value, self.subject.labels or ())

    def labels(self, output: str) -> tuple[Any, ...]:
        """Return what a classifier calls the elements of its probabilities; nothing of others."""
        feature = next(f for f in self.subject.outputs if f.name == output)
        return tuple(self.subject.labels or ()) if feature.kind == "dictionary" else ()

    def biases(self, envelope: migrate.Envelope) -> dict[str, Any]:
        """Return the biases of layers that have one for each channel of an output."""
        if isinstance(self.subject, migrate.ProgramOverview):
            return {}
        count = envelope.reference.shape[-3] if envelope.reference.ndim >= 3 else 0
        return {
            name: bias.detach().numpy()
            for block in self.net.modules()
            for child, name in getattr(block, "layer_names", {}).items()
            if (bias := getattr(getattr(block, child), "bias", None)) is not None
            and bias.numel() == count
        }

    @functools.cached_property
    def net(self) -> migrate.Model:
        """The NeuralNetwork's module."""
        return self._built()

    def _built(self) -> migrate.Model:
        """Return a module of its own, so that one in float64 needs no other beside it."""
        builders = migrate.load_custom(self.custom, self.subject)
        return migrate.to_torch(self.subject, builders)

    def _explained(self, reference: Reference, inputs: dict[str, Any]) -> Reference:
        """Return the reference with what rounding explains of each output."""
        try:
            if isinstance(self.subject, migrate.ProgramOverview):
                envelopes = migrate.program_envelopes(self.model, inputs)
            else:
                envelopes = migrate.envelopes(self.net, inputs)
        except migrate.AnereportError as error:
            return replace(reference, unexplained=str(error))
        return replace(reference, envelopes=envelopes)

    def _missing(self) -> str:
        """Name the custom layers, if it is they that cannot be computed."""
        if isinstance(self.subject, migrate.ProgramOverview):
            return ""
        names = [layer.name for layer in migrate.custom_layers(self.subject)]
        if not names or self.custom:
            return ""
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return f"custom layer {names[0]}{more} (--custom gives a builder)"


def _key(inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells inputs apart: names, types, shapes and a hash of the values."""
    found = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
    return tuple(
        (name, array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        for name, array in sorted(found.items())
    )


def unavailable(note: str) -> Reference:
    """Return a reference of nothing, for a reason."""
    return Reference({}, note, computed=False)


def arrays(values: Mapping[str, Value]) -> dict[str, Any]:
    """Return a record's values as numpy arrays, dictionaries, strings and integers."""
    return {name: v.array() if hasattr(v, "array") else v for name, v in values.items()}
