"""Layers in order over a table of blobs: what a network, a branch and a loop are made of.

Block.run  layer by layer: blobs[outputs] = watch(step(*blobs[inputs]))
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn
from torch.nn.utils.stateless import _reparametrize_module

from migrate import allowance, names, registry, shapes
from migrate.errors import ModelError, UnsupportedError
from migrate.limits import largest
from migrate.lowering import converting, untraced
from migrate.network import computes_sizes
from migrate.tracing import has_values, is_traced

if TYPE_CHECKING:
    from migrate.network import Layer

Watch = Callable[[str, Tensor], Tensor]
Custom = dict[str, Callable[..., Any]]
REFUSALS = (RuntimeError, IndexError, TypeError, ValueError, ArithmeticError, MemoryError)
OWN_NAMES = (
    "affordable",
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
    growth: float  # at most so many elements of its outputs for each of its inputs


class Block(nn.Module):
    """A sequence of layers; `run` is the whole interpreter."""

    def __init__(self, layers: Sequence[Layer], custom: Custom) -> None:
        super().__init__()
        self.watch: Watch | None = None
        self.ops: list[Op] = []
        self.affordable: set[tuple[Any, ...]] = set()  # a child, and shapes of its inputs
        keys = names.numbered(layer.name or layer.kind for layer in layers)
        children = names.identifiers(keys, reserved={*dir(self), *OWN_NAMES})
        self.layer_names = {}
        for i, (layer, key) in enumerate(zip(layers, keys, strict=True)):
            child = children[key]
            place = f"{i + 1} of {len(layers)}"
            step, spatial = _build(layer, place, custom)
            self.add_module(child, step)
            self.ops.append(Op(layer, child, place, spatial, _growth(layer)))
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
            self._refuse_outgrown(op, step, inputs, blobs)
            result = _applied(step, op.spatial, inputs)
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

    def _refuse_outgrown(
        self, op: Op, step: nn.Module, inputs: list[Any], blobs: dict[str, Tensor]
    ) -> None:
        """Refuse a layer that would allocate too much; what it makes of shapes is asked once."""
        if not op.growth or not has_values(*inputs):
            return
        most = op.growth * math.prod(max(1.0, x.numel()) for x in inputs if x is not None)
        allowance.refuse_crowd(inputs, most, blobs.values())
        if most <= largest():
            return
        key = (op.child, *(None if x is None else x.shape for x in inputs))
        if key not in self.affordable or op.growth == math.inf:
            state = dict((*step.named_parameters(), *step.named_buffers()))
            allowance.refuse_outgrown(partial(_with_others, step, op.spatial), (state, inputs))
            self.affordable.add(key)


def _growth(layer: Layer) -> float:
    """Return at most how many elements a layer makes of each; infinite if it reads sizes."""
    if layer.blocks or layer.kind == "custom":
        return 0.0  # its own layers are asked; what a user wrote is not run to find out
    return math.inf if computes_sizes(layer) else allowance.growth(layer.params)


def _applied(step: Callable[..., Any], spatial: bool, inputs: list[Any]) -> Any:
    return shapes.as_batch(step, *inputs) if spatial else step(*inputs)


def _with_others(step: nn.Module, spatial: bool, given: tuple[Any, list[Any]]) -> Any:
    """Return what a layer gives with other parameters and inputs than its own; no hook sees it."""
    state, inputs = given
    with _reparametrize_module(step, state):
        return _applied(step.forward, spatial, inputs)


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


def _fetch(blobs: dict[str, Tensor], name: str, op: Op) -> Any:
    if name not in blobs and not op.layer.blocks:
        raise ModelError(
            f"{_describe(op.layer, op.place)}: reads blob {name!r}, "
            "which no input and no earlier layer gives"
        )
    return blobs.get(name)


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
