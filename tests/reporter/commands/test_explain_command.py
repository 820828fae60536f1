"""The command explain with several files and folders, as a shell sees it."""

from __future__ import annotations

import many_devices
import packages
import pytest
from typer.testing import CliRunner

from reporter.cli import app
from reporter.measure.record import dumps
from reporter.measure.simulate import simulate


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder: a model, and ten records of it in the folder `records`."""
    monkeypatch.chdir(tmp_path)
    path = many_devices.model(tmp_path / "m.mlmodel")
    many_devices.written(tmp_path / "records", many_devices.ten(path))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


def lines(*arguments):
    done = run(*arguments, "--model", "m.mlmodel", "--budget", "0")
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def refused(*arguments):
    done = run(*arguments)
    assert done.exit_code == 1, done.output
    assert done.stdout == ""
    return done.stderr


def test_files_and_a_folder_are_the_same(here):
    files = sorted(here.glob("records/*.json"))
    said = lines("records")
    assert lines(*files) == said
    assert len([line for line in said if line.startswith("  the ")]) == len(many_devices.MATRIX)
    assert any(line.startswith("The ANE, with the input seed-1 that all have, fails on: iPhone14,5")
               for line in said)  # fmt: skip


def test_two_phones_of_one_kind(here):
    said = lines("records/a1.json", "records/b1.json")
    assert said[1].startswith("Devices of one kind and build disagree on the same input seed-1: ")
    assert said[1].endswith("a single faulty device is a known case.")


def test_a_record_by_itself_says_nothing_of_devices(here):
    said = lines("records/b1.json")
    assert said[0].startswith("rounding: ")
    assert said[1].startswith("MEASURED results of m.mlmodel on b, ")
    assert not [line for line in said if line.startswith("  the ")]


def test_a_record_in_its_folder_too_is_counted_once(here):
    said = lines("records", "records/a1.json")
    assert said[-1] == "records/a1.json was given twice, and is counted once."
    assert said[:-1] == lines("records")


def test_records_of_what_the_model_became_are_left_aside(here):
    alone = lines("records")
    packages.saved(packages.affine("fp16"), here / "m.mlpackage")
    other = dumps(simulate(here / "m.mlpackage", "none"))
    (here / "records" / "after.json").write_text(other)
    said = lines("records")
    assert said[:-1] == alone
    assert said[-1] == "Left aside: 1 of 11 records, of other models: m.mlpackage."
    assert "say which with --model" in refused("records")


def test_what_is_refused(here):
    (here / "empty").mkdir()
    assert "empty holds no record" in refused("empty", "records/a1.json")
    assert "no such file: absent.json" in refused("records/a1.json", "absent.json")
    (here / "records" / "z.json").write_text("{}")
    assert "records/z.json: schema: expected" in refused("records")
    assert run().exit_code == 2
