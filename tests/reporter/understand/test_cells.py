"""What one record shows of each unit: the word of the worst output and repeat."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from many_devices import given, model, phone, record_of

from reporter.measure.record import Device, Run
from reporter.measure.simulate import values
from reporter.understand import comparison
from reporter.understand.cells import inputs_key, of_readings, of_record, of_variants, of_verdicts
from reporter.understand.judged import Attempt, Judged
from reporter.understand.reference import Referee
from reporter.understand.sides import Outcome, Side
from reporter.understand.variant_set import Member
from reporter.understand.verdict import AVOIDS, UNMEASURED, Verdict


@pytest.fixture(scope="module")
def referee(tmp_path_factory):
    return Referee(model(tmp_path_factory.mktemp("models") / "m.mlmodel"))


@pytest.fixture
def cells(referee):
    """The cells of a record by unit and input."""

    def found(record=None, judge=referee, **units):
        record = record or record_of(referee.model, phone("a"), **units)
        compared = comparison.from_record(record, judge, "r.json", 0.01)
        made = of_record("r.json", record, compared, "m.mlmodel")
        return {(cell.unit, cell.input): cell for cell in made}

    return found


def test_the_word_of_each_unit(cells):
    found = cells(cpu="right", gpu="wrong", ane="failed", all="right")
    assert list(found) == [(unit, "seed-1") for unit in ("ane", "gpu", "cpu", "all")]
    words = {unit: cell.word for (unit, _), cell in found.items()}
    assert words == {"cpu": "rounding", "gpu": "diverges", "ane": "failed", "all": "rounding"}
    failed = found["ane", "seed-1"]
    assert (failed.state, failed.ratio) == ("failed", None)
    assert failed.detail == "predict: it was killed"
    wrong = found["gpu", "seed-1"]
    assert (wrong.state, wrong.variant, wrong.record) == ("wrong", "m.mlmodel", "r.json")
    assert wrong.ratio > 12
    assert wrong.origin.label == "a"


def test_right_numbers_that_are_not_the_neural_engines_are_not_known(cells, referee):
    """The CPU's bits in float32, or a machine without a Neural Engine; the CPU stays right."""
    exact = np.float32(referee.net.predict({"x": given(1)})["y"])
    record = record_of(referee.model, phone("a"), cpu="right", ane="right")
    same = tuple(r.model_copy(update={"outputs": values({"y": exact})}) for r in record.runs)
    device = Device(label="a", system="macOS", version="15.3", virtual=True)
    for found, why in (
        (record.model_copy(update={"runs": same}), "same bits as the CPU"),
        (record.model_copy(update={"device": device}), "A virtual machine"),
    ):
        by_unit = {unit: cell for (unit, _), cell in cells(found).items()}
        assert (by_unit["ane"].word, by_unit["ane"].state) == ("not known", "")
        assert why in by_unit["ane"].detail
        assert by_unit["cpu"].state == "right"
    wrong = record_of(referee.model, device, cpu="right", ane="wrong")
    assert cells(wrong)["ane", "seed-1"].word == "diverges"


def test_a_cell_for_each_input_of_its_runs(cells):
    found = cells(ane=["right", "wrong"], seeds=(1, 2))
    assert list(found) == [("ane", "seed-1"), ("ane", "seed-2")]
    assert {cell.runs for cell in found.values()} == {2}


@pytest.mark.parametrize(
    ("how", "word", "detail"),
    [
        (["right", "right", "wrong"], "flaky", "of 3 runs 1 wrong"),
        (["wrong", "right"], "flaky", "of 2 runs 1 wrong"),
        (["right", "failed"], "flaky", "of 2 runs 1 failed"),
        (["failed", "right"], "flaky", "of 2 runs 1 failed"),
        (["failed", "wrong", "right"], "flaky", "of 3 runs 1 wrong and 1 failed"),
        (["failed", "failed"], "failed", "predict: it was killed"),
        (["wrong", "wrong"], "diverges", ""),
        (["right", "right"], "rounding", ""),
    ],
)
def test_repeats(cells, how, word, detail):
    (cell,) = cells(ane=how).values()
    assert (cell.word, cell.detail, cell.runs) == (word, detail, len(how))


