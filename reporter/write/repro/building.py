"""The statements that rebuild a network in the builder `b`, and executing them here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf import text_format

import migrate
from reporter.write.repro.builder_calls import builder_class, line
from reporter.write.repro.layer_text import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Draw = Callable[..., Any]

SEED = 720810

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

NOTE = """\
def note(layers, ranks):
    for layer in layers:
        for blobs, notes in (layer.input, layer.inputTensor), (layer.output, layer.outputTensor):
            for blob in blobs:
                rank, *sizes = ranks[blob]
                notes.add(rank=rank, dimValue=sizes)"""


@dataclass(frozen=True)
class Building:
    """How a network is rebuilt: the builder, a call for each layer, what they note of ranks."""

    head: str
    calls: tuple[str, ...]
    notes: str = ""

    @property
    def statements(self) -> tuple[str, ...]:
        """The statements in order; they call `u` for weights."""
        helpers = (ADD,) if any(call.startswith("add(") for call in self.calls) else ()
        return (self.head, *helpers, *self.calls)

    @property
    def text(self) -> str:
        """All of it as a text of its own, with seeded weights; notes on ranks are left out."""
        return "\n".join([DRAW.format(seed=SEED), *self.statements])


def building(spec: Any) -> Building:
    """Return how the network of a spec, or the networks of a pipeline, are rebuilt.

    Raises ModelError for a spec that holds no network.
    """
    found = list(networks(spec))
    if not found:
        raise migrate.ModelError(f"there is no network to rebuild in a {spec.WhichOneof('Type')}")
    if not found[0][0]:
        (_, network), head = found[0], _constructor(spec)
        if not _rebuilds_interface(head, spec):
            head = _interface_text(spec)
        return Building(head, tuple(map(line, network.layers)), _notes(network))
    calls = []
    for path, network in found:
        calls.append(f"b = NeuralNetworkBuilder(spec=spec{path})")
        calls += map(line, network.layers)
    return Building(_parsed(spec), (*calls, "b.spec = spec"))


def networks(spec: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every network of a spec with the path of its model: "", ".pipeline.models[0]"."""
    kind = spec.WhichOneof("Type") or ""
    held: Any = getattr(spec, kind, None)
    if kind.startswith("neuralNetwork"):
        yield path, held
    elif kind.startswith("pipeline"):
        inner = kind if kind == "pipeline" else f"{kind}.pipeline"
        models = held.models if kind == "pipeline" else held.pipeline.models
        for i, model in enumerate(models):
            yield from networks(model, f"{path}.{inner}.models[{i}]")


def assembled(built: Building, draw: Draw, after: Callable[[], None] | None = None) -> Any:
    """Return the spec that statements and notes make with this draw; `after` follows each call."""
    migrate.coremltools()
    from coremltools.models import datatypes

    names: dict[str, Any] = {"datatypes": datatypes, "text_format": text_format}
    names["NeuralNetworkBuilder"] = builder_class()
    names["Model"] = migrate.proto("Model_pb2").Model
    names["u"] = lambda *shape: draw(*shape).astype(np.float64)  # which a message takes faster
    for statement in built.statements:
        exec(statement, names)  # our own text, of literals alone
        if after:
            after()
    exec(built.notes, names)
    spec = names["b"].spec
    spec.description.ClearField("metadata")
    return spec


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
    return f"{_parsed(spec)}\nb = NeuralNetworkBuilder(spec=spec)"


def _parsed(spec: Any) -> str:
    text = text_format.MessageToString(_interface(spec), as_one_line=True)
    return f"spec = text_format.Parse({literal(text)}, Model())"


def _interface(spec: Any) -> Any:
    """Return the spec without the layers of its networks, and without metadata."""
    copy = type(spec)()
    copy.CopyFrom(spec)
    copy.description.ClearField("metadata")
    for _, network in networks(copy):
        network.ClearField("layers")
    return copy


def _rebuilds_interface(head: str, spec: Any) -> bool:
    from coremltools.models import datatypes

    names: dict[str, Any] = {"datatypes": datatypes, "NeuralNetworkBuilder": builder_class()}
    try:
        exec(head, names)  # our own text, of literals alone
    except Exception:  # what the constructor refuses is said by the proto text
        return False
    return bool(_interface(names["b"].spec) == _interface(spec))


def _notes(network: Any) -> str:
    """Return the statements that note ranks as the layers do; nothing where they do not.

    Nothing either where a layer notes less than all of its blobs, or a blob not alike each time.
    """
    ranks: dict[str, tuple[int, ...]] = {}
    for layer in network.layers:
        for blobs, notes in (layer.input, layer.inputTensor), (layer.output, layer.outputTensor):
            if len(blobs) != len(notes):
                return ""
            for blob, note in zip(blobs, notes, strict=True):
                found = (note.rank, *note.dimValue)
                if ranks.setdefault(blob, found) != found:
                    return ""
    if not ranks:
        return ""
    told = (f"{literal(blob)}:({''.join(f'{n},' for n in found)})" for blob, found in ranks.items())
    return f"{NOTE}\nnote(b.nn_spec.layers, {{{','.join(told)}}})"
