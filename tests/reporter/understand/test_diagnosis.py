"""Who is wrong, by the reference and never by a unit; what repeats and equal bits say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from networks import network
from packages import affine, saved

from migrate import Envelope
from migrate.coreml import proto
from reporter.measure.record import Failure, Plan, PlannedOperation, Run
from reporter.measure.simulate import values
from reporter.understand.diagnosis import SUSPECTS, Numbers, diagnose, fits, numbers
from reporter.understand.reference import Referee
from reporter.understand.wording import counted

RNG = np.random.RandomState(0)
EXACT = RNG.rand(1, 4, 5, 6) * 10 - 5
BOUNDS = Envelope(EXACT, np.full(4, 2.0**-9), np.zeros(4, bool), ())
UNITS = ("cpu", "gpu", "ane")


def right(seed=0):
    """A healthy output: within rounding, and not the same bits as another seed's."""
    return EXACT + np.random.RandomState(seed).randn(*EXACT.shape) * 2.0**-9


def wrong(seed=0):
    return 2 * right(seed)


def diagnosed(limit=8.0, runs=(), biases=None, previous=None, cold=None, **calls):
    """The diagnosis of units' calls, each an array or a list of them, and of their cold starts."""
    listed = {unit: c if isinstance(c, list) else [c] for unit, c in calls.items()}
    return diagnose(Numbers(listed, cold or {}), BOUNDS, runs, biases or {}, limit, previous)


@pytest.mark.parametrize("state", list(itertools.product([True, False], repeat=3)))
def test_of_three_units_every_one_may_be_the_wrong_one(state):
    """Also the CPU: what it says is judged as the others are."""
    arrays = {u: right(i) if ok else wrong(i) * (i + 1)
              for i, (u, ok) in enumerate(zip(UNITS, state, strict=True))}  # fmt: skip
    found = diagnosed(**arrays)
    bad = [u for u, ok in zip(UNITS, state, strict=True) if not ok]
    assert [u for u, a in found.assessments.items() if a.wrong] == bad
    assert found.worst == found.assessments[found.suspect]
    assert found.worst.wrong == bool(bad)
    if not bad:
        assert found.who == ()
        return
    assert found.suspect in bad
    names = {1: bad[0], 2: " and ".join(bad), 3: "cpu, gpu and ane"}[len(bad)].upper()
    others = " and ".join(u for u in UNITS if u not in bad).upper()
    expected = (
        f"rounding explains the {others}, and not the {names}"
        if others
        else f"rounding does not explain the {names}"
    ).replace("AND", "and")
    assert found.who == (expected,)


def test_wrong_units_that_agree_put_the_reference_in_doubt():
    found = diagnosed(cpu=wrong(), gpu=(wrong().astype(np.float16)))
    assert found.who == (
        "the CPU and GPU agree with each other and not with the reference, which may be what is "
        "wrong",
    )
    with_a_right_one = diagnosed(cpu=wrong(), gpu=wrong().astype(np.float16), ane=right())
    assert with_a_right_one.who == ("rounding explains the ANE, and not the CPU and GPU",)
    apart = diagnosed(cpu=wrong(), gpu=3 * right())
    assert apart.who == ("rounding does not explain the CPU and GPU",)


def test_wrong_units_that_are_nan_in_the_same_places_agree():
    lost = right()
    lost[0, 2] = np.nan
    (who,) = diagnosed(cpu=lost, gpu=lost.astype(np.float16)).who
    assert "agree with each other" in who


@pytest.mark.parametrize("unit", ["cpu", "gpu", "ane", "all"])
def test_one_unit_alone(unit):
    found = diagnosed(**{unit: wrong()})
    assert (found.suspect, found.who) == (
        unit,
        (f"rounding does not explain the {unit.upper()}",),
    )
    assert diagnosed(**{unit: right()}).who == ()


def test_of_equally_wrong_units_the_neural_engine_is_looked_at_first():
    assert SUSPECTS == ("ane", "gpu", "cpu", "all")
    same = wrong()
    for units in itertools.combinations(("all", "cpu", "gpu", "ane"), 2):
        assert diagnosed(**dict.fromkeys(units, same)).suspect == units[1]
    assert diagnosed(ane=right(), cpu=wrong()).suspect == "cpu"
    assert diagnosed(ane=wrong(), cpu=5 * wrong()).suspect == "cpu"


def test_all_units_together_are_the_suspect_only_if_none_is_wrong_by_itself():
    assert diagnosed(ane=wrong(), all=5 * wrong()).suspect == "ane"
    assert diagnosed(ane=right(), all=wrong()).suspect == "all"
    a_little = EXACT + 2 * 2.0**-9
    assert diagnosed(ane=right(), all=a_little).suspect == "ane"
    found = diagnosed(cpu=right(), ane=right(), all=wrong())
    assert found.who[0] == "rounding explains the CPU and ANE, and not the ALL"


