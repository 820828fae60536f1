from __future__ import annotations

import dataclasses

import pytest
from small_reports import compared, measured

from reporter.write.report import DeviceFact
from reporter.write.systems import builds, platform, titled


def on(*texts, evidence="measured"):
    return tuple(DeviceFact(text, evidence) for text in texts)


@pytest.mark.parametrize(
    ("devices", "system", "found"),
    [
        ((), "", ""),
        (on("iPhone 13", "iPhone 14"), "iOS", ""),
        (on("iPhone 14, iOS 16.2 (20C65)"), "iOS", "iOS 16.2 (20C65)"),
        (on("Mac15,3, Apple M3, macOS 14.1 (23B81)"), "macOS", "macOS 14.1 (23B81)"),
        (on("iPad14,3, iPadOS 17.0 (21A329)"), "iPadOS", "iPadOS 17.0 (21A329)"),
        (on("iOS 16.2 (20C65)", "iOS 16.2 (20C65)"), "iOS", "iOS 16.2 (20C65)"),
        (
            on("iOS 16.2 (20C65)", "iOS 17.0 (21A329)"),
            "iOS",
            "iOS 16.2 (20C65), iOS 17.0 (21A329)",
        ),
        (on("simulator, iOS 1.0 (1A1)", evidence="simulated"), "", ""),
        (on("BiOS 1.0 (1A1) of a biosphere"), "", ""),
    ],
)
def test_platform_and_build_are_those_that_the_devices_name(devices, system, found):
    report = measured(devices=devices)
    assert platform(report) == system
    assert builds(report) == found


def test_the_device_of_the_headline_comes_first():
    names = ("Mac, macOS 14.1 (23B81)", "iPhone14,5, iOS 16.2 (20C65)")
    report = measured(devices=on(*names))
    assert (platform(report), builds(report)[:5]) == ("macOS", "macOS")
    worst = dataclasses.replace(compared(), device=names[1])
    report = measured(devices=on(*names), comparisons=(worst,))
    assert platform(report) == "iOS"
    assert builds(report) == "iOS 16.2 (20C65), macOS 14.1 (23B81)"
    assert titled(report) == "Core ML: Tiny.mlmodel, iOS 16.2 (20C65)"


def test_a_title_without_a_system_is_the_reports_own():
    assert titled(measured()) == "Core ML: Tiny.mlmodel"


@pytest.mark.parametrize("letter", ["n", "\u202e", "9", "é"])
def test_the_title_is_ascii_and_keeps_its_system_however_long_names_are(letter):
    devices = on(f"{letter * 1000}, iOS {letter * 1000} ({letter * 99}), iOS 16.2 (20C65)")
    title = titled(measured(title="Core ML: " + letter * 1000, devices=devices))
    assert title.endswith(", iOS 16.2 (20C65)")
    assert title.isascii()
    assert len(title) <= 255
