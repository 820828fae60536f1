"""The parsers of a Mac's answers: what they let through, what they leave out, what breaks them."""

from __future__ import annotations

import dataclasses
import json
import plistlib
import random

import mac_answers as mac
import pytest

from reporter.measure import answers

SYSCTL = {name: mac.ANSWERS[f"sysctl -n {name}"] for name in answers.SYSCTLS}
PHONE = answers.Phone(
    identifier="iPhone14,2", marketing="iPhone 13 Pro", architecture="arm64e", platform="iOS",
    version="16.2", build="20C65", developer_mode="enabled", pairing="paired",
    tunnel="disconnected",
)  # fmt: skip
IPAD = answers.Phone(
    identifier="iPad16,3", marketing="iPad Pro 11-inch (M4)", architecture="arm64e",
    platform="iOS", developer_mode="disabled", pairing="unpaired", tunnel="unavailable",
)  # fmt: skip
PARSERS = {
    "sw_vers": (answers.sw_vers, mac.SW_VERS),
    "hardware": (answers.hardware, mac.HARDWARE),
    "ioreg": (answers.ioreg, mac.IOREG),
    "xcodebuild": (answers.xcodebuild, mac.XCODE),
    "devicectl": (answers.devicectl, mac.listing(mac.phone(), mac.IPAD)),
    "sysctl": (lambda text: answers.sysctl(dict.fromkeys(answers.SYSCTLS, text)), "Apple M4\n"),
}


def hardware(**facts):
    return answers.hardware(json.dumps({"SPHardwareDataType": [facts]}))


def driver(**said):
    keys = {"ane": "TypeANEArchitectureTypeStr", "cores": "NumANECores"}
    found = {f"ANEDeviceProperty{keys[name]}": value for name, value in said.items()}
    return answers.ioreg(plistlib.dumps([{"DeviceProperties": found}]).decode())


def test_sw_vers_gives_version_and_build():
    assert answers.sw_vers(mac.SW_VERS) == {"version": "15.3", "build": "24D60"}


def test_a_beta_and_a_rapid_security_response_have_builds_of_their_own():
    text = "ProductVersion: 27.0\nProductVersionExtra: (a)\nBuildVersion: 26A5331f"
    assert answers.sw_vers(text) == {"version": "27.0", "build": "26A5331f"}
    assert answers.sw_vers("BuildVersion: 22F770750b") == {"build": "22F770750b"}


def test_sysctl_gives_model_memory_chip_and_two_flags():
    assert answers.sysctl(SYSCTL) == {
        "identifier": "Mac16,10", "memory": 16 * 2**30, "chip": "Apple M4",
        "translated": False, "virtual": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "answer", "field", "value"),
    [("machdep.cpu.brand_string", "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", "chip",
      "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz"),
     ("machdep.cpu.brand_string", "VirtualApple @ 2.50GHz processor", "chip", None),
     ("machdep.cpu.brand_string", "Apple M4 Max (Virtual)", "chip", "Apple M4 Max"),
     ("machdep.cpu.brand_string", "Apple M4 Max (Virtual)", "virtual", True),
     ("kern.hv_vmm_present", "1", "virtual", True),
     ("kern.hv_vmm_present", "", "virtual", None),
     ("sysctl.proc_translated", "1", "translated", True),
     ("sysctl.proc_translated", "", "translated", None),
     ("hw.model", "VirtualMac2,1", "identifier", "VirtualMac2,1"),
     ("hw.model", "wilhelmine-studio", "identifier", None),
     ("hw.memsize", "16 GB", "memory", None), ("hw.memsize", "-1", "memory", None),
     ("hw.memsize", "0", "memory", None), ("hw.memsize", "٣", "memory", None)],
)  # fmt: skip
def test_sysctl_of_other_machines(name, answer, field, value):
    assert answers.sysctl(SYSCTL | {name: answer}).get(field) == value


def test_a_sysctl_that_was_not_asked_is_missing():
    assert answers.sysctl({"hw.model": "Mac14,2"}) == {"identifier": "Mac14,2"}


def test_system_profiler_gives_chip_and_model_alone():
    assert answers.hardware(mac.HARDWARE) == {"chip": "Apple M4", "identifier": "Mac16,10"}


def test_system_profiler_tells_a_virtual_machine():
    facts = hardware(chip_type="Apple M4 Max (Virtual)", machine_model="VirtualMac2,1")
    assert facts == {"chip": "Apple M4 Max", "identifier": "VirtualMac2,1", "virtual": True}


def test_ioreg_gives_architecture_and_cores():
    assert answers.ioreg(mac.IOREG) == {"ane": "h16g", "ane_cores": 16}


def test_ioreg_takes_the_first_node_that_describes_a_neural_engine():
    nodes = [{"IOClass": "H11ANEIn"}, *plistlib.loads(mac.IOREG.encode())]
    assert answers.ioreg(plistlib.dumps(nodes).decode()) == {"ane": "h16g", "ane_cores": 16}


