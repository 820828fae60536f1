"""The verdict: every combination of evidence, against an oracle that is written from the rules."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import get_args

import pytest

from reporter.understand import verdict
from reporter.understand.sides import Outcome, Placement, Side
from reporter.understand.verdict import Verdict, Word, judge, sides

COLD = "is wrong at its cold start (20 times what rounding explains)"
STATES = ("right", "wrong", "failed", "not measured")
PLACEMENTS = {
    "none": None,
    "nothing to compute": Placement(0, 0, ()),
    "partial": Placement(2, 3, ("relu",)),
    "nowhere": Placement(0, 2, ("conv", "relu")),
    "whole": Placement(3, 3, ()),
}
AVOIDS = "avoids the bug"
SAME = "does not avoid it"
WORSE = "worse"
NOTHING = "nothing to avoid: the NeuralNetwork was right on this device"
UNPROVEN = "right, but not proven to run on the Neural Engine"
UNMEASURED = "not measured"


def outcome(state, output="y", ratio=None):
    if state == "not measured":
        return Outcome()
    if state == "failed":
        return Outcome("failed", math.inf, "", "load: it died")
    return Outcome(state, ratio or {"right": 1.5, "wrong": 20.0}[state], output)


def side(cpu="right", ane="right", placement="none", identical=False, model="after.mlpackage", **o):
    found = Side(
        model=model, records=("r.json",), cpu=outcome(cpu), gpu=Outcome(), ane=outcome(ane),
        wrong=("y",) if ane in ("wrong", "failed") else (), placement=PLACEMENTS[placement],
        identical=identical,
    )  # fmt: skip
    return replace(found, **o)


def network(cpu="right", ane="wrong", **options):
    return side(cpu, ane, model="m.mlmodel", **options)


def proven(**options):
    return side(placement="whole", **options)


def oracle(before, after, placement, identical, single):
    """The word for (cpu, ane) of both sides, or None: from the specification, not from the code."""
    off = {"wrong", "failed"}
    is_proof = (
        before is not None
        and before[0] == "right"
        and before[1] in off
        and after == ("right", "right")
        and placement == "whole"
        and not identical
        and not single
    )
    if is_proof:
        return AVOIDS
    if before is None or before[1] == "not measured" or before[0] in off:
        return UNMEASURED
    if before[1] == "right":
        return WORSE if after and off & {*after} else NOTHING
    if after is None or after[1] == "not measured":
        return UNMEASURED
    if not off & {*after}:
        return UNPROVEN
    return WORSE if before[0] == "right" and after[0] in off else SAME


PAIRS = (None, *itertools.product(STATES, STATES))


@pytest.mark.parametrize("before", PAIRS)
def test_every_combination(before):
    given = network(*before) if before else None
    found = set()
    for after, placement, identical, single in itertools.product(
        PAIRS, PLACEMENTS, (False, True), (False, True)
    ):
        other = side(*after, placement, identical) if after else None
        word, reasons = judge(given, other, single)
        assert word == oracle(before, after, placement, identical, single), (
            after, placement, identical, single,
        )  # fmt: skip
        assert reasons
        assert all(isinstance(reason, str) and reason for reason in reasons)
        found.add(word)
    possible = before is not None and before[0] == "right" and before[1] in ("wrong", "failed")
    assert (AVOIDS in found) is possible


def test_avoiding_has_exactly_two_ways():
    """Of all combinations two are enough: the network is wrong, or it failed."""
    ways = [
        (before, after, placement, identical, single)
        for before, after, placement, identical, single in itertools.product(
            PAIRS, PAIRS, PLACEMENTS, (False, True), (False, True)
        )
        if before and after
        and judge(network(*before), side(*after, placement, identical), single)[0] == AVOIDS
    ]  # fmt: skip
    good = ("right", "right")
    assert ways == [
        (("right", "wrong"), good, "whole", False, False),
        (("right", "failed"), good, "whole", False, False),
    ]


def test_there_are_six_words_and_each_is_reached():
    cases = {
        AVOIDS: (network(), proven()),
        SAME: (network(), side(ane="wrong")),
        WORSE: (network(ane="right"), side(ane="wrong")),
        NOTHING: (network(ane="right"), proven()),
        UNPROVEN: (network(), side()),
        UNMEASURED: (None, None),
    }
    assert set(cases) == set(get_args(Word))
    assert {word: judge(*given)[0] for word, given in cases.items()} == {w: w for w in cases}


@pytest.mark.parametrize("state", STATES)
def test_the_gpu_decides_nothing(state):
    gpu = outcome(state)
    assert judge(replace(network(), gpu=gpu), replace(proven(), gpu=gpu))[0] == AVOIDS


@pytest.mark.parametrize(("ratio", "word"), [(20.0, SAME), (40.0, SAME), (40.1, WORSE)])
def test_far_more_wrong_is_worse(ratio, word):
    """Twice as far off is the limit."""
    after = replace(side(ane="wrong"), ane=outcome("wrong", ratio=ratio))
    assert judge(network(), after)[0] == word


def test_the_other_output_is_worse():
    assert judge(network(), side(ane="wrong", wrong=("z",)))[0] == WORSE
    assert judge(network(wrong=("y", "z")), side(ane="wrong", wrong=("z",)))[0] == SAME


def test_infinitely_wrong_on_both_sides_is_the_same():
    infinite = outcome("wrong", ratio=math.inf)
    before, after = network(), side(ane="wrong")
    assert judge(replace(before, ane=infinite), replace(after, ane=infinite))[0] == SAME
    assert judge(before, replace(after, ane=infinite))[0] == WORSE


def test_a_failure_is_no_better_than_a_wrong_number():
    assert judge(network(ane="failed"), side(ane="failed", wrong=("",)))[0] == SAME
    assert judge(network(ane="failed"), side(ane="wrong"))[0] == SAME
    assert judge(network(ane="wrong"), side(ane="failed"))[0] == SAME


def test_single_precision_is_no_answer():
    word, reasons = judge(network(), proven(), single=True)
    assert word == UNPROVEN
    assert "after.mlpackage computes in float32, which never runs on the Neural Engine" in reasons


def test_without_a_plan_nobody_knows_where_it_ran():
    word, reasons = judge(network(), side())
    assert word == UNPROVEN
    (reason,) = [r for r in reasons if "no compute plan" in r]
    assert "macOS 14.4" in reason
    assert reason.endswith("where it ran is not known")


def test_a_partial_plan_names_what_is_elsewhere():
    _, reasons = judge(network(), side(placement="nowhere"))
    assert (
        "0 of 2 operations of after.mlpackage are planned on the Neural Engine; "
        "elsewhere conv, relu"
    ) in reasons


def test_of_many_operations_elsewhere_five_are_named():
    names = tuple(f"op{i}" for i in range(6))
    _, reasons = judge(network(), replace(side(), placement=Placement(1, 7, names)))
    (reason,) = [r for r in reasons if "elsewhere" in r]
    assert reason.endswith("elsewhere op0, op1, op2, op3, op4 and 1 more")
    _, reasons = judge(network(), replace(side(), placement=Placement(1, 6, names[:5])))
    (reason,) = [r for r in reasons if "elsewhere" in r]
    assert reason.endswith("elsewhere op0, op1, op2, op3, op4")


def test_a_program_that_computes_nothing_proves_nothing():
    word, reasons = judge(network(), side(placement="nothing to compute"))
    assert word == UNPROVEN
    assert "0 of 0 operations of after.mlpackage are planned on the Neural Engine" in reasons


def test_the_same_bits_are_called_out():
    word, reasons = judge(network(), proven(identical=True))
    assert word == UNPROVEN
    assert "the same bits as on the CPU are no proof of the Neural Engine" in reasons
    assert any("a sign that the Neural Engine was not used" in reason for reason in reasons)


def test_the_same_bits_of_the_network_are_called_out_too():
    _, reasons = judge(network(ane="right", identical=True), None)
    assert any(r.startswith("m.mlmodel gave the same bits on the CPU and the") for r in reasons)


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [(network("not measured"), proven(), "m.mlmodel"),
     (network(), proven(cpu="not measured"), "after.mlpackage")],
)  # fmt: skip
def test_a_cpu_that_was_not_measured_is_named(before, after, name):
    word, reasons = judge(before, after)
    assert word == UNPROVEN
    assert f"{name} is not measured on the CPU" in reasons


def test_all_doubts_are_said():
    _, reasons = judge(network("not measured"), side("not measured", identical=True))
    assert len([r for r in reasons if "not measured on the CPU" in r]) == 2
    assert any("no compute plan" in r for r in reasons)
    assert any("the same bits as on the CPU" in r for r in reasons)


@pytest.mark.parametrize("cpu", ["wrong", "failed"])
def test_a_network_that_is_wrong_on_the_cpu_as_well_shows_nothing(cpu):
    word, reasons = judge(network(cpu), proven())
    assert word == UNMEASURED
    assert "on the CPU as well" in reasons[0]
    assert "no fault of the Neural Engine" in reasons[0]


def test_what_failed_says_how():
    word, reasons = judge(network(ane="failed"), proven())
    assert word == AVOIDS
    assert reasons[0] == "the NeuralNetwork failed (load: it died) on the Neural Engine"


def test_what_is_wrong_says_how_far_and_where():
    before = replace(network(), ane=Outcome("wrong", 1234.5, "y"))
    word, reasons = judge(before, proven())
    assert word == AVOIDS
    assert reasons == (
        "the NeuralNetwork is wrong (1.23e+03 times what rounding explains, output 'y') on the "
        "Neural Engine",
        "after.mlpackage is right (1.5 times what rounding explains, output 'y') on the Neural "
        "Engine's compute unit",
        "3 of 3 operations of after.mlpackage are planned on the Neural Engine",
    )


def test_a_program_that_is_wrong_on_the_cpu_is_said_to_be():
    word, reasons = judge(network(), side("wrong", placement="whole"))
    assert word == WORSE
    assert reasons[1].startswith("after.mlpackage is wrong")
    assert reasons[1].endswith("on the CPU")


def test_an_overflow_is_noted_whatever_the_word_is():
    names = tuple(f"blob{i}" for i in range(7))
    for before, after, name in [
        (network(overflows=("b",)), proven(), "m.mlmodel overflows float16 by itself (b)"),
        (network(), side(ane="wrong", overflows=names),
         "after.mlpackage overflows float16 by itself (blob0, blob1, blob2, blob3, blob4 and 2 "),
        (network(ane="not measured", overflows=("b",)), None, "m.mlmodel overflows"),
    ]:  # fmt: skip
        (note,) = [r for r in judge(before, after)[1] if "overflows" in r]
        assert note.startswith(name)
        assert note.endswith("no fault of the hardware")


def test_nothing_is_noted_of_a_clean_side():
    assert len(judge(network(), proven())[1]) == 3


def given(before, after, device="d", evidence="measured"):
    return Verdict("v", UNMEASURED, ("r",), device, evidence, before, after)


def test_sides_are_listed_once_by_their_place():
    one, two, three = network(), side(), proven()
    elsewhere, simulated = given(one, None, "e"), given(None, two, "d", "simulated")
    assert sides([given(one, two), given(one, three), elsewhere, simulated]) == [
        ("measured on d", [one, two, three]),
        ("measured on e", [one]),
        ("simulated on d", [two]),
    ]
    assert sides([]) == []
    assert sides([Verdict("v", UNMEASURED, ())]) == []


def test_what_is_simulated_says_so():
    assert given(None, None, evidence="simulated").simulated
    assert not given(None, None).simulated
    assert not Verdict("v", UNMEASURED, ()).simulated


@pytest.mark.parametrize(
    ("placement", "whole"),
    [(Placement(0, 0, ()), False), (Placement(0, 1, ("a",)), False),
     (Placement(1, 2, ("a",)), False), (Placement(1, 1, ()), True)],
)  # fmt: skip
def test_whole_is_all_of_something(placement, whole):
    assert placement.whole is whole


def test_the_words_are_those_of_the_module():
    assert {
        verdict.AVOIDS, verdict.SAME, verdict.WORSE, verdict.NOTHING, verdict.UNPROVEN,
        verdict.UNMEASURED,
    } == {AVOIDS, SAME, WORSE, NOTHING, UNPROVEN, UNMEASURED}  # fmt: skip


def test_a_cold_start_that_is_wrong_is_a_doubt_and_said_once():
    word, reasons = judge(network(), proven(cold=COLD))
    assert word == UNPROVEN
    assert reasons.count(f"after.mlpackage {COLD}") == 1
    assert judge(network(), proven())[0] == AVOIDS


def test_a_networks_cold_start_is_a_reason_in_words():
    word, reasons = judge(network(ane="right", cold=COLD), proven())
    assert (word, reasons[-1]) == (NOTHING, f"m.mlmodel {COLD}")
