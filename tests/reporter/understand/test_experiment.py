"""The experiment: which records are compared with which, and what comes of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from migrations import (
    DEVICE,
    KERNEL,
    PARTIAL,
    WHOLE,
    both,
    fails,
    gives,
    measured,
    model,
    plan,
    planned,
    spec_of,
    with_inputs,
    without,
    written,
)  # fmt: skip
from networks import network

import migrate
from migrate.coreml import coremltools
from reporter.measure.inputs import Schedule
from reporter.measure.record import Device
from reporter.measure.simulate import simulate
from reporter.understand import experiment
from reporter.write.migration import migration

coremltools()
from coremltools.models import datatypes  # noqa: E402  after the quiet import
from coremltools.models.neural_network import NeuralNetworkBuilder  # noqa: E402

AVOIDS = "avoids the bug"
UNPROVEN = "right, but not proven to run on the Neural Engine"
NO_RECORDS = "neither it nor the NeuralNetwork has a record"
NOTHING = "nothing to avoid: the NeuralNetwork was right on this device"


def setup(folder, source, **options):
    """A model that is migrated: its path, folder, Migration and module."""
    out = folder / "out"
    done = migration.write(source, out, migrate.Options(**options))
    package = out / f"{source.stem}.mlpackage"
    return SimpleNamespace(
        source=source, out=out, done=done, package=package, net=migrate.to_torch(source)
    )


def verdicts(of, befores=(), afters=(), others=(), called="out"):
    records = [(f"before{i}.json", r) for i, r in enumerate(befores)]
    records += [(f"after{i}.json", r) for i, r in enumerate(afters)]
    records += [(f"other{i}.json", r) for i, r in enumerate(others)]
    return experiment.verdicts(of.done, of.out, of.net, records, called, lambda text: None)


def verdict(of, before, after):
    (found,) = verdicts(of, [before] if before else [], [after] if after else [])
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    return setup(folder, model(folder / "m.mlmodel"), target="iOS17")


@pytest.fixture(scope="module")
def pair(small):
    """Records that prove that the ML Program avoids the bug."""
    return both(small.source, small.package)


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """A program of float16 features."""
    folder = tmp_path_factory.mktemp("halves")
    return setup(folder, model(folder / "h.mlmodel"), features="fp16")


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    return setup(folder, model(folder / "s.mlmodel"), precision="fp32")


# --- what it takes


def test_with_all_evidence_it_avoids_the_bug(pair, small):
    found = verdict(small, *pair)
    assert (found.word, found.variant) == (AVOIDS, "m.mlpackage")
    assert (found.evidence, found.simulated) == ("measured", False)
    assert found.device == "my phone, iPhone14,2 (20C65)"
    assert (found.before.model, found.after.model) == ("m.mlmodel", "m.mlpackage")
    assert (found.before.records, found.after.records) == (("before0.json",), ("after0.json",))
    assert (found.before.ane.state, found.after.ane.state) == ("wrong", "right")
    assert found.after.placement.whole
    assert not found.after.identical
    assert found.commands == ()


def test_both_sides_have_one_reference(pair, small):
    """Each ratio again, from the records, the float64 module and the envelope of each side."""
    before, after = pair
    x = {"x": before.inputs["seed-0"]["x"].array()}
    network = migrate.envelopes(small.net, x)["y"]
    program = migrate.program_envelopes(small.package, x)["y"]
    exact = small.net.double().predict(x, exact=True)["y"]
    small.net.float()
    found = verdict(small, before, after)
    for side, given, envelope in ((found.before, before, network), (found.after, after, program)):
        for run in given.runs:
            errors = (np.float64(run.outputs["y"].array()) - exact).reshape(3, -1)
            ratio = np.sqrt((errors**2).mean(axis=1)) / envelope.rmse
            assert getattr(side, run.unit).ratio == pytest.approx(ratio.max(), rel=1e-3, abs=1e-4)


def test_a_program_is_judged_by_the_rounding_of_its_own_operations(tmp_path):
    """A scale with a bias is a product and a sum there, both rounded; and 1000 x - 1000 cancels."""
    shapes = {"shapeScale": [1], "shapeBias": [1], "hasBias": True}
    spec = network({"x": (4,)}, ["y"], ("scale", "x", "y", shapes))
    scale = spec.neuralNetwork.layers[0].scale
    scale.scale.floatValue.append(1000)
    scale.bias.floatValue.append(-1000)
    of = setup(tmp_path, written(tmp_path / "n.mlmodel", spec))
    x = {"x": np.float32(1 + np.arange(4) / 1024)}
    before, after = (measured(simulate(m, "none", x)) for m in (of.source, of.package))
    rmse = migrate.program_envelopes(of.package, x)["y"].rmse[0]
    assert rmse > 10 * migrate.envelopes(of.net, x)["y"].rmse[0]
    error = np.float64(ane(after)) - (1000 * np.float64(x["x"]) - 1000)
    found = verdict(of, before, after)
    assert found.after.ane.state == "right"
    assert found.after.ane.ratio == pytest.approx(np.sqrt(np.mean(error**2)) / rmse)


CASES = {
    "no plan": (lambda b, a: (b, planned(a, None)), UNPROVEN),
    "a partial plan": (lambda b, a: (b, planned(a, PARTIAL)), UNPROVEN),
    "a plan of casts": (lambda b, a: (b, planned(a, plan(("c", "ios16.cast", "ane")))), UNPROVEN),
    "an empty plan": (lambda b, a: (b, planned(a, plan())), UNPROVEN),
    "a plan of the CPU": (lambda b, a: (b, planned(planned(a, None), WHOLE, "cpu")), UNPROVEN),
    "no CPU after": (lambda b, a: (b, without(a, "cpu")), UNPROVEN),
    "no CPU before": (lambda b, a: (without(b, "cpu"), a), UNPROVEN),
    "no GPU": (lambda b, a: (without(b, "gpu"), without(a, "gpu")), AVOIDS),
    "no ANE after": (lambda b, a: (b, without(a, "ane")), "not measured"),
    "no ANE before": (lambda b, a: (without(b, "ane"), a), "not measured"),
    "failed before": (lambda b, a: (fails(b, "ane"), a), AVOIDS),
    "failed after": (lambda b, a: (b, fails(a, "ane")), "does not avoid it"),
    "failed on the CPU before": (lambda b, a: (fails(b, "cpu"), a), "not measured"),
    "failed on the CPU after": (lambda b, a: (b, fails(a, "cpu")), "worse"),
    "the same bits": (lambda b, a: (b, planned(gives(a, "ane", y=cpu(a)))), UNPROVEN),
    "right before": (lambda b, a: (gives(b, "ane", y=cpu(b)), a), NOTHING),
    "wrong on the CPU before": (lambda b, a: (gives(b, "cpu", y=cpu(b) + 1), a), "not measured"),
    "as wrong after": (lambda b, a: (b, gives(a, "ane", y=ane(b))), "does not avoid it"),
    "far more wrong": (lambda b, a: (b, gives(a, "ane", y=ane(b) + 1000)), "worse"),
    "worse": (lambda b, a: (gives(b, "ane", y=cpu(b)), gives(a, "ane", y=ane(a) + 1)), "worse"),
}  # fmt: skip


def cpu(found):
    return next(r for r in found.runs if r.unit == "cpu").outputs["y"].array()


def ane(found):
    return next(r for r in found.runs if r.unit == "ane").outputs["y"].array()


@pytest.mark.parametrize("case", CASES)
def test_what_each_piece_of_evidence_is_worth(small, pair, case):
    change, word = CASES[case]
    assert verdict(small, *change(*pair)).word == word


def test_a_program_in_single_precision_is_no_answer(single):
    before, after = both(single.source, single.package)
    found = verdict(single, before, after)
    assert found.word == UNPROVEN
    assert any("computes in float32" in reason for reason in found.reasons)
    assert found.after.cpu.state == found.after.ane.state == "right"


def test_kept_layers_are_judged_by_the_programs_own_rounding(tmp_path):
    """With one layer in float32, the other still rounds."""
    of = setup(tmp_path, model(tmp_path / "k.mlmodel"), keep_fp32=("relu",))
    assert migrate.describe_program(of.package).precision == "mixed"
    before, after = both(of.source, of.package)
    found = verdict(of, before, planned(after, PARTIAL))
    assert found.word == UNPROVEN
    assert found.after.ane.state == "right"
    x = {"x": before.inputs["seed-0"]["x"].array()}
    envelope = migrate.program_envelopes(of.package, x)["y"]
    errors = (np.float64(ane(after)) - migrate.envelopes(of.net, x)["y"].reference).reshape(3, -1)
    assert found.after.ane.ratio == pytest.approx(
        (np.sqrt((errors**2).mean(axis=1)) / envelope.rmse).max()
    )


# --- where and when


def test_simulated_records_are_compared_with_simulated_ones(small):
    before = simulate(small.source, "bias-only@convolution")
    after = planned(simulate(small.package, "none"))
    found = verdict(small, before, after)
    assert (found.word, found.evidence, found.simulated) == (AVOIDS, "simulated", True)
    assert found.device == "anereport simulator"


@pytest.mark.parametrize("simulated", ["before", "after"])
def test_simulated_and_measured_records_are_never_compared(small, pair, simulated):
    """Not even of the same device and build."""
    before, after = (
        r.model_copy(update={"evidence": "simulated"}) if side == simulated else r
        for side, r in zip(("before", "after"), pair, strict=True)
    )
    found = verdicts(small, [before], [after])
    assert {v.evidence for v in found} == {"simulated", "measured"}
    assert {v.word for v in found} == {"not measured"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"build": "20C65"}, {"build": "20D50"}),
        ({"label": "my phone"}, {"label": "your phone"}),
        ({"label": "my phone"}, {"label": ""}),
        ({"label": "", "identifier": "iPhone14,2"}, {"label": "", "identifier": "iPhone15,2"}),
    ],
)
def test_records_of_two_places_are_not_compared(small, pair, one, other):
    found = verdicts(small, [measured(pair[0], **one)], [measured(pair[1], **other)])
    assert len(found) == 2
    assert {v.word for v in found} == {"not measured"}
    assert found[0].after is found[1].before is None
    assert found[0].reasons[-1] == "the other model is not measured on the Neural Engine"
    assert found[1].reasons[0] == "the NeuralNetwork is not measured on the Neural Engine"
    assert len({v.device for v in found}) == 2


@pytest.mark.parametrize(
    ("one", "other", "device"),
    [
        ({"label": "", "chip": "A15"}, {"label": "", "chip": ""}, "iPhone14,2 (20C65)"),
        ({"identifier": ""}, {"identifier": ""}, "my phone (20C65)"),
        (
            {"system": "iOS", "version": "16.2"},
            {"version": ""},
            "my phone, iPhone14,2 (iOS 16.2, 20C65)",
        ),
    ],
)
def test_one_device_is_known_by_its_label_or_identifier(small, pair, one, other, device):
    found = verdict(small, measured(pair[0], **one), measured(pair[1], **other))
    assert (found.word, found.device) == (AVOIDS, device)


def test_devices_of_two_kinds_with_one_label_are_two(small, pair):
    found = verdicts(small, [pair[0]], [measured(pair[1], identifier="iPhone15,2")])
    assert [(v.device, v.word) for v in found] == [
        ("my phone, iPhone14,2 (20C65)", "not measured"),
        ("my phone, iPhone15,2 (20C65)", "not measured"),
    ]


@pytest.mark.parametrize("device", [{"build": ""}, {"label": "", "identifier": ""}])
def test_a_record_that_does_not_say_where_it_is_from_proves_nothing(small, pair, device):
    found = verdict(small, measured(pair[0], **device), measured(pair[1], **device))
    assert (found.word, found.device, found.evidence) == ("not measured", "", "")
    assert "names no device with its system build" in found.reasons[0]
    known = verdicts(small, [pair[0], measured(pair[0], **device)], [pair[1]])
    assert sorted(v.word for v in known) == [AVOIDS, "not measured"]


def test_a_simulator_needs_no_build(small, pair):
    device = Device(label="a simulator")
    given = [r.model_copy(update={"evidence": "simulated", "device": device}) for r in pair]
    assert verdict(small, *given).word == AVOIDS


def test_each_place_has_a_verdict(small, pair):
    before, after = pair
    later = {"build": "21A000"}
    right = measured(gives(before, "ane", y=cpu(before)), **later)
    found = verdicts(small, [before, right], [after, measured(after, **later)])
    assert [(v.device, v.word) for v in found] == [
        ("my phone, iPhone14,2 (20C65)", AVOIDS), ("my phone, iPhone14,2 (21A000)", NOTHING),
    ]  # fmt: skip


# --- the inputs


def inputs_of(found):
    return found.inputs["seed-0"]["x"].array()


def test_other_inputs_are_not_compared(small, pair):
    before, after = pair
    found = verdict(small, before, with_inputs(after, x=inputs_of(after) + np.float32(0.25)))
    assert found.word == "not measured"
    assert found.reasons == ("the records hold no inputs in common",)
    assert found.device == "my phone, iPhone14,2 (20C65)"
    assert found.before is found.after is None


def test_the_name_of_an_input_set_does_not_matter(small, pair):
    before, after = pair
    renamed = after.model_copy(update={
        "inputs": {"mine": after.inputs["seed-0"]},
        "runs": tuple(r.model_copy(update={"input": "mine"}) for r in after.runs),
    })  # fmt: skip
    assert verdict(small, before, renamed).word == AVOIDS


def test_single_precision_that_differs_below_float16_is_another_input(small, pair):
    before, after = pair
    x = inputs_of(before)
    close = np.nextafter(x, np.float32(9))
    assert (close.astype(np.float16) == x.astype(np.float16)).all()
    assert verdict(small, before, with_inputs(after, x=close)).word == "not measured"


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_float16_features_take_the_same_numbers(halves, dtype):
    before, after = both(halves.source, halves.package)
    (feature,) = migrate.describe_program(halves.package).inputs
    assert feature.dtype == "float16"
    given = with_inputs(after, x=inputs_of(after).astype(dtype))
    found = verdict(halves, before, given)
    assert (found.before.ane.state, found.after.ane.state) == ("wrong", "right")
    assert found.word == (UNPROVEN if found.after.identical else AVOIDS)


def test_float16_features_round_what_they_are_given(halves):
    """0.1 is no float16: what the program got is the rounding of what the network got."""
    x = np.full((1, 2, 2, 3), 0.1, np.float32)
    before = measured(simulate(halves.source, "bias-only@convolution", {"x": x}))
    after = planned(measured(simulate(halves.package, "none", {"x": x.astype(np.float16)})))
    for given, found in ((before, np.float32), (after, np.float16)):
        assert given.inputs["user"]["x"].array().dtype == found
    judged = verdict(halves, before, after)
    assert judged.after.ane.state == "right"
    other = simulate(halves.package, "none", {"x": np.float16(x + np.float32(0.001))})
    assert verdict(halves, before, planned(measured(other))).word == "not measured"


def test_beyond_float16_nothing_is_warned_of(halves):
    x = np.full((1, 2, 2, 3), 1e6, np.float32)
    before = measured(simulate(halves.source, "none", {"x": x}))
    after = measured(simulate(halves.package, "none"))
    assert verdict(halves, before, with_inputs(after, x=inputs_of(after).astype(np.float16))).word


def test_inputs_that_do_not_fit_are_said(small, pair):
    odd = np.zeros((1, 5, 2, 3), np.float32)
    found = verdict(small, *(with_inputs(r, x=odd) for r in pair))
    assert found.word == "not measured"
    (reason,) = found.reasons
    assert reason.startswith("no reference can be computed: ")
    assert "'x'" in reason


def test_a_record_without_inputs_cannot_be_compared(small, pair):
    found = verdict(small, *(with_inputs(r) for r in pair))
    assert found.word == "not measured"
    assert found.reasons == ("no reference can be computed: input 'x' is missing",)


# --- repeats and several records


def test_one_bad_repeat_spoils_it(small, pair):
    before, after = pair
    (run,) = [r for r in after.runs if r.unit == "ane"]
    bad = gives(after, "ane", y=ane(before))
    (worse,) = [r for r in bad.runs if r.unit == "ane"]
    for more in ([run, worse], [worse, run]):
        runs = [r.model_copy(update={"repeat": i}) for i, r in enumerate(more)]
        given = without(after, "ane").model_copy(
            update={"runs": (*without(after, "ane").runs, *runs)}
        )
        assert verdict(small, before, given).word == "does not avoid it"


def test_one_bad_record_spoils_it(small, pair):
    before, after = pair
    bad = gives(after, "ane", y=ane(before))
    (found,) = verdicts(small, [before], [after, bad])
    assert found.word == "does not avoid it"
    assert found.after.records == ("after0.json", "after1.json")
    assert found.before.records == ("before0.json",)


def test_a_bug_that_comes_and_goes_is_one(small, pair):
    before, after = pair
    (found,) = verdicts(small, [gives(before, "ane", y=cpu(before)), before], [after])
    assert found.word == AVOIDS


def test_a_record_with_a_second_input_that_only_one_side_has(small, pair):
    """It is left aside: the network's result on it has no counterpart."""
    before, after = pair
    x = inputs_of(before) / 2
    more = measured(simulate(small.source, "none", {"x": x}))
    (found,) = verdicts(small, [before, more], [after])
    assert found.word == AVOIDS
    assert found.before.records == ("before0.json",)


