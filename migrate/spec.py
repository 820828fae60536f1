"""A model file as its protobuf message, or a sentence about why it is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from migrate.coreml import coremltools, proto
from migrate.errors import ModelError
from migrate.foreign import what_it_is

KINDS = {
    "neuralNetwork": "NeuralNetwork",
    "neuralNetworkClassifier": "NeuralNetwork classifier",
    "neuralNetworkRegressor": "NeuralNetwork regressor",
    "mlProgram": "ML Program",
    "treeEnsembleClassifier": "tree ensemble classifier",
    "treeEnsembleRegressor": "tree ensemble regressor",
}
RESULTS = (".json", ".npz", ".npy", ".csv", ".txt")  # what they are kept in


def load_spec(model: Any) -> Any:
    """Return the `Model_pb2.Model` of a path, a spec or an `MLModel`."""
    if isinstance(model, (str, Path)):
        return _load_file(Path(model))
    if hasattr(model, "get_spec"):
        return model.get_spec()
    if hasattr(model, "specificationVersion"):
        return model
    raise TypeError(f"expected a path, a Model_pb2.Model or an MLModel, got {type(model).__name__}")


def _load_file(path: Path) -> Any:
    try:
        exists = path.exists()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    if not exists:
        raise ModelError(f"no such file: {path}")
    if path.suffix == ".mlmodelc":
        raise ModelError(f"{path} is compiled; give the .mlmodel or .mlpackage it was made from")
    if path.is_dir() and path.suffix != ".mlpackage":
        raise ModelError(f"{path} is a directory, not a model; give the .mlmodel file itself")
    spec = _load_package(path) if path.is_dir() else _parse(path)
    if spec.WhichOneof("Type") is None:
        raise ModelError(_no_model(path, "it names no model type"))
    return spec


def _parse(path: Path) -> Any:
    from google.protobuf.message import DecodeError

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    if not content:
        raise ModelError(f"{path} is empty")
    spec = proto("Model_pb2").Model()
    try:
        spec.ParseFromString(content)
    except DecodeError as error:
        raise ModelError(_no_model(path, "its protobuf does not parse")) from error
    return spec


def _no_model(path: Path, why: str) -> str:
    if path.suffix in RESULTS:
        return f"{path} is no model: results are given with --record, and the model by itself"
    if other := what_it_is(path):
        return f"{path} is not a Core ML model but {other}"
    return f"{path} is not a Core ML model, or it is cut off: {why}"


def _load_package(path: Path) -> Any:
    try:
        return coremltools().utils.load_spec(str(path))
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        others = {p.name: what_it_is(p) for p in path.rglob("*.mlmodel")}
        inside = (f"its {name} is {other}" for name, other in others.items() if other)
        raise ModelError(f"{path} is not a readable .mlpackage: {next(inside, first)}") from error


def not_a_network(model: Any, kind: str | None) -> str:
    """Return the sentence that says what the model is instead of a NeuralNetwork."""
    origin = str(model) if isinstance(model, (str, Path)) else "the model"
    words = KINDS.get(kind or "", f"of type {kind}" if kind else "of no type")
    if not words.startswith("of "):
        words = f"{'an' if words[0] in 'aeioAEIOM' else 'a'} {words}"
    advice = ": it is in the newer format already" if kind == "mlProgram" else ""
    return f"{origin} is {words}, not a NeuralNetwork{advice}"
