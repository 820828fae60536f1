"""Functions of several lines that a written `model.py` calls by name and carries along.

A `@helper` is an ordinary function of tensors, numbers and functions. While a module is recorded
(`recording`) its call is one step, and its source is taken as it stands here, together with what it
calls. So it may use nothing but torch, math, the names of IMPORTED and other such functions, and it
raises ValueError, never an error of this project. The numbers that it is given are float32's, whose
text may be rounded, so they meet tensors alone, never another number.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import types
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Called = TypeVar("Called", bound=Callable[..., Any])


class Recorder(Protocol):
    """What takes note of a helper's call."""

    sizes_vary: bool

    def call_helper(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note the call and return its result."""


NAMES: set[str] = set()  # of all helpers, which variables must not take
FOR_OUR_CHECKERS = r"  # (type: ignore|noqa).*"
_active: list[Recorder] = []  # the recorders under way; the last one listens


def helper(function: Called) -> Called:
    """Mark a function whose call, and not its lines, belongs in a written module."""
    NAMES.add(function.__name__)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _active:
            return _active[-1].call_helper(function, args, kwargs)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def inlined(function: Called) -> Called:
    """Mark a function whose lines belong in a written module, which may be passed on by name."""
    NAMES.add(function.__name__)
    return function


def activate(recorder: Recorder) -> None:
    """Let the recorder see the calls of helpers until `deactivate`."""
    _active.append(recorder)


def deactivate() -> None:
    """End what `activate` began."""
    _active.pop()


def recorder() -> Recorder | None:
    """Return what records a module now, if anything does."""
    return _active[-1] if _active else None


IMPORTED = {
    "torch": "import torch",
    "nn": "from torch import nn",
    "Tensor": "from torch import Tensor",
    "F": "from torch.nn import functional as F",
    "math": "import math",
    "np": "import numpy as np",
    "Path": "from pathlib import Path",
    "partial": "from functools import partial",
    "Any": "from typing import Any",
    "Callable": "from collections.abc import Callable",
}


def sources(functions: Iterable[Any]) -> tuple[list[str], set[str]]:
    """Return the sources of functions and of what they need, and the names that they import.

    Each stands after what it calls; the names are those of IMPORTED.
    """
    found: dict[str, str] = {}
    imports: set[str] = set()
    for function in functions:
        _collect(inspect.unwrap(function), found, imports)
    return list(found.values()), imports


def _collect(function: Any, found: dict[str, str], imports: set[str]) -> None:
    if function.__name__ in found:
        return
    found[function.__name__] = ""  # its place, for functions that call themselves
    text = inspect.getsource(function)
    tree = ast.parse(text).body[0]
    assert isinstance(tree, ast.FunctionDef)
    used = _free_names(tree)
    imports |= used & set(IMPORTED)
    for name in sorted((used & set(function.__globals__)) - set(IMPORTED)):
        value = function.__globals__[name]
        if isinstance(value, types.FunctionType):
            _collect(inspect.unwrap(value), found, imports)
        else:
            found.setdefault(name, f"{name} = {value!r}")
    del found[function.__name__]
    lines = text.splitlines()[tree.lineno - 1 :]
    found[function.__name__] = "\n".join(re.sub(FOR_OUR_CHECKERS, "", line) for line in lines)


def _free_names(function: ast.FunctionDef) -> set[str]:
    """Return the names that a function reads and does not define; that of `helper` aside."""
    nodes = list(ast.walk(function))
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    read = {node.id for node in nodes if isinstance(node, ast.Name)}
    return read - own - {"helper", "inlined"}
