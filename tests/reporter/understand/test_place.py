from __future__ import annotations

import pytest
from many_devices import model, phone, record_of

from reporter.measure.record import Device
from reporter.understand.place import place_of, place_of_fault


@pytest.fixture(scope="module")
def of(tmp_path_factory):
    path = model(tmp_path_factory.mktemp("models") / "m.mlmodel")
    return lambda device, **changes: record_of(path, device, cpu="right").model_copy(update=changes)


def test_a_place_is_a_label_an_identifier_and_a_build(of):
    assert str(place_of(of(phone("a")))) == "a, iPhone14,5 (iOS 16.2, 20C65)"
    assert place_of(of(phone("a"))) != place_of(of(phone("b")))


def test_without_labels_devices_of_one_kind_and_build_are_one_place(of):
    device = Device(identifier="Mac14,2", build="22A380")
    assert place_of(of(device)) == place_of(of(device.model_copy(update={"chip": "M2"})))


@pytest.mark.parametrize("device", [Device(), Device(label="a"), Device(build="20C65")])
def test_what_does_not_say_where_it_was_made_has_no_place(of, device):
    assert place_of(of(device)) is None


def test_simulators_differ_by_their_faults_where_that_counts(of):
    one, other = (
        of(Device(label="s"), evidence="simulated", simulation=fault)
        for fault in ("zeroed@a", "none")
    )
    assert place_of(one) == place_of(other)
    assert place_of_fault(one) != place_of_fault(other)
    assert str(place_of_fault(one)) == "s, zeroed@a"
