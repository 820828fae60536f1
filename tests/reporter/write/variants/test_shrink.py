"""Shrinking with devices of a known rule: what is found, and what is answered in words."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from rule_devices import (
    FLOAT32,
    PHONE,
    always,
    concat_into_depthwise,
    every_third,
    joined_spec,
    last_axis_of_one,
    never,
)
from shrinks import Shrink
from small_block import array, convolution

import migrate
from migrate.coreml import proto
from reporter.measure import record as records_of
from reporter.measure.identity import identify
from reporter.measure.inputs import seeded
from reporter.measure.record import Device, Plan, PlannedOperation, dumps
from reporter.understand.manifest import load
from reporter.understand.shrunk import ShrinkError
from reporter.write.files.outputs import OutputError
from reporter.write.variants import shrink


def test_the_least_number_of_channels_is_found_exactly_in_a_handful_of_rounds(tmp_path):
    one = Shrink(tmp_path, joined_spec())
    assert one.finish(concat_into_depthwise(1024)) <= 8
    assert one.smallest() == {
        "start": 2, "channels both": 1025, "kernel height deep": 1, "height": 1, "weights": 0,
    }  # fmt: skip
    both = one.row("channels", "both")
    assert (min(both["fails"]), max(both["right"])) == (1025, 1024)
    assert one.row("weights")["right"] == []
    assert set(one.row("weights")["fails"]) >= {0, 2, migrate.SEEDS}
    found = migrate.read(one.out / "smallest.mlmodel")
    assert [layer.name for layer in found.layers] == ["concat", "deep"]
    assert sum(feature.shape[1] for feature in found.inputs) == 1025
    said = "\n".join(one.said)
    assert "fails at 1,025, 1,026" in said
    assert "right at 1,024" in said
    assert "It has 2 layers of 4, 2,050 weights of 8,960, and" in said


@pytest.mark.parametrize("most", [3, 1])
def test_a_round_has_no_more_networks_than_were_asked_for(tmp_path, most):
    one = Shrink(tmp_path, joined_spec(20, 12), most=most)
    one.finish(concat_into_depthwise(24), most=40)
    assert one.smallest()["channels both"] == 25
    for number in range(1, one.state["rounds"] + 1):
        made = list((one.out / f"round-{number}").glob("m-r?*.mlmodel"))
        own = [path for path in made if path.stem.startswith(f"m-r{number}-")]
        assert 1 <= len(own) <= most


def test_where_one_part_of_a_concatenation_matters_the_other_goes(tmp_path):
    def wrong(network, shapes):
        return any(o.kind == "concatND" and shapes[o.inputs[0]][-3] >= 13 for o in network.layers)

    one = Shrink(tmp_path, joined_spec(20, 30))
    one.finish(wrong)
    found = migrate.read(one.out / "smallest.mlmodel")
    assert [f.shape[1] for f in found.inputs] == [13, 1]
    part = one.row("channels", "a_out")
    assert (min(part["fails"]), max(part["right"])) == (13, 12)
    assert ("channels", "both") not in {(r["kind"], r["name"]) for r in one.state["table"]}


def test_a_first_call_takes_the_records_that_there_are_of_the_model(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    records = one.measure(always, ("m.mlmodel",))
    said = shrink.shrink(one.model, tmp_path / "t", [records])
    assert any(line.startswith("m.mlmodel fails (") for line in said)
    assert (tmp_path / "t" / "round-2").exists()


def test_what_the_bug_needs_stays_and_all_else_goes(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30, height=9))
    one.finish(last_axis_of_one)
    found = migrate.read(one.out / "smallest.mlmodel")
    assert len(found.layers) == 1
    assert found.inputs[0].shape[-1] == 1
    assert np.prod(found.inputs[0].shape) <= 4
    assert "It has 1 layer of 4" in "\n".join(one.said)


def test_every_round_is_a_folder_of_variants_as_it_was_written(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    one.read(one.measure(always))
    for number in (1, 2):
        folder = one.out / f"round-{number}"
        manifest = load(folder)
        for entry in manifest.made:
            assert entry.identity == identify(folder / entry.file)
            given = migrate.to_torch(folder / entry.file).double()
            with np.load(folder / entry.expected.file) as kept:
                assert [f"reference::{f.name}" for f in given.network.outputs] == kept.files
    assert load(one.out / "round-2").source == identify(
        one.out / "round-2" / load(one.out / "round-2").source.name
    )


def test_a_model_that_is_right_ends_at_once(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    said = one.read(one.measure(never))
    assert "m.mlmodel itself is right: there is nothing to shrink." in said
    assert one.state["rounds"] == 1
    assert not (one.out / "smallest.mlmodel").exists()


def test_a_model_that_is_wrong_on_the_cpu_too_ends_at_once(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    said = one.read(one.measure(always, units=("ane",)))
    assert "m.mlmodel itself is set aside (it is not measured on the CPU" in said


def test_what_fails_in_a_part_of_the_repeats_is_called_flaky(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    said = one.read(one.measure(every_third(), repeats=3))
    assert "m.mlmodel is flaky, wrong in 1 of 3 repeats" in said
    assert "no smaller network fails in every repeat: shrinking ends here." in said
    assert not (one.out / "round-2").exists()


def test_of_a_flaky_model_only_networks_that_always_fail_are_followed_and_chance_is_said(tmp_path):
    seldom = every_third()

    def wrong(network, shapes):
        return len(network.layers) == 1 or seldom(network, shapes)

    one = Shrink(tmp_path, joined_spec(20, 30))
    said = one.read(one.measure(wrong, repeats=3))
    assert "The smallest that fails so far is r1-" in said
    assert "by chance in 4% of cases" in said  # 1/3 to the power of 3
    assert (one.out / "round-2").exists()


def test_a_network_that_is_otherwise_in_a_later_round_is_flaky_from_then_on(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    one.read(one.measure(always))
    base = load(one.round).source.name
    said = one.read(one.measure(never, (base,), seed=1))
    assert (
        "is called flaky from now on: fails in an earlier round, and right in a later one" in said
    )
    again = {c["file"]: c for c in one.state["candidates"]}
    assert again[base]["finding"]["word"] == "flaky"
    assert (again[base]["finding"]["failed"], again[base]["finding"]["repeats"]) == (1, 2)


def test_with_records_of_some_it_says_which_are_missing_and_goes_on_if_they_decide(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    said = one.read(one.measure(always, ("m.mlmodel",)))
    assert "Not measured of round 1: r1-1" in said
    assert one.state["rounds"] == 2  # that the model fails is something


def test_without_a_record_of_the_model_itself_nothing_new_is_written(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    said = one.read(one.measure(always, ("m-r1-1.mlmodel", "m-r1-2.mlmodel")))
    assert "Not measured of round 1: m.mlmodel, r1-3" in said
    assert one.state["rounds"] == 1
    assert said.splitlines()[-2].startswith("to measure: anereport run")
    before = one.state
    again = one.measure(always, ("m-r1-1.mlmodel",))
    said = one.read(again)
    assert "Records imported before, and not counted again: 1." in said
    assert one.state == before
    one.read(one.measure(always, ("m.mlmodel",)))
    assert one.state["rounds"] == 2


def test_records_in_conflict_are_said_and_wait_for_one_that_decides(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    first, second = one.measure(always), one.measure(never, ("m.mlmodel",))
    said = one.read(first, second)
    assert "m.mlmodel is in conflict, wrong in 1 of 2 repeats of one input" in said
    assert one.state["rounds"] == 1
    assert "Not measured of round 1: m.mlmodel." in said
    one.read(one.measure(always, ("m.mlmodel",)))
    assert one.state["rounds"] == 2


def test_records_of_another_device_are_refused_and_nothing_changes(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    one.read(one.measure(always))
    before = one.state
    other = one.measure(always, device=Device(label="another", build="21A5"))
    with pytest.raises(ShrinkError, match="a shrink is of one device and system build"):
        one.read(other)
    assert one.state == before


def test_records_without_a_device_or_of_other_models_are_left_aside_in_words(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    (tmp_path / "other").mkdir()
    other = Shrink(tmp_path / "other", joined_spec(8, 9))
    said = one.read(one.measure(always, device=Device()), other.measure(always))
    assert "Records that name no device with its system build, left aside: " in said
    assert "Records of none of these networks, left aside: " in said
    assert one.state["place"] is None
    assert one.state["rounds"] == 1


def test_a_call_that_was_killed_between_round_and_state_is_made_again(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    before = (one.out / "shrink.json").read_text()
    records = one.measure(always)
    one.read(records)
    wanted = sorted(p.name for p in (one.out / "round-2").iterdir())
    (one.out / "shrink.json").write_text(before)
    shutil.rmtree(one.out / "round-2" / "expected")
    one.read(records)
    assert sorted(p.name for p in (one.out / "round-2").iterdir()) == wanted
    assert one.state["rounds"] == 2


def test_records_need_not_be_given_again_and_a_call_without_any_says_what_is_awaited(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    one.read(one.measure(always))
    before = one.state
    said = one.read()
    assert one.state == before
    assert "Not measured of round 2: r2-1" in said
    assert "round-2-records" in said.splitlines()[-1]


def test_an_end_is_said_again_without_records(tmp_path):
    one = Shrink(tmp_path, joined_spec(3, 2, height=3))
    one.finish(last_axis_of_one)
    said = one.said
    again = one.read().splitlines()
    assert "The shrink has ended: nothing smaller that was tried fails." in again
    assert [line for line in said if line.startswith("It has")] == [
        line for line in again if line.startswith("It has")
    ]


def test_values_that_are_not_in_order_are_said_to_be_so(tmp_path):
    def wrong(network, shapes):
        count = shapes[network.outputs[0].name][-3]
        return len(network.layers) == 4 and (count <= 3 or count == 32)

    one = Shrink(tmp_path, joined_spec(20, 12))
    one.finish(wrong)
    assert one.smallest()["channels both"] == 2
    row = one.row("channels", "both")
    assert (row["fails"][0], row["fails"][-1]) == (2, 32)
    assert row["right"]
    said = next(line for line in one.said if line.startswith("Channels of 'both'"))
    assert said.endswith("not in order, so nothing is said of what lies between.")


def kept(one):
    return {path.name: path.read_bytes() for path in (one.out / "records").iterdir()}


def test_records_are_kept_and_with_them_all_is_found_again(tmp_path):
    """The file of the shrink is edited, and refused; the records give it once more."""
    one = Shrink(tmp_path, joined_spec(3, 2, height=3))
    assert not (one.out / "records").exists()
    (tmp_path / "other").mkdir()
    other = Shrink(tmp_path / "other", joined_spec(8, 9))
    given = one.measure(last_axis_of_one)
    one.read(given, other.measure(always))
    assert set(kept(one)) == {path.name for path in given.iterdir()}
    one.finish(last_axis_of_one)
    found, records = one.state, kept(one)
    assert len(records) >= len([c for c in found["candidates"] if c["finding"]])
    one.edit(lambda state: state["candidates"][0]["finding"].update(word="right"))
    with pytest.raises(ShrinkError, match=r"which does not follow from 1 of 1 .* --force"):
        one.read()
    shrink.shrink(one.model, one.out, options=shrink.Options(force=True))
    assert one.state["rounds"] == 1
    assert kept(one) == records
    while not one.state["ended"]:
        one.read(one.out / "records")
    assert one.state["candidates"] == found["candidates"]
    assert kept(one) == records
    shrink.shrink(other.model, one.out, options=shrink.Options(force=True))
    assert not (one.out / "records").exists()


def test_records_of_another_device_are_not_kept(tmp_path):
    one = Shrink(tmp_path, joined_spec(4, 2))
    one.read(one.measure(always))
    before = kept(one)
    with pytest.raises(ShrinkError, match="of one device"):
        one.read(one.measure(always, device=Device(label="another", build="21A5")))
    assert kept(one) == before


def test_a_base_whose_reductions_were_edited_is_not_gone_on_with(tmp_path):
    one = Shrink(tmp_path, joined_spec(20, 30))
    one.read(one.measure(always))
    records = one.measure(always)

    def change(state):
        for candidate in state["candidates"]:
            for reduction in candidate["reductions"]:
                if reduction["kind"] == "channels" and candidate["round"] == 2:
                    reduction["value"] += 1

    one.edit(change)
    with pytest.raises(ShrinkError, match=r"is not what its reductions make of m\.mlmodel"):
        one.read(records)


def test_a_model_of_one_layer_is_shrunk_in_what_it_has(tmp_path):
    spec = joined_spec(4, 2)
    del spec.neuralNetwork.layers[1:], spec.description.input[1:]
    spec.description.output[0].name = "a_out"
    one = Shrink(tmp_path, spec)
    one.finish(always)
    assert one.smallest()["height"] <= 2
    assert "start" not in one.smallest()


def test_a_model_of_which_nothing_can_be_made_smaller_is_refused(tmp_path):
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    for feature in (spec.description.input.add(name="x"), spec.description.output.add(name="y")):
        feature.type.multiArrayType.dataType = FLOAT32
        feature.type.multiArrayType.shape.append(7)
    layer = spec.neuralNetwork.layers.add(name="r", input=["x"], output=["y"])
    layer.activation.ReLU.SetInParent()
    with pytest.raises(ShrinkError, match=r"nothing of m\.mlmodel can be made smaller: it has one"):
        Shrink(tmp_path, spec)
    assert not (tmp_path / "s").exists()


def softmax_spec(channels):
    """A 1x1 convolution of 3 channels to these, and a softmax over them; one pixel."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    array(spec.description.input, "x", (1, 3, 1, 1))
    array(spec.description.output, "y", (1, channels, 1, 1))
    draws = np.random.RandomState(0).randn(channels, 3, 1, 1)
    convolution(spec.neuralNetwork, "conv", "x", "s", draws, None)
    spec.neuralNetwork.layers.add(name="soft", input=["s"], output=["y"]).softmax.SetInParent()
    return spec


