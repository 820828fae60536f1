"""The reference: what the network's definition gives, in float64, on any system."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import migrate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reporter.measure.record import Value

METHOD = "computed here: the network as a torch module in float64"


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
        self.network = migrate.read(model)

    def compute(self, inputs: Mapping[str, Any]) -> Reference:
        """Return the outputs for arrays of inputs, or the reason why there are none."""
        if not inputs:
            return unavailable("not comparable: the results carry no inputs")
        try:
            return Reference(self._net.predict(dict(inputs), exact=True))
        except migrate.UnsupportedError as error:
            return unavailable(f"not available: {self._missing() or error}")
        except migrate.AnereportError as error:
            return unavailable(f"not available: {error}")

    @functools.cached_property
    def _net(self) -> Any:
        builders = migrate.load_custom(self.custom, self.network)
        return migrate.to_torch(self.network, builders).double()

    def _missing(self) -> str:
        """Name the custom layers, if it is they that cannot be computed."""
        names = [layer.name for layer in migrate.custom_layers(self.network)]
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
