"""The models of a folder of variants, opened one at a time: what each is, and what it should give.

A folder may have been edited by hand since it was written. What is missing then, or is another
model, is a ManifestError in one sentence that concerns this one variant.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import migrate
from reporter.measure import archive, inputs
from reporter.measure.arrays import UNREADABLE
from reporter.measure.identity import ModelIdentity, identify
from reporter.understand.experiment import Yardstick
from reporter.understand.manifest import FILE, Entry, Expected, Manifest, ManifestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MODEL = "model"  # the kind of the model itself
PROGRAM, TAP, CUT, WITHOUT = (
    "mlprogram",
    "tap",
    "cut",
    "without",
)  # kinds that the reading treats apart


@dataclass(frozen=True)
class Member:
    """A model of the set: the model itself, or a variant; `fault` says why it is of no use."""

    name: str
    kind: str
    file: str
    line: str = ""
    layers: tuple[str, ...] = ()
    made_of: str = ""  # of an ML Program: the file of the network that was converted
    relation: migrate.Relation | None = None
    identity: ModelIdentity | None = None
    expected: Expected | None = None
    fault: str = ""


def members(manifest: Manifest) -> tuple[Member, ...]:
    """Return the model itself and then its variants, those that were left out excepted."""
    source = manifest.source
    itself = Member(
        source.name, MODEL, source.name, identity=source, expected=manifest.expected,
        relation=migrate.Relation(),
    )  # fmt: skip
    return itself, *(_member(e) for e in manifest.variants if not e.left_out)


def _member(entry: Entry) -> Member:
    missing = [
        what
        for what, there in {
            "name": entry.name,
            "file": entry.file,
            "identity": entry.identity,
            "relation": entry.relation,
            "expected": entry.expected,
        }.items()
        if not there
    ]
    called = entry.name or entry.file or f"a variant of kind {entry.kind}"
    fault = f"{FILE} gives no {' and no '.join(missing)} for it" if missing else ""
    return Member(
        called, entry.kind, entry.file, entry.line, entry.layers, entry.made_of, entry.relation,
        entry.identity, entry.expected, fault,
    )  # fmt: skip


@dataclass
class Opened:
    """A member's network in torch, with what each of its outputs should be.

    Of an ML Program `net` is the network that it was made of. Features go by the network's names.
    """

    member: Member
    path: Path
    net: migrate.Model
    inputs: dict[str, str] = field(default_factory=dict)  # the file's names, by the network's
    outputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._yardstick = Yardstick(self.net)

    @functools.cached_property
    def shown(self) -> tuple[str, ...]:
        """The outputs that show inner blobs, beside or in place of the model's own."""
        relation = self.member.relation
        return tuple(name for name in self.outputs if relation and name in relation.shows)

    @functools.cached_property
    def size(self) -> tuple[int, int]:
        """How many layers the network has, and how many weights."""
        weights = [*self.net.parameters(), *self.net.buffers()]
        return len(self.net.network.all_layers()), sum(w.numel() for w in weights)

    def shapes(self, given: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        """Return the shape of each blob for these inputs."""
        found: dict[str, tuple[int, ...]] = {}

        def watch(blob: str, value: Any) -> Any:
            found[blob] = tuple(value.shape)
            return value

        with self.net.watching(watch):
            self.net.predict(dict(given))
        return found

    def by_network(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record's inputs by the network's names."""
        back = {theirs: ours for ours, theirs in self.inputs.items()}
        return {back.get(name, name): value for name, value in given.items()}

    def envelopes(self, given: dict[str, Any]) -> dict[str, migrate.Envelope]:
        """Return what rounding explains of each output, about what the manifest expects.

        Of other inputs than the manifest's the reference is computed. Raises ManifestError if the
        expected outputs are not what the model gives.
        """
        if self.member.kind == PROGRAM:
            names = {**self.inputs, **self.outputs}
            found = self._yardstick.of_program(self.path, names, given)
        else:
            found = self._yardstick.of_network(given)
        if not self._seeded(given):
            return found
        expected = self._expected()
        return {name: self._about(expected, name, e) for name, e in found.items()}

    def numbers(self, name: str, outputs: Mapping[str, Any]) -> Any:
        """Return an output's array of a run's outputs; KeyError if there is none."""
        network = self.net.network
        feature = next(f for f in network.outputs if f.name == name)
        return migrate.output_numbers(feature, outputs[self.outputs[name]], network.labels)

    def _seeded(self, given: Mapping[str, Any]) -> bool:
        """Tell whether these are the inputs that the expected outputs are of."""
        expected = self.member.expected
        seed = expected.input.rpartition("-")[2] if expected else ""
        if not seed.isdecimal():
            return False
        wanted = self.by_network(inputs.seeded(self.path, int(seed)))
        return wanted.keys() == given.keys() and all(
            np.array_equal(np.ravel(wanted[name]), np.ravel(given[name])) for name in wanted
        )

    def _expected(self) -> dict[str, Any]:
        file = self.member.expected.file if self.member.expected else ""
        path = self.path.parent / file
        if not path.resolve().is_relative_to(self.path.parent.resolve()):
            raise ManifestError(f"{FILE} names {file}, which is not in its folder")
        try:
            with path.open("rb") as stream:
                return archive.read(stream)
        except UNREADABLE as error:
            raise ManifestError(f"cannot read the expected outputs {file}: {error}") from error

    def _about(
        self, expected: Mapping[str, Any], name: str, envelope: migrate.Envelope
    ) -> migrate.Envelope:
        key = f"reference::{self.outputs[name]}"
        file = self.member.expected.file if self.member.expected else ""
        if key not in expected:
            raise ManifestError(f"{file} holds no {key}: run anereport variants again")
        values = expected[key]
        fits = values.dtype.kind in "biuf" and values.size == envelope.reference.size
        values = values.reshape(envelope.reference.shape) if fits else values
        if not fits or (envelope.ratio(values) > 1).any():
            raise ManifestError(
                f"{file} is not what {self.member.file} gives for output '{name}': "
                "run anereport variants again"
            )
        return replace(envelope, reference=values.astype(np.float64))


def opened(folder: Path, member: Member, custom: Sequence[str] = ()) -> Opened:
    """Return a member's network; ManifestError where file and manifest do not belong together.

    `custom` are builders of custom layers as on the command line.
    """
    if member.fault:
        raise ManifestError(member.fault)
    path = _inside(folder, member.file)
    if identify(path) != member.identity:
        raise ManifestError(f"{member.file} is not the model that {FILE} says it is")
    source = _inside(folder, member.made_of) if member.made_of else path
    network = migrate.read(source)
    net = migrate.to_torch(network, migrate.load_custom(custom, network))
    description = migrate.load_spec(path).description
    pairs = (
        (network.inputs, description.input),
        (network.outputs, description.output),
    )
    names = []
    for ours, theirs in pairs:
        if len(ours) != len(theirs):
            raise ManifestError(f"{member.file} was not made of {member.made_of}")
        names.append({a.name: b.name for a, b in zip(ours, theirs, strict=True)})
    return Opened(member, path, net, *names)


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if path.parent != folder:
        raise ManifestError(f"{FILE} names {name}, which is not in its folder")
    if not path.exists():
        raise ManifestError(f"the folder lacks {name}")
    return path
