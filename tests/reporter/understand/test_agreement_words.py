"""What is said of many devices."""

from __future__ import annotations

import dataclasses

import pytest
from many_devices import model, ten

from reporter.progress import Silent
from reporter.understand.agreement import agreement
from reporter.understand.agreement_words import line, statements
from reporter.understand.cells import Cell
from reporter.understand.origin import Kind, Origin
from reporter.understand.reference import Referee
from reporter.understand.understood import Bounds, of_records

OLD = Kind("measured", "iPhone14,5", "iOS 16.2", "20C65")
NEW = dataclasses.replace(OLD, system="iOS 17.0", build="21A329")
OTHER = dataclasses.replace(OLD, identifier="iPhone14,6")
NOBODY = Kind("measured", "", "", "")
WRONG = {"word": "diverges", "ratio": 20.0}
DOUBT = "a single faulty device is a known case"


def cell(label="a", kind=OLD, word="rounding", ratio=0.5, key="0", record="", **more):
    where = {"product": "", "simulation": more.pop("simulation", "")}
    record = record or f"{label}.json"
    origin = Origin(kind, label, file="" if label else record, **where)
    fields = {"variant": "m.mlmodel", "unit": "ane", "input": f"seed-{key}", "runs": 1}
    return Cell(origin=origin, word=word, ratio=ratio, key=key, record=record,
                **{**fields, **more})  # fmt: skip


def said(*cells):
    return statements(agreement("m.mlmodel", cells))


def test_on_which_devices_it_fails_and_passes():
    assert said(cell("a", **WRONG), cell("b", **WRONG), cell("c", OTHER)) == [
        "the ANE fails on: iPhone14,5 (iOS 16.2, 20C65), labels a and b; "
        "passes on: iPhone14,6 (iOS 16.2, 20C65), label c"
    ]


def test_several_kinds_that_fail():
    kinds = (OLD, OTHER, NEW)
    made = [cell(label, kind, **WRONG) for label, kind in zip("abc", kinds, strict=True)]
    (text,) = said(*made, cell("d", dataclasses.replace(OLD, identifier="Mac14,2")))
    assert text == (
        "the ANE fails on: iPhone14,5 (iOS 16.2, 20C65), label a, and on iPhone14,6 (iOS 16.2, "
        "20C65), label b, and on iPhone14,5 (iOS 17.0, 21A329), label c; "
        "passes on: Mac14,2 (iOS 16.2, 20C65), label d"
    )


def test_where_all_agree_one_clause_suffices():
    right = [cell(label) for label in "abc"]
    assert said(*right) == ["the ANE passes on all 3 devices and builds measured"]
    wrong = [cell(label, **WRONG) for label in "abc"]
    assert said(*wrong) == ["the ANE fails on all 3 devices and builds measured"]


def test_each_unit_by_itself():
    text = said(cell("a"), cell("b", OTHER), cell("a", unit="gpu", **WRONG),
                cell("b", OTHER, unit="gpu"), cell("a", unit="cpu"))  # fmt: skip
    assert [one.split(" iPhone")[0] for one in text] == ["the ANE passes on:", "the GPU fails on:"]


def test_one_faulty_phone_among_three_is_said_first():
    first, *_, last = said(cell("b", NEW), cell("a"), cell("b", word="diverges", ratio=250.0),
                           cell("c"))  # fmt: skip
    assert first == (
        "devices of one kind and build disagree on the same input seed-0: the ANE of iPhone14,5 "
        "(iOS 16.2, 20C65) fails with label b (diverges, 250 times what rounding explains) and "
        f"passes with labels a and c; {DOUBT}"
    )
    assert last.startswith("the ANE fails on: iPhone14,5 (iOS 16.2, 20C65), label b; passes on: ")


def test_without_labels_it_may_be_one_flaky_phone():
    first, _, doubt = said(cell("", record="x.json", **WRONG), cell("", record="y.json"))
    assert first.endswith(
        "fails with record x.json (no label) (diverges, 20 times what rounding explains) and "
        f"passes with record y.json (no label); {DOUBT}, and so is a flaky one"
    )
    assert doubt == (
        "of iPhone14,5 (iOS 16.2, 20C65) there are records x.json and y.json (no label): nothing "
        "tells whether these are one device or several"
    )


