"""Result files of every form, told apart by what they hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from reporter.measure import arrays, listing, record
from reporter.measure.identity import ModelIdentity
from reporter.measure.listing import Listing
from reporter.measure.record import Record, RecordError

Results = Record | Listing


def load(
    path: Path,
    identity: ModelIdentity | None,
    shape: tuple[int, ...] | None,
    others: Sequence[ModelIdentity] = (),
) -> Results:
    """Return the record or listing in a file; checked against the model if one is given.

    `shape` is that of the output which a listing's indices count through; a record may also be
    of one of the `others`.
    """
    if not _exists(path):
        raise RecordError(f"no such file: {path}")
    if path.is_dir():
        raise RecordError(f"{path} is a directory, not a record")
    if path.stat().st_size == 0:
        raise RecordError(f"{path} is empty")
    if path.suffix == ".npz":
        if identity is None:
            raise RecordError(f"{path} carries no model identity: give the model with --model")
        return arrays.load_record(path, identity, others)
    if path.suffix != ".json" and listing.is_listing(path):
        if shape is None:
            raise RecordError(
                f"{path} is a listing: give the shape of its output, such as --shape 1,1600,39,1"
            )
        return listing.load(path, shape)
    found = record.load(path)
    if identity is not None and not any(record.of(found, other) for other in others):
        record.check_model(found, identity, path)
    return found


def record_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of records, those in a folder one by one."""
    found = []
    for path in paths:
        if path.suffix == ".mlpackage":
            raise RecordError(f"{path} is a model, and no record: give it as the model")
        inside = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not inside:
            raise RecordError(f"{path} holds no record: no file in it ends in .json")
        found += inside
    return found


def distinct(files: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return files of which no two hold the same bytes, and a sentence for each one left out."""
    first: dict[str, Path] = {}
    said = []
    for path in files:
        key = _digest(path) if path.is_file() else str(path)
        if key in first:
            same = "was given twice" if path == first[key] else f"is the same file as {first[key]}"
            said.append(f"{path} {same}, and is counted once")
        else:
            first[key] = path
    return list(first.values()), said


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    return digest.hexdigest()


def names(paths: Sequence[Path]) -> list[str]:
    """Return what files are called, no two the same: a name that is taken gets its number."""
    found: list[str] = []
    for number, path in enumerate(paths, 1):
        name = path.name
        while name in found:
            name = f"{number}-{name}"
        found.append(name)
    return found


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error


def parse_shape(text: str) -> tuple[int, ...]:
    """Return (1, 1600, 39, 1) for "1,1600,39,1"."""
    parts = text.replace("x", ",").split(",")
    if not all(re.fullmatch(r"\s*0*[1-9][0-9]{0,17}\s*", part) for part in parts):
        raise RecordError(f"'{text}' is not a shape: write it like 1,1600,39,1")
    return tuple(map(int, parts))
