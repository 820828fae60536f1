"""The order of a report's results, and the words for runs that gave none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reporter.understand.assessment import Assessment
from reporter.understand.comparison import Comparison
from reporter.understand.diagnosis import Diagnosis
from reporter.understand.divergence import Table, compare
from reporter.understand.unit_result import UnitResult
from reporter.write.report.summary import ordered, summary, title

NOT = UnitResult("gpu", "not measured")
CPU = UnitResult("cpu", "measured")


def compared(name="seed-0", word="", ratio=0.0, *units, output="y"):
    assessed = {"cpu": Assessment("exact", 0.0, 0, 0, 1), "ane": Assessment(word, ratio, 0, 0, 1)}
    known = Diagnosis(assessed, "ane", (), ()) if word else None
    return Comparison(
        output, (2,), "r.json", "a Mac", "measured", name, "computed here",
        (CPU, NOT, *(units or (UnitResult("ane", "measured"),))), Table((), (), ()),
        diagnosis=known,
    )  # fmt: skip


def names(*found):
    return [c.input for c in ordered(found)]


def test_seeds_and_own_inputs_come_first_and_controls_after_each_by_ratio():
    found = [
        compared("ones", "diverges", 900), compared("seed-0", "suspicious", 9),
        compared("ramp", "diverges", 950), compared("user", "diverges", 20),
    ]  # fmt: skip
    assert names(*found) == ["user", "seed-0", "ramp", "ones"]


def test_a_control_heads_the_report_only_if_it_is_the_headline():
    right = [compared("seed-0", "rounding", 1), compared("seed-1", "rounding", 2)]
    assert names(*right, compared("ramp", "diverges", 20), compared("ones", "diverges", 30)) == [
        "ones", "seed-1", "seed-0", "ramp",
    ]  # fmt: skip
    assert names(*right, compared("ones", "rounding", 7)) == ["seed-1", "seed-0", "ones"]


SAME = compare(np.ones(2), np.ones(2))


def dead(lost, runs, **more):
    """The Neural Engine, which gave numbers unless all of its runs are lost."""
    why = "failed in load: m"
    status, metrics = (why, None) if lost == runs else ("measured", SAME)
    return UnitResult("ane", status, metrics, runs, lost, why if lost else "", **more)


def test_what_failed_comes_before_what_is_right():
    lost = compared("seed-1", "rounding", 1, dead(1, 3))
    assert names(compared("seed-0", "rounding", 7), lost) == ["seed-1", "seed-0"]
    assert names(compared("seed-0", "diverges", 9), lost) == ["seed-0", "seed-1"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([compared("a", "rounding", 1, dead(1, 3))], "fails on the Neural Engine in some runs"),
        ([compared("a", "", 0, dead(3, 3))], "fails on the Neural Engine"),
        ([compared("a", "rounding", 1, dead(0, 3, cold="failed in load: m"))],
         "fails on the Neural Engine in some runs"),
        ([compared("a", "", 0, dead(2, 2)), compared("b", "rounding", 1, dead(0, 2))],
         "fails on the Neural Engine in some runs"),
        ([compared("a", "diverges", 99, dead(1, 3))], "gives wrong numbers on the Neural Engine"),
        ([compared("a", "rounding", 1, dead(0, 3))],
         "on the Neural Engine agrees with the reference"),
    ],
)  # fmt: skip
def test_a_title_says_that_the_neural_engine_fails(found, words):
    assert title("m.mlmodel", found) == f"Core ML: m.mlmodel {words}"


def test_a_model_that_fails_on_the_cpu_too_is_no_matter_of_the_neural_engine():
    cpu = UnitResult("cpu", "failed in load: m", None, 1, 1, "failed in load: m")
    both = replace(compared("a", "", 0), units=(cpu, NOT, dead(1, 1)))
    assert title("m.mlmodel", [both]) == "Core ML: m.mlmodel, numbers per compute unit"


def test_the_summary_says_what_was_given_in_place_of_numbers():
    cpu = UnitResult("cpu", "measured", SAME)
    for ane, words in (
        (dead(1, 3), "0 on CPU, 0 on ANE, ANE failed in load: m, in 1 of 3 runs."),
        (dead(3, 3), "0 on CPU, ANE failed in load: m."),
        (UnitResult("ane", "failed (see input a)", elsewhere="a"),
         "0 on CPU, ANE failed (see input a)."),
    ):  # fmt: skip
        found = replace(compared("a", "rounding", 1), units=(cpu, NOT, ane))
        assert summary([found], 0.01).endswith(words)
