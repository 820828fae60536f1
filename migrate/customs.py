"""Builders for custom layers, named on a command line as [CLASS=]package.module:function."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate.errors import AnereportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migrate.network import Layer, Network


def load_custom(options: Sequence[str], network: Network) -> dict[str, Callable[..., Any]]:
    """Return the builders by class name; without CLASS= the model's only class is meant.

    The current folder is searched too. Raises AnereportError for an option that cannot be followed.
    """
    classes = sorted({layer.params.className for layer in custom_layers(network)})
    found = {}
    for option in options:
        given, _, place = option.rpartition("=")
        if (given and given not in classes) or (not given and len(classes) != 1):
            known = ", ".join(classes) or "none"
            raise AnereportError(
                f"--custom {option}: the model's custom classes are {known}; "
                "write CLASS=package.module:function"
            )
        found[given or classes[0]] = _function(option, place)
    return found


def custom_layers(network: Network) -> list[Layer]:
    """Return the network's custom layers, those inside branches and loops included."""
    return [layer for layer in network.all_layers() if layer.kind == "custom"]


def _function(option: str, place: str) -> Callable[..., Any]:
    module, colon, name = place.partition(":")
    if not (module and colon and name):
        raise AnereportError(f"--custom {option}: write [CLASS=]package.module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise AnereportError(f"--custom {option}: {error}") from error
    if not callable(function):
        raise AnereportError(f"--custom {option}: {name} is not a function")
    return function
