"""`anereport run` where units misbehave, and what `anereport explain` then says."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from misbehaving import model, told
from typer.testing import CliRunner

from reporter.cli import app
from reporter.measure import coreml, record


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model(tmp_path / "m.mlmodel")
    return tmp_path


def done(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def measured(monkeypatch, here, *more, **units):
    """What the command says of units that do so, and what is explained of their record."""
    told(monkeypatch, here, **units)
    said = done("run", "m.mlmodel", "--out", "r.json", "--seeds", "1", "--repeats", "2", *more)
    return said, done("explain", "r.json", "--model", "m.mlmodel", "--budget", "0")


def test_units_that_are_right(here, monkeypatch):
    said, explained = measured(monkeypatch, here, "--label", "a desk")
    assert said == "m.mlmodel: measured on cpu, gpu, ane, all\nwrote r.json\n"
    assert explained.startswith("rounding: output 'y' on the ")
    assert "MEASURED results of m.mlmodel on a desk" in explained
    assert "flaky" not in explained


@pytest.mark.parametrize(
    ("ane", "run_says", "explained_says"),
    [
        (
            "load:9",
            "ane failed in load (seed-0, cold start): its process was ended by signal 9 (SIGKILL)",
            ["failed: output 'y'", "failed in load: its process was ended by signal 9 (SIGKILL)"],
        ),
        (
            "predict:11",
            "ane failed in predict (seed-0): its process was ended by signal 11 (SIGSEGV)",
            ["failed in predict: its process was ended by signal 11 (SIGSEGV)"],
        ),
        (
            "load:raise",
            "ane failed in load (seed-0): RuntimeError: it is not to be had",
            ["failed in load: RuntimeError: it is not to be had"],
        ),
        ("shape", "measured on cpu, gpu, ane, all", ["of another shape: 1x2x3x5"]),
        ("nan", "measured on cpu, gpu, ane, all", ["diverges: output 'y'", "24 values are NaN"]),
        (
            "wrong",
            "measured on cpu, gpu, ane, all",
            ["Stuck constant: All 24 values are 0.2047119"],
        ),
        ("flaky", "measured on cpu, gpu, ane, all", ["is flaky:"]),
        ("cpu", "measured on cpu, gpu, ane, all", ["gave the same bits", "probably not used"]),
    ],
)
def test_what_is_said_of_a_neural_engine_that(here, monkeypatch, ane, run_says, explained_says):
    said, explained = measured(monkeypatch, here, ane=ane)
    assert f"m.mlmodel: {run_says}\n" in said
    for words in explained_says:
        assert words in explained
    assert "  CPU: exact" in explained


def test_a_unit_that_hangs_is_given_up_after_the_timeout(here, monkeypatch):
    said, explained = measured(monkeypatch, here, "--timeout", "2", gpu="predict:hang")
    assert "m.mlmodel: measured on cpu, ane, all\n" in said
    assert "gpu failed in predict (seed-0): it did not end within 2 s" in said
    assert "GPU: failed in predict: it did not end within 2 s" in explained


def test_the_last_words_of_the_compiler_are_in_the_record(here, monkeypatch):
    measured(monkeypatch, here, ane="message")
    runs = json.loads((here / "r.json").read_text())["runs"]
    (words,) = {line for run in runs for line in run["messages"]}
    assert "ANECCompile() FAILED" in words
    assert "jane" not in (here / "r.json").read_text()


def test_a_model_that_does_not_compile_is_measured_nowhere(here, monkeypatch):
    said, explained = measured(monkeypatch, here, compile="compile:raise")
    assert said.startswith("m.mlmodel: measured on no unit\nm.mlmodel: cpu failed in compile")
    assert explained.startswith("failed: output 'y': CPU failed in compile")


def test_a_report_is_made_of_what_is_left(here, monkeypatch):
    measured(monkeypatch, here, "--controls", ane="predict:9", gpu="nan")
    done("create", "m.mlmodel", "--record", "r.json", "--budget", "0")
    report = (here / "m-report/report.md").read_text()
    assert "input impulse" in report
    assert "failed in predict: its process was ended by signal 9 (SIGKILL)" in report
    assert "Diverges: output 'y' on the GPU" in report


def test_simulated_seeds_repeats_and_controls(here):
    more = ("--seeds", "2", "--repeats", "2", "--controls", "--out", "r.json")
    done("run", "m.mlmodel", "--simulate", "zeroed@scale", *more)
    found = record.load(here / "r.json")
    assert list(found.inputs) == ["seed-0", "seed-1", "ramp", "impulse", "zeros", "ones"]
    assert len(found.runs) == 3 * 6 * 2
    explained = done("explain", "r.json", "--model", "m.mlmodel", "--budget", "0")
    assert explained.startswith("diverges: output 'y' on the ANE (SIMULATED)")


def test_own_inputs(here, monkeypatch):
    np.savez("x.npz", x=np.full((1, 2, 3, 4), 3, np.float32))
    told(monkeypatch, here)
    done("run", "m.mlmodel", "--inputs", "x.npz", "--repeats", "1", "--out", "r.json")
    (given,) = record.load(here / "r.json").inputs.values()
    np.testing.assert_array_equal(given["x"].array(), np.full((1, 2, 3, 4), 3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seeds", "0"], "--seeds is 1 or more, not 0"),
        (["--repeats", "-1"], "--repeats is 1 or more, not -1"),
        (["--timeout", "0"], "--timeout is a number of seconds above 0"),
        (["--inputs", "x.npz", "--controls"], "--inputs takes the place of"),
    ],
)
def test_options_that_cannot_be(here, monkeypatch, options, words):
    told(monkeypatch, here)
    result = CliRunner().invoke(app, ["run", "m.mlmodel", "--out", "r.json", *options])
    assert (result.exit_code, words in result.stderr) == (1, True), result.output
    assert not (here / "r.json").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="says what systems without Core ML say")
def test_elsewhere_it_names_the_ways_on_and_writes_nothing(here):
    assert not coreml.available()
    result = CliRunner().invoke(app, ["run", "m.mlmodel", "--out", "deep/r.json"])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    for words in ("on Macs", "run this command on a Mac", "'anereport runner m.mlmodel'"):
        assert words in line
    assert [p.name for p in here.iterdir()] == ["m.mlmodel"]
