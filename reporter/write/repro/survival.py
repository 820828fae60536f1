"""Whether a divergence is there with other weights too, by records of the models that have them.

Seeded weights are judged as the model itself is, by what rounding explains. Exact ones have a
tolerance of zero, on the inputs that their certificate is of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reporter.measure.record import of
from reporter.understand import comparison
from reporter.understand.reference import Referee, arrays
from reporter.understand.unit_result import numeric
from reporter.understand.wording import counted
from reporter.write.repro import exact
from reporter.write.repro.facts import Repro, Weights
from reporter.write.repro.script import spec_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reporter.measure.identity import ModelIdentity
    from reporter.measure.record import Record, Run
    from reporter.understand.comparison import Comparison
    from reporter.understand.understood import Bounds
    from reporter.write.repro.script import Generated

    Named = tuple[str, Record]  # what its file is called, and the record

UNIT, WORDS = "ane", "the Neural Engine"


def offered(repro: Repro, model: ModelIdentity, made: Generated) -> Repro:
    """Return the repro with all three kinds of weights, offered or refused."""
    real = Weights("real", model.name, identity=model)
    found = (real, *repro.weights)
    if made.exact.refused:
        found += (Weights("exact", "", refused=made.exact.refused),)
    return replace(repro, weights=found)


def judged(
    repro: Repro,
    made: Generated | None,
    comparisons: Sequence[Comparison],
    records: Sequence[Named],
    bounds: Bounds,
) -> Repro:
    """Return the repro with what records say of each kind of weights that it offers."""
    found: list[Weights] = []
    for weights in repro.weights:
        if weights.kind == "real" or made is None:
            found.append(_by(comparisons, weights, False))
        elif weights.identity and weights.kind == "seeded" and repro.own_weights:
            said = "the seeded weights are the model's own"
            found.append(replace(weights, survived=found[0].survived, said=said))
        else:
            known = found[0].survived == "survived"
            found.append(_of_built(weights, made, records, bounds, known))
    return replace(repro, weights=tuple(found))


def _of_built(
    weights: Weights, made: Generated, records: Sequence[Named], bounds: Bounds, too: bool
) -> Weights:
    identity = weights.identity
    own = [(name, r) for name, r in records if identity and of(r, identity)]
    if not own:
        return weights
    known = replace(
        weights,
        records=tuple(name for name, _ in own),
        simulated=any(r.evidence == "simulated" for _, r in own),
    )
    spec = spec_of(made, weights.kind)
    if weights.kind == "exact":
        return _exactly(known, spec, own, too)
    referee = Referee(spec)
    found = [
        c
        for name, r in own
        for c in comparison.from_record(r, referee, name, bounds.tolerance, bounds.limit)
    ]
    return _by(found, known, too)


def _by(comparisons: Sequence[Comparison], weights: Weights, too: bool) -> Weights:
    """Return the weights with what comparisons with their own reference show."""
    found = [c for c in comparisons if c.wrong(UNIT) is not None]
    failed = [r.status for c in comparisons if (r := c.result(UNIT)).status.startswith("failed")]
    if not found and not failed:
        return weights
    simulated = any(c.simulated for c in comparisons)
    known = replace(weights, simulated=simulated)
    if failed:
        return _told(known, True, f"{WORDS} {failed[0]}", too)
    wrong = [c for c in found if c.wrong(UNIT)]
    worst = max(wrong or found, key=_ratio)
    numbers = f"output '{worst.output}' is {_size(worst)}"
    if any(c.wrong("cpu") for c in found):
        numbers += "; the CPU is wrong too"
    return _told(known, bool(wrong), numbers, too)


def _ratio(c: Comparison) -> float:
    known = c.diagnosis.every(UNIT) if c.diagnosis else ()
    return max((a.ratio for a in known), default=0.0)


def _size(c: Comparison) -> str:
    if c.diagnosis and c.diagnosis.every(UNIT):
        return f"{counted(_ratio(c))} times as far off as rounding explains"
    metrics = c.result(UNIT).metrics
    return f"off by up to {metrics.max_abs:.3g}" if metrics else "not comparable"


def _told(weights: Weights, wrong: bool, numbers: str, too: bool) -> Weights:
    mark = " (simulated)" if weights.simulated else ""
    own = "the model's own" if weights.kind == "real" else weights.kind
    verb, more = ("diverged", " too" if too else "") if wrong else ("did not diverge", "")
    said = f"{verb} with {own} weights{more}{mark}: {numbers}"
    return replace(weights, survived="survived" if wrong else "did not survive", said=said)


def _exactly(weights: Weights, spec: Any, records: Sequence[Named], too: bool) -> Weights:
    """Return the weights with how many elements differ from what they must be."""
    referee = Referee(spec)
    given = exact.inputs(referee.subject)
    expected = numeric(referee.compute(given).outputs)
    runs = [run for _, record in records for run in _on(record, given) if run.unit in (UNIT, "cpu")]
    if not any(run.unit == UNIT for run in runs):
        said = f"not measured by {WORDS} on the inputs of exact weights (repro.py inputs)"
        return replace(weights, said=said)
    found = {unit: [_apart(r, expected) for r in runs if r.unit == unit] for unit in (UNIT, "cpu")}
    wrong, numbers = max(found[UNIT])
    if any(count for count, _ in found["cpu"]):
        numbers += "; the CPU is wrong too"
    return _told(weights, bool(wrong), numbers, too)


def _on(record: Record, given: dict[str, Any]) -> Iterator[Run]:
    """Yield the runs on these inputs."""
    for name, values in record.inputs.items():
        own = arrays(values)
        if own.keys() == given.keys() and all(_equal(own[n], given[n]) for n in own):
            yield from (run for run in record.runs if run.input == name)


def _equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.ravel(a), np.ravel(b)))


def _apart(run: Run, expected: dict[str, Any]) -> tuple[int, str]:
    """Return how many elements of a run's outputs are not as they must be, and a sentence."""
    if run.failure:
        return 1, f"it failed in {run.failure.stage}: {run.failure.message}"
    outputs = numeric(arrays(run.outputs or {}))
    worst = (
        0,
        f"all {sum(x.size for x in expected.values()):,} elements are exactly as they must be",
    )
    for name, right in expected.items():
        values = outputs.get(name)
        if values is None or values.size != right.size:
            return right.size, f"output '{name}' is not there, or of another size"
        apart = np.abs(np.ravel(values).astype(np.float64) - np.ravel(right))
        count = int(np.count_nonzero(~(apart == 0)))
        if count > worst[0]:
            largest = float(np.nanmax(apart, initial=0.0))
            many = f"{count:,} of {right.size:,} elements of output '{name}'"
            worst = count, f"{many} differ, by up to {largest:.6g}, where none may"
    return worst
