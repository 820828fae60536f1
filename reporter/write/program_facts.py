"""The facts of an ML Program: what the package says of itself, and the shapes that it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure import inputs
from reporter.measure.identity import identify
from reporter.write.report import ModelFacts, feature_facts

if TYPE_CHECKING:
    from pathlib import Path

FLOAT32 = (
    "the program computes in float32 alone, which the Neural Engine does not: what is asked of it "
    "is computed on the CPU or the GPU"
)


def program_facts(path: Path, program: migrate.ProgramOverview) -> ModelFacts:
    """Return the package's facts; its outputs' shapes by evaluating it once on seeded inputs."""
    computed: dict[str, tuple[int, ...]] = {}
    unavailable = ""
    try:
        outputs = migrate.evaluate(path, dict(inputs.seeded(path)))
        computed = {name: shape for name, value in outputs.items() if (shape := _shape(value))}
    except migrate.AnereportError as error:
        unavailable = str(error)
    return ModelFacts(
        identity=identify(path),
        features=feature_facts(program, computed),
        layers=(),
        findings=(FLOAT32,) if program.precision == "fp32" else (),
        unavailable=unavailable,
        program=program,
    )


def _shape(value: Any) -> tuple[int, ...] | None:
    """Return the shape of an array or image, the number of a classifier's scores, or none."""
    if isinstance(value, dict):
        return (len(value),)
    if hasattr(value, "getbands"):
        return (1, len(value.getbands()), value.height, value.width)
    return None if isinstance(value, (str, int)) else np.asarray(value).shape
