from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_block import small_block
from typer.testing import CliRunner

from reporter import cli
from reporter.write.runner import runner


@pytest.fixture
def block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("Block.mlmodel")
    path.write_bytes(small_block().SerializeToString())
    return path


def run(*arguments):
    return CliRunner().invoke(cli.app, ["runner", *map(str, arguments)])


def jobs(project):
    return json.loads(Path(project, "Inputs", "jobs.json").read_text())


def test_it_says_where_the_project_is_its_size_and_the_next_steps(block):
    result = run(block)
    assert result.exit_code == 0, result.output
    first, *steps = result.stdout.splitlines()
    assert first.startswith("wrote Block-runner.swiftpm: 1 model, 0.0")
    assert [line[:3] for line in steps] == ["1. ", "2. ", "3. "]
    found = jobs("Block-runner.swiftpm")
    assert found["repeats"] == 3
    assert [s["name"] for s in found["jobs"][0]["inputs"]] == ["seed-0", "seed-1"]


def test_every_option_is_heard(block):
    result = run(block, "--out", "x", "--seeds", 1, "--repeats", 5, "--controls")
    assert result.exit_code == 0, result.output
    assert "wrote x.swiftpm" in result.stdout
    found = jobs("x.swiftpm")
    assert found["repeats"] == 5
    assert len(found["jobs"][0]["inputs"]) == 5
    np.savez("in.npz", a=np.ones((1, 6, 8, 1)), b=np.ones((1, 3, 8, 1)))
    result = run(block, "--out", "x", "--inputs", "in.npz", "--force")
    assert result.exit_code == 0, result.output
    assert [s["name"] for s in jobs("x.swiftpm")["jobs"][0]["inputs"]] == ["user"]


def test_a_large_project_is_warned_of_first(block, monkeypatch):
    monkeypatch.setattr(runner, "LARGE", 10_000)
    assert run(block).stdout.startswith("large: over 0.01 MB takes long")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no.mlmodel"], "no such file: no.mlmodel"),
        (["Block.mlmodel", "--seeds", "0"], "--seeds is 1 or more, not 0"),
        (["Block.mlmodel", "--repeats", "-1"], "--repeats is 1 or more, not -1"),
        (["Block.mlmodel", "--inputs", "in.npz", "--seeds", "2"], "takes the place of --seeds"),
        (["Block.mlmodel", "--inputs", "in.npz", "--controls"], "takes the place of --seeds"),
        (["Block.mlmodel", "--inputs", "no.npz"], "no such file: no.npz"),
        (["."], "no model in ."),
    ],
)
def test_what_is_refused_is_one_sentence_and_writes_nothing(block, arguments, words):
    if arguments == ["."]:
        block.unlink()
    before = sorted(Path().iterdir())
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("anereport: ")
    assert words in line
    assert sorted(Path().iterdir()) == before
