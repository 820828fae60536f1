"""The reference: what the model's definition gives, on any system.

That is a NeuralNetwork in float64, and an ML Program with all of its float16 in float32.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import migrate
from reporter.measure import subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reporter.measure.record import Value

METHOD = "computed here: the network as a torch module in float64"
PROGRAM_METHOD = "computed here: the ML Program evaluated with every fp16 operation in float32"


@dataclass(frozen=True)
class Reference:
    """The outputs that results are compared with, and what they are.

    `computed` is false where there are none, or where the CPU's values stand in for them.
    """

    outputs: dict[str, Any]
    note: str = METHOD
    computed: bool = True


class Referee:
    """Computes the references for one model; `custom` are builders as on the command line."""

    def __init__(self, model: Path, custom: Sequence[str] = ()) -> None:
        self.model, self.custom = model, custom
        self.subject: Any = subject.read(model, custom)

    def compute(self, inputs: Mapping[str, Any]) -> Reference:
        """Return the outputs for arrays of inputs, or the reason why there are none."""
        if not inputs:
            return unavailable("not comparable: the results carry no inputs")
        try:
            return self._computed(dict(inputs))
        except migrate.UnsupportedError as error:
            return unavailable(f"not available: {self._missing() or error}")
        except migrate.AnereportError as error:
            return unavailable(f"not available: {error}")

    def _computed(self, inputs: dict[str, Any]) -> Reference:
        if isinstance(self.subject, migrate.ProgramOverview):
            outputs = migrate.evaluate(self.model, inputs, widened=True)
            return Reference(outputs, PROGRAM_METHOD)
        return Reference(self._net.predict(inputs, exact=True))

    @functools.cached_property
    def _net(self) -> Any:
        builders = migrate.load_custom(self.custom, self.subject)
        return migrate.to_torch(self.subject, builders).double()

    def _missing(self) -> str:
        """Name the custom layers, if it is they that cannot be computed."""
        if isinstance(self.subject, migrate.ProgramOverview):
            return ""
        names = [layer.name for layer in migrate.custom_layers(self.subject)]
        if not names or self.custom:
            return ""
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return f"custom layer {names[0]}{more} (--custom gives a builder)"


def unavailable(note: str) -> Reference:
    """Return a reference of nothing, for a reason."""
    return Reference({}, note, computed=False)


def arrays(values: Mapping[str, Value]) -> dict[str, Any]:
    """Return a record's values as numpy arrays, dictionaries, strings and integers."""
    return {name: v.array() if hasattr(v, "array") else v for name, v in values.items()}
