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
from reporter.write.attached.shrink import ShrunkFacts
from reporter.write.report.questions import questions
from reporter.write.report.report import DeviceFact, MigrationFacts, ReadingFacts
from reporter.write.report.systems import builds

CPU, TORCH, FP32, PLACED, OFTEN, BUILD, SECOND, GOOD, MINIMAL, OBSERVED = range(10)
RUN = "anereport run Tiny.mlmodel --out record.json"
MEASURE = "anereport run Tiny-mlprogram --out records"
PREPARED = f"anereport migrate Tiny.mlmodel --matrix && {MEASURE}"


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
        RUN, RUN, PREPARED, RUN, RUN,
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
        ("diverges", 2570.0, "No: it diverges, at most 2,570 times"),
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


def test_which_units_agree_with_pytorch_is_said_first():
    found = asked(with_ratios(), TORCH).answer
    assert found.startswith("CPU yes, ANE no: max abs error against it, output 'output': CPU 0.25")
    found = asked(with_ratios(ane_calls=["rounding"] * 2), TORCH).answer
    assert found.startswith("CPU and ANE yes: max abs")
    found = asked(with_ratios(cpu=("unfit", 2.0), ane_calls=["rounding"] * 2, lost=1), TORCH).answer
    assert found.startswith("ANE no, CPU not known: max abs")


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


def test_fp32_is_measured_by_a_matrix_which_replaces_the_migration_that_is_there():
    facts = measured(fp32="single.mlpackage").migration
    half, single = facts.variants
    report = measured(migration=MigrationFacts((half,), (), ()))
    assert asked(report, FP32).command == PREPARED.replace("--matrix", "--matrix --force")
    report = measured(migration=MigrationFacts((half, single), (), ()))
    assert asked(report, FP32).command == MEASURE
    unknown = dataclasses.replace(
        verdict("single.mlpackage", None), commands=("anereport run there --out r",) * 2
    )
    report = measured(migration=MigrationFacts((half, single), (), (unknown,)))
    assert asked(report, FP32).command == "anereport run there --out r"
    assert asked(nothing(name="a b.mlmodel"), FP32).command.endswith(
        " 'a b.mlmodel' --matrix && anereport run 'a b-mlprogram' --out records"
    )


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


def test_doubts_of_a_device_that_was_not_compared_are_not_those_of_the_one_that_fails():
    doubts = ("A virtual machine has no usable Neural Engine",)
    devices = (
        DeviceFact("VM", "measured", doubts),
        DeviceFact("Mac", "stated by the user", doubts),
    )
    assert "virtual" not in asked(measured(devices=devices), PLACED).answer


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
    found = asked(with_ratios(ane_calls=words, lost=lost), OFTEN)
    assert (found.answer, found.command) == (answer, RUN if "once" in answer else "")


def test_runs_of_several_inputs_are_counted_together_and_controls_are_not():
    (one,) = with_ratios(ane_calls=["diverges"] * 2).comparisons
    more = [dataclasses.replace(one, input=name) for name in ("seed-1", "zeros")]
    report = measured(comparisons=(one, *more))
    assert asked(report, OFTEN).answer == "Yes: wrong in 4 of 4 runs, of 2 inputs"


def test_a_fault_that_shows_with_one_input_alone_is_not_intermittent():
    (bad,) = with_ratios(ane_calls=["diverges"] * 2).comparisons
    (good,) = with_ratios(ane_calls=["rounding"] * 2).comparisons
    report = measured(comparisons=(bad, dataclasses.replace(good, input="seed-1")))
    assert asked(report, OFTEN).answer == (
        "Yes, with some inputs: wrong in 2 of 4 runs, of 2 inputs"
    )


