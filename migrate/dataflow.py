"""What a module computes from what: each tensor of a forward pass, and the call that gave it.

    Node     a tensor: the torch function that gave it, with nodes in the place of its tensors
    Flow     the nodes of a pass, in order, and the weights among them

A node keeps its value only if it is a constant, the same for each input of these shapes. How a
constant follows from the weights is computed again in float64 (`exact`). Both ways of a branch and
the body of a loop are run, whatever the input says.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from migrate.block import REFUSALS, Block
from migrate.errors import AnereportError
from migrate.layers.control import Flow as ControlFlow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migrate.module import Model

READS = {"item", "tolist", "numpy", "__int__", "__float__", "__bool__", "__index__"}
RANDOM = ("rand", "normal", "bernoulli", "multinomial", "dropout", "uniform")
WIDER: dict[Any, Any] = {torch.float32: torch.float64, torch.float16: torch.float64}


@dataclass(eq=False)
class Node:
    """A tensor, and the call that gave it; a weight has a name instead, an input neither."""

    layer: str  # path of the child that computes it; "" outside of layers
    weight: str = ""  # path of the parameter or buffer
    function: Any = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    part: int = 0  # which of the call's results
    value: Tensor | None = None  # of a constant
    weights: frozenset[str] = frozenset()  # that it follows from
    _exact: Tensor | None = None

    def __post_init__(self) -> None:
        own = frozenset([self.weight] if self.weight else [])
        self.weights = own.union(*(node.weights for node in self.inputs()))

    @property
    def name(self) -> str:
        """The function's name."""
        return getattr(self.function, "__name__", "")

    def inputs(self) -> list[Node]:
        """Return the nodes that the call was given."""
        return [x for x in pytree.tree_leaves((self.args, self.kwargs)) if isinstance(x, Node)]

    def exact(self) -> Tensor:
        """Return a constant, computed in float64 from the weights as they are stored."""
        assert self.value is not None
        if self.function is None:
            return _double(self.value)
        if self._exact is None:
            try:
                self._exact = self._computed()
            except REFUSALS:  # a function that does not go with float64
                self._exact = _double(self.value)
        return self._exact

    def _computed(self) -> Tensor:
        args, kwargs = pytree.tree_map(_widened, (self.args, self.kwargs))
        if self.function is Tensor.__setitem__:
            target = args[0].clone()
            target[args[1]] = args[2]
            return target
        function = Tensor.double if self.function is Tensor.float else self.function
        found: Tensor = [
            x for x in pytree.tree_leaves(function(*args, **kwargs)) if isinstance(x, Tensor)
        ][self.part]
        return found


def _double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _widened(x: Any) -> Any:
    if isinstance(x, Node):
        return x.exact()
    return WIDER.get(x, x) if isinstance(x, torch.dtype) else x


class Flow(TorchFunctionMode):
    """The nodes of a forward pass."""

    def __init__(self, net: Model) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.numbers: set[str] = set()  # weights that were read as numbers: sizes, indices
        self.captured: list[tuple[str, Node]] = []  # constants that a branch or loop is given
        self._layers = [""]
        self._known: dict[int, tuple[Any, Node]] = {}
        for path, tensor in (*net.named_parameters(), *net.named_buffers()):
            self._note(tensor, Node("", path, value=tensor))

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function, and note what it gives."""
        result = function(*args, **(kwargs or {}))
        given = pytree.tree_map(self._node, (tuple(args), dict(kwargs or {})))
        inputs = [x for x in pytree.tree_leaves(given) if isinstance(x, Node)]
        random = any(word in getattr(function, "__name__", "") for word in RANDOM)
        constant = not random and all(node.value is not None for node in inputs)
        results = [x for x in pytree.tree_leaves(result) if isinstance(x, Tensor)]
        if function is Tensor.__setitem__:
            results = [args[0]]
        elif constant and getattr(function, "__name__", "") in READS:
            self.numbers.update(*(node.weights for node in inputs))
        for part, tensor in enumerate(results):
            node = Node(self._layers[-1], "", function, given[0], given[1], part)
            node.value = tensor if constant else None
            self.nodes.append(node)
            self._note(tensor, node)
        return result

    def _node(self, x: Any) -> Any:
        """Return the node of a tensor, which is an input if it is not known; else what it is."""
        if not isinstance(x, Tensor):
            return x
        reference, node = self._known.get(id(x), (None, None))
        if reference is None or reference() is not x:
            node = Node(self._layers[-1])
            self._note(x, node)
        return node

    def _note(self, tensor: Tensor, node: Node) -> None:
        self._known[id(tensor)] = (weakref.ref(tensor), node)

    def enter(self, path: str, module: Any, inputs: tuple[Any, ...]) -> None:
        """Begin a layer; of control flow, run each block on what the layer is given."""
        self._layers.append(path)
        if not isinstance(module, ControlFlow):
            return
        nodes = [self._node(x) for x in inputs if x is not None]
        self.captured += [(path, node) for node in nodes if node.value is not None]
        given = {n: x for n, x in zip(module.inputs, inputs, strict=True) if x is not None}
        for block in module.children():
            if isinstance(block, Block):
                with suppress(AnereportError, *REFUSALS):
                    block.run(dict(given))

    def leave(self, module: Any, result: Any) -> None:
        """End a layer, which gave nothing if it failed; what control flow gives is no constant."""
        path = self._layers.pop()
        if isinstance(module, ControlFlow):
            for tensor in result or ():
                if tensor is not None:
                    self._note(tensor, Node(path))


def flow(net: Model, run: Callable[[], Any]) -> Flow:
    """Return what the module computes from what, while `run` runs it."""
    found = Flow(net)
    hooks = []
    for path, module in layers(net):
        hooks.append(module.register_forward_pre_hook(_entering(found, path)))
        hooks.append(module.register_forward_hook(_leaving(found), always_call=True))
    try:
        with torch.no_grad(), found:
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _entering(found: Flow, path: str) -> Callable[[Any, Any], None]:
    return lambda module, inputs: found.enter(path, module, inputs)


def _leaving(found: Flow) -> Callable[[Any, Any, Any], None]:
    return lambda module, inputs, result: found.leave(module, result)


def layers(net: Model) -> Iterator[tuple[str, Any]]:
    """Yield what computes a layer, or lets an input in, with its path in the module."""
    for path, module in net.named_modules():
        for child in getattr(module, "layer_names", {}):
            yield joined(path, child), getattr(module, child)
        for i, entrance in enumerate(getattr(module, "entrances", ())):
            yield joined(path, f"entrances.{i}"), entrance


def joined(path: str, child: str) -> str:
    """Return the path of a module's child."""
    return f"{path}.{child}" if path else child
