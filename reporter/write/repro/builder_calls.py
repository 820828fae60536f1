"""A layer as a line of Python: a NeuralNetworkBuilder call, or its proto text.

A call is used only if executing it rebuilds the layer, field by field, weights aside; so a layer
whose options a call cannot say falls back to the text, which can say everything.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate import coremltools, proto
from reporter.write.repro import array_calls, spatial_calls
from reporter.write.repro.array_calls import joining, of_fields
from reporter.write.repro.layer_text import as_text, is_structure, without_notes, without_weights
from reporter.write.repro.spatial_calls import elementwise, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[Any], str]


def line(layer: Any) -> str:
    """Return the statement that adds `layer` to the builder `b`."""
    call = CALLS.get(layer.WhichOneof("layer"))
    if call is not None and not is_structure(layer):
        try:
            text = call(layer)
        except (IndexError, ValueError):  # a broken layer: too few blobs, too many numbers
            return as_text(layer)
        if _rebuilds(text, layer):
            return text
    return as_text(layer)


CALLS: dict[str, Call] = {
    "activation": spatial_calls.activation,
    "add": elementwise("ADD"),
    "batchnorm": spatial_calls.batchnorm,
    "bias": array_calls.bias,
    "ceil": plain("add_ceil"),
    "clip": of_fields("add_clip", min_value="minVal", max_value="maxVal"),
    "concat": elementwise("CONCAT"),
    "concatND": spatial_calls.concat_nd,
    "convolution": spatial_calls.convolution,
    "copy": plain("add_copy"),
    "expandDims": of_fields("add_expand_dims", axes="axes"),
    "flatten": spatial_calls.flatten,
    "floor": plain("add_floor"),
    "gather": joining("add_gather", axis="axis"),
    "getShape": plain("add_get_shape"),
    "innerProduct": spatial_calls.inner_product,
    "loadConstant": array_calls.constant("add_load_constant"),
    "loadConstantND": array_calls.constant("add_load_constant_nd"),
    "max": elementwise("MAX"),
    "min": elementwise("MIN"),
    "multiply": elementwise("MULTIPLY"),
    "padding": array_calls.padding,
    "permute": of_fields("add_permute", dim="axis"),
    "pooling": spatial_calls.pooling,
    "reshape": of_fields("add_reshape", target_shape="targetShape", mode="mode"),
    "reshapeDynamic": joining("add_reshape_dynamic"),
    "reshapeStatic": of_fields("add_reshape_static", output_shape="targetShape"),
    "scale": array_calls.scale,
    "softmax": plain("add_softmax"),
    "softmaxND": of_fields("add_softmax_nd", axis="axis"),
    "squeeze": array_calls.squeeze,
    "stack": joining("add_stack", axis="axis"),
    "transpose": of_fields("add_transpose", axes="axes"),
    "unary": array_calls.unary,
    "upsample": array_calls.upsample,
    "whereBroadcastable": joining("add_where_broadcastable"),
    **{f"{name}Broadcastable": joining(f"add_{name}_broadcastable")
       for name in ("add", "subtract", "multiply", "divide", "max", "min")},
}  # fmt: skip


UNCOUNTED = ("convolution", "innerProduct")  # the builder does not count their weights


def _rebuilds(text: str, layer: Any) -> bool:
    """Execute a generated call on an empty builder and compare what it added with `layer`."""
    builder = _empty_builder()
    weights = _Blank.of if layer.WhichOneof("layer") in UNCOUNTED else np.zeros
    names = {"b": builder, "u": lambda scale, *shape: weights(shape)}
    try:
        exec(text, names)  # our own text, of literals alone
    except Exception:  # a call that the builder refuses cannot be used
        return False
    added = builder.nn_spec.layers
    if len(added) != 1 or builder.spec.specificationVersion:  # which some methods raise
        return False
    return bool(without_weights(added[0]) == without_notes(without_weights(layer)))


class _Blank(np.ndarray[Any, Any]):
    """Zeros of any shape in the memory of one, which a message is given in the place of all."""

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Any:
        """Return zeros of a shape."""
        return np.broadcast_to(np.zeros(()).view(cls), shape, subok=True)

    def flatten(self, order: Any = "C") -> Any:
        """Return one zero."""
        return np.zeros(1)


def _empty_builder() -> Any:
    spec = proto("Model_pb2").Model()
    spec.neuralNetwork.SetInParent()
    return builder_class()(spec=spec)


@functools.cache
def builder_class() -> Any:
    """Return the NeuralNetworkBuilder, imported quietly."""
    coremltools()
    from coremltools.models.neural_network import NeuralNetworkBuilder

    return NeuralNetworkBuilder
