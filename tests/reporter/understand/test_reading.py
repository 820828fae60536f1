"""The reading of records: rules, ways around, and words, on devices whose rule is known."""

from __future__ import annotations

import shutil

import pytest
from rule_devices import (
    always,
    concat_into_depthwise,
    every_third,
    joined_spec,
    last_axis_of_one,
    never,
)  # fmt: skip
from variant_folders import by_hand, planned, said, words, written

from reporter.measure.record import Device
from reporter.understand.reading import chance, readings
from reporter.understand.reading_words import CAVEAT, brief, sentences, ways_first

JOINT = "a concatenation is read by a depthwise convolution"
NO_CAUSE = "do not identify the responsible stage"


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """640 and 640 channels, concatenated, into a depthwise convolution; the last axis is 1."""
    return written(tmp_path_factory.mktemp("wide"), joined_spec())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return written(tmp_path_factory.mktemp("small"), joined_spec(3, 2))


# --- devices with a rule


@pytest.fixture(scope="module")
def of_joints(wide):
    return wide.one(wide.records(concat_into_depthwise(1024)))


def test_the_rule_of_a_concatenation_into_a_depthwise_convolution_is_named(of_joints):
    """Right ones have one too, of 640 + 2 channels where a convolution is left away."""
    (rule,) = of_joints.rules
    assert (rule.traits, rule.least, rule.most) == ((JOINT,), 1280, 642)
    assert (
        f"As far as the variants tell, it fails wherever {JOINT} with 1,280 channels or more; "
        "right with 642 or fewer."
    ) in sentences(of_joints)


def test_the_edits_that_make_it_vanish_are_named_with_what_they_do(of_joints):
    assert {v.member.name for v in of_joints.vanishing} == {
        "without-conv_a", "without-conv_b", "without-concat-keeping-a_out",
        "without-concat-keeping-b_out", "without-deep", "copied-behind-concat", "split-deep",
        "split-deep-mlprogram",
    }  # fmt: skip
    assert (
        "The divergence vanishes with 'copied-behind-concat' (in its one repeat): an identity "
        "stands behind each output of layer 'concat' (concatND)."
    ) in sentences(of_joints)
    assert (
        "The divergence vanishes with 'split-deep-mlprogram' (in its one repeat): as an ML Program "
        "in fp16, two convolutions in the place of 'deep' read the inputs of 'concat' in two "
        "halves, and what they give is concatenated."
    ) in sentences(of_joints)
    assert "It also fails for copied-before-conv_a," in said(of_joints)


def test_in_brief_the_ways_around_come_first(of_joints):
    """Three edits are the same network, of the eight with which the divergence vanishes."""
    first = [v.member.name for v in ways_first(of_joints)]
    assert set(first[:3]) == {"copied-behind-concat", "split-deep", "split-deep-mlprogram"}
    assert set(first) == {v.member.name for v in of_joints.vanishing}
    model, vanishes, stays, rule, smallest = brief(of_joints)
    assert model == sentences(of_joints)[0]
    assert vanishes == f"The divergence vanishes with {', '.join(first)}."
    assert stays.startswith("It stays with copied-before-conv_a, ")
    assert JOINT in rule
    assert smallest in sentences(of_joints)


def test_in_brief_a_model_that_is_right_is_one_sentence(wide):
    (sentence,) = brief(wide.one(wide.records(never, ["m.mlmodel"])))
    assert "m.mlmodel itself is right" in sentence


UNPROVEN = (
    "The same network, and ways around it if they ran on the Neural Engine, which is not proven: "
)
PROVEN = "Ways around it on this device, as they are the same network: "


