"""Bounds, and what is understood of several records at once."""

from __future__ import annotations

import math
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest
from devices import Chain, serial

from migrate import AnereportError
from reporter.measure.identity import identify
from reporter.measure.record import Device, Record, Run
from reporter.measure.simulate import values
from reporter.progress import Silent
from reporter.understand import explanation, incidents
from reporter.understand.reference import Referee
from reporter.understand.understood import Bounds, Understood, of_records

CHAIN = Chain((1, 3, 8, 7), (8, 3, 3, 3), (5, 8, 1, 1), seed=2)
X = np.random.RandomState(4).randn(*CHAIN.shape).astype(np.float32)
HEALTHY = CHAIN.run(X, serial)


@pytest.fixture(scope="module")
def referee(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m.mlmodel"
    path.write_bytes(CHAIN.spec().SerializeToString())
    return Referee(path)


def record_of(referee, **outputs):
    runs = [Run(unit=u, input="i", outputs=values({"y": y})) for u, y in outputs.items()]
    return Record(evidence="measured", model=identify(referee.model), device=Device(),
                  inputs={"i": values({"x": X})}, runs=runs)  # fmt: skip


def understood(referee, *records, bounds=None, progress=None):
    named = [(f"{i}.json", one) for i, one in enumerate(records)]
    return of_records(named, referee, bounds or Bounds(), progress or Silent())


def test_the_bounds_by_default():
    assert Bounds() == Bounds(tolerance=0.01, limit=8, budget=60)


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf, 0])
def test_what_is_no_bound(value):
    with pytest.raises(AnereportError, match="a tolerance is a positive number"):
        Bounds(tolerance=value)
    with pytest.raises(AnereportError, match=f"a limit is a positive number, not {value}"):
        Bounds(limit=value)
    if value == 0:
        assert Bounds(budget=value).budget == 0
    else:
        with pytest.raises(AnereportError, match=f"a budget is a number of seconds, not {value}"):
            Bounds(budget=value)


def test_the_verdict_is_on_the_worst_of_all_records(referee):
    right, wrong = record_of(referee, ane=HEALTHY), record_of(referee, gpu=2 * HEALTHY)
    found = understood(referee, right, wrong)
    assert [c.source for c in found.comparisons] == ["0.json", "1.json"]
    assert found.verdict.startswith("diverges: output 'y' on the GPU")
    assert [e.unit for e in found.explanations] == ["gpu"]
    assert "scale-doubled@y" in found.explanations[0].found[0].faults
    assert understood(referee, right).verdict.startswith("rounding: output 'y' on the ANE")
    assert understood(referee, right).explanations == ()


def test_the_bounds_reach_what_they_bound(referee):
    wrong = record_of(referee, ane=2 * HEALTHY)
    found = understood(referee, wrong, bounds=Bounds(0.5, 4, 0))
    assert found.bounds == Bounds(0.5, 4, 0)
    assert found.explanations == ()  # no budget
    assert found.verdict.endswith("beyond 4 times")
    (loose,) = understood(referee, wrong, bounds=Bounds(limit=1e9)).comparisons
    assert loose.diagnosis.worst.word == "rounding"
    count = {
        t: understood(referee, wrong, bounds=Bounds(tolerance=t, budget=0)).comparisons[0]
        for t in (1e-6, 100)
    }
    assert count[1e-6].result("ane").metrics.beyond == HEALTHY.size
    assert count[100].result("ane").metrics.beyond == 0
    assert count[100].diagnosis.worst.word == "diverges"  # tolerance takes no part in the word
    (one,) = understood(referee, wrong, bounds=Bounds(limit=4)).explanations
    assert one.limit == 4


def test_progress_is_told_what_begins(referee):
    steps, expected = [], []

    class Progress:
        def expect(self, count):
            expected.append(count)

        def step(self, text):
            steps.append(text)

    record = record_of(referee, ane=2 * HEALTHY)
    (explained,) = understood(referee, record, progress=Progress()).explanations
    assert steps[0] == "comparing 0.json with the reference"
    assert expected == [explained.possible]
    assert len(steps) == 1 + explained.tried