def test_a_network_whose_one_number_is_the_same_for_all_inputs_is_not_written(tmp_path):
    """A softmax over one channel is always 1; a convolution to one channel is not."""
    one = Shrink(tmp_path, softmax_spec(5))
    one.finish(lambda network, shapes: network.layers[0].kind == "convolution")
    sizes = set()
    for path in one.out.rglob("*.mlmodel"):
        net = migrate.to_torch(path).double()
        first, second = (net.predict(seeded(path, seed), exact=True) for seed in (0, 1))
        (name,) = first
        sizes.add(first[name].size)
        assert np.abs(first[name] - second[name]).max() > 1e-3
    assert 1 in sizes
    refused = {"kind": "channels", "name": "s", "value": 1}
    reason = "its output does not depend on its inputs"
    assert {"reductions": [refused], "reason": reason} in one.state["refused"]


def test_a_folder_of_another_model_or_of_something_else_is_kept(tmp_path):
    one = Shrink(tmp_path, joined_spec(4, 2))
    other = tmp_path / "other.mlmodel"
    other.write_bytes(joined_spec(3, 3).SerializeToString())
    with pytest.raises(ShrinkError, match="is a shrink of another model"):
        shrink.shrink(other, one.out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds no shrink\.json"):
        shrink.shrink(other, tmp_path / "mine")
    with pytest.raises(OutputError, match="did not write"):
        shrink.shrink(other, tmp_path / "mine", options=shrink.Options(force=True))
    assert (tmp_path / "mine" / "notes.txt").exists()
    shrink.shrink(other, one.out, options=shrink.Options(force=True))
    assert (one.out / "round-1" / "other.mlmodel").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"most": 0}, "1 network or more, not 0"), ({"limit": -1.0}, "positive number"),
     ({"custom": ("x",)}, "x")],
)  # fmt: skip
def test_options_that_make_no_sense_are_a_sentence(tmp_path, options, said):
    with pytest.raises(migrate.AnereportError, match=said):
        Shrink(tmp_path, joined_spec(4, 2), **options)
    assert not (tmp_path / "s").exists()


