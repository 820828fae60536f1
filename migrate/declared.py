"""What the description declares of the outputs, against what the layers give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from migrate.examples import runnable
from migrate.features import tensor_outputs

if TYPE_CHECKING:
    from migrate.module import Model


@dataclass(frozen=True)
class Mismatch:
    """An output whose declared shape is not the one that the layers compute."""

    output: str
    declared: tuple[int, ...]
    computed: tuple[int, ...]

    def __str__(self) -> str:
        declared, computed = ("x".join(map(str, s)) for s in (self.declared, self.computed))
        return (
            f"the model declares output '{self.output}' as {declared} while its layers give "
            f"{computed}"
        )


def output_shapes(net: Model) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor output for inputs of their default shapes, by running."""
    inputs = runnable(net)
    with torch.no_grad():
        outputs = net(*inputs.values())
    values = outputs if isinstance(outputs, tuple) else (outputs,)
    names = [feature.name for feature in tensor_outputs(net.network)]
    return {name: tuple(v.shape) for name, v in zip(names, values, strict=True)}


def mismatches(net: Model, shapes: dict[str, tuple[int, ...]]) -> list[Mismatch]:
    """Return the outputs that declare one shape, no flexible one, and have another."""
    return [
        Mismatch(feature.name, feature.shape, shapes[feature.name])
        for feature in net.network.outputs
        if feature.kind == "multiArray"
        and feature.shape
        and not (feature.shapes or feature.bounds)
        and min(feature.shape) > 0
        and feature.shape != shapes[feature.name]
    ]
