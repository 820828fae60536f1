"""Records laid beside their reference: what is said of each unit, and what is never invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reporter.measure.identity import ModelIdentity, identify
from reporter.measure.listing import Line, Listing
from reporter.measure.record import Device, Failure, Record, Run
from reporter.measure.simulate import values
from reporter.understand import divergence
from reporter.understand.assessment import Assessment
from reporter.understand.comparison import (
    Comparison,
    UnitResult,
    from_listing,
    from_record,
    from_reference,
)
from reporter.understand.diagnosis import Diagnosis
from reporter.understand.headline import headline
from reporter.understand.reference import METHOD, Referee

IDENTITY = ModelIdentity(
    name="m.mlmodel", kind="neuralNetwork", spec_version=4, size=3,
    sha256="a" * 64, sha256_without_metadata="b" * 64,
)  # fmt: skip
X = np.arange(24, dtype=np.float32).reshape(1, 3, 4, 2) / 8


def record_of(runs, *, inputs=None, evidence="measured", device=None):
    inputs = {"seed-0": {"in0": X}} if inputs is None else inputs
    return Record(
        evidence=evidence, model=IDENTITY, device=device or Device(label="desk"), runs=runs,
        inputs={name: values(given) for name, given in inputs.items()},
    )  # fmt: skip


def run(unit, name="seed-0", repeat=0, **outputs):
    return Run(unit=unit, input=name, repeat=repeat, outputs=values(outputs))


@pytest.fixture
def model(one_layer, tmp_path):
    """The output is twice the input."""

    def fill(p):
        p.linear.alpha = 2

    path = tmp_path / "m.mlmodel"
    path.write_bytes(one_layer("activation", [X.shape], fill=fill).SerializeToString())
    return path


def test_all_units(model):
    wrong = 2 * X
    wrong[0, 1, 2, 1] = -50
    runs = [run("ane", out0=wrong), run("cpu", out0=2 * X), run("gpu", out0=np.float16(2 * X))]
    (found,) = from_record(record_of(runs), Referee(model), "r.json", 0.01)
    assert (found.output, found.shape, found.source) == ("out0", X.shape, "r.json")
    assert (found.device, found.evidence, found.input) == ("desk", "measured", "seed-0")
    assert found.reference == METHOD
    assert [(r.unit, r.status) for r in found.units] == [
        ("cpu", "measured"), ("gpu", "measured"), ("ane", "measured"),
    ]  # fmt: skip
    assert found.measured
    assert not found.simulated
    assert found.result("cpu").metrics.max_abs == 0
    ane = found.result("ane").metrics
    assert (ane.beyond, ane.max_abs_index) == (1, 13)
    assert ane == divergence.compare(wrong, 2.0 * X, 0.01)
    assert found.table.columns == ("Reference", "CPU", "GPU", "ANE")
    (row,) = [row for row in found.table.rows if row and row.index == 13]
    assert row.position == (0, 1, 2, 1)
    assert [float(v) for v in row.values] == [3.25, 3.25, 3.25, -50]


def test_the_tolerance(model):
    runs = [run("cpu", out0=2 * X + np.float32(0.125))]
    for tolerance, beyond in [(0.01, 24), (0.1, 5), (0.2, 0)]:
        (found,) = from_record(record_of(runs), Referee(model), "r", tolerance)
        reference = 2.0 * X.ravel()
        assert beyond == sum(0.125 / np.maximum(reference, 1) > tolerance)
        assert found.result("cpu").metrics.beyond == beyond


def test_what_was_not_measured_stays_empty(model):
    (found,) = from_record(record_of([run("gpu", out0=2 * X)]), Referee(model), "r", 0.01)
    statuses = {r.unit: (r.status, r.metrics is None) for r in found.units}
    assert statuses == {
        "cpu": ("not measured", True),
        "gpu": ("measured", False),
        "ane": ("not measured", True),
    }
    assert all(row.values[1] == row.values[3] == "" for row in found.table.rows if row)
    assert all(row.values[0] == row.values[2] != "" for row in found.table.rows if row)


def test_failures_and_missing_outputs(model):
    runs = [
        Run(unit="ane", input="seed-0", failure=Failure(stage="load", message="no space")),
        run("gpu", other=2 * X),
        run("cpu", out0=(2 * X)[..., :1]),
    ]
    found, other = from_record(record_of(runs), Referee(model), "r", 0.01)
    assert found.result("ane").status == "failed in load: no space"
    assert found.result("gpu").status == "gave no such output"
    assert found.result("cpu").status == "gave an output of another shape: 1x3x4x1"
    assert not found.measured
    assert all(row.values[1:] == ("", "", "") for row in found.table.rows if row)
    assert (other.output, other.result("gpu").status) == ("other", "measured")
    assert other.result("gpu").metrics is None  # the reference has no such output


def test_a_shape_that_differs_by_ones_is_the_same(model):
    runs = [run("ane", out0=(2 * X)[0]), run("gpu", out0=(2 * X)[None])]
    (found,) = from_record(record_of(runs), Referee(model), "r", 0.01)
    assert found.result("ane").metrics.max_abs == found.result("gpu").metrics.max_abs == 0
    assert found.shape == X.shape


def test_several_inputs_and_repeats(model):
    inputs = {"a": {"in0": X}, "b": {"in0": X + 1}}
    runs = [run("ane", "a", out0=2 * X), run("ane", "b", out0=2 * X),
            run("ane", "a", repeat=1, out0=9 * X)]  # fmt: skip
    a, b = from_record(record_of(runs, inputs=inputs), Referee(model), "r", 0.01)
    assert (a.input, b.input) == ("a", "b")
    assert a.result("ane").metrics.max_abs == 0
    assert b.result("ane").metrics.max_abs == 2


def test_simulated_results_say_so(model):
    runs = [run("ane", out0=2 * X), run("cpu", out0=X[..., :1])]
    (found,) = from_record(record_of(runs, evidence="simulated"), Referee(model), "r", 0.01)
    assert found.simulated
    assert found.evidence == found.result("ane").status == "simulated"
    assert found.result("cpu").status == "gave an output of another shape: 1x3x4x1"


def test_without_a_model_the_cpu_stands_in_and_that_is_said():
    runs = [run("cpu", y=X), run("ane", y=X + 1)]
    (found,) = from_record(record_of(runs), None, "r", 0.01)
    text = "not available: no model was given; the units are compared with the CPU's values"
    assert (found.reference, found.against) == (text, "the CPU's values")
    assert found.result("ane").metrics.max_abs == 1
    assert (found.result("cpu").status, found.result("cpu").metrics) == ("measured", None)
    assert all(row.values[0] == "" for row in found.table.rows if row)


def test_a_custom_layer_without_its_builder_leaves_the_units_to_each_other(one_layer, tmp_path):
    def fill(p):
        p.className = "mine"

    path = tmp_path / "c.mlmodel"
    path.write_bytes(one_layer("custom", [X.shape], fill=fill).SerializeToString())
    runs = [run("cpu", out0=X), run("gpu", out0=X), run("ane", out0=X + 1), run("all", out0=X)]
    (found,) = from_record(record_of(runs), Referee(path), "r", 0.01)
    assert found.reference.startswith("not available: custom layer tested (--custom")
    assert [(r.unit, r.metrics and r.metrics.max_abs) for r in found.units] == [
        ("cpu", None),
        ("gpu", 0),
        ("ane", 1),
        ("all", 0),
    ]


@pytest.mark.parametrize(
    "cpu", [[], [Run(unit="cpu", input="seed-0", failure=Failure(stage="load", message="m"))]]
)
def test_without_a_model_and_a_cpu_there_is_no_reference(cpu):
    (found,) = from_record(record_of([run("ane", y=X), *cpu]), None, "r", 0.01)
    assert found.reference.startswith("not available")
    assert found.result("ane").metrics is None
    assert all(row.values[0] == "" for row in found.table.rows if row)


def test_results_without_inputs(model):
    (found,) = from_record(
        record_of([run("ane", y=X)], inputs={"seed-0": {}}), Referee(model), "r", 0.01
    )
    assert found.reference == "not comparable: the results carry no inputs"
    assert found.result("ane").metrics is None
    assert found.result("ane").status == "measured"
    assert found.shape == X.shape


def test_inputs_that_do_not_fit(model):
    inputs = {"seed-0": {"in0": X[..., :1]}}
    (found,) = from_record(
        record_of([run("ane", out0=X)], inputs=inputs), Referee(model), "r", 0.01
    )
    assert found.reference.startswith("not available: input 'in0' has shape")
    assert not found.measured


def test_labels_and_probabilities():
    """Probabilities are compared label by label, in whatever order; labels are not numbers."""
    runs = [run("cpu", p={"cat": 0.25, "dog": 0.75}, label="dog", n=3),
            run("ane", p={"dog": 0.5, "cat": 0.5}, label="cat", n=4)]  # fmt: skip
    (found,) = from_record(record_of(runs), None, "r", 0.01)
    assert (found.output, found.shape) == ("p", (2,))
    ane = found.result("ane").metrics
    assert (ane.max_abs, ane.mean_abs, ane.beyond) == (0.25, 0.25, 2)
    # cat: 0.5 for 0.25, dog: 0.5 for 0.75
    assert ane.cosine == pytest.approx(0.5 / np.hypot(0.25, 0.75) / np.hypot(0.5, 0.5))


def test_outputs_that_are_empty_or_all_nan():
    runs = [run("cpu", y=np.zeros((0, 3, 2)), z=X), run("ane", y=np.zeros((0, 3, 2)), z=X * np.nan)]
    empty, odd = from_record(record_of(runs), None, "r", 0.01)
    assert (empty.result("ane").metrics.count, empty.table.rows) == (0, ())
    assert odd.result("ane").metrics.beyond == odd.result("ane").metrics.nan == 24


def test_the_table_follows_the_neural_engine():
    late, early = X.repeat(9, axis=2), X.repeat(9, axis=2)
    early[0, 0, 0, 0], late[0, 2, 35, 1] = 1e6, 1e6
    exact = X.repeat(9, axis=2)
    (found,) = from_record(
        record_of([run("cpu", y=exact), run("gpu", y=early), run("ane", y=late)]), None, "r", 0.01
    )
    assert [row.index for row in found.table.rows if row][-1] == exact.size - 1
    (found,) = from_record(record_of([run("cpu", y=exact), run("gpu", y=early)]), None, "r", 0.01)
    assert next(row.index for row in found.table.rows if row) == 0


def test_the_reference_alone_invents_nothing(model):
    (found,) = from_reference(Referee(model), {"in0": X}, "seed-0")
    assert (found.evidence, found.device, found.reference) == ("computed", "", METHOD)
    assert {(r.status, r.metrics) for r in found.units} == {("not measured", None)}
    assert not found.measured
    rows = [row for row in found.table.rows if row]
    assert all(row.values[1:] == ("", "", "") for row in rows)
    assert float(rows[-1].values[0]) == 2 * X.max()


def test_no_reference_is_said(model, monkeypatch):
    monkeypatch.setattr("migrate.registry.layers", dict)
    (found,) = from_reference(Referee(model), {"in0": X}, "seed-0")
    assert found.reference.startswith("not available: ")
    assert found.table.rows == ()
    assert not found.measured


def test_a_listing_has_no_metrics():
    listing = Listing(("ane", "cpu"), (Line(3, ("0.50", "1.25")),), (1, 2, 3))
    found = from_listing(listing, "l.txt", "iPhone 13", "y")
    assert found.reference == "not comparable: the listing carries neither inputs nor weights"
    assert [(r.unit, r.status, r.metrics) for r in found.units] == [
        ("cpu", "stated by the user", None),
        ("gpu", "not measured", None),
        ("ane", "stated by the user", None),
    ]
    assert (found.evidence, found.device) == ("stated by the user", "iPhone 13")
    assert [row.values for row in found.table.rows if row] == [("", "1.25", "", "0.50")]
    assert not found.measured
    assert found.statements


def test_a_record_of_the_samples_model(samples):
    """One device's good record of the true model is called equal or near in every output."""
    import migrate
    from reporter.measure.inputs import seeded

    path = samples / "Block.mlmodel"
    given = seeded(path)
    y = migrate.to_torch(path).predict(given)["output"]
    record = Record(
        evidence="measured", model=identify(path), device=Device(),
        inputs={"seed-0": values(given)}, runs=[run("cpu", output=y)],
    )  # fmt: skip
    (found,) = from_record(record, Referee(path), "r", 0.01)
    assert found.shape == (1, 1600, 39, 1)
    assert found.result("cpu").metrics.beyond == 0
    assert 0 < found.result("cpu").metrics.max_abs < 1e-3


