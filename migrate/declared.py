"""What the description declares of the outputs, against what the layers give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from migrate.examples import runnable
from migrate.features import tensor_outputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


def corrected(source: Any, found: Sequence[Mismatch]) -> Any:
    """Return a copy of a `Model_pb2.Model` that declares its outputs as they are computed.

    Stages of a pipeline that declare an output by the same name and shape are corrected too.
    """
    spec = type(source)()
    spec.CopyFrom(source)
    for model in _models(spec):
        for feature in model.description.output:
            declared = feature.name, tuple(feature.type.multiArrayType.shape)
            for mismatch in found:
                if declared == (mismatch.output, mismatch.declared):
                    feature.type.multiArrayType.shape[:] = mismatch.computed
    return spec


def differ_otherwise(one: Any, other: Any) -> bool:
    """Tell whether two models differ in more than the shapes that their outputs declare."""
    return _without_shapes(one) != _without_shapes(other)


def _without_shapes(source: Any) -> Any:
    spec = type(source)()
    spec.CopyFrom(source)
    for model in _models(spec):
        for feature in model.description.output:
            if feature.type.WhichOneof("Type") == "multiArrayType":
                feature.type.multiArrayType.ClearField("shape")
    return spec


def _models(spec: Any) -> Iterator[Any]:
    """Yield a model, and of a pipeline its stages."""
    yield spec
    kind = spec.WhichOneof("Type") or ""
    if kind.startswith("pipeline"):
        held = getattr(spec, kind)
        for stage in (held if kind == "pipeline" else held.pipeline).models:
            yield from _models(stage)