def test_a_second_input_of_the_program_alone_is_left_aside_too(small, pair):
    before, after = pair
    x = inputs_of(after) / 2
    bad = gives(measured(simulate(small.package, "none", {"x": x})), "ane", y=ane(before))
    (found,) = verdicts(small, [before], [bad, after])
    assert found.word == AVOIDS
    assert found.after.records == ("after1.json",)


def test_units_in_records_of_their_own_are_taken_together(small, pair):
    before, after = pair
    apart = [without(after, "ane"), without(after, "cpu", "gpu")]
    (found,) = verdicts(small, [before], apart)
    assert found.word == AVOIDS


def test_the_same_bits_are_found_in_records_of_their_own(small, pair):
    """The CPU's record and the Neural Engine's: no proof, as in one."""
    before, after = pair
    same = gives(after, "ane", y=cpu(after))
    (found,) = verdicts(small, [before], [without(same, "ane"), without(same, "cpu")])
    assert found.after.identical
    assert found.word == UNPROVEN


def test_the_neural_engine_must_have_run_on_the_same_input(small, pair):
    """Both records hold both inputs; the network ran on the ANE with one, the program the other."""
    before, after = pair
    x = inputs_of(before) / 2
    second = simulate(small.source, "none", {"x": x}), simulate(small.package, "none", {"x": x})
    halved_before = without(measured(second[0]), "ane")
    halved_after = planned(measured(second[1]))
    (found,) = verdicts(small, [before, halved_before], [without(after, "ane"), halved_after])
    assert found.word != AVOIDS


