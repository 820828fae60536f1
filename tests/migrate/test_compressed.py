"""Quantised weights in ML Programs: what is stored, what it stands for, and what is said of it.

coremltools' loader and its operations say what a saved package holds, numpy what it should hold.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pytest
from programs import ct, mb, types

import migrate
from migrate import compressed
from migrate.coreml import proto
from migrate.mil.program import load
from migrate.weights import Quantised

KINDS = {
    "table": "constexpr_lut_to_dense",
    "affine": "constexpr_affine_dequantize",
    "shift": "constexpr_blockwise_shift_scale",
}


def empty(shape):
    """A network without layers that takes in0 and gives out0."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    for feature in (
        spec.description.input.add(name="in0"),
        spec.description.output.add(name="out0"),
    ):
        feature.type.multiArrayType.dataType = 65568
    spec.description.input[0].type.multiArrayType.shape.extend(shape)
    return spec


class Layer(NamedTuple):
    """A layer's spec-writing function, and the shape of its weights and its input."""

    fill: Any
    shape: tuple[int, ...]
    inputs: tuple[int, ...]


def convolution(layer, outputs=6, inputs=40):
    p = layer.convolution
    p.outputChannels, p.kernelChannels = outputs, inputs
    p.kernelSize.extend([3, 3])
    p.valid.SetInParent()
    return p.weights


def deconvolution(layer):
    message = convolution(layer)
    layer.convolution.isDeconvolution = True
    return message


def product(layer):
    p = layer.innerProduct
    p.inputChannels, p.outputChannels = 128, 96
    return p.weights


def embedding(layer):
    p = layer.embeddingND
    p.vocabSize, p.embeddingSize = 50, 24
    return p.weights


CONV = Layer(convolution, (6, 40, 3, 3), (1, 40, 5, 5))
DECONV = Layer(deconvolution, (40, 6, 3, 3), (1, 40, 5, 5))
DENSE = Layer(product, (96, 128), (2, 128))
EMBED = Layer(embedding, (24, 50), (7, 1))


def random_codes(bits, shape):
    codes = np.random.default_rng(bits).integers(0, 2**bits, shape)
    codes.flat[:2] = 0, 2**bits - 1
    return codes


def pack(codes, bits):
    """Write codes one behind the other, the highest bit first."""
    digits = np.unpackbits(np.uint8(codes).reshape(-1, 1), axis=1)[:, -bits:]
    return np.packbits(digits).tobytes()


def store(message, codes, bits, *, scale=(), bias=(), table=()):
    """Write quantised weights into a WeightParams message."""
    message.rawValue = pack(codes, bits)
    message.quantization.numberOfBits = bits
    if len(table):
        message.quantization.lookupTableQuantization.floatValue.extend(table)
    else:
        message.quantization.linearQuantization.scale.extend(scale)
        message.quantization.linearQuantization.bias.extend(bias)


def network(layer, codes, bits, **how):
    """A network of one layer with quantised weights."""
    spec = empty(layer.inputs)
    added = spec.neuralNetwork.layers.add(name="tested", input=["in0"], output=["out0"])
    store(layer.fill(added), codes, bits, **how)
    return spec


class Package(NamedTuple):
    """A saved and reloaded ML Program."""

    output: Any
    compressed: list[Any]  # coremltools' constexpr operations
    uses: Counter[str]
    bytes: int
    said: list[str]

    @property
    def values(self):
        """What the one compressed weight stands for."""
        (operation,) = self.compressed
        return operation.materialized_val_inference()


