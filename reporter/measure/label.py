"""The label of this installation: random, kept in the user's configuration, theirs to change.

It tells devices of one kind apart in records, and is derived from nothing.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import tempfile
from functools import cache
from pathlib import Path

FORM = re.compile(r"\S(.{0,62}\S)?")  # what a person may write into the file


def home() -> Path:
    """Return the file that keeps the label, where the system has programs keep their settings."""
    chosen = os.environ.get("XDG_CONFIG_HOME")
    if chosen:
        folder = Path(chosen)
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home())
    else:
        folder = Path.home() / ".config"
    return folder / "anereport" / "label"


def kept() -> str:
    """Return the label that is kept; empty if there is none that can be read and used."""
    try:
        text = home().read_text(encoding="utf-8").strip()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: no home
        return ""
    return text if text.isprintable() and FORM.fullmatch(text) else ""


def label() -> str:
    """Return the kept label, made when first asked for; if none can be kept, this process's own."""
    return kept() or _keep(_random())


@cache
def _random() -> str:
    return f"device-{secrets.token_hex(3)}"


def _keep(text: str) -> str:
    """Write the label whole, by way of a temporary file beside it, and return it."""
    try:
        path = home()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".label-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(f"{text}\n")
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except (OSError, RuntimeError):
        pass
    return text
