"""Which records are of one device: by label, identifier and build, and never by the chip."""

from __future__ import annotations

import pytest
from many_devices import model, phone, record_of

from reporter.measure.record import Device
from reporter.understand.origin import Kind, Origin, origin, together


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return model(tmp_path_factory.mktemp("models") / "m.mlmodel")


@pytest.fixture
def of(path):
    return lambda name="r.json", **device: origin(
        name, record_of(path, Device(**device), cpu="right")
    )


def test_a_phone_by_its_identifier_build_and_label(path):
    found = origin("r.json", record_of(path, phone("a"), cpu="right"))
    kind = Kind("measured", "iPhone14,5", "iOS 16.2", "20C65")
    assert found == Origin(kind, label="a", product="iPhone 13")
    assert (found.device, kind.system_build) == ("iPhone14,5, iPhone 13", "iOS 16.2, 20C65")


@pytest.mark.parametrize(
    "change", [{"label": "b"}, {"identifier": "iPhone14,6"}, {"build": "20D47"}, {"version": "17"},
               {"system": "iPadOS"}],
)  # fmt: skip
def test_what_tells_devices_apart(of, change):
    known = {"label": "a", "identifier": "iPhone14,5", "build": "20C65", "version": "16.2",
             "system": "iOS"}  # fmt: skip
    assert of(**known) != of(**{**known, **change})
    assert of("x.json", **known) == of("y.json", **known)


@pytest.mark.parametrize(
    "more", [{"product": "iPhone 13"}, {"chip": "A15"}, {"thermal": "fair"}, {"memory": 4}]
)
def test_what_does_not(of, more):
    assert of(label="a", identifier="iPhone14,5") == of(label="a", identifier="iPhone14,5", **more)


def test_a_product_that_the_record_does_not_name_is_of_the_table(of):
    found = of(label="a", identifier="iPhone14,5")
    assert (found.device, found.kind.identifier) == ("iPhone14,5, iPhone 13", "iPhone14,5")
    assert of(label="a", identifier="iPhone99,1").device == "iPhone99,1"


def test_without_a_label_each_record_is_by_itself(of):
    one, other = of("x.json", identifier="Mac14,2"), of("y.json", identifier="Mac14,2")
    assert one != other
    assert one.kind == other.kind
    assert one.file == "x.json"


def test_a_product_stands_in_for_an_identifier(of):
    found = of(label="a", product="iPhone 13")
    assert (found.kind.identifier, found.device) == ("iPhone 13", "iPhone 13")


def test_a_record_that_names_nothing(of):
    found = of()
    assert (found.device, found.kind.system_build, found.file) == ("unknown device", "", "r.json")


def test_simulated_ones_are_apart_from_measured_ones_and_from_other_faults(path):
    device = Device(label="s")
    made = {"evidence": "simulated", "cpu": "right"}
    one = origin("x.json", record_of(path, device, simulation="zeroed@y", **made))
    assert one != origin("x.json", record_of(path, device, simulation="stale@y", **made))
    assert one != origin("x.json", record_of(path, device, cpu="right"))
    told = record_of(path, device, simulation="zeroed@y", cpu="right")
    assert origin("x.json", told) == origin("x.json", record_of(path, device, cpu="right"))


def test_records_of_one_origin_and_of_several(path):
    a, b = (record_of(path, phone(label), cpu="right") for label in "ab")
    mac = record_of(path, Device(label="desk", identifier="Mac14,2"), cpu="right")
    assert together([("x", a), ("y", a)]) == origin("x", a)
    both = together([("x", a), ("y", b)])
    assert (both.kind, both.label, both.file) == (origin("x", a).kind, "", "x, y")
    mixed = together([("x", a), ("y", mac)])
    assert (mixed.device, mixed.file) == ("unknown device", "x, y")
