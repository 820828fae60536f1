"""Which model this is: hashes by which records and reports recognise it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

import migrate


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
        digest = _digest(spec.SerializeToString(deterministic=True), weight_files)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    else:
        digest, size = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size
    return ModelIdentity(
        name=path.name,
        kind=spec.WhichOneof("Type"),
        spec_version=spec.specificationVersion,
        sha256=digest,
        sha256_without_metadata=_digest(_without_metadata(spec), weight_files),
        size=size,
    )


def _without_metadata(spec: Any) -> bytes:
    spec.description.ClearField("metadata")
    return spec.SerializeToString(deterministic=True)


def _weight_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    every = (f for f in path.rglob("*") if f.is_file() and not f.name.startswith("."))
    weights = (f for f in every if f.parent.name == "weights")
    return sorted(weights, key=lambda file: file.name)


def _digest(spec: bytes, files: list[Path]) -> str:
    digest = hashlib.sha256(spec)
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
