"""The command doctor: it tells and never fails."""

from __future__ import annotations

import json
import platform

import mac_answers as mac
import pytest
from typer.testing import CliRunner

from reporter import cli
from reporter.measure import device, label


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(label, "home", lambda: tmp_path / "label")


def run(*arguments):
    return CliRunner().invoke(cli.app, ["doctor", *arguments])


@pytest.mark.parametrize("system", ["Darwin", "Linux", "Windows"])
@pytest.mark.parametrize("answers", [mac.ANSWERS, {}])
def test_it_ends_well_everywhere(monkeypatch, system, answers):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(device, "ask", mac.Mac(answers))
    words, facts = run(), run("--json")
    assert (words.exit_code, facts.exit_code) == (0, 0)
    assert words.stdout.startswith("this machine: ")
    content = json.loads(facts.stdout)
    assert content["schema"] == "anereport.doctor/1"
    assert content["device"]["system"] == {"Darwin": "macOS"}.get(system, system)
    assert content["device"]["label"] in words.stdout


def test_this_very_machine_answers():
    assert run().exit_code == 0


def test_it_takes_no_argument():
    assert run("Block.mlmodel").exit_code == 2