def test_a_shrink_keeps_to_the_limit_that_it_began_with(tmp_path):
    one = Shrink(tmp_path, joined_spec(4, 2), limit=1e9)
    said = one.read(one.measure(always))
    assert "m.mlmodel itself is right" in said
    one.options = shrink.Options()
    with pytest.raises(ShrinkError, match=r"was begun with --limit 1e\+09: go on with that"):
        one.read()


def test_the_words_name_the_evidence_and_the_device(tmp_path):
    one = Shrink(tmp_path, joined_spec(4, 2))
    said = one.read(one.measure(always, evidence="simulated", device=PHONE))
    assert said.startswith("SIMULATED on my phone (20C65):")


# --- numbers that are not the Neural Engine's


def off_the_neural_engine(one, records):
    """Change records of networks of at most 40 weights: the CPU's bits, planned on the CPU."""
    plan = Plan(operations=(PlannedOperation(name="deep", kind="convolution", planned="cpu"),))
    weights = {c["identity"]["sha256"]: c["weights"] for c in one.state["candidates"]}
    for path in records.iterdir():
        found = records_of.load(path)
        if weights[found.model.sha256] <= 40:
            cpu = {run.input: run.outputs for run in found.runs if run.unit == "cpu"}
            runs = tuple(
                run.model_copy(update={"outputs": cpu[run.input], "plan": plan})
                if run.unit == "ane"
                else run
                for run in found.runs
            )
            path.write_text(dumps(found.model_copy(update={"runs": runs})))
    return records


