"""`anereport create`: everything known about a model's divergence, in a folder ready to file."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from migrate import AnereportError
from reporter.measure import coreml, inputs, results
from reporter.measure.record import Record, RecordError, dumps
from reporter.progress import Progress, Silent
from reporter.understand import comparison
from reporter.understand.divergence import TOLERANCE
from reporter.write import report as reports
from reporter.write import repro as repros
from reporter.write.bundle import check_free, new_folder, zip_folder
from reporter.write.redact import redact
from reporter.write.venues import feedback, forum, html, json_, markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.measure.listing import Listing
    from reporter.understand.comparison import Comparison
    from reporter.write.report import ModelFacts, Report
    from reporter.write.repro import Repro

ZIPPED = (markdown, html, json_)
POSTED = (forum, feedback)
FOR_FEEDBACK = ("report.md", "report.html", "report.json", "repro.py", "records")


@dataclass(frozen=True)
class Options:
    """What the user asked for beside the model."""

    records: Sequence[Path] = ()
    shape: tuple[int, ...] | None = None
    devices: Sequence[str] = ()
    tolerance: float = TOLERANCE
    script: Path | None = None
    run_script: bool = False
    force: bool = False


def create(model: Path, out: Path, options: Options, progress: Progress | None = None) -> Report:
    """Write the report's folder and return the Report; nothing is left behind on failure."""
    progress = progress or Silent()
    check_free(out, options.force)
    if options.tolerance <= 0 or not math.isfinite(options.tolerance):
        raise AnereportError(f"a tolerance is a positive number, not {options.tolerance}")
    progress.step("reading the model")
    facts = reports.model_facts(model)
    progress.step("reading the results")
    found = [(p, results.load(p, facts.identity, options.shape)) for p in options.records]
    if not found and coreml.available():
        progress.step("measuring on this Mac")
        found = [(Path("measured here"), coreml.measure(model))]
    progress.step("computing the reference")
    comparisons = _comparisons(model, facts, found, options.tolerance)
    progress.step("running the repro script in a clean process")
    repro = _repro(model, options)
    report = reports.compose(facts, comparisons, options.devices, repro, options.tolerance)
    progress.step("writing")
    with new_folder(out, options.force) as folder:
        _write(folder, report, model, found)
    return report


def _comparisons(
    model: Path, facts: ModelFacts, found: list[tuple[Path, Record | Listing]], tolerance: float
) -> list[Comparison]:
    comparisons = []
    for path, result in found:
        if isinstance(result, Record):
            comparisons += comparison.from_record(result, model, path.name, tolerance)
        else:
            output = _listed_output(facts, result, path)
            comparisons.append(comparison.from_listing(result, path.name, "", output))
    return comparisons or comparison.from_reference(model, inputs.seeded(model), "seed-0")


def _listed_output(facts: ModelFacts, listed: Listing, path: Path) -> str:
    """Return the output that a listing belongs to: the one of as many elements as its shape."""
    size = math.prod(listed.shape)
    outputs = [f for f in facts.features if f.role == "output"]
    known = [f for f in outputs if f.computed is not None]
    for feature in known:
        if math.prod(feature.computed or ()) == size:
            return feature.name
    if known:
        shapes = ", ".join(f"{f.name} {'x'.join(map(str, f.computed or ()))}" for f in known)
        given = "x".join(map(str, listed.shape))
        raise RecordError(f"{path}: no output has the shape {given}; the model gives {shapes}")
    return outputs[0].name


def _repro(model: Path, options: Options) -> Repro:
    if options.script is not None:
        return repros.from_user(options.script, options.run_script)
    script, building = repros.generate(model)
    return replace(repros.execute(script, model), building=building)


def _write(
    folder: Path, report: Report, model: Path, found: list[tuple[Path, Record | Listing]]
) -> None:
    _copy(model, folder / model.name)
    (folder / "repro.py").write_text(redact(report.repro.script), encoding="utf-8")
    if found:
        (folder / "records").mkdir()
    for number, (path, result) in enumerate(found, 1):
        _keep(result, path, folder / "records", number)
    for venue in ZIPPED:
        (folder / venue.FILE).write_text(redact(venue.text(report)), encoding="utf-8")
    members = [name for name in (*FOR_FEEDBACK, model.name) if (folder / name).exists()]
    archive = folder / f"{model.stem}-report.zip"
    zip_folder(folder, members, archive)
    report = replace(report, attachments=((archive.name, archive.stat().st_size),))
    for venue in POSTED:
        (folder / venue.FILE).write_text(redact(venue.text(report)), encoding="utf-8")


def _keep(result: Record | Listing, path: Path, folder: Path, number: int) -> None:
    target = folder / path.name
    if target.exists():
        target = folder / f"{number}-{path.name}"
    if path.exists():
        shutil.copyfile(path, target)
    elif isinstance(result, Record):
        (folder / "measured.json").write_text(dumps(result), encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


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
    return sorted(p for p in folder.iterdir() if p.suffix in (".mlmodel", ".mlpackage"))


def records_beside(model: Path) -> list[Path]:
    """Return the records of this model in its folder: JSON files that say so themselves."""
    from reporter.measure.identity import identify

    identity = identify(model)
    found = []
    for path in sorted(model.parent.glob("*.json")):
        try:
            if isinstance(results.load(path, identity, None), Record):
                found.append(path)
        except AnereportError:
            continue
    return found
