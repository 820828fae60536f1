"""`anereport verify`, and the options of `create` for what is attached."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from migrations import model
from typer.testing import CliRunner

from reporter.cli import app
from reporter.write import repro
from reporter.write.zipped import checks

REBUILT = repro.Repro("", "anereport", "executed: not in this test", rebuilds=True)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with a model and its report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repro, "execute", lambda script, *_, **__: replace(REBUILT, script=script))
    monkeypatch.setattr("reporter.measure.coreml.available", lambda: False)
    model(tmp_path / "m.mlmodel")
    done("create", "m.mlmodel", "--budget", "0")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def done(*arguments, code=0):
    result = run(*arguments)
    assert result.exit_code == code, result.output
    return result


def failed(*arguments):
    """Run a command that must fail in one sentence, and return its output and that sentence."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    return result.stdout, line


def test_a_line_for_each_check(here):
    lines = done("verify", "m-report/m-report.zip").stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "ok          zip",
        "ok          manifest",
        "ok          report",
        "ok          model",
        "ok          records",
        "ok          repro.py",
    ]


def test_what_is_not_checked_is_said_and_ends_with_1(here):
    done("create", "m.mlmodel", "--budget", "0", "--without-weights", "--out", "w")
    said, error = failed("verify", "w/m-report.zip")
    lines = said.splitlines()
    assert error == "anereport: nothing failed in w/m-report.zip, but not checked: model, repro.py"
    assert lines[3].startswith("not checked model: no weights are attached")
    assert lines[5].startswith("not checked repro.py: no model is attached: read repro.py")


def test_a_changed_zip_ends_with_1_and_one_sentence(here):
    with zipfile.ZipFile("m-report/m-report.zip", "a") as archive:
        archive.writestr("more.txt", "more")
    said, error = failed("verify", "m-report/m-report.zip")
    assert said.splitlines()[-1] == (
        "FAILED      manifest: more.txt is there and not listed in manifest.json"
    )
    assert error == "anereport: m-report/m-report.zip is not to be trusted: manifest failed"


def test_a_member_outside_of_the_folder_is_refused(here):
    with zipfile.ZipFile("evil.zip", "w") as archive:
        archive.writestr("../evil.txt", "evil")
    said, error = failed("verify", "evil.zip")
    assert said == (
        "FAILED      zip: evil.zip: member '../evil.txt' leaves the folder by '..': not unpacked\n"
    )
    assert error.endswith("evil.zip is not to be trusted: zip failed")
    assert not list(here.rglob("evil.txt"))
    assert not (here.parent / "evil.txt").exists()


def test_a_zip_that_is_not_there_is_said(here):
    said, error = failed("verify", "absent.zip")
    assert said == ""
    assert error == "anereport: no such file: absent.zip"


def test_the_users_own_script_runs_only_with_the_option(here, monkeypatch):
    Path("own.py").write_text("import pathlib; pathlib.Path('ran').touch(); print('hello')\n")
    done("create", "m.mlmodel", "--budget", "0", "--script", "own.py", "--out", "o")
    ran = []
    run_clean = checks.run_clean
    monkeypatch.setattr(checks, "run_clean", lambda *a: ran.append(a) or run_clean(*a))
    said, _ = failed("verify", "o/m-report.zip")
    assert "not checked repro.py: it is the author's own" in said
    assert ran == []
    said, _ = failed("verify", "o/m-report.zip", "--run-script")
    assert "not checked repro.py: executed without error" in said
    assert len(ran) == 1
    assert not Path("ran").exists()


def test_create_prints_the_size_of_the_zip(here):
    said = done("create", "--from", "m-report").stdout
    size = Path("m-report/m-report.zip").stat().st_size
    shown = f"{size:,} bytes" if size < 10_000 else f"{size / 1e6:.2f} MB"
    assert f"m-report/m-report.zip to attach, {shown}" in said


def test_a_zip_over_the_limit_is_warned_of_and_the_limit_is_kept(here):
    assert "warning" not in done("create", "--from", "m-report").stderr
    result = done("create", "--from", "m-report", "--size-limit", "0.001")
    assert "warning: m-report.zip has 0.0" in result.stderr
    assert "over the 0.001 MB of --size-limit (report.json 0.0" in result.stderr
    assert "--without-weights" in result.stderr
    again = done("create", "--from", "m-report")
    assert "over the 0.001 MB of --size-limit" in again.stderr
    assert "over the 0.001 MB of --size-limit" in Path("m-report/feedback.txt").read_text()


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(here, limit):
    _, error = failed("create", "--from", "m-report", "--size-limit", limit)
    assert error.startswith("anereport: --size-limit is megabytes of the zip, more than 0, not ")


def test_without_weights_is_for_a_new_report(here):
    _, error = failed("create", "--from", "m-report", "--without-weights")
    assert error == "anereport: --from measures nothing: leave out --without-weights"
