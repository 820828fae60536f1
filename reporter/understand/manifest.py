"""What a folder of variants holds, as one JSON file, manifest.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

import migrate
from reporter.measure.identity import ModelIdentity
from reporter.understand import kept_file

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA: Literal["anereport.variants/1"] = "anereport.variants/1"
FILE = "manifest.json"
COMMAND = "anereport variants"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Expected(_Part):
    """What a model should give for seeded inputs: float32 of the float64 reference."""

    file: str  # in the folder; an .npz with reference::NAME per output
    input: str  # the name of the inputs, as `anereport run` has them: seed-0


class Entry(_Part):
    """A variant: its model and what it tests, or why it was left out."""

    kind: str
    name: str = ""  # none where it stands for several that were left out
    line: str = ""  # what it tests
    file: str = ""  # of the model, in the folder
    same: str = ""  # "equal", "equal up to ...", "another model"
    relation: migrate.Relation | None = None  # the same, for a program to follow
    layers: tuple[str, ...] = ()  # that were edited
    made_of: str = ""  # of an ML Program: the file of the variant that was converted
    identity: ModelIdentity | None = None
    expected: Expected | None = None
    left_out: str = ""


class Manifest(_Part):
    """The variants of a model, and the model itself."""

    schema_: Literal["anereport.variants/1"] = Field(SCHEMA, alias="schema")
    source: ModelIdentity
    expected: Expected
    variants: tuple[Entry, ...]

    @property
    def made(self) -> tuple[Entry, ...]:
        """The variants that are there."""
        return tuple(entry for entry in self.variants if entry.identity)

    @property
    def left_out(self) -> tuple[Entry, ...]:
        """The variants that are not."""
        return tuple(entry for entry in self.variants if entry.left_out)


class ManifestError(migrate.AnereportError):
    """A folder of variants that cannot be read, or is not as it was written."""


def load(folder: Path) -> Manifest:
    """Read and check a folder's manifest.json; a fault is one sentence."""
    return kept_file.load(folder / FILE, Manifest, SCHEMA, ManifestError, COMMAND)


def check_source(folder: Path, manifest: Manifest) -> None:
    """Raise ManifestError if the model itself is missing or not as it was written.

    A variant that is so concerns itself alone: `variant_set.opened` says it.
    """
    source = manifest.source
    kept_file.check_model(folder / FILE, source.name, source, ManifestError, COMMAND)


def dumps(manifest: Manifest) -> str:
    """Return the manifest's JSON text."""
    return manifest.model_dump_json(by_alias=True, indent=1) + "\n"
