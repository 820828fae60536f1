from __future__ import annotations

import dataclasses
import shlex

import numpy as np
import pytest

from reporter.measure.identity import ModelIdentity
from reporter.understand.circumstances import Circumstances
from reporter.understand.comparison import Comparison, UnitResult
from reporter.understand.divergence import Row, Table, compare
from reporter.understand.sides import Placement
from reporter.understand.understood import Bounds, Understood
from reporter.write.report import report as reports
from reporter.write.report.model_facts import ModelFacts, model_facts
from reporter.write.report.report import compose, software
from reporter.write.repro import Repro

IDENTITY = ModelIdentity(
    name="T.mlmodel", kind="neuralNetwork", spec_version=4, sha256="0" * 64,
    sha256_without_metadata="0" * 64, size=9,
)  # fmt: skip
FACTS = ModelFacts(IDENTITY, (), (), ())
COLUMNS = ("Reference", "CPU", "GPU", "ANE")
ONES = np.ones(8)


def metrics(beyond):
    found = ONES.copy()
    found[:beyond] += 1
    return compare(found, ONES)


def compared(evidence="measured", device="a Mac", **beyond):
    """Return a comparison in which each unit has so many values beyond, or a failure's text."""
    units = []
    for unit in ("cpu", "gpu", "ane"):
        value = beyond.get(unit, "not measured")
        if isinstance(value, str):
            units.append(UnitResult(unit, value))
        else:
            units.append(UnitResult(unit, evidence, metrics(value)))
    table = Table(COLUMNS, ("c",), ())
    return Comparison(
        "y", (8,), "r.json", device, evidence, "seed-0", "computed here", tuple(units), table
    )


def listed(*rows, units=("cpu", "gpu", "ane")):
    results = tuple(
        UnitResult(u, "stated by the user" if u in units else "not measured")
        for u in ("cpu", "gpu", "ane")
    )
    table = Table(COLUMNS, ("c",), (None, *(Row(i, (i,), ("", *r)) for i, r in enumerate(rows))))
    return Comparison(
        "y", (8,), "t.txt", "", "stated by the user", "", "not comparable", results, table,
        ("One statement.", "Another."),
    )  # fmt: skip


def composed(*comparisons, devices=(), tolerance=0.01):
    understood = Understood(Bounds(tolerance), comparisons)
    return compose(FACTS, understood, devices, Repro("", "anereport", ""))


def test_the_title_claims_no_more_than_the_comparison():
    """Where results carry no inputs the CPU stands in, and nobody knows which one is wrong."""
    for count, verb in ((0, "agrees with"), (2, "differs from")):
        other = dataclasses.replace(compared(ane=count), against="the CPU's values")
        assert composed(other).title == (
            f"Core ML: T.mlmodel on the Neural Engine {verb} the CPU's values"
        )


@pytest.mark.parametrize(
    ("comparisons", "title"),
    [
        ([], "Core ML: T.mlmodel, numbers per compute unit (no device results yet)"),
        ([compared()], "Core ML: T.mlmodel, numbers per compute unit (no device results yet)"),
        ([compared(cpu=0, gpu=3)], "Core ML: T.mlmodel, numbers per compute unit"),
        ([compared(ane="failed in load: x")], "Core ML: T.mlmodel, numbers per compute unit"),
        (
            [compared(cpu=0, gpu=0, ane=0)],
            "Core ML: T.mlmodel on the Neural Engine agrees with the reference",
        ),
        (
            [compared(ane=0), compared(ane=2)],
            "Core ML: T.mlmodel gives wrong numbers on the Neural Engine",
        ),
        (
            [compared(evidence="simulated", ane=2)],
            "SIMULATED: Core ML: T.mlmodel gives wrong numbers on the Neural Engine",
        ),
        (
            [listed(("1", "1", "2"))],
            "Core ML: T.mlmodel, different numbers on CPU, GPU and Neural Engine",
        ),
        ([listed(("1", "1.0", "1"))], "Core ML: T.mlmodel, numbers on CPU, GPU and Neural Engine"),
        (
            [listed(("", "1", "2"), units=("gpu", "ane"))],
            "Core ML: T.mlmodel, different numbers on GPU and Neural Engine",
        ),
        ([listed(("1", "", ""), units=("cpu",))], "Core ML: T.mlmodel, numbers on CPU"),
    ],
)
def test_the_title_says_what_the_results_carry(comparisons, title):
    assert composed(*comparisons).title == title


def test_the_summary_counts_on_the_worst_comparison():
    report = composed(compared(cpu=0, ane=1), compared(cpu=0, gpu=2, ane=5), compared(ane=4))
    assert report.summary == (
        "of 8 values of output 'y', these differ from the reference by more than "
        "0.01 x max(|reference|, 1): 0 on CPU, 2 on GPU, 5 on ANE."
    )


def test_the_summary_without_the_neural_engine():
    assert composed(compared(cpu=0), compared(cpu=1, gpu=7)).summary.endswith("1 on CPU, 7 on GPU.")


def test_the_summary_of_what_could_not_be_compared():
    summary = composed(compared(ane="failed in load: no plan")).summary
    assert "nothing could be compared" in summary
    assert "ANE failed in load: no plan" in summary
    assert composed().summary.startswith("No compute unit has been measured yet")
    assert composed(compared()).summary.startswith("No compute unit has been measured yet")


