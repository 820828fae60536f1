"""What `anereport verify` looks at in a report's zip, once it is unpacked into a folder.

Each check returns what it found in order, or raises AnereportError; NotChecked where it cannot
tell. Nothing out of the zip is executed, unless it is what anereport writes here for the same
model, or the user asks for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import migrate
from migrate import AnereportError
from reporter.measure import results, subject
from reporter.measure.identity import identify
from reporter.measure.listing import is_listing
from reporter.understand import manifest as variants
from reporter.understand import migrated
from reporter.write import repro as repros
from reporter.write.attached import migration as attached_migration
from reporter.write.attached import variants as attached_variants
from reporter.write.files.outputs import RECORDS
from reporter.write.privacy import model_texts
from reporter.write.privacy.redact import opened, redact
from reporter.write.report import notes
from reporter.write.report.report_file import load
from reporter.write.report.report_folder import FOR_FEEDBACK, SCRIPT
from reporter.write.report.without_weights import holds_weights
from reporter.write.repro import package_repro, run_clean
from reporter.write.zipped import zip_manifest
from reporter.write.zipped.archive import latest, named, zip_name
from reporter.write.zipped.opening import unpack
from reporter.write.zipped.zip_manifest import Member

if TYPE_CHECKING:
    from reporter.measure.identity import ModelIdentity
    from reporter.write.report.report import Report

READ_IT = f"read {SCRIPT}, then give --run-script to execute it"
PARTS = (*FOR_FEEDBACK, notes.FILE, zip_manifest.FILE)  # of a report's zip, beside the model
MOST_JSON = 32_000_000  # bytes of a JSON file that is no record, chosen here
CHUNK = 1 << 20  # bytes that are read at once


class BundleError(AnereportError):
    """A report's zip that does not hold what it says."""


class NotChecked(Exception):  # noqa: N818  nothing failed
    """Why something could not be checked, and what to do."""


def unpacked(zipped: Path, folder: Path) -> str:
    """Unpack a zip, if nothing in it could do harm."""
    found = unpack(zipped, folder)
    for name, path in found.items():
        record = name.startswith(f"{RECORDS}/")
        if name.endswith(".json") and not record and path.stat().st_size > MOST_JSON:
            raise BundleError(f"{name} has over {MOST_JSON:,} bytes: not read")
    size = sum(path.stat().st_size for path in found.values())
    return f"{len(found)} members, {size:,} bytes, each a plain file of its own place"


def members(folder: Path) -> str:
    """Check that the files are those of the manifest, byte for byte."""
    stated = zip_manifest.load(folder).members
    listed = {m.name: m for m in stated}
    if len(listed) < len(stated):
        raise BundleError(f"{zip_manifest.FILE} lists a file twice")
    found = named(folder)
    found.pop(zip_manifest.FILE)
    for name in sorted({*listed, *found}):
        if name not in found:
            raise BundleError(f"{name} is listed in {zip_manifest.FILE} and not there")
        if name not in listed:
            raise BundleError(f"{name} is there and not listed in {zip_manifest.FILE}")
        if listed[name] != (actual := _read(name, found[name])):
            raise BundleError(
                f"{name} is not as it was written: {actual.size:,} bytes, sha256 "
                f"{actual.sha256[:12]}, where {zip_manifest.FILE} lists {listed[name].size:,} "
                f"bytes, sha256 {listed[name].sha256[:12]}"
            )
    return f"{len(listed)} files, each of the size and sha256 that are listed"


def _read(name: str, path: Path) -> Member:
    """Return what the manifest is to say of a file, read piece by piece; a folder has no bytes."""
    size, digest = 0, hashlib.sha256()
    if not path.is_dir():
        with path.open("rb") as stream:
            while piece := stream.read(CHUNK):
                size += len(piece)
                digest.update(piece)
    return Member(name, size, digest.hexdigest())


def agreement(folder: Path) -> str:
    """Check that report.json, the manifest and repro.py say the same, and no more is there."""
    report, listed = load(folder), zip_manifest.load(folder)
    expected = zip_manifest.of(report, listed.members)
    told = [f.name for f in dataclasses.fields(listed) if f.name != "anereport"]
    if differ := [n for n in told if getattr(expected, n) != getattr(listed, n)]:
        raise BundleError(f"report.json and {zip_manifest.FILE} differ in {', '.join(differ)}")
    if _script(folder) != report.repro.script:
        raise BundleError(f"{SCRIPT} is not the script that report.json holds")
    known = {*PARTS, zip_name(report.model.identity.name)}
    if others := sorted(path.name for path in folder.iterdir() if path.name not in known):
        raise BundleError(f"{others[0]} is no part of a report")
    return f"{report.schema}, by anereport {listed.anereport}, of {report.model.identity.name}"


