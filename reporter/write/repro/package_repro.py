"""The repro script of a package: the bundled .mlpackage itself, on each compute unit.

Nothing is rebuilt. The script says which package it loads by the sha256 that the report states.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from reporter.write.rendering import render
from reporter.write.repro import Repro, Weights, executed, failed, interface, run_clean

if TYPE_CHECKING:
    import migrate
    from reporter.measure.identity import ModelIdentity


def generate(model: Path, program: migrate.ProgramOverview) -> str:
    """Return the script for a package that lies beside it."""
    told = interface(program, model.name)
    return render("package-repro.py", name=model.name, exact=False, **told)


def execute(script: str, model: Path, identity: ModelIdentity) -> Repro:
    """Run the script in a clean process beside a copy of the package, and see that it loads it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(model, Path(folder, model.name))
        code, output = run_clean(script, Path(folder))
    if code != 0:
        return failed(script, output)
    same = identity.sha256 in output
    package = "the bundled package, the model itself" if same else "ANOTHER package than the model"
    status = f"{executed()}: it loads {package}"
    real = Weights("real", model.name, identity=identity)
    return Repro(script, "anereport", status, output, own_weights=same, weights=(real,))