def test_all_units_together_are_no_second_witness():
    same = wrong()
    said = "agree with each other and not with the reference"
    assert said not in diagnosed(ane=same, all=same).who[0]
    assert diagnosed(ane=same, all=same).who[0] == "rounding does not explain the ANE and ALL"
    assert said in diagnosed(cpu=same, ane=same, all=same).who[0]


def test_the_limit_decides_who_is_wrong():
    a_little = EXACT + 20 * 2.0**-9
    assert diagnosed(ane=a_little).who
    assert diagnosed(limit=21, ane=a_little).who == ()


def test_an_unfit_input_accuses_nobody():
    unfit = Envelope(EXACT, np.full(4, 10.0), np.zeros(4, bool), ())
    found = diagnose(Numbers({"cpu": [right()], "ane": [200 * right()]}), unfit, (), {})
    assert {a.word for a in found.assessments.values()} == {"unfit"}
    assert found.who == ()


# --- bits and repeats


def test_the_same_bits_of_cpu_and_neural_engine():
    said = "the CPU and the Neural Engine gave the same bits: the Neural Engine was probably not"
    for array in (right(), wrong()):
        assert any(said in who for who in diagnosed(cpu=array, ane=array.copy()).who)
    one_bit = right()
    one_bit.flat[0] = np.nextafter(one_bit.flat[0], 9)
    assert diagnosed(cpu=right(), ane=one_bit).who == ()
    assert diagnosed(cpu=right(), gpu=right()).who == ()  # the GPU is another matter


@pytest.mark.parametrize("others", [0, 1, 2, 4])
def test_flaky_repeats_are_counted(others):
    calls = [right()] + [right(i + 1) for i in range(others)] + [right()] * (5 - others)
    found = diagnosed(ane=calls, cpu=[right(9)] * 3)
    expected = f"the ANE is flaky: {others} of 5 repeats differ in bits from the first call"
    assert found.who == ((expected,) if others else ())


def test_nan_and_negative_zero_are_compared_by_their_bits():
    first = right()
    first[0, 0, 0, :2] = 0, np.nan
    second = first.copy()
    assert diagnosed(ane=[first, second]).who == diagnosed(ane=first).who
    second[0, 0, 0, 0] = -0.0
    assert "1 of 1 repeats" in diagnosed(ane=[first, second]).who[-1]


@pytest.mark.parametrize("turns", [(False, True, True), (True, False, True), (True, True, False)])
def test_a_unit_that_is_wrong_in_one_run_is_wrong_in_whichever_it_is(turns):
    found = diagnosed(ane=[right() if good else wrong() for good in turns], cpu=right(9))
    assert (found.suspect, found.worst.word, found.when) == ("ane", "diverges", "in 1 of 3 runs")
    assert found.assessments["ane"].wrong == (not turns[0])  # that is of the first
    assert found.who[0] == "rounding explains the CPU, and not the ANE in 1 of 3 runs"
    assert "repeats differ in bits from the first call" in found.who[1]
    assert "S1" in [one.code for one in found.signatures]


def test_only_what_is_wrong_in_every_run_agrees_with_another():
    found = diagnosed(cpu=[right(), wrong()], gpu=[right(), wrong()])
    assert found.who[0] == "rounding does not explain the CPU in 1 of 2 runs and GPU in 1 of 2 runs"


@pytest.mark.parametrize("good", [(True, True), (True, False), (False, True), (False, False)])
def test_the_cold_start_is_a_run_by_itself(good):
    """It is none of the repeats, whether it is right or not."""
    cold, later = (right(1) if ok else wrong(1) for ok in good)
    found = diagnosed(ane=[later, later], cold={"ane": cold}, cpu=right(9))
    assert len(found.calls["ane"]) == 2
    assert [a.wrong for a in found.every("ane")] == [not good[1], not good[1], not good[0]]
    assert found.worst.wrong == (good != (True, True))
    assert found.when == ("at its cold start alone" if good == (False, True) else "")
    history = [one for one in found.signatures if one.code == "S1"]
    assert [one.title for one in history] == (
        ["Cold start and later calls differ"] if good[0] != good[1] else []
    )
    assert not any("flaky" in who for who in found.who)
    same = np.array_equal(cold, later)
    said = "gave the same bits at its cold start and later" if same else (
        f"gave other bits at its cold start than later: {found.cold['ane'].word} "
        f"({counted(found.cold['ane'].ratio)} times what rounding explains)"
    )  # fmt: skip
    assert found.who[-1] == f"the ANE {said}"