# --- what is wrong


def test_a_diagnosis_by_what_rounding_explains(model):
    """The tolerance takes no part in it, and the limit none in the metrics."""
    off = 2 * X + np.float32(0.0098)  # within the tolerance, and ten float16 steps
    runs = [run("cpu", out0=2 * X), run("ane", out0=off)]
    (found,) = from_record(record_of(runs), Referee(model), "r", 0.01)
    assert found.diagnosis.suspect == "ane"
    assert {u: a.word for u, a in found.diagnosis.assessments.items()} == {
        "cpu": "exact", "ane": "suspicious",
    }  # fmt: skip
    assert found.result("ane").metrics.beyond == 0
    assert (found.wrong("ane"), found.wrong("cpu"), found.wrong("gpu")) == (True, False, None)
    (loose,) = from_record(record_of(runs), Referee(model), "r", 1e-6, limit=20)
    assert loose.wrong("ane") is False
    assert loose.result("ane").metrics.beyond == 24
    (strict,) = from_record(record_of(runs), Referee(model), "r", 0.01, 1.0)
    assert strict.diagnosis.worst.word == "diverges"


def test_rows_are_those_of_the_channel_that_the_headline_names(model):
    """The third channel has the largest errors; the first is further off what rounding explains."""
    given = X * np.float32([1e-3, 1, 1e3]).reshape(3, 1, 1)
    wrong = 2 * given
    wrong[0, 0, 3, 0] += 1
    wrong[0, 2, 1, 1] += 50
    runs = [run("cpu", out0=2 * given), run("ane", out0=wrong)]
    record = record_of(runs, inputs={"seed-0": {"in0": given}})
    (found,) = from_record(record, Referee(model), "r", 0.01)
    assert found.diagnosis.worst.channel == 0
    assert found.around == "channel 0, the worst by what rounding explains"
    assert [row.index for row in found.table.rows if row] == list(range(1, 12))  # about index 6
    assert "in channel 0;" in headline([found], 8)
    (alone,) = from_record(record, None, "r", 0.01)
    assert alone.around == "the worst channel (by RMSE)"
    assert [row.index for row in alone.table.rows if row] == list(range(13, 24))  # index 19


