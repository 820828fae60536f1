"""`run` as a function: records appear whole, and what is finished survives whatever ends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from misbehaving import COMPILED, TOLD, model, told
from packages import affine, saved

from migrate import AnereportError
from migrate.coreml import proto
from reporter.measure import record
from reporter.write import run as running
from reporter.write.files.outputs import OutputError
from reporter.write.run import Options, Stopped

Model = proto("Model_pb2").Model
ON_A_MAC = sys.platform == "darwin"


@pytest.fixture
def one(tmp_path):
    return model(tmp_path / "m.mlmodel")


@pytest.fixture
def folder(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    for i, name in enumerate(("a", "b", "c")):
        model(models / f"{name}.mlmodel", shape=(1, 2, 3, 4 + i))
    return models


class Impatient:
    """Presses Ctrl-C when a step begins."""

    def __init__(self, at):
        self.at = at

    def expect(self, steps):
        pass

    def step(self, text):
        if text == self.at:
            raise KeyboardInterrupt


def names(path):
    return sorted(p.name for p in path.iterdir())


# --- one model


def test_the_record_of_a_mac_is_written_whole(one, tmp_path, monkeypatch):
    told(monkeypatch, tmp_path, ane="predict:9")
    options = Options(seeds=1, repeats=2, controls=True, seconds=60, label="a desk")
    (found,) = running.run(one, tmp_path / "deep/r.json", options)
    assert record.load(tmp_path / "deep/r.json") == found
    assert names(tmp_path / "deep") == ["r.json"]
    assert found.device.label == "a desk"
    assert list(found.inputs) == ["seed-0", "ramp", "impulse", "zeros", "ones"]
    assert max(run.repeat for run in found.runs) == 1


def test_the_usual_schedules(tmp_path):
    assert (Options().schedule.seeds, Options().schedule.repeats) == (2, 3)
    simulated = Options(fault="none").schedule
    assert (simulated.seeds, simulated.repeats, simulated.controls) == (1, 1, False)
    assert Options(fault="none", seeds=4, controls=True).schedule.seeds == 4
    assert Options(inputs=tmp_path / "x.npz", repeats=5).schedule.repeats == 5


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"seeds": 0}, "--seeds is 1 or more"),
        ({"fault": "none", "repeats": 0}, "--repeats is 1 or more"),
        ({"inputs": Path("x.npz"), "seeds": 2}, "--inputs takes the place of --seeds"),
        ({"inputs": Path("x.npz"), "controls": True}, "--inputs takes the place of"),
    ],
)
def test_options_that_cannot_be(asked, words):
    with pytest.raises(AnereportError, match=words):
        Options(**asked)


@pytest.mark.skipif(ON_A_MAC, reason="says what systems without Core ML say")
def test_without_core_ml_nothing_is_written(one, folder, tmp_path):
    before = names(tmp_path)
    for what in (one, folder):
        with pytest.raises(record.RecordError, match="run this command on a Mac, or make an app"):
            running.run(what, tmp_path / "deep/out", Options())
    assert names(tmp_path) == before


def test_ctrl_c_leaves_a_record_of_what_is_finished(one, tmp_path, monkeypatch):
    told(monkeypatch, tmp_path)
    out = tmp_path / "r.json"
    with pytest.raises(Stopped, match=r"what is finished is in .*r\.json"):
        running.run(one, out, Options(repeats=1), Impatient("m.mlmodel on the GPU: seed-0"))
    found = record.load(out)
    assert {run.unit for run in found.runs} == {"cpu"}
    assert found.stopped == "2 of 9 runs were made before it was stopped"
    assert not (tmp_path / "r.json.partial").exists()


def test_ctrl_c_before_anything_is_finished_replaces_nothing(one, tmp_path, monkeypatch):
    told(monkeypatch, tmp_path)
    out = tmp_path / "r.json"
    out.write_text("old")
    with pytest.raises(KeyboardInterrupt) as caught:
        running.run(one, out, Options(force=True), Impatient("compiling m.mlmodel"))
    assert not isinstance(caught.value, Stopped)
    assert out.read_text() == "old"
    assert not (tmp_path / "r.json.partial").exists()


def test_a_record_that_is_there_is_not_replaced(one, tmp_path, monkeypatch):
    told(monkeypatch, tmp_path)
    (tmp_path / "r.json").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        running.run(one, tmp_path / "r.json", Options())
    assert (tmp_path / "r.json").read_text() == "mine"
    assert not (tmp_path / "compiled.txt").exists()


# --- a folder of models


def test_a_record_for_each_model(folder, tmp_path, monkeypatch):
    told(monkeypatch, tmp_path)
    found = running.run(folder, tmp_path / "out", Options(seeds=1, repeats=1))
    assert names(tmp_path / "out") == ["a.json", "b.json", "c.json"]
    assert [r.model.name for r in found] == ["a.mlmodel", "b.mlmodel", "c.mlmodel"]
    assert len((tmp_path / "compiled.txt").read_text().split()) == 3


def renamed(path, name):
    spec = Model.FromString(path.read_bytes())
    spec.neuralNetwork.layers[0].name = name
    path.write_bytes(spec.SerializeToString())


def test_a_fault_is_simulated_in_those_models_of_a_folder_that_have_its_layer(folder, tmp_path):
    """`a` has the layer; `b` has not, nor has an ML Program."""
    renamed(folder / "a.mlmodel", "mine")
    (folder / "c.mlmodel").unlink()
    saved(affine(), folder / "p.mlpackage")
    found = running.run(folder, tmp_path / "out", Options(fault="zeroed@mine"))
    assert [r.simulation for r in found] == ["zeroed@mine", "none", "none"]
    (line,) = running.said(found[0])
    assert line == "simulated with zeroed@mine on cpu, gpu, ane"
    (line,) = running.said(found[1])
    assert line == "simulated on cpu, gpu, ane"
    (last,) = [r for r in found[0].runs if r.unit == "ane"]
    (output,) = last.outputs.values()
    assert not output.array().any()


def test_a_layer_that_no_model_of_the_folder_has_is_an_error(folder, tmp_path):
    with pytest.raises(
        AnereportError, match=r"no model in .*models can have '.*: the model has no"
    ):
        running.run(folder, tmp_path / "out", Options(fault="zeroed@yours"))
    assert not (tmp_path / "out").exists()


def test_models_that_differ_in_their_suffix_alone_have_a_record_each(folder, tmp_path):
    saved(affine(), folder / "a.mlpackage")
    running.run(folder, tmp_path / "out", Options(fault="none"))
    assert names(tmp_path / "out") == ["a.mlmodel.json", "a.mlpackage.json", "b.json", "c.json"]


def test_after_ctrl_c_the_next_call_goes_on(folder, tmp_path, monkeypatch):
    told(monkeypatch, tmp_path)
    out, options = tmp_path / "out", Options(seeds=1, repeats=1)
    with pytest.raises(Stopped, match=r"out\.partial; the next call goes on"):
        running.run(folder, out, options, Impatient("b.mlmodel on the GPU: seed-0"))
    assert not out.exists()
    assert names(tmp_path / "out.partial") == ["a.json", "b.json"]
    assert record.load(tmp_path / "out.partial/b.json").stopped.startswith("1 of 5 runs")
    first = (tmp_path / "out.partial/a.json").read_bytes()
    (tmp_path / "compiled.txt").unlink()
    found = running.run(folder, out, options)
    assert names(out) == ["a.json", "b.json", "c.json"]
    assert (out / "a.json").read_bytes() == first
    assert len((tmp_path / "compiled.txt").read_text().split()) == 2
    assert [(r.model.name, r.stopped) for r in found] == [(f"{name}.mlmodel", "") for name in "abc"]
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize("what", ["other options", "another model", "another file", "no record"])
def test_what_another_call_left_is_not_mixed_in(folder, tmp_path, what):
    left = tmp_path / "out.partial"
    running.run(folder, left, Options(fault="zeroed@scale" if what == "other options" else "none"))
    if what == "another model":
        shutil.move(left / "a.json", left / "b.json")
    if what == "another file":
        shutil.copy(left / "a.json", left / "x.json")
    if what == "no record":
        (left / "b.json").write_text("{}")
    before = {p.name: p.read_bytes() for p in left.iterdir()}
    with pytest.raises(AnereportError) as caught:
        running.run(folder, tmp_path / "out", Options(fault="none"))
    assert str(left) in str(caught.value)
    assert {p.name: p.read_bytes() for p in left.iterdir()} == before
    assert not (tmp_path / "out").exists()


def test_a_folder_is_replaced_only_when_it_is_whole(folder, tmp_path, monkeypatch):
    running.run(folder, tmp_path / "out", Options(fault="none"))
    old = (tmp_path / "out/a.json").read_bytes()
    told(monkeypatch, tmp_path)
    options = Options(seeds=1, repeats=1, force=True)
    with pytest.raises(Stopped):
        running.run(folder, tmp_path / "out", options, Impatient("c.mlmodel on the CPU: seed-0"))
    assert (tmp_path / "out/a.json").read_bytes() == old
    running.run(folder, tmp_path / "out", options)
    assert record.load(tmp_path / "out/a.json").evidence == "measured"


# --- a process that is ended from outside

COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a shell's background job
from reporter.measure import coreml, measuring
coreml.available, measuring.BACKEND = lambda: True, "misbehaving"
from reporter.cli import app
app(sys.argv[1:])
"""


