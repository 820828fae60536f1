"""manifest.json of a report's zip: which model it is of, and every member with its sha256."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from migrate import AnereportError
from reporter.measure.identity import ModelIdentity
from reporter.understand import kept_file
from reporter.write.privacy.removed import Removed
from reporter.write.report.report_file import tree

if TYPE_CHECKING:
    from pathlib import Path

    from reporter.write.report.report import Report

SCHEMA: Literal["anereport.bundle/1"] = "anereport.bundle/1"
FILE = "manifest.json"


class ManifestError(AnereportError):
    """A manifest that cannot be read, or does not say what is there."""


@dataclass(frozen=True)
class Member:
    """A file of the zip, the manifest aside."""

    name: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True)
class ZipManifest:
    """What a report's zip holds, its members in their order."""

    anereport: str  # the version that wrote it
    report: str  # the schema of report.json
    model: ModelIdentity
    bundled: ModelIdentity | None  # the copy in the zip, where texts of it were replaced
    weights: bool  # whether the model is among the members
    repro: tuple[str, ...]  # the kinds of weights that repro.py offers
    removed: tuple[Removed, ...]
    members: tuple[Member, ...]
    schema: Literal["anereport.bundle/1"] = SCHEMA


def of(report: Report, members: tuple[Member, ...]) -> ZipManifest:
    """Return the manifest of a report's zip."""
    return ZipManifest(
        anereport=version("anereport"),
        report=report.schema,
        model=report.model.identity,
        bundled=report.model.bundled,
        weights=not report.without_weights,
        repro=tuple(w.kind for w in report.repro.weights if not w.refused),
        removed=report.removed,
        members=members,
    )


def dumps(manifest: ZipManifest) -> str:
    """Return the manifest's JSON text, which says first what it is."""
    content = {"schema": manifest.schema, **tree(manifest)}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def load(folder: Path) -> ZipManifest:
    """Return the manifest of an unpacked zip; a fault is one ManifestError."""
    return kept_file.load(folder / FILE, ZipManifest, SCHEMA, ManifestError, "anereport create")
