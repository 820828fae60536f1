"""One side of a verdict: what a unit's runs come to, computed here again with numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from migrations import PARTIAL, WHOLE, changed, fails, gives, model, plan, planned, spec_of, without
from networks import network

import migrate
from reporter.measure.record import Failure, Run
from reporter.measure.simulate import simulate, values
from reporter.understand.reference import arrays
from reporter.understand.sides import Outcome, Placement, Side, Trial, side


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return model(tmp_path_factory.mktemp("sides") / "m.mlmodel")


@pytest.fixture(scope="module")
def healthy(path):
    """A record of a network that nothing is wrong with."""
    return simulate(path, "none")


@pytest.fixture(scope="module")
def explained(path, healthy):
    """What rounding explains of the output, for the record's inputs."""
    return migrate.envelopes(migrate.to_torch(path), arrays(healthy.inputs["seed-0"]))


def trial(found, explained, name="r.json"):
    return Trial((name,), found.runs, explained, lambda output, given: given[output])


def judged(found, explained, name="r.json"):
    return side("m.mlmodel", [trial(found, explained, name)])


def output(found, unit):
    (run,) = [run for run in found.runs if run.unit == unit]
    return run.outputs["y"].array().copy()


def ratios(values, envelope):
    """The RMSE of each channel over what rounding explains."""
    errors = (np.float64(values) - envelope.reference).reshape(3, -1)
    return np.sqrt((errors**2).mean(axis=1)) / envelope.rmse


def test_a_healthy_device_is_right_on_all_units(healthy, explained):
    found = judged(healthy, explained)
    assert (found.model, found.records) == ("m.mlmodel", ("r.json",))
    for unit in ("cpu", "gpu", "ane"):
        given = getattr(found, unit)
        assert (given.state, given.output, given.detail) == ("right", "y", "")
        assert given.ratio == pytest.approx(ratios(output(healthy, unit), explained["y"]).max())
    assert found.cpu.ratio < 0.1 < found.ane.ratio < 8
    assert (found.wrong, found.placement, found.identical, found.overflows) == ((), None, False, ())


def test_a_fault_is_wrong_on_its_unit_alone(path, explained):
    found = judged(simulate(path, "bias-only@convolution"), explained)
    assert (found.cpu.state, found.gpu.state, found.ane.state) == ("right", "right", "wrong")
    assert found.wrong == ("y",)


@pytest.mark.parametrize(("times", "state"), [(7.99, "right"), (8.01, "wrong"), (-8.01, "wrong")])
def test_the_limit_is_eight_times(healthy, explained, times, state):
    """One channel of three is off, by so many times what rounding explains."""
    values = explained["y"].reference.copy()
    values[0, 1] += times * explained["y"].rmse[1]
    found = judged(gives(healthy, "ane", y=values), explained)
    assert found.ane == Outcome(state, pytest.approx(abs(times)), "y")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_none_is_infinitely_wrong(healthy, explained, value):
    values = output(healthy, "ane")
    values[0, 2, 1, 1] = value
    found = judged(gives(healthy, "ane", y=values), explained)
    assert (found.ane.state, found.ane.ratio) == ("wrong", math.inf)


def repeated(found, *outputs):
    """The record with further repeats of the ANE's run."""
    more = [Run(unit="ane", input="seed-0", repeat=i, outputs=values({"y": y}))
            for i, y in enumerate(outputs, 1)]  # fmt: skip
    return found.model_copy(update={"runs": (*found.runs, *more)})


@pytest.mark.parametrize("order", [1, -1])
def test_one_bad_repeat_is_wrong(healthy, explained, order):
    good, bad = output(healthy, "ane"), output(healthy, "ane") + np.float32(1)
    found = judged(repeated(healthy, *(good, bad)[::order]), explained)
    assert found.ane.state == "wrong"
    assert found.ane.ratio == pytest.approx(ratios(bad, explained["y"]).max())
    assert found.wrong == ("y",)


@pytest.mark.parametrize("order", [1, -1])
def test_a_failure_is_the_worst_of_all(healthy, explained, order):
    """Worse than what is infinitely wrong, before it or after it."""
    infinite = gives(healthy, "ane", y=output(healthy, "ane") * np.float32(np.inf))
    failing = fails(healthy, "ane", "load", "it died")
    assert judged(infinite, explained).ane.ratio == math.inf
    trials = [trial(found, explained) for found in (infinite, failing)]
    found = side("m", trials[::order])
    assert found.ane == Outcome("failed", math.inf, "", "in 1 of 2 runs, load: it died")
    assert found.cpu.state == "right"


def with_more(found, *more):
    """The record with other runs of the Neural Engine at its end; each is changed from its run."""
    (ane,) = [run for run in found.runs if run.unit == "ane"]
    made = tuple(ane.model_copy(update={"repeat": i + 1, **m}) for i, m in enumerate(more))
    return found.model_copy(update={"runs": (*found.runs, *made)})