class Read:
    """Records that are read when their turn comes."""

    def __init__(self, *records):
        self.records, self.alive = records, []

    def __len__(self):
        return len(self.records)

    def __iter__(self):
        for i, one in enumerate(self.records):
            assert [ref for ref in self.alive if ref()] == []  # the one before is gone
            found = one.model_copy(deep=True)
            self.alive.append(weakref.ref(found))
            yield f"{i}.json", found
            del found


def test_no_record_is_kept_when_the_next_is_read(referee):
    records = Read(*(record_of(referee, ane=HEALTHY) for _ in range(3)))
    found = of_records(records, referee, Bounds(), Silent())
    assert len(found.comparisons) == len(records.alive) == 3


def test_records_share_the_budget(referee, monkeypatch):
    """A record that needs no search leaves its part to the others."""
    seconds = []
    monkeypatch.setattr(
        explanation, "of_record", lambda *_, budget, **__: seconds.append(round(budget, 1)) or []
    )
    records = [record_of(referee, ane=HEALTHY)] * 3
    understood(referee, *records, bounds=Bounds(budget=30))
    assert seconds == [10, 15, 30]
    understood(referee, records[0], bounds=Bounds(budget=0))
    assert seconds[3:] == [0]


def test_a_spent_budget_still_tries_one_fault(referee, monkeypatch):
    clock = iter(range(0, 1000, 100))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    seconds = []
    monkeypatch.setattr(
        explanation, "of_record", lambda *_, budget, **__: seconds.append(budget) or []
    )
    understood(referee, *[record_of(referee, ane=HEALTHY)] * 2, bounds=Bounds(budget=30))
    assert seconds[0] == 15
    assert 0 < seconds[1] < 0.01


def test_an_explanation_that_several_records_have_is_told_once(referee):
    wrong, other = record_of(referee, ane=2 * HEALTHY), record_of(referee, gpu=2 * HEALTHY)
    both, gpu = understood(referee, wrong, wrong, other).explanations
    assert (both.source, both.unit) == ("0.json, 1.json", "ane")
    assert (gpu.source, gpu.unit) == ("2.json", "gpu")
    assert explanation.sentences(both)[0].startswith(
        "one fault gives the outputs of the ANE on input i in 0.json, 1.json"
    )
    (alone,) = understood(referee, wrong).explanations
    assert alone.source == ""


def test_what_the_model_became_joins_its_devices(referee):
    found = understood(referee, record_of(referee, ane=HEALTHY))
    (row,) = found.agreement.rows
    (cell,) = row.cells
    joined = found.joined([replace(cell, variant="p.mlpackage", word="diverges")])
    assert [(r.variant, r.word) for r in joined.agreement.rows] == [
        ("m.mlmodel", "rounding"), ("p.mlpackage", "diverges"),
    ]  # fmt: skip
    assert joined.comparisons == found.comparisons


def test_incidents_are_asked_with_the_model_and_all_signatures(referee, monkeypatch):
    asked = []
    monkeypatch.setattr(incidents, "known", lambda *given: asked.append(given) or ("an incident",))
    right, wrong = record_of(referee, ane=HEALTHY), record_of(referee, ane=2 * HEALTHY)
    found = understood(referee, right, wrong)
    assert found.incidents == ("an incident",)
    ((subject, signatures),) = asked
    assert subject is referee.subject
    assert {"B0", "G1"} <= {one.code for one in signatures}


def test_without_a_model_there_is_no_verdict_and_nothing_is_searched(referee, monkeypatch):
    monkeypatch.setattr(explanation, "explain", None)
    found = understood(None, record_of(referee, cpu=HEALTHY, ane=2 * HEALTHY))
    assert found.verdict.startswith("no verdict: not available: no model was given")
    assert (found.explanations, found.incidents) == ((), ())
    assert found.comparisons[0].result("ane").metrics.beyond > 0


def test_no_records(referee):
    found = understood(referee)
    assert found == Understood(Bounds(), (), (), found.incidents)
    assert found.verdict == "no verdict: the results hold no output of numbers"
