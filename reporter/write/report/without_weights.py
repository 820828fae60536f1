"""`--without-weights`: the model, and every other that holds its weights, stays out of a report.

Out of its folder and its zip stay the model and whatever was made of it: ML Programs, variants, the
smallest network of a shrink. What stays in are texts, `repro.py` and the results: outputs of the
model for inputs that stand beside them.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from reporter.write.models_here import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from reporter.write.report.report import Report


def holds_weights(name: str) -> bool:
    """Tell whether a file of a report, by its name in the folder, is a model or part of one."""
    return any(PurePath(part).suffix.lower() in MODELS for part in PurePath(name).parts)


def remove(folder: Path) -> None:
    """Remove every model from a folder that was just written."""
    for path in sorted(folder.rglob("*")):
        if path.exists() and holds_weights(path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def without(report: Report) -> Report:
    """Return a report that attaches no weights, and names no model as attached."""
    shrunk = report.shrunk and replace(report.shrunk, file="", size=0)
    return replace(report, without_weights=True, shrunk=shrunk)


def unattached(report: Report) -> str:
    """Return what a reader without the weights is to know; nothing where they are attached."""
    if not report.without_weights:
        return ""
    name = report.model.identity.name
    there = f"no {name}, and no other model made of it"
    return f"The weights are not attached: {there}. {_instead(report)}"


def _instead(report: Report) -> str:
    repro, name = report.repro, report.model.identity.name
    if repro.author != "anereport":
        return "repro.py is the author's own, as it was given"
    if report.model.program is not None:
        return f"repro.py runs where {name} lies beside it"
    if repro.own_weights:
        return "But repro.py rebuilds the model itself: its weights are draws from a seed"
    if not repro.rebuilds:
        return f"repro.py does not stand in for it ({repro.status})"
    from reporter.write.repro.layer_text import SMALL_CONSTANT  # which imports the templates

    return (
        "repro.py builds the same network with weights of its own making; constants of one number, "
        f"or of up to {SMALL_CONSTANT} whole ones, which may be shapes, stand in it as they are"
    )
