"""Making what a network is to become: each model converted, written, verified, or taken back."""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import migrate
from reporter.measure.identity import identify
from reporter.understand.migrated import SCHEMA, Migration, Variant
from reporter.write.files.outputs import copy
from reporter.write.migration.feature_changes import changes, lost
from reporter.write.report.model_facts import stand_in_findings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from reporter.progress import Progress
    from reporter.write.migration.matrix import Wanted

AS_IS = "the NeuralNetwork as it is"
CORRECTED = "the NeuralNetwork with its outputs declared as they are computed"


class BrokenError(migrate.AnereportError):
    """An ML Program that is not what the NeuralNetwork is."""


class Subject:
    """The model to migrate, read once."""

    def __init__(self, path: Path, custom: Sequence[str]) -> None:
        self.path, self.custom = path, custom
        self.spec = migrate.load_spec(path)
        self.identity = identify(path)
        self.network = migrate.read(path)

    @functools.cached_property
    def net(self) -> migrate.Model:
        """The torch module."""
        return migrate.to_torch(self.network, migrate.load_custom(self.custom, self.network))

    @functools.cached_property
    def mismatches(self) -> list[migrate.Mismatch]:
        """The outputs that are declared as they are not."""
        return migrate.mismatches(self.net, migrate.output_shapes(self.net))

    @property
    def has_arrays(self) -> bool:
        """Whether a feature is an array of numbers that are no integers."""
        features = (*self.network.inputs, *self.network.outputs)
        return any(f.kind == "multiArray" and f.dtype != "int32" for f in features)