@pytest.fixture
def command(tmp_path):
    """Start the command on units that are slow, or do what is told; returns its process."""
    support = Path(__file__).parents[2] / "support"

    def start(*arguments, ane="slow"):
        environment = {
            **os.environ,
            "PYTHONPATH": str(support),
            TOLD: json.dumps({"cpu": "slow", "gpu": "slow", "ane": ane}),
            COMPILED: str(tmp_path / "compiled.txt"),
        }
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, "run", *map(str, arguments)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


def until(there, seconds=60.0):
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def workers(folder):
    """Processes of the operating system that do a job whose folder is below this one."""
    return [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"reporter.measure.worker" in (line := path.read_bytes())
        and str(folder).encode() in line
    ]


@pytest.mark.parametrize("moment", [0.0, 0.37, 0.9, 1.6])
def test_a_kill_at_any_moment_leaves_no_record_or_a_valid_one(one, tmp_path, command, moment):
    out, left = tmp_path / "r.json", tmp_path / "r.json.partial"
    process = command(one, "--out", out, "--seeds", 1, "--repeats", 1)
    until(lambda: left.exists() if moment else (tmp_path / "compiled.txt").exists())
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for path in (out, left):
        if path.exists():
            found = record.load(path)
            assert found.runs
            assert (path == out) == (not found.stopped)
    assert left.exists() or out.exists() or not moment


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes as Linux shows them")
def test_the_units_process_ends_with_the_command(one, tmp_path, command, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    process = command(one, "--out", tmp_path / "r.json", "--repeats", 100)
    until(lambda: workers(temporary))
    process.kill()
    process.communicate()
    until(lambda: not workers(temporary), seconds=10)


def test_ctrl_c_on_the_command_keeps_what_is_finished(one, tmp_path, command):
    out = tmp_path / "r.json"
    process = command(one, "--out", out, "--seeds", 1, "--repeats", 2, ane="predict:hang")
    until((tmp_path / "r.json.partial").exists)
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert f"what is finished is in {out}" in said
    found = record.load(out)
    assert [run.unit for run in found.runs][:2] == ["cpu", "cpu"]
    assert f"{len(found.runs)} of 9 runs were made" in found.stopped
