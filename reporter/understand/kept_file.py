"""What a command keeps in a folder as one JSON file, read back by a later one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

    from migrate import AnereportError

Kept = TypeVar("Kept", bound=BaseModel)


def load(
    path: Path, kind: type[Kept], schema: str, fault: type[AnereportError], command: str
) -> Kept:
    """Return a file as `kind`, whose `schema` field says what it is.

    Raises `fault`, in a sentence that names the place inside the file, and `command`, which writes
    the file again.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"{path.parent} holds no {path.name}: write it with {command}"
        raise fault(message) from None
    except (OSError, ValueError, RecursionError) as error:
        raise fault(f"cannot read {path}: {error}") from error
    found = content.get("schema") if isinstance(content, dict) else None
    if found != schema:
        raise fault(f"{path}: schema: expected '{schema}', found {found!r}: run {command} again")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        inside = ".".join(map(str, first["loc"]))
        raise fault(f"{path}: {inside}: {first['msg']}: run {command} again") from error