@pytest.mark.parametrize(
    ("cold", "later", "word", "detail"),
    [
        ("wrong", "right", "flaky", "rounding, but its cold start diverges"),
        ("right", "wrong", "flaky", "diverges, but its cold start rounding"),
        ("failed", "right", "flaky",
         "rounding, but its cold start failed in predict: it was killed"),
        ("shape", "right", "flaky",
         "rounding, but its cold start gave an output of another shape: 1x1x4x3"),
        ("right", "right", "rounding", ""),
        ("wrong", "wrong", "diverges", ""),
        ("right", "failed", "failed", "predict: it was killed"),
    ],
)  # fmt: skip
def test_a_cold_start_is_none_of_the_runs(cells, referee, cold, later, word, detail):
    record = record_of(referee.model, phone("a"), ane=[later, later, cold])
    *runs, last = record.runs
    runs.append(last.model_copy(update={"repeat": 0, "start": "cold"}))
    (cell,) = cells(record.model_copy(update={"runs": tuple(runs)})).values()
    assert (cell.word, cell.detail, cell.runs) == (word, detail, 2)


def test_a_cold_start_alone_is_no_cell(cells, referee):
    record = record_of(referee.model, phone("a"), ane="right")
    (run,) = record.runs
    cold = run.model_copy(update={"start": "cold"})
    assert cells(record.model_copy(update={"runs": (cold,)})) == {}


def test_a_run_that_gave_another_shape_is_a_failed_one(cells):
    (cell,) = cells(ane=["right", "shape", "right"]).values()
    assert (cell.word, cell.detail) == ("flaky", "of 3 runs 1 failed")


def test_repeats_that_differ_within_rounding_are_not_called_flaky(cells, referee):
    record = record_of(referee.model, phone("a"), ane="right")
    (run,) = record.runs
    y = run.outputs["y"].array().copy()
    y[0, 0, 0, 0] = np.nextafter(y[0, 0, 0, 0], np.float16(9))
    again = Run(unit="ane", input="seed-1", repeat=1, outputs=values({"y": y}))
    (cell,) = cells(record.model_copy(update={"runs": (run, again)})).values()
    assert (cell.word, cell.runs) == ("rounding", 2)


def test_an_output_of_another_shape_is_a_failure(cells):
    found = cells(cpu="right", ane="shape")
    assert found["cpu", "seed-1"].word == "rounding"
    assert found["ane", "seed-1"].word == "failed"
    assert found["ane", "seed-1"].detail == "output 'y': gave an output of another shape: 1x1x4x3"


def test_without_a_model_nothing_is_known_but_failures(cells):
    found = cells(judge=None, cpu="right", gpu="wrong", ane="failed")
    words = {unit: cell.word for (unit, _), cell in found.items()}
    assert words == {"cpu": "not known", "gpu": "not known", "ane": "failed"}
    assert found["gpu", "seed-1"].detail.startswith("not available: no model was given")
    assert found["gpu", "seed-1"].state == ""


def test_the_limit_reaches_the_word(referee):
    record = record_of(referee.model, phone("a"), ane="wrong")
    compared = comparison.from_record(record, referee, "r.json", 0.01, 1e9)
    (cell,) = of_record("r.json", record, compared, "m.mlmodel")
    assert cell.word == "rounding"


def test_a_copy_of_the_model_under_another_name_is_the_same_variant(referee):
    record = record_of(referee.model, phone("a"), ane="right")
    (cell,) = of_record("r.json", record, [], "Copy.mlmodel")
    assert cell.variant == "Copy.mlmodel"
    assert cell.word == "not known"
    assert cell.detail == "the record holds no output of numbers"


def key(referee, name="r.json", **inputs):
    record = record_of(referee.model, phone("a"), ane="right")
    record = record.model_copy(update={"inputs": {"i": values(inputs)}})
    return inputs_key(name, record, ["i"])


def test_inputs_are_the_same_by_their_values(referee):
    x = given(1).astype(np.float16)
    same = key(referee, x=x)
    assert same == key(referee, "other.json", x=x.astype(np.float32))
    assert same == key(referee, x=x.astype(np.float64))
    others = [{"x": x + 1}, {"z": x}, {"x": x.ravel()}, {"x": x, "z": x}, {"x": "a"}, {"x": 7}]
    assert len({same, *(key(referee, **one) for one in others)}) == 1 + len(others)


def test_inputs_that_a_record_does_not_carry_are_the_same_as_no_others(referee):
    assert key(referee) == key(referee)
    assert key(referee) != key(referee, "other.json")