@pytest.fixture
def package(tmp_path):
    """Convert a spec, save it, load it, and evaluate it."""

    def make(spec, target="iOS16", precision="fp32", *, full=False):
        net = migrate.to_torch(spec)
        if full:
            net.quantised = []
        conversion = migrate.convert(net, spec, migrate.Options(precision, target), "")
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.mlpackage"
        migrate.save(conversion.program, path)
        model = ct.models.MLModel(str(path), skip_model_load=True)
        shape = tuple(spec.description.input[0].type.multiArrayType.shape)
        x = np.random.default_rng(1).integers(0, 9, shape).astype(np.float32)
        (output,) = migrate.evaluate(model, {"in0": x}).values()
        operations = load(path).function.operations
        return Package(
            output,
            [o for o in operations if o.op_type.startswith("constexpr_")],
            Counter(o.op_type for o in operations),
            sum(file.stat().st_size for file in path.rglob("weight.bin")),
            [*conversion.limits],
        )

    return make


def kinds(found):
    return [operation.op_type for operation in found.compressed]


def layers_of_every_number_of_bits(**how):
    """Eight products, one behind the other; and the codes of each."""
    spec, codes = empty((2, 64)), [random_codes(bits, (64, 64)) for bits in range(1, 9)]
    for i in range(8):
        names = [f"blob{i - 1}" if i else "in0"], [f"blob{i}" if i < 7 else "out0"]
        layer = spec.neuralNetwork.layers.add(name=f"l{i}", input=names[0], output=names[1])
        layer.innerProduct.inputChannels = layer.innerProduct.outputChannels = 64
        store(layer.innerProduct.weights, codes[i], i + 1, **how)
    return spec, codes


WIDTHS = {"iOS16": (1, 2, 4, 4, 6, 6, 8, 8), "iOS18": (1, 2, 3, 4, 6, 6, 8, 8)}


@pytest.mark.parametrize("target", ["iOS16", "iOS17", "iOS18"])
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_tables_of_every_number_of_bits_give_the_same_bits(package, target, precision):
    table = np.random.default_rng(2).normal(size=256, scale=0.1).astype(np.float32)
    spec, codes = layers_of_every_number_of_bits(table=table)
    found = package(spec, target, precision)
    dtype = {"fp16": np.float16, "fp32": np.float32}[precision]
    for operation, expected in zip(found.compressed, codes, strict=True):
        assert operation.op_type == KINDS["table"]
        values = operation.materialized_val_inference()
        assert values.dtype == dtype
        np.testing.assert_array_equal(values, table[expected].astype(dtype))
    np.testing.assert_array_equal(found.output, package(spec, target, precision, full=True).output)
    widths = np.array(WIDTHS.get(target, WIDTHS["iOS16"]))
    assert [operation.lut.val.size for operation in found.compressed] == list(2**widths)
    assert np.isfinite(found.output).all()
    floats = dtype().itemsize * ((2**widths).sum() + 64)  # a bias of zeros is stored once
    assert found.bytes < 1.2 * 64 * 64 / 8 * widths.sum() + floats
    assert not found.said


@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
def test_one_scale_is_a_table(package, target):
    scale, bias = np.float32(0.013), np.float32(-0.7)
    spec, codes = layers_of_every_number_of_bits(scale=[scale], bias=[bias])
    found = package(spec, target)
    for operation, expected in zip(found.compressed, codes, strict=True):
        assert operation.op_type == KINDS["table"]
        values = operation.materialized_val_inference()
        np.testing.assert_array_equal(values, expected.astype(np.float32) * scale + bias)


@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
def test_signed_codes_of_dynamic_quantisation(package, target):
    codes = np.random.default_rng(0).integers(-128, 128, DENSE.shape).astype(np.int8)
    codes.flat[:2] = -128, 127
    spec = empty(DENSE.inputs)
    layer = spec.neuralNetwork.layers.add(name="tested", input=["in0"], output=["out0"])
    message = product(layer)
    layer.innerProduct.int8DynamicQuantize = True
    message.int8RawValue = codes.tobytes()
    message.quantization.numberOfBits = 8
    message.quantization.linearQuantization.scale.append(0.017)
    found = package(spec, target)
    assert kinds(found) == [KINDS["table"]]
    np.testing.assert_array_equal(found.values, codes.astype(np.float32) * np.float32(0.017))


