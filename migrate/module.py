"""A `Network` as a torch module: one child per layer, run in order over a table of blobs.

    Interpreter.forward(*features)
      enter      feature -> blob            (rank mapping, image preprocessing)
      Block.run  layer by layer: blobs[outputs] = watch(step(*blobs[inputs]))
      leave      blob -> feature

`watch` is the one seam: it sees every blob when it is written and may replace it. Taps, fp16
rounding and fault injection all hang on it.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from migrate import features, names, registry, shapes, weights
from migrate.errors import ModelError, UnsupportedError
from migrate.layers import custom as custom_layers
from migrate.lowering import converting, untraced
from migrate.tracing import is_traced

if TYPE_CHECKING:
    from migrate.network import Layer, Network

Watch = Callable[[str, Tensor], Tensor]
Custom = dict[str, Callable[..., Any]]
REFUSALS = (RuntimeError, IndexError, TypeError, ValueError, ArithmeticError, MemoryError)
OWN_NAMES = (
    "layer_names",
    "network",
    "quantised",
    "entrances",
    "exits",
    "unread",
    "_precision",
)  # set after the layers


class Function(nn.Module):
    """A step that is a plain function, as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        """Return the function's result."""
        return self.function(*inputs)

    def extra_repr(self) -> str:
        """Name the function in the module's printed form."""
        return getattr(self.function, "__name__", str(self.function))


class Op(NamedTuple):
    """A layer in its place: the child that computes it, and how it is called."""

    layer: Layer
    child: str
    place: str  # "3 of 40"
    spatial: bool


class Block(nn.Module):
    """A sequence of layers; `run` is the whole interpreter."""

    def __init__(self, layers: Sequence[Layer], custom: Custom) -> None:
        super().__init__()
        self.watch: Watch | None = None
        self.ops: list[Op] = []
        keys = names.numbered(layer.name or layer.kind for layer in layers)
        children = names.identifiers(keys, reserved={*dir(self), *OWN_NAMES})
        self.layer_names = {}
        for i, (layer, key) in enumerate(zip(layers, keys, strict=True)):
            child = children[key]
            place = f"{i + 1} of {len(layers)}"
            step, spatial = _build(layer, place, custom)
            self.add_module(child, step)
            self.ops.append(Op(layer, child, place, spatial))
            self.layer_names[child] = layer.name

    def run(self, blobs: dict[str, Tensor], unread: Sequence[tuple[str, ...]] = ()) -> None:
        """Compute every layer's blobs into the table, in order.

        `unread` are the blobs that go from the table behind each layer, if not all are to stay.
        """
        for op, gone in zip(self.ops, chain(unread, repeat(())), strict=False):
            watch = None if op.layer.blocks else self.watch  # sub-networks have shown theirs
            for name, value in zip(op.layer.outputs, self.call(op, blobs), strict=False):
                if value is not None:
                    blobs[name] = watch(name, value) if watch else value
            for name in gone:
                blobs.pop(name, None)

    def call(self, op: Op, blobs: dict[str, Tensor]) -> Sequence[Any]:
        """Return what a layer makes of its blobs in the table; an error names the layer."""
        step = getattr(self, op.child)
        inputs = [_fetch(blobs, name, op) for name in op.layer.inputs]
        try:
            result = shapes.as_batch(step, *inputs) if op.spatial else step(*inputs)
        except UnsupportedError as error:
            sentence = f"{_describe(op.layer, op.place)}: {error}"
            lowerer = converting()
            if not lowerer or not is_traced():
                raise UnsupportedError(sentence) from error
            lowerer.refused.append(sentence)
            with untraced():  # so that what else is refused is found too
                return self.call(op, blobs)
        except REFUSALS as error:
            raise ModelError(
                f"{_describe(op.layer, op.place)}: {_refusal(error, inputs)}"
            ) from error
        results = (result,) if isinstance(result, Tensor) else tuple(result or ())
        if len(results) < len(op.layer.outputs):
            raise ModelError(
                f"{_describe(op.layer, op.place)}: declares {len(op.layer.outputs)} outputs "
                f"and gives {len(results)}"
            )
        return results


