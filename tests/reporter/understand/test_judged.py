"""A variant's verdict from its records: repeats, conflicts, and what is set aside."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from networks import network
from rule_devices import always, every_third, joined_spec, never
from variant_folders import by_hand, giving, planned, said, stopped, with_runs, words, written

import migrate
from reporter.measure.record import Plan, PlannedOperation, Tensor
from reporter.understand.judged import judge
from reporter.understand.reading_words import sentences
from reporter.understand.variant_set import members, opened


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return written(tmp_path_factory.mktemp("small"), joined_spec(3, 2))


# --- repeats, records, inputs


def test_a_variant_fails_only_if_every_repeat_fails(small):
    good, bad = small.of("turned", repeats=4), giving(9)
    model = small.records(always, ["m.mlmodel"])
    for wrong, word in ((0, "right"), (1, "flaky"), (3, "flaky"), (4, "fails")):
        count = iter(range(4))
        mixed = with_runs(
            good, "ane", lambda r, i, c=count, w=wrong: bad(r, i) if next(c) < w else r
        )
        found = small.one([*model, ("turned.json", mixed)])
        assert words(found)["turned"] == word, wrong
        if word == "flaky":
            assert f"turned: flaky: wrong in {wrong} of 4 repeats ({wrong * 25}%)." in said(found)


def test_a_crash_in_one_of_several_repeats_counts_as_a_wrong_one(small):
    good = small.of("turned", repeats=4)
    last = max(i for i, run in enumerate(good.runs) if run.unit == "ane")
    dies = with_runs(good, "ane", lambda run, i: stopped(run) if i == last else run)
    found = small.one([*small.records(always, ["m.mlmodel"]), ("turned.json", dies)])
    assert words(found)["turned"] == "flaky"
    assert not found.vanishing


@pytest.mark.parametrize("wrong", [True, False])
def test_a_cold_start_is_no_repeat_and_a_doubt_if_it_is_wrong(small, wrong):
    found = small.of("turned", repeats=2)
    (first, *_) = [run for run in found.runs if run.unit == "ane"]
    cold = first.model_copy(update={"start": "cold"})
    cold = giving(9)(cold, 0) if wrong else cold
    warm = found.model_copy(update={"runs": (*found.runs, cold)})
    read = small.one([*small.records(always, ["m.mlmodel"]), ("turned.json", warm)])
    (turned,) = [v for v in read.variants if v.member.name == "turned"]
    assert (turned.word, len(turned.attempts)) == ("right", 2)
    assert [d.startswith("it is wrong at its cold start (") for d in turned.doubts] == [
        True
    ] * wrong
    assert ("in each of 2 repeats; but it is wrong at its cold start" in said(read)) == wrong
    alone = found.model_copy(
        update={"runs": (*(r for r in found.runs if r.unit != "ane"), cold)}
    )  # fmt: skip
    assert words(small.one([("turned.json", alone)]))["turned"] == "not measured"


def test_an_input_that_cannot_tell_is_left_out_if_another_can(small, monkeypatch):
    records = [("0.json", small.of("turned")), ("1.json", small.of("turned", always, seed=1))]
    first = []

    def unfit(envelope):  # of the second input
        first.append(envelope) if not first else None
        return not np.array_equal(envelope.reference, first[0].reference)

    monkeypatch.setattr(migrate.Envelope, "unfit", property(unfit))
    assert words(small.one(records))["turned"] == "right"
    monkeypatch.setattr(migrate.Envelope, "unfit", property(lambda envelope: True))
    assert words(small.one(records))["turned"] == "set aside"


def test_records_in_conflict_are_said_to_be(small):
    records = [("one.json", small.of("turned")), ("two.json", small.of("turned", always))]
    found = small.one([*small.records(always, ["m.mlmodel"]), *records])
    assert words(found)["turned"] == "in conflict"
    assert (
        "turned: its records are in conflict, of the same input: wrong in two.json, right in "
        "one.json."
    ) in sentences(found)
    assert not found.vanishing


def test_a_variant_that_is_wrong_for_some_inputs_is_neither_right_nor_failing(small):
    records = [("0.json", small.of("turned")), ("1.json", small.of("turned", always, seed=1))]
    found = small.one(records)
    assert words(found)["turned"] == "some inputs"
    assert "turned: wrong for 1 of 2 inputs, right for others." in sentences(found)


def test_the_limit_is_how_far_off_is_right(small):
    records = small.records(always)
    assert set(words(small.one(records, limit=1e9)).values()) == {"right", "set aside"}
    assert "fails" in words(small.one(records, limit=4.0)).values()


@pytest.mark.parametrize("limit", [0, -1, float("inf"), float("nan")])
def test_a_limit_is_a_positive_number(small, limit):
    with pytest.raises(migrate.AnereportError, match="limit is a positive number"):
        small.read([], limit=limit)


def test_what_does_not_run_is_another_failure_than_wrong_numbers(small):
    broken = with_runs(small.of("turned"), "ane", stopped)
    found = small.one([*small.records(always, ["m.mlmodel", "version-5"]), ("t.json", broken)])
    assert words(found)["turned"] == "does not run"
    assert (
        "turned: does not run on the Neural Engine in its one repeat (predict: it was killed)"
        in (said(found))
    )
    assert [v.member.name for v in found.failing] == ["version-5"]


def test_where_the_model_does_not_run_that_is_what_variants_fail_with(small):
    names = ["m.mlmodel", "version-5", "turned", "declared", "without-deep"]
    names = [n for n in names if n in small.made]
    found = {n: small.of(n, always if n == "without-deep" else never) for n in names}
    for name in ("m.mlmodel", "version-5"):
        found[name] = with_runs(found[name], "ane", stopped)
    reading = small.one([(f"{n}.json", r) for n, r in found.items()])
    assert [v.member.name for v in reading.failing] == ["version-5"]
    assert [v.member.name for v in reading.vanishing] == ["turned"]
    assert "m.mlmodel does not run on the Neural Engine" in sentences(reading)[0]
    assert "without-deep: is wrong on the Neural Engine" in said(reading)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_values_that_are_no_numbers_or_far_off_fail(small, value):
    found = small.one([("t.json", with_runs(small.of("turned"), "ane", giving(value)))])
    assert words(found)["turned"] == "fails"


def test_an_output_of_another_shape_or_none_is_wrong(small):
    odd = {"y": Tensor.of(np.zeros((0,), np.float32))}
    for outputs in (odd, {}, {"y": "a word"}):
        bad = with_runs(
            small.of("turned"), "ane", lambda r, i, o=outputs: r.model_copy(update={"outputs": o})
        )
        assert words(small.one([("t.json", bad)]))["turned"] == "fails"


# --- set aside


def test_a_variant_that_is_wrong_on_the_cpu_too_is_set_aside(small):
    bad = with_runs(with_runs(small.of("turned"), "ane", giving(9)), "cpu", giving(9))
    found = small.one([*small.records(always, ["m.mlmodel"]), ("t.json", bad)])
    assert words(found)["turned"] == "set aside"
    assert "Set aside: turned: its CPU output is wrong too" in said(found)


def test_a_variant_that_fails_on_the_cpu_too_is_set_aside(small):
    found = small.one([("t.json", with_runs(small.of("turned", always), "cpu", stopped))])
    assert "turned: it fails on the CPU too (predict: it was killed)." in said(found)


def test_a_variant_without_the_cpu_is_set_aside(small):
    found = small.one([("t.json", small.of("turned", always, units=("ane",)))])
    assert words(found)["turned"] == "set aside"
    assert "it is not measured on the CPU" in said(found)


def test_the_cpu_may_be_in_another_record(small):
    halves = [(f"{u}.json", small.of("turned", always, units=(u,))) for u in ("cpu", "ane")]
    assert words(small.one(halves))["turned"] == "fails"


def test_a_constant_variant_is_refused_as_trivial(tmp_path):
    zero = {"linear": None}
    dead = network({"x": (1, 2, 3, 1)}, ["y"], ("activation", "x", "y", zero))
    own = by_hand(tmp_path, live=joined_spec(3, 2), dead=dead)
    device = own.records(always, ["live.mlmodel"])
    bad = with_runs(own.of("dead"), "ane", giving(9))
    found = own.one([*device, ("dead.json", bad)])
    assert words(found)["dead"] == "set aside"
    assert "dead: its output is constant on the CPU: it is refused as trivial." in said(found)
    assert found.smallest is found.model


def test_a_single_number_is_not_refused_as_constant(tmp_path):
    last = network({"x": (1, 1, 1, 1)}, ["y"], ("activation", "x", "y", {"leakyReLU": None}))
    last.neuralNetwork.layers[0].activation.leakyReLU.alpha = 0.3
    own = by_hand(tmp_path, live=joined_spec(3, 2), single=last)
    found = own.one([("s.json", with_runs(own.of("single"), "ane", giving(99)))])
    assert words(found)["single"] == "fails"


def chain(*fields):
    """A network of linear activations, one behind the other."""
    names = ["x", *(f"b{i}" for i in range(1, len(fields))), "y"]
    rows = [("activation", a, b, {"linear": None}) for a, b in itertools.pairwise(names)]
    spec = network({"x": (1, 2, 3, 1)}, ["y"], *rows)
    for layer, (alpha, beta) in zip(spec.neuralNetwork.layers, fields, strict=True):
        layer.activation.linear.alpha, layer.activation.linear.beta = alpha, beta
    return spec


def test_a_variant_that_overflows_float16_by_itself_is_set_aside(tmp_path):
    over = chain((1e6, 0), (1e-3, 0))
    own = by_hand(tmp_path, live=joined_spec(3, 2), over=over)
    found = own.one([("o.json", own.of("over"))])
    assert words(found)["over"] == "set aside"
    assert "over: it overflows float16 by itself (b1), which is no fault of the" in said(found)


def test_inputs_on_which_rounding_is_all_there_is_cannot_tell(tmp_path):
    """Steps of float16 at 30,000 are 16; the inputs are within 2."""
    own = by_hand(tmp_path, live=joined_spec(3, 2), lost=chain((1, 30000), (1, -30000)))
    found = own.one([("l.json", own.of("lost"))])
    assert words(found)["lost"] == "set aside"
    assert "lost: rounding alone makes errors as large as its output" in said(found)


def test_a_variant_without_outputs_of_numbers_is_set_aside(small):
    one = opened(small.folder, next(m for m in members(small.manifest) if m.name == "turned"))
    one.envelopes = lambda given: {}
    found = judge(one, [("t.json", small.of("turned", always))], 4.0)
    assert (found.word, found.reason) == ("set aside", "none of its outputs is made of numbers")


def test_programs_are_apart_from_rules_and_the_smallest(small):
    program = small.records(always, ["swapped-concat-mlprogram"])
    networks = small.records(always, ["m.mlmodel"]) + small.records(never, ["turned"])
    found = small.one([*networks, *program])
    assert words(found)["swapped-concat-mlprogram"] == "fails"
    assert [r.traits[0] for r in found.rules] == [
        "the last axis of an input is 1", "the last axis of an output is 1",
    ]  # fmt: skip
    assert small.one(program).smallest is None


def test_where_the_model_is_flaky_there_is_no_rule(small):
    records = small.records(every_third(), ["m.mlmodel"], repeats=3)
    records += small.records(always, ["version-5"]) + small.records(never, ["turned"])
    found = small.one(records)
    assert words(found)["version-5"] == "fails"
    assert found.rules == ()
    assert "No trait" not in said(found)


def test_a_tap_with_which_the_output_is_right_is_no_evidence(small):
    bad = with_runs(small.of("tap-concat"), "ane", giving(9, "both"))
    found = small.one([*small.records(always, ["m.mlmodel"]), ("t.json", bad)])
    assert words(found)["tap-concat"] == "set aside"
    assert "the final output is right, so that the blob is no evidence" in said(found)
    assert "tap-concat" not in {v.member.name for v in found.vanishing}


def test_a_tap_shows_a_blob_that_is_wrong_already(small):
    both = with_runs(small.of("tap-concat", always), "ane", giving(9, "both"))
    found = small.one([("t.json", with_runs(both, "ane", giving(9, "y")))])
    assert "With the final output still wrong, wrong already: 'both' (tap-concat)." in said(found)


def with_cpus_bits(found):
    return with_runs(
        found, "ane", lambda r, i: r.model_copy(update={"outputs": found.runs[0].outputs})
    )


def test_a_right_variant_that_was_not_on_the_neural_engine_is_set_aside(small):
    """No edit made the divergence vanish: the CPU's bits, or a plan, or a machine tell so."""
    wrong = small.records(always, ["m.mlmodel"])
    right = small.of("turned")
    virtual = right.device.model_copy(update={"system": "macOS", "virtual": True})
    elsewhere = "tells nothing of the Neural Engine"
    for found, why in (
        (with_cpus_bits(right), "same bits as the CPU"),
        (planned(right, "cpu"), "nothing of it is planned on the Neural Engine"),
        (right.model_copy(update={"device": virtual}), "A virtual machine"),
    ):
        place = [(n, r.model_copy(update={"device": found.device})) for n, r in wrong]
        read = small.one([*place, ("t.json", found)])
        assert words(read)["turned"] == "set aside"
        assert read.vanishing == read.rules == ()
        assert f"turned: it is right, which {elsewhere}: " in said(read)
        assert why in said(read)
    assert words(small.one([*wrong, ("t.json", right)]))["turned"] == "right"


def test_a_variant_that_is_planned_in_part_elsewhere_is_no_proof(small):
    """If the model is too it is like with like."""
    partly = Plan(operations=tuple(
        PlannedOperation(name=n, kind="convolution", planned=u)
        for n, u in (("deep", "ane"), ("conv_a", "cpu"))
    ))  # fmt: skip

    def in_part(found):
        return with_runs(found, "ane", lambda r, i: r.model_copy(update={"plan": partly}))

    ((name, model),) = small.records(always, ["m.mlmodel"])
    found = small.one([(name, model), ("t.json", in_part(small.of("turned")))])
    assert [v.member.name for v in found.doubted] == ["turned"]
    assert found.vanishing == found.rules == ()
    assert (
        "'turned' is right, which is no proof (in its one repeat; but not all of it is planned on "
        "the Neural Engine): "
    ) in said(found)
    alike = small.one([(name, in_part(model)), ("t.json", in_part(small.of("turned")))])
    assert [v.member.name for v in alike.vanishing] == ["turned"]
    assert alike.rules