def test_an_images_rows_are_not_those_of_a_channel_that_it_has_elsewhere(model):
    """An image is (H, W, 3) in a record, and of three channels where it is judged."""
    (found,) = from_record(record_of([run("ane", out0=3 * X)]), Referee(model), "r", 0.01)
    assert found.around.startswith("channel ")
    image = replace(found, shape=(4, 2, 3))
    assert image.around == "the worst channel (by RMSE)"


@pytest.mark.parametrize("word", ["exact", "rounding", "unfit", "suspicious", "diverges"])
def test_the_word_decides_over_the_tolerance(word):
    beyond = divergence.compare(X + 1, X, 0.01)
    assessed = Assessment(word, 1.0, 0, 0, 3)
    units = (UnitResult("ane", "measured", beyond), UnitResult("gpu", "measured", beyond),
             UnitResult("cpu", "measured", divergence.compare(X, X, 0.01)))  # fmt: skip
    fields = dict.fromkeys(("output", "source", "device", "evidence", "input", "reference"), "")
    found = Comparison(
        shape=X.shape, units=units, table=divergence.Table((), (), ()),
        diagnosis=Diagnosis({"ane": assessed}, "ane", (), ()), **fields,
    )  # fmt: skip
    assert found.wrong("ane") == (word in ("suspicious", "diverges"))
    assert found.wrong("gpu") is True  # by tolerance
    assert found.wrong("cpu") is False
    assert found.wrong("all") is None