def test_a_cold_start_that_nothing_followed():
    found = diagnosed(cpu=right(9), cold={"ane": wrong()})
    assert (found.suspect, list(found.calls)) == ("cpu", ["cpu"])
    assert found.who[-1].startswith("the ANE gave at its cold start: diverges (")
    assert diagnosed(cpu=right(9), cold={"ane": wrong()[..., :1]}).cold == {}


# --- shapes, and what is missing


def test_every_call_of_the_outputs_shape_has_its_assessment():
    known = diagnosed(ane=[right(), wrong(), right(), right()[:, :1]], cpu=[right()])
    assert [a.wrong for a in known.calls["ane"]] == [False, True, False]
    assert known.calls["ane"][0] == known.assessments["ane"]
    assert known.calls["cpu"] == (known.assessments["cpu"],)
    odd = diagnosed(ane=[right()[:, :1], right()], cpu=[right(1)])
    assert {unit: len(calls) for unit, calls in odd.calls.items()} == {"ane": 1, "cpu": 1}
    assert not any("flaky" in who for who in odd.who)  # the other is lost, as `unit_result` says


def test_the_limit_reaches_every_call():
    known = diagnosed(limit=1e9, ane=[right(), wrong()])
    assert [a.word for a in known.calls["ane"]] == ["rounding", "rounding"]


def test_no_numbers_of_the_outputs_shape_is_no_diagnosis():
    assert diagnosed() is None
    assert diagnosed(ane=EXACT[..., :1], cpu=np.zeros(0)) is None


def test_a_unit_of_another_shape_is_left_out():
    found = diagnosed(ane=EXACT[..., :1], cpu=right(), gpu=[wrong(), wrong()[..., :2]])
    assert list(found.assessments) == ["cpu", "gpu"]
    assert found.suspect == "gpu"
    assert len(found.calls["gpu"]) == 1


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 4, 5, 6), True), ((4, 5, 6), True), ((4, 1, 5, 6, 1), True), ((4, 6, 5), False),
     ((120,), False), ((), False), ((0, 4, 5, 6), False)],
)  # fmt: skip
def test_shapes_that_fit(shape, expected):
    assert fits(np.zeros(shape), BOUNDS) == expected


# --- what the signatures are given


def test_the_suspects_signatures_come_with_it():
    found = diagnosed(cpu=right(), ane=wrong(1))
    assert found.signatures[0].code == "G1"
    assert "does not identify the responsible stage" in found.signatures[0].says
    assert [one.code for one in diagnosed(ane=right()).signatures] == ["B0"]


def test_biases_and_the_previous_output_reach_the_signatures():
    bias = RNG.randn(4)
    held = np.broadcast_to(bias.astype(np.float16).reshape(4, 1, 1), EXACT.shape)
    codes = [s.code for s in diagnosed(ane=held, biases={"conv": bias}).signatures]
    assert codes[0] == "K2"
    before = RNG.rand(*EXACT.shape)
    found = diagnosed(ane=before, previous=before)
    assert "S1" in [one.code for one in found.signatures]
    odd = diagnosed(ane=before, previous=before[..., :2])
    assert "S1" not in [one.code for one in odd.signatures]


def test_the_plan_of_the_neural_engines_run_reaches_the_signatures():
    operations = (PlannedOperation(name="a", kind="conv", planned="cpu"),
                  PlannedOperation(name="b", kind="conv", planned="cpu"))  # fmt: skip
    planned = Run(unit="ane", input="i", outputs={}, plan=Plan(operations=operations))
    assert "X0" in [one.code for one in diagnosed(runs=[planned], ane=right()).signatures]
    assert "X0" not in [one.code for one in diagnosed(runs=[planned], cpu=right()).signatures]


# --- from runs to numbers


@pytest.fixture
def referee(one_layer, tmp_path):
    path = tmp_path / "m.mlmodel"
    spec = one_layer("activation", [(1, 3, 2, 2)], fill=lambda p: p.linear.SetInParent())
    path.write_bytes(spec.SerializeToString())
    return Referee(path)


def run(unit, repeat=0, **outputs):
    return Run(unit=unit, input="i", repeat=repeat, outputs=values(outputs))


