"""Results as a report bundles them: what is private in their texts told, no number touched."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from reporter.measure import archive, results
from reporter.measure.record import Record, dumps
from reporter.write.files.outputs import RECORDS
from reporter.write.privacy.model_copy import unmatched
from reporter.write.privacy.redact import current, say
from reporter.write.zipped.archive import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reporter.measure.identity import ModelIdentity
    from reporter.write.privacy.model_copy import Copied
    from reporter.write.privacy.redact import Gate


def names(paths: Sequence[Path]) -> list[str]:
    """Return what results are called in the report's folder, each otherwise."""
    said = [current().file_name(name) for name in results.names(paths)]
    return results.names([path.with_name(name) for path, name in zip(paths, said, strict=True)])


def keep(result: results.Results, path: Path, target: Path, copies: Iterable[Copied] = ()) -> None:
    """Bundle a result: its file, or what was measured here.

    One that does not match the bundled copy of its model, as descriptions in it were replaced, is
    made to name the copy.
    """
    models = unmatched(copies)
    if path.suffix == ".npz":
        copy_arrays(path, target, models)
    elif path.exists():
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        say(target, _renamed(text, result, models))
    elif isinstance(result, Record):
        say(target.with_name("measured.json"), _renamed(dumps(result), result, models))


def _renamed(text: str, result: results.Results, models: Mapping[str, ModelIdentity]) -> str:
    """Return a result's text, which names a copy in place of its model if that is among these."""
    copy = models.get(result.model.sha256_without_metadata) if isinstance(result, Record) else None
    if copy is None:
        return text
    return json.dumps({**json.loads(text), "model": copy.model_dump()}, ensure_ascii=False) + "\n"


def copy_arrays(source: Path, target: Path, models: Mapping[str, ModelIdentity] = {}) -> None:
    """Copy an .npz through the open gate: to the byte, if nothing in it is private.

    The sha256 of its model becomes that of the copy which `models` has for it.
    """
    gate = current()
    with zipfile.ZipFile(source) as zipped:
        plain = not zipped.comment and all(name.endswith(".npy") for name in zipped.namelist())
    with source.open("rb") as stream:
        arrays = archive.read(stream)
    if copy := models.get(str(arrays.get("model"))):
        arrays["model"] = np.array(copy.sha256_without_metadata)
        plain = False
    told = gate.keyed({key: _told(array, gate) for key, array in arrays.items()}, RECORDS)
    if plain and all(told.get(key) is array for key, array in arrays.items()):
        shutil.copyfile(source, target)
        return
    with zipfile.ZipFile(target, "w") as zipped:
        for key, array in told.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            zipped.writestr(zipfile.ZipInfo(f"{key}.npy", EPOCH), content.getvalue())


def _told(array: NDArray[Any], gate: Gate) -> NDArray[Any]:
    """Return an array, its strings told if it holds any."""
    if array.dtype.kind not in "US":
        return array
    as_text = array if array.dtype.kind == "U" else np.char.decode(array, "utf-8", "replace")
    texts = as_text.ravel().tolist()
    told = [gate.text(text, RECORDS) for text in texts]
    return array if told == texts else np.reshape(told, array.shape)
