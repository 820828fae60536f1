"""The command lint: its lines, its JSON, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from networks import network
from typer.testing import CliRunner

import migrate
from reporter import cli

BLOCK = Path(__file__).resolve().parents[3] / "samples" / "Block.mlmodel"


def run(*arguments):
    return CliRunner().invoke(cli.app, ["lint", *map(str, arguments)])


def saved(path, spec):
    path.write_bytes(spec.SerializeToString())
    return path


@pytest.fixture
def clean(tmp_path):
    spec = network({"x": (1, 4, 8, 64)}, ["y"], ("tanh", "x", "y", {}))
    return saved(tmp_path / "Clean.mlmodel", spec)


@pytest.fixture
def warned(tmp_path):
    spec = network({"x": (1, 4, 8, 64)}, ["y"], ("transpose", "x", "y", {"axes": [0, 2, 1, 3]}))
    return saved(tmp_path / "Warned.mlmodel", spec)


@pytest.fixture
def custom(tmp_path):
    spec = network({"x": (1, 4)}, ["y"], ("custom", "x", "y", {}))
    spec.neuralNetwork.layers[0].custom.className = "Own"
    return saved(tmp_path / "Custom.mlmodel", spec)


def test_a_line_for_each_finding_and_one_of_counts():
    result = run(BLOCK)
    lines = result.stdout.splitlines()
    found = migrate.lint(BLOCK)
    assert lines == [*map(str, found), "1 error, 2 warnings, 2 info"]
    assert lines[0] == (
        "error: declared-shape: output 'output': the model declares output 'output' as 1x800x39x1 "
        "while its layers give 1x1600x39x1 (https://developer.apple.com/forums/thread/720810)"
    )
    assert result.exit_code == 1
    assert result.stderr == ""


def test_a_clean_model_has_counts_alone(clean):
    result = run(clean, "--strict")
    assert (result.stdout, result.exit_code) == ("0 errors, 0 warnings, 0 info\n", 0)


def test_warnings_fail_in_strict_mode_alone(warned):
    assert run(warned).exit_code == 0
    assert run(warned, "--strict").exit_code == 1
    assert "0 errors, 1 warning, 0 info" in run(warned).stdout


def test_notes_never_fail(custom):
    assert "info: not-checked: layer 'y'" in run(custom).stdout
    assert run(custom, "--strict").exit_code == 0


def test_json_is_strict_and_has_every_finding():
    result = run(BLOCK, "--json")

    def refuse(name):
        raise ValueError(name)

    content = json.loads(result.stdout, parse_constant=refuse)
    assert result.exit_code == 1
    assert content["schema"] == "anereport.lint/1"
    assert content["model"] == "Block.mlmodel"
    assert content["counts"] == {"error": 1, "warning": 2, "info": 2}
    found = [migrate.Finding(**row) for row in content["findings"]]
    assert tuple(found) == migrate.lint(BLOCK)
    assert set(content["findings"][0]) == {"severity", "rule", "where", "reason", "source"}


def test_json_of_no_findings(clean):
    assert json.loads(run(clean, "--json").stdout)["findings"] == []


def test_custom_layers_are_built(custom, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lint_own_layers.py").write_text("def own(p):\n    return lambda x: x + 1\n")
    result = run(custom, "--custom", "Own=lint_own_layers:own")
    assert "not-checked" not in result.stdout
    assert run(custom, "--custom", "Other=lint_own_layers:own").exit_code == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.mlmodel", None, "no such file"),
        ("empty.mlmodel", b"", "is empty"),
        ("bad.mlmodel", b"not a model", "not a Core ML model"),
    ],
)
def test_what_cannot_be_read_is_answered_in_a_sentence(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = run(tmp_path / name)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stdout == ""


def test_an_ml_program_is_refused(clean, tmp_path):
    package = tmp_path / "New.mlpackage"
    migrate.save(migrate.to_mlprogram(clean), package)
    result = run(package)
    assert result.exit_code == 1
    assert "is an ML Program, not a NeuralNetwork" in result.stderr


def test_hostile_names_stay_in_one_line(tmp_path):
    spec = network({"x": (1, 4, 8, 1)}, ["y"], ("tanh", "x", "y", {}))
    spec.neuralNetwork.layers[0].name = "a\nerror: \x1b[31mred\u202e"
    result = run(saved(tmp_path / "Hostile.mlmodel", spec))
    lines = result.stdout.splitlines()
    assert len(lines) == lines.index("0 errors, 1 warning, 1 info") + 1
    assert len(lines) == 3
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
