"""A report's folder: the texts and the zip, made of the Report and of what lies there already."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import migrate
from migrate import AnereportError
from reporter.progress import Progress, Silent
from reporter.write.attached import attached
from reporter.write.files.outputs import RECORDS, new_folder
from reporter.write.files.staging import put_back
from reporter.write.privacy import model_texts
from reporter.write.privacy.redact import Gate, current, opened, redact, say
from reporter.write.privacy.removed import merged
from reporter.write.rendering import render
from reporter.write.report import notes, report_file
from reporter.write.report.without_weights import holds_weights
from reporter.write.venues import feedback, forum, github, html, json_, markdown
from reporter.write.zipped import zip_manifest
from reporter.write.zipped.archive import named, oversize, pack

if TYPE_CHECKING:
    from reporter.write.report.report import Report
    from reporter.write.report.stated import Stated

ZIPPED = (markdown, html)
POSTED = (forum, feedback, github)
SCRIPT = "repro.py"
FOR_FEEDBACK = (*(v.FILE for v in (*ZIPPED, json_)), SCRIPT, RECORDS, *attached.FOLDERS)


def again(folder: Path, stated: Stated) -> Report:
    """Make all that is made of a folder's report.json again, in its place, and return the Report.

    Nothing is measured, and what else lies there stays; until it is done, all of it.
    """
    put_back(folder)
    report = report_file.load(folder)
    folder = folder.resolve()
    if Path.cwd().is_relative_to(folder):
        raise AnereportError(f"--from cannot replace the current folder, {folder}: leave it first")
    if not report.without_weights and not model_in(folder, report):
        name = report.model.identity.name
        raise AnereportError(f"{folder} lacks {name}, which its report is of: put it back")
    notes.read(folder)  # what cannot be read is said of this folder, not of the new one
    made = {archive(report), *(v.FILE for v in (*ZIPPED, *POSTED, json_))}
    gate = Gate(model_texts.names_in(report.model), frozenset(migrate.FAULTS))
    with opened(gate), new_folder(folder, force=True) as new:
        for path in folder.iterdir():
            if path.name not in made:
                _carry(path, new / path.name)
        for path in sorted((new / RECORDS).glob("*.json")):
            say(path, path.read_text(encoding="utf-8"))
        return fill(new, report_file.as_kept(stated.into(report)))


def _carry(path: Path, target: Path) -> None:
    """Copy a file, folder or link as it is, with its times and permissions."""
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, target, symlinks=True)
    else:
        shutil.copy2(path, target, follow_symlinks=False)


def said_before(old: Path, report: Report, stated: Stated) -> Stated:
    """Return what is said, and where that is silent what a folder's report of this model says."""
    try:
        before = report_file.load(old)
    except AnereportError:
        return stated
    if before.model.identity != report.model.identity:
        return stated
    return replace(
        stated,
        feedback=stated.feedback or before.feedback,
        thread=stated.thread or before.thread,
        last_good=stated.last_good or before.last_good,
    )


def keep_notes(old: Path, new: Path) -> None:
    """Take the notes of a folder that is about to be replaced into the new one."""
    if (old / notes.FILE).exists():
        shutil.copyfile(old / notes.FILE, new / notes.FILE)


def fill(folder: Path, report: Report, progress: Progress | None = None) -> Report:
    """Write what is made of a report into its folder, where all else lies already.

    Returns the Report with the user's notes, whose page is begun if there is none.
    """
    progress = progress or Silent()
    report = replace(report, notes=report_file.shown(notes.read(folder), notes.FILE))
    _say_notes(folder / notes.FILE)
    report = replace(report, removed=merged(report.removed, current().removed))
    (folder / json_.FILE).write_text(json_.text(report), encoding="utf-8")
    for venue in ZIPPED:
        progress.step(f"writing {venue.FILE}")
        say(folder / venue.FILE, venue.text(report))
    progress.step("packing the zip")
    posted = attach(folder, report)
    progress.step("writing the posts")
    for venue in POSTED:
        say(folder / venue.FILE, venue.text(posted))
    return report


def _say_notes(page: Path) -> None:
    """Begin the user's page if there is none, and take out of it what must not leave."""
    if not page.exists():
        say(page, render(notes.FILE))
        return
    before = page.read_text(encoding="utf-8-sig")
    if redact(before, page.name) != before:
        say(page, before)


def attach(folder: Path, report: Report) -> Report:
    """Write the zip of a report's folder, and return the Report with what is to be attached."""
    zipped = folder / archive(report)
    manifest = partial(zip_manifest.of, report)
    pack(_members(folder, report), zipped, report.date, manifest)
    size, large = zipped.stat().st_size, oversize(zipped, report)
    return replace(report, attachments=((zipped.name, size),), oversize=large)


def _members(folder: Path, report: Report) -> dict[str, Path]:
    """Return what belongs into the zip, by its name there."""
    tops = {*FOR_FEEDBACK, *model_in(folder, report), *([notes.FILE] if report.notes else [])}
    return {
        name: path
        for name, path in named(folder).items()
        if path.relative_to(folder).parts[0] in tops
        and not (report.without_weights and holds_weights(name))
    }


def model_in(folder: Path, report: Report) -> list[str]:
    """Return the name of the model in the folder, which may be one that the report cannot hold."""
    name = report.model.identity.name
    return [path.name for path in folder.iterdir() if report_file.shown(path.name) == name]


def archive(report: Report) -> str:
    """Return what the zip to attach is called."""
    return f"{Path(report.model.identity.name).stem}-report.zip"
