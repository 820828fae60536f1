"""Folders and zip files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from migrate import AnereportError
from reporter.write.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip file's own beginning of time: no clock in the archive
SCHEMAS = {
    "report.json": b'"anereport.report/',
    "migration.json": b'"anereport.migration/',
    "manifest.json": b'"anereport.variants/',
    "shrink.json": b'"anereport.shrink/',
    "Inputs/jobs.json": b'"anereport.runner/',
}
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
    with _parents(path):
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            temporary.chmod(0o755)
            yield temporary
            _replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def growing_folder(path: Path, force: bool) -> Iterator[Path]:
    """Give the folder PATH.partial, which takes the name `path` when the block ends without error.

    If it ends with one, what is in the folder stays, and is there the next time.
    """
    check_free(path, force)
    folder = partial(path)
    with _parents(path):
        folder.mkdir(exist_ok=True)
        try:
            yield folder
        except BaseException:
            with suppress(OSError):
                folder.rmdir()  # if it is empty
            raise
        _replace(folder, path)


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
    check_free(path, force)
    with _parents(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


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


def check_free(path: Path, force: bool) -> None:
    """Raise OutputError if `path` exists and may not be replaced; to be asked before long work."""
    try:
        exists = path.exists()
    except OSError as error:  # a name too long for the file system
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    if exists and not force:
        raise OutputError(f"{path} exists already: choose another with --out, or give --force")
    if exists and Path.cwd().is_relative_to(path.resolve()):
        raise OutputError(f"{path} holds the current folder: choose another with --out")
    if exists and path.is_dir() and not _ours(path):
        raise OutputError(
            f"{path} is a folder that anereport did not write: choose another with --out"
        )


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


def _replace(temporary: Path, path: Path) -> None:
    """Move the finished folder into place; the old one is put aside first, and lost last."""
    old = path.with_name(f".{path.name}-old-{os.getpid()}")
    try:
        if path.exists():
            path.rename(old)
        temporary.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    if old.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink(missing_ok=True)


def say(file: Path, text: str) -> None:
    """Write a text, redacted; bytes of the command line that are no UTF-8 stay visible."""
    file.write_text(redact(text), encoding="utf-8", errors="backslashreplace")


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder whole."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def zip_folder(folder: Path, names: list[str], target: Path) -> None:
    """Write the named files and folders of `folder` into a zip: same content, same bytes."""
    files = [f for name in names for f in _files(folder / name)]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(files):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes())


def _files(path: Path) -> list[Path]:
    return [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
