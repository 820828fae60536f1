"""The questions always asked, answered from reports whose every field is written out here."""

from __future__ import annotations

import dataclasses

import pytest
from small_reports import cpu_stands_in, failed, measured, nothing, program, with_ratios

from reporter.understand.agreement import agreement
from reporter.understand.cells import Cell
from reporter.understand.origin import Kind, Origin
from reporter.understand.sides import Outcome, Placement, Side
from reporter.understand.verdict import Verdict
from reporter.write.attached_shrink import ShrunkFacts
from reporter.write.questions import questions
from reporter.write.report import DeviceFact, MigrationFacts, ReadingFacts

CPU, TORCH, FP32, PLACED, OFTEN, BUILD, SECOND, GOOD, MINIMAL, OBSERVED = range(10)
RUN = "anereport run Tiny.mlmodel --out record.json"


def asked(report, number):
    return questions(report)[number]


def test_every_question_is_always_there_and_asked_once():
    for report in (nothing(), measured(), program(), failed(), cpu_stands_in()):
        found = [q.asked for q in questions(report)]
        assert len(set(found)) == len(found) == 10
        assert all(q.asked.endswith("?") and q.answer[0].isupper() for q in questions(report)[:6])
        assert not any(q.answer.endswith(".") for q in questions(report))


def test_without_results_nothing_is_answered_and_most_answers_name_a_command():
    found = questions(nothing())
    assert {q.evidence for q in found} == {"not measured"}
    assert not any(q.answered for q in found)
    assert [q.command for q in found] == [
        RUN, RUN, "anereport migrate Tiny.mlmodel --matrix", RUN, RUN,
        'anereport create Tiny.mlmodel --record FILE --device "MODEL, SYSTEM VERSION (BUILD)"',
        "anereport runner Tiny.mlmodel", "anereport runner Tiny.mlmodel",
        "anereport variants Tiny.mlmodel --shrink", RUN,
    ]  # fmt: skip
    assert found[MINIMAL].answer == "Not measured; this one has 2 layers"


@pytest.mark.parametrize(
    ("word", "ratio", "answer"),
    [
        ("exact", 0.0, "Yes: it is the reference, rounded to its type"),
        ("rounding", 0.5, "Yes: within rounding, at most 0.5 times"),
        ("unfit", 9.0, "Not known: rounding alone is as large as the output"),
        ("suspicious", 9.0, "No: it is suspicious, at most 9 times"),
        ("diverges", 2570.0, "No: it diverges, at most 2.57e+03 times"),
    ],
)
def test_the_cpu_is_right_by_what_rounding_explains(word, ratio, answer):
    found = asked(with_ratios(cpu=(word, ratio)), CPU)
    assert found.answer.startswith(answer)
    assert (found.evidence, found.command) == ("measured", "")


def test_of_several_outputs_the_worst_counts():
    first = with_ratios(cpu=("rounding", 0.5)).comparisons[0]
    other = with_ratios(cpu=("diverges", 30.0)).comparisons[0]
    report = measured(comparisons=(first, dataclasses.replace(other, output="second")))
    assert asked(report, CPU).answer == (
        "No: it diverges, at most 30 times what rounding explains, in output 'second'"
    )


def test_a_cpu_without_an_envelope_is_said_by_its_error():
    assert asked(measured(), CPU).answer == (
        "Max abs error 0.25 against the reference, in output 'output'"
    )


def test_a_cpu_that_failed_is_no_right_one():
    found = asked(failed("cpu"), CPU)
    assert found.answer == "No: it failed in load: no such plan"
    assert found.evidence == "measured"


def test_a_cpu_that_is_itself_the_reference_is_not_known_to_be_right():
    found = asked(cpu_stands_in(), CPU)
    assert found.answer == "Not known: layer 'x' is custom"
    assert found.evidence == "not measured"
    torch = asked(cpu_stands_in(), TORCH)
    assert torch.answer == "Not measured: not comparable: layer 'x' is custom"


def test_pytorch_is_laid_beside_each_unit():
    found = asked(measured(), TORCH)
    assert "output 'output': CPU 0.25, ANE 20" in found.answer
    assert found.answer.endswith("it is computed here: the network as a torch module in float64")
    assert asked(program(), TORCH).asked == "Does its evaluation in float64 agree?"


def verdict(variant, after, evidence="measured"):
    return Verdict(variant, "does not avoid it", ("because",), "iPhone", evidence, None, after)