def test_a_record_without_a_label_beside_a_device_with_one():
    *_, doubt = said(cell("a"), cell("", record="y.json"))
    assert doubt == (
        "of iPhone14,5 (iOS 16.2, 20C65) there are label a and record y.json (no label): nothing "
        "tells whether these are one device or several"
    )


def test_devices_of_other_builds_or_kinds_are_no_faulty_unit():
    for kind in (NEW, OTHER):
        assert not any("disagree" in one for one in said(cell("a", **WRONG), cell("b", kind)))


def test_two_builds_of_one_device():
    first, _ = said(cell("a", **WRONG), cell("a", NEW))
    assert first == (
        "builds of one device differ on the same input seed-0: the ANE of iPhone14,5, label a, "
        "fails on iOS 16.2, 20C65 (diverges, 20 times what rounding explains) and passes on iOS "
        "17.0, 21A329"
    )
    assert not any("builds of one" in one for one in said(cell("a", **WRONG), cell("b", NEW)))
    assert not any("builds of one" in one for one in said(
        cell("", record="x", **WRONG), cell("", NEW, record="y")))  # fmt: skip
    unnamed = said(cell("a", NOBODY, **WRONG), cell("a"), cell("a", NEW))
    assert not any("builds of one" in one for one in unnamed)  # one label, but of what?


def test_records_in_conflict():
    (text,) = said(cell(record="x.json"), cell(record="y.json", **WRONG))
    assert text == (
        "records of one device are in conflict: the ANE of iPhone14,5 (iOS 16.2, 20C65), label a "
        "is, on the same input seed-0, rounding, 0.5 times what rounding explains in x.json and "
        "diverges, 20 times what rounding explains in y.json"
    )
    *_, where = said(cell(record="x.json"), cell(record="y.json", **WRONG), cell("b"))
    assert where == (
        "the ANE is in conflict on: iPhone14,5 (iOS 16.2, 20C65), label a; "
        "passes on: iPhone14,5 (iOS 16.2, 20C65), label b"
    )


def test_what_does_not_run_is_flaky_or_has_no_verdict():
    failed = {"word": "failed", "ratio": None, "detail": "load: no such plan"}
    made = [
        cell("a", OTHER, **failed), cell("b", OTHER, word="flaky", ratio=20.0),
        cell("c", OTHER, word="unfit"),
    ]  # fmt: skip
    assert said(*made) == [
        "the ANE does not run on: iPhone14,6 (iOS 16.2, 20C65), label a; is flaky on: iPhone14,6 "
        "(iOS 16.2, 20C65), label b; has no verdict on: iPhone14,6 (iOS 16.2, 20C65), label c"
    ]
    first, _ = said(made[0], cell("d", OTHER))
    assert "does not run with label a (failed: load: no such plan) and passes with label d" in first
    first, _ = said(made[1], cell("d", OTHER))
    assert "is flaky with label b (flaky, 20 times what rounding explains)" in first
    assert said(*(cell(label, word="not known", ratio=None) for label in "ab")) == []


def test_other_inputs_are_not_compared():
    text = said(cell("a", **WRONG), cell("b", key="1"), cell("c", key="1"))
    assert text == [
        "the ANE, with input seed-0 of a.json, fails on: iPhone14,5 (iOS 16.2, 20C65), label a",
        "the ANE, with input seed-1 of b.json and c.json, passes on: iPhone14,5 (iOS 16.2, 20C65), "
        "labels b and c",
        "records without an input in common cannot be compared input by input, and each verdict is "
        "against its own reference: a.json; b.json and c.json",
    ]


def test_equal_names_do_not_make_equal_inputs():
    text = said(cell("a", **WRONG), cell("b", key="1", input="seed-0"))
    assert "with input seed-0 of a.json, fails on" in text[0]
    assert "with input seed-0 of b.json, passes on" in text[1]
    assert text[2].endswith("a.json; b.json")


def test_what_all_have_is_compared_and_the_rest_is_told_by_itself():
    text = said(cell("a"), cell("a", key="1", **WRONG), cell("a", key="2", **WRONG), cell("b"))
    assert text == [
        "the ANE, with the input seed-0 that all have, passes on: iPhone14,5 (iOS 16.2, 20C65), "
        "labels a and b",
        "the ANE, with inputs seed-1 and seed-2, which not all have, fails on: iPhone14,5 (iOS "
        "16.2, 20C65), label a (diverges, 20 times what rounding explains)",
    ]


