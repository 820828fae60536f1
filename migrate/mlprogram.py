"""A NeuralNetwork as an ML Program: the only caller of `coremltools.convert`.

The torch module is traced at the default shapes and converted; features keep their names, order
and kinds. What Core ML does with the result on Apple hardware is not observed here.
"""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from migrate.coreml import coremltools
from migrate.errors import AnereportError, UnsupportedError
from migrate.features import tensor_outputs
from migrate.module import Custom, Model, to_torch
from migrate.network import Feature, Network, default_shape
from migrate.spec import load_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

PRECISIONS = ("fp16", "fp32")
TARGETS = ("iOS15", "iOS16", "iOS17", "iOS18")


class ConversionError(AnereportError):
    """coremltools could not turn the torch module into an ML Program."""


def to_mlprogram(
    model: Any, precision: str = "fp16", target: str = "iOS16", custom: Custom | None = None
) -> Any:
    """Return the model as a coremltools `MLModel` of type ML Program, converted but not loaded.

    `model` is a path, a `Model_pb2.Model` or an `MLModel`; `precision` is that of the arithmetic,
    "fp16" or "fp32"; `target` the oldest system that is to run it, "iOS15" to "iOS18"; `custom`
    gives builders for custom layers by class name.
    Raises UnsupportedError for layers without a builder, ConversionError where coremltools fails.
    """
    spec = load_spec(model)
    program = convert(to_torch(spec, custom), precision, target)
    _carry_metadata(spec, program)
    return program


def convert(net: Model, precision: str, target: str) -> Any:
    """Return the traced and converted `net`; see `to_mlprogram`."""
    check_options(precision, target)
    ct = coremltools()
    network = net.network
    inputs = [_input_type(ct, feature) for feature in network.inputs]
    outputs = [
        ct.TensorType(name=feature.name, dtype=_dtype(feature))
        for feature in tensor_outputs(network)
    ]
    with _quiet():
        try:
            return ct.convert(
                torch.jit.trace(  # type: ignore[no-untyped-call]
                    net, example_inputs(network), check_trace=False
                ),
                inputs=inputs,
                outputs=outputs,
                convert_to="mlprogram",
                minimum_deployment_target=getattr(ct.target, target),
                compute_precision=_precision(ct, precision),
                skip_model_load=True,
            )
        except AnereportError:
            raise
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConversionError(
                f"coremltools could not convert the torch module to an ML Program: {first}"
            ) from error


def check_options(precision: str, target: str) -> None:
    """Raise UnsupportedError for an option that `to_mlprogram` does not know."""
    if precision not in PRECISIONS:
        raise UnsupportedError(f"precision '{precision}' is not one of {', '.join(PRECISIONS)}")
    if target not in TARGETS:
        raise UnsupportedError(f"target '{target}' is not one of {', '.join(TARGETS)}")


def example_inputs(network: Network) -> tuple[torch.Tensor, ...]:
    """Return zeros of each input's default shape."""
    return tuple(torch.zeros(default_shape(feature)) for feature in network.inputs)


def _input_type(ct: Any, feature: Feature) -> Any:
    if feature.kind == "image":
        layouts = {
            "RGB": ct.colorlayout.RGB,
            "BGR": ct.colorlayout.BGR,
            "GRAYSCALE": ct.colorlayout.GRAYSCALE,
            "GRAYSCALE_FLOAT16": ct.colorlayout.GRAYSCALE_FLOAT16,
        }
        layout = layouts[feature.color]
        return ct.ImageType(name=feature.name, shape=default_shape(feature), color_layout=layout)
    return ct.TensorType(name=feature.name, shape=default_shape(feature), dtype=_dtype(feature))


def _dtype(feature: Feature) -> type:
    """Return the feature's array type; an ML Program has no DOUBLE features, FLOAT32 serves."""
    return np.int32 if feature.dtype == "int32" else np.float32


def _precision(ct: Any, precision: str) -> Any:
    return {"fp16": ct.precision.FLOAT16, "fp32": ct.precision.FLOAT32}[precision]


def _carry_metadata(spec: Any, program: Any) -> None:
    metadata = spec.description.metadata
    program.author = metadata.author
    program.license = metadata.license
    program.short_description = metadata.shortDescription
    program.version = metadata.versionString
    for key, value in metadata.userDefined.items():
        program.user_defined_metadata[key] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep coremltools' progress bars and torch's tracer warnings from the user's terminal."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
