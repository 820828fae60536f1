"""The Report: everything that a template may say. Venues read it, and nothing else."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from reporter.measure.record import Device
from reporter.understand.agreement import Agreement
from reporter.understand.assessment import LIMIT
from reporter.understand.comparison import Comparison
from reporter.understand.explanation import Explanation
from reporter.understand.incidents import Incident
from reporter.understand.migrated import Variant
from reporter.understand.reading_words import brief, sentences, smallest
from reporter.understand.sides import Placement, least
from reporter.understand.verdict import Verdict
from reporter.write.attached.shrink import ShrunkFacts
from reporter.write.pictures.figures import chosen
from reporter.write.privacy.removed import Removed
from reporter.write.report.missing import Missing, missing
from reporter.write.report.model_facts import ModelFacts
from reporter.write.report.summary import ordered, summary, title
from reporter.write.repro import Repro

if TYPE_CHECKING:
    from reporter.understand.judged import Judged
    from reporter.understand.migrated import Migration
    from reporter.understand.reading import Reading
    from reporter.understand.understood import Understood

SCHEMA: Literal["anereport.report/2"] = "anereport.report/2"
UNKNOWN = str(Device())
FORUM_LIMIT = 7000  # characters of the post, chosen here: the forum's own is not documented
SIZE_LIMIT = 10.0  # MB of the zip, chosen here: Apple documents no limit of an attachment
PACKAGES = ("anereport", "coremltools", "numpy", "torch")


@dataclass(frozen=True)
class DeviceFact:
    """A device, and how it is known."""

    text: str
    evidence: str
    doubts: tuple[str, ...] = ()  # sentences: why it may not tell, and which records are not whole


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
    smallest: str = ""  # a sentence: the smallest variant that fails
    diverges: bool = False  # whether the model itself is wrong there, or does not run


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
    printed: tuple[str, ...] = ()  # sentences: by Apple's compiler and run time
    limit: float = LIMIT
    explanations: tuple[Explanation, ...] = ()
    incidents: tuple[Incident, ...] = ()
    agreement: Agreement = field(default_factory=Agreement)  # of several devices
    placement: Placement | None = None  # of all plans in the model's records the least
    last_good: str = ""  # the last system that was right, stated by the user
    shrunk: ShrunkFacts | None = None
    forum_limit: int = FORUM_LIMIT
    date: str = ""  # of the latest record, ISO 8601 in UTC
    without_weights: bool = False  # neither the model nor what holds its weights is attached
    size_limit: float = SIZE_LIMIT
    attachments: tuple[tuple[str, int], ...] = ()
    oversize: str = ""  # a sentence, if an attachment is over the limit
    feedback: str = ""  # the number it was filed under: "FB12345678"
    thread: str = ""  # the address where it is discussed
    notes: str = ""  # what the user wrote of it, as Markdown
    removed: tuple[Removed, ...] = ()  # by the gate, counted
    schema: Literal["anereport.report/2"] = SCHEMA


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
    shrunk: ShrunkFacts | None = None,
) -> Report:
    """Return the report of these results, of the model's migration and its variants if any."""
    comparisons, bounds = chosen(ordered(understood.comparisons)), understood.bounds
    migrated = _migrated(migration, facts) if migration else None
    verdicts = migrated.verdicts if migrated else ()
    placements = [c.placement for c in understood.circumstances if c.placement]
    simulated = any(c.simulated for c in comparisons) or any(v.simulated for v in verdicts)
    simulated = simulated or (shrunk is not None and shrunk.simulated)
    simulated = simulated or any(weights.simulated for weights in repro.weights)
    return Report(
        title=title(facts.identity.name, comparisons),
        verdict=understood.verdict if any(c.diagnosis for c in comparisons) else "",
        summary=summary(comparisons, bounds.tolerance),
        simulated=simulated,
        model=facts,
        devices=_devices(understood, stated_devices),
        printed=tuple(said for c in understood.circumstances for said in c.printed),
        comparisons=comparisons,
        tolerance=bounds.tolerance,
        limit=bounds.limit,
        explanations=understood.explanations,
        incidents=understood.incidents,
        agreement=understood.agreement if understood.agreement.shown else Agreement(),
        placement=least(placements),
        shrunk=shrunk,
        missing=missing(
            facts, comparisons, repro, readings, migrated, bool(shrunk and shrunk.file)
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


def _devices(understood: Understood, stated: Sequence[str]) -> tuple[DeviceFact, ...]:
    anonymous = ("", UNKNOWN) if stated else ("",)
    found: dict[tuple[str, str], list[str]] = {}
    for c in understood.comparisons:
        if c.device not in anonymous:
            found.setdefault((c.device, c.evidence), [])
    for record in understood.circumstances:
        if record.device not in anonymous or record.doubts:
            found.setdefault((record.device, record.evidence), []).extend(record.doubts)
    found |= {(text, "stated by the user"): [] for text in stated}
    return tuple(DeviceFact(*key, tuple(dict.fromkeys(doubts))) for key, doubts in found.items())


def _reading(reading: Reading) -> ReadingFacts:
    simulated = reading.place is not None and reading.place.evidence == "simulated"
    return ReadingFacts(
        simulated,
        sentences(reading),
        brief(reading),
        tuple(_tried_variant(v) for v in reading.variants if v.attempts),
        " ".join(smallest(reading)),
        reading.diverges,
    )


def _tried_variant(v: Judged) -> Tried:
    ratio = v.worst.ratio if v.worst.state != "does not run" else None
    word = f"{v.word}: {v.reason}" if v.reason else v.word
    return Tried(v.member.name, v.member.line, word, ratio, len(v.attempts), v.records)