def test_edits_of_the_same_network_are_ways_around_if_they_ran_there(wide):
    upto = "equal up to height and width of the features"
    found = said(wide.one(wide.records(last_axis_of_one)))
    assert f"{UNPROVEN}turned ({upto}), turned-mlprogram ({upto})." in found
    assert PROVEN not in found
    records = wide.records(last_axis_of_one)
    found = said(wide.one([(n, planned(r)) for n, r in records]))
    assert f"{PROVEN}turned ({upto}), turned-mlprogram ({upto})." in found
    assert UNPROVEN not in found
    found = said(wide.one([(n, planned(r, "cpu")) for n, r in records]))
    assert UNPROVEN not in found
    assert PROVEN not in found
    assert "nothing of it is planned on the Neural Engine" in found


def test_a_simulated_way_around_is_not_proven(small):
    options = {"evidence": "simulated", "device": Device(label="anereport simulator")}
    records = small.records(always, ["m.mlmodel"], **options)
    records.append(("t.json", planned(small.of("turned", **options))))
    found = said(small.one(records))
    assert f"{UNPROVEN}turned" in found
    assert PROVEN not in found


def test_devices_of_two_kinds_with_one_label_have_a_reading_each(small):
    other = Device(label="my phone", build="20C65", identifier="iPhone15,2", system="iOS")
    records = small.records(always, ["m.mlmodel"])
    found = small.read([*records, ("t.json", small.of("turned", device=other))])
    assert [str(one.place) for one in found] == [
        "my phone (20C65)", "my phone, iPhone15,2 (iOS, 20C65)",
    ]  # fmt: skip
    assert not any(one.vanishing for one in found)


def test_a_fault_that_a_variant_cannot_have_is_not_said_to_vanish_with_it(small):
    """A simulator leaves such a variant without a fault."""
    options = {"evidence": "simulated", "device": Device(label="anereport simulator")}

    def with_fault(name, fault, wrong):
        found = small.of(name, wrong, **options)
        return (f"{name}-{fault}.json", found.model_copy(update={"simulation": fault}))

    model = with_fault("m.mlmodel", "zeroed@deep", always)
    healthy = with_fault("turned", "none", never)
    found = small.one([model, healthy])
    assert str(found.place) == "anereport simulator, zeroed@deep"
    assert found.vanishing == ()
    assert words(found)["turned"] == "not measured"
    other = with_fault("m.mlmodel", "zeroed@conv_a", always)
    assert len(small.read([model, healthy, other])) == 2
    (alone,) = small.read([with_fault("m.mlmodel", "none", never), healthy])
    assert words(alone)["turned"] == "right"


def test_edits_that_are_another_model_are_no_way_around(of_joints):
    (line,) = [s for s in sentences(of_joints) if s.startswith(UNPROVEN)]
    assert "split-deep (equal)" in line
    assert "without" not in line


def test_the_model_comes_first_and_no_cause_is_claimed(of_joints):
    found = sentences(of_joints)
    assert found[0].startswith(
        "MEASURED on my phone (20C65): m.mlmodel is wrong on the Neural Engine in its one repeat"
    )
    assert CAVEAT in found
    assert NO_CAUSE in CAVEAT


def test_right_cuts_are_no_evidence_and_taps_are_where_the_output_is_wrong(of_joints):
    kinds = {v.member.name: v for v in of_joints.variants}
    assert kinds["cut-concat"].word == "set aside"
    assert "no evidence" in kinds["cut-concat"].reason
    assert kinds["tap-concat"].word == "fails"
    assert kinds["tap-concat"].blobs == {"both": "right"}
    assert "With the final output still wrong, right: 'a_out' (tap-conv_a)" in said(of_joints)


def test_the_rule_of_a_short_last_axis_is_named(wide):
    found = wide.one(wide.records(last_axis_of_one))
    assert {v.member.name for v in found.vanishing} == {"turned", "turned-mlprogram"}
    assert [rule.traits for rule in found.rules] == [
        ("the last axis of an input is 1",), ("the last axis of an output is 1",),
    ]  # fmt: skip
    assert "They do not tell that from these: it fails wherever the last axis of an output" in (
        said(found)
    )
    assert found.smallest.member.name == "cut-conv_a"
    assert "The smallest that still fails is 'cut-conv_a' (1 layer, 1,920 weights)" in said(found)
    layers = "conv_a, conv_b, concat, deep"
    assert f"It stays if one of these layers alone is left away: {layers}." in said(found)
    assert "Wrong already where the network ends earlier: cut-conv_a" in said(found)


