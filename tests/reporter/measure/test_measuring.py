"""The record of a machine whose units crash, hang and lie: a backend in the place of Core ML."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from misbehaving import REFUSED, model, right, told

import migrate
from reporter.measure import coreml, measuring, record
from reporter.measure.given import GivenError
from reporter.measure.identity import identify
from reporter.measure.inputs import Schedule, controls, seeded
from reporter.measure.record import RecordError

ON_A_MAC = sys.platform == "darwin"
TWICE = Schedule(seeds=2, repeats=2)


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Measure the model on units that do as they are told."""
    path = model(tmp_path / "m.mlmodel")

    def measure(schedule=TWICE, inputs=None, seconds=60.0, keep=None, progress=None, **units):
        told(monkeypatch, tmp_path, **units)
        return measuring.measure(
            path, inputs, schedule, seconds=seconds, label="mine", keep=keep, progress=progress
        )

    return measure


class Whole(NamedTuple):
    """A record of units that do nothing odd, and what was told while it was made."""

    model: Path
    found: record.Record
    kept: list[record.Record]
    steps: int
    texts: list[str]
    compiled: list[str]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    kept, telling = [], Telling()
    with pytest.MonkeyPatch.context() as patch:
        compiled = told(patch, folder)
        path = model(folder / "m.mlmodel")
        found = measuring.measure(
            path, None, TWICE, label="mine", keep=kept.append, progress=telling
        )
    return Whole(path, found, kept, telling.steps, telling.texts, compiled.read_text().split())


class Telling:
    def __init__(self):
        self.steps, self.texts = 0, []

    def expect(self, steps):
        self.steps += steps

    def step(self, text):
        self.texts.append(text)


def made(found, unit, start=""):
    """What became of a unit's runs: (input, repeat, stage of a failure or nothing)."""
    return [
        (run.input, run.repeat, run.failure.stage if run.failure else "")
        for run in found.runs
        if (run.unit, run.start) == (unit, start)
    ]


WHOLE = [("seed-0", 0, ""), ("seed-0", 1, ""), ("seed-1", 0, ""), ("seed-1", 1, "")]


def failure(found, unit):
    (one,) = [run.failure for run in found.runs if run.unit == unit and run.failure]
    return one


