"""What is fuzzed: the readers of everything that comes from outside.

Each target takes bytes, and ends with a result or an AnereportError of one sentence. Whatever else
it raises is a finding, and so is an answer that was only given because memory ran out.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import mutation
import numpy as np
import seeds

import migrate
from migrate import AnereportError
from migrate.coreml import proto
from reporter.measure import listing, record, results
from reporter.measure.identity import ModelIdentity

CHEAP = 2**20  # elements of all inputs: what runs more is slow for a reason
OUTGROWN = ("allocate", "out of memory")  # what torch and numpy say at the limit
LONGEST = 5_000  # characters of a sentence
SHAPE = (1, 1600, 39, 1)  # of the output that a listing is of
ME = ModelIdentity(
    name="m", kind="neuralNetwork", spec_version=4, sha256="0", sha256_without_metadata="0", size=0
)


class FindingError(Exception):
    """An answer that is none."""


@dataclass(frozen=True)
class Target:
    """A reader, what it is fed at first, and how that is changed."""

    read: Callable[[bytes, Path], None]  # the path of a folder for its files
    seeds: Callable[[float], Iterable[bytes]]  # of so many seconds at most
    mutate: Callable[[bytes, Random], bytes]

    def __call__(self, content: bytes) -> None:
        """Read the content; raise what is a finding."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                self.read(content, Path(folder))
            except AnereportError as error:
                _judge(str(error), error)


def _judge(sentence: str, cause: Exception | None = None) -> None:
    if len(sentence.splitlines()) != 1 or len(sentence) > LONGEST:
        raise FindingError(f"not a sentence: {sentence[:500]!r}") from cause
    if any(words in sentence.lower() for words in OUTGROWN):
        raise FindingError(f"memory ran out first: {sentence[:500]}") from cause


def read_spec(content: bytes, folder: Path) -> None:
    """A model file: its layers, its lint, its module, and outputs where that is cheap."""
    path = folder / "m.mlmodel"
    path.write_bytes(content)
    spec = migrate.load_spec(path)
    network = migrate.read(spec)
    sizes = [migrate.default_shape(feature) for feature in network.inputs]
    if sum(int(np.prod(size, dtype=object)) for size in sizes) > CHEAP:
        return
    for finding in migrate.lint(spec):
        _judge(finding.reason)
    net = migrate.to_torch(spec)
    net.predict({f.name: _ramp(f) for f in network.inputs})


def _ramp(feature):
    shape = migrate.default_shape(feature)
    return np.arange(int(np.prod(shape))).reshape(shape) % 5


def read_results(content: bytes, folder: Path) -> None:
    """A record, or an archive of arrays, with every value in it."""
    path = folder / ("r.npz" if content[:2] == b"PK" else "r.json")
    path.write_bytes(content)
    found = results.load(path, ME if path.suffix == ".npz" else None, None)
    for values in (*found.inputs.values(), *(run.outputs or {} for run in found.runs)):
        for value in values.values():
            if isinstance(value, record.Tensor):
                np.asarray(value.array(), np.float64)
    path = folder / "again.json"
    path.write_text(record.dumps(found), encoding="utf-8")
    if record.dumps(record.load(path)) != record.dumps(found):
        raise FindingError("what was written is not what is read")


def read_listing(content: bytes, folder: Path) -> None:
    """A pasted table, with every value in it."""
    path = folder / "r.txt"
    path.write_bytes(content)
    listing.is_listing(path)
    found = listing.load(path, SHAPE)
    for unit in found.units:
        [float(value) for value in found.column(unit)]
    for line in found.lines:
        if any(not 0 <= i < n for i, n in zip(found.position(line.index), SHAPE, strict=True)):
            raise FindingError(f"index {line.index} lies at {found.position(line.index)}")


class Program:
    """A spec and its weights, as an `MLModel` has them."""

    def __init__(self, spec, weights_dir: Path) -> None:
        self.spec, self.weights_dir = spec, str(weights_dir)

    def get_spec(self):
        """Return the spec."""
        return self.spec


def evaluate_program(content: bytes, folder: Path) -> None:
    """An ML Program on inputs of its own description; see `packed` for the form."""
    spec, weights = unpacked(content)
    (folder / "weight.bin").write_bytes(weights)
    program = Program(spec, folder)
    migrate.describe_program(program)
    description = [migrate.read(spec_of(f)).inputs[0] for f in spec.description.input]
    sizes = [migrate.default_shape(feature) for feature in description]
    if sum(int(np.prod(size, dtype=object)) for size in sizes) > CHEAP:
        return
    migrate.evaluate(program, {f.name: _ramp(f) for f in description})


def spec_of(feature):
    """Return a network of one input, to read a feature's description with."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.SetInParent()
    spec.description.input.append(feature)
    return spec


def unpacked(content: bytes):
    """Return the spec and the weights of bytes that begin with the length of the spec."""
    from google.protobuf.message import DecodeError

    spec = proto("Model_pb2").Model()
    length = int.from_bytes(content[:4], "little")
    try:
        spec.ParseFromString(content[4 : 4 + length])
    except DecodeError as error:
        raise AnereportError("the spec does not parse") from error
    return spec, content[4 + length :]


def packed(spec, weights: bytes) -> bytes:
    """Return the spec and the weights as bytes."""
    text = spec.SerializeToString(deterministic=True)
    return struct.pack("<I", len(text)) + text + weights


def _mutate_spec(content: bytes, random: Random) -> bytes:
    from google.protobuf.message import DecodeError

    spec = proto("Model_pb2").Model()
    try:
        spec.ParseFromString(content)
    except DecodeError:
        return mutation.in_bytes(content, random)
    mutation.in_message(spec, random, seeds.known())
    return spec.SerializeToString(deterministic=True)


def _mutate_results(content: bytes, random: Random) -> bytes:
    change = mutation.in_archive if content[:2] == b"PK" else mutation.in_json
    return change(content, random)


def _mutate_program(content: bytes, random: Random) -> bytes:
    try:
        spec, weights = unpacked(content)
    except AnereportError:
        return mutation.in_bytes(content, random)
    if weights and random.random() < 0.1:
        return packed(spec, mutation.in_bytes(weights, random))
    mutation.in_message(spec, random)
    return packed(spec, weights)


TARGETS = {
    "spec": Target(read_spec, seeds.specs, _mutate_spec),
    "results": Target(read_results, seeds.results, _mutate_results),
    "listing": Target(read_listing, seeds.listings, mutation.in_bytes),
    "program": Target(evaluate_program, lambda s: [packed(*p) for p in seeds.programs(s / 4)],
                      _mutate_program),
}  # fmt: skip
