"""Variants of the interface: shapes as computed, float16 and float32 arrays, spec versions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from migrate.declared import Mismatch, corrected, mismatches
from migrate.variation.registry import variant
from migrate.variation.variant import Draft, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.variation.original import Original

FIRST_WITH_HALVES = 7  # the spec version whose arrays may be float16
VERSIONS = {4: "iOS 13", 5: "iOS 14", 6: "iOS 15", 7: "iOS 16", 8: "iOS 17", 9: "iOS 18"}
FLOATS = ("FLOAT16", "FLOAT32", "DOUBLE")


@variant("declared")
def declared(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on a wrongly declared output shape: it is declared as computed."""
    shapes = {name: value.shape for name, value in original.outputs.items()}
    found = mismatches(original.net, shapes)
    if not found:
        yield LeftOut("declared", "every output is declared as it is computed")
        return
    yield Draft(
        "",
        f"Whether the bug depends on the declared shape: {'; '.join(map(str, found))}; here it is "
        "declared as they give it.",
        partial(_correct, found),
    )


def _correct(found: list[Mismatch], spec: Any) -> None:
    spec.CopyFrom(corrected(spec, found))


@variant("fp16-features")
def halves(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on conversions at inputs and outputs: float arrays are float16."""
    yield from _typed(original, "fp16-features", "FLOAT16", ("input", "output"))


@variant("fp16-outputs")
def half_outputs(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on the conversion at the outputs: their float arrays are float16."""
    yield from _typed(original, "fp16-outputs", "FLOAT16", ("output",))


@variant("fp32-features")
def singles(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on conversions at inputs and outputs: float arrays are float32."""
    yield from _typed(original, "fp32-features", "FLOAT32", ("input", "output"))


def _typed(
    original: Original, kind: str, dtype: str, roles: tuple[str, ...]
) -> Iterator[Draft | LeftOut]:
    arrays = _float_arrays(original.spec, roles)
    where = " and ".join(f"{role}s" for role in roles)
    others = [name for name, array in arrays if _dtype(array) != dtype]
    if not others:
        had = f"are {dtype} already" if arrays else "are not there"
        yield LeftOut(kind, f"float arrays at the {where} {had}")
        return
    names = ", ".join(f"'{name}'" for name in others)
    needed = f", in spec version {FIRST_WITH_HALVES}" if dtype == "FLOAT16" else ""
    yield Draft(
        "",
        f"Whether the bug depends on the conversion at the {where}: of the {where}, {names} "
        f"{'are' if len(others) > 1 else 'is'} {dtype}{needed}.",
        partial(_set_type, dtype, roles),
    )


def _float_arrays(spec: Any, roles: tuple[str, ...]) -> list[tuple[str, Any]]:
    return [
        (feature.name, feature.type.multiArrayType)
        for role in roles
        for feature in getattr(spec.description, role)
        if feature.type.WhichOneof("Type") == "multiArrayType"
        and _dtype(feature.type.multiArrayType) in (*FLOATS, "INVALID_ARRAY_DATA_TYPE")
    ]


def _dtype(array: Any) -> str:
    return str(array.ArrayDataType.Name(array.dataType))


def _set_type(dtype: str, roles: tuple[str, ...], spec: Any) -> None:
    for _, array in _float_arrays(spec, roles):
        array.dataType = array.ArrayDataType.Value(dtype)
    if dtype == "FLOAT16":
        spec.specificationVersion = max(spec.specificationVersion, FIRST_WITH_HALVES)


@variant("version")
def versions(original: Original) -> Iterator[Draft | LeftOut]:
    """Whether the bug depends on the release that the model is for: a higher spec version."""
    own = original.network.spec_version
    higher = [version for version in VERSIONS if version > own]
    if not higher:
        yield LeftOut("version", f"there is no spec version above {own}")
    for version in higher:
        yield Draft(
            str(version),
            "Whether the bug depends on the release that the model is for: the spec version is "
            f"{version} ({VERSIONS[version]}) in the place of {own}.",
            partial(_set_version, version),
        )


def _set_version(version: int, spec: Any) -> None:
    spec.specificationVersion = version
