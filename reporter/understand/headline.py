"""The verdict on results in one line: the word for the worst output, where, and how far off.

What is wrong comes before what failed, and that before what is right. A control, which is no noise,
is the headline only where nothing is wrong with the other inputs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reporter.understand.listing import NAMES
from reporter.understand.unit_result import NOT_MEASURED
from reporter.understand.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.understand.comparison import Comparison
    from reporter.understand.diagnosis import Diagnosis
    from reporter.understand.unit_result import UnitResult

RIGHT, PARTLY_LOST, UNJUDGED, WRONG = range(4)


def headline(compared: Sequence[Comparison], limit: float) -> str:
    """Return the verdict on the worst output: the word, where it is, and how far off."""
    known = [c for c in compared if c.diagnosis]
    lost = [c for c in compared if any(r.lost or r.cold for r in c.units)]
    worst = chief(compared if known else lost)
    if worst is None:
        reasons = dict.fromkeys(map(_why_not, compared))
        return f"no verdict: {'; '.join(reasons) or 'the results hold no output of numbers'}"
    source = _source(worst) if len({c.source for c in compared}) > 1 else ""
    where = _where(worst, compared)
    if _rank(worst) in (RIGHT, WRONG):
        return verdict(worst, limit, where, source)
    others = ""
    if known:
        others = "; what else was compared is explained by rounding"
    elif why := _no_reference(worst):
        others = f"; there is no verdict on numbers: {why}"
    return f"failed{source}: {_why_lost(worst, where)}{_simulated(worst)}{others}"


def chief(compared: Sequence[Comparison]) -> Comparison | None:
    """Return the comparison that the headline is on; none of none."""
    own = [c for c in compared if not c.control]
    worst, any_worst = (max(some, key=gravity, default=None) for some in (own, compared))
    if worst is None or (_rank(worst) == RIGHT and any_worst and _rank(any_worst) != RIGHT):
        return any_worst
    return worst


def gravity(compared: Comparison) -> tuple[Any, ...]:
    """Return what comparisons are ordered by; without a verdict, by the values beyond tolerance."""
    known = compared.diagnosis
    severity = known.worst.severity if known else (-1, 0.0)
    beyond = {r.unit: r.metrics.beyond for r in compared.units if r.metrics is not None}
    return _rank(compared), severity, beyond.get("ane", 0), max(beyond.values(), default=0)


def _rank(compared: Comparison) -> int:
    if compared.statements:  # a listing, which carries no inputs to judge it by
        return RIGHT
    if compared.diagnosis and compared.diagnosis.worst.wrong:
        return WRONG
    if any(not r.elsewhere for r in unjudged(compared)):
        return UNJUDGED
    return PARTLY_LOST if compared.losses else RIGHT


def _where(compared: Comparison, others: Sequence[Comparison]) -> str:
    """Return the input, if there are several or it is a control."""
    if compared.control:
        return f"on the control input '{compared.input}'"
    return f"on input {compared.input}" if len({c.input for c in others}) > 1 else ""


def _source(compared: Comparison) -> str:
    device = f" ({compared.device})" if compared.device else ""
    return f" in {compared.source}{device}"


def verdict(compared: Comparison, limit: float, where: str = "", source: str = "") -> str:
    """Return the verdict on an output; `where` and `source` say of which input and record."""
    found = compared.diagnosis
    if found is None:
        return f"no verdict: {_why_not(compared)}"
    a = found.worst
    output = f"output '{compared.output}' on the {NAMES[found.suspect]}{_simulated(compared)}"
    if a.word == "unfit":
        return (
            f"unfit: {where or 'on this input'} rounding alone makes errors as large as "
            f"{output}{source} itself, so it cannot tell; measure another"
        )
    place = ", ".join(filter(None, (f"{output}{source}", where, found.when)))
    if a.word == "exact":
        return f"exact: {place}{', ' if where else ' '}is the reference, rounded to its type"
    beyond = (
        f"; {a.beyond:,} of {a.channels:,} channels are beyond {limit:g} times"
        if a.beyond
        else f"; no channel is beyond {limit:g} times"
    )
    off = f"{counted(a.ratio)} times what rounding explains in channel {a.channel}"
    if math.isinf(a.ratio):
        off = _endless(compared, found)
    return f"{a.word}: {place}, {off}{beyond}"


def _endless(compared: Comparison, found: Diagnosis) -> str:
    """Return how many values of the suspect's shown run are not finite; else where it is off."""
    metrics = next((r.metrics for r in compared.units if r.unit == found.suspect), None)
    channel = f"channel {found.worst.channel}"
    if metrics is None or not metrics.nan + metrics.inf:
        return f"off by no finite number in {channel}"
    kinds = {"NaN": metrics.nan, "infinite": metrics.inf}
    said = [f"{n:,} of {metrics.count:,} values are {kind}" for kind, n in kinds.items() if n]
    some = f", the first in {channel}" if metrics.nan + metrics.inf < metrics.count else ""
    return f"{' and '.join(said)}{some}"


def _simulated(compared: Comparison) -> str:
    return " (SIMULATED)" if compared.simulated else ""


def unjudged(compared: Comparison) -> list[UnitResult]:
    """Return the units that gave something for an output, or failed, and could not be judged."""
    judged = compared.diagnosis.assessments if compared.diagnosis else {}
    return [r for r in compared.units if r.unit not in judged and r.status != NOT_MEASURED]


def _why_lost(compared: Comparison, where: str) -> str:
    """Return what a unit did in place of giving an output, in all of its runs or else in some."""
    whole = [f"{NAMES[r.unit]} {r.status}" for r in compared.units if r.lost and not r.partly]
    if whole:
        output = f"output '{compared.output}'" if compared.output else ""
        place = ", ".join(filter(None, (output, where)))
        return f"{place}{': ' * bool(place)}{', '.join(whole)}"
    return compared.losses[0] if compared.losses else _why_not(compared)


def _no_reference(compared: Comparison) -> str:
    """Return why there is nothing to judge numbers by, if so."""
    if compared.unexplained or compared.against != "the reference":
        return compared.unexplained or compared.reference
    return ""


def _why_not(compared: Comparison) -> str:
    """Return why there is no verdict on an output: for want of a reference, or of numbers."""
    said = [
        f"{NAMES[r.unit]} {r.status}"
        + (", but not as the model declares it" if r.status == compared.evidence else "")
        for r in unjudged(compared)
    ]
    words = f"output '{compared.output}': {', '.join(said) or 'not measured'}"
    return _no_reference(compared) or words


def sentence(text: str) -> str:
    """Return a sentence that begins with a capital letter."""
    return text[:1].upper() + text[1:]
