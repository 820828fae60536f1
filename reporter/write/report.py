"""The Report: everything that a template may say. Venues read it, and nothing else."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import migrate
from reporter.measure.identity import ModelIdentity, identify
from reporter.measure.record import Device
from reporter.understand.agreement import Agreement
from reporter.understand.assessment import LIMIT
from reporter.understand.comparison import NOT_MEASURED, Comparison
from reporter.understand.reading_words import brief, sentences

if TYPE_CHECKING:
    from reporter.understand.explanation import Explanation
    from reporter.understand.incidents import Incident
    from reporter.understand.judged import Judged
    from reporter.understand.migrated import Migration, Variant
    from reporter.understand.reading import Reading
    from reporter.understand.understood import Understood
    from reporter.understand.verdict import Verdict
    from reporter.write.repro import Repro

SCHEMA = "anereport.report/1"
UNKNOWN = str(Device())
REFERENCE = "the reference"  # what Comparison.against says of a computed one
WORDS = {"cpu": "CPU", "gpu": "GPU", "ane": "Neural Engine"}
PACKAGES = ("anereport", "coremltools", "numpy", "torch")


@dataclass(frozen=True)
class LayerFact:
    """A layer as the report lists it; `shape` is that of its first output, if it could be run."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class FeatureFact:
    """A feature as declared, and the shape that the layers compute for it."""

    name: str
    role: str  # "input" or "output"
    kind: str
    dtype: str
    declared: tuple[int, ...]
    computed: tuple[int, ...] | None


@dataclass(frozen=True)
class ModelFacts:
    """The model as read from its file."""

    identity: ModelIdentity
    features: tuple[FeatureFact, ...]
    layers: tuple[LayerFact, ...]
    findings: tuple[str, ...]
    unavailable: str = ""  # why the layers could not be run here
    program: migrate.ProgramOverview | None = None  # of an ML Program, which has no layers
    lint: tuple[migrate.Finding, ...] = ()  # of a NeuralNetwork


@dataclass(frozen=True)
class DeviceFact:
    """A device, and how it is known."""

    text: str
    evidence: str


@dataclass(frozen=True)
class Missing:
    """Something the report does not know, and the command that would tell."""

    what: str
    command: str


