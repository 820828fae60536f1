"""The facts of an ML Program: what the package says of itself, and the shapes that it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure import inputs
from reporter.measure.identity import identify
from reporter.understand.wording import some
from reporter.write.report.model_facts import ModelFacts, feature_facts

if TYPE_CHECKING:
    from pathlib import Path

FLOAT32 = (
    "the program computes in float32 alone, which the Neural Engine does not: what is asked of it "
    "is computed on the CPU or the GPU"
)
NAMED = 5  # values that overflow


def program_facts(path: Path, program: migrate.ProgramOverview) -> ModelFacts:
    """Return the package's facts; its outputs' shapes by evaluating it once on seeded inputs."""
    computed: dict[str, tuple[int, ...]] = {}
    findings = [FLOAT32] if program.precision == "fp32" else []
    unavailable = ""
    try:
        given = dict(inputs.seeded(path))
        outputs = migrate.evaluate(path, given)
        computed = {name: shape for name, value in outputs.items() if (shape := _shape(value))}
        findings += _overflows(path, program, given)
    except migrate.AnereportError as error:
        unavailable = str(error)
    return ModelFacts(
        identity=identify(path),
        features=feature_facts(program, computed),
        layers=(),
        findings=tuple(findings),
        unavailable=unavailable,
        program=program,
    )


def _overflows(path: Path, program: migrate.ProgramOverview, given: dict[str, Any]) -> list[str]:
    """Return a sentence if float16 alone makes values infinite, whatever computes them."""
    if not program.in_float16:
        return []
    try:
        envelopes = migrate.program_envelopes(path, given).values()
    except migrate.UnsupportedError:  # of random numbers there is no reference
        return []
    names = list(dict.fromkeys(name for e in envelopes for name in e.beyond_range))
    if not names:
        return []
    return [
        f"float16 overflows in {len(names)} of the program's values ({some(names, NAMED)}) on "
        "seeded inputs: they go beyond 65,504, which float16 arithmetic has no number for: a "
        "fault of the program's precision, not of the hardware"
    ]


def _shape(value: Any) -> tuple[int, ...] | None:
    """Return the shape of an array or image, the number of a classifier's scores, or none."""
    if isinstance(value, dict):
        return (len(value),)
    if hasattr(value, "getbands"):
        return (1, len(value.getbands()), value.height, value.width)
    return None if isinstance(value, (str, int)) else np.asarray(value).shape
