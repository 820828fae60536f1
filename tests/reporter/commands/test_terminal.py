"""The bar of progress, and the question which model is meant."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from migrate import AnereportError
from reporter import cli
from reporter.commands import ending, terminal


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


COMMANDS = (
    "create m.mlmodel", "migrate m.mlmodel", "migrate --layers", "verify m.zip", "schema report",
    "explain r.json", "lint m.mlmodel", "variants m.mlmodel", "variants m.mlmodel --shrink",
    "run m.mlmodel --out r.json", "runner m.mlmodel", "doctor",
)  # fmt: skip
IN_ITS_PLACE = """
import contextlib, importlib, os, signal, sys
from reporter import cli
from reporter.commands import terminal

def look():
    print("loaded:", *sorted({"coremltools", "numpy", "torch"} & set(sys.modules)), flush=True)
    raise SystemExit

@contextlib.contextmanager
def loading():
    if sys.argv[1] == "before":
        look()
    yield
    look()

class Interrupted:
    def find_spec(self, name, *rest):
        if name == "numpy":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000):
                    pass
            except KeyboardInterrupt:
                print("an import may swallow it")

if sys.argv[1] == "interrupt":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.meta_path.insert(0, Interrupted())
else:
    importlib.import_module("reporter.commands." + sys.argv[2]).loading = loading
cli.app(sys.argv[2:])
"""


def started(how, command):
    words = [sys.executable, "-c", IN_ITS_PLACE, how, *command.split()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_progress_is_shown_before_the_imports_that_take_seconds(command):
    assert started("before", command) == (0, "loaded:\n", "")


@pytest.mark.parametrize(
    "command",
    ["create m.mlmodel", "migrate m.mlmodel", "verify m.zip", "explain r.json --model m.mlmodel",
     "lint m.mlmodel", "variants m.mlmodel", "variants m.mlmodel --shrink",
     "run m.mlmodel --out r.json", "runner m.mlmodel"],
)  # fmt: skip
def test_what_the_work_needs_is_loaded_while_that_is_shown(command):
    """Later on Ctrl-C would break off an import, and torch crashes of it."""
    assert started("after", command) == (0, "loaded: coremltools numpy torch\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_during_an_import_ends_it_at_once(command):
    assert started("interrupt", command) == (130, "", "stopped\n")


def test_no_command_was_forgotten_here():
    assert {c.split()[0] for c in COMMANDS} == {
        c.name or c.callback.__name__ for c in cli.app.registered_commands
    }


@pytest.fixture
def interrupts():
    """Ctrl-C as Python has it, whatever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_at_once_after_the_bar_is_gone(interrupts, monkeypatch, capfd):
    happened = []
    monkeypatch.setattr(ending.os, "_exit", happened.append)
    with ending.ending_at_once(lambda: happened.append("bar closed")):
        signal.raise_signal(signal.SIGINT)
    assert happened == ["bar closed", 130]
    assert capfd.readouterr().err == "stopped\n"


def test_ctrl_c_is_again_what_it_was(interrupts):
    with ending.ending_at_once():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_that_is_ignored_or_another_program_s_stays_so(interrupts):
    for theirs in (signal.SIG_IGN, lambda *_: None):
        signal.signal(signal.SIGINT, theirs)
        with ending.ending_at_once():
            assert signal.getsignal(signal.SIGINT) is theirs


def test_in_another_thread_nothing_is_done_about_it(interrupts):
    def look():
        with ending.ending_at_once():
            seen.append(signal.getsignal(signal.SIGINT))

    seen = []
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_ctrl_c_at_a_question_is_no_other_one(tmp_path, monkeypatch):
    def interrupted(*args, **options):
        raise typer.Abort

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reporter.commands.migrate.the_model", interrupted)
    done = CliRunner().invoke(cli.app, ["migrate"])
    assert (done.exit_code, done.stdout, done.stderr) == (130, "", "stopped\n")
