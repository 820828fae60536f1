"""A NeuralNetwork as readable Python: `model.py` and its weights, which need torch alone.

The module is recorded while it runs (`recording`, `program`), so what stands in the file is what
the builders of `layers` do. Ruff lays the text out.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from migrate import helpers, members, names
from migrate.block import Custom
from migrate.errors import AnereportError
from migrate.feature_types import default_shape
from migrate.module import Model, to_torch
from migrate.printing import string
from migrate.transcript import RESERVED, Transcript, transcribe

if TYPE_CHECKING:
    from collections.abc import Iterator


WIDTH = 100
CLASS_LENGTH = 40
RUFF = (
    sys.executable, "-m", "ruff", "format", "--isolated", "--no-cache",
    "--target-version", "py310", "--line-length", str(WIDTH),
)  # fmt: skip


class SourceError(AnereportError):
    """The module cannot be written as Python."""


def to_source(
    model: Any, folder: Any, custom: Custom | None = None, *, name: str | None = None
) -> str:
    """Write `model.py`, and `weights.npz` if there are any; return the text of the former.

    `model` is what `to_torch` takes or returns; `name` is what the class is named after, by default
    the file. The text's `load()` returns the module with its weights, which takes and returns what
    `to_torch(model)` does, bit for bit. Raises what `to_torch` raises, UnsupportedError for a
    custom layer that cannot be written, and SourceError.
    """
    net = model if isinstance(model, Model) else to_torch(model, custom)
    given = Path(model).stem if isinstance(model, (str, Path)) else "model"
    text, arrays = write(net, class_name(name or given))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(text, encoding="utf-8")
    if arrays:
        np.savez(folder / "weights.npz", **arrays)
    return text


def class_name(stem: str) -> str:
    """Return a class's name made of a file's."""
    words = re.findall(r"[0-9a-zA-Z]+", stem)
    name = "".join(word[0].upper() + word[1:] for word in words)[:CLASS_LENGTH]
    name = name if name and not name[0].isdigit() else f"Model{name}"
    reserved = {*RESERVED, *helpers.IMPORTED, *helpers.NAMES, "LABELS", "NAMES"}
    return names.identifiers([name], reserved)[name]


def write(net: Model, name: str) -> tuple[str, dict[str, Any]]:
    """Return the text of `model.py` for a module, and its weights by name."""
    transcript = transcribe(net)
    arrays = members.weights(net, transcript.members)
    return _formatted("\n".join(_file(net, transcript, name, bool(arrays)))), arrays


def _file(net: Model, transcript: Transcript, name: str, has_weights: bool) -> Iterator[str]:
    sources, modules = helpers.sources(transcript.helpers)
    yield from _imports(transcript, modules, has_weights)
    for constant, forms in transcript.shapes.items():
        yield f"{constant} = {forms!r}"
    yield from sources
    made = f"  # written by anereport {version('anereport')}"
    yield f"class {name}(nn.Module):{made}"
    if transcript.members:
        yield "    def __init__(self):"
        yield "        super().__init__()"
        for member, path in transcript.members.items():
            value = members.at(net, path)
            made = (
                members.constructor(value)
                if isinstance(value, nn.Module)
                else members.holder(value)
            )
            yield f"        self.{member} = {made}"
        yield ""
    head = f"    def forward({', '.join(['self', *_parameters(net, transcript)])}):"
    shapes = ", ".join(str(list(default_shape(feature))) for feature in net.network.inputs)
    yield f"{head}  # {shapes}" if len(head) + len(shapes) + 4 <= WIDTH else head
    yield from (f"        {line}" for line in transcript.body)
    yield from _load(name, has_weights)
    yield from _constants(net, transcript)


def _imports(transcript: Transcript, modules: set[str], has_weights: bool) -> list[str]:
    """Return the import statements, in the order of isort."""
    needed = {
        *modules,
        "nn",
        *transcript.imports,
        *(("torch", "np", "Path") if has_weights else ()),
    }
    by_module: dict[str, list[str]] = {}
    for name in sorted(needed):
        statement, _, imported = helpers.IMPORTED[name].partition(" import ")
        by_module.setdefault(statement, []).extend([imported] if imported else [])
    lines = [s + (f" import {', '.join(n)}" if n else "") for s, n in by_module.items()]
    standard = [line for line in lines if line.split()[1].split(".")[0] in sys.stdlib_module_names]
    others = [line for line in lines if line not in standard]
    order = lambda line: (line.startswith("from"), line.split()[1])  # noqa: E731
    return [*sorted(standard, key=order), "", *sorted(others, key=order), ""]


def _parameters(net: Model, transcript: Transcript) -> Iterator[str]:
    """Yield the parameters; from the first optional one on each may be left out."""
    optional = False
    for name, feature in zip(transcript.parameters, net.network.inputs, strict=True):
        optional = optional or feature.optional
        yield f"{name}=None" if optional else name


def _load(name: str, has_weights: bool) -> Iterator[str]:
    yield "def load():"
    if not has_weights:
        yield f"    return {name}().eval()"
        return
    yield f'    model, weights = {name}(), np.load(Path(__file__).with_name("weights.npz"))'
    yield "    model.load_state_dict({key: torch.from_numpy(weights[key]) for key in weights})"
    yield "    return model.eval().requires_grad_(False)"


def _constants(net: Model, transcript: Transcript) -> Iterator[str]:
    """Yield the classifier's labels, and what Core ML calls what has another name here."""
    if net.network.labels:
        yield "LABELS = [" + "".join(f"{_label(label)}, " for label in net.network.labels) + "]"
    table = {name: blob for name, blob in transcript.blobs.items() if name != blob}
    for member, layer in transcript.layers.items():
        shared = transcript.blobs.get(member, layer) == layer
        table[member if shared else f"self.{member}"] = layer
    if table:
        yield "# what Core ML calls the blobs and layers that have another name here"
        rows = "".join(f"{name!r}: {string(core)}, " for name, core in table.items())
        yield f"NAMES = {{{rows}}}"


def _label(value: str | int) -> str:
    return string(value) if isinstance(value, str) else repr(value)


def _formatted(text: str) -> str:
    """Return the text as `ruff format` lays it out."""
    done = subprocess.run([*RUFF, "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SourceError(f"ruff could not lay out model.py: {done.stderr.strip()}")
    return done.stdout
