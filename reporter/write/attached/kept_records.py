"""The records that a folder of models keeps in its `records/`: of all the models that it holds."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from migrate import AnereportError
from reporter.measure import record
from reporter.write.files.outputs import RECORDS, copy, write_file
from reporter.write.privacy.redact import redact_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from reporter.measure.identity import ModelIdentity
    from reporter.measure.record import Record


class _OfModel(Protocol):
    """What a folder's file says."""

    @property
    def source(self) -> ModelIdentity: ...


def kept(folder: Path) -> dict[str, Record]:
    """Return the records that a folder keeps, by their names."""
    return {path.name: record.load(path) for path in sorted((folder / RECORDS).glob("*.json"))}


def keep(folder: Path, given: Sequence[tuple[str, Record]]) -> dict[str, Record]:
    """Keep records, redacted, those that are there already once; return all by their names."""
    found = kept(folder)
    texts = {record.dumps(result) for result in found.values()}
    for name, result in given:
        text = redact_json(record.dumps(result), RECORDS)
        if text not in texts:
            texts.add(text)
            name = _free(name, found)
            found[name] = result
            (folder / RECORDS).mkdir(exist_ok=True)
            write_file(folder / RECORDS / name, text, force=True)
    return found


def carry(replaced: Path, folder: Path, load: Callable[[Path], _OfModel], file: str) -> None:
    """Take the records that a folder keeps along to the one that replaces it.

    `load` reads the `file` in which each says of what network it is; if that of the old one cannot
    be read they come along, but not to another network.
    """
    if not (replaced / file).exists() or not (replaced / RECORDS).is_dir():
        return
    source = load(folder).source
    with suppress(AnereportError):
        if load(replaced).source.sha256_without_metadata != source.sha256_without_metadata:
            return
    copy(replaced / RECORDS, folder / RECORDS)


def counting(folder: Path, evidence: set[str]) -> list[tuple[Path, Record]]:
    """Return the kept records of this evidence; if it is none, measured before simulated ones."""
    found = kept(folder)
    wanted = evidence or {min((r.evidence for r in found.values()), default="measured")}
    return [(folder / RECORDS / name, r) for name, r in found.items() if r.evidence in wanted]


def _free(name: str, taken: Iterable[str]) -> str:
    """Return a name that ends in .json and that no record has, small letters or not."""
    name = name if name.endswith(".json") else f"{name}.json"
    others = {other.lower() for other in taken}
    numbered = (f"{number}-{name}" for number in itertools.count(2))
    return next(n for n in itertools.chain([name], numbered) if n.lower() not in others)
