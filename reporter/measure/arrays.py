"""Results kept as a numpy archive: in::NAME for inputs, cpu::NAME, gpu::NAME, ane::NAME."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from reporter.measure.record import SCHEMA, UNITS, Device, Record, RecordError, Run, Tensor

if TYPE_CHECKING:
    from pathlib import Path

    from reporter.measure.identity import ModelIdentity
    from reporter.measure.record import Value

INPUT = "npz"
UNREADABLE = (
    OSError, ValueError, EOFError, RuntimeError, ArithmeticError, MemoryError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip


def load_record(path: Path, identity: ModelIdentity) -> Record:
    """Read the archive as a record of the model given; it carries no identity or device itself."""
    parts: dict[str, dict[str, Value]] = {}
    for key, array in _arrays(path).items():
        prefix, _, name = key.partition("::")
        if prefix not in ("in", *UNITS) or not name:
            expected = "in::NAME, cpu::NAME, gpu::NAME, ane::NAME or all::NAME"
            raise RecordError(f"{path}: key '{key}' is none of {expected}")
        parts.setdefault(prefix, {})[name] = _tensor(path, key, array)
    units = [unit for unit in UNITS if unit in parts]
    if not units:
        raise RecordError(
            f"{path} holds no outputs: no key begins with cpu::, gpu::, ane:: or all::"
        )
    runs = tuple(
        Run.model_validate({"unit": u, "input": INPUT, "outputs": parts[u]}) for u in units
    )
    inputs = {INPUT: dict(parts.get("in", {}))}
    return Record(
        schema=SCHEMA,
        evidence="measured",
        model=identity,
        device=Device(),
        inputs=inputs,
        runs=runs,
    )


def load_inputs(path: Path) -> dict[str, Any]:
    """Read the user's own inputs: an archive with a key in::NAME, or just NAME, per feature."""
    return {key.removeprefix("in::"): array for key, array in _arrays(path).items()}


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not hasattr(archive, "files"):
                raise RecordError(f"{path} is a single array; an .npz archive with names is needed")
            return {key: np.asarray(archive[key]) for key in archive.files}
    except FileNotFoundError:
        raise RecordError(f"no such file: {path}") from None
    except UNREADABLE as error:
        raise RecordError(f"{path} is not a readable .npz archive: {error}") from error


def _tensor(path: Path, key: str, array: Any) -> Tensor:
    try:
        return Tensor.of(array)
    except RecordError as error:
        raise RecordError(f"{path}: '{key}': {error}") from error