# --- other kinds of features


def test_renamed_features(tmp_path):
    """Names that are no identifiers, in and out."""
    of = setup(tmp_path, model(tmp_path / "r.mlmodel", name="a b", output="x/y"))
    changes = {c.name_before: c.name_after for c in of.done.variants[0].features}
    assert changes == {"a b": "a_b", "x/y": "x_y"}
    before, after = both(of.source, of.package)
    assert set(after.inputs["seed-0"]) == {"a_b"}
    found = verdict(of, before, after)
    assert found.word == AVOIDS
    assert found.before.ane.output == found.after.ane.output == "x/y"
    bad = verdict(of, before, gives(after, "ane", x_y=ane_of(after, "x_y") + 100))
    assert bad.after.wrong == ("x/y",)
    lacking = verdict(of, before, gives(after, "ane", z=ane_of(after, "x_y")))
    assert lacking.after.ane.state == "failed"


def ane_of(found, name):
    return next(r for r in found.runs if r.unit == "ane").outputs[name].array()


@pytest.mark.parametrize("labels", [["b", "a", "c"], [30, 10, 20]])
def test_a_classifier(tmp_path, labels):
    """Its scores are compared in the order of its labels; its label has no numbers."""
    b = NeuralNetworkBuilder(
        [("x", datatypes.Array(3))], [("p", datatypes.Array(3))], mode="classifier"
    )
    b.add_softmax("softmax", "x", "p")
    b.set_class_labels(labels, predicted_feature_name="label", prediction_blob="p")
    of = setup(tmp_path, written(tmp_path / "c.mlmodel", b.spec))
    before, after = both(of.source, of.package, "none")
    assert before.runs[0].outputs["label"] in labels
    found = verdict(of, before, after)
    assert found.word == NOTHING
    assert found.after.ane.state == "right"
    (run,) = [r for r in before.runs if r.unit == "ane"]
    (scores,) = [v for v in run.outputs.values() if isinstance(v, dict)]
    (name,) = [n for n, v in run.outputs.items() if isinstance(v, dict)]
    first, second, third = scores
    swapped = {first: scores[second], second: scores[first], third: scores[third]}
    bad = verdict(of, gives(before, "ane", **{name: swapped, "label": run.outputs["label"]}), after)
    assert bad.before.ane.state == "wrong"
    assert bad.before.wrong == (name,)
    assert bad.word in (AVOIDS, UNPROVEN)
    lacking = gives(before, "ane", **{name: {first: 1.0}})
    assert verdict(of, lacking, after).before.ane.state == "failed"
    odd = gives(before, "ane", **{name: np.float32([0.2, 0.3, 0.5])})
    assert verdict(of, odd, after).before.ane.state == "wrong"  # unlabelled, in the labels' order


