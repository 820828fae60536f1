"""`anereport runner`: an app that measures models on iPhone and iPad. Not yet run on hardware.

It is an app package, which Xcode and Swift Playgrounds open as it is:

Package.swift, *.swift   the app; no name of a model or a feature is in them
Models/1.mlmodel         the models, unchanged, under names of ours
Inputs/SHA256.bin        input arrays
Inputs/jobs.json         what is run, and what the records say of it
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate import AnereportError
from reporter.measure import arrays
from reporter.measure.given import check_layers
from reporter.measure.identity import identify
from reporter.measure.record import UNITS
from reporter.progress import Progress, Silent
from reporter.write.files.outputs import check_free, copy, new_folder
from reporter.write.models_here import MODELS, models_in
from reporter.write.rendering import render
from reporter.write.runner.carried import InputSet, input_sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.write.run import Options

SCHEMA = "anereport.runner/1"
SUFFIX = ".swiftpm"
LARGE = 200_000_000  # bytes; a project of more is slow to bring to an iPad, and to build there
SOURCES = (
    "Bundled", "Conditions", "DeviceFacts", "DeviceLabel", "Inputs", "Jobs", "Journal", "Measuring",
    "Outputs", "PlanReading", "Problem", "Record", "Records", "RunnerApp", "RunnerState",
    "RunnerView", "Store", "UnitTrial",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A model: its `file` in Models, the stem of its `record`, its identity as records have it."""

    file: str
    record: str
    model: dict[str, Any]
    inputs: tuple[InputSet, ...]


@dataclass(frozen=True)
class Project:
    """What was written: where, of which models, of how many bytes."""

    path: Path
    models: tuple[str, ...]
    size: int

    @property
    def large(self) -> bool:
        """Whether it is larger than LARGE."""
        return self.size > LARGE


def default_folder(model: Path) -> str:
    """Return the name of the project of a model, or of a folder of models."""
    path = model.resolve()
    return f"{path.stem if path.suffix in MODELS else path.name}-runner{SUFFIX}"


def write(model: Path, out: Path, options: Options, progress: Progress | None = None) -> Project:
    """Write the project that measures a model, or each model of a folder.

    Its folder is `out`, with the suffix of an app package added where it lacks. Raises
    AnereportError for what is no model, for one with custom layers, which this app does not have,
    and for inputs that are not the model's.
    """
    progress = progress or Silent()
    out = out if out.suffix == SUFFIX else out.with_name(out.name + SUFFIX)
    check_free(out, options.force, *filter(None, (model, options.inputs)))
    models = models_in(model) if model.is_dir() and model.suffix not in MODELS else [model]
    if not models:
        raise AnereportError(f"no model in {model}")
    given = arrays.load_inputs(options.inputs) if options.inputs else None
    progress.expect(len(models))
    with new_folder(out, options.force) as folder:
        (folder / "Models").mkdir()
        (folder / "Inputs").mkdir()
        jobs = []
        for number, path in enumerate(models, 1):
            progress.step(f"adding {path.name}")
            check_layers(path)
            job = Job(
                file=f"{number}{path.suffix}",
                record=f"{number}-{_safe(path.stem)}" if len(models) > 1 else _safe(path.stem),
                model=identify(path).model_dump(),
                inputs=tuple(input_sets(path, given, options.schedule, folder / "Inputs")),
            )
            copy(path, folder / "Models" / job.file)
            jobs.append(job)
        _write_app(folder, jobs, options.schedule.repeats)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Project(out, tuple(path.name for path in models), size)


def _safe(name: str) -> str:
    """Return a name for a file on any system: letters and digits of ASCII, joined by hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60] or "model"


def _write_app(folder: Path, jobs: Sequence[Job], repeats: int) -> None:
    """Write what is run, and the app that runs it; they share an id, that of what is run.

    The id is in the app's bundle identifier, so two projects are two apps on a device.
    """
    content = {
        "schema": SCHEMA,
        "tool": version("anereport"),
        "units": UNITS,
        "repeats": repeats,
        "jobs": [asdict(job) for job in jobs],
    }
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    manifest = json.dumps({**content, "id": key}, indent=1)
    (folder / "Inputs" / "jobs.json").write_text(manifest + "\n", encoding="utf-8")
    for name in ("Package.swift", "README.md", *(f"{source}.swift" for source in SOURCES)):
        text = render(f"runner/{name}", key=key, models=len(jobs), repeats=repeats)
        (folder / name).write_text(text, encoding="utf-8")