class Model(nn.Module):
    """What the module of every model does: features in and out, by position or by name."""

    network: Network
    quantised: list[weights.Quantised]  # the weights that the model stores in fewer bits
    _precision: Tensor

    def admit(self, tensors: Sequence[Tensor | None]) -> dict[str, Tensor]:
        """Return the input features by name; absent optional ones are filled in.

        Raises TypeError for a wrong number of inputs, InputError for a shape that is not allowed.
        """
        wanted = self.network.inputs
        given = {f.name: x for f, x in zip(wanted, tensors, strict=False) if x is not None}
        missing = [f.name for f in wanted if f.name not in given and not f.optional]
        if missing or len(tensors) > len(wanted):
            raise TypeError(
                f"expected {len(wanted)} inputs, got {len(tensors)}"
                + (f"; {missing[0]!r} is missing" if missing else "")
            )
        dtype = self._precision.dtype
        return {f.name: features.admitted(f, given.get(f.name), dtype) for f in wanted}

    def predict(self, inputs: dict[str, Any], *, exact: bool = False) -> dict[str, Any]:
        """Return the outputs by name for inputs by name, as `MLModel.predict` does.

        `exact` keeps arrays in the precision computed, where their feature declares another.
        """
        dtype = self._precision.dtype
        tensors = [features.to_tensor(f, inputs, dtype) for f in self.network.inputs]
        features.refuse_unknown(self.network.inputs, inputs)
        with torch.no_grad():
            outputs = self(*tensors)
        values = outputs if isinstance(outputs, tuple) else (outputs,)
        return features.to_outputs(self.network, values, exact)

    @contextmanager
    def watching(self, watch: Watch) -> Iterator[Model]:
        """Let `watch` see and replace every blob while the context lasts."""
        blocks = [m for m in self.modules() if isinstance(m, Block)]
        before = [block.watch for block in blocks]
        try:
            for block in blocks:
                block.watch = watch
            yield self
        finally:
            for block, previous in zip(blocks, before, strict=True):
                block.watch = previous


class Interpreter(Block, Model):
    """The module of one network: its layers, between entrances and exits."""

    def __init__(self, network: Network, custom: Custom) -> None:
        super().__init__(network.layers, custom)
        self.network = network
        self.entrances = nn.ModuleList(features.Entrance(f, network) for f in network.inputs)
        recurrent = network.legacy and network.sequential
        self.exits = [
            (blob, Function(shapes.leave(f, network.rank5_arrays, recurrent)))
            for f, blob in features.output_blobs(network)
        ]
        self.unread = _unread(self.ops, {blob for blob, _ in self.exits})
        self.register_buffer("_precision", torch.zeros(0), persistent=False)

    def forward(self, *tensors: Tensor | None) -> Any:
        """Return the outputs: one tensor, or a tuple in the description's order."""
        blobs = {}
        for (name, x), entrance in zip(self.admit(tensors).items(), self.entrances, strict=True):
            value = entrance(x)
            blobs[name] = self.watch(name, value) if self.watch else value
        self.run(blobs, self.unread)
        outputs = tuple(leave(_output(blobs, blob)) for blob, leave in self.exits)
        return outputs[0] if len(outputs) == 1 else outputs


class Pipeline(Model):
    """The module of a pipeline: its stages one after another, over a table of features."""

    def __init__(self, network: Network, custom: Custom) -> None:
        super().__init__()
        self.network = network
        self.stages: Any = nn.ModuleList(Interpreter(s, custom) for s in network.stages)
        self.register_buffer("_precision", torch.zeros(0), persistent=False)

    def forward(self, *tensors: Tensor | None) -> Any:
        """Return the outputs: one tensor, or a tuple in the description's order."""
        table = self.admit(tensors)
        for stage in self.stages:
            inputs = [table.get(feature.name) for feature in stage.network.inputs]
            outputs = stage(*inputs)
            values = outputs if isinstance(outputs, tuple) else (outputs,)
            for feature, value in zip(features.tensor_outputs(stage.network), values, strict=True):
                table[feature.name] = features.passed_on(feature, value)
        outputs = tuple(table[feature.name] for feature in features.tensor_outputs(self.network))
        return outputs[0] if len(outputs) == 1 else outputs


