"""Which function computes which MIL operation: the one table, by operation type."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class Entry(NamedTuple):
    """A function and how it is called."""

    compute: Callable[..., Any]
    nested: bool  # it is given a function that runs a block, and the operation's blocks


_OPS: dict[str, Entry] = {}


def op(*names: str, nested: bool = False) -> Callable[[Function], Function]:
    """Register a function for the operations of these types."""

    def decorate(function: Function) -> Function:
        for name in names:
            if name in _OPS:
                raise ValueError(f"{name!r} has two functions")
            _OPS[name] = Entry(function, nested)
        return function

    return decorate


def ops() -> dict[str, Entry]:
    """Return the table of all operations."""
    _import_functions()
    return _OPS


@functools.cache
def _import_functions() -> None:
    package = importlib.import_module("migrate.mil")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"migrate.mil.{module.name}")