def test_an_input_that_cannot_tell_counts_as_no_run_and_a_whole_failure_as_all():
    assert not asked(with_ratios(ane_calls=["unfit"] * 3), OFTEN).answered
    (one,) = with_ratios().comparisons
    (cpu, gpu, ane) = one.units
    lost = dataclasses.replace(ane, metrics=None, runs=3, lost=3, why="failed")
    known = dataclasses.replace(
        one.diagnosis, assessments={"cpu": one.diagnosis.assessments["cpu"]}, calls={}
    )
    one = dataclasses.replace(one, units=(cpu, gpu, lost), diagnosis=known)
    assert asked(measured(comparisons=(one,)), OFTEN).answer == (
        "Yes: wrong in 3 of 3 runs, of 1 input"
    )


def test_a_cold_start_that_alone_is_wrong_counts():
    (one,) = with_ratios(ane_calls=["rounding"] * 3).comparisons
    cold = dataclasses.replace(one.diagnosis.calls["ane"][0], word="diverges")
    known = dataclasses.replace(one.diagnosis, cold={"ane": cold})
    report = measured(comparisons=(dataclasses.replace(one, diagnosis=known),))
    assert asked(report, OFTEN).answer == "No: wrong in 1 of 4 runs, of 1 input"


def several(*rows, evidence="measured"):
    """A report of records (file, label, build, input, key, words of the runs, word of the cell)."""
    compared, cells = [], []
    for file, label, build, given, key, words, word in rows:
        (one,) = with_ratios(ane_calls=words).comparisons
        compared.append(dataclasses.replace(one, source=file, input=given, evidence=evidence))
        where = Origin(
            Kind(evidence, "iPhone14,5", "iOS 16.2", build), label, file="" if label else file
        )
        cells.append(Cell(where, "m", "ane", file, given, key, word, 1.0, len(words)))
    return measured(comparisons=tuple(compared), agreement=agreement("m", cells))


def test_runs_are_counted_by_device_and_build():
    bad, good = ["diverges"] * 3, ["rounding"] * 2
    report = several(
        ("r1", "a", "20C65", "seed-0", "0", bad, "diverges"),
        ("r2", "a", "20C65", "seed-1", "1", bad, "diverges"),
        ("r3", "b", "20C65", "seed-0", "0", good, "rounding"),
        ("r4", "", "21A329", "seed-0", "0", good, "rounding"),
        ("r5", "c", "20C65", "seed-0", "0", good, "not known"),
    )
    assert asked(report, OFTEN).answer == (
        "Yes: in every run on iPhone14,5 (iOS 16.2, 20C65), label a (6 of 6); in none on "
        "iPhone14,5 (iOS 16.2, 20C65), label b (0 of 2), and on iPhone14,5 (iOS 16.2, 21A329), "
        "record r4 (0 of 2)"
    )


def test_of_several_devices_each_has_its_own_word():
    bad, good = ["diverges"] * 2, ["rounding"] * 2
    rows = [
        ("r1", "a", "1A1", "seed-0", "0", [*bad, *good], "flaky"),
        ("r2", "b", "1A1", "seed-0", "0", good, "rounding"),
        ("r3", "c", "1A1", "x", "1", bad, "diverges"),
        ("r4", "c", "1A1", "y", "2", good, "rounding"),
    ]
    place = "on iPhone14,5 (iOS 16.2, 1A1), label"
    assert asked(several(*rows[:2]), OFTEN).answer == (
        f"No: in some runs {place} a (2 of 4); in none {place} b (0 of 2)"
    )
    assert asked(several(*rows[1:]), OFTEN).answer == (
        f"Yes: in every run of some inputs {place} c (2 of 4); in none {place} b (0 of 2)"
    )
    assert asked(several(*rows), OFTEN).answer.startswith(
        f"Not on every device: in every run of some inputs {place} c (2 of 4); in some runs "
    )


def test_one_run_on_the_device_that_fails_does_not_tell_how_often():
    report = several(
        ("r1", "a", "1A1", "seed-0", "0", ["diverges"], "diverges"),
        ("r2", "b", "1A1", "seed-0", "0", ["rounding"] * 5, "rounding"),
    )
    found = asked(report, OFTEN)
    assert found.answer.startswith("Not known, as it was run once where it fails: in every run on ")
    assert found.answer.endswith(
        "label a (1 of 1); in none on iPhone14,5 (iOS 16.2, 1A1), label b (0 of 5)"
    )
    assert found.command == RUN


