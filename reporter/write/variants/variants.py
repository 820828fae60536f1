"""`anereport variants`: edited models in a folder, what each should give, and a manifest.

Block.mlmodel               the model itself
Block-turned.mlmodel        a variant
Block-turned-mlprogram.mlpackage   one of the PROGRAMS most promising, converted
expected/Block-turned.npz   its outputs for seeded inputs
manifest.json               what each of them tests, and what was left out
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure import inputs, record
from reporter.measure.identity import identify
from reporter.measure.results import record_files
from reporter.progress import Progress, Silent
from reporter.understand.assessment import LIMIT
from reporter.understand.manifest import (
    FILE,
    SCHEMA,
    Entry,
    Expected,
    Manifest,
    dumps,
    load,
)
from reporter.write.attached.kept_records import carry, keep
from reporter.write.attached.variants import attach
from reporter.write.files.outputs import check_free, copy, new_folder
from reporter.write.privacy.model_texts import leaving
from reporter.write.privacy.redact import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from migrate import LeftOut, Model, Variant
    from reporter.measure.record import Record
    from reporter.understand.reading import Reading

EXPECTED = "expected"
PROGRAMS = 3
PROMISING = ("turned", "split", "swapped", "padded-64", "padded-32")  # all are the same network
PROGRAM = "mlprogram"


def write(
    model: Path,
    out: Path,
    force: bool = False,
    progress: Progress | None = None,
    custom: Sequence[str] = (),
) -> Manifest:
    """Write the variants of `model`, a NeuralNetwork, to the folder `out`, and what each tests.

    With `force` a folder that is there is replaced; records that it keeps of this network stay.
    Raises ModelError for a pipeline and for what is no NeuralNetwork; nothing is left then.
    """
    progress = progress or Silent()
    check_free(out, force, model)
    progress.expect(1 + PROGRAMS)
    progress.step("reading the model")
    with leaving(model) as model:
        network = migrate.read(model)
        builders = migrate.load_custom(custom, network)
        with new_folder(out, force) as folder:
            (folder / EXPECTED).mkdir()
            writing = Writing(folder, model.stem, custom, builders)
            copy(model, folder / model.name)
            net = migrate.to_torch(network, builders).double()
            expected = writing.expected(folder / model.name, net)
            writing = replace(writing, seed=expected.input)
            given = inputs.seeded(model, number(expected.input))
            variants = migrate.each_variant(model, builders, inputs=given, progress=progress)
            found = [writing.entry(each) for each in variants]
            found += _programs(writing, found, progress)
            manifest = Manifest(
                schema=SCHEMA, source=identify(model), expected=expected, variants=tuple(found)
            )
            say(folder / FILE, dumps(manifest))
            carry(out, folder, load, FILE)
    return manifest


def read(
    model: Path,
    out: Path,
    records: Sequence[Path],
    limit: float = LIMIT,
    progress: Progress | None = None,
    custom: Sequence[str] = (),
) -> tuple[Reading, ...]:
    """Return what records of a model and of its variants in the folder `out` say.

    Records of them are kept in the folder, for a later call and for `anereport create`. Variants
    that are not as they were written are set aside. Raises ManifestError for those of another
    model, and where the model itself is not as it was.
    """
    progress = progress or Silent()
    progress.step("reading the records")
    given = [(path.name, record.load(path)) for path in record_files(records)]
    found = attach(out, identify(model))
    known = (found.manifest.source, *found.identities)
    ours: list[tuple[str, Record]] = []
    strange: list[tuple[str, Record]] = []
    for name, result in given:
        is_ours = any(record.of(result, identity) for identity in known)
        (ours if is_ours else strange).append((name, result))
    every = [*keep(out, ours).items(), *strange]
    return found.read(every, limit, custom, progress).readings


@dataclass(frozen=True)
class Writing:
    """Writing variants of one model into a folder; `custom` as on the command line, and read."""

    folder: Path
    stem: str
    custom: Sequence[str]
    builders: dict[str, Any]
    seed: str = ""  # the name of the inputs that are telling for the model

    def entry(self, found: Variant | LeftOut) -> Entry:
        """Write a variant's model and what it should give; of one left out keep the reason."""
        if isinstance(found, migrate.LeftOut):
            return Entry(kind=found.kind, name=found.name, line=found.line, left_out=found.reason)
        path = self.folder / f"{self.stem}-{found.name}.mlmodel"
        path.write_bytes(found.spec.SerializeToString(deterministic=True))
        return Entry(
            kind=found.kind,
            name=found.name,
            line=found.line,
            file=path.name,
            same=str(found.same),
            relation=found.same,
            layers=found.layers,
            identity=identify(path),
            expected=self._of_variant(path, found),
        )

    def _of_variant(self, path: Path, found: Variant) -> Expected:
        if not found.same.same_network:
            return self.expected(path, found.net)
        seeded = inputs.seeded(path, number(self.seed))
        arrays = all(feature.kind == "multiArray" for feature in found.net.network.outputs)
        if arrays and all(np.array_equal(x, found.inputs[name]) for name, x in seeded.items()):
            return self._kept(path, dict(found.outputs), self.seed)
        return self.expected(path, found.net, self.seed)

    def expected(self, path: Path, net: Model, seed: str = "") -> Expected:
        """Write what a model should give for the inputs of a seed, or those that are telling.

        `net` is the network in float64: the model, or what the ML Program `path` was made of.
        """
        if seed:
            label, arrays = seed, inputs.seeded(path, number(seed))
        else:
            label, arrays = inputs.telling(path, self.custom)
        description = migrate.load_spec(path).description
        given = dict(zip((f.name for f in net.network.inputs), arrays.values(), strict=True))
        outputs = numbers(net, given)
        names = [f.name for f in net.network.outputs]
        renamed = dict(zip(names, (f.name for f in description.output), strict=True))
        return self._kept(path, {renamed[n]: x for n, x in outputs.items()}, label)

    def _kept(self, path: Path, outputs: Mapping[str, Any], label: str) -> Expected:
        file = Path(EXPECTED) / f"{path.stem}.npz"
        with np.errstate(over="ignore"):
            arrays = {f"reference::{name}": x.astype(np.float32) for name, x in outputs.items()}
        kept: dict[str, Any] = dict(arrays)
        np.savez(self.folder / file, **kept)
        return Expected(file=file.as_posix(), input=label)

    def program(self, entry: Entry) -> Entry:
        """Convert a variant to an ML Program, verify it, and write it; or say why there is none."""
        source = self.folder / entry.file
        made = f"{source.stem}-{PROGRAM}.mlpackage"
        known = Entry(
            kind=PROGRAM,
            name=f"{entry.name}-{PROGRAM}",
            line=f"The same as an ML Program in fp16: {entry.line}",
            layers=entry.layers,
            made_of=entry.file,
        )
        try:
            program = migrate.to_mlprogram(source, custom=self.builders)
            net = migrate.to_torch(source, self.builders)
            errors = migrate.verify(net, {PROGRAM: program}, kinds=("normal",)).errors
            if errors:
                raise migrate.ModelError(f"it is not equal to the network: {errors[PROGRAM][0]}")
        except migrate.AnereportError as error:
            return known.model_copy(update={"left_out": str(error)})
        package = self.folder / made
        migrate.save(program, package)
        return known.model_copy(
            update={
                "file": made,
                "same": entry.same,
                "relation": entry.relation,
                "identity": identify(package),
                "expected": self.expected(package, net.double(), self.seed),
            }
        )


def number(label: str) -> int:
    """Return the number of a seed's name: 0 of seed-0."""
    return int(label.rpartition("-")[2])


def numbers(net: Model, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs of a float64 network that are numbers."""
    outputs, network = net.predict(dict(arrays), exact=True), net.network
    label = network.predicted_feature if network.labels else None
    return {
        f.name: migrate.output_numbers(f, outputs[f.name], network.labels)
        for f in network.outputs
        if f.name != label
    }


def _programs(writing: Writing, entries: Sequence[Entry], progress: Progress) -> list[Entry]:
    """Return the ML Programs of the variants that are the same network and promise most."""
    made = [entry for entry in entries if entry.identity]
    ranked = [entry for kind in PROMISING for entry in made if entry.kind == kind]
    firsts = [e for i, e in enumerate(ranked) if e.kind not in {o.kind for o in ranked[:i]}]
    chosen = [*firsts, *(entry for entry in ranked if entry not in firsts)][:PROGRAMS]
    found = []
    for entry in chosen:
        progress.step(f"converting {entry.name} to an ML Program")
        found.append(writing.program(entry))
    return found
