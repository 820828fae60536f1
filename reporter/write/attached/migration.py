"""A migration as a report carries it: found beside the model, judged by all records at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from reporter.understand import experiment, migrated
from reporter.understand.migrated import Migration, MigrationError
from reporter.write.attached import beside, kept_records
from reporter.write.migration.migration import PAGE, default_folder, page
from reporter.write.privacy.model_copy import Copied, copied, reidentified
from reporter.write.privacy.redact import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import migrate
    from reporter.measure.identity import ModelIdentity
    from reporter.measure.record import Record
    from reporter.progress import Progress

FOLDER = "migration"  # in the report's folder


@dataclass(frozen=True)
class Attached:
    """A migration and the folder that it was read from."""

    folder: Path
    migration: Migration

    def records(self, evidence: set[str]) -> list[tuple[Path, Record]]:
        """Return the records kept in it, of this evidence; measured ones before simulated ones."""
        return kept_records.counting(self.folder, evidence)

    def judged(
        self,
        net: migrate.Model,
        records: Sequence[tuple[str, Record]],
        limit: float,
        progress: Progress,
    ) -> Attached:
        """Return it with the verdicts that these records give; `net` is the source's module."""
        verdicts = experiment.verdicts(
            self.migration, self.folder, net, records, str(self.folder), progress.step, limit
        )
        migration = self.migration.model_copy(update={"verdicts": verdicts})
        return replace(self, migration=migration)

    def write(self, folder: Path) -> list[Copied]:
        """Write what is known, and the models that records are of, into a report's folder."""
        target = folder / FOLDER
        target.mkdir()
        names = dict.fromkeys(v.variant for v in self.migration.verdicts if v.after)
        copies = [copied(self.folder / name, target / name) for name in names]
        say(target / migrated.FILE, reidentified(migrated.dumps(self.migration), copies))
        say(target / PAGE, page(self.migration, self.folder))
        return copies


def find(model: Path, identity: ModelIdentity, chosen: Path | None) -> tuple[Attached | None, str]:
    """Return the migration of a model, and why one that lies beside it is not taken.

    `chosen` is the folder that the user named; MigrationError if it holds none of this model.
    """
    name = default_folder(model)
    read = partial(_read, identity=identity)
    return beside.find(
        model, "the migration beside the model is", name, migrated.FILE, read, chosen
    )


def _read(folder: Path, identity: ModelIdentity) -> Attached:
    found = migrated.load(folder)
    beside.check_source(f"{folder} is a migration", found.source, identity, MigrationError)
    migrated.check(folder, found)
    return Attached(folder, found)
