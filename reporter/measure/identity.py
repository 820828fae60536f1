"""Which model this is: hashes by which records and reports recognise it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

import migrate
from reporter.measure.serialized import serialized

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK = 1 << 20  # bytes


class ModelIdentity(BaseModel):
    """A model's identity: `sha256` is that of the file.

    Of a package it is the sha256 over the deterministically serialized spec followed by its
    weight files in name order, the Manifest excluded. `sha256_without_metadata` is that of the
    spec (and weight files) once the metadata is cleared; records match on it.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    spec_version: int
    sha256: str
    sha256_without_metadata: str
    size: int


def identify(path: Path) -> ModelIdentity:
    """Return the identity of an .mlmodel file or an .mlpackage folder."""
    spec = migrate.load_spec(path)
    weight_files = _weight_files(path)
    if path.is_dir():
        digest = _digest(serialized(spec), weight_files)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    else:
        digest, size = _digest((), [path]), path.stat().st_size
    spec.description.ClearField("metadata")
    return ModelIdentity(
        name=path.name,
        kind=spec.WhichOneof("Type"),
        spec_version=spec.specificationVersion,
        sha256=digest,
        sha256_without_metadata=_digest(serialized(spec), weight_files),
        size=size,
    )


def _weight_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    every = (f for f in path.rglob("*") if f.is_file() and not f.name.startswith("."))
    weights = (f for f in every if f.parent.name == "weights")
    return sorted(weights, key=lambda file: file.name)


def _digest(pieces: Iterable[bytes], files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    for file in files:
        for chunk in _chunks(file):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk
