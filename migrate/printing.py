"""Nodes as Python text: expressions, literals, and the constructors of stock modules."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import resolve_name

from migrate.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ATOM, POWER, UNARY, PRODUCT, SUM, BAND, COMPARED = 9, 8, 7, 6, 5, 4, 3  # how tightly it binds

INFIX: dict[str, tuple[str, int, bool]] = {  # sign, strength, whether the operands are swapped
    "add": ("+", SUM, False),
    "sub": ("-", SUM, False),
    "mul": ("*", PRODUCT, False),
    "div": ("/", PRODUCT, False),
    "floordiv": ("//", PRODUCT, False),
    "mod": ("%", PRODUCT, False),
    "pow": ("**", POWER, False),
    "__rsub__": ("-", SUM, True),
    "__rdiv__": ("/", PRODUCT, True),
    "__floordiv__": ("//", PRODUCT, False),
    "__rfloordiv__": ("//", PRODUCT, True),
    "__rpow__": ("**", POWER, True),
    "__and__": ("&", BAND, False),
    "eq": ("==", COMPARED, False),
    "ne": ("!=", COMPARED, False),
    "lt": ("<", COMPARED, False),
    "le": ("<=", COMPARED, False),
    "gt": (">", COMPARED, False),
    "ge": (">=", COMPARED, False),
}
VARIABLE, MEMBER = "\0", "\1"  # stand around what gets its name in the end
PIECE = 40  # characters of a string that stand on one line
PREFIX = {"neg": "-", "__invert__": "~"}
SHORT = {"torch.functional.": "torch.", "torch.nn.functional.": "F."}  # as people write them


class Printer:
    """Prints nodes, and takes note of what their text needs."""

    def __init__(self, exact: bool = False) -> None:
        self.temporaries: dict[Node, str] = {}
        self.imports: set[str] = set()
        self.helpers: dict[str, Any] = {}
        self.reads: set[str] = set()  # the variables
        self._exact = exact  # whether constants are printed with all their digits

    def text(self, value: Any, strength: int = 0) -> str:
        """Return a node or constant as an expression, in parentheses if it binds less tightly."""
        if isinstance(value, Node) and value in self.temporaries:
            return self._variable(self.temporaries[value])
        text, own = self.defining(value) if isinstance(value, Node) else self._constant(value)
        return f"({text})" if own < strength else text

    def defining(self, node: Node) -> tuple[str, int]:
        """Return the node's own text, even if it has a name, and how tightly it binds."""
        if node.kind == "variable":
            return self._variable(node.target), ATOM
        if node.kind == "member":
            return f"self.{MEMBER}{node.target}{MEMBER}", ATOM
        if node.kind == "attribute":
            return f"{self.text(node.args[0], ATOM)}.{node.target}", ATOM
        if node.kind == "item":
            return f"{self.text(node.args[0], ATOM)}[{node.target}]", ATOM
        outer, self._exact = self._exact, node.exact
        text = self._call(node)
        self._exact = outer
        return text

    def _variable(self, name: str) -> str:
        self.reads.add(name)
        return f"{VARIABLE}{name}{VARIABLE}"

    def _call(self, node: Node) -> tuple[str, int]:
        func, args = node.target, node.args
        if isinstance(func, Node):
            return f"{self.text(func)}({self._arguments(args, node.kwargs)})", ATOM
        infix = _infix(func)
        if infix and infix in PREFIX and len(args) == 1:
            return f"{PREFIX[infix]}{self.text(args[0], UNARY)}", UNARY
        if infix in INFIX and len(args) == 2 and not node.kwargs:
            return self._operation(*INFIX[infix], *args)
        if func is Tensor.__getitem__:
            return f"{self.text(args[0], ATOM)}[{self._index(args[1])}]", ATOM
        kwargs = _needed(func, node.kwargs)
        if _is_method(func):
            rest = self._arguments(args[1:], kwargs)
            return f"{self.text(args[0], ATOM)}.{func.__name__}({rest})", ATOM
        called = self.function(func)
        given = _without_defaults(func, args) if called in self.helpers else args
        return f"{called}({self._arguments(given, kwargs)})", ATOM

    def _operation(
        self, sign: str, strength: int, swapped: bool, a: Any, b: Any
    ) -> tuple[str, int]:
        a, b = (b, a) if swapped else (a, b)
        left, right = (strength, strength + 1) if sign != "**" else (ATOM, UNARY)
        left += strength == COMPARED
        return f"{self.text(a, left)} {sign} {self.text(b, right)}", strength

    def function(self, func: Any) -> str:
        """Return how the text calls a function."""
        if isinstance(func, functools.partial):
            self.imports.add("partial")
            bound = self._arguments((func.func, *func.args), func.keywords)
            return f"partial({bound})"
        if (getattr(func, "__module__", "") or "").startswith("migrate."):
            self.helpers[func.__name__] = func
            return func.__name__
        name = resolve_name(func) or f"torch.{func.__name__}"
        for long, short in SHORT.items():
            if name.startswith(long):
                name = short + name.removeprefix(long)
        self.imports.add(name.partition(".")[0])
        return name

    def _arguments(self, args: Any, kwargs: Mapping[str, Any]) -> str:
        texts = [self.text(value) for value in args]
        return ", ".join([*texts, *(f"{key}={self.text(v)}" for key, v in kwargs.items())])

    def _index(self, index: Any) -> str:
        if not isinstance(index, tuple):
            return self._selector(index)
        whole = list(runs(index))
        if len(whole) == 1 and is_slice(whole[0]):
            return self._sequence(index)
        return ", ".join(self._selector(part) for part in index) or "()"

    def _selector(self, part: Any) -> str:
        if not isinstance(part, slice):
            return self.text(part)
        ends = (part.start, part.stop, part.step)
        start, stop, step = ("" if v is None else self.text(v) for v in ends)
        return f"{start}:{stop}" + (f":{step}" if step not in ("", "1") else "")

    def _constant(self, value: Any) -> tuple[str, int]:
        if isinstance(value, (tuple, list)):
            return self._sequence(value), ATOM
        if value is Ellipsis:
            return "...", ATOM
        if value is None or isinstance(value, (bool, str)):
            return repr(value), ATOM
        if isinstance(value, (int, float, np.floating, np.integer)):
            text = number(value, self._exact)
            return text, UNARY if text.startswith("-") else ATOM
        if isinstance(value, torch.dtype):
            self.imports.add("torch")
            return str(value), ATOM
        if isinstance(value, torch.device):
            return repr(str(value)), ATOM
        if callable(value):
            return self.function(value), ATOM
        raise TypeError(f"no literal for {type(value).__name__}")

    def _sequence(self, values: Sequence[Any]) -> str:
        parts = self._elements(values)
        if len(parts) == 1 and parts[0].startswith("*"):
            return parts[0].removeprefix("*")
        if isinstance(values, list):
            return f"[{', '.join(parts)}]"
        return f"({', '.join(parts)},)" if len(parts) == 1 else f"({', '.join(parts)})"

    def _elements(self, values: Sequence[Any]) -> list[str]:
        """Print the values of a sequence; a run of items of one thing becomes a slice of it."""
        parts = []
        for run in runs(values):
            if not is_slice(run):
                parts.append(self.text(run[0]))
                continue
            source = run[0].args[0]
            first, last = run[0].target, run[-1].target + 1
            ends = (str(first) if first else "", str(last) if last < len(source.parts) else "")
            text = self.text(source, ATOM)
            parts.append(f"*{text}[{ends[0]}:{ends[1]}]" if any(ends) else f"*{text}")
        return parts


