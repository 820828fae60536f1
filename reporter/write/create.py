"""`anereport create`: everything known about a model's divergence, in a folder ready to file."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import migrate
from migrate import AnereportError
from reporter.measure import arrays, coreml, inputs, measuring, results, subject
from reporter.measure.given import check_inputs, custom_classes
from reporter.measure.record import Record, RecordError, dumps, of
from reporter.progress import Progress, Silent
from reporter.understand import cells, comparison, listed_faults
from reporter.understand import understood as understanding
from reporter.understand.reference import Referee
from reporter.understand.understood import Bounds, Understood
from reporter.write import repro as repros
from reporter.write.attached import attached
from reporter.write.files.outputs import RECORDS, check_free, copy, new_folder
from reporter.write.privacy import model_copy, model_texts, results_copy
from reporter.write.privacy.redact import opened, redact, redact_json, say
from reporter.write.report import notes, report_file, report_folder, without_weights
from reporter.write.report import report as reports
from reporter.write.report.model_facts import model_facts
from reporter.write.report.program_facts import program_facts
from reporter.write.report.stated import Stated
from reporter.write.repro import package_repro
from reporter.write.zipped import archive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reporter.measure.identity import ModelIdentity
    from reporter.measure.listing import Listing
    from reporter.write.attached.attached import Attached
    from reporter.write.privacy.model_copy import Copied
    from reporter.write.privacy.redact import Gate
    from reporter.write.report.model_facts import ModelFacts
    from reporter.write.report.report import Report
    from reporter.write.repro import Generated, Repro

STEPS = 12  # of progress


@dataclass(frozen=True)
class Options:
    """What the user asked for beside the model."""

    records: Sequence[Path] = ()
    shape: tuple[int, ...] | None = None
    devices: Sequence[str] = ()
    bounds: Bounds = field(default_factory=Bounds)
    script: Path | None = None
    run_script: bool = False
    force: bool = False
    custom: Sequence[str] = ()
    migration: Path | None = None
    variants: Path | None = None
    shrink: Path | None = None
    inputs: Path | None = None
    without_weights: bool = False
    keep_metadata: bool = False
    stated: Stated = field(default_factory=Stated)

    @property
    def files(self) -> tuple[Path, ...]:
        """What is read beside the model and records."""
        given = (self.script, self.migration, self.variants, self.shrink, self.inputs)
        return tuple(filter(None, given))


def create(model: Path, out: Path, options: Options, progress: Progress | None = None) -> Report:
    """Write the report's folder and return the Report; nothing is left behind on failure."""
    progress = progress or Silent()
    check_free(out, options.force, model, *options.records, *options.files)
    notes.read(out)  # what cannot be read is said before long work
    if options.run_script and options.script is None:
        raise AnereportError("--run-script runs the script that --script names: name one")
    if options.devices and not options.records:
        raise AnereportError("--device names the device of results: add them with --record")
    if options.inputs and options.records:
        raise AnereportError("--inputs is for what is measured here: a --record has its own")
    progress.expect(STEPS)
    progress.step("reading the model")
    gate = model_texts.gate(model, options.keep_metadata)
    with opened(gate), tempfile.TemporaryDirectory() as place:
        return _through(gate, model, out, options, progress, Path(place))


def _through(
    gate: Gate, model: Path, out: Path, options: Options, progress: Progress, place: Path
) -> Report:
    """Write the report's folder through a gate; the model's copy is made in `place` first."""
    facts = _facts(model, options.custom)
    copied = model_copy.copied(model, place / gate.file_name(model.name))
    facts = copied.into(facts, gate)
    known = attached.find(
        model, facts.identity, options.migration, options.variants, options.shrink
    )
    files, twice = results.distinct(results.record_files(options.records))
    facts = replace(facts, findings=(*facts.findings, *known.aside, *twice))
    made = _generated(copied.path, facts, options, progress)
    progress.step("reading the results")
    options = replace(options, records=files)
    built = cache(lambda: repros.identities(made, place) if made else ())
    found, kept = _results(model, facts, known, built, options, progress)
    repro = _repro(copied.path, facts, made, options, progress)
    referee = Referee(model, options.custom)
    understood = _understood(referee, facts, found, options, progress)
    every = [*found, *_not_yet(kept, found)]
    names = results_copy.names([path for path, _ in every])
    named = _named(every)
    known = known.judged(referee, named, options.bounds.limit, options.custom, progress)
    tried = cells.of_variants(known.migration, known.readings, named, options.bounds.limit)
    understood = understood.joined(tried)
    bundled = [(n, p, r) for n, (p, r) in zip(names, every, strict=True) if known.needs(r)]
    progress.step("judging other weights")
    repro = repros.judged(repro, made, understood.comparisons, named, options.bounds)
    beside = known.migration, known.readings, known.shrunk
    report = reports.compose(facts, understood, options.devices, repro, *beside)
    report = without_weights.without(report) if options.without_weights else report
    report = replace(report, date=archive.latest(r for _, _, r in bundled))
    stated = report_folder.said_before(out, report, options.stated)
    report = report_file.as_kept(stated.into(report))
    progress.step("writing")
    with new_folder(out, options.force) as folder:
        _bundle(folder, report, copied, bundled, known)
        report_folder.keep_notes(out, folder)
        return report_folder.fill(folder, report, progress)


def _records(found: Sequence[tuple[Path, Record | Listing]]) -> list[tuple[Path, Record]]:
    return [(path, result) for path, result in found if isinstance(result, Record)]


