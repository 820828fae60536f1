"""The verdict in one line: the worst output's word, where it is, and how far off."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from reporter.understand.assessment import Assessment
from reporter.understand.comparison import Comparison
from reporter.understand.diagnosis import Diagnosis
from reporter.understand.divergence import Table, compare
from reporter.understand.headline import chief, headline, sentence, verdict
from reporter.understand.unit_result import UnitResult

NOTE = "computed here"


def compared(word=None, ratio=0.0, *, output="y", unit="ane", beyond=0, **more):
    known = None
    if word:
        assessed = Assessment(word, ratio, 7, beyond, 1600)
        known = Diagnosis({unit: assessed}, unit, (), ())
    fields = {
        "shape": (1, 2), "source": "r.json", "device": "desk", "evidence": "measured",
        "input": "i", "reference": NOTE, "units": (), "table": Table((), (), ()),
    }  # fmt: skip
    return Comparison(output=output, diagnosis=known, **(fields | more))


@pytest.mark.parametrize("unit", ["cpu", "gpu", "ane", "all"])
def test_each_word_says_where_it_is(unit):
    place = f"output 'y' on the {unit.upper()}"
    for word, ratio, beyond, text in [
        ("exact", 0, 0, f"exact: {place} is the reference, rounded to its type"),
        ("rounding", 1.23456, 0,
         f"rounding: {place}, 1.23 times what rounding explains in channel 7; "
         "no channel is beyond 8 times"),
        ("suspicious", 9.5, 1,
         f"suspicious: {place}, 9.5 times what rounding explains in channel 7; "
         "1 of 1,600 channels are beyond 8 times"),
        ("diverges", 2568.7, 1600,
         f"diverges: {place}, 2,569 times what rounding explains in channel 7; "
         "1,600 of 1,600 channels are beyond 8 times"),
        ("diverges", math.inf, 1600,
         f"diverges: {place}, off by no finite number in channel 7; "
         "1,600 of 1,600 channels are beyond 8 times"),
    ]:  # fmt: skip
        assert verdict(compared(word, ratio, unit=unit, beyond=beyond), 8) == text


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ([math.nan] * 4, "4 of 4 values are NaN"),
        ([1, math.nan, 3, 4], "1 of 4 values are NaN, the first in channel 7"),
        ([-math.inf, math.inf, 3, 4], "2 of 4 values are infinite, the first in channel 7"),
        ([math.inf, 2, math.nan, 4],
         "1 of 4 values are NaN and 1 of 4 values are infinite, the first in channel 7"),
    ],
)  # fmt: skip
def test_values_that_are_not_finite_are_counted(odd, words):
    metrics = compare(np.array(odd, np.float32), np.arange(1.0, 5))
    right = UnitResult("cpu", "measured", compare(np.ones(9), np.ones(9)))
    units = (right, UnitResult("ane", "measured", metrics))
    assert verdict(compared("diverges", math.inf, beyond=2, units=units), 8) == (
        f"diverges: output 'y' on the ANE, {words}; 2 of 1,600 channels are beyond 8 times"
    )


def test_an_unfit_input_asks_for_another():
    said = verdict(compared("unfit", 0.5), 8)
    assert said.startswith("unfit: on this input rounding alone makes errors as large as output")
    assert said.endswith("measure another")


def test_of_several_records_it_says_which_is_the_worst():
    good = compared("rounding", 1, source="good.json", device="a phone")
    bad = compared("diverges", 20, beyond=2, source="bad.json", device="another phone")
    assert headline([good, bad], 8) == (
        "diverges: output 'y' on the ANE in bad.json (another phone), 20 times what rounding "
        "explains in channel 7; 2 of 1,600 channels are beyond 8 times"
    )
    assert "bad.json" not in headline([bad, compared("exact", source="bad.json")], 8)
    unnamed = compared("diverges", 30, source="x.npz", device="")
    assert "on the ANE in x.npz, 30 times" in headline([good, unnamed], 8)


def test_a_failure_in_one_of_several_records_says_in_which():
    crashed = compared(source="c.json", device="a phone",
                       units=(UnitResult("ane", "failed in load: no plan"),))  # fmt: skip
    assert headline([compared("exact"), crashed], 8) == (
        "failed in c.json (a phone): output 'y': ANE failed in load: no plan; what else was "
        "compared is explained by rounding"
    )


# --- controls, runs that are lost, and more than one input


def test_a_control_is_the_headline_only_where_the_other_inputs_are_right():
    ones = compared("diverges", 900, input="ones")
    seed = compared("suspicious", 9, input="seed-0")
    assert headline([ones, seed], 8).startswith("suspicious: output 'y' on the ANE, on input seed-")
    assert chief([ones, seed]) is seed
    right = compared("rounding", 1, input="user")
    assert headline([right, ones], 8).startswith(
        "diverges: output 'y' on the ANE, on the control input 'ones', 900 times what rounding"
    )
    assert headline([right, compared("rounding", 7, input="ramp")], 8).startswith(
        "rounding: output 'y' on the ANE, on input user, 1 times"
    )
    assert "on the control input 'ones'" in headline([ones], 8)
    assert chief([]) is None


def test_a_control_that_fails_gives_way_to_seeds_that_fail_too():
    dead, lost = failing(2, 3, input="zeros"), failing(1, 3, input="seed-0")
    assert "on the ANE" not in headline([dead, lost], 8)
    assert "in 1 of 3 runs of input seed-0 the ANE failed" in headline([dead, lost], 8)


def failing(count, runs, **more):
    """The ANE, right where it ran, died in so many runs."""
    died = UnitResult("ane", "measured", None, runs, count, "failed in predict: it died")
    return compared("rounding", 1, units=(died,), **more)


def test_a_run_that_is_lost_comes_after_what_is_wrong_and_before_what_is_right():
    lost = failing(1, 3)
    assert headline([lost], 8) == (
        "failed: in 1 of 3 runs of input i the ANE failed in predict: it died; what else was "
        "compared is explained by rounding"
    )
    assert headline([lost, compared("rounding", 7)], 8).startswith("failed: in 1 of 3 runs")
    assert headline([compared("suspicious", 9), lost], 8).startswith("suspicious: ")
    cold = compared("exact", units=(UnitResult("ane", "measured", cold="failed in load: m"),))
    assert headline([cold], 8).startswith(
        "failed: at its cold start on input i the ANE failed in load: m; what else"
    )
    simulated = failing(1, 2, evidence="simulated")
    assert "it died (SIMULATED); what" in headline([simulated], 8)


def test_without_a_reference_a_failure_is_said_all_the_same():
    dead = UnitResult("ane", "failed in load: m", None, 2, 2, "failed in load: m")
    alone = compared(units=(dead,), reference="no model", against="the CPU's values")
    assert headline([alone], 8) == (
        "failed: output 'y': ANE failed in load: m; there is no verdict on numbers: no model"
    )


def test_an_input_that_was_not_reached_is_no_failure_of_its_own():
    see = UnitResult("ane", "failed (see input a)", elsewhere="a")
    dead = UnitResult("ane", "failed in load: m", None, 1, 1, "failed in load: m")
    first = compared("rounding", 1, unit="cpu", input="a", units=(dead,))
    second = compared("rounding", 5, unit="cpu", input="b", units=(see,))
    assert headline([second, first], 8).startswith(
        "failed: output 'y', on input a: ANE failed in load: m; what else"
    )


def test_in_which_runs_it_is_wrong_is_said_if_not_in_all():
    bad, good = (
        Assessment(word, ratio, 7, 0, 9) for word, ratio in (("diverges", 99), ("exact", 0))
    )
    for calls, cold, when in (
        ((good, bad, good), None, ", in 1 of 3 runs"), ((bad, good), bad, ", in 1 of 2 runs"),
        ((good, good), bad, ", at its cold start alone"), ((bad, bad), good, ""),
    ):  # fmt: skip
        starts = {"ane": cold} if cold else {}
        known = Diagnosis({"ane": calls[0]}, "ane", (), (), {"ane": calls}, starts)
        said = headline([replace(compared("exact"), diagnosis=known)], 8)
        assert said.startswith(f"diverges: output 'y' on the ANE{when}, 99 times what rounding")


def test_a_listing_beside_a_record_is_no_failure():
    listed = compared(statements=("a row",), units=(UnitResult("cpu", "stated by the user"),))
    assert headline([compared("exact", input="i"), listed], 8).startswith("exact: ")


def test_the_limit_is_said():
    assert verdict(compared("rounding", 1), 12.5).endswith("no channel is beyond 12.5 times")


def test_simulated_results_say_so():
    assert "on the ANE (SIMULATED), 3 times" in verdict(
        compared("rounding", 3, evidence="simulated"), 8
    )


def test_the_worst_output_is_the_headline():
    several = [
        compared("rounding", 7.9, output="a"), compared("suspicious", 8.1, output="b"),
        compared("diverges", 13, output="c"), compared("diverges", 40, output="d"),
        compared("exact", output="e"), compared("unfit", 99, output="f"), compared(output="g"),
    ]  # fmt: skip
    said = [headline(several[:n], 8) for n in range(1, 8)]
    assert [s.split("'")[1] for s in said] == ["a", "b", "c", "d", "d", "d", "d"]
    assert headline(several[::-1], 8) == said[-1]
    without_wrong = [several[0], several[4], several[5]]
    assert headline(without_wrong, 8).startswith("unfit: ")
    assert headline([several[4], several[0]], 8).startswith("rounding: ")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"reference": "not available: no model was given", "against": "the CPU's values"},
         "not available: no model was given"),
        ({"unexplained": "layer 'n' draws random numbers"}, "layer 'n' draws random numbers"),
        ({"units": (UnitResult("cpu", "not measured"), UnitResult("ane", "failed in load: m"))},
         "output 'y': ANE failed in load: m"),
        ({"units": (UnitResult("gpu", "measured, of another shape: 3"),
                    UnitResult("ane", "gave no such output"))},
         "output 'y': GPU measured, of another shape: 3, ANE gave no such output"),
        ({"units": (UnitResult("ane", "measured"),)},
         "output 'y': ANE measured, but not as the model declares it"),
        ({"units": (UnitResult("ane", "not measured"),)}, "output 'y': not measured"),
    ],
)  # fmt: skip
def test_where_there_is_no_verdict_it_says_why(more, words):
    """Never that the reference is there, which is no reason."""
    assert headline([compared(**more)], 8) == verdict(compared(**more), 8) == f"no verdict: {words}"


def test_reasons_are_said_once():
    one, other = ({"unexplained": reason} for reason in ("first", "second"))
    several = [compared(**one), compared(**other), compared(**one, output="z")]
    assert headline(several, 8) == "no verdict: first; second"


def test_nothing_to_judge():
    assert headline([], 8) == "no verdict: the results hold no output of numbers"


@pytest.mark.parametrize("status", ["failed in load: m", "measured, of another shape: 3"])
def test_a_right_output_does_not_hide_one_that_could_not_be_judged(status):
    """The Neural Engine failed on one output; the CPU, or another output, is right."""
    failed = compared(output="a", units=(UnitResult("ane", status),))
    assert not headline([compared("exact", output="b", unit="cpu"), failed], 8).startswith("exact")


def test_a_sentence_begins_with_a_capital_letter():
    assert sentence("exact: output 'y'") == "Exact: output 'y'"
    assert sentence("the CPU") == "The CPU"
    assert sentence("") == ""
