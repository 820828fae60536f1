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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from migrate import features, registry, shapes, weights
from migrate.block import Block, Custom, Function, Op, Watch
from migrate.errors import ModelError, UnsupportedError
from migrate.layers import custom as custom_layers

if TYPE_CHECKING:
    from migrate.network import Network


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


def _unread(ops: Sequence[Op], kept: set[str]) -> list[tuple[str, ...]]:
    """Return the blobs that each layer is the last to read or write, but for those kept."""
    seen, found = set(kept), []
    for op in reversed(ops):
        own = dict.fromkeys((*op.layer.inputs, *op.layer.outputs))
        found.append(tuple(name for name in own if name not in seen))
        seen.update(own)
    return found[::-1]


def _output(blobs: dict[str, Tensor], name: str) -> Tensor:
    if name not in blobs:
        raise ModelError(f"output {name!r} is written by no layer")
    return blobs[name]
