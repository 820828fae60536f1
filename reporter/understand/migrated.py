"""The migration: what a NeuralNetwork became, and what that is known to be, as one JSON file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

import migrate
from migrate import Options, Verification
from reporter.measure.identity import ModelIdentity
from reporter.measure.record import of
from reporter.understand import kept_file
from reporter.understand.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from reporter.measure.record import Record

SCHEMA: Literal["anereport.migration/2"] = "anereport.migration/2"
FILE = "migration.json"
COMMAND = "anereport migrate"
ABSENT = "not there"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, ser_json_inf_nan="strings")


class FeatureChange(_Part):
    """A feature in the NeuralNetwork's description, and in the ML Program's."""

    role: Literal["input", "output"]
    before: str
    after: str
    name_before: str
    name_after: str

    @property
    def changed(self) -> bool:
        """Whether anything of it differs."""
        return (self.name_before, self.before) != (self.name_after, self.after)


class Variant(_Part):
    """One of the models that are tried: the NeuralNetwork, or an ML Program made of it."""

    name: str  # of its file or folder
    label: str = ""  # what it is called in the verification
    what: str
    options: Options | None = None  # of an ML Program
    identity: ModelIdentity | None = None  # none if it was left out
    features: tuple[FeatureChange, ...] = ()
    limits: tuple[str, ...] = ()  # what could not be carried over, in a sentence each
    left_out: str = ""  # why it is not there


class Migration(_Part):
    """What was migrated, to what, and what is to be known about it."""

    schema_: Literal["anereport.migration/2"] = Field(SCHEMA, alias="schema")
    source: ModelIdentity
    layers: int
    variants: tuple[Variant, ...]
    findings: tuple[str, ...]
    has_source: bool  # whether model.py is there
    verification: Verification
    verdicts: tuple[Verdict, ...] = ()

    @property
    def made(self) -> tuple[Variant, ...]:
        """The variants that are there."""
        return tuple(variant for variant in self.variants if variant.identity)

    @property
    def others(self) -> tuple[Variant, ...]:
        """The variants that are there, the NeuralNetwork as it is aside."""
        return tuple(v for v in self.made if v.identity != self.source)

    @property
    def matrix(self) -> bool:
        """Whether it is the whole experiment, the NeuralNetwork included."""
        return len(self.variants) > 1

    @property
    def simulated(self) -> bool:
        """Whether a verdict rests on the simulator's records."""
        return any(verdict.simulated for verdict in self.verdicts)

    @property
    def identities(self) -> tuple[ModelIdentity, ...]:
        """The source and the variants that are there: what records may be of."""
        return (self.source, *(v.identity for v in self.variants if v.identity))

    def lists(self, result: Record) -> bool:
        """Tell whether a record is of the source or of one of the variants."""
        return any(of(result, identity) for identity in self.identities)


class MigrationError(migrate.AnereportError):
    """A migration's folder that cannot be read, or is of another model."""


def load(folder: Path) -> Migration:
    """Read and check a folder's migration.json; a fault is one sentence."""
    return kept_file.load(folder / FILE, Migration, SCHEMA, MigrationError, COMMAND)


def check(folder: Path, migration: Migration) -> None:
    """Raise MigrationError if a model of the migration is missing or not as it was written."""
    for variant in migration.made:
        name, identity = variant.name, variant.identity
        kept_file.check_model(folder / FILE, name, identity, MigrationError, COMMAND)


def dumps(migration: Migration) -> str:
    """Return the migration's JSON text."""
    return migration.model_dump_json(by_alias=True, indent=1) + "\n"
