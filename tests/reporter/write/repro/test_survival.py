"""Records of the models that the script builds, simulated here, and what is made of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_block import small_block

import migrate
from reporter.measure import results
from reporter.measure.arrays import load_inputs
from reporter.measure.identity import identify
from reporter.measure.record import Failure, Run, dumps
from reporter.measure.simulate import simulate
from reporter.write import repro
from reporter.write.create import Options, create
from reporter.write.repro import exact
from reporter.write.repro.script import spec_of

FAULT = "bias-only@three"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small network, what its script builds, and records of each: healthy and with a fault."""
    place = tmp_path_factory.mktemp("survival")
    model = place / "small.mlmodel"
    model.write_bytes(small_block().SerializeToString(deterministic=True))
    made = repro.generate(model)
    for kind in made.kinds:
        file = place / f"repro-{kind}.mlmodel"
        file.write_bytes(spec_of(made, kind).SerializeToString(deterministic=True))
    given = exact.inputs(migrate.read(model))
    for fault in ("none", FAULT):
        name = fault.partition("-")[0]
        for kind in made.kinds:
            inputs = given if kind == "exact" else None
            record = simulate(place / f"repro-{kind}.mlmodel", fault, inputs)
            (place / f"{kind}-{name}.json").write_text(dumps(record))
        (place / f"real-{name}.json").write_text(dumps(simulate(model, fault)))
    return place


@pytest.fixture(scope="module")
def ran(folder):
    """The script's end in clean processes, once for all reports of this file."""
    model = folder / "small.mlmodel"
    made = repro.generate(model)
    return repro.execute(made.script, model, made.kinds)


@pytest.fixture(autouse=True)
def _ran_before(ran, monkeypatch):
    monkeypatch.setattr(repro, "execute", lambda script, model, kinds: ran)


def report(folder, out, *names):
    """Return the report of these records."""
    options = Options(records=[folder / f"{name}.json" for name in names])
    return create(folder / "small.mlmodel", out, options)


def told(report):
    return {weights.kind: (weights.survived, weights.said) for weights in report.repro.weights}


def test_nothing_is_said_of_what_nobody_measured(folder, tmp_path):
    found = report(folder, tmp_path / "out")
    assert {k: v[0] for k, v in told(found).items()} == dict.fromkeys(
        ("real", "seeded", "exact"), "not measured"
    )
    commands = [m.command for m in found.missing if "weights of repro.py" in m.what]
    assert commands == [
        "python repro.py --weights seeded --out seeded.npz",
        "python repro.py --weights exact --out exact.npz",
    ]
    assert "not measured with exact weights" in (tmp_path / "out" / "report.md").read_text()
    built = {w.kind: w.identity.sha256_without_metadata for w in found.repro.weights}
    for kind in ("seeded", "exact"):  # those of the clean processes are those of this one
        identity = identify(folder / f"repro-{kind}.mlmodel")
        assert built[kind] == identity.sha256_without_metadata
    known = repro.identities(repro.generate(folder / "small.mlmodel"), tmp_path)
    assert known == found.repro.identities  # before it was run


def test_a_divergence_that_is_there_with_all_weights(folder, tmp_path):
    found = report(folder, tmp_path / "out", "real-bias", "seeded-bias", "exact-bias")
    assert found.simulated
    said = told(found)
    assert said["real"][0] == said["seeded"][0] == said["exact"][0] == "survived"
    assert said["real"][1].startswith("diverged with the model's own weights (simulated): ")
    assert said["seeded"][1].startswith("diverged with seeded weights too (simulated): output")
    right, wrong = (by_hand(folder, fault) for fault in ("none", "bias"))
    apart = np.abs(right - wrong)
    assert said["exact"][1] == (
        f"diverged with exact weights too (simulated): {np.count_nonzero(apart)} of {apart.size} "
        f"elements of output 'out' differ, by up to {apart.max():.6g}, where none may"
    )
    for name in ("report.md", "forum.md", "feedback.txt", "github.md", "report.html"):
        assert "diverged with exact weights too (simulated)" in (
            (tmp_path / "out" / name).read_text().replace("\n", " ").replace("  ", " ")
        ), name
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [w["kind"] for w in content["repro"]["weights"]] == ["real", "seeded", "exact"]
    assert content["repro"]["weights"][2]["records"] == ["exact-bias.json"]