@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAYSCALE"])
def test_an_image_output(tmp_path, color):
    """Records hold images as they are seen: (H, W, C) or (H, W), in the order RGB."""
    channels = 1 if color == "GRAYSCALE" else 3
    spec = spec_of(kernel=np.abs(KERNEL) * 100)
    convolution = spec.neuralNetwork.layers[0].convolution
    if channels == 1:
        convolution.outputChannels = 1
        del convolution.weights.floatValue[2:]
        del convolution.bias.floatValue[1:]
    image = spec.description.output[0].type.imageType
    image.width, image.height = 3, 2
    image.colorSpace = getattr(image, color)
    of = setup(tmp_path, written(tmp_path / "i.mlmodel", spec))
    before, after = both(of.source, of.package, "none")
    seen = ane_of(before, "y")
    assert (seen.shape, seen.dtype) == ((2, 3, 3) if channels == 3 else (2, 3), np.uint8)
    assert len(np.unique(seen)) > 3
    found = verdict(of, before, after)
    assert (found.before.cpu.state, found.before.ane.state) == ("right", "right")
    assert found.after.ane.state == "right"
    bad = verdict(of, gives(before, "ane", y=255 - seen), after)
    assert bad.before.ane.state == "wrong"
    odd = verdict(of, gives(before, "ane", y="no image"), after)
    assert odd.before.ane.state == "failed"