def test_without_a_reference_wrong_is_by_tolerance():
    runs = [run("cpu", y=X), run("ane", y=X + 1), run("gpu", y=X + np.float32(1e-3))]
    (found,) = from_record(record_of(runs), None, "r", 0.01)
    assert found.diagnosis is None
    assert [found.wrong(unit) for unit in ("cpu", "gpu", "ane")] == [None, False, True]


def test_where_rounding_is_not_known_it_says_why(one_layer, tmp_path):
    path = tmp_path / "m.mlmodel"
    path.write_bytes(one_layer("randomNormalLike", [(2, 3)]).SerializeToString())
    given = {"seed-0": {"in0": np.ones((2, 3))}}
    runs = [run("ane", out0=np.ones((2, 3)))]
    (found,) = from_record(record_of(runs, inputs=given), Referee(path), "r", 0.01)
    assert found.diagnosis is None
    assert "draws random numbers" in found.unexplained
    assert found.wrong("ane") is True  # by tolerance


def test_repeats_and_the_input_before_reach_the_diagnosis(model):
    inputs = {"a": {"in0": X}, "b": {"in0": X[..., ::-1]}}
    first, second = 2 * X, 2 * X[..., ::-1]
    runs = [run("ane", "a", out0=first), run("ane", "b", out0=first), run("cpu", "b", out0=second),
            run("ane", "b", repeat=1, out0=second)]  # fmt: skip
    a, b = from_record(record_of(runs, inputs=inputs), Referee(model), "r", 0.01)
    assert not a.diagnosis.worst.wrong
    assert b.diagnosis.who == (
        "rounding explains the CPU, and not the ANE in 1 of 2 runs",
        "the ANE is flaky: 1 of 1 repeats differ in bits from the first call",
    )
    assert "S1" in [one.code for one in b.diagnosis.signatures]


