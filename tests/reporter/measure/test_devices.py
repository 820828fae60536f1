"""The table of devices: known rows, what is not in it, and that it agrees in itself."""

from __future__ import annotations

import json
import re

import pytest

from reporter.measure import devices
from reporter.measure.devices import Product, named, product
from reporter.measure.record import Device

TABLE = json.loads(devices.DATA.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("identifier", "name", "soc"),
    [("iPhone14,2", "iPhone 13 Pro", "A15"), ("iPhone14,5", "iPhone 13", "A15"),
     ("iPhone14,6", "iPhone SE (3rd generation)", "A15"), ("iPhone14,7", "iPhone 14", "A15"),
     ("iPhone15,2", "iPhone 14 Pro", "A16"), ("iPhone17,5", "iPhone 16e", "A18"),
     ("iPad13,18", "iPad (10th generation)", "A14"), ("iPad16,3", "iPad Pro 11-inch (M4)", "M4"),
     ("MacBookAir10,1", "MacBook Air (M1, 2020)", "M1"),
     ("Mac14,14", "Mac Studio (2023)", "M2 Ultra"),
     ("Mac16,10", "Mac mini (2024)", "M4"), ("Mac17,5", "MacBook Neo", "A18 Pro")],
)  # fmt: skip
def test_products_and_chips(identifier, name, soc):
    found = product(identifier)
    assert (found.identifier, found.name, found.soc) == (identifier, name, soc)


def test_a_whole_row():
    assert product("iPhone14,2", "another name") == Product(
        "iPhone14,2", "iPhone 13 Pro", "A15", "h14p", ane_seen=False, ane_cores=16, core_ml=True
    )
    assert product("Mac16,10").ane_seen
    assert product("Mac14,14").ane_cores == 32


def test_core_ml_does_not_use_the_first_neural_engine():
    unused = {name for name in TABLE["devices"] if not product(name).core_ml}
    assert unused == {f"iPhone10,{n}" for n in range(1, 7)}


def test_an_unknown_identifier_is_unknown():
    assert product("iPhone99,1") == Product("iPhone99,1", name="", soc="", ane="", ane_cores=None)
    assert product("iPhone99,1", "iPhone 40").name == "iPhone 40"
    assert product("iPhone99,1", "iPhone 40").soc == ""
    assert product("") == Product("")


def test_a_device_of_a_record_is_named_where_the_record_does_not():
    phone = Device(label="a", identifier="iPhone14,5", system="iOS")
    assert named(phone) == Device(
        label="a", identifier="iPhone14,5", system="iOS", product="iPhone 13", chip="Apple A15"
    )
    own = Device(identifier="iPhone14,5", product="mine", chip="A15 Bionic")
    assert named(own) == own
    for unknown in (Device(), Device(identifier="iPhone99,1", chip="A99")):
        assert named(unknown) == unknown


def test_a_simulator_has_no_chip_of_the_phone_that_it_simulates():
    device = Device(identifier="iPhone14,5", product="Simulator", virtual=True)
    assert named(device) == device


def test_every_row_has_its_chip_and_every_chip_a_row():
    assert {row["soc"] for row in TABLE["devices"].values()} == set(TABLE["socs"])
    for identifier, row in TABLE["devices"].items():
        assert set(row) == {"product", "soc"}
        kind = re.fullmatch(r"(iPhone|iPad|iMac|Mac)(Book(Air|Pro)|mini)?\d+,\d+", identifier)[1]
        assert row["product"].removeprefix("i").startswith(kind.removeprefix("i"))


def test_what_is_unverified_is_said_in_the_data():
    for name, soc in TABLE["socs"].items():
        assert {"ane", "ane_seen", "cores"} <= set(soc) <= {
            "ane", "ane_seen", "cores", "core_ml", "note"
        }, name  # fmt: skip
        assert soc["ane_seen"] in (True, False)
        assert re.fullmatch(r"(h\d\d[a-z]?)?", soc["ane"]), name
    assert {name for name, soc in TABLE["socs"].items() if soc["ane_seen"]} == {
        "A18 Pro", "M4", "M5", "M5 Max", "M6"
    }  # fmt: skip
    for source in TABLE["sources"]:
        assert set(source) == {"of", "source", "url", "verified"}
        assert source["verified"]


def test_no_identifier_stands_twice():
    pairs = re.findall(r'^  "([^"]+)": \{"product"', devices.DATA.read_text(), re.MULTILINE)
    assert len(pairs) == len(set(pairs)) == len(TABLE["devices"])
