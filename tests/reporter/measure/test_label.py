"""The label of an installation: random, kept, changed by its user, derived from nothing."""

from __future__ import annotations

import getpass
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reporter.measure import label


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    """A folder of settings that does not exist yet, and a process that made no label."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    label._random.cache_clear()
    return tmp_path / "settings"


def another_process():
    label._random.cache_clear()


def test_it_is_made_once_and_kept(settings):
    assert label.kept() == ""
    first = label.label()
    assert re.fullmatch(r"device-[0-9a-f]{6}", first)
    assert (settings / "anereport" / "label").read_text() == f"{first}\n"
    another_process()
    assert label.label() == label.kept() == first
    assert [file.name for file in (settings / "anereport").iterdir()] == ["label"]


def test_two_installations_have_two(settings, monkeypatch):
    first = label.label()
    another_process()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(settings.with_name("other")))
    assert label.label() != first


def test_nothing_of_the_machine_is_in_it():
    """The same process on the same machine gives another label each time."""
    made = set()
    for _ in range(20):
        another_process()
        made.add(label._random())
    assert len(made) == 20
    for fact in (platform.node(), getpass.getuser()):
        assert not [one for one in made if fact and fact in one]


@pytest.mark.parametrize("chosen", ["my phone", "x", "Büro 2", "a" * 64])
def test_its_user_may_write_another(settings, chosen):
    (settings / "anereport").mkdir(parents=True)
    (settings / "anereport" / "label").write_text(f"  {chosen}\n\n", encoding="utf-8")
    assert label.label() == chosen


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"two\nlines", b"\xff\xfe", b"a\x1b[31m", b"a" * 65]
)
def test_what_is_no_label_is_replaced(settings, content):
    (settings / "anereport").mkdir(parents=True)
    (settings / "anereport" / "label").write_bytes(content)
    assert re.fullmatch(r"device-[0-9a-f]{6}", label.label())
    assert label.kept() == label.label()


def test_a_folder_that_cannot_be_written_gives_a_label_for_this_time(settings):
    settings.write_text("a file is in the way")
    first = label.label()
    assert re.fullmatch(r"device-[0-9a-f]{6}", first)
    assert label.label() == first  # all records of one process have the same
    assert label.kept() == ""
    another_process()
    assert label.label() != first


def test_a_write_that_fails_leaves_nothing(settings, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert label.label().startswith("device-")
    assert list((settings / "anereport").iterdir()) == []


def test_no_home_is_no_error(monkeypatch):
    def lost():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", lost)
    assert label.label().startswith("device-")
    assert label.kept() == ""


@pytest.mark.parametrize(
    ("system", "folder"),
    [("linux", ".config"), ("darwin", "Library/Application Support"), ("win32", "Roaming")],
)
def test_where_each_system_keeps_settings(system, folder, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("APPDATA", str(tmp_path / "Roaming"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", system)
    assert label.home() == tmp_path / folder / "anereport" / "label"


def test_it_imports_nothing_heavy():
    code = "import sys; from reporter.measure import label; print('typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
