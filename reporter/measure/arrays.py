"""Results kept as a numpy archive: in::NAME for inputs, cpu::NAME, gpu::NAME, ane::NAME.

Those that repro.py keeps have three more: `model` is the model's sha256 without metadata, `weights`
says which, and labels::NAME are what the elements of a classifier's probabilities are called.
"""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from reporter.measure import archive
from reporter.measure.record import SCHEMA, UNITS, Device, Record, RecordError, Run, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reporter.measure.identity import ModelIdentity
    from reporter.measure.record import Value

INPUT = "npz"
SINGLE = b"\x93NUMPY"  # how a file of one array begins
MODEL, WEIGHTS, LABELS = "model", "weights", "labels"
UNREADABLE = (
    OSError, ValueError, EOFError, RuntimeError, ArithmeticError, MemoryError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip


def load_record(
    path: Path, identity: ModelIdentity, others: Sequence[ModelIdentity] = ()
) -> Record:
    """Read the archive as a record of the model given; it carries no device.

    Where it says which model it is of, that may be one of the `others` too.
    """
    found = _arrays(path)
    identity = _model(path, found.pop(MODEL, None), (identity, *others))
    found.pop(WEIGHTS, None)
    labels = {k: found.pop(k) for k in list(found) if k.startswith(f"{LABELS}::")}
    parts: dict[str, dict[str, Value]] = {}
    for key, array in found.items():
        prefix, _, name = key.partition("::")
        if prefix not in ("in", *UNITS) or not name:
            expected = "in::NAME, cpu::NAME, gpu::NAME, ane::NAME or all::NAME"
            raise RecordError(f"{path}: key '{key}' is none of {expected}")
        called = labels.get(f"{LABELS}::{name}") if prefix != "in" else None
        value = _tensor(path, key, array) if called is None else _scores(path, key, array, called)
        parts.setdefault(prefix, {})[name] = value
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


def _model(path: Path, told: Any, known: Sequence[ModelIdentity]) -> ModelIdentity:
    """Return the model that an archive is of: the first one unless it says another."""
    if told is None:
        return known[0]
    for identity in known:
        if str(told) == identity.sha256_without_metadata:
            return identity
    raise RecordError(
        f"{path} holds results of another model (sha256 without metadata {str(told)[:12]}) than "
        f"{known[0].name} ({known[0].sha256_without_metadata[:12]})"
    )


def _scores(path: Path, key: str, array: Any, labels: Any) -> dict[str, float]:
    """Return a classifier's probabilities by label."""
    if array.dtype.kind not in "fi" or array.size != labels.size:
        raise RecordError(f"{path}: '{key}' holds no number for each of its {labels.size} labels")
    return dict(zip(map(str, labels.ravel()), map(float, array.ravel()), strict=True))


def load_inputs(path: Path) -> dict[str, Any]:
    """Read the user's own inputs: an archive with a key in::NAME, or just NAME, per feature."""
    return {key.removeprefix("in::"): array for key, array in _arrays(path).items()}


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            if stream.read(len(SINGLE)) == SINGLE:
                raise RecordError(f"{path} is a single array; an .npz archive with names is needed")
            return archive.read(stream)
    except FileNotFoundError:
        raise RecordError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise RecordError(f"{path} is a folder: give an .npz file with an array per name") from None
    except UNREADABLE as error:
        raise RecordError(f"{path} is not a readable .npz archive: {error}") from error


def _tensor(path: Path, key: str, array: Any) -> Tensor:
    try:
        return Tensor.of(array)
    except RecordError as error:
        raise RecordError(f"{path}: '{key}': {error}") from error
