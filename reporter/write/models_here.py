"""Which model is meant where none is named, and which records lie beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrate import AnereportError
from reporter.measure import results
from reporter.measure.identity import identify
from reporter.measure.record import Record

if TYPE_CHECKING:
    from pathlib import Path

MODELS = (".mlmodel", ".mlpackage")


def choose_model(folder: Path) -> Path:
    """Return the one model in a folder; raises an error that says what was found otherwise."""
    found = models_in(folder)
    if len(found) == 1:
        return found[0]
    if not found:
        raise AnereportError("no model here: name one, as in  anereport create Block.mlmodel")
    names = ", ".join(p.name for p in found)
    raise AnereportError(f"{len(found)} models here ({names}): name the one that is meant")


def models_in(folder: Path) -> list[Path]:
    """Return the models of a folder, by name."""
    return sorted(
        p
        for p in folder.iterdir()
        if p.suffix in MODELS and p.is_dir() == (p.suffix == ".mlpackage")
    )


def records_beside(model: Path) -> list[Path]:
    """Return the records of this model in its folder: JSON files that say so themselves."""
    identity = identify(model)
    found = []
    for path in sorted(model.parent.glob("*.json")):
        try:
            if isinstance(results.load(path, identity, None), Record):
                found.append(path)
        except AnereportError:
            continue
    return found
