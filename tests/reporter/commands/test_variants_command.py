"""The command `variants`, as a shell sees it."""

from __future__ import annotations

import pytest
import small_block
from typer.testing import CliRunner

import migrate
from reporter.cli import app
from reporter.measure.record import dumps
from reporter.measure.simulate import simulate


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Small.mlmodel").write_bytes(small_block.small_block().SerializeToString())
    return "Small.mlmodel"


def run(*arguments):
    return CliRunner().invoke(app, ["variants", *arguments])


def test_it_writes_the_folder_and_says_what_to_do_with_it(model, tmp_path):
    done = run(model)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert any(line.startswith("Small-turned.mlmodel: equal up to height") for line in lines)
    assert any(line.startswith("left out: fp32-features: ") for line in lines)
    assert lines[-2] == "to measure: anereport run Small-variants --out Small-variants-records"
    assert lines[-1].endswith("models and manifest.json to Small-variants")
    assert (tmp_path / "Small-variants" / "manifest.json").exists()
    again = run(model, "--out", "Small-variants")
    assert again.exit_code == 1
    assert "give --force" in again.output


def test_what_cannot_be_varied_is_one_sentence_and_exit_code_1(model, tmp_path):
    (tmp_path / "Bad.mlmodel").write_bytes(b"nothing")
    for arguments in (["Bad.mlmodel"], ["absent.mlmodel"], [model, "--custom", "x"]):
        done = run(*arguments, "--out", "out")
        assert done.exit_code == 1
        assert done.output.startswith("anereport: ")
        assert not (tmp_path / "out").exists()


def test_without_a_model_it_is_bad_usage():
    assert run().exit_code == 2


def recorded(folder, name, fault, records, simulation=""):
    """Write a simulated record of a model; the simulator stands for the device of a fault."""
    found = simulate(folder / name, fault)
    found = found.model_copy(update={"simulation": simulation or fault})
    records.mkdir(exist_ok=True)
    (records / f"{name}.json").write_text(dumps(found))


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--record", "empty"], "empty holds no record"),
     (["--record", "r.json", "--limit", "0"], "a limit is a positive number")],
)  # fmt: skip
def test_what_cannot_be_read_is_said_before_anything_is_written(model, tmp_path, options, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "r.json").write_text("{}")
    done = run(model, *options)
    assert done.exit_code == 1
    assert words in done.stderr
    assert not (tmp_path / "Small-variants").exists()


def test_records_are_read_and_the_folder_is_kept(model, tmp_path, monkeypatch):
    """The model is wrong, its turned form right; the folder is made first, and then kept."""
    records = tmp_path / "records"
    folder = tmp_path / "Small-variants"
    layer = migrate.read(model).layers[0].name
    recorded(tmp_path, model, f"zeroed@{layer}", records)
    first = run(model, "--record", "records")
    assert first.exit_code == 0, first.output
    assert "Small.mlmodel is wrong on the Neural Engine" in first.output
    before = (folder / "manifest.json").read_bytes()
    recorded(folder, "Small-turned.mlmodel", "none", records, f"zeroed@{layer}")

    def refuse(*arguments, **options):
        raise AssertionError("nothing is made again")

    monkeypatch.setattr(migrate, "each_variant", refuse)
    again = run(model, "--record", "records", "--limit", "6")
    assert again.exit_code == 0, again.output
    assert "The divergence vanishes with 'turned'" in again.output
    assert again.output.startswith("SIMULATED on anereport simulator, zeroed@")
    assert (folder / "manifest.json").read_bytes() == before
    other = small_block.small_block()
    other.neuralNetwork.layers[0].name += "_"
    (tmp_path / "Other.mlmodel").write_bytes(other.SerializeToString())
    for arguments, words in (
        (["Other.mlmodel", "--out", "Small-variants", "--record", "records"], "of another model"),
        ([model, "--record", "absent.json"], "no such file"),
        ([model, "--record", "records", "--limit", "-1"], "a limit is a positive number"),
    ):
        done = run(*arguments)
        assert done.exit_code == 1
        assert words in done.output
        assert len(done.output.splitlines()) == 1
