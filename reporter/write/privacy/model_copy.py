"""The copy of a model that a report bundles: its texts told, nothing else of it touched.

A model in which nothing is private is copied byte for byte. Of a package only what its manifest
names is copied.
"""

from __future__ import annotations

import filecmp
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import migrate
from migrate import AnereportError
from reporter.measure.identity import identify
from reporter.write.privacy import model_texts
from reporter.write.privacy.redact import current

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reporter.measure.identity import ModelIdentity
    from reporter.write.privacy.redact import Gate
    from reporter.write.report.model_facts import ModelFacts

MANIFEST = "Manifest.json"
STRAY = "stray file"
SHOWN = 3  # names


class CopyError(AnereportError):
    """A model that cannot be copied without what tells a person or a machine."""


@dataclass(frozen=True)
class Copied:
    """A model, its copy, and the identities of both where they differ."""

    path: Path
    before: ModelIdentity | None = None
    after: ModelIdentity | None = None

    def into(self, facts: ModelFacts, gate: Gate) -> ModelFacts:
        """Return a model's facts with those of its copy, and names that look private."""
        name = {"name": self.path.name}
        return replace(
            facts,
            identity=facts.identity.model_copy(update=name),
            findings=(*facts.findings, *_looks(gate), *self._other_records()),
            bundled=self.after and self.after.model_copy(update=name),
        )

    def _other_records(self) -> Iterator[str]:
        before, after = self.before, self.after
        if before and after and before.sha256_without_metadata != after.sha256_without_metadata:
            yield (
                "descriptions of features or layers are replaced in the bundled copy: the records "
                "beside it name the copy in place of the original, so that they match it"
            )


def copied(model: Path, target: Path) -> Copied:
    """Copy a model to `target` through the open gate.

    Raises CopyError if the copy differs from the model in more than its texts.
    """
    if _told_copy(model, target):
        _check(model, target)
    before, after = identify(model), identify(target).model_copy(update={"name": model.name})
    return Copied(target, before, after) if before != after else Copied(target)


def _told_copy(model: Path, target: Path) -> bool:
    """Copy a model through the gate; return whether any of its texts was changed."""
    spec = migrate.load_spec(model)
    texts = _Told()
    model_texts.tell(spec, texts.through)
    if model.is_dir():
        _copy_package(model, target)
    elif not texts.changed:
        shutil.copyfile(model, target)
    if texts.changed:
        file = _spec_file(target) if model.is_dir() else target
        file.write_bytes(spec.SerializeToString(deterministic=True))
    return texts.changed


def reidentified(text: str, copies: Iterable[Copied]) -> str:
    """Return a JSON text in which the identities of models that were changed are their copies'."""
    after = {c.before: c.after for c in copies if c.before and c.after}
    if not after:
        return text
    known: dict[tuple[Any, Any], ModelIdentity] = {(b.sha256, b.name): a for b, a in after.items()}

    def told(value: Any) -> Any:
        if isinstance(value, list):
            return [told(item) for item in value]
        if not isinstance(value, dict):
            return value
        copy = known.get((value.get("sha256"), value.get("name")))
        return copy.model_dump() if copy else {key: told(item) for key, item in value.items()}

    return json.dumps(told(json.loads(text)), indent=1, ensure_ascii=False) + "\n"


def unmatched(copies: Iterable[Copied]) -> dict[str, ModelIdentity]:
    """Return the copies that records of their originals do not match, by what those records say."""
    changed = [(c.before, c.after) for c in copies if c.before and c.after]
    shas = {b.sha256_without_metadata: a for b, a in changed}
    return {sha: after for sha, after in shas.items() if sha != after.sha256_without_metadata}


def _looks(gate: Gate) -> Iterator[str]:
    """Yield a sentence for the first names of a model that stay and look private."""
    suspects = list(gate.suspects.items())
    for name, kind in suspects[:SHOWN]:
        yield f"the name '{name}' holds what looks like a {kind}: rename it if that is private"
    if len(suspects) > SHOWN:
        yield f"{len(suspects) - SHOWN} more names of the model hold what looks private"


@dataclass
class _Told:
    """Whether any text was changed on its way through the gate."""

    changed: bool = False

    def through(self, text: str, where: str) -> str:
        """Return what takes the place of a text."""
        told = current().metadata(text, where)
        self.changed = self.changed or told != text
        return told


def _copy_package(model: Path, target: Path) -> None:
    """Copy a package's manifest and the files that it names, JSON files through the gate."""
    named = set(_named(model))
    for item in _items(model):
        if item.is_dir():  # also an empty one: a package without it does not open
            (target / item.relative_to(model)).mkdir(parents=True, exist_ok=True)
    for file in sorted(path for path in model.rglob("*") if path.is_file()):
        inside = file.relative_to(model)
        if inside not in named and str(inside) != MANIFEST:
            current().note(STRAY, str(inside), "the package: not in its manifest")
            continue
        place = target / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".json":
            _copy_texts(file, place)
        else:
            shutil.copyfile(file, place)


def _named(package: Path) -> Iterator[Path]:
    """Yield the files that a package's manifest names, relative to the package."""
    for path in _items(package):
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.is_file() and not file.name.startswith("."):
                yield file.relative_to(package)


def _items(package: Path) -> list[Path]:
    entries = _manifest(package)["itemInfoEntries"].values()
    return [package / "Data" / item["path"] for item in entries]


def _manifest(package: Path) -> Any:
    return json.loads((package / MANIFEST).read_text(encoding="utf-8"))


def _spec_file(package: Path) -> Path:
    manifest = _manifest(package)
    root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    return package / "Data" / root["path"]


def _copy_texts(file: Path, target: Path) -> None:
    """Copy a JSON file of a package, its texts told; one without any stays as it is.

    The identifiers and paths of a manifest, which the system reads, are no texts.
    """
    content = file.read_text(encoding="utf-8")
    read = json.loads(content)
    if file.name == MANIFEST:
        entries = read["itemInfoEntries"].items()
        items = {key: _told(item, file) | {"path": item["path"]} for key, item in entries}
        told = {**read, "itemInfoEntries": items}
    else:
        told = _told(read, file)
    said = content if told == read else json.dumps(told, indent=4) + "\n"
    target.write_text(said, encoding="utf-8")


def _told(value: Any, file: Path) -> Any:
    return current().tree(value, f"the package's {file.name}", metadata=True)


def _check(model: Path, copy: Path) -> None:
    """Raise CopyError unless a copy differs from the model in its texts alone."""
    before, after = (model_texts.without_texts(migrate.load_spec(path)) for path in (model, copy))
    if before != after or not _same_files(model, copy):
        raise CopyError(
            f"the copy of {model} without private texts is not the same model: give "
            "--keep-metadata to bundle it as it is"
        )


def _same_files(model: Path, copy: Path) -> bool:
    """Tell whether the files of a package, those with its texts aside, are equal."""
    if not model.is_dir():
        return True
    spec = _spec_file(model).relative_to(model)
    others = [path for path in _named(model) if path.suffix != ".json" and path != spec]
    return all(filecmp.cmp(model / path, copy / path, shallow=False) for path in others)
