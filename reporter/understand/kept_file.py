"""What a command keeps in a folder as one JSON file, read back by a later one.

What is wrong is raised as `fault`: a sentence with the place in the file, and the `command` to run.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from reporter.measure.identity import identify

if TYPE_CHECKING:
    from pathlib import Path

    from migrate import AnereportError
    from reporter.measure.identity import ModelIdentity

Kept = TypeVar("Kept")


def load(
    path: Path, kind: type[Kept], schema: str, fault: type[AnereportError], command: str
) -> Kept:
    """Return a file as `kind`, whose `schema` field says what it is."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        message = f"{path.parent} holds no {path.name}: write it with {command}"
        raise fault(message) from None
    except NotADirectoryError:
        raise fault(f"{path.parent} is no folder: give the one that {command} wrote") from None
    except OSError as error:
        raise fault(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
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


def check_model(
    file: Path, name: str, identity: ModelIdentity | None, fault: type[AnereportError], command: str
) -> None:
    """Raise `fault` if a model that such a file names is missing or not as it was written."""
    path = file.parent / name
    if path.parent != file.parent:
        raise fault(f"{file} names {name}, which is not in its folder")
    if not path.exists():
        raise fault(f"{file.parent} lacks {name}: run {command} again")
    if identify(path) != identity:
        raise fault(f"{path} is not as it was written: run {command} again")


def checked(kind: type[Kept], content: Any) -> Kept:
    """Return the content of a JSON file as `kind`; raises pydantic's ValidationError."""
    hashable: Any = kind
    return _adapter(hashable).validate_python(content)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
