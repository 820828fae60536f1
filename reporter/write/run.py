"""`anereport run`: predict, and write the record; of a folder of models, one record per model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from migrate import AnereportError
from reporter.measure import arrays, coreml
from reporter.measure.record import dumps
from reporter.measure.simulate import simulate
from reporter.progress import Progress, Silent
from reporter.write.bundle import check_free, new_folder, write_file
from reporter.write.create import MODELS, models_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.measure.record import Record

COMPILED = ".mlmodelc"  # a folder that is a model too, and none that can be read


@dataclass(frozen=True)
class Options:
    """What the user asked for: a fault to simulate (or "none", or nothing), inputs, builders."""

    fault: str = ""
    inputs: Path | None = None
    custom: Sequence[str] = ()
    force: bool = False


def run(model: Path, out: Path, options: Options, progress: Progress | None = None) -> list[Record]:
    """Write the record of a model to the file `out`, those of a folder's models to the folder."""
    progress = progress or Silent()
    check_free(out, options.force)
    if not model.is_dir() or model.suffix in (*MODELS, COMPILED):
        progress.expect(1)
        record = _record(model, options, progress)
        write_file(out, dumps(record), options.force)
        return [record]
    models = models_in(model)
    if not models:
        raise AnereportError(f"no model in {model}")
    progress.expect(len(models))
    with new_folder(out, options.force) as folder:
        records = [_record(path, options, progress) for path in models]
        for path, record in zip(models, records, strict=True):
            (folder / f"{path.stem}.json").write_text(dumps(record), encoding="utf-8")
    return records


def _record(model: Path, options: Options, progress: Progress) -> Record:
    given = arrays.load_inputs(options.inputs) if options.inputs else None
    if options.fault:
        progress.step(f"simulating {model.name}")
        return simulate(model, options.fault, given, options.custom)
    progress.step(f"measuring {model.name} on this Mac")
    return coreml.measure(model, given)
