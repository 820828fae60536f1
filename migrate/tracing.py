"""Tracing and export record a forward pass; what it reads off the data would be frozen in it.

A layer whose course depends on numbers in a blob asks here, so that it is refused in a sentence
and never recorded wrong. Numbers that follow from constants or shapes alone may be recorded.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import _pop_mode_temporarily

from migrate.errors import UnsupportedError
from migrate.helpers import recorder
from migrate.lowering import converting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

SHAPE_OF = ("aten::size", "aten::_shape_as_tensor", "prim::NumToTensor", "prim::TracedAttr")


def is_traced(*values: Any) -> bool:
    """Tell whether a forward pass is being recorded."""
    recorded = any(isinstance(value, torch.fx.Proxy) for value in values)
    tracing = torch._C._get_tracing_state() is not None
    return recorded or tracing or torch.compiler.is_compiling()


def has_values(*values: Any) -> bool:
    """Tell whether a forward pass computes numbers, and is not recorded in any way."""
    return recorder() is None and not is_traced(*values)


@contextmanager
def unseen() -> Iterator[None]:
    """Let what is computed here escape those who watch torch's functions."""
    with ExitStack() as stack:
        for _ in range(torch._C._len_torch_function_stack()):
            stack.enter_context(_pop_mode_temporarily())
        yield


def surely(size: int, value: int) -> bool:
    """Tell whether a size has a value at every size of the input."""
    found = recorder()
    traced = isinstance(size, torch.Tensor) and found is not None and not found.sizes_vary
    sure = found is None or type(size) is int or traced
    return sure and bool(size == value)


def at_most(size: int, bound: float) -> bool:
    """Tell of a recorded module whether a size never exceeds a bound; otherwise nothing is sure."""
    found = recorder()
    if found is None or (found.sizes_vary and type(size) is not int):
        return False
    return int(size) <= bound


def shape_of(x: Tensor) -> Tensor:
    """Return the shape as a tensor, which a trace records as a shape and not as its numbers."""
    if torch._C._get_tracing_state() is not None:
        return torch._shape_as_tensor(x)
    return torch.tensor(x.shape)


def refuse_traced(what: str, *values: Tensor) -> None:
    """Raise UnsupportedError if a pass is recorded and any of the values comes from the data."""
    if is_traced(*values) and any(_from_data(value) for value in values):
        if converting():
            raise UnsupportedError(f"{what} is computed by the model, which MIL does not allow")
        raise UnsupportedError(f"{what} depends on data, so it cannot be traced or exported")


def _from_data(x: Tensor) -> bool:
    if torch._C._get_tracing_state() is None:
        return True
    value = torch._C._get_value_trace(x)  # type: ignore[attr-defined]
    return _reaches_an_input(value.node(), value, set())


def _reaches_an_input(node: Any, value: Any, seen: set[Any]) -> bool:
    """Tell whether a recorded graph, walked upwards, comes to an input not through a shape."""
    if node.kind() == "prim::Param":
        return not isinstance(value.type(), torch._C.ClassType)
    if node.kind() in SHAPE_OF or value in seen:
        return False
    seen.add(value)
    return any(_reaches_an_input(i.node(), i, seen) for i in node.inputs())