@pytest.mark.skipif(ON_A_MAC, reason="says what systems without Core ML say")
def test_elsewhere_it_refuses_in_one_sentence(tmp_path):
    path = model(tmp_path / "m.mlmodel")
    with pytest.raises(RecordError) as caught:
        measuring.measure(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in ("m.mlmodel", "run this command on a Mac", f"'anereport runner {path}'"):
        assert word in message


def test_every_unit_runs_every_input_and_repeat_and_the_neural_engine_a_cold_start(whole):
    found = whole.found
    assert (found.evidence, found.simulation, found.stopped) == ("measured", "", "")
    assert found.model == identify(whole.model)
    assert found.device.label == "mine"
    assert [made(found, unit) for unit in record.UNITS] == [WHOLE] * 4
    assert made(found, "ane", "cold") == [("seed-0", 0, "")]
    assert made(found, "cpu", "cold") == []
    assert found.runs[-1].start == "cold"  # no unit's first run is the cold one
    for run in found.runs:
        x = seeded(whole.model, int(run.input[-1]))["x"]
        np.testing.assert_array_equal(found.inputs[run.input]["x"].array(), x)
        np.testing.assert_array_equal(run.outputs["y"].array(), right(run.unit, x))


def test_a_record_that_is_measured_is_read_back(whole, tmp_path):
    (tmp_path / "r.json").write_text(record.dumps(whole.found))
    assert record.load(tmp_path / "r.json") == whole.found


def test_times_and_plans_belong_to_the_load_they_are_of(whole):
    first = [run for run in whole.found.runs if "load" in run.times]
    assert [(r.unit, r.input, r.repeat, r.start) for r in first] == [
        ("cpu", "seed-0", 0, ""), ("gpu", "seed-0", 0, ""), ("ane", "seed-0", 0, ""),
        ("all", "seed-0", 0, ""), ("ane", "seed-0", 0, "cold"),
    ]  # fmt: skip
    assert all(run.times["predict"] >= 0 for run in whole.found.runs)
    planned = {(r.unit, r.start): r.plan.operations[0].planned for r in whole.found.runs if r.plan}
    assert planned == {
        ("cpu", ""): "cpu", ("gpu", ""): "gpu", ("ane", ""): "ane", ("all", ""): "ane",
        ("ane", "cold"): "ane",
    }  # fmt: skip


def test_a_model_is_compiled_once_to_a_place_that_is_gone_afterwards(whole):
    (compiled,) = whole.compiled
    assert compiled.endswith(".mlmodelc")
    assert not Path(compiled).exists()


def test_what_is_finished_is_handed_over_after_each_unit(whole):
    counts = [len(one.runs) for one in whole.kept]
    assert counts == sorted(counts)
    assert {4, 8, 9, 13, 17} <= set(counts)
    for one in whole.kept:
        assert one.stopped == f"{len(one.runs)} of 17 runs were made before it was stopped"
    assert whole.kept[counts.index(8)].runs == whole.found.runs[:8]


def test_what_is_finished_is_handed_over_after_each_input(measured):
    """A prediction takes half a second, and the process is looked at more often."""
    seen = []
    measured(Schedule(seeds=2, repeats=1), keep=seen.append, gpu="slow")
    (after_one_input,) = [one for one in seen if len(one.runs) == 3]
    assert made(after_one_input, "gpu") == [("seed-0", 0, "")]
    planned = [bool(run.plan) for run in after_one_input.runs]
    assert planned == [True, False, False]  # the GPU's is asked for after its predictions


def test_progress_names_each_unit_and_input(whole):
    assert whole.steps == 10
    assert whole.texts == [
        "compiling m.mlmodel",
        "m.mlmodel on the CPU: seed-0",
        "m.mlmodel on the CPU: seed-1",
        "m.mlmodel on the GPU: seed-0",
        "m.mlmodel on the GPU: seed-1",
        "m.mlmodel on the Neural Engine, cold start: seed-0",
        "m.mlmodel on the Neural Engine: seed-0",
        "m.mlmodel on the Neural Engine: seed-1",
        "m.mlmodel on the CPU, GPU and Neural Engine: seed-0",
        "m.mlmodel on the CPU, GPU and Neural Engine: seed-1",
    ]


def test_controls_and_one_seed_once(measured, tmp_path):
    found = measured(Schedule(seeds=1, repeats=1, controls=True))
    names = ["seed-0", "ramp", "impulse", "zeros", "ones"]
    assert list(found.inputs) == names
    assert made(found, "gpu") == [(name, 0, "") for name in names]
    want = controls(tmp_path / "m.mlmodel")["impulse"]["x"]
    np.testing.assert_array_equal(found.inputs["impulse"]["x"].array(), want)


def test_own_inputs_take_the_place_of_seeds(measured):
    x = np.full((1, 2, 3, 4), 7, np.float32)
    found = measured(inputs={"x": x})
    assert made(found, "ane") == [("user", 0, ""), ("user", 1, "")]
    np.testing.assert_array_equal(found.runs[0].outputs["y"].array(), np.float32(0.3) * x)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"z": (1,)}, "m.mlmodel has no input 'z': its inputs are x"),
        ({"x": (1, 2, 3, 4), "q": (1,)}, "input 'q'"),
        ({"x": (1, 2, 4, 3)}, "input 'x' has the shape 1x2x3x4, not 1x2x4x3"),
    ],
)
def test_own_inputs_that_are_not_the_models_are_refused_first(measured, tmp_path, given, words):
    with pytest.raises(GivenError, match=words):
        measured(inputs={name: np.zeros(shape) for name, shape in given.items()})
    assert not (tmp_path / "compiled.txt").exists()


def test_an_input_that_is_missing_is_refused(monkeypatch, tmp_path, one_layer):
    told(monkeypatch, tmp_path)
    spec = one_layer("add", [(2,), (2,)])
    path = tmp_path / "two.mlmodel"
    path.write_bytes(spec.SerializeToString())
    with pytest.raises(GivenError, match=r"lack 'in1': those of two\.mlmodel are in0, in1"):
        measuring.measure(path, {"in0": np.zeros(2)})


def test_a_model_that_only_its_own_app_can_load_is_refused_first(monkeypatch, tmp_path):
    compiled = told(monkeypatch, tmp_path)
    path = model(tmp_path / "m.mlmodel")
    spec = migrate.load_spec(path)
    layer = spec.neuralNetwork.layers[0]
    layer.ClearField("activation")
    layer.custom.className = "Mine"
    path.write_bytes(spec.SerializeToString())
    with pytest.raises(GivenError, match=r"m.mlmodel has custom layers \(Mine\)"):
        measuring.measure(path)
    assert not compiled.exists()


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_no_time_is_refused(measured, seconds):
    with pytest.raises(RecordError, match="--timeout is a number of seconds above 0"):
        measured(seconds=seconds)


def test_a_unit_that_dies_in_a_prediction_leaves_what_was_before_and_after_it(measured):
    found = measured(gpu="predict:11@2", ane="predict:9@2")
    assert made(found, "cpu") == WHOLE
    # each process makes one run and dies in the second: so for each input
    halves = [
        ("seed-0", 0, ""),
        ("seed-0", 1, "predict"),
        ("seed-1", 0, ""),
        ("seed-1", 1, "predict"),
    ]
    assert made(found, "gpu") == made(found, "ane") == halves
    assert made(found, "ane", "cold") == [("seed-0", 0, "")]
    assert {(r.unit, r.failure.signal, r.failure.message) for r in found.runs if r.failure} == {
        ("gpu", 11, "its process was ended by signal 11 (SIGSEGV)"),
        ("ane", 9, "its process was ended by signal 9 (SIGKILL)"),
    }
    printed = found.runs[5].failure.stderr
    assert printed.endswith("last words\n")
    assert len(printed) == 4000


