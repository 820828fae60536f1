"""Folders that other commands wrote for a model: named by the user, or found where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from migrate import AnereportError

if TYPE_CHECKING:
    from collections.abc import Callable

    from reporter.measure.identity import ModelIdentity

T = TypeVar("T")


def find(
    model: Path, what: str, name: str, file: str, read: Callable[[Path], T], chosen: Path | None
) -> tuple[T | None, str]:
    """Return what `read` makes of a folder, and why one that lies there is left aside.

    The folder is `chosen`, whose faults are raised; else `name`, with `file` in it, in the current
    folder or beside the model. `what` begins the sentence on one that cannot be read.
    """
    if chosen is not None:
        return read(chosen), ""
    for folder in (Path(name), model.parent / name):
        if (folder / file).exists():
            try:
                return read(folder), ""
            except AnereportError as error:
                return None, f"{what} left aside: {error}"
    return None, ""


def check_source(
    what: str, source: ModelIdentity, identity: ModelIdentity, fault: type[AnereportError]
) -> None:
    """Raise `fault` unless a folder's `source` is this model; `what` says what the folder holds."""
    if source.sha256_without_metadata != identity.sha256_without_metadata:
        raise fault(
            f"{what} of another model: {source.name} (sha256 {source.sha256[:12]}), "
            f"not {identity.name} (sha256 {identity.sha256[:12]})"
        )
