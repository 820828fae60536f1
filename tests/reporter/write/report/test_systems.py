from __future__ import annotations

import dataclasses

import pytest
from small_reports import compared, measured, with_ratios

from reporter.understand.signatures import Signature
from reporter.write.report.report import DeviceFact
from reporter.write.report.systems import builds, platform, titled


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
    assert builds(report) == "iOS 16.2 (20C65)"
    assert titled(report) == "Core ML: Tiny.mlmodel, iPhone 13, iOS 16.2 (20C65)"
    also = (*report.devices, *on("iPhone 15, iOS 17.0 (21A329)", evidence="stated by the user"))
    report = dataclasses.replace(report, devices=also)
    assert builds(report) == "iOS 16.2 (20C65), iOS 17.0 (21A329)"


@pytest.mark.parametrize("how", ["lost", "cold", "wrong", "right"])
def test_a_device_fails_if_a_run_is_wrong_or_lost(how):
    (cpu, gpu, ane) = compared().units
    quiet = dataclasses.replace(ane, metrics=cpu.metrics)
    changed = {
        "lost": dataclasses.replace(quiet, runs=3, lost=1),
        "cold": dataclasses.replace(quiet, cold="failed in load"),
        "wrong": ane,
        "right": quiet,
    }[how]
    names = ("a, iPhone14,5, iOS 16.2 (20C65)", "b, iPhone14,5, iOS 17.0 (21A329)")
    one, other = (compared(device=name, units=(cpu, gpu, quiet)) for name in names)
    one = dataclasses.replace(one, units=(cpu, gpu, changed))
    report = measured(devices=on(*names), comparisons=(other, one))
    found = "iOS 17.0 (21A329), iOS 16.2 (20C65)" if how == "right" else "iOS 16.2 (20C65)"
    assert builds(report) == found


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("lab 1, iPhone14,5, iPhone 13, Apple A15, iOS 16.2", "iPhone 13"),
        ("iPhone99,5, iOS 16.2", "iPhone99,5"),
        ("MacBookAir99,1, macOS 14.1", "MacBookAir99,1"),
        ("iPhone 13 Pro, iOS 16.2", "iPhone 13 Pro"),
        ("iPhone of Jane, iOS 16.2", ""),
    ],
)
def test_the_title_names_the_product_or_else_the_identifier_and_no_label(device, said):
    assert titled(measured(devices=on(device))) == ", ".join(
        filter(None, ["Core ML: Tiny.mlmodel", said])
    )


def patterned(*titles, word="diverges"):
    """A comparison whose Neural Engine has these signatures, (code, title) each."""
    (one,) = with_ratios(ane_calls=[word]).comparisons
    found = tuple(Signature(code, title, (), "It is.") for code, title in titles)
    return dataclasses.replace(one, diagnosis=dataclasses.replace(one.diagnosis, signatures=found))


def test_the_title_names_the_pattern_of_wrong_numbers():
    stuck = ("K1", "Stuck constant")
    report = measured(comparisons=(patterned(stuck),), devices=on("iPhone14,5, iOS 16.2 (20C65)"))
    assert titled(report) == "Core ML: Tiny.mlmodel (stuck constant), iPhone 13, iOS 16.2 (20C65)"
    both = patterned(("X0", "Not on the Neural Engine"), stuck)
    assert "(stuck constant)" in titled(measured(comparisons=(both,)))
    for other in (patterned(), patterned(stuck, word="rounding"), patterned(("B0", "Within"))):
        assert titled(measured(comparisons=(other,))) == "Core ML: Tiny.mlmodel"
    on_cpu = dataclasses.replace(patterned(stuck).diagnosis, suspect="cpu")
    other = dataclasses.replace(patterned(stuck), diagnosis=on_cpu)
    assert titled(measured(comparisons=(other,))) == "Core ML: Tiny.mlmodel"


@pytest.mark.parametrize(
    ("pattern", "device", "kept"),
    [
        ("Stuck constant", "iPhone99,99", ["iPhone99,99"]),
        ("Stuck constant", "MacBookProM999,999", []),
        ("Stuck", "iPhone9,9", ["(stuck)", "iPhone9,9"]),
    ],
)
def test_what_does_not_fit_the_title_is_left_out_and_the_system_never(pattern, device, kept):
    system = "visionOS 16.2.123.123 (20C65abcdefg)" if pattern != "Stuck" else "iOS 16.2 (20C65)"
    one = patterned(("K1", pattern))
    report = measured(title="m" * 300, comparisons=(one,), devices=on(f"{device}, {system}"))
    found = titled(report)
    assert len(found) <= 255
    assert found.endswith(f", {system}")
    assert [part for part in ("(stuck)", "(stuck constant)", device) if part in found] == kept


def test_a_title_without_a_system_is_the_reports_own():
    assert titled(measured()) == "Core ML: Tiny.mlmodel"


@pytest.mark.parametrize("letter", ["n", "\u202e", "9", "é"])
def test_the_title_is_ascii_and_keeps_its_system_however_long_names_are(letter):
    devices = on(f"{letter * 1000}, iOS {letter * 1000} ({letter * 99}), iOS 16.2 (20C65)")
    title = titled(measured(title="Core ML: " + letter * 1000, devices=devices))
    assert title.endswith(", iOS 16.2 (20C65)")
    assert title.isascii()
    assert len(title) <= 255
