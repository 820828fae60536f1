"""The constants of an ML Program as it is stored: what each operation is given, and in which role.

Weights that are stored compressed count as the constants that they stand for. A package does not
say which layer an operation comes from; the program that the converter left in memory does, by the
names of their results.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from migrate.mil.program import every_operation
from migrate.mil.run import run_block
from migrate.mlprogram import scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

FEW = 16  # values; a constant of no more is no weight unless its role says so
NORMS = {"gamma": "gamma", "beta": "beta", "mean": "mean", "variance": "variance"}
PRODUCT = {"weight": "weight", "bias": "bias"}
OF_RECURRENT = ("weight_ih", "weight_hh", "bias", "peephole")
RECURRENT = {f"{name}{way}": f"{name}{way}" for name in OF_RECURRENT for way in ("", "_back")}
ROLES: dict[str, dict[str, str]] = {
    "add": {"x": "term", "y": "term"},
    "batch_norm": NORMS,
    "conv": PRODUCT,
    "conv_transpose": PRODUCT,
    "gru": RECURRENT,
    "instance_norm": NORMS,
    "layer_norm": NORMS,
    "linear": PRODUCT,
    "lstm": RECURRENT,
    "matmul": {"x": "weight", "y": "weight"},
    "mul": {"x": "factor", "y": "factor"},
    "prelu": {"alpha": "slope"},
    "real_div": {"x": "dividend", "y": "divisor"},
    "rnn": RECURRENT,
    "sub": {"x": "minuend", "y": "subtrahend"},
}
SCALARS_TOO = {*NORMS, *PRODUCT, *RECURRENT}


class Constant(NamedTuple):
    """A constant as one operation is given it."""

    operation: Any
    argument: str
    values: Array
    compressed: bool

    @property
    def role(self) -> str:
        """What the operation does with it; "" for what has no role of its own."""
        return ROLES.get(self.operation.op_type, {}).get(self.argument, "")

    @property
    def counts(self) -> bool:
        """Whether it has to be a weight, or follow from weights."""
        floating = self.values.dtype.kind == "f"
        return floating and (self.values.size > FEW or self.role in SCALARS_TOO)

    def __str__(self) -> str:
        return f"{self.argument} of operation '{self.operation.name}' ({self.operation.op_type})"


def constants(function: Any) -> Iterator[Constant]:
    """Yield the constants that operations are given, and those that blocks give."""
    expanded: dict[Any, Array] = {}
    for user, name, var in _uses(function):
        source = getattr(var, "op", None)
        if source is None or not is_constant(source):
            continue
        compressed = source.op_type != "const"
        if compressed and var not in expanded:
            expanded[var] = _expanded(source)
        values = expanded[var] if compressed else np.asarray(var.val)
        if values.dtype.kind in "fiub":
            yield Constant(user or source, name, values, compressed)


def _uses(block: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yield who uses which value as what; what a block gives has no user."""
    for operation in block.operations:
        for name, given in operation.inputs.items() if not is_constant(operation) else ():
            for var in given if isinstance(given, (list, tuple)) else [given]:
                yield operation, name, var
        for inner in operation.blocks:
            yield from _uses(inner)
    for var in block.outputs:
        yield None, "result", var


def is_constant(operation: Any) -> bool:
    """Tell whether an operation is a constant, compressed or not."""
    return bool(operation.op_type == "const" or operation.op_type.startswith("constexpr_"))


def _expanded(operation: Any) -> Array:
    """Return what a compressed constant stands for."""
    given = [var.op for var in operation.inputs.values() if var is not None]
    block = SimpleNamespace(operations=[*given, operation], outputs=operation.outputs)
    (found,) = run_block(block, {})
    assert isinstance(found, torch.Tensor)
    values: Array = found.numpy()
    return values


def scopes(program: Any) -> dict[str, list[str]]:
    """Return the modules that each result's operation comes from; {} for a package read again."""
    pymil = getattr(program, "_mil_program", None)
    if pymil is None:
        return {}
    return {
        var.name: scope(operation)
        for operation in every_operation(pymil.functions["main"])
        for var in operation.outputs
    }