# --- what is missing


def test_without_records_it_is_not_measured(small):
    (found,) = verdicts(small)
    assert (found.word, found.variant) == ("not measured", "m.mlpackage")
    assert found.reasons == (NO_RECORDS,)
    assert found.commands == (
        "anereport run m.mlmodel --out before.json",
        "anereport run out/m.mlpackage --out after.json",
    )


def test_the_commands_are_those_that_are_missing(small, pair):
    before, after = pair
    assert verdict(small, before, None).commands == (
        "anereport run out/m.mlpackage --out after.json",
    )
    assert verdict(small, None, after).commands == ("anereport run m.mlmodel --out before.json",)


def test_names_are_quoted_in_commands(small):
    (found,) = verdicts(small, called="my folder")
    assert found.commands[1] == "anereport run 'my folder/m.mlpackage' --out after.json"


def test_a_matrix_is_measured_as_a_whole(small, pair):
    (variant,) = small.done.variants
    network = variant.model_copy(update={"name": "m.mlmodel", "identity": small.done.source,
                                         "options": None})  # fmt: skip
    whole = small.done.model_copy(update={"variants": (network, variant)})
    found = experiment.verdicts(whole, small.out, small.net, [], "a b", lambda text: None)
    assert [(v.variant, v.commands) for v in found] == [
        ("m.mlpackage", ("anereport run 'a b' --out records",)),
    ]


