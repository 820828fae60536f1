"""The examination in words and as JSON, of machines that answer from a table."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path

import mac_answers as mac
import pytest

from reporter import environment
from reporter.measure import device, label
from reporter.write import doctor
from reporter.write.doctor import Examination


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(label, "home", lambda: tmp_path / "anereport" / "label")
    (tmp_path / "anereport").mkdir()
    (tmp_path / "anereport" / "label").write_text("desk")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return "~/anereport/label"


@pytest.fixture
def asked(monkeypatch):
    found = mac.Mac()
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(device, "ask", found)
    return found


def words():
    return doctor.lines(doctor.examine())


def facts():
    def refused(constant):
        raise ValueError(constant)

    return json.loads(doctor.to_json(doctor.examine()), parse_constant=refused)


def phone_lines(asked, *phones):
    asked.answers["xcrun devicectl list devices --json-output"] = mac.listing(*phones)
    return [line for line in words() if line.startswith(("iPhone", "iPad"))]


def test_a_mac_in_words(asked, kept):
    said = words()
    assert said[:6] == [
        "this machine: Mac16,10, Mac mini (2024), Apple M4, macOS 15.3 (24D60), 16 GB",
        "Core ML: yes.",
        "a usable Neural Engine: yes. Architecture h16g, 16 cores.",
        "compute plan: yes.",
        "iPhone: iPhone14,2, iPhone 13 Pro, A15, iOS 16.2 (20C65). iOS 16.2 has no compute plan, "
        "which says where each layer is to run. Update to iOS 17.4 or later.",
        "iPad: iPad16,3, iPad Pro 11-inch (M4), M4, iOS. It is not paired: connect it by cable, "
        "unlock it, and choose Trust on it. Developer Mode is off: turn it on in Settings, "
        "Privacy & Security. It cannot be reached now: connect it by cable and unlock it.",
    ]
    assert said[6].startswith("tools: python 3.")
    assert said[6].endswith(", xcode 16.2 (16C5032a)")
    assert said[-1] == f"label in records: desk, kept in {kept}, where you may write another."


def test_nothing_planted_is_told(asked):
    for text in ("\n".join(words()), json.dumps(facts(), ensure_ascii=False)):
        assert "iPad16,3" in text
        assert [secret for secret in mac.PLANTED if secret in text] == []


def test_a_mac_as_json(asked, kept):
    found = facts()
    assert found["schema"] == "anereport.doctor/1"
    assert found["device"] == device.this_device().model_dump(mode="json", exclude_none=True)
    assert found["device"]["ane"] == "h16g"
    assert set(found["expected"].values()) == {"yes"}
    assert found["obstacles"] == []
    phone, ipad = found["phones"]
    assert {**phone, "obstacles": [one["code"] for one in phone["obstacles"]]} == {
        "identifier": "iPhone14,2", "marketing": "iPhone 13 Pro", "architecture": "arm64e",
        "platform": "iOS", "version": "16.2", "build": "20C65", "developer_mode": "enabled",
        "pairing": "paired", "tunnel": "disconnected", "product": "iPhone 13 Pro", "soc": "A15",
        "ane": "h14p", "ane_seen": False, "obstacles": ["no-compute-plan"],
    }  # fmt: skip
    assert (ipad["pairing"], ipad["tunnel"], ipad["version"]) == ("unpaired", "unavailable", "")
    assert found["label_file"] == kept


def test_elsewhere(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert words()[:5] == [
        "this machine: x86_64, Linux",
        "Core ML: no. Core ML does not run on Linux. Measure on a Mac with Apple silicon, or on "
        "an iPhone with `anereport runner`.",
        "a usable Neural Engine: no.",
        "compute plan: no.",
        "iPhones and iPads: unknown. To see them takes a Mac with Xcode 15 or later.",
    ]
    found = facts()
    assert found["phones"] is None
    assert [one["code"] for one in found["obstacles"]] == ["no-core-ml"]


def test_a_mac_without_a_usable_neural_engine(asked):
    asked.answers["sysctl -n kern.hv_vmm_present"] = "1"
    asked.answers["sw_vers"] = "ProductVersion: 13.6\nBuildVersion: 22G120"
    assert words()[1:4] == [
        "Core ML: yes.",
        "a usable Neural Engine: no. A virtual machine has no usable Neural Engine, and may hang "
        "compiling for it. Measure on the Mac itself.",
        "compute plan: no. macOS 13.6 has no compute plan, which says where each layer is to run. "
        "Update to macOS 14.4 or later.",
    ]
    assert facts()["expected"] == {"core_ml": "yes", "neural_engine": "no", "compute_plan": "no"}


def test_a_neural_engine_that_ioreg_does_not_describe(asked):
    del asked.answers["ioreg -a -rc H11ANEIn -l"]
    assert words()[2] == (
        "a usable Neural Engine: yes. It is to be expected by the chip; ioreg did not describe it."
    )


def test_a_mac_that_answers_nothing(asked):
    asked.answers.clear()
    assert words()[:4] == [
        "this machine: macOS", "Core ML: yes.", "a usable Neural Engine: unknown.",
        "compute plan: unknown.",
    ]  # fmt: skip


def test_no_phone_is_connected(asked):
    assert phone_lines(asked) == [
        "iPhones and iPads: none. Connect one by cable, unlock it, and choose Trust on it."
    ]
    assert facts()["phones"] == []


def test_a_phone_that_is_ready(asked):
    ready = mac.phone(device_osVersionNumber="18.1", device_osBuildUpdate="22B83")
    assert phone_lines(asked, ready) == [
        "iPhone: iPhone14,2, iPhone 13 Pro, A15, iOS 18.1 (22B83)."
    ]


def test_a_phone_that_is_not_in_the_table_has_the_name_that_devicectl_gives(asked):
    new = mac.phone("iPhone99,1", "iPhone 40", device_osVersionNumber="41.0")
    assert phone_lines(asked, new) == ["iPhone: iPhone99,1, iPhone 40, iOS 41.0 (20C65)."]
    (found,) = facts()["phones"]
    assert (found["product"], found["soc"], found["ane"]) == ("iPhone 40", "unknown", "")
    assert phone_lines(asked, mac.phone("iPhone99,1", None, device_osVersionNumber="41.0")) == [
        "iPhone: iPhone99,1, unknown product, iOS 41.0 (20C65)."
    ]
    assert facts()["phones"][0]["product"] == "unknown"


def test_a_phone_that_says_little_is_not_said_to_be_in_a_state(asked):
    unsaid = [
        "hardware_platform", "device_osVersionNumber", "device_osBuildUpdate",
        "device_developerModeStatus", "connection_pairingState", "connection_tunnelState",
    ]  # fmt: skip
    assert phone_lines(asked, mac.phone(**dict.fromkeys(unsaid))) == [
        "iPhone: iPhone14,2, iPhone 13 Pro, A15, iOS."
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"connection_pairingState": "unpaired"}, "not paired"),
     ({"device_developerModeStatus": "disabled"}, "Developer Mode is off"),
     ({"connection_tunnelState": "unavailable"}, "cannot be reached")],
)  # fmt: skip
def test_each_state_is_said_for_itself(asked, changes, words):
    states = ("not paired", "Developer Mode is off", "cannot be reached")
    (line,) = phone_lines(asked, mac.phone(**changes))
    assert [state for state in states if state in line] == [words]


def test_tools_outside_the_tested_range_are_said(asked, monkeypatch):
    versions = {"torch": "99.0", "numpy": "1.20.1", "coremltools": "9.1b1", "anereport": "0.1.0"}
    monkeypatch.setattr(environment, "version", versions.__getitem__)
    outside = [line for line in words() if "outside the tested range" in line]
    assert sorted(line.split(" is ")[0] for line in outside) == ["numpy 1.20.1", "torch 99.0"]
    assert ">=1.26" in outside[0]
    found = facts()
    assert found["outside_tested"] == ["numpy", "torch"]
    assert set(found["tested"]) == {"python", "coremltools", "torch", "numpy"}


def test_a_version_that_cannot_be_compared_and_a_tool_that_is_missing_are_outside(
    asked, monkeypatch
):
    def versions(name):
        if name == "numpy":
            raise environment.PackageNotFoundError(name)
        return {"torch": "2.9.0+cpu", "coremltools": "trunk"}.get(name, "1.0")

    monkeypatch.setattr(environment, "version", versions)
    monkeypatch.setattr(platform, "python_version", lambda: "3.13.0+")
    outside = [line for line in words() if "outside the tested range" in line]
    assert sorted(line.split(" is ")[0] for line in outside) == [
        "coremltools trunk", "numpy (missing)", "python 3.13.0+"
    ]  # fmt: skip


def test_the_ranges_are_those_of_the_package():
    """By pyproject.toml, from which the installed metadata was made."""
    text = (Path(__file__).resolve().parents[3] / "pyproject.toml").read_text()
    packages = ("coremltools", "torch", "numpy")
    asked = {name: re.search(rf'"{name}([<>=][^"]+)"', text)[1] for name in packages}
    asked["python"] = re.search('requires-python = "([^"]+)"', text)[1]
    found = doctor.examine().tested
    assert {name: set(bounds.split(",")) for name, bounds in found.items()} == {
        name: set(bounds.split(",")) for name, bounds in asked.items()
    }


def test_without_metadata_nothing_is_outside(asked, monkeypatch):
    def none(name):
        raise environment.PackageNotFoundError(name)

    monkeypatch.setattr(environment, "metadata", none)
    assert facts()["tested"] == {}
    assert facts()["outside_tested"] == []


def test_a_label_that_cannot_be_kept(asked, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(label, "home", lambda: tmp_path / "file" / "label")
    assert words()[-1].startswith("label in records: device-")
    assert words()[-1].endswith(", for this time only: it cannot be kept.")
    assert facts()["label_file"] is None


def test_the_home_folder_is_not_told(monkeypatch, tmp_path):
    folder = tmp_path / "home" / "wilhelmine"
    monkeypatch.setenv("HOME", str(folder))
    found = Examination(device.Device(label="desk"), None, {}, folder / "anereport" / "label")
    assert doctor.lines(found)[-1].startswith("label in records: desk, kept in ~/anereport/label")
    assert json.loads(doctor.to_json(found))["label_file"] == "~/anereport/label"
