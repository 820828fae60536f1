"""The verdict on results in one line: the word for the worst output, where, and how far off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.understand.listing import NAMES

NOT_MEASURED = "not measured"
if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.understand.comparison import Comparison, UnitResult


def headline(compared: Sequence[Comparison], limit: float) -> str:
    """Return the verdict on the worst output: the word, where it is, and how far off."""
    known = [c for c in compared if c.diagnosis]
    if not known:
        reasons = dict.fromkeys(map(_why_not, compared))
        return f"no verdict: {'; '.join(reasons) or 'the results hold no output of numbers'}"
    worst = max(known, key=lambda c: c.diagnosis.worst.severity if c.diagnosis else (0, 0.0))
    failed = [c for c in compared if unjudged(c)]
    many = len({c.source for c in compared}) > 1
    if failed and worst.diagnosis and not worst.diagnosis.worst.wrong:
        others = "; what else was compared is explained by rounding"
        source = _source(failed[0]) if many else ""
        return f"failed{source}: {_why_not(failed[0])}{_simulated(failed[0])}{others}"
    return verdict(worst, limit, _source(worst) if many else "")


def _source(compared: Comparison) -> str:
    device = f" ({compared.device})" if compared.device else ""
    return f" in {compared.source}{device}"


def verdict(compared: Comparison, limit: float, source: str = "") -> str:
    """Return the verdict on an output; `source` says of which record, if there are several."""
    found = compared.diagnosis
    if found is None:
        return f"no verdict: {_why_not(compared)}"
    a = found.worst
    where = f"output '{compared.output}' on the {NAMES[found.suspect]}{_simulated(compared)}"
    where += source
    if a.word == "exact":
        return f"exact: {where} is the reference, rounded to its type"
    if a.word == "unfit":
        return (
            f"unfit: on this input rounding alone makes errors as large as {where} itself, so it "
            "cannot tell; measure another"
        )
    beyond = (
        f"; {a.beyond:,} of {a.channels:,} channels are beyond {limit:g} times"
        if a.beyond
        else f"; no channel is beyond {limit:g} times"
    )
    off = f"{a.ratio:.3g} times what rounding explains in channel {a.channel}"
    return f"{a.word}: {where}, {off}{beyond}"


def _simulated(compared: Comparison) -> str:
    return " (SIMULATED)" if compared.simulated else ""


def unjudged(compared: Comparison) -> list[UnitResult]:
    """Return the units that gave something for an output, or failed, and could not be judged."""
    judged = compared.diagnosis.assessments if compared.diagnosis else {}
    return [r for r in compared.units if r.unit not in judged and r.status != NOT_MEASURED]


def _why_not(compared: Comparison) -> str:
    """Return why there is no verdict on an output: for want of a reference, or of numbers."""
    if compared.unexplained or compared.against != "the reference":
        return compared.unexplained or compared.reference
    said = [
        f"{NAMES[r.unit]} {r.status}"
        + (", but not as the model declares it" if r.status == compared.evidence else "")
        for r in unjudged(compared)
    ]
    return f"output '{compared.output}': {', '.join(said) or 'not measured'}"


def sentence(text: str) -> str:
    """Return a sentence that begins with a capital letter."""
    return text[:1].upper() + text[1:]