def test_simulated_runs_are_not_counted_with_measured_ones():
    real = several(("r1", "a", "1A1", "seed-0", "0", ["diverges"] * 2, "diverges"))
    fake = several(
        ("s1", "sim", "1A1", "seed-0", "0", ["rounding"] * 9, "rounding"), evidence="simulated"
    )
    cells = [c for one in (real, fake) for row in one.agreement.rows for c in row.cells]
    report = measured(
        comparisons=real.comparisons + fake.comparisons, agreement=agreement("m", cells)
    )
    found = asked(report, OFTEN)
    assert (found.answer, found.evidence) == ("Yes: wrong in 2 of 2 runs, of 1 input", "measured")
    turned = dataclasses.replace(report, comparisons=fake.comparisons + real.comparisons)
    found = asked(turned, OFTEN)
    assert found.answer == "It does not happen: wrong in 0 of 9 runs, of 1 input"
    assert found.evidence == "simulated"


def test_one_input_by_another_name_in_another_record_is_one_input():
    bad = ["diverges"] * 2
    report = several(
        ("r1", "a", "1A1", "seed-0", "0", bad, "diverges"),
        ("r2", "a", "1A1", "mine", "0", bad, "diverges"),
    )
    assert asked(report, OFTEN).answer == "Yes: wrong in 4 of 4 runs, of 1 input"
    (one,) = with_ratios(ane_calls=bad).comparisons
    again = dataclasses.replace(one, source="again.json")
    report = measured(comparisons=(one, again))  # simulated twice, say
    assert asked(report, OFTEN).answer == "Yes: wrong in 4 of 4 runs, of 1 input"


def test_builds_are_those_that_devices_name_measured_ones_and_how_many_more():
    mac = "Mac, macOS 14.1 (23B81)"
    report = measured(
        comparisons=(dataclasses.replace(measured().comparisons[0], device=mac),),
        devices=(
            DeviceFact(mac, "measured"),
            DeviceFact("iPhone 14", "stated by the user"),
            DeviceFact("simulator, iOS 1.0 (1A1)", "simulated"),
            DeviceFact("iPhone 13, iOS 16.2 (20C65)", "stated by the user"),
        ),
    )
    found = asked(report, BUILD)
    assert found.answer == "Mac, macOS 14.1 (23B81); and 1 more"
    assert found.evidence == "measured"


def test_builds_on_which_it_is_right_are_said_apart():
    names = ("a, iPhone14,5, iOS 16.2 (20C65)", "b, iPhone14,5, iOS 17.0 (21A329)")
    both = devices(
        ("iPhone14,5", "a", "16.2", "diverges", "m"), ("iPhone14,5", "b", "17.0", "rounding", "m")
    )
    (bad,) = with_ratios().comparisons
    (good,) = with_ratios(ane_calls=["rounding"]).comparisons
    good = dataclasses.replace(good, device=names[1])
    report = measured(
        devices=tuple(DeviceFact(name, "measured") for name in names), agreement=both,
        comparisons=(dataclasses.replace(bad, device=names[0]), good),
    )  # fmt: skip
    assert asked(report, BUILD).answer == (
        f"{names[0]}; right on: iPhone14,5 (iOS 17.0, B17.0), label b"
    )
    assert builds(report) == "iOS 16.2 (20C65)"
    none = dataclasses.replace(report, comparisons=(good,))
    assert asked(none, BUILD).answer == "; ".join(names)


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
    unknown = asked(measured(agreement=other), GOOD)
    assert not unknown.answered
    assert unknown.answer == (
        "Not measured: measure it on an older system too, or state the system with --last-good "
        '"iOS 15.7"'
    )
    assert unknown.command == "anereport runner Tiny.mlmodel"


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
