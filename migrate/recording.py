"""What torch computes, noted down as expressions while it runs on example values.

A `Recorder` sees every torch function, every stock module and every `@helper` that is called while
it is entered. Each result that it hands on is the real one, so ranks and dtypes are facts; where it
came from is kept beside it as a `Node`. The sizes of a blob are `Size`s: numbers that remember
their expression, so that a network keeps working at the other sizes that it allows.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from migrate import helpers, views
from migrate.errors import UnsupportedError
from migrate.nodes import Node, Size

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTS = ("ndim", "dtype", "device", "is_cuda", "requires_grad", "is_nested", "layout")
READING = (
    "__bool__", "__int__", "__float__", "__complex__", "__index__", "__contains__", "__array__",
    "__repr__", "__format__", "item", "tolist", "numpy",
)  # fmt: skip
COUNTING = ("numel", "nelement")  # give a number that follows from the sizes
ASKING = ("dim", "ndimension", "is_floating_point", "is_complex")  # give a fact
# functions that use a constant as float64 in any case
IN_DOUBLE = ("pow", "__rpow__", "local_response_norm", "arange", "linspace", "celu", "norm")
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


class Recorder(TorchFunctionMode):
    """Notes what is called while it is entered with `recording`."""

    def __init__(self, net: nn.Module, sizes_vary: bool, fold: bool) -> None:
        super().__init__()
        self.net, self.sizes_vary, self.fold = net, sizes_vary, fold
        self._known: dict[int, tuple[Tensor, Node]] = {}
        self._views = views.Views()
        self._depth = 0  # of stock modules and helpers, whose insides are not noted
        for path, tensor in (*net.named_parameters(), *net.named_buffers()):
            self._known[id(tensor)] = (tensor, Node("member", path))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Note everything while the context lasts."""
        handles = []
        for path, module in self.net.named_modules():
            if _is_stock(module):
                handles.append(module.register_forward_pre_hook(self._enter_stock))
                leave = self._leave_stock(path)
                handles.append(module.register_forward_hook(leave, with_kwargs=True))
        helpers.activate(self)
        try:
            with self, torch.no_grad():
                yield
        finally:
            helpers.deactivate()
            for handle in handles:
                handle.remove()

    def name(self, value: Tensor, name: str) -> None:
        """Let the tensor be what the variable `name` holds."""
        self._known[id(value)] = (value, Node("variable", name))
        if not self.fold:  # the variable may hold another one later
            self._views.forget(value)

    def copy(self, value: Tensor) -> Tensor:
        """Return the same tensor as another object, which may stand for another variable."""
        self._depth += 1
        try:
            return value.detach()
        finally:
            self._depth -= 1

    def base(self, value: Tensor) -> Node | None:
        """Return the node of the tensor that the value is a view of."""
        first = self._views.first(value)
        return None if first is None else self.node(first)

    def node(self, value: Any) -> Any:
        """Return the node of a value, a container of nodes, or the constant itself."""
        if isinstance(value, Tensor):
            if id(value) not in self._known:
                raise UnsupportedError(
                    "it computes with a tensor that is no parameter or buffer of its module"
                )
            return self._known[id(value)][1]
        if isinstance(value, Size):
            return value.node
        if isinstance(value, nn.Module):
            for path, module in self.net.named_modules():
                if module is value:
                    return Node("member", path)
            raise UnsupportedError("it computes with a module that is none of its own")
        if type(value) in (tuple, list):
            return type(value)(self.node(v) for v in value)
        if isinstance(value, torch.Size):
            return tuple(value)
        if isinstance(value, slice):
            return slice(self.node(value.start), self.node(value.stop), self.node(value.step))
        return value

    def call_helper(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note a helper as one call."""
        if self._depth:
            return function(*args, **kwargs)
        self._depth += 1
        try:
            result = function(*_plain(args), **_plain(kwargs))
        finally:
            self._depth -= 1
        return self._note(Node("call", function, self.node(args), self._kwargs(kwargs)), result)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a torch function, and note it."""
        kwargs = kwargs or {}
        if self._depth:
            return func(*args, **kwargs)
        attribute = getattr(getattr(func, "__self__", None), "__name__", "")
        if func.__name__ == "__get__":
            return self._attribute(attribute, func, args[0])
        if func.__name__ in READING:
            raise UnsupportedError(f"it reads numbers off the data ({func.__name__})")
        if func is Tensor.size:
            dims = [*args[1:], *kwargs.values()]
            return self._shape(args[0])[dims[0]] if dims else self._shape(args[0])
        if func is Tensor.__len__:
            return self._shape(args[0])[0]
        if func.__name__ in ASKING:
            return func(*args)
        result = _run(func, args, kwargs)
        if result is None:
            return None
        if not isinstance(result, (Tensor, tuple, list)) and func.__name__ not in COUNTING:
            raise UnsupportedError(f"it reads numbers off the data ({func.__name__})")
        return self._view(func, args, kwargs, result)

    def _view(self, func: Any, args: Any, kwargs: Any, result: Any) -> Any:
        """Note a torch function; a view as briefly as possible, or not at all if it is none."""
        if isinstance(result, Tensor) and any(result is value for value in args):
            return result  # as .to() does where the dtype is the one wanted
        exact = func.__name__ in IN_DOUBLE or any(map(_is_double, (result, *args)))
        node = Node("call", func, self.node(args), self._kwargs(kwargs), exact=exact)
        if isinstance(result, Tensor):
            short = self._views.see(func, args, kwargs, result)
            if short is not None and self.fold:
                node = self.node(short.first)
                if short.squeezed:
                    dims = short.squeezed if len(short.squeezed) > 1 else short.squeezed[0]
                    node = Node("call", Tensor.squeeze, (node, dims))
                for axis in short.put_in:
                    node = Node("call", Tensor.unsqueeze, (node, axis))
                if not (short.squeezed or short.put_in):
                    return short.first
        return self._note(node, result)

    def _attribute(self, name: str, func: Any, x: Tensor) -> Any:
        if name == "shape":
            return self._shape(x)
        result = func(x)
        if isinstance(result, Tensor):
            return self._note(Node("attribute", name, (self.node(x),)), result)
        if name in FACTS:
            return result
        raise UnsupportedError(f"it reads {name} of a tensor")

    def _shape(self, x: Tensor) -> tuple[int, ...]:
        """Return the sizes: numbers where they cannot vary, else `Size`s."""
        shape = Tensor.shape.__get__(x)  # type: ignore[attr-defined]
        node = self.node(x)
        if node.kind == "member":
            return shape
        ones = self._views.ones(x)
        whole = self._note(Node("attribute", "shape", (node,)), tuple(shape))
        return tuple(1 if axis in ones else size for axis, size in enumerate(whole))

    def _kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {key: self.node(value) for key, value in kwargs.items()}

    def _note(self, node: Node, result: Any) -> Any:
        """Keep where a result came from; the parts of a tuple are items of it."""
        if isinstance(result, Tensor):
            self._known[id(result)] = (result, node)
            return result
        if isinstance(result, (tuple, list)):
            node.parts = tuple(Node("item", i, (node,)) for i in range(len(result)))
            parts = tuple(map(self._note, node.parts, result))
            named = type(result).__module__ == "torch.return_types"
            return type(result)(parts) if named else parts
        if isinstance(result, int) and not isinstance(result, bool):
            return Size.of(result, node)
        return result

    def _enter_stock(self, module: nn.Module, args: Any) -> None:
        self._depth += 1

    def _leave_stock(self, path: str) -> Any:
        def leave(module: nn.Module, args: Any, kwargs: Any, result: Any) -> Any:
            self._depth -= 1
            if self._depth:
                return None
            node = Node("call", Node("member", path), self.node(args), self._kwargs(kwargs))
            return self._note(node, result)

        return leave


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run a torch function; one that changes a tensor in place is refused."""
    tensors = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
    before = [tensor._version for tensor in tensors]
    try:
        result = func(*_plain(args), **_plain(kwargs))
    except RuntimeError:
        result = _stand_in(func, *args)
        if result is None:
            raise
    if [tensor._version for tensor in tensors] != before:
        raise UnsupportedError(f"it changes a tensor in place ({func.__name__})")
    return result


def _is_double(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.float64


def _stand_in(func: Any, x: Any = None, size: Any = None, *_: Any) -> Tensor | None:
    """Return a tensor of the right rank where a size computed from the example does not fit it."""
    if not isinstance(size, tuple) or not any(isinstance(n, Tensor) for n in size):
        return None
    if func is Tensor.expand:
        return x.expand((1,) * (len(size) - x.dim()) + tuple(x.shape))
    return x.reshape((1,) * (len(size) - 1) + (-1,)) if func is Tensor.reshape else None


def _is_stock(module: nn.Module) -> bool:
    """Tell whether torch has the module's class, and it computes something."""
    kind = type(module)
    return getattr(nn, kind.__name__, None) is kind and not isinstance(module, CONTAINERS)


def _plain(value: Any) -> Any:
    """Return the value with plain numbers for sizes."""
    if isinstance(value, Size):
        return int(value)
    if type(value) in (tuple, list):
        return type(value)(_plain(v) for v in value)
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, slice):
        return slice(_plain(value.start), _plain(value.stop), _plain(value.step))
    return value
