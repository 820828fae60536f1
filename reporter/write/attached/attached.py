"""What other commands made of a model, as its report carries it: migration, variants, shrink."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from migrate import AnereportError
from reporter.write.attached import migration as attached_migration
from reporter.write.attached import shrink as attached_shrink
from reporter.write.attached import variants as attached_variants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reporter.measure.identity import ModelIdentity
    from reporter.measure.listing import Listing
    from reporter.measure.record import Record
    from reporter.progress import Progress
    from reporter.understand.migrated import Migration
    from reporter.understand.reading import Reading
    from reporter.understand.reference import Referee
    from reporter.write.privacy.model_copy import Copied

FOLDERS = (attached_migration.FOLDER, attached_variants.FOLDER, attached_shrink.FOLDER)


@dataclass(frozen=True)
class Attached:
    """A model's migration, variants and shrink, if any; `aside` says why some are not taken."""

    migrated: attached_migration.Attached | None = None
    varied: attached_variants.Attached | None = None
    shrinking: attached_shrink.Attached | None = None
    aside: tuple[str, ...] = ()

    @property
    def identities(self) -> tuple[ModelIdentity, ...]:
        """The models that records may be of, beside the model itself."""
        return (
            *(self.migrated.migration.identities if self.migrated else ()),
            *(self.varied.identities if self.varied else ()),
        )

    @property
    def migration(self) -> Migration | None:
        """The migration, with its verdicts."""
        return self.migrated.migration if self.migrated else None

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What records of the variants say."""
        return self.varied.readings if self.varied else ()

    @property
    def shrunk(self) -> attached_shrink.ShrunkFacts | None:
        """What the shrink found."""
        return self.shrinking.facts if self.shrinking else None

    def records(self, evidence: set[str]) -> list[tuple[Path, Record]]:
        """Return the records that the folders keep, of this evidence."""
        folders = [each for each in (self.migrated, self.varied) if each]
        return [record for each in folders for record in each.records(evidence)]

    def judged(
        self,
        referee: Referee,
        records: Sequence[tuple[str, Record]],
        limit: float,
        custom: Sequence[str],
        progress: Progress,
    ) -> Attached:
        """Return it with what these records say of it."""
        found = self
        if found.migrated:
            progress.step("judging the migration")
            migrated = found.migrated.judged(referee.net, records, limit, progress)
            found = replace(found, migrated=migrated)
        if found.varied:
            varied = found.varied.read(records, limit, custom, progress)
            found = replace(found, varied=varied)
        return found

    def needs(self, result: Record | Listing) -> bool:
        """Tell whether the report has to bundle a result."""
        return self.varied is None or self.varied.needs(result)

    def write(self, folder: Path) -> tuple[Copied, ...]:
        """Write what is known, and the models that it is of, into a report's folder."""
        attached = [each for each in (self.migrated, self.varied, self.shrinking) if each]
        return tuple(copy for each in attached for copy in each.write(folder))


def find(
    model: Path,
    identity: ModelIdentity,
    migration: Path | None = None,
    variants: Path | None = None,
    shrink: Path | None = None,
) -> Attached:
    """Return what lies in the folders that the user named, or else beside the model."""
    if identity.kind == "mlProgram":
        if migration:
            raise AnereportError(
                f"{model} is an ML Program already: --migration is of a NeuralNetwork"
            )
        if variants:
            raise AnereportError(f"{model} is an ML Program: --variants are of a NeuralNetwork")
        if shrink:
            raise AnereportError(f"{model} is an ML Program: --shrink is of a NeuralNetwork")
        return Attached()
    migrated, unread = attached_migration.find(model, identity, migration)
    varied, unvaried = attached_variants.find(model, identity, variants)
    shrinking, unshrunk = attached_shrink.find(model, identity, shrink)
    aside = tuple(filter(None, (unread, unvaried, unshrunk)))
    return Attached(migrated, varied, shrinking, aside)
