"""`anereport run`: predict, and write the record; of a folder of models, one record per model.

What is finished is never lost: while a record is made, what there is of it lies beside it in
OUT.partial, whole at any moment; so do a folder's finished records, and the next call goes on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from migrate import AnereportError
from reporter.measure import arrays, measuring
from reporter.measure import record as records
from reporter.measure.identity import identify
from reporter.measure.inputs import Schedule
from reporter.measure.simulate import ONCE, lacks, simulate
from reporter.progress import Progress, Silent
from reporter.write.files.outputs import (
    OutputError,
    check_free,
    check_free_file,
    growing_folder,
    new_file,
    partial,
)
from reporter.write.models_here import MODELS, models_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reporter.measure.measuring import Keep
    from reporter.measure.record import Record

NO_FAULT = "none"
COMPILED = ".mlmodelc"  # a folder that is a model too, and none that can be read


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Raises AnereportError for fewer than one seed or repeat, or for inputs of two kinds.
    """

    fault: str = ""  # to simulate, or "none"; nothing: measure
    inputs: Path | None = None
    custom: Sequence[str] = ()  # builders of custom layers
    force: bool = False
    seeds: int | None = None
    repeats: int | None = None
    controls: bool = False
    seconds: float = measuring.SECONDS  # that a compute unit has
    label: str = ""

    def __post_init__(self) -> None:
        if self.inputs and (self.seeds is not None or self.controls):
            raise AnereportError("--inputs takes the place of --seeds and --controls: give one")
        self.schedule  # noqa: B018  an error in it comes before any work

    @property
    def schedule(self) -> Schedule:
        """How much is measured, or simulated, where each repeat gives the same."""
        usual = ONCE if self.fault else Schedule()
        return Schedule(
            seeds=usual.seeds if self.seeds is None else self.seeds,
            repeats=usual.repeats if self.repeats is None else self.repeats,
            controls=self.controls,
        )


class Stopped(KeyboardInterrupt):
    """Ctrl-C, and where what was finished is."""


def run(model: Path, out: Path, options: Options, progress: Progress | None = None) -> list[Record]:
    """Write the record of a model to the file `out`, those of a folder's models to the folder.

    Raises Stopped on Ctrl-C if there is something to keep.
    """
    progress = progress or Silent()
    read = tuple(filter(None, (model, options.inputs)))
    if not model.is_dir() or model.suffix in (*MODELS, COMPILED):
        check_free_file(out, options.force, *read)
        return [_written(model, out, options, progress)]
    check_free(out, options.force, *read)
    models = models_in(model)
    if not models:
        raise AnereportError(f"no model in {model}")
    targets = _targets(models)
    inside = _options(models, replace(options, force=True))  # over what Ctrl-C left of a record
    try:
        with growing_folder(out, options.force) as folder:
            kept = _kept(folder, targets, inside)
            return [
                kept.get(path) or _written(path, folder / name, inside[path], progress)
                for path, name in targets.items()
            ]
    except KeyboardInterrupt as stop:
        if partial(out).is_dir():
            raise Stopped(f"what is finished is in {partial(out)}; the next call goes on") from stop
        raise


def said(record: Record) -> Iterator[str]:
    """Yield in words which units gave outputs, and which runs failed."""
    units = dict.fromkeys(run.unit for run in record.runs if run.outputs is not None)
    fault = f" with {record.simulation}" if record.simulation not in ("", NO_FAULT) else ""
    yield f"{record.evidence}{fault} on {', '.join(units) or 'no unit'}"
    for run in record.runs:
        if run.failure:
            which = f"{run.input}, {run.start} start" if run.start else run.input
            yield f"{run.unit} failed in {run.failure.stage} ({which}): {run.failure.message}"


def _options(models: Sequence[Path], options: Options) -> dict[Path, Options]:
    """Return the options for each model: a fault is simulated in those that can have it."""
    if options.fault in ("", NO_FAULT):
        return dict.fromkeys(models, options)
    why = {path: lacks(path, options.fault, options.custom) for path in models}
    if all(why.values()):
        raise AnereportError(
            f"no model in {models[0].parent} can have '{options.fault}': {why[models[-1]]}"
        )
    return {path: replace(options, fault=NO_FAULT if why[path] else options.fault) for path in why}


def _targets(models: Sequence[Path]) -> dict[Path, str]:
    """Return what each model's record is called: like the model, without its suffix if it can."""
    stems = Counter(path.stem for path in models)
    return {path: f"{path.stem if stems[path.stem] == 1 else path.name}.json" for path in models}


def _kept(
    folder: Path, targets: dict[Path, str], options: dict[Path, Options]
) -> dict[Path, Record]:
    """Return the whole records that an earlier call left; refuses a folder with anything else."""
    models = {name: path for path, name in targets.items()}
    found = {}
    for file in sorted(folder.glob("*.json")):
        model = models.get(file.name)
        record = records.load(file)
        if model is None or not _same(record, model, options[model]):
            raise OutputError(f"{file} is not of these models and options: move {folder} away")
        if not record.stopped:
            found[model] = record
    return found


def _same(record: Record, model: Path, options: Options) -> bool:
    return record.simulation == options.fault and records.of(record, identify(model))


def _written(model: Path, out: Path, options: Options, progress: Progress) -> Record:
    """Write the record of a model, or what there is of it when something ends the measuring."""
    found: list[Record] = []

    def keep(record: Record) -> None:
        found[:] = [record]
        _write(record, partial(out), force=True)

    try:
        found[:] = [_record(model, options, keep, progress)]
    except KeyboardInterrupt as stop:
        if found:
            raise Stopped(f"what is finished is in {out}") from stop
        raise
    finally:
        if found:
            _write(found[0], out, options.force)
            partial(out).unlink(missing_ok=True)
    return found[0]


def _write(record: Record, path: Path, force: bool) -> None:
    with new_file(path, force) as stream:
        records.dump(record, stream)


def _record(model: Path, options: Options, keep: Keep, progress: Progress) -> Record:
    given = arrays.load_inputs(options.inputs) if options.inputs else None
    if options.fault:
        progress.expect(1)
        progress.step(f"simulating {model.name}")
        return simulate(model, options.fault, given, options.custom, options.schedule)
    return measuring.measure(
        model,
        given,
        options.schedule,
        seconds=options.seconds,
        label=options.label,
        keep=keep,
        progress=progress,
    )