DEAD = {"outputs": None, "failure": Failure(stage="predict", message="it died")}


def test_a_crash_in_a_later_repeat_is_a_failure_that_says_how_often(healthy, explained):
    found = judged(with_more(healthy, {}, DEAD), explained)
    assert found.ane == Outcome("failed", math.inf, "", "in 1 of 3 runs, predict: it died")
    assert found.runs == {"cpu": 1, "gpu": 1, "ane": 3}
    whole = judged(fails(healthy, "ane"), explained)
    assert whole.ane.detail == "predict: it died"


def test_the_cold_start_is_said_if_it_is_otherwise(healthy, explained):
    wrong = values({"y": output(healthy, "ane") + 1})
    off = ratios(output(healthy, "ane") + 1, explained["y"]).max()
    bad = with_more(healthy, {"start": "cold", "outputs": wrong})
    found = judged(bad, explained)
    assert (found.ane.state, found.runs["ane"]) == ("right", 1)
    assert found.cold == f"is wrong at its cold start ({off:.3g} times what rounding explains)"
    dead = judged(with_more(healthy, {"start": "cold", **DEAD}), explained)
    assert (dead.ane.state, dead.cold) == ("right", "failed at its cold start (predict: it died)")
    assert judged(with_more(healthy, {"start": "cold"}), explained).cold == ""
    cold = {"start": "cold", "outputs": healthy.runs[-1].outputs}
    later = judged(with_more(gives(healthy, "ane", y=wrong["y"].array()), cold), explained)
    assert (later.ane.state, later.cold[:28]) == ("wrong", "is right at its cold start (")


def test_a_cold_start_alone_is_no_measurement(healthy, explained):
    alone = changed(healthy, "ane", lambda run: run.model_copy(update={"start": "cold"}))
    found = judged(alone, explained)
    assert (found.ane, found.cold) == (Outcome(), "")
    assert found.cpu.state == "right"


def test_a_missing_output_is_a_failure(healthy, explained):
    found = judged(gives(healthy, "gpu", z=output(healthy, "gpu")), explained)
    assert found.gpu == Outcome("failed", math.inf, "y", "gave no output 'y'")
    assert found.ane.state == "right"


def test_another_shape_is_a_failure_in_words(healthy, explained):
    found = judged(gives(healthy, "ane", y=np.zeros((1, 3, 3, 2), np.float32)), explained)
    assert found.ane.state == "failed"
    assert found.ane.detail == (
        "output 'y': the values have shape 1x3x3x2, their reference has 1x3x2x3"
    )
    assert found.wrong == ("y",)


def test_ones_in_a_shape_do_not_matter(healthy, explained):
    found = judged(gives(healthy, "ane", y=output(healthy, "ane")[0]), explained)
    assert found.ane.state == "right"


@pytest.mark.parametrize("value", ["a cat", {"cat": 0.5}, 7])
def test_an_output_of_another_kind_is_a_failure(healthy, explained, value):
    """A record holds strings, dictionaries and integers as well."""
    found = judged(gives(healthy, "ane", y=value), explained)
    assert found.ane.state == "failed"
    assert "output 'y'" in found.ane.detail


def test_what_was_not_run_is_not_measured(healthy, explained):
    found = judged(without(healthy, "cpu", "ane"), explained)
    assert found.cpu == found.ane == Outcome()
    assert found.gpu.state == "right"
    assert found.wrong == ()


def test_without_trials_nothing_is_known():
    assert side("m", []) == Side("m", (), Outcome(), Outcome(), Outcome())


def test_of_several_outputs_the_wrong_ones_are_named(tmp_path):
    spec = network(
        {"x": (1, 2, 2, 3)}, ["a", "b", "c"], *[("unary", "x", n, {"type": 4}) for n in "abc"]
    )
    path = tmp_path / "several.mlmodel"
    path.write_bytes(spec.SerializeToString())
    found = simulate(path, "none")
    good = output_of(found, "a")
    envelopes = migrate.envelopes(migrate.to_torch(path), arrays(found.inputs["seed-0"]))
    given = gives(found, "ane", a=good + 1, b=good, c=good + 2)
    got = judged(given, envelopes)
    assert got.wrong == ("a", "c")
    assert (got.ane.state, got.ane.output) == ("wrong", "c")
    assert got.cpu.state == "right"


def output_of(found, name):
    return found.runs[0].outputs[name].array().copy()


def test_what_it_rests_on_is_counted(healthy, explained):
    again = repeated(healthy, output(healthy, "ane"), output(healthy, "ane"))
    found = side("m", [trial(healthy, explained), trial(again, explained)])
    assert (found.inputs, found.runs) == (2, {"cpu": 2, "gpu": 2, "ane": 4})


