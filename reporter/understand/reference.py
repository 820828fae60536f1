"""The reference: what the network's definition gives, in float64, on any system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import migrate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reporter.measure.record import Value

METHOD = "computed here: the network as a torch module in float64"


@dataclass(frozen=True)
class Reference:
    """The reference outputs for one set of inputs, or why there are none."""

    outputs: dict[str, Any]
    unavailable: str = ""


def compute(model: Path, inputs: Mapping[str, Any]) -> Reference:
    """Return the reference outputs for arrays of inputs; float64 where they are arrays."""
    try:
        return Reference(migrate.to_torch(model).double().predict(dict(inputs)))
    except (migrate.UnsupportedError, migrate.InputError) as error:
        return Reference({}, unavailable=f"not available: {error}")


def arrays(values: Mapping[str, Value]) -> dict[str, Any]:
    """Return a record's values as numpy arrays, dictionaries, strings and integers."""
    return {name: v.array() if hasattr(v, "array") else v for name, v in values.items()}