def test_what_the_input_before_left_is_known(model):
    inputs = {"a": {"in0": X}, "b": {"in0": X[..., ::-1]}}
    runs = [run("ane", "a", out0=2 * X), run("ane", "b", out0=2 * X)]
    _, b = from_record(record_of(runs, inputs=inputs), Referee(model), "r", 0.01)
    assert "S1" in [one.code for one in b.diagnosis.signatures]
    alone = record_of(runs[1:], inputs={"b": inputs["b"]})
    (found,) = from_record(alone, Referee(model), "r", 0.01)
    assert "S1" not in [one.code for one in found.diagnosis.signatures]


@pytest.mark.parametrize("kind", ["a stuck unit", "a constant model"])
def test_a_constant_is_no_data_of_the_previous_input(one_layer, tmp_path, kind):
    """What is the same for every input was not left over from the one before."""
    alpha = 2 if kind == "a stuck unit" else 0
    path = tmp_path / "c.mlmodel"

    def fill(p):
        p.linear.alpha, p.linear.beta = alpha, 3

    path.write_bytes(one_layer("activation", [X.shape], fill=fill).SerializeToString())
    inputs = {"a": {"in0": X}, "b": {"in0": X[..., ::-1] + 1}}
    stuck = np.full_like(X, 0.2047119)
    runs = [run("ane", name, out0=stuck) for name in inputs]
    for found in from_record(record_of(runs, inputs=inputs), Referee(path), "r", 0.01):
        assert found.wrong("ane")
        assert "S1" not in [one.code for one in found.diagnosis.signatures]


# --- runs that are lost, cold starts, inputs that were not reached


def lost(unit, name="seed-0", repeat=0, stage="predict", **more):
    failure = Failure(stage=stage, message="it died")
    return Run(unit=unit, input=name, repeat=repeat, failure=failure, **more)


DEAD = "failed in predict: it died"


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("odd", ["dead", "without it", "of another shape"])
def test_runs_that_are_lost_are_counted_whichever_they_are(model, at, odd):
    runs = [run("ane", repeat=i, out0=2 * X) for i in range(3)]
    runs[at], why = {
        "dead": (lost("ane", repeat=at), DEAD),
        "without it": (run("ane", repeat=at, other=X), "gave no such output"),
        "of another shape": (run("ane", repeat=at, out0=X[..., :1]),
                             "gave an output of another shape: 1x3x4x1"),
    }[odd]  # fmt: skip
    found = from_record(record_of(runs), Referee(model), "r", 0.01)[0]
    ane = found.result("ane")
    assert (ane.status, ane.metrics.max_abs) == ("measured", 0)
    assert (ane.runs, ane.lost, ane.why, ane.cold) == (3, 1, why, "")
    assert found.losses == (f"in 1 of 3 runs of input seed-0 the ANE {why}",)
    assert len(found.diagnosis.calls["ane"]) == 2
    assert found.wrong("ane") is False