def test_calls_are_in_the_order_of_their_repeats(referee):
    x = np.arange(12, dtype=np.float16).reshape(1, 3, 2, 2)
    runs = [run("ane", 2, out0=x + 2), run("ane", 0, out0=x), run("cpu", 0, out0=x + 5),
            run("ane", 1, out0=x + 1)]  # fmt: skip
    found = numbers(referee, "out0", runs)
    assert [call.flat[0] for call in found.calls["ane"]] == [0, 1, 2]
    assert found.first("ane").flat[0] == 0
    assert found.first("cpu").flat[0] == 5
    assert found.first("gpu") is None
    assert found.first("ane").dtype == np.float64


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_cold_start_is_none_of_the_calls_wherever_it_stands(referee, place):
    x = np.arange(12, dtype=np.float16).reshape(1, 3, 2, 2)
    runs = [run("ane", 0, out0=x), run("ane", 1, out0=x + 1)]
    runs.insert(place, run("ane", 0, out0=x + 7).model_copy(update={"start": "cold"}))
    found = numbers(referee, "out0", runs)
    assert [call.flat[0] for call in found.calls["ane"]] == [0, 1]
    assert found.cold["ane"].flat[0] == 7


def test_what_is_no_array_gives_no_numbers(referee):
    failed = Run(unit="gpu", input="i", failure=Failure(stage="load", message="m"))
    runs = [run("cpu", out0="cat"), run("ane", out0={"a": 1.0}), failed, run("all", other=EXACT)]
    assert numbers(referee, "out0", runs).calls == {}


def test_an_image_is_read_in_the_order_of_its_channels(tmp_path):
    """PIL's image in RGB, or the array of a feature that is BGR."""
    spec = network({"x": (1, 3, 2, 2)}, ["y"], ("activation", "x", "y", {"linear": None}))
    spec.neuralNetwork.layers[0].activation.linear.alpha = 1
    kind = spec.description.output[0].type.imageType
    kind.width = kind.height = 2
    kind.colorSpace = 30  # BGR
    path = tmp_path / "i.mlmodel"
    path.write_bytes(spec.SerializeToString())
    pixels = RNG.randint(0, 256, (2, 2, 3)).astype(np.uint8)  # rows, columns, RGB
    given = pixels[..., ::-1].transpose(2, 0, 1)[None]  # BGR, channels first
    judge = Referee(path)
    bounds = judge.compute({"x": given.astype(np.float32)}).envelopes["y"]
    np.testing.assert_array_equal(bounds.reference, given)
    for value in (pixels, given):
        found = numbers(judge, "y", [run("ane", y=value)])
        assert diagnose(found, bounds, (), {}).worst.word == "exact"
    found = numbers(judge, "y", [run("ane", y=255 - pixels), run("cpu", y="no image")])
    assert list(found.calls) == ["ane"]
    assert diagnose(found, bounds, (), {}).worst.word == "diverges"


def classifying(path):
    spec = network({"x": (3, 1, 1)}, [], ("softmaxND", "x", "p", {"axis": -3}))
    classifier = proto("Model_pb2").Model()
    classifier.CopyFrom(spec)
    classifier.neuralNetworkClassifier.layers.extend(spec.neuralNetwork.layers)
    classifier.neuralNetworkClassifier.arrayInputShapeMapping = 1
    classifier.neuralNetworkClassifier.stringClassLabels.vector.extend(["z", "a", "m"])
    classifier.neuralNetworkClassifier.labelProbabilityLayerName = "p"
    classifier.description.output.add(name="odds").type.dictionaryType.stringKeyType.SetInParent()
    classifier.description.output.add(name="label").type.stringType.SetInParent()
    classifier.description.predictedFeatureName = "label"
    classifier.description.predictedProbabilitiesName = "odds"
    path.write_bytes(classifier.SerializeToString())
    return Referee(path)


def test_scores_are_read_by_their_labels(tmp_path):
    judge = classifying(tmp_path / "c.mlmodel")
    x = np.array([0.1, 2.0, -1.0]).reshape(3, 1, 1)
    odds = np.exp(x.ravel()) / np.exp(x).sum()
    bounds = judge.compute({"x": x}).envelopes["odds"]
    right_scores = dict(zip("zam", odds, strict=True))
    for order in ("zam", "maz", "azm"):
        found = numbers(judge, "odds", [run("ane", odds={k: right_scores[k] for k in order})])
        np.testing.assert_allclose(found.first("ane"), odds)
        assert not diagnose(found, bounds, (), {}).worst.wrong
    swapped = dict(zip("azm", odds, strict=True))
    found = numbers(judge, "odds", [run("ane", odds=swapped, label="a")])
    assert diagnose(found, bounds, (), {}).worst.word == "diverges"
    for odd in ({"z": 1.0}, "z", 3):
        assert diagnose(numbers(judge, "odds", [run("ane", odds=odd)]), bounds, (), {}) is None


def test_a_programs_numbers(tmp_path):
    judge = Referee(saved(affine("fp16"), tmp_path / "a.mlpackage"))
    found = numbers(judge, "y", [run("gpu", y=np.ones((2, 3), np.float16))])
    assert found.first("gpu").tolist() == [[1, 1, 1]] * 2
