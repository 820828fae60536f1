"""Generated scripts, run as a stranger would."""

from __future__ import annotations

import logging
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from migrate.coreml import coremltools


def run_clean(script, folder, *arguments):
    """Run a script in a folder, where no variable points to this project."""
    (folder / "it.py").write_text(script, encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR")}
    return subprocess.run(
        [sys.executable, "it.py", *arguments],
        cwd=folder, env=kept, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def names_of(script, folder):
    """Return what a script defines, executed here without its main()."""
    file = folder / "defined.py"
    file.write_text(script, encoding="utf-8")
    try:
        return runpy.run_path(str(file))
    finally:
        logging.disable(logging.NOTSET)


class Devices:
    """Stands in for coremltools' class that predicts: `computed` maps a unit to its outputs."""

    def __init__(self, computed):
        self.computed, self.asked = computed, []

    def __call__(self, path, compute_units):
        self.asked.append((Path(path).name, compute_units.name))
        return SimpleNamespace(predict=lambda given: self.computed(compute_units.name, given))


def as_on_a_mac(monkeypatch, devices, script, folder, *arguments):
    """Run a script's main() in a folder as on a Mac whose units are the devices given."""
    monkeypatch.setattr(coremltools().models, "MLModel", devices)
    monkeypatch.setattr(sys, "platform", "darwin")
    try:
        run_here(monkeypatch, script, folder, *arguments)
    finally:
        monkeypatch.undo()


def run_here(monkeypatch, script, folder, *arguments):
    """Run a script's main() in a folder, in this process."""
    (folder / "repro.py").write_text(script, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["repro.py", *arguments])
    try:
        runpy.run_path(str(folder / "repro.py"), run_name="__main__")
    finally:
        logging.disable(logging.NOTSET)
