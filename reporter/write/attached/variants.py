"""A model's variants as a report carries them: found beside it, read by all records at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reporter.measure.paths import typed
from reporter.measure.record import Record, of
from reporter.understand import manifest
from reporter.understand.manifest import Manifest, ManifestError
from reporter.understand.reading import Reading, readings
from reporter.understand.reading_words import ways_first
from reporter.write.attached import beside, kept_records
from reporter.write.files.outputs import copy
from reporter.write.privacy.model_copy import Copied, copied, reidentified
from reporter.write.privacy.redact import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.measure.identity import ModelIdentity
    from reporter.measure.listing import Listing
    from reporter.progress import Progress
    from reporter.understand.judged import Judged

FOLDER = "variants"  # in the report's folder
BUNDLED = 4  # models of a reading


@dataclass(frozen=True)
class Attached:
    """Variants, the folder that they were read from, and what records of them say."""

    folder: Path
    manifest: Manifest
    readings: tuple[Reading, ...] = ()

    @property
    def identities(self) -> tuple[ModelIdentity, ...]:
        """The variants that are there: what records may be of, beside the model."""
        return tuple(e.identity for e in self.manifest.made if e.identity)

    def records(self, evidence: set[str]) -> list[tuple[Path, Record]]:
        """Return the records kept in it, of this evidence; measured ones before simulated ones.

        Those of variants that it no longer holds stay where they are.
        """
        known = (self.manifest.source, *self.identities)
        kept = kept_records.counting(self.folder, evidence)
        return [(path, r) for path, r in kept if any(of(r, identity) for identity in known)]

    def read(
        self,
        records: Sequence[tuple[str, Record]],
        limit: float,
        custom: Sequence[str],
        progress: Progress,
    ) -> Attached:
        """Return it with what these records say, one reading for each device."""
        progress.expect(1 + len(self.manifest.made))
        called = typed(str(self.folder))
        found = readings(self.manifest, self.folder, records, limit, custom, progress.step, called)
        return replace(self, readings=found)

    @property
    def named(self) -> tuple[Judged, ...]:
        """The variants that a reader will want to run: the smallest that fail, some that do not."""
        found: dict[str, Judged] = {}
        for reading in self.readings:
            smallest = [reading.smallest] if reading.smallest else []
            for one in [*smallest, *ways_first(reading)][:BUNDLED]:
                found.setdefault(one.member.file, one)
        found.pop(self.manifest.source.name, None)
        return tuple(found.values())

    def needs(self, result: Record | Listing) -> bool:
        """Tell whether a report needs a result: not one of a variant that is not named."""
        named = {v.member.identity for v in self.named}
        others = [i for i in self.identities if i not in named]
        return not isinstance(result, Record) or not any(of(result, i) for i in others)

    def write(self, folder: Path) -> list[Copied]:
        """Write what each variant is, and the models that are named, into a report's folder."""
        target = folder / FOLDER
        target.mkdir()
        copies = []
        for one in self.named:
            name, expected = one.member.file, one.member.expected
            (target / name).parent.mkdir(exist_ok=True)
            copies.append(copied(self.folder / name, target / name))
            if expected:
                (target / expected.file).parent.mkdir(exist_ok=True)
                copy(self.folder / expected.file, target / expected.file)
        text = reidentified(manifest.dumps(self.manifest), copies)
        say(target / manifest.FILE, text)
        return copies


def default_folder(model: str | Path) -> str:
    """Return the name of the folder of a model's variants, unless the user has another."""
    return f"{Path(model).stem}-variants"


def find(model: Path, identity: ModelIdentity, chosen: Path | None) -> tuple[Attached | None, str]:
    """Return the variants of a model, and why some that lie beside it are not taken.

    `chosen` is the folder that the user named; ManifestError if it holds none of this model.
    """
    name, read = default_folder(model), partial(attach, identity=identity)
    return beside.find(
        model, "the variants beside the model are", name, manifest.FILE, read, chosen
    )


def attach(folder: Path, identity: ModelIdentity) -> Attached:
    """Return the variants in a folder; ManifestError if of another model, or it was changed."""
    found = manifest.load(folder)
    beside.check_source(f"{folder} holds variants", found.source, identity, ManifestError)
    manifest.check_source(folder, found)
    return Attached(folder, found)
