"""`anereport migrate`: the ML Program, and what the migration found, in a folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import migrate
from reporter.measure.identity import identify
from reporter.progress import Progress, Silent
from reporter.write.bundle import check_free, new_folder
from reporter.write.redact import redact
from reporter.write.rendering import render
from reporter.write.report import stand_in_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reporter.measure.identity import ModelIdentity

SCHEMA = "anereport.migration/1"
ABSENT = "not there"


@dataclass(frozen=True)
class FeatureChange:
    """A feature in the NeuralNetwork's description, and in the ML Program's."""

    role: str
    before: str
    after: str
    name_before: str
    name_after: str

    @property
    def changed(self) -> bool:
        """Whether anything of it differs."""
        return (self.name_before, self.before) != (self.name_after, self.after)


@dataclass(frozen=True)
class Migration:
    """What was migrated, to what, and what is to be known about it."""

    source: ModelIdentity
    package: ModelIdentity
    options: migrate.Options
    layers: int
    features: tuple[FeatureChange, ...]
    findings: tuple[str, ...]
    has_source: bool  # whether model.py is there
    schema: str = field(default=SCHEMA)


def write(
    model: Path,
    out: Path,
    options: migrate.Options | None = None,
    force: bool = False,
    progress: Progress | None = None,
    custom: Sequence[str] = (),
) -> Migration:
    """Write the ML Program and the PyTorch source of `model` to `out`, and what was found.

    The folder holds the package, model.py and its weights, migration.json and migration.md.
    """
    progress, options = progress or Silent(), options or migrate.Options()
    check_free(out, force)
    progress.step("reading the model")
    spec = migrate.load_spec(model)
    source, network = identify(model), migrate.read(model)
    builders = migrate.load_custom(custom, network)
    net = migrate.to_torch(network, builders)
    progress.step("computing the outputs' shapes")
    mismatches = migrate.mismatches(net, migrate.output_shapes(net))
    progress.step("converting to an ML Program")
    try:
        conversion = migrate.convert(net, spec, options, source.sha256)
    except migrate.OptionError:
        raise
    except migrate.AnereportError as error:
        raise type(error)(f"{error}; --source-only writes the PyTorch source alone") from error
    progress.step("writing")
    with new_folder(out, force) as folder:
        unwritten = _write_source(net, folder, model.stem)
        package = folder / f"{model.stem}.mlpackage"
        migrate.save(conversion.program, package)
        changes = _changes(spec, conversion.program.get_spec())
        migration = Migration(
            source=source,
            package=identify(package),
            options=options,
            layers=len(network.all_layers()),
            features=changes,
            findings=(
                *_findings(network, mismatches),
                *conversion.limits,
                *_lost(changes),
                *unwritten,
            ),
            has_source=not unwritten,
        )
        text = json.dumps(_plain(migration), indent=1, ensure_ascii=False) + "\n"
        (folder / "migration.json").write_text(redact(text), encoding="utf-8")
        page = render("migration.md", migration=migration)
        (folder / "migration.md").write_text(redact(page), encoding="utf-8")
    return migration


def _write_source(net: Any, folder: Path, name: str) -> list[str]:
    """Write the PyTorch source; return a finding where a custom layer stands in the way."""
    try:
        migrate.to_source(net, folder, name=name)
    except migrate.AnereportError as error:
        return [f"model.py is not written: {error}"]
    return []


def write_source(
    model: Path,
    out: Path,
    force: bool = False,
    progress: Progress | None = None,
    custom: Sequence[str] = (),
) -> None:
    """Write `model` as PyTorch source alone: model.py and its weights, in the folder `out`."""
    progress = progress or Silent()
    check_free(out, force)
    progress.step("reading the model")
    network = migrate.read(model)
    net = migrate.to_torch(network, migrate.load_custom(custom, network))
    progress.step("writing")
    with new_folder(out, force) as folder:
        migrate.to_source(net, folder, name=model.stem)


def _findings(network: Any, mismatches: list[Any]) -> tuple[str, ...]:
    found = [f"{m}; the ML Program carries the computed shape" for m in mismatches]
    found += stand_in_findings(network)
    for blob, names in network.overwritten().items():
        writers = " and ".join(f"'{name}'" for name in names)
        found.append(f"blob '{blob}' is written by {writers}; the later one wins")
    return tuple(found)


def _changes(before: Any, after: Any) -> tuple[FeatureChange, ...]:
    changes = []
    for role in ("input", "output"):
        olds = list(getattr(before.description, role))
        news = {feature.name: feature for feature in getattr(after.description, role)}
        kept = {feature.name: news.pop(feature.name, None) for feature in olds}
        renamed = iter(news.values())  # in order: a feature that lost its name took one of these
        for old in olds:
            new = kept[old.name] or next(renamed, None)
            name = new.name if new else old.name
            changes.append(FeatureChange(role, _words(old), _words(new), old.name, name))
        changes += [FeatureChange(role, ABSENT, _words(f), f.name, f.name) for f in renamed]
    return tuple(changes)


def _lost(changes: tuple[FeatureChange, ...]) -> list[str]:
    """Return a sentence for each feature that the ML Program lacks, or gives without labels."""
    found = []
    for c in changes:
        feature = f"{c.role} '{c.name_before}'"
        if c.after == ABSENT:
            found.append(f"{feature} ({c.before}) is not carried over to the ML Program")
        elif c.before == "dictionary" != c.after:
            found.append(f"{feature} is a dictionary; the ML Program gives {c.after} unlabelled")
    return found


def _words(feature: Any) -> str:
    """Return a feature's kind, shape and type in a few words."""
    if feature is None:
        return ABSENT
    kind = feature.type.WhichOneof("Type").removesuffix("Type")
    if kind == "multiArray":
        array = feature.type.multiArrayType
        dtype = array.ArrayDataType.Name(array.dataType)
        return f"{_shapes(array)} {dtype}" + (", optional" if feature.type.isOptional else "")
    if kind == "image":
        image = feature.type.imageType
        return f"image {_sizes(image)} {image.ColorSpace.Name(image.colorSpace)}"
    return str(kind)


def _shapes(array: Any) -> str:
    ranges = array.shapeRange.sizeRanges
    if ranges:
        return "x".join(_range(r) for r in ranges)
    return _enumerated(array.shape, [s.shape for s in array.enumeratedShapes.shapes])


def _sizes(image: Any) -> str:
    if image.WhichOneof("SizeFlexibility") == "imageSizeRange":
        ranges = image.imageSizeRange
        return f"{_range(ranges.widthRange)}x{_range(ranges.heightRange)}"
    others = [(s.width, s.height) for s in image.enumeratedSizes.sizes]
    return _enumerated((image.width, image.height), others)


def _range(bounds: Any) -> str:
    low, high = bounds.lowerBound, bounds.upperBound
    return str(low) if low == high else f"({low}..{high if high > 0 else ''})"


def _enumerated(default: Sequence[int], shapes: Sequence[Sequence[int]]) -> str:
    """Return the default shape, and how many others are allowed."""
    more = sum(tuple(shape) != tuple(default) for shape in shapes)
    others = f" or {more} other{'s' if more > 1 else ''}" if more else ""
    return ("x".join(map(str, default)) or "no shape") + others


def _plain(migration: Migration) -> dict[str, Any]:
    content = asdict(migration)
    content["source"] = migration.source.model_dump()
    content["package"] = migration.package.model_dump()
    return {"schema": content.pop("schema"), **content}