def test_a_unit_that_is_lost_in_all_runs_has_that_for_its_status(model):
    runs = [lost("ane"), lost("ane", repeat=1), run("cpu", out0=2 * X)]
    (found,) = from_record(record_of(runs), Referee(model), "r", 0.01)
    ane = found.result("ane")
    assert (ane.status, ane.runs, ane.lost, ane.metrics) == (DEAD, 2, 2, None)
    assert found.losses == ()


def test_the_cold_start_is_counted_in_nothing(model):
    cold = run("ane", out0=9 * X).model_copy(update={"start": "cold"})
    runs = [cold, run("ane", out0=2 * X), run("ane", repeat=1, out0=2 * X)]
    (found,) = from_record(record_of(runs), Referee(model), "r", 0.01)
    ane = found.result("ane")
    assert (ane.metrics.max_abs, ane.runs, ane.lost, ane.cold) == (0, 2, 0, "")
    assert found.diagnosis.cold["ane"].word == "diverges"
    assert found.wrong("ane") is True
    (alone,) = from_record(record_of([cold, lost("cpu")]), Referee(model), "r", 0.01)
    assert (alone.result("ane").status, alone.result("ane").runs) == ("not measured", 0)


def test_a_cold_start_that_is_lost_is_said_by_itself(model):
    runs = [run("ane", out0=2 * X), lost("ane", start="cold")]
    (found,) = from_record(record_of(runs), Referee(model), "r", 0.01)
    assert (found.result("ane").runs, found.result("ane").lost) == (1, 0)
    assert found.losses == (f"at its cold start on input seed-0 the ANE {DEAD}",)


def test_an_input_after_a_failed_load_says_where_the_failure_is(model):
    inputs = {"a": {"in0": X}, "b": {"in0": X + 1}}
    runs = [run("cpu", "a", out0=2 * X), run("cpu", "b", out0=2 * X + 2),
            lost("ane", "a", stage="load")]  # fmt: skip
    a, b = from_record(record_of(runs, inputs=inputs), Referee(model), "r", 0.01)
    assert a.result("ane").status == "failed in load: it died"
    assert (b.result("ane").status, b.result("ane").elsewhere) == ("failed (see input a)", "a")
    assert b.result("gpu").status == "not measured"


def test_failures_alone_are_something_too():
    (found,) = from_record(record_of([lost("ane"), lost("cpu")]), None, "r", 0.01)
    assert (found.output, found.shape, found.table.rows) == ("", (), ())
    assert {r.unit: r.status for r in found.units} == {
        "cpu": DEAD, "gpu": "not measured", "ane": DEAD
    }  # fmt: skip


def test_controls_are_known_by_their_names(model):
    names = ("seed-0", "user", "ramp", "impulse", "zeros", "ones")
    inputs = {name: {"in0": X} for name in names}
    found = from_record(record_of([], inputs=inputs), Referee(model), "r", 0.01)
    assert [c.control for c in found] == [False, False, True, True, True, True]


def test_a_units_first_run_is_the_one_with_the_least_repeat(model):
    """Also where the record has no repeat 0, or lists them in another order."""
    runs = [run("ane", repeat=2, out0=3 * X), run("ane", repeat=1, out0=2 * X),
            run("cpu", out0=2 * X)]  # fmt: skip
    (found,) = from_record(record_of(runs), Referee(model), "r", 0.01)
    assert found.result("ane").metrics.max_abs == 0
    assert found.diagnosis.assessments["ane"].word == "exact"


def test_outputs_that_cannot_be_diagnosed_beside_one_that_can(model):
    runs = [run("ane", out0=(2 * X)[..., :1]), run("cpu", out0=2 * X), run("gpu", out0="cat")]
    (found,) = from_record(record_of(runs), Referee(model), "r", 0.01)
    assert list(found.diagnosis.assessments) == ["cpu"]
    assert found.wrong("ane") is None
    (alone,) = from_record(record_of(runs[:1]), Referee(model), "r", 0.01)
    assert (alone.diagnosis, alone.unexplained) == (None, "")