def side(name="after.json", **changes):
    fields = {
        "model": "p.mlpackage", "records": (name,), "cpu": Outcome("right", 0.5, "y"),
        "gpu": Outcome(), "ane": Outcome("wrong", 99.0, "y"), "inputs": 2,
        "runs": {"cpu": 2, "ane": 6},
    }  # fmt: skip
    return Side(**{**fields, **changes})


def verdict(after, before=None):
    return Verdict("p.mlpackage", AVOIDS, (), "a", "measured", before, after)


@pytest.fixture
def after(referee):
    return record_of(referee.model, phone("a"), seeds=(1, 2), cpu="right", ane="wrong")


def test_a_migration_by_its_verdicts(after):
    known = {"after.json": after}
    ane, cpu = of_verdicts([verdict(side())], known)
    assert (ane.unit, ane.word, ane.ratio, ane.runs, ane.inputs) == ("ane", "diverges", 99.0, 6, 2)
    assert (cpu.unit, cpu.word, cpu.ratio, cpu.runs, cpu.inputs) == ("cpu", "rounding", 0.5, 2, 2)
    assert (ane.variant, ane.record, ane.input) == ("p.mlpackage", "after.json", "seed-1, seed-2")
    assert ane.origin.label == "a"
    loose, _ = of_verdicts([verdict(side())], known, limit=80)
    assert loose.word == "suspicious"
    failed, _ = of_verdicts(
        [verdict(side(ane=Outcome("failed", math.inf, "", "load: no such plan")))], known
    )
    assert (failed.word, failed.ratio, failed.detail) == ("failed", None, "load: no such plan")


def test_a_verdict_without_a_side_says_nothing(after):
    assert not list(of_verdicts([Verdict("p.mlpackage", UNMEASURED, ())], {"after.json": after}))


def test_what_a_verdict_was_compared_with_is_part_of_its_inputs(after):
    known = {"after.json": after, "before.json": after.model_copy(update={"inputs": {}})}
    alone, _ = of_verdicts([verdict(side())], known)
    both, _ = of_verdicts([verdict(side(), side("before.json"))], known)
    assert alone.key != both.key


def test_a_side_of_several_devices_is_of_none_of_them(referee, after):
    other = record_of(referee.model, phone("b"), ane="wrong")
    known = {"after.json": after, "b.json": other}
    cell, _ = of_verdicts([verdict(side(records=("after.json", "b.json")))], known)
    assert (cell.origin.label, cell.origin.file) == ("", "after.json, b.json")


def reading(*attempts, word="fails", reason=""):
    member = Member("turned", "turned", "m-turned.mlmodel")
    return SimpleNamespace(variants=(Judged(member, word, reason, attempts),))


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([(0, "right", 0.5), (1, "right", 0.25)], "rounding"),
        ([(0, "right", 0.5), (1, "wrong", 10.0)], "suspicious"),
        ([(0, "wrong", 99.0)], "diverges"),
        ([(0, "right", 0.5), (0, "wrong", 99.0)], "flaky"),
        ([(0, "does not run", math.inf)], "failed"),
    ],
)
def test_variants_by_their_readings(after, states, word):
    attempts = [Attempt("v.json", i, state, ratio) for i, state, ratio in states]
    (cell,) = of_readings([reading(*attempts)], {"v.json": after})
    numbers = [ratio for _, _, ratio in states if ratio < math.inf]
    assert (cell.word, cell.ratio) == (word, max(numbers, default=None))
    assert (cell.variant, cell.unit, cell.runs) == ("m-turned.mlmodel", "ane", len(states))
    assert cell.inputs == len({i for i, _, _ in states})
    assert cell.input == "seed-1, seed-2"


def test_each_record_of_a_variant_has_its_own_cell(referee, after):
    other = record_of(referee.model, phone("b"), ane="right")
    one, two = Attempt("v.json", 0, "wrong", 99.0), Attempt("w.json", 0, "right", 0.5)
    found = of_variants(None, [reading(one, two)], [("v.json", after), ("w.json", other)], 8)
    assert [(c.record, c.origin.label, c.word) for c in found] == [
        ("v.json", "a", "diverges"), ("w.json", "b", "rounding"),
    ]  # fmt: skip


def test_of_a_variant_that_is_set_aside_nothing_is_known(after):
    aside = reading(Attempt("v.json", 0, "wrong", 99.0), word="set aside", reason="it overflows")
    (cell,) = of_readings([aside], {"v.json": after})
    assert (cell.word, cell.state, cell.detail) == ("not known", "", "it overflows")
