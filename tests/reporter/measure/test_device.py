"""What this machine is; a fact that is missing is no error, and nobody is identified."""

from __future__ import annotations

import platform
import subprocess

import pytest

from reporter.measure import device

FACTS = {
    ("sw_vers", "-productVersion"): "14.5",
    ("sw_vers", "-buildVersion"): "23F79",
    ("sysctl", "-n", "hw.model"): "Mac14,2",
    ("sysctl", "-n", "machdep.cpu.brand_string"): "Apple M2",
}


@pytest.fixture
def asked(monkeypatch):
    """A Mac that answers FACTS; returns the commands it was asked."""
    commands = []

    def run(command, **options):
        commands.append(tuple(command))
        return subprocess.CompletedProcess(command, 0, FACTS[tuple(command)] + "\n", "")

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_a_mac(asked):
    found = device.this_device("mine")
    assert str(found) == "mine, Mac14,2, Apple M2, macOS 14.5 (23F79)"
    assert set(asked) == set(FACTS)


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(2, "none"), PermissionError(13, "no"),
     subprocess.CalledProcessError(1, "x"), subprocess.TimeoutExpired("x", 10)],
)  # fmt: skip
def test_a_mac_that_does_not_answer(asked, monkeypatch, error):
    def run(command, **options):
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    found = device.this_device()
    assert found.system == "macOS"
    assert (found.version, found.build, found.identifier, found.chip) == ("", "", "", "")


def test_a_command_that_fails(asked, monkeypatch):
    """Its exit code counts: what a failing command prints is no fact."""
    real = subprocess.CompletedProcess

    def run(command, check=False, **options):
        if check:
            raise subprocess.CalledProcessError(1, command, "unknown oid")
        return real(command, 1, "unknown oid", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert device.this_device().chip == ""


def test_elsewhere(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("nothing is to be asked"))
    found = device.this_device("box")
    assert (found.label, found.system, found.chip) == ("box", "Linux", platform.machine())
    assert platform.node() not in found.model_dump().values()
