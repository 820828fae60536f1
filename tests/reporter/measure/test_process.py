"""One worker's process: what it leaves, and that it does as the simulator does in ours."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from misbehaving import TOLD, model, right

from reporter.measure import process
from reporter.measure.inputs import seeded
from reporter.measure.simulate import simulate
from reporter.measure.worker import Job


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job of one input, of a backend of the tests' whose Neural Engine does as it is told."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "support"))
    path = model(tmp_path / "m.mlmodel")
    np.savez(tmp_path / "i.npz", **{"in::x": seeded(path)["x"]})

    def made(told="", backend="misbehaving", **fields):
        monkeypatch.setenv(TOLD, f'{{"ane": "{told}"}}')
        folder = tmp_path / f"job-{time.monotonic_ns()}"
        folder.mkdir()
        (tmp_path / "compiled").mkdir(exist_ok=True)
        known = {"unit": "ane", "inputs": (("seed-0", tmp_path / "i.npz"),), "repeats": 3}
        return Job(
            backend=backend, folder=folder, model=path, compiled=tmp_path / "compiled",
            **(known | fields),
        )  # fmt: skip

    return made


def run(job, seconds=60.0):
    said = []
    return process.run(job, seconds, said.append), said


def test_a_job_that_goes_well(job):
    ended, said = run(job())
    assert (ended.status, ended.stage, said) == (0, "plan", ["seed-0"])
    assert [(r.unit, r.input, r.repeat, r.failure) for r in ended.runs] == [
        ("ane", "seed-0", i, None) for i in range(3)
    ]
    x = seeded(job().model)["x"]
    for one in ended.runs:
        np.testing.assert_array_equal(one.outputs["y"].array(), right("ane", x))


def test_the_simulator_behind_the_protocol_gives_what_it_gives_without(job):
    this = job(backend="simulated_backend", repeats=1)
    ended, _ = run(this)
    (want,) = [one for one in simulate(this.model, "none").runs if one.unit == "ane"]
    assert [one.outputs for one in ended.runs] == [want.outputs]


def test_a_backend_that_is_not_there_is_a_failure_in_words(job):
    ended, _ = run(job(backend="not.there"))
    failed = ended.failure("ane", "seed-0").failure
    assert (ended.status, failed.stage) == (1, "load")
    assert failed.message.startswith("ModuleNotFoundError: No module named 'not'")


def test_a_file_that_is_half_written_is_no_run(job):
    """As a process leaves it that is killed while it writes."""
    this = job("predict:9@2")
    (this.folder / "000001.unfinished").write_text('{"unit": "an')
    ended, _ = run(this)
    assert (ended.status, ended.stage, len(ended.runs)) == (-9, "predict", 1)
    assert ended.in_a_prediction


def test_modules_in_the_users_folder_are_not_imported(job, tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise RuntimeError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    ended, _ = run(job())
    assert ended.status == 0


def test_an_exception_in_the_waiting_ends_the_process(job):
    this = job("predict:hang")

    def press(name):
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        process.run(this, 60.0, press)
    assert time.monotonic() - start < 30
    assert process.finished(this) == ()


def test_of_much_that_is_printed_the_end_is_kept(job):
    this = job()
    with (this.folder / "printed").open("wb") as stream:
        stream.seek(1 << 30)  # a sparse file
        stream.write(b"E5RT: the end")
    found = process._printed(this)
    assert found.endswith("E5RT: the end")
    assert len(found) == process.MOST_PRINTED
