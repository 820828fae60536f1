"""The command `variants --shrink`, as a shell sees it."""

from __future__ import annotations

import small_block
from rule_devices import always, record
from typer.testing import CliRunner

from reporter.cli import app
from reporter.measure.record import dumps


def run(*arguments):
    return CliRunner().invoke(app, ["variants", "Small.mlmodel", "--shrink", *arguments])


def test_each_call_writes_a_round_and_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Small.mlmodel").write_bytes(small_block.small_block().SerializeToString())
    done = run("--most", "3")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "Small-r1-1.mlmodel: only the last layer" in lines
    assert not any(line.startswith("Small-r1-4") for line in lines)
    assert lines[-2] == (
        "to measure: anereport run Small-shrink/round-1 --out Small-shrink/round-1-records"
    )
    assert lines[-1] == (
        "then: anereport variants Small.mlmodel --shrink --out Small-shrink --most=3 --record "
        "Small-shrink/round-1-records"
    )
    records = tmp_path / "Small-shrink" / "round-1-records"
    records.mkdir()
    for path in (tmp_path / "Small-shrink" / "round-1").glob("*.mlmodel"):
        (records / f"{path.stem}.json").write_text(dumps(record(path, always)))
    done = run("--most=3", "--record", "Small-shrink/round-1-records")
    assert done.exit_code == 0, done.output
    assert "Small.mlmodel fails (" in done.output
    assert (tmp_path / "Small-shrink" / "round-2" / "manifest.json").exists()


def test_what_cannot_be_shrunk_is_one_sentence_and_exit_code_1(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Small.mlmodel").write_bytes(b"nothing")
    done = run()
    assert done.exit_code == 1
    assert done.output.startswith("anereport: ")
    assert not (tmp_path / "Small-shrink").exists()