def test_devices_that_nobody_named():
    text = said(cell("", NOBODY, record="x.npz", **WRONG), cell("", NOBODY, record="y.npz"))
    assert text == [
        "the ANE fails on: unknown device, record x.npz (no label); "
        "passes on: unknown device, record y.npz (no label)",
        "no device is named in x.npz and y.npz, each of which stands by itself",
    ]


def test_what_the_model_became_is_told_where_devices_disagree():
    same = [cell(label, variant="p.mlpackage") for label in "ab"]
    assert said(*same) == []
    text = said(same[0], cell("b", variant="p.mlpackage", **WRONG))
    assert "p.mlpackage on the ANE of iPhone14,5" in text[0]
    assert text[1].startswith("p.mlpackage on the ANE fails on: ")


def test_simulated_rows_say_so():
    kind = Kind("simulated", "", "", "")
    made = [cell("sim", kind, simulation="zeroed@y", **WRONG), cell("sim", kind, simulation="none")]
    (text,) = said(*made)
    assert text == (
        "the ANE (SIMULATED) fails on: unknown device, label sim (zeroed@y); "
        "passes on: unknown device, label sim (none)"
    )
    known = agreement("m.mlmodel", made)
    assert line(known, known.rows[0]).startswith("the ANE (SIMULATED), unknown device, ")


def test_a_row_in_a_line():
    made = [cell("a", runs=2, **WRONG), cell("a", key="1", record="b.json")]
    known = agreement("m.mlmodel", made)
    assert line(known, known.rows[0]) == (
        "the ANE, iPhone14,5 (iOS 16.2, 20C65), label a: diverges, 20 times what rounding explains "
        "(3 runs of 2 inputs; a.json and b.json)"
    )
    one = agreement("m.mlmodel", [cell(word="failed", ratio=None, detail="load: no plan")])
    assert line(one, one.rows[0]).endswith(
        "label a: failed: load: no plan (1 run of 1 input; a.json)"
    )


@pytest.mark.parametrize(("count", "end"), [(10, "and j0"), (12, "j0 and 2 more")])
def test_many_labels_are_cut(count, end):
    labels = [f"{chr(97 + i)}0" for i in range(count)]
    (text,) = said(*(cell(label, **WRONG) for label in labels), cell("x", OTHER))
    assert end in text.split(";")[0]


def test_one_device_says_nothing():
    assert said(cell(), cell(unit="cpu"), cell(key="1", **WRONG)) == []


def test_ten_records_in_words(tmp_path):
    path = model(tmp_path / "m.mlmodel")
    records = list(ten(path).items())
    known = of_records(records, Referee(path), Bounds(budget=0), Silent()).agreement
    old, new = "iPhone14,5, iPhone 13 (iOS 16.2, 20C65)", "iPhone14,5, iPhone 13 (iOS 17.0, 21A329)"
    text = statements(known)
    assert [one.split(":")[0] for one in text] == [
        "devices of one kind and build disagree on the same input seed-1",
        "records of one device are in conflict",
        "builds of one device differ on the same input seed-1",
        "builds of one device differ on the same input seed-1",
        "the ANE, with the input seed-1 that all have, fails on",
        "the CPU, with the input seed-1 that all have, passes on all 6 devices and builds measured",
    ]
    assert f"the ANE of {old} fails with label a" in text[0]
    assert "passes with label b" in text[0]
    assert f"the ANE of {new}, label b is" in text[1]
    assert "in b2.json and diverges" in text[1]
    assert "label a, fails on iOS 16.2, 20C65" in text[2]
    small = "iPhone14,6, iPhone SE (3rd generation)"
    assert f"{small}, label c, passes on iOS 16.2, 20C65 and does not run on iOS 17.0" in text[3]
    assert text[4].split(" fails on: ")[1] == (
        f"{old}, label a; does not run on: {small} (iOS 17.0, 21A329), label c; is in conflict "
        f"on: {new}, label b; passes on: {new}, label a, and on {old}, label b, and on {small} "
        "(iOS 16.2, 20C65), label c"
    )
    assert not any("A15" in one for one in text)  # the chip that all three share sums up nothing