def test_a_unit_that_dies_at_once_is_tried_with_the_next_input_but_not_if_it_dies_loading(
    measured, tmp_path
):
    found = measured(Schedule(seeds=3, repeats=2), cpu="predict:9", ane="load:6")
    assert made(found, "cpu") == [(f"seed-{i}", 0, "predict") for i in range(3)]
    assert len(made(found, "gpu")) == 6
    assert made(found, "ane") == made(found, "ane", "cold") == [("seed-0", 0, "load")]
    assert len((tmp_path / "compiled.txt").read_text().split()) == 1


def test_an_exception_is_a_failure_in_its_own_words(measured):
    found = measured(gpu="load:raise")
    failed = failure(found, "gpu")
    assert (failed.stage, failed.signal) == ("load", None)
    assert failed.message == "RuntimeError: it is not to be had"
    assert "Traceback" in failed.stderr


def test_units_that_hang_are_ended_and_the_others_go_on(measured):
    found = measured(seconds=2.5, cpu="load:hang", gpu="predict:hang@2")
    for unit, stage in (("cpu", "load"), ("gpu", "predict")):
        failed = failure(found, unit)
        assert (failed.stage, failed.signal) == (stage, None)
        assert failed.message == "it did not end within 2.5 s"
    assert made(found, "gpu") == [("seed-0", 0, ""), ("seed-0", 1, "predict")]
    assert made(found, "ane") == WHOLE


@pytest.mark.parametrize("how", ["raise", "9", "hang"])
def test_a_model_that_cannot_be_compiled_fails_on_every_unit(measured, how):
    found = measured(seconds=1.0, compile=f"compile:{how}")
    assert [made(found, unit) for unit in record.UNITS] == [[("seed-0", 0, "compile")]] * 4


def test_a_plan_that_cannot_be_had_is_no_failure(measured):
    found = measured(gpu="plan:raise", ane="plan:11")
    assert made(found, "gpu") == made(found, "ane") == WHOLE
    assert [run.unit for run in found.runs if run.plan] == ["cpu", "all"]


def test_what_the_neural_engines_compiler_says_is_kept_of_a_run_that_went_well(measured):
    found = measured(Schedule(1, 2), ane="message")
    said = {(r.unit, r.start): r.messages for r in found.runs if r.messages}
    line = REFUSED.replace("/Users/jane/Library", "~/...")
    assert said == {("ane", ""): (line,), ("ane", "cold"): (line,)}
    assert made(found, "ane") == WHOLE[:2]


def test_numbers_are_kept_whatever_they_are(measured):
    found = measured(Schedule(1, 1), gpu="nan", ane="shape")
    assert {r.unit: r.outputs["y"].shape for r in found.runs} == {
        "cpu": (1, 2, 3, 4), "gpu": (1, 2, 3, 4), "ane": (1, 2, 3, 5), "all": (1, 2, 3, 4)
    }  # fmt: skip
    assert np.isnan(found.runs[1].outputs["y"].array()).all()


def test_ctrl_c_keeps_what_is_finished(measured):
    seen = []

    class Impatient:
        def expect(self, steps):
            self.steps = steps

        def step(self, text):
            if text == "m.mlmodel on the GPU: seed-1":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(keep=seen.append, progress=Impatient(), gpu="slow")
    assert made(seen[-1], "cpu") == WHOLE
    assert made(seen[-1], "gpu")[:2] == WHOLE[:2]
    assert made(seen[-1], "ane") == []
    assert f"{len(seen[-1].runs)} of 17 runs were made" in seen[-1].stopped


@pytest.mark.skipif(ON_A_MAC, reason="there the model loads")
def test_core_ml_itself_is_asked_by_default(tmp_path, monkeypatch):
    """The real backend, end to end, up to the compilation that must fail here."""
    monkeypatch.setattr(coreml, "available", lambda: True)
    found = measuring.measure(model(tmp_path / "m.mlmodel"), schedule=Schedule(1, 1))
    assert [(r.unit, r.failure.stage) for r in found.runs] == [
        ("cpu", "compile"), ("gpu", "compile"), ("ane", "compile"), ("all", "compile"),
        ("ane", "compile"),
    ]  # fmt: skip
    assert "macOS" in found.runs[0].failure.message


@pytest.mark.mac
@pytest.mark.skipif(not ON_A_MAC, reason="needs Core ML")
def test_core_ml(tmp_path):
    path = model(tmp_path / "m.mlmodel")
    found = measuring.measure(path, schedule=Schedule(1, 1))
    for run in found.runs:
        assert run.failure is None
        want = 0.3 * seeded(path)["x"]
        np.testing.assert_allclose(run.outputs["y"].array(), want, rtol=2e-3)
