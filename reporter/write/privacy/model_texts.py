"""The texts of a model that it does not compute with, and its names, which stay as they are.

Texts are the metadata, and the descriptions of features, custom layers and custom models, those
of nested models too. Every other string of a spec is a name, or a part of the computation.
"""

from __future__ import annotations

import dataclasses
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import migrate
from reporter.write.files.outputs import copy
from reporter.write.privacy.redact import Gate, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reporter.write.report.model_facts import ModelFacts

    Tell = Callable[[str, str], str]  # a text and what it is, to the text in its place

PACKAGE = "CoreML.Specification."
METADATA = f"{PACKAGE}Metadata"
USER_DEFINED = f"{METADATA}.userDefined"
DESCRIPTIONS = {
    f"{PACKAGE}FeatureDescription.shortDescription": "the model's descriptions of features",
    f"{PACKAGE}CustomLayerParams.description": "the model's descriptions of custom layers",
    f"{PACKAGE}CustomModel.description": "the model's description",
}


def gate(model: Path, keeps_metadata: bool = False) -> Gate:
    """Return the gate that knows a model's names, alone and as the place of a fault."""
    faults = frozenset(migrate.FAULTS)
    return Gate(names(migrate.load_spec(model)), faults, keeps_metadata=keeps_metadata)


@contextmanager
def leaving(model: Path) -> Iterator[Path]:
    """Open the gate of a model, and give it under a name that may leave: it, or a copy.

    A folder that is made of a model calls its files by that name, and what it says of them agrees.
    """
    known = gate(model)
    name = known.file_name(model.name)
    with opened(known), tempfile.TemporaryDirectory() as place:
        if name != model.name:
            copy(model, Path(place, name))
        yield model if name == model.name else Path(place, name)


def names(spec: Any) -> frozenset[str]:
    """Return the strings of a model that are none of its texts: names of layers, features, ..."""
    return frozenset(name for name in _names(spec) if name)


def names_in(facts: ModelFacts) -> frozenset[str]:
    """Return the names that a report gives of a model: of layers, blobs, features, operations."""
    return frozenset(_strings((facts.layers, facts.features, facts.program)))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif dataclasses.is_dataclass(value):
        for one in dataclasses.fields(value):
            yield from _strings(getattr(value, one.name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)


def _names(message: Any) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.full_name in DESCRIPTIONS or _type(field) == METADATA:
            continue
        if _is_map(field):
            yield from (key for key in value if isinstance(key, str))
            value = list(value.values())
        for item in _items(field, value):
            if isinstance(item, str):
                yield item
            elif hasattr(item, "ListFields"):
                yield from _names(item)


def tell(spec: Any, told: Tell) -> None:
    """Put in place of each text of a model what `told` makes of it."""
    for field, value in spec.ListFields():
        if _type(field) == METADATA:
            _tell_metadata(value, told)
        elif field.full_name in DESCRIPTIONS:
            setattr(spec, field.name, told(value, DESCRIPTIONS[field.full_name]))
        elif field.message_type:
            for item in _items(field, list(value.values()) if _is_map(field) else value):
                if hasattr(item, "ListFields"):
                    tell(item, told)


def _tell_metadata(metadata: Any, told: Tell) -> None:
    for field, value in metadata.ListFields():
        where = f"the model's metadata: {field.name}"
        if field.full_name == USER_DEFINED:
            _tell_entries(value, told, where)
        elif isinstance(value, str):
            setattr(metadata, field.name, told(value, where))


def _tell_entries(entries: Any, told: Tell, where: str) -> None:
    """Tell the entries that a user defined; what a key says of its value counts too."""
    before = dict(entries)
    entries.clear()
    for key, value in before.items():
        shown, pair = told(key, where), told(f"{key}: {value}", where)
        if pair == f"{key}: {value}" or not pair.startswith(f"{key}: "):
            pair = f"{key}: {told(value, where)}"
        entries[_free(shown, entries)] = pair[len(key) + 2 :]


def _free(key: str, taken: Any) -> str:
    free, number = key, 2
    while free in taken:
        free, number = f"{key} {number}", number + 1
    return free


def without_texts(spec: Any) -> Any:
    """Return a copy of a model with all of its texts, and keys of metadata, cleared."""
    copy = type(spec)()
    copy.CopyFrom(spec)
    clear(copy)
    return copy


def clear(message: Any) -> None:
    """Clear a model's texts, and the keys of its metadata, in place."""
    for field, value in message.ListFields():
        if field.full_name in DESCRIPTIONS or _type(field) == METADATA:
            message.ClearField(field.name)
        elif field.message_type:
            for item in _items(field, list(value.values()) if _is_map(field) else value):
                if hasattr(item, "ListFields"):
                    clear(item)


def _items(field: Any, value: Any) -> Any:
    """Return the values of a field that may hold text, none for numbers."""
    if field.cpp_type not in (field.CPPTYPE_STRING, field.CPPTYPE_MESSAGE):
        return ()
    return (value,) if isinstance(value, (str, bytes)) or hasattr(value, "ListFields") else value


def _type(field: Any) -> str:
    return field.message_type.full_name if field.message_type else ""


def _is_map(field: Any) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)
