from __future__ import annotations

import ast
import hashlib

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.coreml import coremltools, proto
from reporter.write.repro import builder_calls, building, layer_text

coremltools()
from coremltools.models import datatypes  # noqa: E402  after the quiet import
from coremltools.models.neural_network import NeuralNetworkBuilder  # noqa: E402


def builder():
    array = datatypes.Array(4, 8, 8)
    return NeuralNetworkBuilder(
        [("x", array), ("y", array)], [("z", None)], disable_rank5_shape_mapping=True
    )


def rebuilt(text):
    """Execute a line as repro.py does: with its own u and add, on an empty network."""
    spec = proto("Model_pb2").Model()
    spec.neuralNetwork.SetInParent()
    b = NeuralNetworkBuilder(spec=spec)
    names = {"b": b, "np": np, "hashlib": hashlib, "text_format": text_format}
    exec(f"{building.DRAW.format(seed=1)}\n{building.ADD}\n{text}", names)
    (layer,) = b.nn_spec.layers
    return layer


def shape_of(layer):
    """Return a layer without weights and ranks, written out here: by field, not by type."""
    copy = type(layer)()
    copy.CopyFrom(layer)
    del copy.inputTensor[:], copy.outputTensor[:]
    params = getattr(copy, copy.WhichOneof("layer"))
    fields = ("weights", "bias", "gamma", "beta", "mean", "variance", "alpha", "data", "scale")
    for field in fields:
        if field in params.DESCRIPTOR.fields_by_name:
            found = getattr(params, field)
            if hasattr(found, "floatValue"):
                found.Clear()
    if copy.WhichOneof("layer") == "activation":
        copy.activation.PReLU.alpha.Clear() if copy.activation.HasField("PReLU") else None
    return copy


