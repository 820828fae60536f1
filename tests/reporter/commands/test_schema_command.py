from __future__ import annotations

import json

import jsonschema
import pytest
from typer.testing import CliRunner

from reporter.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["schema", *arguments])


def test_without_a_name_the_files_are_listed():
    result = run()
    assert result.exit_code == 0
    assert "report: anereport.report/2\n" in result.stdout
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        "report", "record", "migration", "variants", "shrink", "bundle",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["report", "record", "migration", "variants", "shrink", "bundle"])
def test_each_is_a_json_schema(name):
    result = run(name)
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(content)
    assert content["properties"]["schema"]["const"].startswith(f"anereport.{name}/")


def test_another_name_is_refused():
    result = run("doctor")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "anereport: no file is called 'doctor': there are report, record, migration, variants, "
        "shrink, bundle\n"
    )
