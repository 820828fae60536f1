"""What a command keeps in a folder as one JSON file, read back by a later one."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

    from migrate import AnereportError

Kept = TypeVar("Kept")


def load(
    path: Path, kind: type[Kept], schema: str, fault: type[AnereportError], command: str
) -> Kept:
    """Return a file as `kind`, whose `schema` field says what it is.

    Raises `fault`, in a sentence that names the place inside the file, and `command`, which writes
    the file again.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        message = f"{path.parent} holds no {path.name}: write it with {command}"
        raise fault(message) from None
    except (OSError, ValueError) as error:
        raise fault(f"cannot read {path}: {error}") from error
    return loads(text, path, kind, schema, fault, command)


def loads(
    text: str,
    path: Path | str,
    kind: type[Kept],
    schema: str,
    fault: type[AnereportError],
    command: str,
) -> Kept:
    """Return the text of a file as `kind`, as `load` does; `path` is what its errors name."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise fault(f"cannot read {path}: {error}") from error
    found = content.get("schema") if isinstance(content, dict) else None
    if found != schema:
        raise fault(f"{path}: schema: expected '{schema}', found {found!r}: run {command} again")
    try:
        return checked(kind, content)
    except ValidationError as error:
        first = error.errors()[0]
        inside = ".".join(map(str, first["loc"]))
        raise fault(f"{path}: {inside}: {first['msg']}: run {command} again") from error


def checked(kind: type[Kept], content: Any) -> Kept:
    """Return the content of a JSON file as `kind`; raises pydantic's ValidationError."""
    hashable: Any = kind
    return _adapter(hashable).validate_python(content)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
