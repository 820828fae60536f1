"""The record: what one model gave on one device, as one JSON file.

A Mac, an iPhone and the simulator write the same. Everything to the right of a record runs on any
system. Later versions of the schema only add fields; unknown ones are ignored.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic import model_validator as validates

from migrate import AnereportError
from reporter.measure.identity import ModelIdentity

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA: Literal["anereport.record/1"] = "anereport.record/1"
UNITS = ("cpu", "gpu", "ane", "all")  # CPU_ONLY, CPU_AND_GPU, CPU_AND_NE, ALL
Unit = Literal["cpu", "gpu", "ane", "all"]
DTYPES = {"float16": "<f2", "float32": "<f4", "float64": "<f8", "int32": "<i4", "uint8": "|u1"}


class RecordError(AnereportError):
    """A results file that cannot be read, or that belongs to another model."""


class _Part(BaseModel):
    # NaN and the infinities are strings in the JSON; pydantic would write null by itself
    model_config = ConfigDict(frozen=True, populate_by_name=True, ser_json_inf_nan="strings")


class Tensor(_Part):
    """An array as base64 of little-endian bytes; strides, if given, count elements."""

    dtype: Literal["float16", "float32", "float64", "int32", "uint8"]
    shape: tuple[Annotated[int, Field(ge=0, strict=True)], ...]
    strides: tuple[int, ...] | None = None
    data: str

    @validates(mode="after")
    def _bytes_suffice(self) -> Tensor:
        try:
            stored = len(base64.b64decode(self.data, validate=True))
        except (binascii.Error, ValueError) as error:
            raise ValueError("data is not base64") from error
        needed = self._elements() * np.dtype(DTYPES[self.dtype]).itemsize
        if stored < needed or (stored > needed and self.strides is None):
            sizes = "x".join(map(str, self.shape)) or "scalar"
            raise ValueError(f"data holds {stored} bytes, {sizes} of {self.dtype} needs {needed}")
        return self

    def _elements(self) -> int:
        if self.strides is None:
            return math.prod(self.shape)
        if len(self.strides) != len(self.shape) or min(self.strides, default=0) < 0:
            raise ValueError("strides must be one non-negative number per dimension")
        if 0 in self.shape:
            return 0
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))

    def array(self) -> NDArray[Any]:
        """Return the values as a numpy array of `shape`, the strides honoured."""
        flat = np.frombuffer(base64.b64decode(self.data), DTYPES[self.dtype])
        if self.strides is None or 0 in self.shape:
            return flat.reshape(self.shape)
        steps = [s * flat.itemsize for s in self.strides]
        return np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False)

    @classmethod
    def of(cls, array: NDArray[Any]) -> Tensor:
        """Return the tensor that holds a numpy array."""
        name = "int32" if array.dtype.name == "int64" else array.dtype.name
        if name not in DTYPES:
            raise RecordError(f"a record holds {', '.join(DTYPES)}; got {array.dtype}")
        content = array.astype(DTYPES[name])
        if array.dtype.name == "int64" and (content != array).any():
            raise RecordError("a record holds integers of 32 bits; one of these is larger")
        text = base64.b64encode(content.tobytes()).decode()
        return cls(dtype=name, shape=array.shape, data=text)  # type: ignore[arg-type]


def _value_kind(value: Any) -> str | None:
    if isinstance(value, Tensor) or (isinstance(value, dict) and "dtype" in value):
        return "tensor"
    return {dict: "dictionary", str: "string", int: "integer"}.get(type(value))


Value = Annotated[
    Union[  # noqa: UP007  Annotated members need Union before Python 3.11
        Annotated[Tensor, Tag("tensor")],
        Annotated[dict[str, float], Tag("dictionary")],
        Annotated[str, Tag("string")],
        Annotated[int, Tag("integer")],
    ],
    Discriminator(
        _value_kind,
        custom_error_type="value_kind",
        custom_error_message="expected a tensor, a dictionary of numbers, a string or an integer",
    ),
]


class Failure(_Part):
    """A run that gave no outputs: where it stopped, and what was said."""

    stage: str  # load, predict, ...
    message: str
    signal: int | None = None
    stderr: str = ""


class PlannedOperation(_Part):
    """Where an operation, or a NeuralNetwork's layer, is planned to run; "" if it is not said."""

    name: str
    kind: str
    planned: Literal["cpu", "gpu", "ane", ""] = ""


class Plan(_Part):
    """What `MLComputePlan` anticipates (macOS 14.4, iOS 17.4): planned, not seen to run there."""

    operations: tuple[PlannedOperation, ...]


class Run(_Part):
    """One prediction: on which unit, of which input, the how-many-eth time."""

    unit: Unit
    input: str
    repeat: int = 0
    start: Literal["", "cold"] = ""  # cold: the first after a compilation of its own
    outputs: dict[str, Value] | None = None
    failure: Failure | None = None
    times: dict[str, float] = {}  # seconds
    messages: tuple[str, ...] = ()  # of Apple's compiler and run time, in a run that gave outputs
    plan: Plan | None = None

    @validates(mode="after")
    def _ended_somehow(self) -> Run:
        if (self.outputs is None) == (self.failure is None):
            raise ValueError("a run has either outputs or a failure")
        return self


class Device(_Part):
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
    tools: dict[str, str] = {}  # versions: python, coremltools, xcode, ...

    def __str__(self) -> str:
        system = " ".join(filter(None, [self.system, self.version]))
        system += f" ({self.build})" if self.build else ""
        parts = [self.label, self.identifier, self.product, self.chip, system]
        return ", ".join(part for part in parts if part) or "unknown device"


class Record(_Part):
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


def load(path: Path) -> Record:
    """Read and check a record; a fault is one sentence that names the path inside the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"cannot read {path}: {error}") from error
    except (ValueError, RecursionError) as error:  # ValueError: also a number of too many digits
        raise RecordError(f"{path} is not JSON: {error}") from error
    found = content.get("schema") if isinstance(content, dict) else None
    if found != SCHEMA:
        raise RecordError(f"{path}: schema: expected '{SCHEMA}', found {found!r}")
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        inside = _inside(first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise RecordError(f"{path}: {inside + ': ' if inside else ''}{message}") from error


def _inside(location: tuple[int | str, ...]) -> str:
    """Return the path inside the file, without the kind of value that pydantic puts into it."""
    kind = {"runs": 4, "inputs": 3}.get(str(location[0])) if location else None
    return ".".join(str(part) for i, part in enumerate(location) if i != kind)


def dumps(record: Record) -> str:
    """Return the record's JSON text."""
    return record.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n"


def of(record: Record, identity: ModelIdentity) -> bool:
    """Tell whether a record is of a model, its metadata aside."""
    return record.model.sha256_without_metadata == identity.sha256_without_metadata


def check_model(record: Record, identity: ModelIdentity, path: Path | str) -> None:
    """Raise RecordError if the record is of another model."""
    if not of(record, identity):
        raise RecordError(
            f"{path} is a record of another model: {record.model.name} "
            f"(sha256 {record.model.sha256[:12]}), not {identity.name} "
            f"(sha256 {identity.sha256[:12]})"
        )