def by_hand(folder, name):
    """Return what the Neural Engine gave of the exact model, from its record as JSON."""
    record = results.load(folder / f"exact-{name}.json", None, None)
    (run,) = [run for run in record.runs if run.unit == "ane"]
    return run.outputs["out"].array().astype(np.float64)


def test_one_that_is_gone_with_other_weights(folder, tmp_path):
    found = report(folder, tmp_path / "out", "real-bias", "seeded-none", "exact-none")
    said = told(found)
    assert said["real"][0] == "survived"
    assert said["seeded"][0] == said["exact"][0] == "did not survive"
    size = by_hand(folder, "none").size
    assert said["exact"][1] == (
        "did not diverge with exact weights (simulated): "
        f"all {size} elements are exactly as they must be"
    )


def test_other_inputs_than_the_exact_ones_show_nothing(folder, tmp_path):
    record = simulate(folder / "repro-exact.mlmodel", FAULT)
    path = tmp_path / "other.json"
    path.write_text(dumps(record))
    found = create(folder / "small.mlmodel", tmp_path / "out", Options(records=[path]))
    assert told(found)["exact"] == (
        "not measured",
        "not measured by the Neural Engine on the inputs of exact weights (repro.py inputs)",
    )


def test_a_record_of_yet_another_model_is_refused(folder, tmp_path):
    other = tmp_path / "other.mlmodel"
    spec = small_block()
    spec.neuralNetwork.layers[0].convolution.bias.floatValue[0] += 1
    other.write_bytes(spec.SerializeToString())
    path = tmp_path / "r.json"
    path.write_text(dumps(simulate(other, "none")))
    with pytest.raises(migrate.AnereportError, match="is a record of another model: other"):
        create(folder / "small.mlmodel", tmp_path / "out", Options(records=[path]))


def test_what_the_script_keeps_is_of_the_exact_model(folder, tmp_path):
    given = exact.inputs(migrate.read(folder / "small.mlmodel"))
    right = by_hand(folder, "none").astype(np.float32)
    wrong = right.copy()
    wrong.flat[5] += 2
    sha = identify(folder / "repro-exact.mlmodel").sha256_without_metadata
    kept = {f"in::{name}": x for name, x in given.items()}
    kept |= {"cpu::out": right, "ane::out": wrong, "model": np.array(sha)}
    np.savez(tmp_path / "kept.npz", **kept, weights=np.array("exact"))
    assert load_inputs(tmp_path / "kept.npz").keys() >= given.keys()
    options = Options(records=[tmp_path / "kept.npz"])
    found = create(folder / "small.mlmodel", tmp_path / "out", options)
    assert told(found)["exact"] == (
        "survived",
        f"diverged with exact weights: 1 of {right.size:,} elements of output 'out' differ, "
        "by up to 2, where none may",
    )
    assert not found.simulated
    assert told(found)["real"][0] == "not measured"


def test_a_prediction_that_fails_is_a_divergence(folder, tmp_path):
    record = results.load(folder / "exact-none.json", None, None)
    broken = Run(unit="ane", input="user", failure=Failure(stage="predict", message="on purpose"))
    runs = tuple(broken if run.unit == "ane" else run for run in record.runs)
    path = tmp_path / "broken.json"
    path.write_text(dumps(record.model_copy(update={"runs": runs})))
    found = create(folder / "small.mlmodel", tmp_path / "out", Options(records=[path]))
    assert told(found)["exact"] == (
        "survived",
        "diverged with exact weights (simulated): it failed in predict: on purpose",
    )


def test_a_cpu_that_is_wrong_too_is_told(folder, tmp_path):
    record = results.load(folder / "exact-bias.json", None, None)
    (ane,) = [run for run in record.runs if run.unit == "ane"]
    cpu = ane.model_copy(update={"unit": "cpu"})
    path = tmp_path / "both.json"
    path.write_text(dumps(record.model_copy(update={"runs": (cpu, ane)})))
    found = create(folder / "small.mlmodel", tmp_path / "out", Options(records=[path]))
    assert told(found)["exact"][1].endswith("where none may; the CPU is wrong too")
