"""Folders and files that appear whole or not at all."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from migrate import AnereportError
from reporter.write.files.staging import TAKEN, beside, clean, locked, put_back, replaced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

SCHEMAS = {
    "report.json": b'"anereport.report/',
    "migration.json": b'"anereport.migration/',
    "manifest.json": b'"anereport.variants/',
    "shrink.json": b'"anereport.shrink/',
    "Inputs/jobs.json": b'"anereport.runner/',
}
RECORDS = "records"  # the folder of those that are kept
RECORD = b'"anereport.record/'
SOURCE = b"# written by anereport "
HEAD = 100  # bytes, in which a JSON file of ours says what it is


class OutputError(AnereportError):
    """An output that cannot be written where it was asked for."""


@contextmanager
def new_folder(path: Path, force: bool) -> Iterator[Path]:
    """Give a temporary folder that takes the name `path` when the block ends without error.

    An existing `path` is refused unless `force` is set, and then replaced at the end.
    """
    check_free(path, force)
    with _parents(path), beside(path, folder=True) as temporary:
        temporary.chmod(0o755)
        yield temporary
        _replace(temporary, path, force)


@contextmanager
def growing_folder(path: Path, force: bool) -> Iterator[Path]:
    """Give the folder PATH.partial, which takes the name `path` when the block ends without error.

    If it ends with one, what is in the folder stays, and is there the next time. It is refused
    while another run has it.
    """
    folder = partial(path)
    with _parents(path):
        clean(path)
        folder.mkdir(exist_ok=True)
        with locked(folder) as lock:
            if lock in ("theirs", "gone"):
                raise OutputError(
                    f"another run is writing {path}: wait for it, or choose another with --out"
                )
            try:
                check_free(path, force)
                yield folder
            except BaseException:
                with suppress(OSError):
                    folder.rmdir()  # if it is empty
                raise
            _replace(folder, path, force)


def partial(path: Path) -> Path:
    """Return where what is not finished is kept."""
    return path.with_name(f"{path.name}.partial")


def write_file(path: Path, text: str, force: bool) -> None:
    """Write a file whole, by way of a temporary one beside it."""
    with new_file(path, force) as stream:
        stream.write(text.encode())


@contextmanager
def new_file(path: Path, force: bool) -> Iterator[BinaryIO]:
    """Give the stream of a temporary file that takes the name `path` when the block ends well."""
    check_free_file(path, force)
    with _parents(path), beside(path, folder=False) as temporary:
        with temporary.open("wb") as stream:
            yield stream
        temporary.chmod(0o644)
        check_free_file(path, force)  # another run may have been quicker
        temporary.replace(path)


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """Make the folders above `path`; on failure remove those made, an OSError as a sentence."""
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        raise


def check_free(path: Path, force: bool, *inputs: Path) -> None:
    """Raise OutputError if `path` exists and may not be replaced; to be asked before long work.

    It is never what is read, nor a folder that holds it. What a run that died had put aside of it
    is back then.
    """
    try:
        put_back(path)
        exists = path.exists()
        lost = [one for one in inputs if one.exists() and _loses(path, one)]
    except OSError as error:  # a name too long for the file system
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    if exists and Path.cwd().is_relative_to(path.resolve()):
        raise OutputError(f"{path} holds the current folder: choose another with --out")
    if lost:
        raise OutputError(f"{path} would replace {lost[0]}, which is read: choose another --out")
    if exists and not force:
        raise OutputError(f"{path} exists already: choose another with --out, or give --force")
    if exists and _foreign(path):
        raise OutputError(
            f"{path} is a folder that anereport did not write: choose another with --out"
        )


def _loses(path: Path, one: Path) -> bool:
    """Tell whether `one` is lost where `path` is replaced; the records kept there are not."""
    path, one = path.resolve(), one.resolve()
    return one.is_relative_to(path) and not one.is_relative_to(path / RECORDS)


def check_free_file(path: Path, force: bool, *inputs: Path) -> None:
    """Raise OutputError unless a file can be put at `path`, as check_free says."""
    check_free(path, force, *inputs)
    if path.is_dir():
        raise OutputError(f"{path} is a folder: name a file with --out")


def _foreign(path: Path) -> bool:
    """Tell whether a path is a folder that anereport did not write.

    One that another run replaces meanwhile is looked at again.
    """
    while path.is_dir():
        with suppress(FileNotFoundError):
            seen = path.stat().st_ino
            ours = _ours(path)
            if path.stat().st_ino == seen:
                return not ours
    return False


def _ours(folder: Path) -> bool:
    """Tell whether a folder is empty, one of SCHEMAS, a source, or holds records and nothing else.

    Others have files of those names too, so they are looked into.
    """
    inside = list(folder.iterdir())
    only_source = {path.name for path in inside} <= {"model.py", "weights.npz"}
    return (
        any(_says(folder / file, schema) for file, schema in SCHEMAS.items())
        or (only_source and _says(folder / "model.py", SOURCE, -1))
        or all(_says(path, RECORD) for path in inside)
    )


def _says(file: Path, text: bytes, size: int = HEAD) -> bool:
    """Tell whether a text is in the first bytes of a file, of size -1 in any of them."""
    with suppress(OSError), file.open("rb") as stream:
        return text in stream.read(size)
    return False


def _replace(temporary: Path, path: Path, force: bool) -> None:
    """Move the finished folder into place; the old one is put aside first, and lost last.

    Another run may put its own there at any moment.
    """
    while True:
        check_free(path, force)
        try:
            with replaced(path):
                temporary.rename(path)
        except OSError as error:
            if error.errno not in TAKEN:
                raise
        else:
            return


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder whole."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