def weights(shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def convolution(network, **options):
    given = {
        "name": "t", "kernel_channels": 4, "output_channels": 6, "height": 3, "width": 2,
        "stride_height": 1, "stride_width": 1, "border_mode": "valid", "groups": 1,
        "b": None, "has_bias": False, "input_name": "x", "output_name": "z", **options,
    }  # fmt: skip
    outputs = given["output_channels"]
    if given.get("is_deconv"):
        outputs //= given["groups"]
    shape = (given["height"], given["width"], given["kernel_channels"], outputs)
    network.add_convolution(W=weights(shape), **given)


def activation(kind, params=None):
    return lambda b: b.add_activation("t", kind, "x", "z", params)


SAID = {
    "convolution": convolution,
    "bias": lambda b: convolution(b, b=np.ones(6, np.float32), has_bias=True),
    "strides": lambda b: convolution(b, stride_height=2, stride_width=3),
    "groups": lambda b: convolution(b, groups=2, kernel_channels=2),
    "dilation": lambda b: convolution(b, dilation_factors=[2, 3]),
    "same": lambda b: convolution(b, border_mode="same"),
    "top left heavy": lambda b: convolution(
        b, border_mode="same", same_padding_asymmetry_mode="TOP_LEFT_HEAVY"
    ),
    "padding": lambda b: convolution(
        b, padding_top=1, padding_bottom=2, padding_left=3, padding_right=4
    ),
    "deconvolution": lambda b: convolution(b, is_deconv=True),
    "deconvolution, groups": lambda b: convolution(b, is_deconv=True, groups=2),
    "deconvolution, shape": lambda b: convolution(b, is_deconv=True, output_shape=(9, 10)),
    "inner product": lambda b: b.add_inner_product(
        "t", weights((5, 4)), weights((5,)), 4, 5, True, "x", "z"
    ),
    "inner product, no bias": lambda b: b.add_inner_product(
        "t", weights((5, 4)), None, 4, 5, False, "x", "z"
    ),
    "batchnorm": lambda b: b.add_batchnorm("t", 4, *[weights((4,))] * 4, "x", "z", epsilon=0.001),
    "max pooling": lambda b: b.add_pooling("t", 2, 3, 2, 1, "MAX", "VALID", "x", "z"),
    "average pooling": lambda b: b.add_pooling(
        "t", 2, 2, 2, 2, "AVERAGE", "SAME", "x", "z", exclude_pad_area=False
    ),
    "L2, last pixel": lambda b: b.add_pooling(
        "t",
        3,
        3,
        2,
        2,
        "L2",
        "INCLUDE_LAST_PIXEL",
        "x",
        "z",
        padding_top=1,
        padding_bottom=1,
        padding_left=2,
        padding_right=2,
    ),
    "global pooling": lambda b: b.add_pooling(
        "t", 1, 1, 1, 1, "AVERAGE", "VALID", "x", "z", is_global=True
    ),
    "concat": lambda b: b.add_elementwise("t", ["x", "y"], "z", "CONCAT"),
    "concatND": lambda b: b.add_concat_nd("t", ["x", "y"], "z", axis=-3),
    "add": lambda b: b.add_elementwise("t", ["x", "y"], "z", "ADD"),
    "add a number": lambda b: b.add_elementwise("t", "x", "z", "ADD", alpha=1.5),
    "multiply": lambda b: b.add_elementwise("t", ["x", "y"], "z", "MULTIPLY"),
    "multiply by 0.1": lambda b: b.add_elementwise("t", "x", "z", "MULTIPLY", alpha=0.1),
    "softmax": lambda b: b.add_softmax("t", "x", "z"),
    "copy": lambda b: b.add_copy("t", "x", "z"),
    "flatten, channel last": lambda b: b.add_flatten("t", 1, "x", "z"),
    "flatten": lambda b: b.add_flatten("t", 0, "x", "z"),
    "relu": activation("RELU"),
    "leaky": activation("LEAKYRELU", [0.1]),
    "tanh": activation("TANH"),
    "sigmoid": activation("SIGMOID"),
    "scaled tanh": activation("SCALED_TANH", [0.3, 1.7]),
    "linear": activation("LINEAR", [0.3, -1e-8]),
    "hard sigmoid": activation("SIGMOID_HARD", [0.2, 0.5]),
    "elu": activation("ELU", 0.7),
    "thresholded": activation("THRESHOLDEDRELU", 0.7),
    "softsign": activation("SOFTSIGN"),
    "softplus": activation("SOFTPLUS"),
    "bias layer": lambda b: b.add_bias("t", weights((4,)), "x", "z", [4]),
    "bias of an area": lambda b: b.add_bias("t", weights((4, 2, 3)), "x", "z", [4, 2, 3]),
    "scale": lambda b: b.add_scale("t", weights((4,)), None, False, "x", "z", [4]),
    "scale, bias": lambda b: b.add_scale(
        "t", weights((4,)), weights((1, 2, 3)), True, "x", "z", [4], [1, 2, 3]
    ),
    "constant": lambda b: b.add_load_constant("t", "z", weights((3, 5, 7)), [3, 5, 7]),
    "constantND": lambda b: b.add_load_constant_nd("t", "z", weights((70, 2)), [70, 2]),
    "ceil": lambda b: b.add_ceil("t", "x", "z"),
    "floor": lambda b: b.add_floor("t", "x", "z"),
    "clip": lambda b: b.add_clip("t", "x", "z", -0.1, 6.0),
    "expandDims": lambda b: b.add_expand_dims("t", "x", "z", [0, -1]),
    "squeeze": lambda b: b.add_squeeze("t", "x", "z", [1, -1]),
    "squeeze all": lambda b: b.add_squeeze("t", "x", "z", squeeze_all=True),
    "transpose": lambda b: b.add_transpose("t", [0, 2, 1], "x", "z"),
    "permute": lambda b: b.add_permute("t", (0, 3, 1, 2), "x", "z"),
    "reshape": lambda b: b.add_reshape("t", "x", "z", (1, 4, 2, 2), 1),
    "reshapeStatic": lambda b: b.add_reshape_static("t", "x", "z", [2, -1]),
    "reshapeDynamic": lambda b: b.add_reshape_dynamic("t", ["x", "y"], "z"),
    "getShape": lambda b: b.add_get_shape("t", "x", "z"),
    "gather": lambda b: b.add_gather("t", ["x", "y"], "z", axis=-2),
    "stack": lambda b: b.add_stack("t", ["x", "y"], "z", axis=-1),
    "softmaxND": lambda b: b.add_softmax_nd("t", "x", "z", axis=-2),
    "where": lambda b: b.add_where_broadcastable("t", ["x", "y", "x"], "z"),
    "max of two": lambda b: b.add_elementwise("t", ["x", "y"], "z", "MAX"),
    "min of two": lambda b: b.add_elementwise("t", ["x", "y"], "z", "MIN"),
    "upsample": lambda b: b.add_upsample("t", 2, 3, "x", "z"),
    "upsample, bilinear": lambda b: b.add_upsample("t", 3, 2, "x", "z", "BILINEAR"),
    "a padding layer": lambda b: b.add_padding("t", 1, 2, 3, 4, -0.1, "x", "z"),
    "reflected": lambda b: b.add_padding("t", 1, 2, 3, 4, 0, "x", "z", "reflection"),
    "replicated": lambda b: b.add_padding("t", 4, 3, 2, 1, 0, "x", "z", "replication"),
    "threshold": lambda b: b.add_unary("t", "x", "z", "threshold", 0.1, 0.3, 1.7, 1e-5),
    **{
        kind: lambda b, kind=kind: b.add_unary("t", "x", "z", kind)
        for kind in ("sqrt", "rsqrt", "inverse", "power", "exp", "log", "abs")
    },
    **{
        f"{kind} of two": lambda b, kind=kind: getattr(b, f"add_{kind}_broadcastable")(
            "t", ["x", "y"], "z"
        )
        for kind in ("add", "subtract", "multiply", "divide", "max", "min")
    },
}
AS_TEXT = {
    "interleave, which raises the specification version": lambda b: b.add_concat_nd(
        "t", ["x", "y"], "z", axis=-3, interleave=True
    ),
    "prelu": activation("PRELU", weights((4,))),
    "parametric softplus": activation("PARAMETRICSOFTPLUS", [weights((4,)), weights((4,))]),
    "lrn": lambda b: b.add_lrn("t", "x", "z", 0.5, 0.75, 5, 1.25),
    "l2 normalize": lambda b: b.add_l2_normalize("t", "x", "z", 0.01),
    "upsample by halves": lambda b: b.add_upsample(
        "t", 1.5, 2.5, "x", "z", "BILINEAR", "ALIGN_CORNERS_TRUE"
    ),
    "a small constant": lambda b: b.add_load_constant_nd("t", "z", weights((2, 2)), [2, 2]),
}


def made(build):
    b = builder()
    build(b)
    (layer,) = b.nn_spec.layers
    return layer


@pytest.mark.parametrize("build", SAID.values(), ids=SAID)
def test_a_call_rebuilds_the_layer(build):
    layer = made(build)
    line = builder_calls.line(layer)
    assert line.startswith("b.add_")
    again = rebuilt(line)
    assert shape_of(again) == shape_of(layer)
    assert layer_text.weight_paths(again) == layer_text.weight_paths(layer)


@pytest.mark.parametrize("build", AS_TEXT.values(), ids=AS_TEXT)
def test_what_no_call_says_is_proto_text(build):
    layer = made(build)
    line = builder_calls.line(layer)
    assert line.startswith("add(")
    again = rebuilt(line)
    assert layer_text.without_weights(again) == layer_text.without_weights(layer)
    assert layer_text.weight_paths(again) == layer_text.weight_paths(layer)


def unusual(change):
    def build(b):
        convolution(b)
        change(b.nn_spec.layers[0])

    return build


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.convolution.ClearField("kernelSize"),
        lambda layer: layer.convolution.ClearField("dilationFactor"),
        lambda layer: layer.convolution.outputShape.extend([5, 5]),
        lambda layer: layer.convolution.ClearField("valid"),
        lambda layer: layer.output.append("another"),
        lambda layer: layer.input.append("another"),
        lambda layer: setattr(layer, "isUpdatable", True),
        lambda layer: setattr(layer.convolution, "nGroups", 0),
    ],
)
def test_an_option_that_the_call_cannot_say_is_not_lost(change):
    layer = made(unusual(change))
    again = rebuilt(builder_calls.line(layer))
    assert shape_of(again) == shape_of(layer)


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.ClearField("input"),
        lambda layer: layer.ClearField("output"),
        lambda layer: layer.convolution.kernelSize.append(3),
        lambda layer: layer.convolution.stride.append(3),
        lambda layer: setattr(layer.pooling, "type", 7),
    ],
)
def test_a_broken_layer_is_still_written_down(change):
    layer = made(unusual(change))
    line = builder_calls.line(layer)
    assert line.startswith("add(")
    assert shape_of(rebuilt(line)) == shape_of(layer)