def side(name, cpu, ane):
    return Side(name, ("r.json",), Outcome(cpu), Outcome(), Outcome(ane))


def test_fp32_is_answered_by_the_ml_program_in_fp32_alone():
    half = verdict("half.mlpackage", side("half.mlpackage", "right", "wrong"))
    single = verdict("single.mlpackage", side("single.mlpackage", "right", "right"), "simulated")
    facts = measured(fp32="single.mlpackage").migration
    report = measured(migration=MigrationFacts(facts.variants, (), (half, single)))
    assert asked(report, FP32).answer == (
        "single.mlpackage is right with .cpuAndNeuralEngine and right on the CPU; in fp32 it "
        "never runs on the Neural Engine"
    )
    assert asked(report, FP32).evidence == "simulated"
    report = measured(migration=MigrationFacts(facts.variants, (), (half,)))
    assert asked(report, FP32).evidence == "not measured"
    unmeasured = verdict("single.mlpackage", side("single.mlpackage", "right", "not measured"))
    report = measured(migration=MigrationFacts(facts.variants, (), (unmeasured,)))
    assert asked(report, FP32).evidence == "not measured"


def test_a_program_says_in_what_it_computes():
    assert asked(program(), FP32).answer == "Not measured: this program computes in fp16 and fp32"


def test_a_plan_is_said_to_be_a_plan():
    report = measured(placement=Placement(1, 6, ("a", "b", "c", "d", "e")))
    assert asked(report, PLACED).answer == (
        "Planned there: 1 of 6 operations, not a, b, c and 2 more; a plan does not show where it "
        "ran"
    )
    assert asked(measured(placement=Placement(2, 2, ())), PLACED).answer == (
        "Planned there: 2 of 2 operations; a plan does not show where it ran"
    )


def test_without_a_plan_other_numbers_than_the_cpus_are_all_that_is_known():
    found = asked(measured(), PLACED)
    assert found.answer == "No compute plan in the records; its numbers are not the CPU's"
    assert found.command == RUN
    (one,) = measured().comparisons
    cpu, gpu, ane = one.units
    same = dataclasses.replace(one, units=(cpu, gpu, dataclasses.replace(ane, metrics=cpu.metrics)))
    assert asked(measured(comparisons=(same,)), PLACED).answer == (
        "No compute plan in the records; its errors are the CPU's"
    )


@pytest.mark.parametrize("placement", [None, Placement(2, 2, ())])
def test_a_device_that_has_no_neural_engine_is_said_there(placement):
    doubts = ("the record r.json is incomplete", "A virtual machine has no usable Neural Engine")
    devices = (DeviceFact("Mac", "measured", doubts),)
    found = asked(measured(devices=devices, placement=placement), PLACED)
    assert found.answer.endswith("; but A virtual machine has no usable Neural Engine")


@pytest.mark.parametrize(
    ("words", "lost", "answer"),
    [
        (["diverges"], 0, "It was run once, and was wrong"),
        (["rounding"], 0, "It was run once, and was right"),
        (["diverges"] * 3, 0, "Yes: wrong in 3 of 3 runs, of 1 input"),
        (["diverges", "rounding", "rounding"], 0, "No: wrong in 1 of 3 runs, of 1 input"),
        (["rounding"] * 2, 0, "It does not happen: wrong in 0 of 2 runs, of 1 input"),
        (["rounding"] * 2, 1, "No: wrong in 1 of 3 runs, of 1 input"),
    ],
)
def test_runs_are_counted_and_a_lost_one_is_not_right(words, lost, answer):
    assert asked(with_ratios(ane_calls=words, lost=lost), OFTEN).answer == answer


def test_runs_of_several_inputs_are_counted_together_and_controls_are_not():
    (one,) = with_ratios(ane_calls=["diverges"] * 2).comparisons
    more = [dataclasses.replace(one, input=name) for name in ("seed-1", "zeros")]
    report = measured(comparisons=(one, *more))
    assert asked(report, OFTEN).answer == "Yes: wrong in 4 of 4 runs, of 2 inputs"


def test_builds_are_those_that_devices_name_measured_ones_and_how_many_more():
    report = measured(
        devices=(
            DeviceFact("Mac, macOS 14.1 (23B81)", "measured"),
            DeviceFact("iPhone 14", "stated by the user"),
            DeviceFact("simulator, iOS 1.0 (1A1)", "simulated"),
            DeviceFact("iPhone 13, iOS 16.2 (20C65)", "stated by the user"),
        )
    )
    found = asked(report, BUILD)
    assert found.answer == "Mac, macOS 14.1 (23B81); and 1 more"
    assert found.evidence == "measured"


