"""What an ML Program is, read from its spec alone: nothing is run, no operation has to be known."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migrate.coreml import proto
from migrate.errors import ModelError
from migrate.feature_types import Feature, read_features
from migrate.mil.program import every_operation, name_of, program_spec, weights_folder

if TYPE_CHECKING:
    from pathlib import Path

SYSTEMS = {
    "CoreML5": "iOS 15, macOS 12",
    "CoreML6": "iOS 16, macOS 13",
    "CoreML7": "iOS 17, macOS 14",
    "CoreML8": "iOS 18, macOS 15",
    "CoreML9": "iOS 26, macOS 26",
}
FLOATS = {"float16": "fp16", "float32": "fp32"}
OPEN = -1  # a dimension that the program leaves open


@dataclass(frozen=True)
class Operation:
    """One operation that is no constant, and the type of its first output.

    `shape` is None, and `dtype` the kind of value, of what is no tensor.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    dtype: str


@dataclass(frozen=True)
class ProgramOverview:
    """An ML Program: features in the description's order, operations in the order of execution."""

    spec_version: int
    opset: str  # "CoreML7"
    system: str  # the oldest that runs it, if it is known: "iOS 17, macOS 14"
    precision: str  # of what is computed: "fp16", "fp32", "mixed", or "integers"
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    operations: tuple[Operation, ...]
    labels: tuple[str, ...] | tuple[int, ...]
    weights_size: int  # bytes of the weight files

    @property
    def in_float16(self) -> bool:
        """Whether anything is computed in float16."""
        return self.precision in ("fp16", "mixed")


def describe_program(program: Any) -> ProgramOverview:
    """Return the overview of an `MLModel` of type ML Program or an .mlpackage path.

    Raises ModelError for what is no ML Program or lacks a weight file, UnsupportedError for one
    with states or several functions.
    """
    spec = program_spec(program)
    function = spec.mlProgram.functions["main"]
    if function.opset not in function.block_specializations:
        raise ModelError(f"{name_of(program)} has no operations of its opset '{function.opset}'")
    everything = list(every_operation(function.block_specializations[function.opset]))
    _check_weights(program, everything)
    operations = tuple(_operation(o) for o in everything if o.type != "const")
    folder = weights_folder(program)
    return ProgramOverview(
        spec_version=int(spec.specificationVersion),
        opset=function.opset,
        system=SYSTEMS.get(function.opset, ""),
        precision=_precision(operations),
        inputs=read_features(spec.description.input, "inputs"),
        outputs=read_features(spec.description.output, "outputs"),
        operations=operations,
        labels=_labels(everything),
        weights_size=sum(file.stat().st_size for file in folder.glob("*.bin")),
    )


def _is_file(path: Path) -> bool:
    with suppress(OSError):  # of a name that no file can have
        return path.is_file()
    return False


def _check_weights(program: Any, operations: list[Any]) -> None:
    """Raise ModelError if a file that constants lie in is not there."""
    folder = weights_folder(program)
    used = {
        value.blobFileValue.fileName.rpartition("/")[2]
        for operation in operations
        for value in operation.attributes.values()
        if value.WhichOneof("value") == "blobFileValue"
    }
    missing = sorted(name for name in used if not _is_file(folder / name))
    if missing:
        raise ModelError(f"{name_of(program)} lacks its weights: {folder / missing[0]} is missing")


def _operation(message: Any) -> Operation:
    name = message.attributes["name"].immediateValue.tensor.strings.values
    label = name[0] if name else (message.outputs[0].name if message.outputs else message.type)
    if not message.outputs:
        return Operation(label, message.type, None, "nothing")
    type_ = message.outputs[0].type
    if type_.WhichOneof("type") != "tensorType":
        kind = (type_.WhichOneof("type") or "nothing").removesuffix("Type")
        return Operation(label, message.type, None, kind)
    sizes = tuple(
        int(d.constant.size) if d.WhichOneof("dimension") == "constant" else OPEN
        for d in type_.tensorType.dimensions
    )
    known = proto("MIL_pb2").DataType.DESCRIPTOR.values_by_number.get(type_.tensorType.dataType)
    return Operation(label, message.type, sizes, known.name.lower() if known else "nothing")


def _precision(operations: tuple[Operation, ...]) -> str:
    """Return the type that is computed in; casts, which stand at the interface, are left out."""
    found = {FLOATS[o.dtype] for o in operations if o.kind != "cast" and o.dtype in FLOATS}
    if len(found) > 1:
        return "mixed"
    return found.pop() if found else "integers"


def _labels(operations: list[Any]) -> tuple[str, ...] | tuple[int, ...]:
    """Return the classes of the operation that ends a classifier."""
    lists = [
        argument.value.immediateValue.list
        for operation in operations
        if operation.type == "classify"
        for argument in operation.inputs["classes"].arguments
    ]
    tensors = [value.immediateValue.tensor for found in lists for value in found.values]
    words = tuple(word for tensor in tensors for word in tensor.strings.values)
    return words or tuple(int(n) for tensor in tensors for n in tensor.longInts.values)
