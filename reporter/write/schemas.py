"""The JSON Schema of each file that anereport keeps: what its reader accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from migrate import AnereportError
from reporter.measure import record
from reporter.understand import manifest, migrated, shrunk
from reporter.write.report import report
from reporter.write.zipped import zip_manifest

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NOT_FINITE = {"enum": ["NaN", "Infinity", "-Infinity"]}
KINDS: dict[str, tuple[Any, str]] = {
    "report": (report.Report, report.SCHEMA),
    "record": (record.Record, record.SCHEMA),
    "migration": (migrated.Migration, migrated.SCHEMA),
    "variants": (manifest.Manifest, manifest.SCHEMA),
    "shrink": (shrunk.Shrunk, shrunk.SCHEMA),
    "bundle": (zip_manifest.ZipManifest, zip_manifest.SCHEMA),
}


class SchemaError(AnereportError):
    """A file whose schema is not published."""


def of(name: str) -> dict[str, Any]:
    """Return the JSON Schema of one of KINDS."""
    if name not in KINDS:
        raise SchemaError(f"no file is called '{name}': there are {', '.join(KINDS)}")
    kind, schema = KINDS[name]
    content = TypeAdapter(kind).json_schema(schema_generator=_Generator)
    if "schema" not in content["required"]:
        content["required"].append("schema")  # a file without it is read by nobody
    return {"$schema": DIALECT, **content, "title": schema}


class _Generator(GenerateJsonSchema):
    """Numbers may be the strings that stand for what JSON lacks."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """Return the schema of a number."""
        return {"anyOf": [super().float_schema(schema), NOT_FINITE]}