def channels(shape, zero, axis=0):
    """Scales for each channel, the biases that make `zero` 0, and the shape of both."""
    scale = np.linspace(0.01, 0.03, shape[axis]).astype(np.float32)
    across = [1] * len(shape)
    across[axis] = shape[axis]
    return scale, (-scale * np.float32(zero)).astype(np.float32), tuple(across)


@pytest.mark.parametrize(("target", "kind"), [("iOS16", "affine"), ("iOS18", "shift")])
@pytest.mark.parametrize(
    ("layer", "axis", "zero"), [(CONV, 0, 0), (DECONV, 1, 128), (DENSE, 0, 255)]
)
def test_a_scale_per_channel_with_an_integer_zero_point(package, target, kind, layer, axis, zero):
    codes, (scale, bias, across) = random_codes(8, layer.shape), channels(layer.shape, zero, axis)
    spec = network(layer, codes, 8, scale=scale, bias=bias)
    found = package(spec, target)
    assert kinds(found) == [KINDS[kind]]
    expected = codes * scale.astype(float).reshape(across) + bias.reshape(across)
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-5)
    data, shift = ("quantized_data", "zero_point") if kind == "affine" else ("data", "offset")
    arguments = {name: var.val for name, var in found.compressed[0].inputs.items() if var}
    assert arguments[data].dtype == arguments[shift].dtype == np.uint8
    np.testing.assert_array_equal(arguments[data], codes)
    np.testing.assert_array_equal(arguments[shift].ravel(), zero)
    np.testing.assert_array_equal(arguments["scale"].ravel(), scale)
    assert not found.said
    np.testing.assert_allclose(
        found.output, package(spec, target, full=True).output, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_fractional_zero_point_is_kept_on_ios18(package, precision):
    codes, (scale, bias, across) = random_codes(8, CONV.shape), channels(CONV.shape, 100.5)
    spec = network(CONV, codes, 8, scale=scale, bias=bias)
    found = package(spec, "iOS18", precision)
    (operation,) = found.compressed
    assert operation.op_type == KINDS["shift"]
    assert operation.outputs[0].dtype is {"fp16": types.fp16, "fp32": types.fp32}[precision]
    assert operation.offset.dtype is types.fp32  # of a float16 every weight would be shifted
    expected = codes * scale.astype(float).reshape(across) + bias.reshape(across)
    largest = np.abs(expected).max((1, 2, 3), keepdims=True)
    assert (
        np.abs(found.values - expected) <= {"fp16": 2**-9, "fp32": 2**-21}[precision] * largest
    ).all()
    full = package(spec, "iOS18", precision, full=True).output
    tolerance = {"fp16": 1e-3, "fp32": 1e-6}[precision] * np.abs(full).max()
    np.testing.assert_allclose(found.output, full, rtol=0, atol=tolerance)


def test_four_bits_are_four_bits_on_ios18(package):
    layer = Layer(lambda layer: convolution(layer, 3, 10), (3, 10, 3, 3), (1, 10, 5, 5))
    codes, (scale, bias, across) = random_codes(4, layer.shape), channels(layer.shape, 8)
    found = package(network(layer, codes, 4, scale=scale, bias=bias), "iOS18")
    (operation,) = found.compressed
    assert operation.op_type == KINDS["shift"]
    assert operation.data.dtype is operation.offset.dtype is types.uint4
    np.testing.assert_allclose(found.values, (codes - 8) * scale.reshape(across), rtol=1e-6)


@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
def test_an_embedding_is_stored_transposed(package, target):
    codes = random_codes(4, EMBED.shape)
    table = np.random.default_rng(2).normal(size=16).astype(np.float32)
    found = package(network(EMBED, codes, 4, table=table), target)
    assert found.uses["gather"]
    np.testing.assert_array_equal(found.values, table[codes.T])


def test_a_quarter_of_the_size(package):
    spec = empty((1, 400))
    layer = spec.neuralNetwork.layers.add(name="tested", input=["in0"], output=["out0"])
    layer.innerProduct.inputChannels = layer.innerProduct.outputChannels = 400
    codes = random_codes(8, (400, 400))
    scale = np.linspace(0.01, 0.02, 400).astype(np.float32)
    store(layer.innerProduct.weights, codes, 8, scale=scale, bias=-128 * scale)
    full = package(spec, full=True).bytes
    assert 0.25 < package(spec, "iOS16").bytes / full < 0.27
    assert 0.25 < package(spec, "iOS18").bytes / full < 0.27


def test_a_batch_normalisation_after_it_does_not_change_it(package):
    spec = network(CONV, random_codes(4, CONV.shape), 4, table=range(16))
    spec.neuralNetwork.layers[0].output[:] = ["between"]
    layer = spec.neuralNetwork.layers.add(name="norm", input=["between"], output=["out0"])
    norm = layer.batchnorm
    norm.channels, norm.epsilon = 6, 1e-5
    for field in ("gamma", "beta", "mean", "variance"):
        getattr(norm, field).floatValue.extend(np.linspace(0.5, 2, 6))
    found, full = package(spec), package(spec, "iOS15")
    assert kinds(found) == [KINDS["table"]]
    assert found.uses["batch_norm"] == 1
    assert full.uses["batch_norm"] == 0
    np.testing.assert_allclose(found.output, full.output, rtol=1e-4, atol=1e-4)
    assert full.said == [
        "weights (lookup table, 4 bits) are stored in full: "
        "the conversion merged them into other constants"
    ]


def test_alike_weights_are_said_together(package):
    spec = empty((1, 128))
    for name, blobs in (("first", ("in0", "between")), ("second", ("between", "out0"))):
        layer = spec.neuralNetwork.layers.add(name=name, input=[blobs[0]], output=[blobs[1]])
        p = layer.innerProduct
        p.inputChannels, p.outputChannels, p.hasBias = 128, 128, True
        store(p.weights, random_codes(4, (128, 128)), 4, table=range(16))
        store(p.bias, random_codes(4, (128,)), 4, table=range(16))
    assert package(spec, "iOS15").said == [
        "2 times weights, 2 times bias (lookup table, 4 bits) are stored in full: "
        "iOS15 has no compressed constants"
    ]
    found = package(spec, "iOS16")
    assert set(kinds(found)) == {KINDS["table"]}
    assert found.said == [
        "2 times bias (lookup table, 4 bits) are stored in full: "
        "only matrices of convolutions, products and embeddings can be compressed"
    ]


def test_passes_are_left_out_only_where_weights_are_compressed():
    assert compressed.left_out([WEIGHT], "iOS16")
    assert set(compressed.left_out([WEIGHT], "macOS15")) <= set(ct.PassPipeline().passes)
    assert not compressed.left_out([], "iOS16")
    assert not compressed.left_out([WEIGHT], "iOS15")


# programs of one product, in which only the constant matters


ONE, ZERO = np.ones(1, np.float32), np.zeros(1, np.float32)
WEIGHT = Quantised(
    "weights", 2, np.uint8(random_codes(2, (8, 16))), np.float32([-1, 0.5, 2, 3]), ONE, ZERO
)


def linear(codes, bits, scale, bias, axis=0):
    across = [1] * codes.ndim
    across[axis] = codes.shape[axis]
    scale, bias = (np.float32(x).reshape(across) for x in (scale, bias))
    return Quantised("weights", bits, np.uint8(codes), None, scale, bias)


def constant(weight, target="iOS16", precision="fp32", *, turned=False):
    """What becomes of a weight of a product: the operation, and what is said."""
    dtype = {"fp16": np.float16, "fp32": np.float32}[precision]
    values = weight.values().astype(dtype)
    values = values.T if turned else values
    spec = mb.TensorSpec((4, values.shape[1]), {"fp16": types.fp16, "fp32": types.fp32}[precision])
    made = mb.program(input_specs=[spec], opset_version=ct.target[target])(
        lambda x: mb.linear(x=x, weight=np.ascontiguousarray(values))
    )
    said = compressed.compress(made, [weight], target)
    (product,) = made.functions["main"].find_ops(op_type="linear")
    return product.weight.op, said


NO_SCALES = "(linear, 8 bits) are stored in full: {} has no scales and integer zero points that"


@pytest.mark.parametrize("target", ["iOS16", "iOS17"])
@pytest.mark.parametrize("zero", [-1, 256, 100.5])
def test_before_ios18_zero_points_are_integers_of_eight_bits(target, zero):
    scale, bias, _ = channels((8, 200), zero)
    weight = linear(random_codes(8, (8, 200)), 8, scale, bias)
    operation, said = constant(weight, target)
    assert operation.op_type == "const"
    assert said == [f"weights {NO_SCALES.format(target)} give the same values"]
    operation, said = constant(weight, "iOS18")
    assert operation.op_type == KINDS["shift"]
    np.testing.assert_allclose(operation.offset.val.ravel(), zero, rtol=1e-6)
    assert not said


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_a_table_per_channel_where_it_is_small(bits):
    codes, (scale, bias, across) = random_codes(bits, (6, 300)), channels((6, 300), 1.5)
    operation, _ = constant(linear(codes, bits, scale, bias), "iOS18")
    assert operation.op_type == KINDS["table"]
    assert operation.lut.shape == (*across, 2**bits, 1)
    expected = codes.astype(np.float32) * scale.reshape(across) + bias.reshape(across)
    np.testing.assert_array_equal(operation.materialized_val_inference(), expected)


@pytest.mark.parametrize(("length", "kind"), [(900, "shift"), (9000, "table")])
def test_a_table_may_be_a_quarter_larger_since_it_is_exact(length, kind):
    codes, (scale, bias, _) = random_codes(8, (2, length)), channels((2, length), 1.5)
    operation, _ = constant(linear(codes, 8, scale, bias), "iOS18")
    assert operation.op_type == KINDS[kind]


@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
@pytest.mark.parametrize("entries", [5, 40])
def test_a_table_shorter_or_longer_than_the_codes_need(target, entries):
    codes = random_codes(3, (30, 40)) % 5
    table = np.random.default_rng(2).normal(size=entries).astype(np.float32)
    weight = Quantised("weights", 3, np.uint8(codes), table, ONE, ZERO)
    operation, _ = constant(weight, target)
    np.testing.assert_array_equal(operation.materialized_val_inference(), table[codes])


def test_scales_of_an_embedding_are_along_its_second_axis():
    codes, (scale, bias, across) = random_codes(8, (24, 50)), channels((24, 50), 7)
    operation, _ = constant(linear(codes, 8, scale, bias), turned=True)
    assert operation.axis.val == 1
    np.testing.assert_allclose(
        operation.materialized_val_inference(), ((codes - 7.0) * scale.reshape(across)).T, rtol=1e-5
    )


def test_a_scale_of_zero_where_all_is_zero():
    codes, (scale, bias, across) = random_codes(8, (6, 300)), channels((6, 300), 128)
    codes[2], scale[2], bias[2] = 0, 0, 0
    operation, _ = constant(linear(codes, 8, scale, bias))
    assert (operation.scale.val > 0).all()
    expected = codes * scale.astype(float).reshape(across) + bias.reshape(across)
    np.testing.assert_allclose(operation.materialized_val_inference(), expected, atol=1e-5)


@pytest.mark.parametrize("scale", [-0.01, 0])
def test_other_scales_that_are_not_positive_have_no_form(scale):
    codes, (scales, bias, _) = random_codes(8, (6, 300)), channels((6, 300), 128)
    scales[1] = scale
    bias[1] = -128 * scale if scale else 0.5
    assert constant(linear(codes, 8, scales, bias))[0].op_type == "const"


@pytest.mark.parametrize("bits", [4, 8])
def test_scales_in_float16(bits):
    zero = 2 ** (bits - 1)
    codes, (scale, bias, across) = random_codes(bits, (96, 300)), channels((96, 300), zero)
    operation, _ = constant(linear(codes, bits, scale, bias), precision="fp16")
    assert operation.op_type == KINDS["affine"]
    assert operation.outputs[0].dtype is types.fp16
    expected = codes * scale.astype(float).reshape(across) + bias.reshape(across)
    largest = np.abs(expected).max(1, keepdims=True)
    values = operation.materialized_val_inference()
    assert (np.abs(values - expected) <= 2**-9 * largest).all()


def test_scales_too_small_for_float16():
    scale, bias, _ = channels((6, 300), 128)
    weight = linear(random_codes(8, (6, 300)), 8, scale / 1e4, bias / 1e4)
    assert constant(weight)[0].op_type == KINDS["affine"]
    operation, said = constant(weight, precision="fp16")
    assert operation.op_type == "const"
    assert said == [f"weights {NO_SCALES.format('iOS16')} give the same values"]


def test_one_channel_too_small_for_float16():
    scale, bias, _ = channels((6, 300), 128)
    scale[4] /= 1e4
    bias[4] /= 1e4
    weight = linear(random_codes(8, (6, 300)), 8, scale, bias)
    assert constant(weight, precision="fp16")[0].op_type == "const"


def test_a_zero_point_of_more_than_four_bits():
    codes, (scale, bias, across) = random_codes(4, (8, 15)), channels((8, 15), 20)
    operation, _ = constant(linear(codes, 4, scale, bias), "iOS18")
    assert (operation.data.dtype, operation.offset.dtype) == (types.uint4, types.fp32)
    expected = (codes - 20.0) * scale.reshape(across)
    np.testing.assert_allclose(operation.materialized_val_inference(), expected, rtol=1e-5)


def test_targets_of_macos():
    assert constant(WEIGHT, "macOS13")[0].op_type == KINDS["table"]
    assert constant(WEIGHT, "macOS12")[1] == [
        "weights (lookup table, 2 bits) are stored in full: macOS12 has no compressed constants"
    ]


def test_where_a_table_would_be_larger():
    table = np.arange(256, dtype=np.float32)
    weight = Quantised("weights", 8, np.uint8(random_codes(8, (8, 9))), table, ONE, ZERO)
    operation, said = constant(weight)
    assert operation.op_type == "const"
    assert said == [
        "weights (lookup table, 8 bits) are stored in full: compressed they would not be smaller"
    ]


@pytest.mark.parametrize("target", ["iOS15", "iOS16", "iOS18"])
def test_nothing_is_done_nor_said_of_a_few_values(target):
    operation, said = constant(WEIGHT._replace(codes=WEIGHT.codes[:3, :5]), target)
    assert operation.op_type == "const"
    assert not said
    if target != "iOS15":
        operation, _ = constant(WEIGHT._replace(codes=WEIGHT.codes[:4, :4]), target)
        assert operation.op_type == KINDS["table"]


def test_infinite_values_stay_what_they_are():
    weight = WEIGHT._replace(table=np.float32([np.inf, -np.inf, 1e30, 0]))
    operation, _ = constant(weight)
    np.testing.assert_array_equal(operation.materialized_val_inference(), weight.values())


# programs of several operations


def program(build, shape=(4, 16)):
    specs = [mb.TensorSpec(shape, types.fp32)]
    return mb.program(input_specs=specs, opset_version=ct.target.iOS16)(build)


def operations(block):
    for operation in block.operations:
        yield operation.op_type
        for inner in operation.blocks:
            yield from operations(inner)


def compress(made, quantised, target="iOS16"):
    said = compressed.compress(made, quantised, target)
    return said, Counter(operations(made.functions["main"]))


def test_a_constant_in_an_inner_block():
    values = WEIGHT.values()

    def build(x):
        taken = mb.greater(x=mb.reduce_sum(x=x, axes=[0, 1], keep_dims=False), y=0.0)
        return mb.cond(
            pred=taken,
            _true_fn=lambda: mb.linear(x=x, weight=mb.const(val=values)),
            _false_fn=lambda: mb.linear(x=x, weight=mb.const(val=values * 2)),
        )

    said, found = compress(program(build), [WEIGHT])
    assert found["constexpr_lut_to_dense"] == 1
    assert not said


@pytest.mark.parametrize("side", ["x", "y"])
def test_either_side_of_a_product_of_matrices(side):
    def build(x):
        other = {"y": x, "transpose_y": True} if side == "x" else {"x": x, "transpose_y": True}
        return mb.matmul(**{side: mb.const(val=WEIGHT.values())}, **other)

    said, found = compress(program(build), [WEIGHT])
    assert found["constexpr_lut_to_dense"] == 1
    assert not said


def with_a_sum(x, weight):
    return mb.linear(x=x, weight=weight), mb.add(x=weight, y=1.0)


def with_a_list(x, weight):
    return mb.linear(x=x, weight=weight), mb.concat(values=[weight, x], axis=0)


def as_an_output(x, weight):
    return mb.linear(x=x, weight=weight), weight


def as_a_bias(x, weight):
    return mb.linear(x=x, weight=np.ones((16, 16), np.float32), bias=weight)


@pytest.mark.parametrize("use", [with_a_sum, with_a_list, as_an_output])
def test_a_constant_with_another_use_stays(use):
    made = program(lambda x: use(x, mb.const(val=WEIGHT.values())))
    said, found = compress(made, [WEIGHT])
    assert not found["constexpr_lut_to_dense"]
    assert said == [
        "weights (lookup table, 2 bits) are stored in full: "
        "only matrices of convolutions, products and embeddings can be compressed"
    ]


def test_a_bias_stays():
    codes = WEIGHT.codes.ravel()[:16]
    bias = WEIGHT._replace(field="bias", codes=codes)
    said, found = compress(program(lambda x: as_a_bias(x, bias.values())), [bias])
    assert not found["constexpr_lut_to_dense"]
    assert said == [
        "bias (lookup table, 2 bits) are stored in full: "
        "only matrices of convolutions, products and embeddings can be compressed"
    ]


def test_other_values_are_not_taken_for_the_weight():
    values = WEIGHT.values()
    values[3, 5] += np.float32(1e-6)
    said, found = compress(program(lambda x: mb.linear(x=x, weight=values)), [WEIGHT])
    assert not found["constexpr_lut_to_dense"]
    assert said == [
        "weights (lookup table, 2 bits) are stored in full: "
        "the conversion merged them into other constants"
    ]


def test_values_of_another_shape_are_not_taken_for_the_weight():
    turned = WEIGHT.values().reshape(16, 8)
    made = program(lambda x: mb.matmul(x=x, y=turned))
    _, found = compress(made, [WEIGHT])
    assert not found["constexpr_lut_to_dense"]


def test_the_constant_is_gone():
    made = program(lambda x: mb.linear(x=x, weight=WEIGHT.values()))
    compressed.compress(made, [WEIGHT], "iOS16")
    constants = made.functions["main"].find_ops(op_type="const")
    assert WEIGHT.codes.shape not in [np.shape(const.outputs[0].val) for const in constants]


def test_values_that_are_compressed_once_and_once_not():
    def build(x):
        first = mb.linear(x=x, weight=mb.const(val=WEIGHT.values()))
        return first, mb.add(x=mb.const(val=WEIGHT.values()), y=1.0)

    said, found = compress(program(build), [WEIGHT])
    assert found["constexpr_lut_to_dense"] == 1
    assert len(said) == 1


def test_the_same_values_twice_are_all_compressed():
    def build(x):
        first = mb.linear(x=x, weight=mb.const(val=WEIGHT.values()))
        return first, mb.linear(x=x, weight=mb.const(val=WEIGHT.values()))

    said, found = compress(program(build), [WEIGHT, WEIGHT])
    assert found["constexpr_lut_to_dense"] == 2
    assert not said
