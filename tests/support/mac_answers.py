"""What a Mac might answer when it is asked about itself: invented, in the shape of the commands.

Each answer that could carries a serial number, a UUID, a UDID, an ECID, or the name of a person, a
host or a device. PLANTED lists them: none may get out.
"""

from __future__ import annotations

import json
import plistlib
from pathlib import Path

PLANTED = (
    "C02ZZPLANTED1", "F17ZZPLANTED2", "DX3ZZPLANTED3",
    "11111111-2222-3333-4444-555555555555", "00006000-001A2B3C4D5E6F00",
    "00008110-000A1B2C3D4E5F00", "00008027-00F1E2D3C4B5A600", "6666777788889999",
    "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE",
    "Wilhelmine", "wilhelmine-studio", "Wilhelmines iPhone", "Salon-iPad",
)  # fmt: skip

SW_VERS = "ProductName:\t\tmacOS\nProductVersion:\t\t15.3\nBuildVersion:\t\t24D60\n"
HARDWARE = json.dumps({
    "SPHardwareDataType": [{
        "_name": "hardware_overview", "activation_lock_status": "activation_lock_enabled",
        "boot_rom_version": "11881.81.2", "chip_type": "Apple M4", "machine_model": "Mac16,10",
        "machine_name": "Mac mini", "model_number": "MU9D3D/A", "number_processors": "proc 10:4:6",
        "physical_memory": "16 GB", "platform_UUID": "11111111-2222-3333-4444-555555555555",
        "provisioning_UDID": "00006000-001A2B3C4D5E6F00", "serial_number": "C02ZZPLANTED1",
    }]
}, indent=2)  # fmt: skip
IOREG = plistlib.dumps([{
    "CFBundleIdentifier": "com.apple.driver.AppleH16ANEInterface", "IOClass": "H11ANEIn",
    "IONameMatched": "ane,t8132", "FirmwareLoaded": True, "IOObjectClass": "H11ANEIn",
    "IOPlatformSerialNumber": "C02ZZPLANTED1",
    "DeviceProperties": {
        "ANEDevicePropertyTypeANEArchitectureTypeStr": "h16g", "ANEDevicePropertyNumANEs": 1,
        "ANEDevicePropertyNumANECores": 16, "ANEDevicePropertyANEVersion": 256,
        "ANEDevicePropertyANEMinorVersion": 17, "ANEDevicePropertyANEHWBoardType": 256,
        "IOPlatformUUID": "11111111-2222-3333-4444-555555555555",
    },
    "IORegistryEntryChildren": [{"IOUserClientCreator": "pid 412, Wilhelmine"}],
}]).decode()  # fmt: skip
XCODE = "Xcode 16.2\nBuild version 16C5032a\n"


def phone(identifier="iPhone14,2", marketing="iPhone 13 Pro", **changes):
    """One device of devicectl's list; a change names its part, as in connection_pairingState."""
    device = {
        "capabilities": [{"featureIdentifier": "com.apple.coredevice.feature.connectdevice"}],
        "connectionProperties": {
            "authenticationType": "manualPairing", "isMobileDeviceOnly": False,
            "lastConnectionDate": "2026-01-02T03:04:05.678Z", "pairingState": "paired",
            "potentialHostnames": ["00008110-000A1B2C3D4E5F00.coredevice.local",
                                   "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE.coredevice.local"],
            "transportType": "wired", "tunnelState": "disconnected",
        },
        "deviceProperties": {
            "bootState": "booted", "developerModeStatus": "enabled", "name": "Wilhelmines iPhone",
            "osBuildUpdate": "20C65", "osVersionNumber": "16.2",
        },
        "hardwareProperties": {
            "cpuType": {"name": "arm64e", "subType": 2, "type": 16777228}, "deviceType": "iPhone",
            "ecid": 6666777788889999, "hardwareModel": "D63AP",
            "internalStorageCapacity": 128000000000, "marketingName": marketing, "platform": "iOS",
            "productType": identifier, "reality": "physical", "serialNumber": "F17ZZPLANTED2",
            "udid": "00008110-000A1B2C3D4E5F00",
        },
        "identifier": "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE", "visibilityClass": "default",
    }  # fmt: skip
    for name, value in changes.items():
        part, _, key = name.partition("_")
        if value is None:
            del device[f"{part}Properties"][key]
        else:
            device[f"{part}Properties"][key] = value
    return device


def listing(*devices):
    """What devicectl writes of these devices."""
    return json.dumps({
        "info": {
            "arguments": ["devicectl", "list", "devices", "--json-output", "/Users/Wilhelmine/x"],
            "commandType": "devicectl.list.devices", "environment": {"USER": "Wilhelmine"},
            "jsonVersion": 2, "outcome": "success", "version": "397.24",
        },
        "result": {"devices": devices},
    }, indent=2)  # fmt: skip


IPAD = phone(
    "iPad16,3", "iPad Pro 11-inch (M4)", device_name="Salon-iPad", device_osVersionNumber=None,
    device_osBuildUpdate=None, device_developerModeStatus="disabled",
    connection_pairingState="unpaired", connection_tunnelState="unavailable",
    hardware_serialNumber="DX3ZZPLANTED3", hardware_udid="00008027-00F1E2D3C4B5A600",
)  # fmt: skip
TABLE = """\
Name                 Hostname                                  Identifier                             State
------------------   ---------------------------------------   ------------------------------------   ---------
Wilhelmines {iPhone  00008110-000A1B2C3D4E5F00.coredevice.local AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE  available
"""  # noqa: E501
ANSWERS = {
    "sw_vers": SW_VERS,
    "sysctl -n hw.model": "Mac16,10\n",
    "sysctl -n hw.memsize": "17179869184\n",
    "sysctl -n machdep.cpu.brand_string": "Apple M4\n",
    "sysctl -n sysctl.proc_translated": "0\n",
    "sysctl -n kern.hv_vmm_present": "0\n",
    "system_profiler SPHardwareDataType -json": HARDWARE,
    "ioreg -a -rc H11ANEIn -l": IOREG,
    "xcode-select -p": "/Applications/Xcode.app/Contents/Developer\n",
    "xcodebuild -version": XCODE,
    "xcrun devicectl list devices --json-output": listing(phone(), IPAD),
}


class Mac:
    """Stands in for `device.ask`: answers of the table, and which commands were asked."""

    def __init__(self, answers=None):
        self.answers = dict(ANSWERS if answers is None else answers)
        self.asked = []

    def __call__(self, *command):
        *most, last = command
        name = " ".join(most if "--json-output" in command else command)
        self.asked.append(name)
        answer = self.answers.get(name, "")
        if "--json-output" in command and last != "/dev/stdout":
            if answer:
                Path(last).write_text(answer)
            return TABLE
        return TABLE + answer if last == "/dev/stdout" else answer
