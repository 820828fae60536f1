"""An ML Program as an .mlpackage: the same program gives the same bytes."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

CLOCK = "com.github.apple.coremltools.conversion_date"


def save(program: Any, path: Path) -> None:
    """Write an `MLModel` of type ML Program to `path`, an .mlpackage that does not exist yet.

    What coremltools makes new each time is made of the content instead: the identifiers in the
    manifest follow from the paths, the spec is serialized in one order, and the date is left out.
    """
    program.save(str(path))
    spec = program.get_spec()
    spec.description.metadata.userDefined.pop(CLOCK, None)
    (file,) = path.rglob("*.mlmodel")
    file.write_bytes(spec.SerializeToString(deterministic=True))
    manifest = path / "Manifest.json"
    content = json.loads(manifest.read_text())
    entries = sorted(content["itemInfoEntries"].items(), key=lambda item: item[1]["path"])
    names = {old: str(uuid.uuid5(uuid.NAMESPACE_URL, entry["path"])) for old, entry in entries}
    content["itemInfoEntries"] = {names[old]: entry for old, entry in entries}
    content["rootModelIdentifier"] = names[content["rootModelIdentifier"]]
    manifest.write_text(json.dumps(content, indent=4, sort_keys=True) + "\n")
