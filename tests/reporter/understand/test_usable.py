"""What can be measured on a device, by its facts."""

from __future__ import annotations

import pytest

from reporter.measure.record import Device
from reporter.understand.usable import expected, obstacles

MAC = Device(system="macOS", version="15.3", identifier="Mac16,10", chip="Apple M4")
PHONE = Device(system="iOS", version="17.4", identifier="iPhone14,2", chip="A15")
ALL = {"core_ml": "yes", "neural_engine": "yes", "compute_plan": "yes"}
NO_ENGINE = ALL | {"neural_engine": "no"}
NO_PLAN = ALL | {"compute_plan": "no"}
NEITHER = NO_ENGINE | {"compute_plan": "no"}


def codes(device):
    return [obstacle.code for obstacle in obstacles(device)]


@pytest.mark.parametrize(
    ("device", "changes", "found", "uses"),
    [
        (MAC, {}, [], ALL),
        (MAC, {"translated": False, "virtual": False}, [], ALL),
        (MAC, {"chip": "Intel(R) Core(TM) i7 CPU"}, ["intel"], NO_ENGINE),
        (MAC, {"translated": True}, ["rosetta"], NO_ENGINE),
        (MAC, {"virtual": True}, ["virtual"], NO_ENGINE),
        (MAC, {"virtual": True, "translated": True}, ["rosetta", "virtual"], NO_ENGINE),
        (MAC, {"version": "12.7.6"}, ["no-cpu-and-ne", "no-compute-plan"], NEITHER),
        (MAC, {"version": "13"}, ["no-compute-plan"], NO_PLAN),
        (MAC, {"version": "14.3.1"}, ["no-compute-plan"], NO_PLAN),
        (MAC, {"version": "14.4"}, [], ALL),
        (MAC, {"version": "26.0.1"}, [], ALL),
        (PHONE, {}, [], ALL),
        (PHONE, {"system": "iPadOS", "version": "17.3"}, ["no-compute-plan"], NO_PLAN),
        (PHONE, {"version": "15.8"}, ["no-cpu-and-ne", "no-compute-plan"], NEITHER),
        (PHONE, {"version": "16.7", "identifier": "iPhone10,3", "chip": "A11"},
         ["old-chip", "no-compute-plan"], NEITHER),
    ],
)  # fmt: skip
def test_what_stands_in_the_way(device, changes, found, uses):
    device = device.model_copy(update=changes)
    assert codes(device) == found
    assert expected(device) == uses


@pytest.mark.parametrize("system", ["Linux", "Windows", ""])
def test_core_ml_is_on_systems_of_apple_alone(system):
    (found,) = obstacles(Device(system=system, chip="x86_64", virtual=True))
    assert (found.code, found.prevents) == ("no-core-ml", "core_ml")
    assert (system or "an unknown system") in found.says
    assert "`anereport runner`" in found.advice
    assert set(expected(Device(system=system, chip="x86_64")).values()) == {"no"}


def test_a_fact_that_is_missing_makes_an_answer_unknown():
    assert expected(Device(system="macOS")) == {
        "core_ml": "yes", "neural_engine": "unknown", "compute_plan": "unknown"
    }  # fmt: skip
    assert expected(Device(system="macOS", virtual=True))["neural_engine"] == "no"


def test_a_simulator_is_called_one():
    phone = PHONE.model_copy(update={"virtual": True, "product": "Simulator"})
    (found,) = obstacles(phone)
    assert found.code == "virtual"
    assert found.says.startswith("A simulator has no usable Neural Engine")
    assert found.advice == "Measure on a device itself."
    assert expected(phone)["neural_engine"] == "no"


def test_every_obstacle_says_what_to_do():
    bad = Device(system="macOS", version="12.1", chip="Intel", translated=True, virtual=True)
    found = obstacles(bad)
    assert len(found) == 5
    for one in found:
        assert one.says.endswith(".")
        assert one.advice.endswith(".")
    assert found[-1].advice == "Update to macOS 14.4 or later."
    assert obstacles(PHONE.model_copy(update={"version": "17.0"}))[0].advice == (
        "Update to iOS 17.4 or later."
    )
