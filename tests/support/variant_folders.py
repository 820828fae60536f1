"""Folders of variants, devices that measure them, and what a reading says of the records."""

from __future__ import annotations

import numpy as np
from rule_devices import never, record

import migrate
from reporter.measure import inputs
from reporter.measure.identity import identify
from reporter.measure.record import Failure, Plan, PlannedOperation, Run, Tensor
from reporter.understand.manifest import Entry, Expected, Manifest, load
from reporter.understand.reading import readings
from reporter.understand.reading_words import sentences
from reporter.write.variants import variants


class Set:
    """A folder of variants, and devices that measure it."""

    def __init__(self, folder):
        self.folder, self.manifest = folder, load(folder)
        self.made = {self.manifest.source.name: (self.manifest.source.name, "")}
        self.made |= {e.name: (e.file, e.made_of) for e in self.manifest.made}

    def of(self, name, wrong=never, **options):
        file, source = self.made[name]
        made_of = self.folder / source if source else None
        return record(self.folder / file, wrong, made_of=made_of, **options)

    def records(self, wrong, names=(), **options):
        return [(f"{n}.json", self.of(n, wrong, **options)) for n in names or self.made]

    def read(self, records, manifest=None, **options):
        options = {"called": "my variants", **options}
        return readings(manifest or self.manifest, self.folder, records, **options)

    def one(self, records, **options):
        (found,) = self.read(records, **options)
        return found


def written(folder, spec):
    """The set of a network's variants."""
    path = folder / "m.mlmodel"
    path.write_bytes(spec.SerializeToString(deterministic=True))
    variants.write(path, folder / "v")
    return Set(folder / "v")


def by_hand(folder, **specs):
    """A folder with these models and a manifest; the first is the model itself."""
    entries, folder = [], folder / "v"
    (folder / "expected").mkdir(parents=True)
    for name, spec in specs.items():
        path = folder / f"{name}.mlmodel"
        path.write_bytes(spec.SerializeToString(deterministic=True))
        exact = migrate.to_torch(path).double().predict(inputs.seeded(path), exact=True)
        arrays = {f"reference::{n}": np.float32(x) for n, x in exact.items()}
        np.savez(folder / "expected" / f"{name}.npz", **arrays)
        entries.append(Entry(
            kind="padded", name=name, file=path.name, line=f"Whether it is {name}: {name} it is.",
            relation=migrate.Relation("another model", name), identity=identify(path),
            expected=Expected(file=f"expected/{name}.npz", input="seed-0"),
        ))  # fmt: skip
    first, *others = entries
    manifest = Manifest(
        schema="anereport.variants/1", source=first.identity, expected=first.expected,
        variants=tuple(others),
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.model_dump_json(by_alias=True))
    return Set(folder)


def words(reading):
    return {v.member.name: v.word for v in reading.variants}


def said(reading):
    return "\n".join(sentences(reading))


def with_runs(found, unit, change):
    """A record with other runs of a unit; `change` is of the run and its position."""
    runs = [change(r, i) if r.unit == unit else r for i, r in enumerate(found.runs)]
    return found.model_copy(update={"runs": tuple(runs)})


def giving(value, name="y"):
    """A change to outputs that are this number everywhere."""

    def change(run, i):
        shape = run.outputs[name].shape
        filled = Tensor.of(np.full(shape, value, np.float32))
        return run.model_copy(update={"outputs": {**run.outputs, name: filled}})

    return change


def stopped(run, i=0):
    """The run as one that failed."""
    failure = Failure(stage="predict", message="it was killed")
    return Run(unit=run.unit, input=run.input, repeat=run.repeat, failure=failure)


def planned(found, unit="ane"):
    """The record with a plan that has every operation on a unit."""
    plan = Plan(operations=(PlannedOperation(name="deep", kind="convolution", planned=unit),))
    return with_runs(found, "ane", lambda r, i: r.model_copy(update={"plan": plan}))