def _named(found: Sequence[tuple[Path, Record | Listing]]) -> list[tuple[str, Record]]:
    """Return the records with what their files are called in the report's folder."""
    names = results_copy.names([path for path, _ in found])
    return [(n, r) for n, (_, r) in zip(names, found, strict=True) if isinstance(r, Record)]


def _results(
    model: Path,
    facts: ModelFacts,
    known: Attached,
    built: Callable[[], Sequence[ModelIdentity]],
    options: Options,
    progress: Progress,
) -> tuple[list[tuple[Path, Record | Listing]], list[tuple[Path, Record]]]:
    """Return the results that the report is of, and the records that its folders keep.

    Results may be of what the script builds too: identities that are made when they are needed.
    """

    def load(path: Path) -> Record | Listing:
        try:
            return results.load(path, facts.identity, options.shape, known.identities)
        except RecordError:
            others = (*known.identities, *built())
            return results.load(path, facts.identity, options.shape, others)

    found = [(path, load(path)) for path in options.records]
    kept = known.records({r.evidence for _, r in _records(found)})
    if not any(not isinstance(r, Record) or of(r, facts.identity) for _, r in found):
        found += [(path, r) for path, r in kept if of(r, facts.identity)]
    if not found and coreml.available() and not custom_classes(model):
        progress.step("measuring on this Mac")
        measured = measuring.measure(model, _given(model, options), progress=progress)
        found = [(Path("measured here"), measured)]
    if len({r.evidence for _, r in _records(found)}) > 1:
        raise AnereportError("records are measured and simulated: make a report of each kind")
    return found, kept


def _not_yet(
    kept: Sequence[tuple[Path, Record]], found: Sequence[tuple[Path, Record | Listing]]
) -> list[tuple[Path, Record]]:
    """Return the kept records that are not among those found, each once."""
    known = {redact_json(dumps(r)) for _, r in _records(found)}  # as they are kept
    fresh = []
    for path, record in kept:
        text = redact_json(dumps(record))
        if text not in known:
            known.add(text)
            fresh.append((path, record))
    return fresh


def _facts(model: Path, custom: Sequence[str]) -> ModelFacts:
    found = subject.read(model, custom)
    if isinstance(found, migrate.ProgramOverview):
        return program_facts(model, found)
    return model_facts(model, custom)


def _understood(
    referee: Referee,
    facts: ModelFacts,
    found: list[tuple[Path, Record | Listing]],
    options: Options,
    progress: Progress,
) -> Understood:
    own = [(name, r) for name, r in _named(found) if of(r, facts.identity)]
    known = understanding.of_records(own, referee, options.bounds, progress)
    listed = [
        comparison.from_listing(
            listing,
            path.name,
            "",
            _listed_output(facts, listing, path),
            listed_faults.said(listing, referee, options.bounds.budget),
        )
        for path, listing in found
        if not isinstance(listing, Record)
    ]
    comparisons = (*known.comparisons, *listed)
    if not comparisons:
        progress.step("computing the reference")
        given = _given(referee.model, options)
        name = measuring.USER if given else "seed-0"
        given = given or inputs.seeded(referee.model)
        comparisons = tuple(comparison.from_reference(referee, given, name))
    return replace(known, comparisons=comparisons)


def _given(model: Path, options: Options) -> dict[str, Any]:
    """Return the user's own inputs; nothing where there are none."""
    if options.inputs is None:
        return {}
    given = arrays.load_inputs(options.inputs)
    check_inputs(given, model)
    return given


def _listed_output(facts: ModelFacts, listed: Listing, path: Path) -> str:
    """Return the output that a listing belongs to: the one of as many elements as its shape."""
    size = math.prod(listed.shape)
    outputs = [f for f in facts.features if f.role == "output"]
    known = [f for f in outputs if f.computed is not None]
    for feature in known:
        if math.prod(feature.computed or ()) == size:
            return feature.name
    if known:
        shapes = ", ".join(f"{f.name} {'x'.join(map(str, f.computed or ()))}" for f in known)
        given = "x".join(map(str, listed.shape))
        raise RecordError(f"{path}: no output has the shape {given}; the model gives {shapes}")
    return outputs[0].name


def _generated(
    model: Path, facts: ModelFacts, options: Options, progress: Progress
) -> Generated | None:
    """Return the script that rebuilds a network; nothing where there is another script."""
    if options.script is not None or facts.program is not None:
        return None
    progress.step("searching for exact weights")
    return repros.generate(model)


def _repro(
    model: Path, facts: ModelFacts, made: Generated | None, options: Options, progress: Progress
) -> Repro:
    """Return the script as it ended when run."""
    if options.script is not None:
        return repros.from_user(options.script, options.run_script)
    told = partial(redact, where=report_folder.SCRIPT)  # what is run is what is bundled
    progress.step("running the repro script in a clean process")
    if facts.program is not None:
        script = told(package_repro.generate(model, facts.program))
        return package_repro.execute(script, model, facts.bundled or facts.identity)
    assert made is not None
    script, building = map(told, made[:2])
    found = replace(repros.execute(script, model, made.kinds), building=building)
    return repros.offered(found, facts.identity, made)


def _bundle(
    folder: Path,
    report: Report,
    model: Copied,
    found: list[tuple[str, Path, Record | Listing]],
    known: Attached,
) -> None:
    copy(model.path, folder / model.path.name)
    say(folder / report_folder.SCRIPT, report.repro.script)
    copies = (model, *known.write(folder))
    if found:
        (folder / RECORDS).mkdir()
    for name, path, result in found:
        results_copy.keep(result, path, folder / RECORDS / name, copies)
    if report.without_weights:
        without_weights.remove(folder)