@dataclass(frozen=True)
class MigrationFacts:
    """What the model was migrated to, and whether that helped; more is in migration.json."""

    variants: tuple[Variant, ...]
    findings: tuple[str, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Tried:
    """A variant that a device measured: what it tests, and how it ended."""

    name: str
    line: str
    word: str
    ratio: float | None  # to what rounding explains, of the worst output of all repeats
    repeats: int
    records: tuple[str, ...]


@dataclass(frozen=True)
class ReadingFacts:
    """What one device's records of the variants say."""

    simulated: bool
    sentences: tuple[str, ...]
    brief: tuple[str, ...]  # the same where there is little room
    tried: tuple[Tried, ...]


@dataclass(frozen=True)
class Report:
    """Everything known about one model's divergence."""

    title: str
    summary: str
    simulated: bool
    model: ModelFacts
    devices: tuple[DeviceFact, ...]
    comparisons: tuple[Comparison, ...]
    tolerance: float
    missing: tuple[Missing, ...]
    repro: Repro
    software: tuple[tuple[str, str], ...]
    migration: MigrationFacts | None = None
    readings: tuple[ReadingFacts, ...] = ()  # of variants
    verdict: str = ""  # on the worst output, by what rounding explains
    limit: float = LIMIT
    explanations: tuple[Explanation, ...] = ()
    incidents: tuple[Incident, ...] = ()
    agreement: Agreement = field(default_factory=Agreement)  # of several devices
    attachments: tuple[tuple[str, int], ...] = ()
    schema: str = field(default=SCHEMA)


def model_facts(path: Path, custom: Sequence[str] = ()) -> ModelFacts:
    """Return the model's facts; its blobs' shapes by running it once at its default shapes."""
    network = migrate.read(path)
    builders = migrate.load_custom(custom, network)
    blobs: dict[str, tuple[int, ...]] = {}
    computed: dict[str, tuple[int, ...]] = {}
    findings: tuple[str, ...] = ()
    unavailable = ""
    try:
        net = migrate.to_torch(network, builders)

        def note(blob: str, value: Any) -> Any:
            blobs[blob] = tuple(value.shape)
            return value

        with net.watching(note):
            computed = migrate.output_shapes(net)
        findings = (*stand_in_findings(network), *map(str, migrate.mismatches(net, computed)))
    except migrate.AnereportError as error:
        unavailable = str(error)
    return ModelFacts(
        identity=identify(path),
        features=feature_facts(network, computed),
        layers=tuple(
            LayerFact(x.name, x.kind, x.inputs, x.outputs, _first(blobs, x.outputs))
            for x in network.all_layers()
        ),
        findings=findings,
        unavailable=unavailable,
        lint=migrate.lint(network, builders),
    )


def stand_in_findings(network: Any) -> list[str]:
    """Return a sentence for each output that no layer writes."""
    return [
        f"output '{name}' is written by no layer; '{blob}', the one blob that nothing reads, "
        "is taken for it"
        for name, blob in migrate.stand_ins(network).items()
    ]


def _first(blobs: Mapping[str, tuple[int, ...]], names: Sequence[str]) -> tuple[int, ...] | None:
    return next((blobs[name] for name in names if name in blobs), None)


def feature_facts(
    described: Any, computed: Mapping[str, tuple[int, ...]]
) -> tuple[FeatureFact, ...]:
    """Return the features of a network or ML Program, with the shapes computed for its outputs."""
    found = []
    for role, features in (("input", described.inputs), ("output", described.outputs)):
        for f in features:
            shape = computed.get(f.name) if role == "output" else migrate.default_shape(f)
            dtype = f.color if f.kind == "image" else f.dtype
            found.append(FeatureFact(f.name, role, f.kind, dtype, f.shape, shape))
    return tuple(found)


def software() -> tuple[tuple[str, str], ...]:
    """Return the versions that this report was made with."""
    found = [("Python", platform.python_version()), ("system", platform.system())]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            found.append((package, "not installed"))
    return tuple(found)


def compose(
    facts: ModelFacts,
    understood: Understood,
    stated_devices: Sequence[str],
    repro: Repro,
    migration: Migration | None = None,
    readings: Sequence[Reading] = (),
) -> Report:
    """Return the report of these results, of the model's migration and its variants if any."""
    comparisons, bounds = understood.comparisons, understood.bounds
    migrated = _migrated(migration, facts) if migration else None
    verdicts = migrated.verdicts if migrated else ()
    simulated = any(c.simulated for c in comparisons) or any(v.simulated for v in verdicts)
    return Report(
        title=_title(facts, comparisons),
        verdict=understood.verdict if any(c.diagnosis for c in comparisons) else "",
        summary=_summary(comparisons, bounds.tolerance),
        simulated=simulated,
        model=facts,
        devices=_devices(comparisons, stated_devices),
        comparisons=tuple(sorted(comparisons, key=_divergence, reverse=True)),
        tolerance=bounds.tolerance,
        limit=bounds.limit,
        explanations=understood.explanations,
        incidents=understood.incidents,
        agreement=understood.agreement if understood.agreement.shown else Agreement(),
        missing=(
            *_missing(facts, comparisons, repro),
            *_missing_readings(facts, readings),
            *_missing_verdicts(facts, migrated),
        ),
        repro=repro,
        software=software(),
        migration=migrated,
        readings=tuple(_reading(r) for r in readings if r.place),
    )


def _migrated(migration: Migration, facts: ModelFacts) -> MigrationFacts:
    """Return the migration's facts, without the findings that are the model's own."""
    own = tuple(f for f in migration.findings if not f.startswith(facts.findings))
    return MigrationFacts(migration.others, own, migration.verdicts)


def _beyond(comparison: Comparison, unit: str) -> int | None:
    metrics = comparison.result(unit).metrics
    return metrics.beyond if metrics else None


def _title(facts: ModelFacts, comparisons: Sequence[Comparison]) -> str:
    name = facts.identity.name
    prefix = "SIMULATED: " if any(c.simulated for c in comparisons) else ""
    measured = [c for c in comparisons if c.wrong("ane") is not None]
    wrong = [c for c in measured if c.wrong("ane")]
    if any(c.against == REFERENCE and not c.wrong("cpu") and not c.wrong("gpu") for c in wrong):
        return f"{prefix}Core ML: {name} gives wrong numbers on the Neural Engine"
    if wrong:
        return f"{prefix}Core ML: {name} on the Neural Engine differs from {wrong[0].against}"
    if measured:
        return f"{prefix}Core ML: {name} on the Neural Engine agrees with {measured[0].against}"
    listed = [c for c in comparisons if c.statements]
    if listed:
        return f"{prefix}Core ML: {name}, {_listed(listed[0])}"
    none = "" if any(map(_tried, comparisons)) else " (no device results yet)"
    return f"{prefix}Core ML: {name}, numbers per compute unit{none}"


def _listed(comparison: Comparison) -> str:
    """Return "different numbers on CPU and GPU", or without "different" where rows agree."""
    units = [WORDS[r.unit] for r in comparison.units if r.status != NOT_MEASURED]
    rows = [row for row in comparison.table.rows if row is not None]
    differ = any(len({float(value) for value in row.values if value}) > 1 for row in rows)
    names = " and ".join(filter(None, [", ".join(units[:-1]), units[-1]])) if units else "no unit"
    return f"{'different numbers' if differ else 'numbers'} on {names}"


def _tried(comparison: Comparison) -> bool:
    return any(r.status != NOT_MEASURED for r in comparison.units)


def _summary(comparisons: Sequence[Comparison], tolerance: float) -> str:
    measured = [c for c in comparisons if c.measured]
    if measured:
        worst = max(measured, key=_divergence)
        counts = [
            f"{r.metrics.beyond:,} on {r.unit.upper()}"
            for r in worst.units
            if r.metrics is not None
        ]
        counts += [f"{r.unit.upper()} {r.status}" for r in worst.units if "failed" in r.status]
        total = next(r.metrics.count for r in worst.units if r.metrics is not None)
        how = "SIMULATED: " if worst.simulated else ""
        return (
            f"{how}of {total:,} values of output '{worst.output}', these differ from "
            f"{worst.against} by more than {tolerance:g} x max(|reference|, 1): "
            f"{', '.join(counts)}."
        )
    listed = [c for c in comparisons if c.statements]
    if listed:
        return " ".join(listed[0].statements)
    for tried in filter(_tried, comparisons):
        how = "SIMULATED: " if tried.simulated else ""
        states = ", ".join(f"{r.unit.upper()} {r.status}" for r in tried.units)
        return f"{how}nothing could be compared with the reference ({tried.reference}): {states}."
    if not any(c.shape for c in comparisons):
        return "No compute unit has been measured yet, and no reference could be computed."
    return "No compute unit has been measured yet: the tables hold the computed reference alone."


def _divergence(comparison: Comparison) -> tuple[Any, ...]:
    """Return by what comparisons are ordered: the Neural Engine's values first, then anyone's."""
    known = comparison.diagnosis
    severity = known.worst.severity if known else (0, 0.0)
    counts = [r.metrics.beyond for r in comparison.units if r.metrics is not None]
    return severity, _beyond(comparison, "ane") or 0, max(counts, default=0)


def _devices(comparisons: Sequence[Comparison], stated: Sequence[str]) -> tuple[DeviceFact, ...]:
    anonymous = ("", UNKNOWN) if stated else ("",)
    found = [DeviceFact(c.device, c.evidence) for c in comparisons if c.device not in anonymous]
    found += [DeviceFact(text, "stated by the user") for text in stated]
    return tuple(dict.fromkeys(found))


def _missing(
    facts: ModelFacts, comparisons: Sequence[Comparison], repro: Repro
) -> tuple[Missing, ...]:
    name = shlex.quote(facts.identity.name)
    measured = {
        r.unit for c in comparisons for r in c.units if r.status != NOT_MEASURED and not c.simulated
    }
    missing = []
    for unit, words in WORDS.items():
        if unit not in measured:
            missing.append(f"the {words}'s numbers")
    found = [Missing(what, f"anereport run {name} --out record.json") for what in missing]
    if any(c.statements for c in comparisons):
        what = "all values of the output, with their inputs: the listing holds some rows alone"
        found.append(Missing(what, f"anereport run {name} --out record.json"))
        what = f"whether {facts.identity.name}, with its weights, gives the values listed"
        found.append(Missing(what, f"anereport run {name} --out record.json"))
    if repro.rebuilds and not repro.own_weights:
        what = "whether the divergence shows with the seeded weights of repro.py"
        found.append(Missing(what, "python repro.py"))
    return tuple(found)


def _reading(reading: Reading) -> ReadingFacts:
    measured = [v for v in reading.variants if v.attempts]
    simulated = reading.place is not None and reading.place.evidence == "simulated"
    return ReadingFacts(
        simulated, sentences(reading), brief(reading), tuple(map(_tried_variant, measured))
    )


def _tried_variant(v: Judged) -> Tried:
    ratio = v.worst.ratio if v.worst.state != "does not run" else None
    word = f"{v.word}: {v.reason}" if v.reason else v.word
    return Tried(v.member.name, v.member.line, word, ratio, len(v.attempts), v.records)


def _missing_readings(facts: ModelFacts, readings: Sequence[Reading]) -> list[Missing]:
    """Return what nobody measured of variants, unless a reading says which are not."""
    what = "which edits of the model make it vanish, and the smallest part that fails"
    name = shlex.quote(facts.identity.name)
    if facts.program is not None or any(v.attempts for r in readings for v in r.variants):
        return []
    if not readings:
        return [Missing(what, f"anereport variants {name}")]
    folder = readings[0].folder
    command = f"anereport run {shlex.quote(folder)} --out {shlex.quote(f'{folder}-records')}"
    return [Missing(what, command)]


def _missing_verdicts(facts: ModelFacts, migrated: MigrationFacts | None) -> list[Missing]:
    what = "whether the ML Program form of the model avoids it"
    if facts.program is not None:
        return []
    if migrated is None:
        return [Missing(what, f"anereport migrate {shlex.quote(facts.identity.name)}")]
    commands = dict.fromkeys(command for v in migrated.verdicts for command in v.commands)
    return [Missing(what, command) for command in commands]
