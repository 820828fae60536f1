"""The published schemas, as an independent validator reads them."""

from __future__ import annotations

import copy
import json

import jsonschema
import pytest
from any_reports import reports
from hypothesis import HealthCheck, given, settings
from migrations import model
from rule_devices import always
from shrinks import Shrink
from small_block import small_block
from small_reports import nothing

from reporter.measure import record
from reporter.measure.simulate import simulate
from reporter.write import schemas
from reporter.write.migration import migration
from reporter.write.report import report_file
from reporter.write.variants import variants
from reporter.write.zipped import zip_manifest
from reporter.write.zipped.zip_manifest import Member

WRITTEN = ("record", "migration", "variants", "shrink", "bundle")


def faults(name, content):
    """What is wrong with a file by the published schema."""
    schema = schemas.of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return [e.message for e in jsonschema.Draft202012Validator(schema).iter_errors(content)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What commands write of small networks, by the name of its schema."""
    here = tmp_path_factory.mktemp("written")
    path = model(here / "m.mlmodel")
    migration.write(path, here / "m-mlprogram")
    (here / "b.mlmodel").write_bytes(small_block().SerializeToString(deterministic=True))
    variants.write(here / "b.mlmodel", here / "b-variants")
    (here / "shrink").mkdir()
    shrunk = Shrink(here / "shrink", small_block())
    shrunk.read(shrunk.measure(always))
    texts = {
        "record": record.dumps(simulate(path, "none")),
        "migration": (here / "m-mlprogram/migration.json").read_text(),
        "variants": (here / "b-variants/manifest.json").read_text(),
        "shrink": (shrunk.out / "shrink.json").read_text(),
        "bundle": zip_manifest.dumps(zip_manifest.of(nothing(), (Member("a", 1, "ab" * 32),))),
    }
    return {name: json.loads(text) for name, text in texts.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(reports)
def test_every_report_is_valid(report):
    assert faults("report", json.loads(report_file.dumps(report))) == []


@pytest.mark.parametrize("name", WRITTEN)
def test_what_commands_write_is_valid(written, name):
    assert faults(name, written[name]) == []


@pytest.mark.parametrize("name", WRITTEN)
def test_another_schema_and_a_field_that_is_missing_or_of_another_type_are_refused(written, name):
    whole, required = written[name], schemas.of(name)["required"]
    assert "schema" in required
    for key in required:
        rest = {k: v for k, v in whole.items() if k != key}
        assert faults(name, rest) == [f"'{key}' is a required property"]
        assert faults(name, {**whole, key: [0.5]})
    assert faults(name, {**whole, "schema": "anereport.another/1"})


def test_numbers_may_be_the_strings_that_stand_for_what_json_lacks(written):
    found = copy.deepcopy(written["record"])
    for text in ("NaN", "Infinity", "-Infinity"):
        found["runs"][0]["times"] = {"predict": text}
        assert faults("record", found) == []
    for text in ("nan", "1", ""):
        found["runs"][0]["times"] = {"predict": text}
        assert faults("record", found)


def test_each_says_of_what_it_is():
    for name in schemas.KINDS:
        content = schemas.of(name)
        assert content["title"] == content["properties"]["schema"]["const"]
        assert content["title"].startswith(f"anereport.{name}/")
        assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_a_name_that_nothing_has_is_refused():
    with pytest.raises(schemas.SchemaError, match="no file is called 'x': there are report, recor"):
        schemas.of("x")
