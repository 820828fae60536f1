"""What a recorded value comes from: expressions, and numbers that remember theirs."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from migrate.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(eq=False)
class Node:
    """An expression. `kind` says how to read `target`.

    variable   a name that the program assigned         member   a module or tensor, by its path
    call       a function, of args and kwargs           item     an index into args[0]
    attribute  a name of args[0]
    """

    kind: str
    target: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    parts: tuple[Node, ...] = ()  # its items, where it gives a tuple
    exact: bool = False  # whether all digits of its float constants count


class Size(int):
    """A number that is not the same for all inputs, and the expression that gives it."""

    node: Node

    @classmethod
    def of(cls, value: int, node: Node) -> Size:
        """Return the number with its expression."""
        size = cls(value)
        size.node = node
        return size

    def _refuse(self, *_: Any) -> Any:
        raise UnsupportedError(
            "its course depends on a size, which model.py cannot follow; "
            "int(size) takes the size as it is in the example"
        )

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __float__ = __round__ = _refuse
    __divmod__ = __rdivmod__ = __abs__ = __invert__ = _refuse
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _refuse
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = _refuse
    __hash__ = int.__hash__

    def __int__(self) -> int:
        """Return the plain number of the example."""
        return int.__add__(self, 0)


def _arithmetic(function: Callable[..., int], neutral: int | None, swapped: bool) -> Any:
    def compute(self: Size, *others: Any) -> Any:
        if any(isinstance(other, float) for other in others):
            self._refuse()
        if any(not isinstance(other, int) for other in others):
            return NotImplemented
        if others and not isinstance(others[0], Size) and others[0] == neutral:
            return self
        args = (*others, self) if swapped else (self, *others)
        nodes = tuple(n.node if isinstance(n, Size) else n for n in args)
        return Size.of(function(*map(int, args)), Node("call", function, nodes))

    return compute


for _name, _neutral in {"add": 0, "sub": 0, "mul": 1, "floordiv": 1, "mod": None}.items():
    _function = getattr(operator, _name)
    setattr(Size, f"__{_name}__", _arithmetic(_function, _neutral, swapped=False))
    _reflected = _neutral if _name in ("add", "mul") else None
    setattr(Size, f"__r{_name}__", _arithmetic(_function, _reflected, swapped=True))
setattr(Size, "__neg__", _arithmetic(operator.neg, None, swapped=False))  # noqa: B010
setattr(Size, "__pos__", lambda self: self)  # noqa: B010
