"""The record: what one model gave on one device, as one JSON file.

A Mac, an iPhone and the simulator write the same. Everything to the right of a record runs on any
system. Later versions of the schema only add fields; unknown ones are ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, ValidationError
from pydantic import model_validator as validates

import migrate
from reporter.measure.identity import ModelIdentity
from reporter.measure.tensor import Part, pieces
from reporter.measure.tensor import RecordError as RecordError
from reporter.measure.tensor import Tensor as Tensor
from reporter.measure.tensor import Value as Value

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

SCHEMA: Literal["anereport.record/1"] = "anereport.record/1"
ADVICE = "results are a record as anereport run writes it, an .npz or a listing"
UNITS = ("cpu", "gpu", "ane", "all")  # CPU_ONLY, CPU_AND_GPU, CPU_AND_NE, ALL
Unit = Literal["cpu", "gpu", "ane", "all"]
Start = Literal["", "cold"]  # cold: the first load for the unit of what was newly compiled


class Failure(Part):
    """A run that gave no outputs: where it stopped, and what was said."""

    stage: str  # load, predict, ...
    message: str
    signal: int | None = None
    stderr: str = ""


class PlannedOperation(Part):
    """Where an operation, or a NeuralNetwork's layer, is planned to run; "" if it is not said."""

    name: str
    kind: str
    planned: Literal["cpu", "gpu", "ane", ""] = ""


class Plan(Part):
    """What `MLComputePlan` anticipates (macOS 14.4, iOS 17.4): planned, not seen to run there."""

    operations: tuple[PlannedOperation, ...]


class Run(Part):
    """One prediction: on which unit, of which input, the how-many-eth time."""

    unit: Unit
    input: str
    repeat: int = 0
    start: Start = ""
    outputs: dict[str, Value] | None = None
    failure: Failure | None = None
    times: dict[str, float] = Field(default_factory=dict)  # seconds
    messages: tuple[
        str, ...
    ] = ()  # known ones of Apple's compiler and run time; also if it went well
    plan: Plan | None = None

    @validates(mode="after")
    def _ended_somehow(self) -> Run:
        if (self.outputs is None) == (self.failure is None):
            raise ValueError("a run has either outputs or a failure")
        return self


class Device(Part):
    """Facts of the device, and a label that tells it from others of its kind.

    The label is its user's choice, or random; nothing here is derived from a serial number, a
    name of a person or of a host, or a hardware identifier of the one device.
    """

    label: str = ""
    system: str = ""  # "macOS", "iOS", ...
    version: str = ""
    build: str = ""
    identifier: str = ""  # "iPhone14,2"
    product: str = ""  # what it is sold as: "iPhone 13 Pro"
    chip: str = ""
    memory: int | None = None  # bytes
    ane: str = ""  # architecture of the Neural Engine, as the system names it: "h14p"
    ane_cores: int | None = None
    virtual: bool | None = None  # a virtual machine has no Neural Engine that can be used
    translated: bool | None = None  # an Intel process under Rosetta has none either
    thermal: str = ""
    low_power: bool | None = None
    compute_devices: tuple[str, ...] = ()  # as Core ML lists them
    tools: dict[str, str] = Field(default_factory=dict)  # versions: python, coremltools, xcode, ...

    @property
    def release(self) -> str:
        """The system and its version, as in "iOS 16.2"."""
        return " ".join(filter(None, (self.system, self.version)))

    def __str__(self) -> str:
        build = f"({self.build})" if self.build else ""
        system = " ".join(filter(None, (self.release, build)))
        parts = [self.label, self.identifier, self.product, self.chip, system]
        return ", ".join(part for part in parts if part) or "unknown device"


class Record(Part):
    """Everything that one device gave for one model."""

    schema_: Literal["anereport.record/1"] = Field(SCHEMA, alias="schema")
    evidence: Literal["measured", "simulated"]
    model: ModelIdentity
    device: Device
    date: str = ""
    simulation: str = ""  # what the simulator was told to do
    stopped: str = ""  # why there are fewer runs than were to be made, if so
    inputs: dict[str, dict[str, Value]]
    runs: tuple[Run, ...]

    @validates(mode="after")
    def _inputs_exist(self) -> Record:
        for i, run in enumerate(self.runs):
            if run.input not in self.inputs:
                raise ValueError(f"runs.{i}.input: '{run.input}' is not among the inputs")
        return self


class _Head(BaseModel):
    """The schema alone: a file of another one is not read any further."""

    schema_: Any = Field(None, alias="schema")


def load(path: Path) -> Record:
    """Read and check a record; a fault is one sentence that names the path inside the file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise RecordError(f"no such file: {path}") from None
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    found = _schema(content, path)
    if found != SCHEMA:
        raise RecordError(f"{path}: schema: expected '{SCHEMA}', found {found!r}: {ADVICE}")
    try:
        return Record.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        inside = _inside(first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise RecordError(f"{path}: {inside + ': ' if inside else ''}{message}") from error


def _schema(content: bytes, path: Path) -> Any:
    """Return what a file says its schema is; None of JSON that is no object."""
    try:
        return _Head.model_validate_json(content).schema_
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        if first["type"] != "json_invalid":
            return None
        if other := migrate.what_it_is(path):
            raise RecordError(f"{path} is not JSON but {other}") from error
        if path.suffix == ".mlmodel":
            raise RecordError(f"{path} is a model, and no record: give it as the model") from error
        reason = first["msg"].removeprefix("Invalid JSON: ")
        raise RecordError(f"{path} is not JSON: {reason}: {ADVICE}") from error


def _inside(location: tuple[int | str, ...]) -> str:
    """Return the path inside the file, without the kind of value that pydantic puts into it."""
    kind = {"runs": 4, "inputs": 3}.get(str(location[0])) if location else None
    return ".".join(str(part) for i, part in enumerate(location) if i != kind)


def dumps(record: Record) -> str:
    """Return the record's JSON text."""
    return b"".join(pieces(record)).decode() + "\n"


def dump(record: Record, stream: BinaryIO) -> None:
    """Write the record's JSON text, as UTF-8, without a copy of it in memory."""
    stream.writelines(pieces(record))
    stream.write(b"\n")


class OtherModelError(RecordError):
    """A record of another model than the one that is asked about."""

    def __init__(self, message: str, model: str) -> None:
        super().__init__(message)
        self.model = model  # what the other one is called


def of(record: Record, identity: ModelIdentity) -> bool:
    """Tell whether a record is of a model, its metadata aside."""
    return record.model.sha256_without_metadata == identity.sha256_without_metadata


def check_model(record: Record, identity: ModelIdentity, path: Path | str) -> None:
    """Raise OtherModelError if the record is of another model."""
    if not of(record, identity):
        raise OtherModelError(
            f"{path} is a record of another model: {record.model.name} "
            f"(sha256 {record.model.sha256[:12]}), not {identity.name} "
            f"(sha256 {identity.sha256[:12]})",
            record.model.name,
        )