def test_quantised_weights_become_as_many_drawn_ones():
    layer = made(SAID["inner product"])
    params = layer.innerProduct.weights
    params.ClearField("floatValue")
    params.rawValue = bytes(20)
    params.quantization.numberOfBits = 8
    params.quantization.linearQuantization.scale.append(0.1)
    again = rebuilt(builder_calls.line(layer))
    assert len(again.innerProduct.weights.floatValue) == 20


def test_variances_are_drawn_positive():
    found = rebuilt(builder_calls.line(made(SAID["batchnorm"]))).batchnorm
    assert min(found.variance.floatValue) > 0
    assert min(found.gamma.floatValue) > 0
    layer = made(SAID["batchnorm"])
    as_text = rebuilt(layer_text.as_text(layer)).batchnorm
    assert min(as_text.variance.floatValue) > 0


def test_a_small_constant_stays_as_it_is():
    layer = made(lambda b: b.add_load_constant_nd("t", "z", weights((2, 2)), [2, 2]))
    again = rebuilt(builder_calls.line(layer))
    assert list(again.loadConstantND.data.floatValue) == [0, 1, 2, 3]
    assert layer_text.without_weights(again) == layer_text.without_weights(layer)


names = st.one_of(
    st.text(min_size=1, max_size=30),
    st.text(alphabet="`'\"\\\n\r\t{}%# ,[]é\u202e\U0001f600ab", min_size=1, max_size=30),
    st.sampled_from(["```", "a, b", "'''\"\"\"", "\\", "\\x60", "{seed}", "\n```\n# x"]),
)


