from __future__ import annotations

import json

from reporter.write.venues import json_


def strict(text):
    """Parse as a strict reader does: NaN and Infinity are not JSON."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_snapshot(report, as_file):
    assert json_.text(report) == as_file("json")


def test_it_is_strict_json_with_a_schema(report):
    content = strict(json_.text(report))
    assert content["schema"] == "anereport.report/2"
    assert json_.text(report).endswith("}\n")


def test_every_field_of_the_report_is_there(make_report):
    report = make_report()
    content = strict(json_.text(report))
    assert set(content) == set(report.__dataclass_fields__)
    assert content["model"]["identity"]["sha256"] == report.model.identity.sha256
    (comparison,) = content["comparisons"]
    assert comparison["table"]["rows"][0] is None
    assert comparison["table"]["rows"][1]["position"] == [0, 0, 2, 0]
    assert comparison["units"][2]["metrics"]["beyond"] == 5


def test_infinite_numbers_are_strings(make_report):
    (comparison,) = strict(json_.text(make_report()))["comparisons"]
    assert comparison["units"][0]["metrics"]["snr"] == "Infinity"
    assert comparison["units"][0]["metrics"]["max_abs"] == 0.0


def test_names_stay_exactly_as_they_are(hostile):
    content = strict(json_.text(hostile))
    assert content["comparisons"][0]["output"] == hostile.comparisons[0].output
    assert content["model"]["identity"]["name"] == hostile.model.identity.name


def test_simulated_is_said(simulated):
    content = strict(json_.text(simulated))
    assert content["simulated"] is True
    assert content["title"].startswith("SIMULATED")
    assert {u["status"] for u in content["comparisons"][0]["units"]} >= {"simulated"}
