"""The repro script of a network, and the part of it that builds the model.

It needs coremltools and numpy only. Seeded weights are draws; where the model's own are those
draws, as in samples/Block.mlmodel, it rebuilds the very same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import migrate
from reporter.measure.identity import ModelIdentity, identify
from reporter.write.rendering import render
from reporter.write.repro import exact
from reporter.write.repro.building import SEED, Building, assembled, building
from reporter.write.repro.facts import file_of
from reporter.write.repro.layer_text import literal

if TYPE_CHECKING:
    from pathlib import Path

    from reporter.write.repro.exact import Exact
    from reporter.write.repro.facts import Kind


class Generated(NamedTuple):
    """A script, its part that builds the model with seeded weights, and what it was made of."""

    script: str
    text: str
    parts: Building
    exact: Exact

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The weights that the script builds a model with."""
        return ("seeded",) if self.exact.refused else ("seeded", "exact")


def generate(model: Path) -> Generated:
    """Return the script for a NeuralNetwork or a pipeline of them.

    The same model gives the same text.
    """
    spec = migrate.load_spec(model)
    parts = building(spec)
    found = exact.find(spec, parts)
    script = render(
        "repro.py",
        name=model.name,
        **interface(migrate.read(spec), model.name),
        statements="\n".join((*parts.statements, *([parts.notes] if parts.notes else []))),
        seed=SEED,
        exact=not found.refused,
        refused=found.refused,
        why=literal(found.refused),
        numbers=ascii(list(found.numbers)),
        answers=ascii(dict(found.answers)),
    )
    return Generated(script, parts.text, parts, found)


def spec_of(made: Generated, kind: Kind) -> Any:
    """Return the spec that the script builds with seeded or exact weights."""
    if kind == "exact":
        return exact.spec_of(made.parts, made.exact.numbers)
    draw = np.random.RandomState(SEED)
    return assembled(
        made.parts, lambda scale, *shape: np.float32(draw.uniform(-1, 1, shape) * scale)
    )


def identities(made: Generated, folder: Path) -> tuple[ModelIdentity, ...]:
    """Return the identities of the models that the script builds, by way of files in a folder."""
    found = []
    for kind in made.kinds:
        file = folder / file_of(kind)
        migrate.coremltools().utils.save_spec(spec_of(made, kind), str(file))
        found.append(identify(file))
        file.unlink()
    return tuple(found)


def interface(described: Any, file: str) -> dict[str, Any]:
    """Return what the script says of a network or ML Program, its file and its features."""
    images = {f.name: f.color for f in described.inputs if f.kind == "image"}
    inputs = {
        f.name: ("image" if f.name in images else f.dtype, migrate.default_shape(f))
        for f in described.inputs
    }
    return {
        "file": literal(file),
        "inputs": _pieces(inputs),
        "output": literal(_first_array(described)),
        "uses_images": bool(images),
        "colors": _pieces(images),
    }


def _pieces(values: dict[str, Any]) -> str:
    """Return a dictionary as a literal that cannot end a Markdown code fence."""
    return ascii(values).replace("`", "\\x60")


def _first_array(described: Any) -> str:
    arrays = [f.name for f in described.outputs if f.kind in ("multiArray", "dictionary")]
    return (arrays or [described.outputs[0].name])[0]
