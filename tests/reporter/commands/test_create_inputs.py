"""`anereport create --inputs`: the reference, and what a Mac measures, are of the user's arrays."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from misbehaving import model, told
from typer.testing import CliRunner

import migrate
from reporter.cli import app
from reporter.measure import record


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model(tmp_path / "m.mlmodel")
    np.savez("x.npz", **{"in::x": np.full((1, 2, 3, 4), 3, np.float32)})
    return tmp_path


def create(*options):
    command = ["create", "m.mlmodel", "--budget", "0", "--inputs", "x.npz", *options]
    return CliRunner().invoke(app, command)


@pytest.mark.skipif(sys.platform == "darwin", reason="says what systems without Core ML say")
def test_the_reference_is_of_the_users_inputs(here):
    result = create()
    assert result.exit_code == 0, result.output
    report = (here / "m-report/report.md").read_text()
    assert "input user" in report
    assert "0.9" in report  # 0.3 * 3


def test_a_mac_measures_the_users_inputs(here, monkeypatch):
    told(monkeypatch, here)
    assert create().exit_code == 0
    found = record.load(here / "m-report/records/measured.json")
    assert {run.input for run in found.runs} == {"user"}
    np.testing.assert_array_equal(found.inputs["user"]["x"].array(), np.full((1, 2, 3, 4), 3))


def test_inputs_that_are_not_the_models_and_inputs_of_records_are_refused(here):
    np.savez("x.npz", z=np.zeros(3))
    result = create()
    assert (result.exit_code, "m.mlmodel has no input 'z'" in result.stderr) == (1, True)
    result = create("--record", "r.json")
    assert (result.exit_code, "a --record has its own" in result.stderr) == (1, True)
    assert not (here / "m-report").exists()


def test_a_shape_that_is_not_the_models_is_refused(here):
    np.savez("x.npz", x=np.zeros((1, 2, 4, 3)))
    result = create()
    assert result.exit_code == 1
    assert "input 'x' has the shape 1x2x3x4, not 1x2x4x3" in result.stderr
    assert not (here / "m-report").exists()


def test_a_mac_does_not_measure_what_only_its_own_app_can_load(here, monkeypatch):
    compiled = told(monkeypatch, here)
    spec = migrate.load_spec(here / "m.mlmodel")
    spec.neuralNetwork.layers[0].custom.className = "Mine"
    (here / "m.mlmodel").write_bytes(spec.SerializeToString())
    result = create()
    assert result.exit_code == 0, result.output
    assert not compiled.exists()
    assert "not measured" in (here / "m-report/report.md").read_text()
