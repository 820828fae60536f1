"""Which builder makes which layer: the one table from proto field to builder.

A builder takes its layer's own proto message and returns a step: an `nn.Module` or a plain
function from tensors to a tensor (or a tuple of tensors, for layers of several outputs).
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

from migrate.coreml import proto

Step = Callable[..., Any]
Builder = Callable[..., Step]


class Entry(NamedTuple):
    """A builder and how its layer treats leading dimensions."""

    build: Builder
    spatial: bool  # the layer works on [Batch, C, H, W]; further leading dimensions are batch
    nested: bool  # the builder takes the whole `Layer` and a function that builds a sub-network


_LAYERS: dict[str, Entry] = {}
_ACTIVATIONS: dict[str, Builder] = {}


def layer(
    *fields: str, spatial: bool = False, nested: bool = False
) -> Callable[[Builder], Builder]:
    """Register a builder for the layers of these proto fields.

    `spatial` layers are given rank 4 tensors whatever the rank of the blob is: the proto says of
    them that "the leading dimensions, starting from 0 to -4 (inclusive), are all treated as batch".
    """
    return _register(
        _LAYERS, "NeuralNetworkLayer", "layer", fields, lambda build: Entry(build, spatial, nested)
    )


def activation(*fields: str) -> Callable[[Builder], Builder]:
    """Register a builder for these fields of `ActivationParams`."""
    return _register(_ACTIVATIONS, "ActivationParams", "NonlinearityType", fields, lambda b: b)


def layers() -> dict[str, Entry]:
    """Return the table of all layer builders, by proto field."""
    _import_builders()
    return _LAYERS


def activations() -> dict[str, Builder]:
    """Return the table of all activation builders, by proto field."""
    _import_builders()
    return _ACTIVATIONS


def known_fields(message: str = "NeuralNetworkLayer", oneof: str = "layer") -> tuple[str, ...]:
    """Return the proto fields that a layer (or an activation) may be, in the proto's order."""
    descriptor = getattr(proto("NeuralNetwork_pb2"), message).DESCRIPTOR
    return tuple(f.name for f in descriptor.oneofs_by_name[oneof].fields)


def _register(
    table: dict[str, Any],
    message: str,
    oneof: str,
    fields: tuple[str, ...],
    entry: Callable[[Builder], Any],
) -> Callable[[Builder], Builder]:
    def decorate(build: Builder) -> Builder:
        for name in fields:
            if name not in known_fields(message, oneof):
                raise ValueError(f"{message} has no field {name!r}")
            if name in table:
                raise ValueError(f"{name!r} has two builders")
            table[name] = entry(build)
        return build

    return decorate


@functools.cache
def _import_builders() -> None:
    package = importlib.import_module("migrate.layers")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"migrate.layers.{module.name}")