def model(folder: Path, report: Report) -> str:
    """Check that the model is the one that the report is of."""
    stated = report.model.bundled or report.model.identity
    if report.without_weights:
        for path in folder.rglob("*"):
            if holds_weights(path.name):
                raise BundleError(f"{path} is attached, and the report says that no model is")
        original = report.model.identity.sha256
        raise NotChecked(f"no weights are attached; the model has sha256 {original}")
    found = identify(_model(folder, report)).model_copy(update={"name": stated.name})
    if found != stated:
        raise BundleError(
            f"{stated.name} has sha256 {found.sha256[:12]}, where the report states "
            f"{stated.sha256[:12]}"
        )
    copy = ", a copy without its private texts" if report.model.bundled else ""
    return f"{stated.name}, sha256 {stated.sha256}{copy}"


def records(folder: Path, report: Report) -> str:
    """Check that each record can be read, and is of the model or of what was made of it."""
    bundled = [report.model.bundled] if report.model.bundled else []
    known = (*bundled, *_identities(folder), *report.repro.identities)
    files = sorted(p for p in (folder / RECORDS).rglob("*") if p.is_file())
    of_models = [p for p in files if p.suffix in (".json", ".npz") or not is_listing(p)]
    found = [results.load(path, report.model.identity, None, known) for path in of_models]
    if latest(found) != report.date:
        raise BundleError(
            f"the latest record is of {latest(found)}, where the report says {report.date}"
        )
    if not files:
        return "there are none"
    listings = len(files) - len(of_models)
    more = f"; listings, which name no model: {listings}" if listings else ""
    return f"of the model, or of what was made of it: {len(of_models)}{more}"


def _identities(folder: Path) -> tuple[ModelIdentity, ...]:
    """Return the identities of what was made of the model."""
    found: list[ModelIdentity] = []
    if (folder / attached_variants.FOLDER).exists():
        made = variants.load(folder / attached_variants.FOLDER).made
        found += [entry.identity for entry in made if entry.identity]
    if (folder / attached_migration.FOLDER).exists():
        found += migrated.load(folder / attached_migration.FOLDER).identities
    return tuple(found)


def repro(folder: Path, report: Report, run: bool) -> str:
    """Execute repro.py if that is safe, or asked for, and check that it rebuilds the model."""
    script = _script(folder)
    if report.without_weights or report.repro.author != "anereport":
        whose = "no model is attached" if report.without_weights else "it is the author's own"
        if not run:
            raise NotChecked(f"{whose}: {READ_IT}")
        with tempfile.TemporaryDirectory() as place:
            code, output = run_clean(script, Path(place))
        if code:
            raise BundleError(f"{SCRIPT} failed when executed: {output.strip()[-200:]}")
        raise NotChecked(f"executed without error, but {whose}, so nothing is compared")
    path = _model(folder, report)
    if not run and script != _written(path):
        raise NotChecked(
            f"it is not what anereport {version('anereport')} writes here for this model: {READ_IT}"
        )
    done = _executed(script, path, report)
    if not (done.own_weights if report.model.program else done.rebuilds):
        raise BundleError(f"{SCRIPT}: {done.status}")
    for built in done.weights:
        stated = [w.identity for w in report.repro.weights if w.kind == built.kind and w.identity]
        if stated and stated != [built.identity]:
            raise BundleError(f"with {built.kind} weights {SCRIPT} builds other than is reported")
    return done.status


def _written(path: Path) -> str:
    """Return the script that anereport writes for a model."""
    found = subject.read(path)
    with opened(model_texts.gate(path)):
        if isinstance(found, migrate.ProgramOverview):
            return redact(package_repro.generate(path, found))
        return redact(repros.generate(path).script)


def _executed(script: str, path: Path, report: Report) -> repros.Repro:
    """Return how a script ended, with each kind of weights that the report says it builds."""
    if report.model.program is not None:
        return package_repro.execute(script, path, identify(path))
    kinds = [w.kind for w in report.repro.weights if w.identity and w.kind != "real"]
    return repros.execute(script, path, kinds or ("seeded",))


def _model(folder: Path, report: Report) -> Path:
    name = report.model.identity.name
    for path in folder.iterdir():
        if path.name == zip_name(name):
            return path
    raise BundleError(f"{name}, which the report is of, is not there")


def _script(folder: Path) -> str:
    """Return repro.py, whatever it holds."""
    path = folder / SCRIPT
    if not path.is_file():
        raise BundleError(f"{SCRIPT} is not there")
    return path.read_bytes().decode("utf-8", "replace")
