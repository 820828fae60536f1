"""The whole way on a Mac, with Core ML in the place of every stand-in. Not yet run anywhere.

Core ML's CPU is held against our own reference, of the samples and of what they become; then the
command line measures, explains and reports. Which units are right is for the record to tell.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import migrate
from reporter.cli import app
from reporter.measure import measuring, record
from reporter.measure.device import this_device
from reporter.measure.inputs import Schedule
from reporter.understand.reference import arrays

pytestmark = [
    pytest.mark.mac,
    pytest.mark.skipif(sys.platform != "darwin", reason="needs Core ML"),
]
SECONDS = 120  # for a unit: a virtual machine may hang in the Neural Engine's compiler
LIMIT = 8.0  # times what float32's rounding explains, or float16's of an ML Program in float16


def anereport(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def cpu_runs(path):
    """What Core ML's CPU gives, with its inputs."""
    found = measuring.measure(path, schedule=Schedule(seeds=2, repeats=1), seconds=SECONDS)
    runs = [r for r in found.runs if r.unit == "cpu"]
    assert runs
    assert not any(r.failure for r in runs), runs[0].failure
    return [(arrays(found.inputs[r.input]), arrays(r.outputs)) for r in runs]


def test_the_cpu_gives_what_the_torch_module_gives(samples):
    path = samples / "Block.mlmodel"
    net = migrate.to_torch(path)
    for inputs, outputs in cpu_runs(path):
        for name, envelope in migrate.envelopes(net, dict(inputs), "fp32").items():
            assert envelope.ratio(outputs[name]).max() <= LIMIT


@pytest.mark.parametrize("precision", migrate.PRECISIONS)
def test_the_cpu_gives_what_the_evaluator_gives(samples, tmp_path, precision):
    program = migrate.to_mlprogram(samples / "Block.mlmodel", precision)
    path = tmp_path / "Block.mlpackage"
    migrate.save(program, path)
    net = migrate.to_torch(samples / "Block.mlmodel")
    for inputs, outputs in cpu_runs(path):
        for name, envelope in migrate.envelopes(net, dict(inputs), precision).items():
            assert envelope.ratio(outputs[name]).max() <= LIMIT


def test_from_the_model_to_the_report(samples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = samples / "Block.mlmodel"
    anereport("run", model, "--out", "record.json", "--repeats", 2, "--timeout", SECONDS)
    found = record.load(tmp_path / "record.json")
    assert {r.unit for r in found.runs} == {"cpu", "gpu", "ane"}
    assert found.device.system == "macOS"
    assert found.device.build
    assert "Block.mlmodel" in anereport("explain", "record.json", "--model", model)
    anereport("create", model, "--record", "record.json", "--out", "report")
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    assert not content["simulated"]


def test_variants_are_measured_and_read(samples, tmp_path, monkeypatch):
    if this_device().virtual:
        pytest.skip("a virtual machine has no Neural Engine to measure so many models on")
    monkeypatch.chdir(tmp_path)
    model = samples / "Block.mlmodel"
    anereport("variants", model, "--out", "variants")
    anereport("run", "variants", "--out", "records", "--seeds", 1, "--repeats", 1)
    said = anereport("variants", model, "--out", "variants", "--record", "records")
    assert said.startswith("MEASURED on ")


def test_the_app_builds(samples, tmp_path):
    """By Xcode's own compiler, for the simulator: signing takes a person."""
    project = tmp_path / "Block.swiftpm"
    anereport("runner", samples / "Block.mlmodel", "--out", project)
    listed = subprocess.run(
        ["xcodebuild", "-list", "-json"], cwd=project, capture_output=True, text=True, check=True
    )
    scheme = json.loads(listed.stdout)["workspace"]["schemes"][0]
    built = subprocess.run(
        [
            "xcodebuild", "-scheme", scheme, "-destination", "generic/platform=iOS Simulator",
            "-derivedDataPath", tmp_path / "build", "CODE_SIGNING_ALLOWED=NO", "build",
        ],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]


def test_the_machine_is_known(tmp_path):
    found = json.loads(anereport("doctor", "--json"))
    assert found["device"]["identifier"]
    assert found["device"]["chip"]
