"""What a report does not know, and the commands that would tell."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reporter.understand.unit_result import NOT_MEASURED
from reporter.write.report.summary import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reporter.understand.comparison import Comparison
    from reporter.understand.reading import Reading
    from reporter.write.report.model_facts import ModelFacts
    from reporter.write.report.report import MigrationFacts
    from reporter.write.repro import Repro


@dataclass(frozen=True)
class Missing:
    """Something the report does not know, and the command that would tell."""

    what: str
    command: str


def missing(
    facts: ModelFacts,
    comparisons: Sequence[Comparison],
    repro: Repro,
    readings: Sequence[Reading],
    migrated: MigrationFacts | None,
    shrunk: bool = False,
) -> tuple[Missing, ...]:
    """Return what nobody measured or tried; `shrunk` tells whether a smaller network fails."""
    return (
        *_numbers(facts, comparisons),
        *_weights(repro),
        *_readings(facts, readings, shrunk),
        *_verdicts(facts, migrated),
    )


def _numbers(facts: ModelFacts, comparisons: Sequence[Comparison]) -> Iterator[Missing]:
    name = facts.identity.name
    run = f"anereport run {shlex.quote(name)} --out record.json"
    tried = {
        (r.unit, c.simulated) for c in comparisons for r in c.units if r.status != NOT_MEASURED
    }
    if tried and all(simulated for _, simulated in tried):
        yield Missing("every compute unit, as all results are simulated", run)
        return
    for unit, words in WORDS.items():
        if (unit, False) not in tried:
            yield Missing(f"the {words}'s numbers", run)
    if any(c.statements for c in comparisons):
        what = "all values of the output, with their inputs: the listing holds some rows alone"
        yield Missing(what, run)
        yield Missing(f"whether {name}, with its weights, gives the values listed", run)


def _weights(repro: Repro) -> Iterator[Missing]:
    for weights in repro.weights:
        kind = weights.kind
        own = kind == "real" or (kind == "seeded" and repro.own_weights)
        known = weights.survived != "not measured" and not weights.simulated
        if weights.identity and not own and not known:
            what = f"whether the divergence shows with the {kind} weights of repro.py"
            yield Missing(what, f"python repro.py --weights {kind} --out {kind}.npz")


def _readings(facts: ModelFacts, readings: Sequence[Reading], shrunk: bool) -> list[Missing]:
    """Return what nobody measured of variants, unless a reading says which are not."""
    what = "which edits of the model make it vanish"
    what += "" if shrunk else ", and the smallest part that fails"
    name = shlex.quote(facts.identity.name)
    if facts.program is not None or any(v.attempts for r in readings for v in r.variants):
        return []
    if not readings:
        return [Missing(what, f"anereport variants {name}")]
    folder = readings[0].folder
    command = f"anereport run {shlex.quote(folder)} --out {shlex.quote(f'{folder}-records')}"
    return [Missing(what, command)]


def _verdicts(facts: ModelFacts, migrated: MigrationFacts | None) -> list[Missing]:
    what = "whether the ML Program form of the model avoids it"
    if facts.program is not None:
        return []
    if migrated is None:
        return [Missing(what, f"anereport migrate {shlex.quote(facts.identity.name)}")]
    commands = dict.fromkeys(command for v in migrated.verdicts for command in v.commands)
    return [Missing(what, command) for command in commands]
