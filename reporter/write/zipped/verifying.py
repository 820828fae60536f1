"""`anereport verify`: is a report's zip whole, does it agree with itself, rebuild its model."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from migrate import AnereportError
from reporter.progress import Progress, Silent
from reporter.write.report import report_file
from reporter.write.zipped import checks
from reporter.write.zipped.checks import NotChecked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Word = Literal["ok", "FAILED", "not checked"]


@dataclass(frozen=True)
class Check:
    """What was looked at, and how it ended, in a sentence."""

    what: str
    word: Word
    said: str


def verify(
    zipped: Path, run_script: bool = False, progress: Progress | None = None
) -> tuple[Check, ...]:
    """Return the checks of a report's zip, up to the first that fails; those behind it need it.

    `run_script` executes repro.py even if it is not what anereport writes here.
    """
    progress = progress or Silent()
    if zipped.is_dir():
        raise checks.BundleError(f"{zipped} is a folder: give the zip that is in it, or made of it")
    if not zipped.exists():
        raise checks.BundleError(f"no such file: {zipped}")
    progress.expect(6)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for what, look in _looks(zipped, Path(folder), run_script):
            progress.step(f"checking {what}")
            found.append(_check(what, look, folder))
            if found[-1].word == "FAILED":
                break
    return tuple(found)


def _looks(zipped: Path, folder: Path, run: bool) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield what is looked at in a zip that the first look unpacks into `folder`."""
    yield "zip", partial(checks.unpacked, zipped, folder)
    yield "manifest", partial(checks.members, folder)
    yield "report", partial(checks.agreement, folder)
    report = report_file.load(folder)
    yield "model", partial(checks.model, folder, report)
    yield "records", partial(checks.records, folder, report)
    yield "repro.py", partial(checks.repro, folder, report, run)


def _check(what: str, look: Callable[[], str], folder: str) -> Check:
    try:
        return Check(what, "ok", look())
    except (NotChecked, AnereportError) as error:
        word: Word = "not checked" if isinstance(error, NotChecked) else "FAILED"
        said = str(error).replace(f"{Path(folder) / ''}/", "").replace(folder, "the zip")
        return Check(what, word, said)
