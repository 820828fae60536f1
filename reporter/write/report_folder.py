"""A report's folder: the texts and the zip, made of the Report and of what lies there already."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from migrate import AnereportError
from reporter.write import attached, notes, report_file
from reporter.write.bundle import new_folder, say, zip_folder
from reporter.write.rendering import render
from reporter.write.venues import feedback, forum, github, html, json_, markdown

if TYPE_CHECKING:
    from reporter.write.report import Report
    from reporter.write.stated import Stated

ZIPPED = (markdown, html)
POSTED = (forum, feedback, github)
FOR_FEEDBACK = (
    "report.md", "report.html", "report.json", "repro.py", "records", *attached.FOLDERS,
)  # fmt: skip


def again(folder: Path, stated: Stated) -> Report:
    """Make all that is made of a folder's report.json again, in its place, and return the Report.

    Nothing is measured, and what else lies there stays; until it is done, all of it.
    """
    report = report_file.load(folder)
    folder = folder.resolve()
    if Path.cwd().is_relative_to(folder):
        raise AnereportError(f"--from cannot replace the current folder, {folder}: leave it first")
    if not _model(folder, report):
        name = report.model.identity.name
        raise AnereportError(f"{folder} lacks {name}, which its report is of: put it back")
    notes.read(folder)  # what cannot be read is said of this folder, not of the new one
    report = stated.into(report)
    made = {archive(report), *(v.FILE for v in (*ZIPPED, *POSTED, json_))}
    with new_folder(folder, force=True) as new:
        for path in folder.iterdir():
            if path.name not in made:
                _carry(path, new / path.name)
        return fill(new, report)


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


def fill(folder: Path, report: Report) -> Report:
    """Write what is made of a report into its folder, where all else lies already.

    Returns the Report with the user's notes, whose page is begun if there is none.
    """
    report = replace(report, notes=report_file.shown(notes.read(folder)))
    if not (folder / notes.FILE).exists():
        say(folder / notes.FILE, render(notes.FILE))
    (folder / json_.FILE).write_text(json_.text(report), encoding="utf-8")
    for venue in ZIPPED:
        say(folder / venue.FILE, venue.text(report))
    model, zipped = _model(folder, report), folder / archive(report)
    members = [name for name in (*FOR_FEEDBACK, *model) if (folder / name).exists()]
    zip_folder(folder, [*members, *([notes.FILE] if report.notes else [])], zipped)
    posted = replace(report, attachments=((zipped.name, zipped.stat().st_size),))
    for venue in POSTED:
        say(folder / venue.FILE, venue.text(posted))
    return report


def _model(folder: Path, report: Report) -> list[str]:
    """Return the name of the model in the folder, which may be one that the report cannot hold."""
    name = report.model.identity.name
    return [path.name for path in folder.iterdir() if report_file.shown(path.name) == name]


def archive(report: Report) -> str:
    """Return what the zip to attach is called."""
    return f"{Path(report.model.identity.name).stem}-report.zip"