def devices(*rows):
    """An agreement of rows (identifier, label, version, word, variant)."""
    cells = [
        Cell(
            Origin(Kind("measured", identifier, f"iOS {version}", f"B{version}"), label),
            variant, "ane", "r.json", "seed-0", "0" * 64, word, 1.0, 1,
        )
        for identifier, label, version, word, variant in rows
    ]  # fmt: skip
    return agreement("m", cells)


def test_a_second_phone_is_one_of_the_same_model_and_build_with_another_label():
    two = devices(
        ("iPhone14,5", "a", "16.2", "diverges", "m"), ("iPhone14,5", "b", "16.2", "rounding", "m")
    )
    found = asked(measured(agreement=two), SECOND)
    assert found.answer == "iPhone14,5 (iOS 16.2, B16.2): label a is wrong, label b is right"
    for other in (
        ("iPhone14,5", "b", "16.3", "rounding", "m"),
        ("iPhone14,2", "b", "16.2", "rounding", "m"),
        ("iPhone14,5", "", "16.2", "rounding", "m"),
        ("iPhone14,5", "b", "16.2", "rounding", "another model"),
    ):
        one = devices(("iPhone14,5", "a", "16.2", "diverges", "m"), other)
        assert not asked(measured(agreement=one), SECOND).answered


def test_the_last_good_system_is_of_the_same_device_and_measured_comes_before_stated():
    two = devices(
        ("iPhone14,5", "a", "15.7", "rounding", "m"), ("iPhone14,5", "a", "16.2", "diverges", "m")
    )
    found = asked(measured(agreement=two, last_good="iOS 13.7"), GOOD)
    assert found.answer == "iPhone14,5: right on iOS 15.7, B15.7, wrong on iOS 16.2, B16.2"
    assert found.evidence == "measured"
    other = devices(
        ("iPhone14,2", "a", "15.7", "rounding", "m"), ("iPhone14,5", "a", "16.2", "diverges", "m")
    )
    found = asked(measured(agreement=other, last_good="iOS 13.7"), GOOD)
    assert (found.answer, found.evidence) == ("iOS 13.7", "stated by the user")
    assert not asked(measured(agreement=other), GOOD).answered


def test_a_build_on_which_two_phones_disagree_is_no_good_system():
    odd = devices(
        ("iPhone14,5", "a", "16.2", "rounding", "m"), ("iPhone14,5", "b", "16.2", "diverges", "m")
    )
    assert not asked(measured(agreement=odd), GOOD).answered


def test_the_smallest_model_is_that_of_the_shrink_or_else_of_the_variants():
    reading = ReadingFacts(True, (), (), (), "The smallest that still fails is 'x'.")
    found = asked(measured(readings=(reading,)), MINIMAL)
    assert (found.answer, found.evidence) == ("The smallest that still fails is 'x'", "simulated")
    assert found.command == "anereport variants Tiny.mlmodel --shrink"
    ended = ShrunkFacts("iPhone", "measured", ("The smallest: 2 channels.", "More."), "s/x", 1234)
    found = asked(measured(readings=(reading,), shrunk=ended), MINIMAL)
    assert found.answer == "The smallest: 2 channels; it is s/x, 1,234 bytes"
    assert (found.evidence, found.command) == ("measured", "")
    going_on = ShrunkFacts("iPhone", "measured", ("So far: 9.",), command="anereport variants m")
    assert asked(measured(shrunk=going_on), MINIMAL).command == "anereport variants m"
    assert asked(program(), MINIMAL).answer == "Not measured; this one has 4 operations"


def test_expected_and_observed_are_of_the_row_that_is_farthest_off():
    rows = [(2, "1.5", "1.5"), (3, "-23.5", "0.25"), (4, "7.5", "7")]
    assert asked(measured(rows=rows), OBSERVED).answer == (
        "At index 3 (0,3) of output 'output', Reference -23.5 and ANE 0.25"
    )
    assert "index 4" in asked(measured(rows=[*rows[:2], (4, "7.5", "nan")]), OBSERVED).answer
    assert not asked(measured(rows=[(2, "1.5", "")]), OBSERVED).answered


def test_names_of_models_are_quoted_for_the_shell():
    for q in questions(nothing(name="my model; rm.mlmodel")):
        assert "my model" not in q.command or "'my model; rm.mlmodel'" in q.command
