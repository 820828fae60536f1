from __future__ import annotations

import getpass
import os
import platform
import pwd
import socket
from types import SimpleNamespace

import planted_secrets as planted
import pytest

from reporter.measure.redaction import redaction
from reporter.measure.surroundings import here


def words(kind):
    return dict(here().words)[kind]


@pytest.fixture(autouse=True)
def _on_alices_machine(monkeypatch):
    planted.machine(monkeypatch)


def test_folders_come_with_what_stands_for_them_the_longest_first():
    found = here().folders
    assert dict(found)[planted.HOME] == "~"
    assert dict(found)[planted.WORK] == "."
    assert dict(found)["/scratch/aliceb-tmp"] == "[temporary folder]"
    assert [len(folder) for folder, _ in found] == sorted((len(f) for f, _ in found), reverse=True)


def test_a_folder_is_known_by_where_its_links_lead_too(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "link"))
    assert {str(tmp_path / "real"), str(tmp_path / "link")} <= set(dict(here().folders))


def test_a_home_at_the_root_of_the_disk_is_no_folder(monkeypatch):
    from pathlib import Path

    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    monkeypatch.setattr(Path, "cwd", lambda: Path("/"))
    for name in ("HOME", "PWD", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    assert redaction().text("a/b and /usr/lib") == "a/b and /usr/lib"


def test_a_working_folder_that_is_gone_is_no_error(monkeypatch):
    from pathlib import Path

    def gone():
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", gone)
    assert planted.HOME in dict(here().folders)


def test_names_are_those_of_the_login_the_person_and_the_host():
    assert set(words("user name")) == {"aliceb"}
    assert {"Alice Brightwater", "alice.brightwater", "Brightwater"} <= {
        *words("name of a person"), "alice.brightwater",
    }  # fmt: skip
    assert "Alice.Brightwater" in words("name of a person")
    assert set(words("host name")) == {"alpaca-17", "alpaca-17.example.lan"}


@pytest.mark.parametrize("name", ["root", "runner", "mark", "Max", "model", "ab", "123"])
def test_a_login_that_is_a_usual_word_is_none(name, monkeypatch):
    for variable in ("USER", "LOGNAME"):
        monkeypatch.setenv(variable, name)
    monkeypatch.setattr(getpass, "getuser", lambda: name)
    entry = SimpleNamespace(pw_name=name, pw_gecos=name)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)
    assert words("user name") == ()
    assert words("name of a person") == ()


def test_what_does_not_answer_is_missing(monkeypatch):
    def silent(*_):
        raise OSError

    for place, name in ((getpass, "getuser"), (pwd, "getpwuid"), (socket, "gethostname")):
        monkeypatch.setattr(place, name, silent)
    monkeypatch.setattr(platform, "node", silent)
    for variable in ("USER", "LOGNAME", "USERNAME", "SUDO_USER", "HOSTNAME", "COMPUTERNAME"):
        monkeypatch.delenv(variable, raising=False)
    assert (words("user name"), words("host name")) == ((), ())


@pytest.mark.parametrize(
    ("variable", "value", "private"),
    [
        ("MY_TOKEN", "abcd", True),
        ("MY_TOKEN", "abc", False),
        ("apikey", "tulip", True),
        ("DB_PASSWORD", "tulip", True),
        ("TOKENIZERS_PARALLELISM", "false", False),
        ("SECRET_SCAN", "true", False),
        ("API_KEY", "123456", False),
        ("KEYBOARD", "german", False),
        ("BUILD", "q7Zr2-81kkT-v3", True),
        ("BUILD", "q7Zr2-81kkT", False),
        ("BUILD", "release-candidate", False),
        ("MODEL", "mnv3x2a1-net9.mlmodel", False),
        ("ROOT_DIR", "/data/skunk", True),
        ("ROOT_DIR", "/usr/lib/skunk", False),
        ("TERM", "q7Zr2-81kkT-v3", False),
        ("LC_ALL", "q7Zr2-81kkT-v3", False),
    ],
)
def test_values_of_the_environment(variable, value, private, monkeypatch):
    for known in list(os.environ):
        monkeypatch.delenv(known)
    monkeypatch.setenv(variable, value)
    assert (value in words("environment value")) is private