def to_torch(model: Any, custom: Custom | None = None) -> Model:
    """Return the model as an `nn.Module` in evaluation mode, float32.

    `model` is a path, a `Model_pb2.Model` or an `MLModel`. Inputs and outputs are the model's
    features, positional, in the description's order and shapes; an optional input may be left out.
    Raises ModelError for a file that is no NeuralNetwork and no pipeline of them, UnsupportedError
    with every layer that cannot be expressed.
    """
    from migrate.network import Network, read

    with _uncollected():
        network = model if isinstance(model, Network) else read(model)
        missing = unsupported(network, custom or {})
        if missing:
            raise UnsupportedError(
                f"not all of the {len(network.all_layers())} layers are supported: "
                + "; ".join(missing)
            )
        kind = Pipeline if network.stages else Interpreter
        with weights.collecting() as quantised:
            net = kind(network, custom or {}).eval()
        net.quantised = quantised
        return net


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause the garbage collector: thousands of modules are made, and none of them is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def unsupported(network: Network, custom: Custom) -> list[str]:
    """Return a line for each layer that has no builder, and how to supply the custom ones."""
    known = registry.layers()
    unknown = [layer for layer in network.all_layers() if layer.kind not in known]
    foreign = [
        layer
        for layer in network.all_layers()
        if layer.kind == "custom" and layer.params.className not in custom
    ]
    lines = [f"layer {layer.name!r} ({layer.kind})" for layer in unknown]
    lines += [custom_layers.describe(layer) for layer in foreign]
    return [*lines, custom_layers.advice(foreign)] if foreign else lines


def _build(layer: Layer, place: str, custom: Custom) -> tuple[nn.Module, bool]:
    entry = registry.layers()[layer.kind]
    try:
        if entry.nested:
            step = entry.build(layer, partial(Block, custom=custom), custom)
        else:
            step = entry.build(layer.params)
    except ModelError as error:
        raise type(error)(f"{_describe(layer, place)}: {error}") from error
    except REFUSALS as error:
        raise ModelError(
            f"{_describe(layer, place)}: has impossible parameters: {_first_line(error)}"
        ) from error
    return (step if isinstance(step, nn.Module) else Function(step)), entry.spatial


def _unread(ops: Sequence[Op], kept: set[str]) -> list[tuple[str, ...]]:
    """Return the blobs that each layer is the last to read or write, but for those kept."""
    seen, found = set(kept), []
    for op in reversed(ops):
        own = dict.fromkeys((*op.layer.inputs, *op.layer.outputs))
        found.append(tuple(name for name in own if name not in seen))
        seen.update(own)
    return found[::-1]


def _fetch(blobs: dict[str, Tensor], name: str, op: Op) -> Any:
    if name not in blobs and not op.layer.blocks:
        raise ModelError(
            f"{_describe(op.layer, op.place)}: reads blob {name!r}, "
            "which no input and no earlier layer gives"
        )
    return blobs.get(name)


def _output(blobs: dict[str, Tensor], name: str) -> Tensor:
    if name not in blobs:
        raise ModelError(f"output {name!r} is written by no layer")
    return blobs[name]


def _refusal(error: Exception, inputs: Sequence[Any]) -> str:
    """Say what was wrong with the inputs: their number, or how they fit."""
    if isinstance(error, TypeError) and re.search("positional arg|multiple values", str(error)):
        return f"such a layer does not take {len(inputs)} inputs"
    known = [x for x in inputs if x is not None]
    sizes = ", ".join("x".join(map(str, x.shape)) or "scalar" for x in known) or "(none)"
    return f"cannot be applied to inputs of shape {sizes}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _describe(layer: Layer, place: str) -> str:
    return f"layer {layer.name!r} ({layer.kind}), {place}"
