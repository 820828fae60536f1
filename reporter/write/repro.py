"""The repro script: a standalone file that rebuilds the model and shows its numbers.

It needs coremltools and numpy only. Weights are seeded draws; where the model's own are those
draws, as in samples/Block.mlmodel, it rebuilds the very same numbers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format

import migrate
from reporter.write import builder_calls
from reporter.write.builder_calls import literal, without_weights
from reporter.write.rendering import render

if TYPE_CHECKING:
    from collections.abc import Mapping

SEED = 720810
SECONDS = 300


@dataclass(frozen=True)
class Repro:
    """A script, and what running it in a clean process showed."""

    script: str
    author: str  # "anereport" or "the user"
    status: str
    output: str = ""
    rebuilds: bool = False  # the same network, weights aside
    own_weights: bool = False  # the seeded weights are the model's own
    building: str = ""  # the part of the script that builds the model


def generate(model: Path) -> tuple[str, str]:
    """Return the script for a NeuralNetwork, and the part of it that builds the model."""
    spec = migrate.load_spec(model)
    network = migrate.read(spec)
    building = model_part(spec)
    given = {"name": model.name, "file": literal(model.name), **interface(network)}
    return render("repro.py", building=building, **given), building


def interface(described: Any) -> dict[str, Any]:
    """Return what the script says of the features of a network or ML Program."""
    images = {f.name: f.color for f in described.inputs if f.kind == "image"}
    inputs = {
        f.name: ("image" if f.name in images else f.dtype, migrate.default_shape(f))
        for f in described.inputs
    }
    return {
        "inputs": ascii(inputs),
        "output": literal(_first_array(described)),
        "uses_images": bool(images),
        "colors": ascii(images),
    }


def model_part(spec: Any) -> str:
    """Return the statements that leave the rebuilt network in the builder `b`."""
    network = getattr(spec, spec.WhichOneof("Type"))
    calls = [builder_calls.line(layer) for layer in network.layers]
    head = _constructor(spec)
    if not _rebuilds_interface(head, spec):
        head = _interface_text(spec)
    helpers = ADD if any(call.startswith("add(") for call in calls) else ""
    return "\n".join([DRAW.format(seed=SEED), head, *([helpers] if helpers else []), *calls])


DRAW = """\
r = np.random.RandomState({seed})
digest = hashlib.sha256()
def u(scale, *shape):
    w = np.float32(r.uniform(-1, 1, shape) * scale)
    digest.update(w.tobytes())
    return w"""

ADD = """\
def add(text, *weights):
    layer = text_format.Parse(text, b.nn_spec.layers.add())
    for path, scale, count, *offset in weights:
        at = layer
        for part in path.split("."):
            at = at[int(part)] if part.isdigit() else getattr(at, part)
        at.floatValue.extend(sum(offset) + u(scale, count))"""


def _constructor(spec: Any) -> str:
    """Return the builder's own constructor call, as short as it can be."""
    network = getattr(spec, spec.WhichOneof("Type"))
    arrays = [_arrays(features) for features in (spec.description.input, spec.description.output)]
    more = ",disable_rank5_shape_mapping=True" if network.arrayInputShapeMapping else ""
    types = {f.type.multiArrayType.dataType for f in spec.description.input}
    more += ",use_float_arraytype=True" if types == {65568} else ""
    return f"A = datatypes.Array\nb = NeuralNetworkBuilder({arrays[0]},{arrays[1]}{more})"


def _arrays(features: Any) -> str:
    described = []
    for feature in features:
        shape = ",".join(str(n) for n in feature.type.multiArrayType.shape)
        described.append(f"({literal(feature.name)},{f'A({shape})' if shape else None})")
    return f"[{','.join(described)}]"


def _interface_text(spec: Any) -> str:
    """Return the interface as proto text, for what the constructor cannot say."""
    text = text_format.MessageToString(_interface(spec), as_one_line=True)
    return (
        f"spec = text_format.Parse({literal(text)}, Model())\nb = NeuralNetworkBuilder(spec=spec)"
    )


def _interface(spec: Any) -> Any:
    """Return the spec without layers, training parameters and metadata."""
    copy = type(spec)()
    copy.CopyFrom(spec)
    copy.description.ClearField("metadata")
    if copy.WhichOneof("Type"):
        getattr(copy, copy.WhichOneof("Type")).ClearField("layers")
    return copy


def _rebuilds_interface(head: str, spec: Any) -> bool:
    from coremltools.models import datatypes

    names: dict[str, Any] = {"datatypes": datatypes}
    names["NeuralNetworkBuilder"] = builder_calls._builder_class()
    try:
        exec(head, names)  # our own text, of literals alone
    except Exception:  # what the constructor refuses is said by the proto text
        return False
    built = names["b"].spec
    return bool(_interface(built) == _interface(spec))


def _first_array(network: Any) -> str:
    arrays = [f.name for f in network.outputs if f.kind in ("multiArray", "dictionary")]
    return (arrays or [network.outputs[0].name])[0]


def execute(script: str, model: Path) -> Repro:
    """Run the generated script in a clean process and compare what it built with the model."""
    with tempfile.TemporaryDirectory() as folder:
        code, output = run_clean(script, Path(folder))
        built = Path(folder, "repro.mlmodel")
        if code != 0 or not built.exists():
            return failed(script, output)
        rebuilt, original = migrate.load_spec(built), migrate.load_spec(model)
    return _judged(script, output, rebuilt, original)


def failed(script: str, output: str) -> Repro:
    """Return a script of ours that did not end well."""
    return Repro(script, "anereport", f"FAILED when executed: {_last_line(output)}", output)


def executed() -> str:
    """Return how far a script of ours is run on this system."""
    reached = "up to the point where Core ML is needed" if sys.platform != "darwin" else "fully"
    return f"executed in a clean process {reached}"


def _judged(script: str, output: str, rebuilt: Any, original: Any) -> Repro:
    rebuilt.description.ClearField("metadata")
    original.description.ClearField("metadata")
    same_weights = rebuilt == original
    same = same_weights or without_weights(rebuilt) == without_weights(original)
    weights = "the model's own weights" if same_weights else "seeded weights in place of its own"
    network = "the same network" if same else "ANOTHER network than the model's"
    status = f"{executed()}: it rebuilds {network}, with {weights}"
    return Repro(script, "anereport", status, output, rebuilds=same, own_weights=same_weights)


def from_user(path: Path, run: bool) -> Repro:
    """Return the user's own script; it is executed only if `run` is set."""
    try:
        script = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise migrate.AnereportError(f"cannot read the script {path}: {error}") from error
    if not run:
        return Repro(script, "the user", "not executed: bundled as given (--run-script runs it)")
    code, output = _run_file(path.resolve(), path.resolve().parent, os.environ)
    status = "executed, it ended without error" if code == 0 else f"executed, FAILED (exit {code})"
    return Repro(script, "the user", status, output)


def run_clean(script: str, folder: Path) -> tuple[int, str]:
    """Run a script in a folder, with nothing in its environment that points to this project."""
    file = folder / "repro.py"
    file.write_text(script, encoding="utf-8")
    kept = ("PATH", "HOME", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")
    return _run_file(file, folder, {k: os.environ[k] for k in kept if k in os.environ})


def _run_file(file: Path, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            [sys.executable, str(file)],
            cwd=folder, env=dict(environment), capture_output=True,
            encoding="utf-8", errors="replace", timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1, f"over {SECONDS} s"
    return done.returncode, done.stdout + (done.stderr if done.returncode else "")


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["no output"])[-1]