def test_records_are_named_once_and_all_their_trials_count(healthy, explained):
    bad = gives(healthy, "ane", y=output(healthy, "ane") + np.float32(1))
    trials = [trial(f, explained, n) for f, n in [(healthy, "a"), (bad, "b"), (healthy, "a")]]
    found = side("m", trials)
    assert found.records == ("a", "b")
    assert found.ane.state == "wrong"
    assert side("m", trials[::2]).ane.state == "right"


def test_what_overflows_is_named_once(healthy, explained, tmp_path):
    spec = spec_of(kernel=np.float32([[1e5, 1], [1, 1], [1, 1]]))
    envelopes = migrate.envelopes(migrate.to_torch(spec), arrays(healthy.inputs["seed-0"]))
    (envelope,) = envelopes.values()
    assert envelope.beyond_range
    trials = [trial(healthy, envelopes), trial(healthy, envelopes)]
    assert side("m", trials).overflows == tuple(dict.fromkeys(envelope.beyond_range))


# --- where it is planned to run


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (WHOLE, Placement(1, 1, ())),
        (PARTIAL, Placement(1, 2, ("relu",))),
        (plan(), Placement(0, 0, ())),
        (plan(("in", "cast", "cpu"), ("out", "ios16.cast", "ane")), Placement(0, 0, ())),
        (plan(("c", "ios16.conv", "")), Placement(0, 1, ("c",))),
        (plan(("c", "conv", "gpu"), ("d", "ios17.mul", "ane")), Placement(1, 2, ("c",))),
        (plan(("c", "const", ""), ("d", "ios17.mul", "ane")), Placement(1, 1, ())),
        (plan(("broadcast", "ios16.broadcast", "cpu")), Placement(0, 1, ("broadcast",))),
        (plan(("cast", "ios16.conv", "cpu")), Placement(0, 1, ("cast",))),
    ],
)
def test_casts_are_not_counted_and_all_else_is(healthy, explained, given, expected):
    """By the kind of an operation, with or without the opset before it, not by its name."""
    assert judged(planned(healthy, given), explained).placement == expected


def test_a_plan_of_another_unit_says_nothing(healthy, explained):
    found = planned(planned(healthy, WHOLE, "cpu"), WHOLE, "gpu")
    assert judged(found, explained).placement is None


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    "other", [PARTIAL, plan(), plan(*[(n, "ios16.mul", "ane") for n in "abc"], ("d", "mul", "cpu"))]
)
def test_of_several_plans_the_least_counts(healthy, explained, order, other):
    """Also where the one that is not whole plans more operations on the Neural Engine."""
    trials = [trial(planned(healthy, given), explained) for given in (WHOLE, other)]
    found = side("m", trials[::order]).placement
    assert found is not None
    assert not found.whole


# --- the same bits


def alike(found, explained, *others):
    return side("m", [trial(f, explained) for f in (found, *others)]).identical


def test_the_same_bits(healthy, explained):
    y = output(healthy, "cpu")
    same = gives(healthy, "ane", y=y)
    assert alike(same, explained)
    assert not alike(healthy, explained)
    y.ravel()[5] = np.nextafter(y.ravel()[5], np.float32(9))
    assert not alike(gives(healthy, "ane", y=y), explained)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (np.float32([0, 1]), np.float32([-0.0, 1]), False),
        (np.float32([np.nan, 1]), np.float32([np.nan, 1]), True),
        (np.float32([1, 2]), np.float16([1, 2]), False),
        (np.float32([1, 2]), np.float32([[1, 2]]), False),
        ("cat", "cat", True),
        ("cat", "dog", False),
        ({"cat": 0.5}, {"cat": 0.5}, True),
        ({"cat": 0.5}, {"cat": 0.25}, False),
    ],
)
def test_bits_of_every_kind_of_output(healthy, one, other, same):
    found = gives(gives(healthy, "cpu", y=one), "ane", y=other)
    assert alike(found, {}) is same


def test_other_outputs_are_other_bits(healthy):
    y = output(healthy, "cpu")
    assert not alike(gives(healthy, "ane", y=y, z=y), {})
    assert not alike(gives(healthy, "ane", z=y), {})


def test_one_input_that_differs_is_enough(healthy, explained):
    same = gives(healthy, "ane", y=output(healthy, "cpu"))
    assert alike(same, explained, same)
    assert not alike(same, explained, healthy)


def test_what_was_not_given_is_not_identical(healthy, explained):
    assert not alike(without(healthy, "ane"), explained)
    assert not alike(fails(fails(healthy, "ane"), "cpu"), explained)
    cpu = output(healthy, "cpu")
    assert not alike(changed(healthy, "gpu", lambda r: r), explained)
    assert not alike(gives(healthy, "gpu", y=cpu), explained)
