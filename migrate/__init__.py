"""Core ML NeuralNetworks as PyTorch modules and ML Programs, on any system.

Nothing heavy is imported until a name is used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migrate.errors import AnereportError, InputError, ModelError, UnsupportedError
    from migrate.module import Interpreter, to_torch
    from migrate.network import Feature, Layer, Network, load_spec, read

_HOMES = {
    "AnereportError": "errors",
    "Feature": "network",
    "InputError": "errors",
    "Interpreter": "module",
    "Layer": "network",
    "ModelError": "errors",
    "Network": "network",
    "UnsupportedError": "errors",
    "load_spec": "network",
    "read": "network",
    "to_torch": "module",
}
__all__ = [
    "AnereportError",
    "Feature",
    "InputError",
    "Interpreter",
    "Layer",
    "ModelError",
    "Network",
    "UnsupportedError",
    "load_spec",
    "read",
    "to_torch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"migrate.{_HOMES[name]}"), name)
