"""The bar of progress, and the question which model is meant."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from migrate import AnereportError
from reporter.commands import terminal


def asked(monkeypatch, answer):
    class Terminal:
        def isatty(self):
            return True

    real = sys.stdin
    monkeypatch.setattr(terminal.sys, "stdin", Terminal())
    monkeypatch.setattr(typer, "prompt", lambda text, **options: options["type"](answer))
    try:
        return terminal.the_model()
    finally:
        monkeypatch.setattr(terminal.sys, "stdin", real)


def test_on_a_terminal_it_asks_which_of_several(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("A.mlmodel", "B.mlmodel"):
        (tmp_path / name).write_bytes(b"")
    assert asked(monkeypatch, "2") == Path("B.mlmodel")
    assert capsys.readouterr().out.splitlines() == ["1  A.mlmodel", "2  B.mlmodel"]
    for answer in ("0", "3", "-1"):
        with pytest.raises(AnereportError, match="2 models here"):
            asked(monkeypatch, answer)


class Bar:
    """What rich is told, in the place of its progress bar."""

    def __init__(self):
        self.state = {}

    def add_task(self, description, total):
        self.state = {"description": description, "completed": 0, "total": total}
        return 7

    def update(self, task, **changes):
        assert task == 7
        self.state.update(changes)

    def now(self):
        return self.state["description"], self.state["completed"], self.state["total"]


def test_a_bar_knows_no_end_until_it_is_told():
    bar = Bar()
    shown = terminal.Shown(bar)
    assert bar.now() == ("starting", 0, None)
    shown.step("reading")
    assert bar.now() == ("reading", 0, None)
    shown.step("writing")
    assert bar.now() == ("writing", 1, None)


def test_a_bar_shows_what_is_done_of_what_is_expected():
    bar = Bar()
    shown = terminal.Shown(bar)
    shown.expect(2)
    assert bar.now() == ("starting", 0, 2)
    shown.step("one")
    shown.expect(3)
    assert bar.now() == ("one", 0, 5)
    for step in ("two", "three"):
        shown.step(step)
    assert bar.now() == ("three", 2, 5)


def test_a_bar_is_never_shorter_than_what_was_begun():
    bar = Bar()
    shown = terminal.Shown(bar)
    for step in ("one", "two", "three"):
        shown.step(step)
    shown.expect(1)
    assert bar.now() == ("three", 2, 3)


def test_a_terminal_shows_steps_and_keeps_none(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(terminal.sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with terminal.shown() as progress:
        assert isinstance(progress, terminal.Shown)
        progress.expect(2)
        progress.step("reading the model")
        progress.bar.refresh()
    assert "reading the model" in screen.getvalue()


def test_elsewhere_nothing_is_shown(capsys):
    with terminal.shown() as progress:
        progress.expect(2)
        progress.step("reading the model")
    assert capsys.readouterr() == ("", "")


EARLY = """
import importlib, sys
from reporter import cli
def shown():
    print("loaded:", *sorted({{"coremltools", "numpy", "torch"}} & set(sys.modules)))
    raise SystemExit
importlib.import_module("reporter.commands.{name}").shown = shown
sys.argv = ["anereport", {name!r}, "m.mlmodel"]
cli.app()
"""


@pytest.mark.parametrize("name", ["create", "migrate"])
def test_progress_is_shown_before_the_imports_that_take_seconds(name):
    code = [sys.executable, "-c", EARLY.format(name=name)]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    assert done.stdout == "loaded:\n"