def test_a_flaky_device_is_called_flaky_with_its_rate(small):
    found = small.one(small.records(every_third(), repeats=3))
    assert set(words(found).values()) == {"flaky"}
    assert found.model.word == "flaky"
    assert (found.model.failed, len(found.model.attempts)) == (1, 3)
    assert found.rules == ()
    assert found.smallest is None
    assert "m.mlmodel itself: flaky: wrong in 1 of 3 repeats (33%)." in said(found)
    assert CAVEAT not in sentences(found)


def test_right_repeats_of_a_flaky_models_variant_may_be_chance(small):
    model = small.records(every_third(), ["m.mlmodel"], repeats=3)
    few = small.one([*model, *small.records(never, ["turned"], repeats=3)])
    assert (few.vanishing, [v.member.name for v in few.undecided]) == ((), ["turned"])
    assert chance(few.model, few.undecided[0]) == pytest.approx((2 / 3) ** 3)
    assert "by chance in 30% of cases" in said(few)
    many = small.one([*model, *small.records(never, ["turned"], repeats=8)])
    assert [v.member.name for v in many.vanishing] == ["turned"]
    assert "vanishes with 'turned' (in each of 8 repeats)" in said(many)


def test_a_device_that_is_right_has_no_divergence(small):
    found = small.one(small.records(never))
    assert (found.diverges, found.vanishing, found.rules) == (False, (), ())
    assert "m.mlmodel itself is right, in its one repeat: there is no divergence" in said(found)
    assert CAVEAT not in sentences(found)


def test_a_device_that_is_always_wrong_leaves_nothing_that_vanishes(small):
    found = small.one(small.records(always))
    assert "No edit that was measured makes the divergence vanish." in sentences(found)
    assert found.rules == ()
    assert found.smallest.size < found.model.size


def test_channels_of_right_and_failing_variants_bound_the_rule(tmp_path):
    """1,025 fail and 1,024 are right, as the device has it."""
    counts = (520, 513, 512, 20)
    own = by_hand(tmp_path, **{f"c{512 + c}": joined_spec(512, c) for c in counts})
    found = own.one(
        own.records(concat_into_depthwise(1024), ["c1032.mlmodel", *list(own.made)[1:]])
    )
    (rule, *_) = [r for r in found.rules if r.traits == (JOINT,)]
    assert (rule.least, rule.most) == (1025, 1024)
    assert found.smallest.member.name == "c1025"
    assert "The smallest that still fails is 'c1025'" in said(found)


# --- devices and records apart


def test_each_device_and_build_has_a_reading_of_its_own(small):
    other = Device(label="my phone", build="21A1")
    names = ["m.mlmodel", "turned"]
    records = small.records(always, names) + small.records(never, names, device=other)
    one, two = small.read(records)
    assert [str(r.place) for r in (one, two)] == ["my phone (20C65)", "my phone (21A1)"]
    assert (one.model.word, two.model.word) == ("fails", "right")


def test_measured_and_simulated_are_not_mixed(small):
    device = Device(label="anereport simulator")
    records = small.records(always, ["m.mlmodel"])
    records += small.records(never, ["turned"], evidence="simulated", device=device)
    one, two = small.read(records)
    assert words(one)["turned"] == "not measured"
    assert (two.place.evidence, two.model.word) == ("simulated", "not measured")
    assert sentences(two)[0].startswith("SIMULATED on anereport simulator: m.mlmodel itself is not")
    assert one.vanishing == two.vanishing == ()
    assert "Right: turned." in sentences(two)