@pytest.mark.parametrize("kind", ["relu", "concatND", "convolution", "prelu", "inner product"])
@settings(max_examples=25, deadline=None)
@given(name=names, blob=names)
def test_any_name_survives_and_cannot_end_a_fence(kind, name, blob):
    layer = made({**SAID, **AS_TEXT}[kind])
    layer.name = name
    layer.input[0] = blob
    layer.output[0] = blob + "2"
    line = builder_calls.line(layer)
    assert line.isascii()
    assert line.isprintable()
    assert "`" not in line
    assert len(ast.parse(line).body) == 1
    again = rebuilt(line)
    assert (again.name, again.input, again.output) == (layer.name, layer.input, layer.output)


@given(text=st.text(max_size=40))
def test_a_literal_is_the_text(text):
    written = layer_text.literal(text)
    assert ast.literal_eval(written) == text
    assert written.isascii()
    assert "`" not in written


def test_zeros_that_take_no_memory_have_every_shape_and_stand_for_one():
    blank = builder_calls._Blank.of((4096, 25088))
    assert blank.shape == (4096, 25088)
    assert blank.strides == (0, 0)
    assert blank.transpose((1, 0)).flatten().tolist() == [0.0]


@pytest.mark.parametrize(
    ("values", "stays"),
    [
        ([0.37], True),  # a number of the computation, as an epsilon is
        ([1, 64, -1], True),  # a shape
        ([0.0] * 64, True),
        ([0.0] * 65, False),
        ([1, 0.5], False),  # weights, which must not stand in a script
    ],
)
def test_constants_that_may_be_weights_are_drawn(one_layer, values, stays):
    def fill(p):
        p.shape.append(len(values))
        p.data.floatValue.extend(values)

    layer = one_layer("loadConstantND", [], fill=fill).neuralNetwork.layers[0]
    assert ("floatValue" in builder_calls.line(layer)) == stays