def number(value: Any, exact: bool = False) -> str:
    """Return a number's shortest text; of one that fits float32, its shortest as a float32.

    torch rounds a number to the tensor's float32 before it computes, so both are the same there;
    `exact` is for where it does not.
    """
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    plain = float(value)
    if plain != plain or abs(plain) == float("inf"):
        return f'float("{plain}")'
    with np.errstate(over="ignore"):
        single = np.float32(plain)
    short = float(str(single))
    return repr(plain if exact or float(single) != plain else short)


def string(value: str) -> str:
    """Return a string as Python; a long one in pieces that stand on lines of their own."""
    if len(value) <= PIECE:
        return repr(value)
    pieces = [value[i : i + PIECE] for i in range(0, len(value), PIECE)]
    return "(" + " ".join(map(repr, pieces)) + ")"


def runs(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield the values, successive items of one tuple together, in order."""
    start = 0
    for i in range(1, len(values) + 1):
        if i == len(values) or not _follows(values[i - 1], values[i]):
            yield values[start:i]
            start = i


def is_slice(run: Sequence[Any]) -> bool:
    """Tell whether a run is printed as a slice: if it is several items, or all that there are."""
    return len(run) > 1 or (
        isinstance(run[0], Node) and run[0].kind == "item" and len(run[0].args[0].parts) == 1
    )


def _follows(a: Any, b: Any) -> bool:
    items = all(isinstance(v, Node) and v.kind == "item" for v in (a, b))
    return items and a.args[0] is b.args[0] and a.target + 1 == b.target


def _infix(func: Any) -> str:
    """Return the name of an operator, "" of any other function."""
    name = getattr(func, "__name__", "")
    return name if getattr(func, "__module__", "") == "_operator" or _is_method(func) else ""


def _is_method(func: Any) -> bool:
    return (resolve_name(func) or "").startswith("torch.Tensor.")


def _needed(func: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords that differ from the function's defaults."""
    function = getattr(F, f"_{func.__name__}", func)  # what F.max_pool2d and the like call
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return dict(kwargs)
    defaults = {name: p.default for name, p in parameters.items()}
    return {k: v for k, v in kwargs.items() if k not in defaults or not _same(defaults[k], v)}


def _without_defaults(func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments without the last ones that are the function's defaults."""
    defaults = [p.default for p in inspect.signature(func).parameters.values()]
    while args and len(args) <= len(defaults) and _same(defaults[len(args) - 1], args[-1]):
        args = args[:-1]
    return args


def _same(default: Any, value: Any) -> bool:
    return type(default) is type(value) and bool(default == value)