def test_the_summary_of_simulated_numbers_says_so():
    assert composed(compared("simulated", ane=1)).summary.startswith("SIMULATED: ")
    mixed = composed(compared("simulated", ane=1), compared("measured", ane=4))
    assert mixed.simulated
    assert not mixed.summary.startswith("SIMULATED")  # the numbers it counts are measured


def test_the_summary_of_a_listing_is_its_statements():
    assert composed(listed(("1", "1", "2"))).summary == "One statement. Another."


def missing(*comparisons):
    return [m.what for m in composed(*comparisons).missing]


def test_what_is_missing():
    units = ["the CPU's numbers", "the GPU's numbers", "the Neural Engine's numbers"]
    others = missing(compared(cpu=0, gpu=0, ane=0))
    assert ["which edits" in others[0], "ML Program" in others[1]] == [True, True]
    assert missing(compared()) == [*units, *others]
    assert missing(compared(cpu=0), compared(ane=0)) == [units[1], *others]
    simulated = missing(compared("simulated", cpu=0, gpu=0, ane=0))
    assert simulated == ["every compute unit, as all results are simulated", *others]
    assert missing(compared("simulated", cpu=0), compared(ane=0)) == [*units[:2], *others]
    assert "the listing holds some rows alone" in missing(listed(("1", "1", "1")))[0]


@pytest.mark.parametrize("name", ["Block.mlmodel", "two words.mlmodel", "it's.mlmodel"])
def test_the_commands_name_the_model_as_a_shell_reads_it(name):
    facts = dataclasses.replace(FACTS, identity=IDENTITY.model_copy(update={"name": name}))
    report = compose(facts, Understood(Bounds(), ()), (), Repro("", "anereport", ""))
    commands = [shlex.split(m.command) for m in report.missing]
    assert commands[0] == ["anereport", "run", name, "--out", "record.json"]
    assert commands[-2:] == [["anereport", "variants", name], ["anereport", "migrate", name]]


def test_devices_are_named_once_with_how_they_are_known():
    report = composed(
        compared(ane=0), compared(ane=1), compared("simulated", "a simulator", ane=1),
        listed(("1", "1", "1")), devices=["iPhone 14", "iPhone 14"],
    )  # fmt: skip
    assert [(d.text, d.evidence) for d in report.devices] == [
        ("a Mac", "measured"), ("a simulator", "simulated"), ("iPhone 14", "stated by the user"),
    ]  # fmt: skip
    assert composed(compared()).devices[0].text == "a Mac"
    assert composed().devices == ()


def test_an_unknown_device_gives_way_to_the_one_stated():
    unknown = compared(device=reports.UNKNOWN, ane=0)
    assert [d.text for d in composed(unknown).devices] == ["unknown device"]
    assert [d.text for d in composed(unknown, devices=["iPhone 14"]).devices] == ["iPhone 14"]


def test_facts_of_a_model(one_layer, tmp_path):
    spec = one_layer("activation", [(2, 3)], fill=lambda p: p.ReLU.SetInParent())
    spec.description.output[0].type.multiArrayType.shape.extend([2, 4])
    path = tmp_path / "t.mlmodel"
    path.write_bytes(spec.SerializeToString())
    facts = model_facts(path)
    assert [(f.name, f.role, f.declared, f.computed) for f in facts.features] == [
        ("in0", "input", (2, 3), (2, 3)), ("out0", "output", (2, 4), (2, 3)),
    ]  # fmt: skip
    (layer,) = facts.layers
    assert (layer.name, layer.kind, layer.shape) == ("tested", "activation", (2, 3))
    (finding,) = facts.findings
    assert "declares output 'out0' as 2x4 while its layers give 2x3" in finding
    assert facts.unavailable == ""


def test_facts_of_a_model_that_cannot_be_run(one_layer, tmp_path):
    spec = one_layer("custom", [(2, 3)], className="Mine")
    path = tmp_path / "t.mlmodel"
    path.write_bytes(spec.SerializeToString())
    facts = model_facts(path)
    assert "Mine" in facts.unavailable or "custom" in facts.unavailable
    assert facts.layers[0].shape is None
    assert facts.features[1].computed is None
    assert facts.identity.name == "t.mlmodel"


def test_software_names_what_the_numbers_depend_on():
    names = [name for name, _ in software()]
    assert names == ["Python", "system", "anereport", "coremltools", "numpy", "torch"]
    assert dict(software())["numpy"] == np.__version__


def test_what_is_in_doubt_stands_beside_its_device():
    found = (
        Circumstances("a.json", "a Mac", "measured", ("it is no Mac",), ("it printed 'E5RT'",)),
        Circumstances("b.json", "a Mac", "measured", ("it is no Mac", "b.json is incomplete")),
        Circumstances("c.json", "a phone", "measured"),
    )
    understood = Understood(Bounds(), (compared(ane=0),), circumstances=found)
    report = compose(FACTS, understood, (), Repro("", "anereport", ""))
    assert [(d.text, d.doubts) for d in report.devices] == [
        ("a Mac", ("it is no Mac", "b.json is incomplete")), ("a phone", ()),
    ]  # fmt: skip
    assert report.printed == ("it printed 'E5RT'",)


def test_of_several_records_plans_the_least_is_told():
    whole, part = Placement(3, 3, ()), Placement(1, 3, ("a", "b"))
    known = [Circumstances("r.json", "a Mac", "measured", placement=p) for p in (whole, None, part)]
    understood = Understood(Bounds(), (), circumstances=tuple(known))
    assert compose(FACTS, understood, (), Repro("", "anereport", "")).placement == part
    assert composed(compared()).placement is None
