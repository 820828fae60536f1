"""Core ML on a Mac: the only file that calls it. Not yet run on hardware.

It is the backend of `worker`, whose processes alone import coremltools' native part.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import migrate
from reporter.measure import plan, subject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from migrate import Feature
    from reporter.measure.record import Plan

UNITS = {"cpu": "CPU_ONLY", "gpu": "CPU_AND_GPU", "ane": "CPU_AND_NE", "all": "ALL"}


def available() -> bool:
    """Tell whether Core ML can run here."""
    return platform.system() == "Darwin"


def compile_model(model: Path, target: Path) -> None:
    """Compile a model to `target`, which ends in .mlmodelc and does not exist yet."""
    migrate.coremltools().models.utils.compile_model(str(model), str(target))


def load(compiled: Path, unit: str, model: Path) -> Loaded:
    """Return the compiled model, loaded for a compute unit; `model` says what its inputs are.

    Raises RuntimeError where Core ML gives no model without saying why.
    """
    ct = migrate.coremltools()
    units = getattr(ct.ComputeUnit, UNITS[unit])
    found = ct.models.CompiledMLModel(str(compiled), units)
    if getattr(found, "_proxy", None) is None:
        raise RuntimeError("Core ML did not load the model, and said nothing")
    images = {f.name: f for f in subject.read(model).inputs if f.kind == "image"}
    return Loaded(found, units, compiled, images)


@dataclass(frozen=True)
class Loaded:
    """A model that can predict."""

    model: Any
    units: Any
    compiled: Path
    images: Mapping[str, Feature]

    def predict(self, arrays: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs; Core ML takes images as PIL, and changes what it is given."""
        given = {
            name: migrate.to_pil(array, self.images[name]) if name in self.images else array.copy()
            for name, array in arrays.items()
        }
        return self.model.predict(given)

    def plan(self) -> Plan | None:
        """Return where the model's operations are planned to run, if that can be had."""
        return plan.plan(self.compiled, self.units)