def test_records_of_other_models_are_left_aside(small, halves, pair):
    others = both(halves.source, halves.package)
    (found,) = verdicts(small, [pair[0]], [pair[1]], [others[1]])
    assert found.word == AVOIDS
    (found,) = verdicts(small, others=[others[1]])
    assert found.reasons == (NO_RECORDS,)


def test_metadata_makes_no_other_model(small, pair):
    before, after = pair
    identity = before.model.model_copy(update={"sha256": "0" * 64, "name": "another.mlmodel"})
    assert verdict(small, before.model_copy(update={"model": identity}), after).word == AVOIDS


def test_what_is_compared_is_told(small):
    told = []
    experiment.verdicts(small.done, small.out, small.net, [], "out", told.append)
    assert told == ["comparing records of m.mlpackage"]


def test_the_device_of_these_tests_has_all_that_is_needed():
    assert DEVICE.label
    assert DEVICE.build


def test_an_input_that_the_model_has_not_is_said(small, pair):
    _, after = pair
    given = {name: {**found, "extra": found[next(iter(found))]}
             for name, found in after.inputs.items()}  # fmt: skip
    found = verdict(small, None, after.model_copy(update={"inputs": given}))
    assert found.word == "not measured"
    assert found.reasons[0].startswith("no reference can be computed: ")


