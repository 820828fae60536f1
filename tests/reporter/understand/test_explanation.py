"""Which single fault explains outputs: ties, none, several outputs, the budget, what is said."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from networks import network
from packages import affine, saved
from sample import Sample

import migrate
from migrate import AnereportError, Tried
from reporter.measure.identity import identify
from reporter.measure.record import Device, Failure, Record, Run
from reporter.measure.simulate import simulate, values
from reporter.understand import comparison, explanation
from reporter.understand.explanation import Candidate, Explanation, check_budget, sentences
from reporter.understand.reference import Referee

LOST = {"bias-only@conv3", "input-zeroed@conv3", "zeroed@concat", "input-zeroed@concat"}


@pytest.fixture(scope="module")
def sample():
    return Sample()


# --- one class, one unit, one sentence


@pytest.mark.parametrize("fault", sorted(LOST))
def test_faults_that_the_numbers_cannot_tell_apart_are_one_class(sample, fault):
    found = sample.explained(sample.devices[0].run(sample.inputs, fault))
    assert len(found.found) == 1
    assert set(found.found[0].faults) == LOST
    assert found.candidates[1].residual > 100
    assert found.healthy > 100
    first, *more = sentences(found)
    assert first.startswith(
        "one fault gives the outputs of the ANE exactly: bias-only@conv3 (the same as "
    )  # the sums of a depthwise layer of zeros are its biases to any accumulator
    assert first.endswith("that is to lose the data term: every position holds its channel's bias")
    assert more[0].startswith("the nearest other, ")
    assert more[-1] == "that a fault gives these numbers does not show that it is what happened"


def test_a_healthy_output_is_explained_by_no_fault(sample):
    found = sample.explained(sample.devices[1].run(sample.inputs))
    assert found.healthy < 8
    assert all(c.residual > found.healthy for c in found.candidates)


def test_candidates_are_in_the_order_of_their_residuals(sample):
    found = sample.explained(sample.devices[2].run(sample.inputs, "rolled@concat"))
    residuals = [c.residual for c in found.candidates]
    assert residuals == sorted(residuals)
    assert len(residuals) == explanation.SHOWN
    assert found.finished
    assert (found.tried, found.possible, found.left_out) == (44, 44, 0)


def test_the_limit_decides_what_explains(sample):
    output = sample.devices[0].run(sample.inputs, "scale-doubled@conv2")
    (residual,) = {c.residual for c in sample.explained(output).found}
    assert sample.explained(output, limit=residual * 1.01).found
    strict = sample.explained(output, limit=residual * 0.99)
    assert strict.found == ()
    assert strict.limit == residual * 0.99
    assert sample.explained(output, limit=1e9).possible == 0  # nothing is wrong by it


class Tries:
    """What was tried, in the place of the search: faults named a, b, ... and their outputs."""

    left_out = 2

    def __init__(self, healthy, *tries):
        self.healthy, self.tries = {"y": healthy}, tries

    def __call__(self, net, inputs, *, previous):
        return self

    def possible(self, wrong, right):
        assert (wrong, right) == (["y"], [])
        return [one.fault for one in self.tries]

    def search(self, faults):
        return iter(self.tries)


EXACT = 3 + np.random.RandomState(0).rand(1, 2, 4, 5)
BOUNDS = {"y": migrate.Envelope(EXACT, np.full(2, 2.0**-8), np.zeros(2, bool), ())}
FAULT = {name: migrate.Fault("zeroed", name) for name in "abcdefgh"}


def tried(name, off):
    """A fault whose output is off from half the reference by so many envelopes."""
    return Tried(FAULT[name], {"y": EXACT / 2 + off * 2.0**-8})


def classes(monkeypatch, *tries):
    monkeypatch.setattr(migrate, "Counterfactuals", Tries(EXACT, *tries))
    found = explanation.explain(None, {}, {"y": EXACT / 2}, BOUNDS)
    return found, [[fault.partition("@")[2] for fault in c.faults] for c in found.candidates]


def test_outputs_that_rounding_does_not_tell_apart_are_one_class(monkeypatch):
    """Also where their bits differ: the best comes first, and a little off joins it."""
    found, names = classes(monkeypatch, tried("a", 0.9), tried("b", 3), tried("c", 0.1),
                           tried("d", -2.5), tried("e", 900))  # fmt: skip
    assert names == [["c", "a"], ["d"], ["b"], ["e"]]
    assert [c.residual for c in found.found] == pytest.approx([0.1, 2.5, 3])
    assert found.left_out == 2


def test_what_explains_is_kept_however_much_it_is(monkeypatch):
    many = [tried(name, 0.01 * i) for i, name in enumerate("abcdefg")]
    assert classes(monkeypatch, *many, tried("h", 5))[1] == [list("abcdefg"), ["h"]]


def test_faults_that_give_the_same_outputs_join_their_class(monkeypatch):
    _, names = classes(
        monkeypatch, tried("a", 50), Tried(FAULT["b"], same_as=FAULT["a"]), tried("c", 1),
        Tried(FAULT["d"], silent=True), Tried(FAULT["e"], error="does not run"),
        Tried(FAULT["f"], same_as=FAULT["d"]), Tried(FAULT["g"], same_as=FAULT["c"]),
    )  # fmt: skip
    assert names == [["c", "g"], ["a", "b"]]


class Progress:
    def __init__(self):
        self.expected, self.steps = 0, []

    def expect(self, steps):
        self.expected += steps

    def step(self, text):
        self.steps.append(text)


def test_progress_is_told_every_try(sample):
    progress = Progress()
    found = sample.explained(sample.devices[0].run(sample.inputs, "rolled@concat"),
                             progress=progress)  # fmt: skip
    assert progress.expected == found.possible == len(progress.steps) == found.tried
    assert progress.steps[0].startswith("trying ")
    assert len(set(progress.steps)) == found.tried
    assert "trying rolled@concat" in progress.steps


@pytest.mark.parametrize("budget", [0, 1e-9])
def test_a_tiny_budget_tries_one(sample, budget):
    progress = Progress()
    found = sample.explained(
        sample.devices[0].run(sample.inputs, "rolled@concat"), budget=budget, progress=progress
    )
    assert (found.tried, len(progress.steps), progress.expected) == (1, 1, 44)
    assert not found.finished
    said = sentences(found)
    assert said[0].startswith("none of the 1 single faults tried gives")
    assert said[1] == "1 of 44 faults were tried within the budget: --budget gives more seconds"


def test_a_budget_ends_the_search_in_time(sample, monkeypatch):
    """With a clock that the tries move on by a second each."""
    now = [100.0]
    monkeypatch.setattr(explanation, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Slow(Progress):
        def step(self, text):
            super().step(text)
            now[0] += 1

    output = sample.devices[0].run(sample.inputs, "bias-only@conv3")
    found = sample.explained(output, budget=4.5, progress=Slow())
    assert (found.tried, found.finished) == (5, False)
    assert "bias-only@conv3" in found.found[0].faults  # the most plausible come first


@pytest.mark.parametrize("budget", [-1, math.nan, math.inf])
def test_what_is_no_budget(budget):
    with pytest.raises(AnereportError, match=f"a budget is a number of seconds, not {budget}"):
        check_budget(budget)


def test_budgets():
    check_budget(0)
    check_budget(0.5)


# --- sentences


def said(*candidates, tried=40, possible=40, left_out=0, **more):
    fields = {"input": "seed-0", "unit": "gpu", "healthy": 99.0, "limit": 8.0} | more
    return sentences(
        Explanation(candidates=candidates, tried=tried, possible=possible, left_out=left_out,
                    **fields)
    )  # fmt: skip


def test_none_of_these_is_an_answer():
    nearest = Candidate(("zeroed@a",), "Never write.", 123.4)
    assert said(nearest) == [
        "none of the 40 single faults tried gives the outputs of the GPU on input seed-0; the "
        "nearest, zeroed@a, is 123 times what rounding explains away"
    ]
    assert said() == [
        "none of the 40 single faults tried changes the outputs of the GPU on input seed-0"
    ]
    (none,) = said(tried=0, possible=0, input="")
    assert none == (
        "no single fault makes the outputs of the GPU: no layer lies before all wrong ones"
    )


def test_a_class_of_many_is_shortened():
    one = Candidate(tuple("abcdefgh"), "Lose it.", 0.5)
    assert said(one, left_out=3) == [
        "one fault gives the outputs of the GPU on input seed-0 to 0.5 times what rounding "
        "explains: a (the same as b, c, d, e and 3 more), that is to lose it",
        "faults of 3 layers inside of branches and loops are not tried",
        "that a fault gives these numbers does not show that it is what happened",
    ]


def test_a_residual_of_nothing_is_exact():
    (first, _) = said(Candidate(("a",), "X.", 0.0))
    assert first.startswith("one fault gives the outputs of the GPU on input seed-0 exactly: a, ")


def test_several_that_explain_and_the_nearest_other():
    found = said(*(Candidate((name,), "X.", r) for name, r in [("a", 1), ("b", 7.5), ("c", 9)]))
    assert found[0].endswith("rounding explains: a, that is to x; so do, less well, b (7.5)")
    assert found[1] == "the nearest other, c, is 9 times away"


# --- several outputs


TWO = {"x": (1, 6, 5, 5)}


def two_outputs():
    """A convolution that both outputs depend on, and a scale of each."""
    spec = network(
        TWO, ["left", "right"],
        ("convolution", "x", "both", {}),
        ("activation", "both", "left", {"linear": None}),
        ("activation", "both", "right", {"linear": None}),
    )  # fmt: skip
    p = spec.neuralNetwork.layers[0].convolution
    p.outputChannels, p.kernelChannels, p.nGroups, p.hasBias = 8, 6, 1, True
    p.kernelSize.extend([3, 3])
    p.valid.SetInParent()
    random = np.random.RandomState(0)
    p.weights.floatValue.extend(random.randn(8 * 6 * 9) / 7)
    p.bias.floatValue.extend(random.randn(8))
    for layer, factor in zip(spec.neuralNetwork.layers[1:], (2, -3), strict=True):
        layer.activation.linear.alpha = factor
        layer.activation.linear.beta = 0.1
    return spec


@pytest.fixture
def two(tmp_path):
    path = tmp_path / "two.mlmodel"
    path.write_bytes(two_outputs().SerializeToString())
    referee = Referee(path)
    x = {"x": np.random.RandomState(1).randn(1, 6, 5, 5).astype(np.float32)}
    reference = referee.compute(dict(x))
    return path, referee, x, reference


def explained_of(two, **outputs):
    _, referee, x, reference = two
    return explanation.explain(referee.net, dict(x), outputs, reference.envelopes)


def test_an_output_that_stays_right_leaves_the_layers_of_the_other(two):
    exact = two[3].outputs
    found = explained_of(two, left=2 * exact["left"], right=exact["right"])
    assert [c.faults for c in found.found] == [("scale-doubled@left",)]
    names = {fault.partition("@")[2] for c in found.candidates for fault in c.faults}
    assert names <= {"left", "both"}


def test_two_wrong_outputs_leave_what_both_depend_on(two):
    exact = {k: y.astype(np.float64) for k, y in two[3].outputs.items()}
    doubled = {"left": 2 * exact["left"] - 0.1, "right": 2 * exact["right"] - 0.1}
    found = explained_of(two, **doubled)
    assert [c.faults for c in found.found] == [("scale-doubled@both",)]
    everything = {fault.partition("@")[2] for c in found.candidates for fault in c.faults}
    assert everything == {"both"}


def test_outputs_that_two_faults_made_have_none(two):
    exact = two[3].outputs
    found = explained_of(two, left=0 * exact["left"], right=2 * exact["right"])
    assert found.found == ()
    assert found.candidates


def test_an_output_that_was_not_measured_takes_no_part(two):
    exact = two[3].outputs
    found = explained_of(two, left=2 * exact["left"])
    assert ("scale-doubled@left",) in [c.faults for c in found.found]


def test_outputs_that_share_no_layer_have_no_single_fault(tmp_path):
    spec = network(
        {"x": (1, 3, 4, 4)}, ["a", "b"],
        ("activation", "x", "a", {"linear": None}), ("activation", "x", "b", {"linear": None}),
    )  # fmt: skip
    for layer in spec.neuralNetwork.layers:
        layer.activation.linear.alpha = 2
    net = migrate.to_torch(spec)
    x = {"x": np.random.RandomState(1).randn(1, 3, 4, 4)}
    wrong = {"a": -x["x"], "b": -x["x"]}
    found = explanation.explain(net, x, wrong, migrate.envelopes(net, x))
    assert (found.candidates, found.possible, found.finished) == ((), 0, True)
    assert sentences(found) == [
        "no single fault makes the outputs of the ANE: no layer lies before all wrong ones"
    ]


def test_numbers_that_are_not_finite_are_explained_too(two):
    exact = {k: y.copy() for k, y in two[3].outputs.items()}
    found = explained_of(two, **{k: y * np.nan for k, y in exact.items()})
    assert found.found == ()
    assert found.healthy == math.inf
    assert sentences(found)[0].startswith("none of the ")


# --- from a record


def run(unit, output, name="i", repeat=0):
    return Run(unit=unit, input=name, repeat=repeat, outputs=values(output))


def record_of(path, inputs, *runs, **more):
    given = {name: values(arrays) for name, arrays in inputs.items()}
    return Record(evidence="measured", model=identify(path), device=Device(), inputs=given,
                  runs=runs, **more)  # fmt: skip


def of_record(record, referee, **options):
    compared = comparison.from_record(record, referee, "r", 0.01)
    return explanation.of_record(record, referee, compared, **options)


def test_the_fault_is_found_from_the_numbers_alone(two):
    """Nothing else in the record names it: the same is found when every mention is removed."""
    path, referee, x, _ = two
    record = simulate(path, "scale-doubled@left", x)
    bare = Record(
        evidence="measured", model=record.model.model_copy(update={"name": "x"}), device=Device(),
        inputs=record.inputs, runs=tuple(r.model_copy(update={"times": {}}) for r in record.runs),
    )  # fmt: skip
    assert "doubled" in record.model_dump_json()
    assert "doubled" not in bare.model_dump_json()
    lying = record.model_copy(update={"simulation": "zeroed@both"})
    found = [of_record(r, referee) for r in (record, bare, lying)]
    assert [one.found[0].faults for one in found[0]] == [("scale-doubled@left",)]
    assert found[0] == found[1] == found[2]


def test_the_previous_inputs_may_have_been_left_over(sample):
    """What is stale is the input before in the record, whatever the simulator calls it."""
    device = sample.devices[0]
    inputs = {"first": sample.before, "second": sample.inputs}
    stale = device.run(sample.inputs, "stale@conv3", sample.before)
    runs = [run("ane", {"output": device.run(sample.before)}, "first"),
            run("ane", {"output": stale}, "second")]  # fmt: skip
    (found,) = of_record(record_of(sample.path, inputs, *runs), sample.referee)
    assert found.input == "second"
    assert "stale@conv3" in found.found[0].faults
    (alone,) = of_record(record_of(sample.path, {"second": sample.inputs}, runs[1]), sample.referee)
    assert alone.found == ()


def test_the_unit_that_is_furthest_off_is_explained(two):
    path, referee, x, reference = two
    wrong = {k: 2 * y for k, y in reference.outputs.items()}
    cpu = {**reference.outputs, "left": 2 * reference.outputs["left"]}
    record = record_of(path, {"i": x}, run("ane", reference.outputs), run("cpu", cpu))
    (found,) = of_record(record, referee)
    assert (found.unit, found.input) == ("cpu", "i")
    assert found.found[0].faults == ("scale-doubled@left",)
    assert "of the CPU on input i" in sentences(found)[0]
    right = record_of(path, {"i": x}, run("ane", reference.outputs))
    assert of_record(right, referee) == []
    both = record_of(path, {"i": x, "j": x}, run("gpu", wrong), run("all", wrong, "j"))
    assert [(e.input, e.unit) for e in of_record(both, referee)] == [("i", "gpu"), ("j", "all")]


def test_the_limit_reaches_the_search(two):
    path, referee, x, reference = two
    wrong = {**reference.outputs, "left": 2 * reference.outputs["left"]}
    record = record_of(path, {"i": x}, run("ane", wrong))
    (found,) = of_record(record, referee, limit=3)
    assert found.limit == 3


def test_an_output_of_another_shape_takes_no_part(two):
    path, referee, x, reference = two
    wrong = {"left": 2 * reference.outputs["left"], "right": reference.outputs["right"][..., :1]}
    (found,) = of_record(record_of(path, {"i": x}, run("ane", wrong)), referee)
    assert "scale-doubled@left" in found.found[0].faults


@pytest.mark.parametrize("first", ["failed", "missing", "of another shape"])
def test_the_call_that_was_assessed_is_explained(two, first):
    """The first that gave numbers, also where call 0 gave none."""
    path, referee, x, reference = two
    wrong = {**reference.outputs, "left": 2 * reference.outputs["left"]}
    runs = [run("ane", wrong, repeat=1)]
    if first == "failed":
        failure = Failure(stage="load", message="no space")
        runs.append(Run(unit="ane", input="i", failure=failure))
    if first == "of another shape":
        runs.append(run("cpu", {"left": np.zeros(3)}))
    (found,) = of_record(record_of(path, {"i": x}, *runs), referee)
    assert found.found[0].faults == ("scale-doubled@left",)


def test_a_unit_that_is_wrong_in_a_later_run_alone_is_not_explained_by_its_first(two):
    path, referee, x, reference = two
    wrong = {k: 2 * y for k, y in reference.outputs.items()}
    runs = [run("ane", reference.outputs), run("ane", wrong, repeat=1)]
    assert of_record(record_of(path, {"i": x}, *runs), referee) == []
    (found,) = of_record(record_of(path, {"i": x}, *runs[1:]), referee)
    assert found.unit == "ane"


def test_a_first_run_of_another_shape_gives_way_to_the_next(two):
    path, referee, x, reference = two
    wrong = {**reference.outputs, "left": 2 * reference.outputs["left"]}
    odd = {**wrong, "left": wrong["left"][..., :1]}
    record = record_of(path, {"i": x}, run("ane", odd), run("ane", wrong, repeat=1))
    (found,) = of_record(record, referee)
    assert found.found[0].faults == ("scale-doubled@left",)


def test_no_budget_tries_nothing(two):
    path, referee, x, reference = two
    record = record_of(path, {"i": x}, run("ane", {k: 2 * y for k, y in reference.outputs.items()}))
    progress = Progress()
    assert of_record(record, referee, budget=0, progress=progress) == []
    assert (progress.expected, progress.steps) == (0, [])


def test_the_budget_is_for_all_inputs_together(two, monkeypatch):
    path, referee, x, reference = two
    wrong = {k: 2 * y for k, y in reference.outputs.items()}
    inputs = dict.fromkeys("abc", x)
    record = record_of(path, inputs, *(run("ane", wrong, name) for name in inputs))
    now = [0.0]
    monkeypatch.setattr(explanation, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Slow(Progress):
        def step(self, text):
            now[0] += 1

    full = of_record(record, referee, budget=1000, progress=Slow())
    assert [e.input for e in full] == list("abc")
    each = full[0].tried
    assert each > 4
    some = of_record(record, referee, budget=each + 2, progress=Slow())
    assert [(e.input, e.finished) for e in some] == [("a", True), ("b", False), ("c", False)]
    assert some[2].tried == 1  # so that none is passed over in silence


def test_what_is_no_network_is_not_explained(two, tmp_path):
    path, _, x, reference = two
    wrong = {k: 2 * y for k, y in reference.outputs.items()}
    record = record_of(path, {"i": x}, run("ane", wrong))
    assert of_record(record, None) == []
    program = saved(affine("fp16"), tmp_path / "a.mlpackage")
    given = {"i": {"x": np.ones((2, 3), np.float32)}}
    off = record_of(program, given, run("ane", {"y": np.full((2, 3), 99, np.float32)}))
    judge = Referee(program)
    assert comparison.from_record(off, judge, "r", 0.01)[0].diagnosis.worst.word == "diverges"
    assert of_record(off, judge) == []


def test_without_inputs_there_is_nothing_to_explain(two):
    path, referee, _, reference = two
    record = record_of(path, {"i": {}}, run("ane", reference.outputs))
    assert of_record(record, referee) == []
    assert of_record(record_of(path, {}), referee) == []