def test_a_record_that_names_no_device_is_left_aside(small):
    records = [("t.json", small.of("turned", device=Device(label="my phone")))]
    found = small.one(records)
    assert (found.place, found.unplaced) == (None, ("t.json",))
    assert "Records that name no device with its system build, left aside: t.json." in said(found)


def test_a_record_of_another_model_is_left_aside(small, wide):
    found = small.one([("w.json", wide.of("turned"))])
    assert found.strange == ("w.json",)
    assert "Records of none of these models, left aside: w.json." in sentences(found)


def test_records_match_by_identity_and_not_by_name(small):
    found = small.of("turned", always)
    renamed = found.model.model_copy(update={"name": "other.mlmodel", "sha256": "0"})
    record = found.model_copy(update={"model": renamed})
    assert words(small.one([("t.json", record)]))["turned"] == "fails"


# --- what is not there


def test_records_of_some_variants_only_leave_the_others_not_measured(small):
    found = small.one(small.records(always, ["m.mlmodel", "turned"]))
    assert words(found)["split-deep"] == "not measured"
    assert "To measure: anereport run 'my variants' --out records" in said(found)


def test_a_single_variant_that_is_missing_has_a_command_of_its_own(small):
    names = [name for name in small.made if name != "turned"]
    found = small.one(small.records(always, names), called="v")
    assert sentences(found)[-1] == (
        "Not measured: turned. To measure: anereport run v/m-turned.mlmodel --out "
        "m-turned.mlmodel.json"
    )


def test_without_records_everything_is_not_measured(small):
    found = small.one([])
    assert set(words(found).values()) == {"not measured"}
    first, last = sentences(found)
    assert first.startswith("m.mlmodel itself is not measured, so that no edit")
    assert last.startswith("Not measured: m.mlmodel, ")
    assert "more. To measure" in last


def test_a_record_without_the_neural_engine_is_not_measured(small):
    found = small.one([("m.json", small.of("m.mlmodel", units=("cpu",)))])
    assert found.model.word == "not measured"
    assert "no record has a run of it on the Neural Engine" in said(found)


def test_a_record_without_runs_or_with_other_inputs_is_answered_in_words(small):
    whole = small.of("turned")
    empty = whole.model_copy(update={"runs": ()})
    assert words(small.one([("t.json", empty)]))["turned"] == "not measured"
    lost = whole.model_copy(update={"inputs": {"seed-0": {"a": whole.inputs["seed-0"]["a"]}}})
    found = small.one([("t.json", lost)])
    assert words(found)["turned"] == "set aside"
    assert "'b'" in said(found)


def test_a_manifest_edited_by_hand_concerns_one_variant_alone(small, tmp_path):
    folder = shutil.copytree(small.folder, tmp_path / "v")
    shutil.copy(folder / "m-version-5.mlmodel", folder / "m-version-6.mlmodel")
    changes = {"turned": {"relation": None}, "split-deep": {"identity": None}}
    entries = [e.model_copy(update=changes.get(e.name, {})) for e in small.manifest.variants]
    manifest = small.manifest.model_copy(update={"variants": tuple(entries)})
    (found,) = readings(manifest, folder, small.records(always))
    aside = {v.member.name: v.reason for v in found.with_word("set aside")}
    assert aside == {
        "turned": "manifest.json gives no relation for it",
        "split-deep": "manifest.json gives no identity for it",
        "version-6": "m-version-6.mlmodel is not the model that manifest.json says it is",
    }
    assert found.strange == ("split-deep.json",)
    assert words(found)["version-5"] == "fails"


def test_what_is_compared_is_told_and_names_the_folder_otherwise(small):
    heard = []
    (found,) = readings(small.manifest, small.folder, [], tell=heard.append)
    assert heard[0] == "comparing records of m.mlmodel"
    assert len(heard) == len(small.made)
    assert found.folder == str(small.folder)
