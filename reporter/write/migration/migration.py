"""`anereport migrate`: the ML Program, what verification found, and the verdict, in a folder."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import migrate
from reporter.measure import coreml, measuring, record
from reporter.measure.record import RecordError
from reporter.measure.results import record_files
from reporter.progress import Progress, Silent
from reporter.understand import experiment, migrated
from reporter.understand.migrated import Migration, MigrationError
from reporter.write.attached.kept_records import keep
from reporter.write.files.outputs import check_free, new_folder
from reporter.write.migration import equality
from reporter.write.migration import matrix as wanting
from reporter.write.migration.making import Making, Subject
from reporter.write.privacy.model_texts import leaving
from reporter.write.privacy.redact import say
from reporter.write.rendering import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.measure.record import Record
    from reporter.write.migration.matrix import Wanted

PAGE = "migration.md"


def write(
    model: Path,
    out: Path,
    options: migrate.Options | None = None,
    force: bool = False,
    progress: Progress | None = None,
    custom: Sequence[str] = (),
    *,
    matrix: bool = False,
    records: Sequence[Path] = (),
) -> Migration:
    """Write the ML Program and the PyTorch source of `model` to `out`, and what was found.

    The folder holds the package, model.py and its weights, migration.json and migration.md; with
    `matrix` all models of the experiment. `records` of the NeuralNetwork and of what it became are
    judged; a folder that holds this migration already is kept then, and the verdict is added.
    Raises BrokenError if the ML Program is not equal to the network; nothing is left then.
    """
    progress = progress or Silent()
    choose = wanting.whole if matrix else wanting.one
    options = options or migrate.Options()
    given = [(path.name, record.load(path)) for path in record_files(records)]
    kept = bool(given) and not force and out.exists()
    check_free(out, force or kept, model, *records)
    with leaving(model) as model:
        wanted = choose(model, options)
        progress.expect(1 if kept else 4 + 2 * len(wanted))
        progress.step("reading the model")
        subject = Subject(model, custom)
        asked = wanted if matrix or options != migrate.Options() else ()
        known = _matching(out, subject, asked) if kept else None
        with new_folder(out, force or kept) as folder:
            if known:
                shutil.copytree(out, folder, dirs_exist_ok=True)
            else:
                known = Making(subject, folder, wanted, matrix, progress).migration()
            given = given or _measured(folder, subject, known, progress)
            found = _with_records(folder, known, given)
            progress.expect(len(known.others))
            verdicts = experiment.verdicts(
                known, folder, subject.net, found, str(out), progress.step
            )
            migration = known.model_copy(update={"verdicts": verdicts})
            say(folder / migrated.FILE, migrated.dumps(migration))
            say(folder / PAGE, page(migration, out))
    return migration


def page(migration: Migration, out: Path) -> str:
    """Return migration.md of a migration in the folder `out`."""
    verification = migration.verification
    return render(
        PAGE,
        migration=migration,
        out="" if out.name == default_folder(migration.source.name) else str(out),
        worst=equality.worst(verification),
        fates=equality.fates(verification),
        layers=equality.layers(verification),
        carried=equality.carried,
    )


def default_folder(model: str | Path) -> str:
    """Return the name of the folder that a model is migrated to, unless the user has another."""
    return f"{PurePath(model).stem}-mlprogram"


def write_source(
    model: Path,
    out: Path,
    force: bool = False,
    progress: Progress | None = None,
    custom: Sequence[str] = (),
) -> None:
    """Write `model` as PyTorch source alone: model.py and its weights, in the folder `out`."""
    progress = progress or Silent()
    check_free(out, force, model)
    progress.expect(2)
    progress.step("reading the model")
    net = Subject(model, custom).net
    progress.step("writing")
    with new_folder(out, force) as folder:
        migrate.to_source(net, folder, name=model.stem)


def _matching(out: Path, subject: Subject, wanted: Sequence[Wanted]) -> Migration:
    """Return the migration that a folder holds; MigrationError if it is not what is wanted."""
    known = migrated.load(out)
    if known.source != subject.identity:
        raise MigrationError(
            f"{out} holds a migration of another model ({known.source.name}, sha256 "
            f"{known.source.sha256[:12]}): choose another with --out, or give --force"
        )
    whole = len(wanted) > 2  # a matrix may have left some out
    there = [v.options for v in (known.variants if whole else known.made)]
    missing = [w for w in wanted if w.name and w.options not in there]
    if missing:
        raise MigrationError(
            f"{out} does not hold what is asked for ({missing[0].what}): choose another with "
            "--out, or give --force to convert again"
        )
    migrated.check(out, known)
    return known


def _measured(
    folder: Path, subject: Subject, known: Migration, progress: Progress
) -> list[tuple[str, Record]]:
    """Return what this Mac gives for the model and what it became; nothing elsewhere."""
    if not coreml.available():
        return []
    paths = [subject.path, *(folder / variant.name for variant in known.others)]
    progress.expect(len(paths))
    found = []
    for path in paths:
        progress.step(f"measuring {path.name} on this Mac")
        found.append((f"{path.name}.json", measuring.measure(path)))
    return found


def _with_records(
    folder: Path, known: Migration, given: Sequence[tuple[str, Record]]
) -> list[tuple[str, Record]]:
    """Keep records in the folder; return these and those that were there."""
    for name, result in given:
        if not known.lists(result):
            names = ", ".join(variant.name for variant in known.others)
            raise RecordError(
                f"{name} is a record of another model: {result.model.name} (sha256 "
                f"{result.model.sha256[:12]}), neither of {known.source.name} nor of {names}"
            )
    return list(keep(folder, given).items())
