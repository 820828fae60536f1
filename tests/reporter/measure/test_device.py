"""What this machine is; a fact that is missing is no error, and nobody is identified."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version

import mac_answers as mac
import pytest

from reporter import environment
from reporter.measure import device, label
from reporter.measure.record import Device


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(label, "home", lambda: tmp_path / "label")


@pytest.fixture
def asked(monkeypatch):
    """A Mac mini that answers; tests change its answers."""
    found = mac.Mac()
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(device, "ask", found)
    return found


def test_a_mac(asked):
    found = device.this_device("mine")
    assert found == Device(
        label="mine", system="macOS", version="15.3", build="24D60", identifier="Mac16,10",
        product="Mac mini (2024)", chip="Apple M4", memory=16 * 2**30, ane="h16g", ane_cores=16,
        virtual=False, translated=False, tools=found.tools,
    )  # fmt: skip
    assert found.tools["xcode"] == "16.2 (16C5032a)"
    assert set(asked.asked) == set(mac.ANSWERS) - {"xcrun devicectl list devices --json-output"}


def test_nothing_planted_is_in_a_record(asked):
    text = device.this_device("mine").model_dump_json() + repr(device.phones())
    assert "iPad16,3" in text
    assert [secret for secret in mac.PLANTED if secret in text] == []


@pytest.mark.parametrize("silent", sorted(mac.ANSWERS))
def test_a_command_that_does_not_answer_costs_its_own_facts_alone(asked, silent):
    lost = {
        "sw_vers": {"version", "build"}, "sysctl -n hw.memsize": {"memory"},
        "sysctl -n sysctl.proc_translated": {"translated"},
        "sysctl -n kern.hv_vmm_present": {"virtual"},
        "ioreg -a -rc H11ANEIn -l": {"ane", "ane_cores"},
        "xcode-select -p": {"tools"}, "xcodebuild -version": {"tools"},
    }  # fmt: skip
    whole = device.this_device("mine").model_dump()
    del asked.answers[silent]
    found = device.this_device("mine").model_dump()
    assert all(found["tools"].values())
    assert {name for name in whole if found[name] != whole[name]} == lost.get(silent, set())


def test_a_mac_that_answers_nothing(asked):
    asked.answers.clear()
    found = device.this_device("mine")
    assert found == Device(label="mine", system="macOS", tools=found.tools)
    assert device.phones() is None


def test_the_other_class_of_the_driver(asked):
    asked.answers["ioreg -a -rc AppleH16ANEInterface -l"] = mac.IOREG.replace("h16g", "h17")
    assert device.this_device().ane == "h16g"
    del asked.answers["ioreg -a -rc H11ANEIn -l"]
    assert device.this_device().ane == "h17"


@pytest.mark.parametrize(
    "answers",
    [{"sysctl -n kern.hv_vmm_present": "1"}, {"sysctl -n hw.model": "VirtualMac2,1"},
     {"sysctl -n machdep.cpu.brand_string": "Apple M4 (Virtual)"},
     {"system_profiler SPHardwareDataType -json":
      mac.HARDWARE.replace('"Apple M4"', '"Apple M4 (Virtual)"')}],
)  # fmt: skip
def test_any_one_sign_of_a_virtual_machine_suffices(asked, answers):
    asked.answers |= answers
    found = device.this_device()
    assert found.virtual is True
    assert found.chip == "Apple M4"


def test_rosetta_is_seen_by_the_process_or_by_the_asked_command(asked, monkeypatch):
    assert device.this_device().translated is False
    asked.answers["sysctl -n sysctl.proc_translated"] = "1"
    assert device.this_device().translated is True
    asked.answers["sysctl -n sysctl.proc_translated"] = "0"
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert device.this_device().translated is True
    asked.answers["sysctl -n machdep.cpu.brand_string"] = "VirtualApple @ 2.50GHz"
    found = device.this_device()
    assert (found.translated, found.chip) == (True, "Apple M4")


def test_an_intel_mac_is_not_translated(asked, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    asked.answers = {"sysctl -n machdep.cpu.brand_string": "Intel(R) Core(TM) i7 CPU @ 2.60GHz"}
    found = device.this_device()
    assert (found.translated, found.chip) == (None, "Intel(R) Core(TM) i7 CPU @ 2.60GHz")


def test_phones_are_read_from_the_file_that_devicectl_writes(asked):
    assert [phone.identifier for phone in device.phones()] == ["iPhone14,2", "iPad16,3"]
    assert asked.asked.count("xcrun devicectl list devices --json-output") == 1


def test_or_from_its_output_where_it_writes_none(asked, monkeypatch):
    def ask(*command):
        return "" if "devices.json" in command[-1] else asked(*command)

    monkeypatch.setattr(device, "ask", ask)
    assert [phone.identifier for phone in device.phones()] == ["iPhone14,2", "iPad16,3"]


def test_without_developer_tools_nothing_is_asked_that_opens_a_window(asked):
    del asked.answers["xcode-select -p"]
    device.this_device()
    assert device.phones() is None
    assert not [name for name in asked.asked if name.startswith(("xcodebuild", "xcrun"))]


def test_elsewhere(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(device, "ask", lambda *command: pytest.fail("nothing is to be asked"))
    found = device.this_device("box")
    assert found == Device(label="box", system="Linux", chip=platform.machine(), tools=found.tools)
    assert platform.node() not in found.model_dump().values()
    assert device.phones() is None


def test_the_tools_are_those_installed(monkeypatch):
    expected = {name: version(name) for name in ("anereport", "coremltools", "torch", "numpy")}
    python = ".".join(map(str, sys.version_info[:3]))
    assert device.this_device("x").tools == {"python": python} | expected

    def none(name):
        raise environment.PackageNotFoundError(name)

    monkeypatch.setattr(environment, "version", none)
    assert device.this_device("x").tools == {"python": python}


def test_the_label_is_the_installations_unless_one_is_given():
    first = device.this_device().label
    assert first.startswith("device-")
    assert device.this_device().label == first
    assert device.this_device("mine").label == "mine"


def test_ask_gives_what_a_command_prints():
    script = "import sys; print('a fact'); print('no fact', file=sys.stderr)"
    assert device.ask(sys.executable, "-c", script) == "a fact\n"


def test_a_command_that_asks_back_gets_no_answer(tmp_path):
    (tmp_path / "typed").write_text("yes\n")
    kept = os.dup(0)
    try:
        with (tmp_path / "typed").open() as typed:
            os.dup2(typed.fileno(), 0)
        assert device.ask(sys.executable, "-c", "import sys; print(len(sys.stdin.read()))") == "0\n"
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_ask_takes_bytes_that_are_no_text():
    script = r"import sys; sys.stdout.buffer.write(b'a\xffb')"
    assert device.ask(sys.executable, "-c", script) == "a\ufffdb"


def test_a_command_that_fails_prints_no_fact():
    assert device.ask(sys.executable, "-c", "print('unknown oid'); raise SystemExit(1)") == ""


def test_a_command_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(device, "SECONDS", 0.5)
    script = "import time; print(1, flush=True); time.sleep(60)"
    assert device.ask(sys.executable, "-c", script) == ""


@pytest.mark.parametrize("error", [FileNotFoundError(2, "none"), PermissionError(13, "no")])
def test_a_command_that_is_missing(monkeypatch, error):
    def run(command, **options):
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    assert device.ask("sw_vers") == ""