def test_a_network_too_small_for_the_neural_engine_is_neither_right_nor_wrong(tmp_path):
    """The device is always wrong, and where it was not used nothing is known of it."""
    one = Shrink(tmp_path, joined_spec(12, 12))
    for _ in range(14):
        said = one.read(off_the_neural_engine(one, one.measure(always)))
        if one.state["ended"]:
            break
    words = {c["finding"]["word"] for c in one.state["candidates"] if c["finding"]}
    assert words == {"fails", "set aside"}
    assert one.state["ended"]
    assert not any(row["right"] for row in one.state["table"])
    assert "is right" not in said
    small = [c for c in one.state["candidates"] if c["finding"] and c["weights"] <= 40]
    assert small
    assert {c["finding"]["word"] for c in small} == {"set aside"}
    assert all("Neural Engine" in c["finding"]["said"] for c in small)


def test_where_a_simulated_fault_has_no_place_nothing_is_known(tmp_path):
    one = Shrink(tmp_path, joined_spec(6, 6))
    device = {"evidence": "simulated"}
    records = one.measure(always, **device)
    for path in records.iterdir():
        found = records_of.load(path)
        fault = "zeroed@deep" if found.model.name == "m.mlmodel" else "none"
        path.write_text(dumps(found.model_copy(update={"simulation": fault})))
    said = one.read(records)
    assert "SIMULATED on my phone, zeroed@deep (20C65):" in said
    others = [c["finding"] for c in one.state["candidates"] if c["name"] != "m.mlmodel"]
    assert {(f["word"], f["said"]) for f in others if f} == {
        ("set aside", "the simulator's fault has no place in it")
    }
