"""`anereport create --from`, `--fb` and `--thread`, and the page that the user writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from migrations import model
from typer.testing import CliRunner

from reporter.cli import app
from reporter.measure import measuring
from reporter.write import repro

FAST = repro.Repro("print(1)\n", "anereport", "executed: not in this test", "", True)
THREAD = "https://developer.apple.com/forums/thread/720810"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with a model and its report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repro, "execute", lambda script, model, *kinds: FAST)
    monkeypatch.setattr(measuring, "measure", never)
    monkeypatch.setattr("reporter.measure.coreml.available", lambda: False)
    model(tmp_path / "m.mlmodel")
    done("create", "m.mlmodel", "--budget", "0")
    return tmp_path


def never(*arguments, **options):
    raise AssertionError("something was measured")


def content(folder=Path()):
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments):
    """Run a command that must fail in one sentence and change nothing."""
    before = content()
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert content() == before
    (line,) = result.stderr.splitlines()
    return line


def test_the_report_is_written_again_with_what_was_learned(here):
    Path("m.mlmodel").unlink()
    said = done("create", "--from", "m-report", "--fb", "FB12345678", "--thread", THREAD)
    assert "wrote m-report/report.md, and m-report/m-report.zip to attach" in said
    assert "Filed as FB12345678" in Path("m-report/report.md").read_text()
    assert THREAD in Path("m-report/feedback.txt").read_text()
    kept = json.loads(Path("m-report/report.json").read_text())
    assert (kept["feedback"], kept["thread"]) == ("FB12345678", THREAD)
    assert sorted(p.name for p in here.iterdir()) == ["m-report"]


def test_with_nothing_new_every_byte_stays(here):
    before = content()
    done("create", "--from", "m-report")
    done("create", "--from", "m-report/", "--force")
    assert content() == before


def test_what_else_the_user_states_needs_no_measuring_either(here):
    done("create", "--from", "m-report", "--last-good", "iOS 13.7", "--forum-limit", "5000")
    kept = json.loads(Path("m-report/report.json").read_text())
    assert (kept["last_good"], kept["forum_limit"]) == ("iOS 13.7", 5000)
    assert "iOS 13.7" in Path("m-report/report.md").read_text()
    assert "--forum-limit" in refused("create", "--from", "m-report", "--forum-limit", "10")


def test_a_new_report_takes_both_too(here):
    done("create", "m.mlmodel", "--budget", "0", "--force", "--fb", "FB7777777", "--thread", THREAD)
    top = Path("m-report/report.md").read_text().partition("## ")[0]
    assert "Filed as FB7777777, discussed at https://developer.apple.com" in top
    assert "Filed with Apple as FB7777777" in Path("m-report/forum.md").read_text()


def test_force_keeps_what_an_earlier_report_of_the_model_was_told(here):
    done("create", "--from", "m-report", "--fb", "FB12345678", "--thread", THREAD)
    done("create", "m.mlmodel", "--budget", "0", "--force", "--last-good", "iOS 13.7")
    kept = json.loads(Path("m-report/report.json").read_text())
    assert (kept["feedback"], kept["thread"]) == ("FB12345678", THREAD)
    done("create", "m.mlmodel", "--budget", "0", "--force", "--fb", "FB87654321")
    kept = json.loads(Path("m-report/report.json").read_text())
    assert (kept["feedback"], kept["thread"]) == ("FB87654321", THREAD)
    assert kept["last_good"] == "iOS 13.7"


def test_force_takes_nothing_from_a_report_of_another_model(here):
    done("create", "--from", "m-report", "--fb", "FB12345678")
    model(here / "other.mlmodel", kernel=np.float32([[1, 2], [3, 4], [5, 6]]))
    done("create", "other.mlmodel", "--budget", "0", "--force", "--out", "m-report")
    assert json.loads(Path("m-report/report.json").read_text())["feedback"] == ""


def test_the_last_lines_say_that_the_notes_are_still_to_be_written_and_what_was_removed(here):
    last, removed = done("create", "--from", "m-report").splitlines()[-2:]
    assert removed == "nothing was found to remove"
    assert last.startswith("m-report/notes.md is yours to write")
    assert "treated as spam" in last
    assert last.endswith("then: anereport create --from m-report")
    with Path("m-report/notes.md").open("a") as stream:
        stream.write("I saw it on my own phone.\n")
    said = done("create", "--from", "m-report")
    assert "yours to write" not in said
    assert "I saw it on my own phone" in Path("m-report/report.md").read_text()
    said = done("create", "m.mlmodel", "--budget", "0", "--force")
    assert "yours to write" not in said
    assert Path("m-report/notes.md").read_text().endswith("I saw it on my own phone.\n")
    assert "I saw it on my own phone" in Path("m-report/report.md").read_text()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["m.mlmodel"], "the model"),
        (["--record", "r.json"], "--record"),
        (["--out", "elsewhere", "--shape", "1,2"], "--out, --shape"),
        (["--device", "iPhone 14", "--tolerance", "0.01"], "--device, --tolerance"),
        (["--limit", "8", "--budget", "60"], "--limit, --budget"),
        (["--script", "x.py", "--run-script"], "--script, --run-script"),
        (["--migration", "a", "--variants", "b", "--inputs", "c"], "--migration, --variants, --in"),
        (["--custom", "a:b"], "--custom"),
    ],
)
def test_what_would_need_measuring_is_refused_by_name(here, options, named):
    line = refused("create", "--from", "m-report", *options)
    assert line.startswith(f"anereport: --from measures nothing: leave out {named}")


@pytest.mark.parametrize("rest", [["--from", "m-report"], ["m.mlmodel", "--force"]])
def test_a_number_or_an_address_that_is_none_is_refused(here, rest):
    assert "as in FB12345678, not '12345678'" in refused("create", *rest, "--fb", "12345678")
    assert f"as in {THREAD}, not '/tmp/x.txt'" in refused("create", *rest, "--thread", "/tmp/x.txt")


def test_a_folder_that_is_no_report_of_ours_is_refused(here):
    assert "nowhere holds no report.json" in refused("create", "--from", "nowhere")
    line = refused("create", "--from", "m.mlmodel")
    assert line == "anereport: m.mlmodel is no folder: give the one that anereport create wrote"
    Path("other").mkdir()
    Path("other/report.json").write_text('{"schema": "mine/1"}')
    line = refused("create", "--from", "other")
    assert "expected 'anereport.report/2', found 'mine/1': run anereport create again" in line


def test_notes_that_cannot_be_read_are_refused_with_from_and_with_force(here):
    Path("m-report/notes.md").write_bytes(b"\xff")
    for rest in (["--from", "m-report"], ["m.mlmodel", "--force"]):
        assert "notes.md" in refused("create", *rest)