def test_inputs_on_which_rounding_is_all_there_is_prove_nothing(small, pair, monkeypatch):
    """Anything would be within so wide an envelope."""
    monkeypatch.setattr(migrate.Envelope, "unfit", property(lambda envelope: True))
    found = verdict(small, *pair)
    assert found.word == "not measured"
    assert found.reasons == ("rounding alone makes errors as large as an output: these inputs "
                             "cannot tell",)  # fmt: skip


def test_an_input_that_cannot_tell_is_left_out_of_both_sides(small, monkeypatch):
    two = Schedule(seeds=2, repeats=1)
    before = measured(simulate(small.source, "bias-only@convolution", schedule=two))
    after = planned(measured(simulate(small.package, "none", schedule=two)))
    whole = verdict(small, before, after)
    assert (whole.word, whole.before.inputs, whole.after.inputs) == (AVOIDS, 2, 2)
    first = migrate.envelopes(small.net, {"x": before.inputs["seed-0"]["x"].array()})["y"]
    unfit = property(lambda envelope: not np.array_equal(envelope.reference, first.reference))
    monkeypatch.setattr(migrate.Envelope, "unfit", unfit)
    found = verdict(small, before, after)
    assert (found.word, found.before.inputs, found.after.inputs) == (AVOIDS, 1, 1)


def test_a_crash_in_one_of_several_repeats_is_never_right(small, pair):
    before, after = pair
    (ane,) = [run for run in after.runs if run.unit == "ane"]
    dead = fails(after, "ane").runs[-1].model_copy(update={"repeat": 1})
    found = verdict(small, before, after.model_copy(update={"runs": (*after.runs, dead)}))
    assert found.word == "does not avoid it"
    assert "failed (in 1 of 2 runs, predict: it died)" in found.reasons[1]
    cold = dead.model_copy(update={"repeat": 0, "start": "cold"})
    found = verdict(small, before, after.model_copy(update={"runs": (*after.runs, cold)}))
    assert found.word == UNPROVEN
    assert f"{small.package.name} failed at its cold start (predict: it died)" in found.reasons
    assert found.after.runs["ane"] == 1
    alone = (*without(after, "ane").runs, ane.model_copy(update={"start": "cold"}))
    found = verdict(small, before, after.model_copy(update={"runs": alone}))
    assert found.word == "not measured"