@dataclass
class Making:
    """Making the models of a migration, one after the other."""

    subject: Subject
    folder: Path
    wanted: Sequence[Wanted]
    matrix: bool
    progress: Progress
    variants: dict[str, Variant] = field(default_factory=dict)  # by the label
    unmade: list[str] = field(default_factory=list)

    def migration(self) -> Migration:
        """Write the models and the source, and return what is known of them."""
        subject = self.subject
        networks = tuple(self._networks()) if self.matrix else ()
        kept = {name for wanted in self.wanted for name in wanted.options.keep_fp32}
        verification = migrate.verify(
            subject.net, self._programs(), kept=tuple(kept), progress=self.progress
        )
        self._leave_out(verification.errors)
        self.progress.step("writing the PyTorch source")
        unwritten = _write_source(subject.net, self.folder, subject.path.stem)
        variants = (*networks, *self.variants.values())
        return Migration(
            schema=SCHEMA,
            source=subject.identity,
            layers=len(subject.network.all_layers()),
            variants=variants,
            findings=(
                *verification.findings,
                *_findings(subject),
                *_of_some(self.variants.values()),
                *self.unmade,
                *unwritten,
            ),
            has_source=not unwritten,
            verification=verification,
        )

    def _networks(self) -> Iterator[Variant]:
        """Write the NeuralNetwork as it is, and as it should have been declared."""
        path, folder = self.subject.path, self.folder
        copy(path, folder / path.name)
        yield Variant(name=path.name, what=AS_IS, identity=self.subject.identity)
        name = f"{path.stem}-declared.mlmodel"
        if not self.subject.mismatches:
            reason = "every output is declared as it is computed"
            yield Variant(name=name, what=CORRECTED, left_out=reason)
            return
        self.progress.expect(1)
        self.progress.step("correcting the declared shapes")
        spec = migrate.corrected(self.subject.spec, self.subject.mismatches)
        (folder / name).write_bytes(spec.SerializeToString(deterministic=True))
        try:
            self._check(folder / name)
        except migrate.AnereportError as error:
            (folder / name).unlink()
            yield Variant(name=name, what=CORRECTED, left_out=str(error))
            return
        found = changes(self.subject.spec, spec)
        identity = identify(folder / name)
        yield Variant(name=name, what=CORRECTED, identity=identity, features=found)

    def _check(self, path: Path) -> None:
        """Raise BrokenError unless a corrected network is the same in all else."""
        again = Subject(path, self.subject.custom)
        if again.mismatches or migrate.differ_otherwise(again.spec, self.subject.spec):
            raise BrokenError(f"{path.name} is not what {self.subject.path.name} is")

    def _programs(self) -> Iterator[tuple[str, Any]]:
        """Convert, write and yield the ML Programs; what cannot be made is noted."""
        failures: list[migrate.AnereportError] = []
        for wanted in self.wanted:
            self.progress.step(f"converting to {wanted.what}")
            try:
                conversion = self._conversion(wanted)
            except migrate.OptionError:
                raise
            except migrate.AnereportError as error:
                if wanted.name and not self.matrix:
                    raise _advised(error) from error
                failures.append(error)
                self._not_made(wanted, str(error))
                continue
            self._keep(wanted, conversion)
            yield wanted.label, conversion.program
        if len(failures) == len(self.wanted):
            raise _advised(failures[0]) from failures[0]

    def _conversion(self, wanted: Wanted) -> migrate.Conversion:
        subject = self.subject
        if self.matrix and wanted.options.features and not subject.has_arrays:
            raise migrate.UnsupportedError("the model has no arrays at its inputs and outputs")
        return migrate.convert(subject.net, subject.spec, wanted.options, subject.identity.sha256)

    def _keep(self, wanted: Wanted, conversion: migrate.Conversion) -> None:
        if not wanted.name:
            return
        package = self.folder / wanted.name
        migrate.save(conversion.program, package)
        found = changes(self.subject.spec, conversion.program.get_spec())
        self.variants[wanted.label] = Variant(
            name=wanted.name,
            label=wanted.label,
            what=wanted.what,
            options=wanted.options,
            identity=identify(package),
            features=found,
            limits=(*conversion.limits, *lost(found)),
        )

    def _not_made(self, wanted: Wanted, reason: str) -> None:
        if wanted.name:
            self.variants[wanted.label] = Variant(
                name=wanted.name,
                label=wanted.label,
                what=wanted.what,
                options=wanted.options,
                left_out=reason,
            )
        else:
            self.unmade.append(f"there is no {wanted.what} to compare with: {reason}")

    def _leave_out(self, errors: dict[str, tuple[str, ...]]) -> None:
        """Take back what is not equal to the network; without the matrix that is all there is."""
        for label, found in errors.items():
            more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
            reason = f"the {label} ML Program is not equal to the NeuralNetwork: {found[0]}{more}"
            if not self.matrix:
                raise BrokenError(f"{reason}; nothing is written")
            wanted = next(w for w in self.wanted if w.label == label)
            shutil.rmtree(self.folder / wanted.name)
            self._not_made(wanted, reason)
        if not any(variant.identity for variant in self.variants.values()):
            raise BrokenError(f"{next(iter(self.variants.values())).left_out}; nothing is written")


def _advised(error: migrate.AnereportError) -> migrate.AnereportError:
    return type(error)(f"{error}; --source-only writes the PyTorch source alone")


def _write_source(net: Any, folder: Path, name: str) -> list[str]:
    """Write the PyTorch source; return a finding where a custom layer stands in the way."""
    try:
        migrate.to_source(net, folder, name=name)
    except migrate.AnereportError as error:
        return [f"model.py is not written: {error}"]
    return []


def _findings(subject: Subject) -> tuple[str, ...]:
    found = [f"{m}; the ML Program carries the computed shape" for m in subject.mismatches]
    found += stand_in_findings(subject.network)
    for blob, names in subject.network.overwritten().items():
        writers = " and ".join(f"'{name}'" for name in names)
        found.append(f"blob '{blob}' is written by {writers}; the later one wins")
    return tuple(found)


def _of_some(variants: Any) -> list[str]:
    """Return the limits of the variants; one that not all of them have is said with their names."""
    made = [variant for variant in variants if variant.identity]
    found = []
    for limit in dict.fromkeys(limit for variant in made for limit in variant.limits):
        having = [variant.name for variant in made if limit in variant.limits]
        found.append(limit if len(having) == len(made) else f"{', '.join(having)}: {limit}")
    return found
