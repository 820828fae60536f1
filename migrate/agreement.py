"""Whether a layer of an ML Program gives what it gives in the module, in whatever order.

It is asked of the layers behind one that has no operations: if they give the same, nothing is lost.
The tolerances are wide, since what is asked is whether a layer was left out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call

from migrate import features
from migrate.dataflow import layers
from migrate.interface import program_names
from migrate.layer_map import END
from migrate.mil.run import run_block, torch_dtype
from migrate.rounding import rounded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migrate.block import Watch
    from migrate.layer_map import Carried
    from migrate.module import Model

OFF = {"fp32": 1e-3, "fp16": 0.04}  # of the root mean square
LEAST = 1e-6


class Agreement:
    """What layers give in the module and in a program, for one set of inputs."""

    def __init__(
        self, net: Model, function: Any, carriers: Carried, inputs: dict[str, Any], precision: str
    ) -> None:
        self.function, self.carriers = function, carriers
        self.off = OFF[precision]
        given = [features.to_tensor(f, inputs, torch.float32) for f in net.network.inputs]
        self.exact = _of_module(net, given, _unchanged)
        self.expected = _of_module(net, given, _half) if precision == "fp16" else self.exact
        names = program_names(net.network).inputs
        values: dict[Any, Any] = {}
        for feature, x in zip(net.network.inputs, given, strict=True):
            var = function.inputs[names[feature.name]]
            values[var] = x.to(torch_dtype(var))
        with torch.no_grad():
            results = run_block(function, values)
        self.values = values
        self.results = [x for x in results if isinstance(x, Tensor)]
        self.by_name = {op.name: op for op in function.operations}

    def __call__(self, path: str) -> bool:
        """Tell whether a layer gives the same on both sides, or nothing can be said."""
        pairs = list(zip(self.expected[path], self.exact[path], strict=True))
        if any(self._off(x, y) > self.off / 4 for x, y in pairs):
            return True  # rounding alone is as far off
        if path == END:
            return all(any(self._same(x, y) for y in self.results) for x, _ in pairs)
        found = [
            self.values[var]
            for name, _ in self.carriers.operations[path]
            if name in self.by_name
            for var in self.by_name[name].outputs
            if isinstance(self.values.get(var), Tensor)
        ]
        return any(self._same(x, y) for x, _ in pairs[:1] for y in found)

    def _same(self, expected: Tensor, found: Tensor) -> bool:
        """Tell whether values are the same, in order, or if their shape is another in any order."""
        if expected.numel() != found.numel():
            return False
        if self._off(found, expected) <= self.off:
            return True
        a, b = ([n for n in x.shape if n != 1] for x in (expected, found))
        ordered = (x.flatten().sort()[0] for x in (found, expected))
        return a != b and self._off(*ordered) <= self.off

    def _off(self, found: Tensor, expected: Tensor) -> float:
        a, b = found.flatten().double(), expected.flatten().double()
        if not (a.isfinite().all() and b.isfinite().all()):
            return math.inf
        if not a.numel():
            return 0.0
        return float((a - b).square().mean().sqrt()) / (float(b.square().mean().sqrt()) + LEAST)


def _of_module(net: Model, given: Iterable[Tensor], watch: Watch) -> dict[str, list[Tensor]]:
    """Return what each layer of the module gives, and the model itself."""
    found: dict[str, list[Tensor]] = {}
    hooks = [module.register_forward_hook(_keeping(found, path)) for path, module in layers(net)]
    stored = {
        name: watch(name, x.detach()) for name, x in (*net.named_parameters(), *net.named_buffers())
    }
    try:
        with torch.no_grad(), net.watching(watch):
            results = functional_call(net, stored, tuple(given))
    finally:
        for hook in hooks:
            hook.remove()
    found[END] = list(results) if isinstance(results, tuple) else [results]
    return found


def _unchanged(_: str, x: Tensor) -> Tensor:
    return x


def _half(_: str, x: Tensor) -> Tensor:
    return rounded(x)


def _keeping(found: dict[str, list[Tensor]], path: str) -> Any:
    def keep(module: Any, inputs: Any, result: Any) -> None:
        results = result if isinstance(result, tuple) else (result,)
        found[path] = [x for x in results if isinstance(x, Tensor)]

    return keep