@pytest.mark.parametrize(
    ("said", "facts"),
    [({"ane": "h17"}, {"ane": "h17"}), ({"cores": 32}, {"ane_cores": 32}), ({"cores": 0}, {}),
     ({"cores": True}, {}), ({"cores": "16"}, {}), ({"ane": "Wilhelmine"}, {}),
     ({"ane": 16}, {}), ({}, {})],
)  # fmt: skip
def test_ioreg_with_part_of_it(said, facts):
    assert driver(**said) == facts


def test_xcodebuild():
    assert answers.xcodebuild(mac.XCODE) == "16.2 (16C5032a)"
    assert answers.xcodebuild("Xcode 27.0\nBuild version unknown\n") == "27.0"
    refusal = "xcode-select: error: tool 'xcodebuild' requires Xcode, but active developer"
    assert answers.xcodebuild(refusal) == ""


def test_devicectl_gives_each_phone():
    assert answers.devicectl(mac.listing(mac.phone(), mac.IPAD)) == (PHONE, IPAD)


@pytest.mark.parametrize("before", ["", mac.TABLE, "Failed to load {provider}: {}\n"])
@pytest.mark.parametrize("after", ["", "\n" + mac.TABLE, '\n{"result": {"devices": []}}'])
def test_devicectl_among_the_table_for_people(before, after):
    assert answers.devicectl(before + mac.listing(mac.phone()) + after) == (PHONE,)


def test_devicectl_leaves_out_what_is_no_iphone_or_ipad_of_flesh():
    others = [
        mac.phone("Watch7,1", "Apple Watch Series 9", hardware_platform="watchOS"),
        mac.phone("AppleTV14,1", "Apple TV 4K", hardware_platform="tvOS"),
        mac.phone(hardware_reality="simulated"),
    ]
    assert answers.devicectl(mac.listing(*others, mac.phone())) == (PHONE,)


def test_a_phone_that_says_little():
    little = {"hardwareProperties": {"platform": "iOS"}}
    assert answers.devicectl(mac.listing(little)) == (answers.Phone(platform="iOS"),)


def test_no_phones_is_another_answer_than_none():
    assert answers.devicectl(mac.listing()) == ()
    for text in ("", mac.TABLE, "{", '{"info": {"outcome": "failed"}}', '{"result": {}}'):
        assert answers.devicectl(text) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [({"hardware_productType": "Wilhelmines iPhone"}, "identifier"),
     ({"hardware_marketingName": "Wilhelmines iPhone"}, "marketing"),
     ({"hardware_marketingName": "iPhone 13\nWilhelmine"}, "marketing"),
     ({"hardware_cpuType": "arm64e"}, "architecture"),
     ({"hardware_platform": "iOS"}, ""),
     ({"device_osVersionNumber": 16.2}, "version"),
     ({"device_osBuildUpdate": "F17ZZPLANTED2"}, "build"),
     ({"device_developerModeStatus": ["enabled"]}, "developer_mode"),
     ({"connection_pairingState": {"Wilhelmine": 1}}, "pairing"),
     ({"connection_tunnelState": "00008110-000A1B2C3D4E5F00"}, "tunnel")],
)  # fmt: skip
def test_what_has_not_its_form_is_left_out(change, field):
    expected = dataclasses.replace(PHONE, **({field: ""} if field else {}))
    assert answers.devicectl(mac.listing(mac.phone(**change))) == (expected,)


@pytest.mark.parametrize("name", PARSERS)
def test_no_answer_carries_a_serial_number_or_a_name(name):
    parse, text = PARSERS[name]
    found = repr(parse(text))
    assert len(found) > 5
    assert [secret for secret in mac.PLANTED if secret in found] == []


@pytest.mark.parametrize("name", PARSERS)
def test_a_broken_answer_is_a_missing_one(name):
    """Cut, garbled and spliced at random: never an error, and never something planted."""
    parse, text = PARSERS[name]
    dice = random.Random(name)
    whole = "".join(text for _, text in PARSERS.values())
    for _ in range(300):
        place, end = sorted(dice.choices(range(len(text) + 1), k=2))
        start = dice.randrange(len(whole))
        broken = text[:place] + whole[start : start + dice.randrange(40)] + text[end:]
        found = repr(parse(broken))
        assert [secret for secret in mac.PLANTED if secret in found] == []


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(
    "text",
    ["", "\x00", "null", "[]", "[[1]]", "{}", '{"SPHardwareDataType": [[]]}', "[" * 5000,
     '{"a":' * 5000, '{"result": {"devices": [1, null, "x", {"hardwareProperties": 3}]}}',
     "<plist><array><date>x</date></array></plist>", "<plist><dict><string>x</string></dict>",
     "<plist><array><dict><key>DeviceProperties</key><array/></dict></array></plist>",
     '<!DOCTYPE p [<!ENTITY a "b">]><plist><string>&a;</string></plist>',
     "<plist><integer>x</integer></plist>", "<plist><key>x</key></plist>", "bplist00", "\ud800"],
)  # fmt: skip
def test_nonsense_gives_nothing(name, text):
    parse, _ = PARSERS[name]
    assert not parse(text)
