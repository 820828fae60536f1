"""Layers that the model's author wrote in Swift or Objective-C, computed by what the user gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.errors import AnereportError, ModelError, UnsupportedError
from migrate.lowering import lowers
from migrate.registry import layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from migrate.network import Layer
    from migrate.registry import Step


@layer("custom", nested=True)
def custom(layer: Layer, make_block: Any, given: dict[str, Callable[..., Any]]) -> Step:
    """Call the user's builder for this className with the layer's CustomLayerParams."""
    name = layer.params.className
    if name not in given:
        raise UnsupportedError(f"{describe(layer)} is not supported; {advice([layer])}")
    try:
        step = given[name](layer.params)
    except AnereportError:
        raise
    except Exception as error:
        raise ModelError(
            f"the builder given for custom layers {name!r} failed: {type(error).__name__}: {error}"
        ) from error
    if isinstance(step, type) or not callable(step):
        raise ModelError(
            f"the builder given for custom layers {name!r} returned {step!r}, "
            "expected a module or a function of tensors"
        )
    return step


def describe(layer: Layer) -> str:
    """Name a custom layer with its class, its parameters and how many weights it stores."""
    p = layer.params
    stored = [f"{key}={_value(p.parameters[key])!r}" for key in sorted(p.parameters)]
    stored += [f"{len(p.weights)} weights"] if p.weights else []
    with_ = f" with {', '.join(stored)}" if stored else ""
    return f"layer {layer.name!r} (custom {p.className!r}{with_})"


def advice(layers: Iterable[Layer]) -> str:
    """Say how to give the builders that these custom layers miss."""
    names = dict.fromkeys(layer.params.className for layer in layers)
    mapping = ", ".join(f"{name!r}: builder" for name in names)
    options = " ".join(f"--custom {name}=package.module:function" for name in names)
    return f"give a function from CustomLayerParams to a module: custom={{{mapping}}}, or {options}"


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


@lowers("group_norm")
def _group_norm_in_mil(
    mb: Any, x: Any, groups: Any, weight: Any, bias: Any, epsilon: Any, *rest: Any
) -> Any:
    """Normalise groups of channels, which custom layers do, at any size; coremltools needs one."""
    batch = mb.slice_by_index(x=mb.shape(x=x), begin=[0], end=[1])
    shape = mb.concat(values=[batch, np.array([groups.val, -1], np.int32)], axis=0)
    rows = mb.reshape(x=x, shape=shape)
    mean = mb.reduce_mean(x=rows, axes=[2], keep_dims=True)
    centred = mb.sub(x=rows, y=mean)
    variance = mb.reduce_mean(x=mb.square(x=centred), axes=[2], keep_dims=True)
    y = mb.mul(x=centred, y=mb.rsqrt(x=variance, epsilon=epsilon.val))
    y = mb.reshape(x=y, shape=mb.shape(x=x))
    along_channels = (-1, *(1,) * (x.rank - 2))
    for values, combine in ((weight, mb.mul), (bias, mb.add)):
        if values is not None:
            y = combine(x=y, y=values.val.reshape(along_channels))
    return y
