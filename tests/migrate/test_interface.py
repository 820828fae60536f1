"""The features of a converted model: what its description says, and what `evaluate` makes of it."""

from __future__ import annotations

import itertools
from collections import Counter
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

import migrate
from migrate import InputError, UnsupportedError, feature_types
from migrate.coreml import coremltools, proto
from migrate.mlprogram import convert, digest
from migrate.options import Options

ct = coremltools()
ARRAY = proto("FeatureTypes_pb2").ArrayFeatureType
IMAGE = proto("FeatureTypes_pb2").ImageFeatureType
LETTERS = "names in an ML Program are letters, digits and underscores, and no words of its language"
X = np.array([[1.0, -2.0, 3.0], [4.0, 5.5, -600.0]], np.float32)


def empty(kind="neuralNetwork"):
    """A spec without features and layers, in the exact mapping."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    network = getattr(spec, kind)
    network.arrayInputShapeMapping = network.imageInputShapeMapping = 1
    return spec


def array(features, name, shape=(), dtype="FLOAT32"):
    feature = features.add(name=name)
    feature.type.multiArrayType.shape.extend(shape)
    feature.type.multiArrayType.dataType = getattr(ARRAY, dtype)
    return feature


def image(features, name, color="RGB", width=5, height=4):
    feature = features.add(name=name)
    feature.type.imageType.width, feature.type.imageType.height = width, height
    feature.type.imageType.colorSpace = IMAGE.ColorSpace.Value(color)
    return feature


def times(network, alpha, blob, output):
    """A layer that multiplies by a number."""
    layer = network.layers.add(name=f"times {alpha}", input=[blob], output=[output])
    layer.activation.linear.alpha = alpha


def doubling(inputs=("x",), outputs=("y",), dtype="FLOAT32"):
    """Outputs 2, 3, ... times the inputs in turn, all of shape (2, 3)."""
    spec = empty()
    for name in inputs:
        array(spec.description.input, name, (2, 3), dtype)
    for i, name in enumerate(outputs):
        array(spec.description.output, name, (), dtype)
        times(spec.neuralNetwork, 2 + i, inputs[i % len(inputs)], name)
    return spec


def converted(spec, **options):
    """The ML Program of a spec, and in a sentence each what it cannot have."""
    net = migrate.to_torch(spec)
    conversion = convert(net, spec, Options(**options), digest(spec))
    return conversion.program, list(conversion.limits)


def described(program):
    """Each feature by name: its kind, and of an array its shape and type."""
    description = program.get_spec().description
    found = {}
    for feature in (*description.input, *description.output):
        kind = feature.type.WhichOneof("Type").removesuffix("Type")
        found[feature.name] = (kind,)
        if kind == "multiArray":
            type_ = feature.type.multiArrayType
            found[feature.name] = (tuple(type_.shape), ARRAY.ArrayDataType.Name(type_.dataType))
    return found


@pytest.mark.parametrize(
    ("dtype", "options", "expected", "limits"),
    [
        ("FLOAT32", {}, "FLOAT32", []),
        ("FLOAT32", {"features": "fp16"}, "FLOAT16", []),
        ("FLOAT16", {}, "FLOAT16", []),
        ("FLOAT16", {"features": "fp32"}, "FLOAT32", []),
        ("FLOAT16", {"target": "iOS15"}, "FLOAT32",
         ["'x', 'y': FLOAT16 becomes FLOAT32 before iOS 16"]),
        ("DOUBLE", {}, "FLOAT32",
         ["'x', 'y': DOUBLE becomes FLOAT32, the widest an ML Program's features have"]),
        ("DOUBLE", {"features": "fp16"}, "FLOAT16", []),
        ("INT32", {}, "INT32", []),
        ("INT32", {"features": "fp16"}, "INT32", []),
    ],
)  # fmt: skip
def test_the_type_of_arrays(dtype, options, expected, limits):
    program, found = converted(doubling(dtype=dtype), precision="fp32", **options)
    assert described(program) == {"x": ((2, 3), expected), "y": ((2, 3), expected)}
    assert found == limits
    x = X.astype(np.int32) if dtype == "INT32" else X
    y = migrate.evaluate(program, {"x": x})["y"]
    assert y.dtype == {"FLOAT32": "float32", "FLOAT16": "float16", "INT32": "int32"}[expected]
    np.testing.assert_array_equal(y, 2 * x)


@pytest.mark.parametrize(
    ("inputs", "outputs", "names", "limits"),
    [
        (["a.b"], ["1 y"], ["a_b", "_1_y"],
         [f"'a.b' is called 'a_b': {LETTERS}", f"'1 y' is called '_1_y': {LETTERS}"]),
        (["1x"], ["y"], ["_1x", "y"], [f"'1x' is called '_1x': {LETTERS}"]),
        (["x"], ["func"], ["x", "func_workaround"],
         [f"'func' is called 'func_workaround': {LETTERS}"]),
        (["a.b", "a_b"], ["y", "z"], ["a_b_input", "a_b", "y", "z"],
         [f"'a.b' is called 'a_b_input': {LETTERS}"]),
        (["x"], ["a.b", "a_b", "a:b"], ["x", "a_b_output", "a_b", "a_b_output_output"],
         [f"'a.b' is called 'a_b_output': {LETTERS}",
          f"'a:b' is called 'a_b_output_output': {LETTERS}"]),
        (["a.b"], ["a_b"], ["a_b", "a_b_output"],
         [f"'a.b' is called 'a_b': {LETTERS}",
          "output 'a_b' is called 'a_b_output': no output may have an input's name"]),
        (["x"], ["y", "x"], ["x", "y", "x_output"],
         ["output 'x' is called 'x_output': no output may have an input's name"]),
        (["x_output", "x"], ["x"], ["x_output", "x", "x_output_output"],
         ["output 'x' is called 'x_output_output': no output may have an input's name"]),
    ],
)  # fmt: skip
def test_names(inputs, outputs, names, limits):
    """Each feature has its own, and the numbers are those of its feature."""
    spec = doubling(inputs, outputs)
    program, found = converted(spec, precision="fp32")
    assert (list(described(program)), found) == (names, limits)
    values = {name: X + i for i, name in enumerate(inputs)}
    expected = migrate.to_torch(spec).predict(values)
    given = dict(zip(names, values.values(), strict=False))
    results = migrate.evaluate(program, given)
    assert list(results) == names[len(inputs) :]
    for name, result in zip(outputs, results.values(), strict=True):
        np.testing.assert_array_equal(result, expected[name])


def test_evaluate_takes_the_names_of_the_source():
    """As long as they are clear: a name that is written otherwise must not hide another."""
    program, _ = converted(doubling(["a.b"]), precision="fp32")
    np.testing.assert_array_equal(migrate.evaluate(program, {"a.b": X})["y"], 2 * X)
    program, _ = converted(doubling(["a.b", "a_b"]), precision="fp32")
    with pytest.raises(InputError, match=r"the model has no input 'a.b'; it has a_b, a_b_input$"):
        migrate.evaluate(program, {"a.b": X, "a_b": X})


def pixels(color, seed=0, width=5, height=4):
    """A seeded image and its values as [C, H, W], in the order of the color."""
    random = np.random.default_rng(seed)
    if color == "GRAYSCALE_FLOAT16":
        values = random.random((height, width)).astype(np.float16).astype(np.float32) * 128
        return Image.fromarray(values), values[None]
    if color == "GRAYSCALE":
        values = random.integers(0, 256, (height, width), np.uint8)
        return Image.fromarray(values), values[None].astype(np.float32)
    values = random.integers(0, 256, (height, width, 3), np.uint8)
    ordered = values[..., ::-1] if color == "BGR" else values
    return Image.fromarray(values), ordered.transpose(2, 0, 1).astype(np.float32)


def scaled(spec, name, scale, red=0.0, green=0.0, blue=0.0, gray=0.0):
    scaler = spec.neuralNetwork.preprocessing.add(featureName=name).scaler
    scaler.channelScale, scaler.redBias, scaler.greenBias = scale, red, green
    scaler.blueBias, scaler.grayBias = blue, gray


BIASES = {"RGB": (1, 2, 3), "BGR": (3, 2, 1), "GRAYSCALE": (4,), "GRAYSCALE_FLOAT16": (4,)}


@pytest.mark.parametrize(("color", "precision"), [*((c, "fp32") for c in BIASES), ("BGR", "fp16")])
def test_images_in_and_out(color, precision):
    """The scaler's bias of each channel is in the program, and the output is an image again."""
    spec = empty()
    image(spec.description.input, "photo", color)
    image(spec.description.output, "y", color)
    scaled(spec, "photo", 0.5, 1, 2, 3, 4)
    times(spec.neuralNetwork, 0.5, "photo", "y")
    program, limits = converted(spec, precision=precision)
    assert limits == []
    for feature in (
        program.get_spec().description.input[0],
        program.get_spec().description.output[0],
    ):
        type_ = feature.type.imageType
        assert IMAGE.ColorSpace.Name(type_.colorSpace) == color
        assert (type_.width, type_.height) == (5, 4)
    picture, values = pixels(color)
    expected = (values * 0.5 + np.reshape(BIASES[color], (-1, 1, 1))) * 0.5
    found = np.asarray(migrate.evaluate(program, {"photo": picture})["y"], np.float32)
    found = found[None] if found.ndim == 2 else found.transpose(2, 0, 1)
    found = found[::-1] if color == "BGR" else found
    tolerance = 0.1 if color.endswith("FLOAT16") else 0.5 + 0.1 * (precision == "fp16")
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_float16_images_need_ios_16():
    for side in ("input", "output"):
        spec = empty()
        image(spec.description.input, "x", "GRAYSCALE")
        image(spec.description.output, "y", "GRAYSCALE")
        feature = getattr(spec.description, side)[0]
        feature.type.imageType.colorSpace = IMAGE.GRAYSCALE_FLOAT16
        times(spec.neuralNetwork, 0.5, "x", "y")
        with pytest.raises(UnsupportedError) as caught:
            converted(spec, target="iOS15")
        assert str(caught.value) == (
            f"'{feature.name}' is a float16 image; it needs iOS16, the target is iOS15"
        )


def test_two_images_each_with_its_own_preprocessing():
    spec = empty()
    image(spec.description.input, "a", "RGB")
    image(spec.description.input, "b", "GRAYSCALE")
    array(spec.description.output, "y")
    scaled(spec, "a", 0.25, 1, 2, 3)
    mean = np.arange(20, dtype=np.float32)
    spec.neuralNetwork.preprocessing.add(featureName="b").meanImage.meanImage.extend(mean)
    layer = spec.neuralNetwork.layers.add(name="sum", input=["a", "b"], output=["y"])
    layer.addBroadcastable.SetInParent()
    program, _ = converted(spec, precision="fp32")
    (a, color), (b, gray) = pixels("RGB", 1), pixels("GRAYSCALE", 2)
    expected = color * 0.25 + np.reshape((1, 2, 3), (3, 1, 1)) + gray - mean.reshape(4, 5)
    y = migrate.evaluate(program, {"a": a, "b": b})["y"]
    np.testing.assert_allclose(y, expected[None], rtol=1e-6)


SCORES = np.array([0.1, 2.0, 0.3], np.float32)


def classifier(outputs, labels=("a", "b", "c"), label="label", scores="scores", dtype="FLOAT32"):
    """A classifier of three numbers x; its outputs are of: label, scores, two, three, picture."""
    spec = empty("neuralNetworkClassifier")
    network, description = spec.neuralNetworkClassifier, spec.description
    array(description.input, "x", (1, 3, 1, 1))
    network.layers.add(name="softmax", input=["x"], output=["s"]).softmax.SetInParent()
    times(network, 2, "x", "two")
    times(network, 3, "x", "three")
    layer = network.layers.add(name="larger", input=["x"], output=["picture"])
    layer.upsample.scalingFactor.extend([4, 5])
    network.labelProbabilityLayerName = "s"
    of_strings = isinstance(labels[0], str)
    field = network.stringClassLabels if of_strings else network.int64ClassLabels
    field.vector.extend(labels)
    for name in outputs:
        if name == "picture":
            image(description.output, name)
        elif name in ("label", "scores"):
            type_ = description.output.add(name=label if name == "label" else scores).type
            keys = type_.dictionaryType
            kind = type_.stringType if of_strings else type_.int64Type
            kind = (
                kind if name == "label" else keys.stringKeyType if of_strings else keys.int64KeyType
            )
            kind.SetInParent()
        else:
            array(description.output, name, (), dtype)
    description.predictedFeatureName = label
    description.predictedProbabilitiesName = scores if "scores" in outputs else ""
    return spec


def check_classification(outputs, given, labels=("a", "b", "c")):
    """What is given is each output's own, in the order wanted."""
    assert list(given) == list(outputs)
    probabilities = np.exp(SCORES) / np.exp(SCORES).sum()
    for name, value in given.items():
        if name == "label":
            assert value == labels[1]
        elif name == "scores":
            assert list(value) == list(labels)
            np.testing.assert_allclose(list(value.values()), probabilities, rtol=2e-3)
        elif name == "picture":
            expected = np.broadcast_to(np.round(SCORES), (4, 5, 3))
            np.testing.assert_array_equal(np.asarray(value), expected)
        else:
            factor = {"two": 2, "three": 3}[name]
            np.testing.assert_allclose(value.reshape(3), factor * SCORES, rtol=2e-3)


@pytest.mark.parametrize("labels", [("a", "b", "c"), (7, -8, 2**40)])
@pytest.mark.parametrize("outputs", [["label"], ["label", "scores"], ["scores", "label"]])
def test_classifiers(labels, outputs):
    program, limits = converted(classifier(outputs, labels))
    description = program.get_spec().description
    assert limits == []
    assert description.predictedFeatureName == "label"
    assert description.predictedProbabilitiesName == ("scores" if "scores" in outputs else "")
    kinds = {"label": "string" if labels[0] == "a" else "int64", "scores": "dictionary"}
    assert [described(program)[name] for name in outputs] == [(kinds[name],) for name in outputs]
    given = migrate.evaluate(program, {"x": SCORES.reshape(1, 3, 1, 1)})
    check_classification(outputs, given, labels)


ORDERS = [
    *itertools.permutations(["label", "scores", "two"]),
    ("label", "two", "picture"),
    ("picture", "two", "label"),
    ("two", "scores", "three", "label", "picture"),
    ("picture", "label", "three", "scores", "two"),
]


@pytest.mark.parametrize("outputs", ORDERS, ids="-".join)
def test_classifiers_with_further_outputs(outputs):
    """Each output has its own type, whatever stands before it; coremltools mixes them up."""
    program, _ = converted(classifier(outputs, dtype="FLOAT16"))
    found = described(program)
    shaped = ((1, 3, 1, 1), "FLOAT16")
    kinds = {"label": ("string",), "scores": ("dictionary",), "picture": ("image",)}
    assert list(found.items())[1:] == [(name, kinds.get(name, shaped)) for name in outputs]
    given = migrate.evaluate(program, {"x": SCORES.reshape(1, 3, 1, 1)})
    check_classification(outputs, given)


def variables(program):
    (block,) = program.get_spec().mlProgram.functions["main"].block_specializations.values()
    return [output.name for op in block.operations for output in op.outputs]


def test_the_names_of_a_classifiers_outputs():
    spec = classifier(["label", "scores"], label="my label!", scores="1-p")
    program, limits = converted(spec)
    description = program.get_spec().description
    assert list(described(program)) == ["x", "my_label_", "_1_p"]
    assert description.predictedFeatureName == "my_label_"
    assert description.predictedProbabilitiesName == "_1_p"
    assert limits == [
        f"'my label!' is called 'my_label_': {LETTERS}", f"'1-p' is called '_1_p': {LETTERS}",
    ]  # fmt: skip
    given = migrate.evaluate(program, {"x": SCORES.reshape(1, 3, 1, 1)})
    assert given["my_label_"] == "b"


def test_a_classifiers_outputs_are_not_called_as_a_variable_inside():
    """coremltools gives variables names like var_7, and files of its own have such outputs."""
    inside = variables(converted(classifier(["label", "scores"]))[0])
    taken = [name for name in inside if name not in ("label", "scores")]
    assert len(taken) > 5
    for label, scores in zip(taken[::2], taken[1::2], strict=False):
        program, _ = converted(classifier(["label", "scores"], label=label, scores=scores))
        given = migrate.evaluate(program, {"x": SCORES.reshape(1, 3, 1, 1)})
        check_classification(["label", "scores"], {"label": given[label], "scores": given[scores]})
        assert max(Counter(variables(program)).values()) == 1


@pytest.mark.parametrize("kind", ["double", "int64", "array"])
def test_regressors(kind):
    spec = empty("neuralNetworkRegressor")
    array(spec.description.input, "x", (1,))
    times(spec.neuralNetworkRegressor, 2, "x", "y")
    spec.description.predictedFeatureName = "y"
    if kind == "array":
        array(spec.description.output, "y", (1,))
    else:
        type_ = spec.description.output.add(name="y").type
        (type_.doubleType if kind == "double" else type_.int64Type).SetInParent()
    program, limits = converted(spec)
    expected = ["ML Programs have no regressors: the value is an output like any other"]
    expected += [] if kind == "array" else ["'y': a number becomes an array of one element"]
    assert limits == expected
    assert described(program)["y"] == ((1,), "FLOAT32")
    y = migrate.evaluate(program, {"x": np.array([3.0])})["y"]
    assert (y.shape, y.dtype, y.item()) == ((1,), np.float32, 6.0)


@pytest.mark.parametrize(
    ("dtype", "field", "default", "expected"),
    [
        ("FLOAT32", "", None, ("floatDefaultValue", 0.0)),
        ("FLOAT32", "floatDefaultValue", 2.5, ("floatDefaultValue", 2.5)),
        ("FLOAT16", "floatDefaultValue", -0.5, ("floatDefaultValue", -0.5)),
        ("DOUBLE", "doubleDefaultValue", 7.0, ("floatDefaultValue", 7.0)),
        ("INT32", "intDefaultValue", 3, ("intDefaultValue", 3)),
    ],
)
def test_optional_inputs(dtype, field, default, expected):
    spec = doubling(["x", "more"], ["y", "z"])
    feature = spec.description.input[1]
    feature.type.isOptional = True
    feature.type.multiArrayType.dataType = getattr(ARRAY, dtype)
    if field:
        setattr(feature.type.multiArrayType, field, default)
    program, _ = converted(spec, precision="fp32")
    x, more = program.get_spec().description.input
    assert (x.type.isOptional, more.type.isOptional) == (False, True)
    kind = more.type.multiArrayType.WhichOneof("defaultOptionalValue")
    assert (kind, getattr(more.type.multiArrayType, kind)) == expected
    left_out = migrate.evaluate(program, {"x": X})
    np.testing.assert_array_equal(left_out["z"], np.full((2, 3), 3 * (default or 0)))
    given = migrate.evaluate(program, {"x": X, "more": np.ones((2, 3), np.int32)})
    np.testing.assert_array_equal(given["z"], np.full((2, 3), 3))
    with pytest.raises(InputError, match="input 'x' is missing"):
        migrate.evaluate(program, {"more": X})


def test_an_image_is_not_optional():
    spec = empty()
    image(spec.description.input, "x", "GRAYSCALE").type.isOptional = True
    array(spec.description.output, "y")
    times(spec.neuralNetwork, 2, "x", "y")
    program, limits = converted(spec)
    assert limits == ["input 'x' is optional, which an image of an ML Program cannot be"]
    assert not program.get_spec().description.input[0].type.isOptional
    with pytest.raises(InputError, match="input 'x' is missing"):
        migrate.evaluate(program, {})


def resizing(name="x", images=False, version=4):
    """A network whose every layer looks at sizes, and whose output has those of its input."""
    spec = empty()
    if images:
        image(spec.description.input, name, "RGB", 8, 8)
    else:
        array(spec.description.input, name, (1, 3, 8, 8))
    array(spec.description.output, "y")
    layers = spec.neuralNetwork.layers
    conv = layers.add(name="conv", input=[name], output=["a"]).convolution
    conv.outputChannels, conv.kernelChannels = 2, 3
    conv.kernelSize.extend([3, 3])
    conv.stride.extend([2, 2])
    conv.same.asymmetryMode = 1
    conv.weights.floatValue.extend(np.random.default_rng(0).standard_normal(54))
    layers.add(name="pool", input=["a"], output=["b"]).pooling.includeLastPixel.SetInParent()
    layers[1].pooling.kernelSize.extend([2, 2])
    up = layers.add(name="up", input=["b"], output=["c"]).upsample
    up.mode = 1
    up.scalingFactor.extend([3, 3])
    layers.add(name="crop", input=["c", name], output=["y"]).crop.offset.extend([0, 1])
    return spec


def check_sizes(spec, program, sizes, images=False):
    """At each size the program gives what the module gives, which knows no size in advance."""
    net = migrate.to_torch(spec)
    (name,) = (feature.name for feature in spec.description.input)
    for seed, (height, width) in enumerate(sizes):
        x = pixels("RGB", seed, width, height)[0]
        if not images:
            x = np.random.default_rng(seed).standard_normal((1, 3, height, width))
        expected = net.predict({name: x})["y"]
        y = migrate.evaluate(program, {name: x})["y"]
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("images", [False, True])
def test_ranges(images):
    spec = resizing(images=images)
    type_ = spec.description.input[0].type
    if images:
        ends = type_.imageType.imageSizeRange
        ends.heightRange.lowerBound, ends.heightRange.upperBound = 6, 12
        ends.widthRange.lowerBound, ends.widthRange.upperBound = 7, -1
    else:
        for low, high in ((1, 1), (3, 3), (6, 12), (7, -1)):
            type_.multiArrayType.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    program, limits = converted(spec, precision="fp32", max_size=40)
    assert limits == ["input 'x' has no largest size, an ML Program must have one: 40 (--max-size)"]
    found = program.get_spec().description.input[0].type
    if images:
        ends = found.imageType.imageSizeRange
        assert (ends.heightRange.lowerBound, ends.heightRange.upperBound) == (6, 12)
        assert (ends.widthRange.lowerBound, ends.widthRange.upperBound) == (7, 40)
        assert (found.imageType.height, found.imageType.width) == (8, 8)
    else:
        ranges = found.multiArrayType.shapeRange.sizeRanges
        bounds = [(r.lowerBound, r.upperBound) for r in ranges]
        assert bounds == [(1, 1), (3, 3), (6, 12), (7, 40)]
        assert tuple(found.multiArrayType.shape) == (1, 3, 8, 8)
    check_sizes(spec, program, [(8, 8), (6, 7), (7, 9), (9, 8), (12, 40)], images)
    for height, width in ((5, 8), (13, 8), (8, 6), (8, 41)):
        x = pixels("RGB", 0, width, height)[0] if images else np.zeros((1, 3, height, width))
        with pytest.raises(InputError) as caught:
            migrate.evaluate(program, {"x": x})
        assert str(caught.value) == (
            f"input 'x' has shape 1x3x{height}x{width}, the model takes 1x3x6..12x7..40"
        )


def test_the_bound_of_open_sizes_is_theirs():
    """Not that of the other dimensions, and not below the default."""
    spec = doubling()
    feature = spec.description.input[0].type.multiArrayType
    feature.shape[:] = [50, 9]
    for low, high in ((1, 50), (0, -1)):
        feature.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    for max_size, bound in ((7, 9), (20, 20)):
        program, limits = converted(spec, max_size=max_size)
        found = program.get_spec().description.input[0].type.multiArrayType.shapeRange.sizeRanges
        assert [(r.lowerBound, r.upperBound) for r in found] == [(1, 50), (1, bound)]
        assert limits == [
            f"input 'x' has no largest size, an ML Program must have one: {bound} (--max-size)"
        ]


def of_every_size():
    """Layers whose result depends on the size of their input, each an output of its own."""
    spec = proto("Model_pb2").Model(specificationVersion=1)
    ends = array(spec.description.input, "x", (2, 8, 8)).type.multiArrayType.shapeRange.sizeRanges
    for low, high in ((2, 2), (6, 16), (6, 16)):
        ends.add(lowerBound=low, upperBound=high)

    def layer(name):
        array(spec.description.output, name)
        return spec.neuralNetwork.layers.add(name=name, input=["x"], output=[name])

    def convolve(name, kernel, stride, deconvolution):
        p = layer(name).convolution
        p.outputChannels = p.kernelChannels = 2
        p.kernelSize.extend(kernel)
        p.stride.extend(stride)
        p.isDeconvolution, p.hasBias = deconvolution, True
        p.weights.floatValue.extend(np.arange(4 * np.prod(kernel)))
        p.bias.floatValue.extend([0.5, -0.5])
        return p

    def surrounded(amounts, top, bottom, left, right):
        amounts.borderAmounts.add(startEdgeSize=top, endEdgeSize=bottom)
        amounts.borderAmounts.add(startEdgeSize=left, endEdgeSize=right)

    convolve("same", (4, 2), (2, 3), False).same.asymmetryMode = 0
    convolve("same_top_left", (3, 4), (2, 2), False).same.asymmetryMode = 1
    convolve("deconvolved", (4, 3), (2, 2), True).same.asymmetryMode = 1
    for mode in (0, 1):
        convolve(f"deconvolved_beyond{mode}", (1, 3), (2, 2), True).same.asymmetryMode = mode
    convolve("deconvolved_to", (3, 3), (2, 2), True).outputShape.extend([14, 13])
    cut = convolve("deconvolved_valid", (3, 3), (2, 1), True).valid
    surrounded(cut.paddingAmounts, 1, 0, 0, 2)
    for name, amounts in (("last", (0, 0)), ("last_padded", (1, 1))):
        p = layer(name).pooling
        p.type = 1
        p.kernelSize.extend([3, 2])
        p.stride.extend([2, 3])
        p.includeLastPixel.paddingAmounts.extend(amounts)
    for mode, name in ((0, "nearest"), (1, "bilinear")):
        p = layer(name).upsample
        p.mode = mode
        p.fractionalScalingFactor.extend([1.5, 0.7])
    for method in (0, 1, 2):
        p = layer(f"resized{method}").resizeBilinear
        p.targetSize.extend([7, 5])
        p.mode.samplingMethod = method
    surrounded(layer("cropped").crop.cropAmounts, 1, 2, 0, 1)
    return spec


def test_layers_that_depend_on_sizes():
    """In the old mapping, where ones in front are dropped: nothing of the first size is frozen."""
    spec = of_every_size()
    net, (program, _) = migrate.to_torch(spec), converted(spec, precision="fp32")
    for shape in ((2, 8, 8), (2, 6, 6), (2, 7, 9), (2, 16, 11), (2, 9, 16)):
        x = np.random.default_rng(0).standard_normal(shape)
        expected, found = net.predict({"x": x}), migrate.evaluate(program, {"x": x})
        for name, y in expected.items():
            assert found[name].shape == y.shape, name
            np.testing.assert_allclose(found[name], y, rtol=1e-4, atol=1e-4, err_msg=name)


def test_bilinear_upsampling_of_flexible_sizes_needs_ios_16():
    with pytest.raises(UnsupportedError) as caught:
        converted(of_every_size(), target="iOS15")
    assert str(caught.value) == (
        "layer 'bilinear': bilinear upsampling of flexible sizes needs iOS16 in an ML Program"
    )


@pytest.mark.parametrize("images", [False, True])
def test_enumerated_shapes(images):
    sizes = [(8, 8), (9, 7), (16, 11)]
    spec = resizing(images=images)
    type_ = spec.description.input[0].type
    for height, width in sizes:
        if images:
            type_.imageType.enumeratedSizes.sizes.add(height=height, width=width)
        else:
            type_.multiArrayType.enumeratedShapes.shapes.add(shape=[1, 3, height, width])
    program, limits = converted(spec, precision="fp32")
    assert limits == []
    found = program.get_spec().description.input[0].type
    if images:
        given = [(s.height, s.width) for s in found.imageType.enumeratedSizes.sizes]
    else:
        given = [tuple(s.shape[2:]) for s in found.multiArrayType.enumeratedShapes.shapes]
    assert sorted(given) == sizes
    check_sizes(spec, program, sizes, images)
    x = pixels("RGB", 0, 8, 9)[0] if images else np.zeros((1, 3, 9, 8))
    with pytest.raises(InputError, match=r"input 'x' has shape 1x3x9x8, the model takes 1x3x8x8, "):
        migrate.evaluate(program, {"x": x})


def test_several_enumerated_inputs():
    """iOS 18 has them; before that each is a range."""
    spec = doubling(["a", "b"], ["y", "z"])
    for feature in spec.description.input:
        for shape in ((2, 3), (4, 9)):
            feature.type.multiArrayType.enumeratedShapes.shapes.add(shape=shape)
    program, limits = converted(spec, target="iOS18")
    assert limits == []
    for feature in program.get_spec().description.input:
        shapes = feature.type.multiArrayType.enumeratedShapes.shapes
        assert sorted(tuple(s.shape) for s in shapes) == [(2, 3), (4, 9)]
    program, limits = converted(spec, target="iOS17")
    assert limits == [
        "'a', 'b': below iOS 18 only one input may have enumerated shapes, "
        "so each takes the range from its smallest to its largest"
    ]
    for feature in program.get_spec().description.input:
        ranges = feature.type.multiArrayType.shapeRange.sizeRanges
        assert [(r.lowerBound, r.upperBound) for r in ranges] == [(2, 4), (3, 9)]
    outputs = migrate.evaluate(program, {"a": np.ones((3, 5)), "b": np.ones((2, 9))})
    assert (outputs["y"].shape, outputs["z"].shape) == ((3, 5), (2, 9))


def test_ranks():
    """Five dimensions are the most; what is above is refused with every feature's name."""
    spec = doubling()
    spec.description.input[0].type.multiArrayType.shape[:] = [1, 1, 1, 2, 3]
    assert described(converted(spec)[0])["x"] == ((1, 1, 1, 2, 3), "FLOAT32")
    for feature in (spec.description.input[0], spec.description.output[0]):
        feature.type.multiArrayType.shape[:] = [1, 1, 1, 1, 2, 3]
    with pytest.raises(UnsupportedError) as caught:
        converted(spec)
    assert str(caught.value) == (
        "an ML Program's tensors have at most 5 dimensions; 'x' has 6, 'y' has 6"
    )


def test_sequences_are_of_the_declared_shape():
    spec = proto("Model_pb2").Model(specificationVersion=1)
    array(spec.description.input, "x", (3,), "DOUBLE")
    array(spec.description.output, "y", (2,), "DOUBLE")
    layer = spec.neuralNetwork.layers.add(name="rnn", input=["x"], output=["y"])
    p = layer.simpleRecurrent
    p.inputVectorSize, p.outputVectorSize = 3, 2
    p.activation.tanh.SetInParent()
    p.weightMatrix.floatValue.extend([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    p.recursionMatrix.floatValue.extend([0.1] * 4)
    program, limits = converted(spec, precision="fp32")
    assert limits == [
        "'x', 'y': DOUBLE becomes FLOAT32, the widest an ML Program's features have",
        "input 'x' takes sequences as [Seq, Batch, ...] at run time; "
        "the ML Program takes its declared shape alone",
    ]
    x = np.array([1.0, 2, -1])
    expected = np.tanh(np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]) @ x)
    np.testing.assert_allclose(migrate.evaluate(program, {"x": x})["y"], expected, rtol=1e-6)
    with pytest.raises(InputError, match=r"input 'x' has 3 dimensions, the model takes 1$"):
        migrate.evaluate(program, {"x": np.ones((4, 1, 3))})


def test_pipelines():
    """Two stages: an image is halved, and classified by its channels' means."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    stages = spec.pipelineClassifier.pipeline.models
    first, second = empty(), empty("neuralNetworkClassifier")
    image(first.description.input, "photo")
    array(first.description.output, "half", (1, 3, 4, 5))
    times(first.neuralNetwork, 0.5, "photo", "half")
    array(second.description.input, "half", (1, 3, 4, 5))
    network = second.neuralNetworkClassifier
    network.layers.add(name="mean", input=["half"], output=["m"]).reduceMean.axes.extend([2, 3])
    network.stringClassLabels.vector.extend(["red", "green", "blue"])
    second.description.output.add(name="color").type.stringType.SetInParent()
    second.description.predictedFeatureName = "color"
    stages.extend([first, second])
    spec.description.input.add().CopyFrom(first.description.input[0])
    spec.description.output.add().CopyFrom(second.description.output[0])
    spec.description.predictedFeatureName = "color"
    program, limits = converted(spec)
    assert (described(program), limits) == ({"photo": ("image",), "color": ("string",)}, [])
    green = Image.new("RGB", (5, 4), (10, 200, 30))
    assert migrate.evaluate(program, {"photo": green}) == {"color": "green"}


def with_everything():
    """A classifier with features of every kind, and words for all of them."""
    spec = classifier(["two", "label", "picture", "scores", "three"], dtype="FLOAT16")
    description, network = spec.description, spec.neuralNetworkClassifier
    image(description.input, "photo", "BGR")
    scaler = network.preprocessing.add(featureName="photo").scaler
    scaler.channelScale, scaler.redBias = 0.5, -1
    array(description.input, "more.numbers", (4,), "DOUBLE").type.isOptional = True
    description.input[2].type.multiArrayType.doubleDefaultValue = 1.5
    ranged = array(description.input, "any", (2, 8)).type.multiArrayType
    for low, high in ((2, 2), (1, -1)):
        ranged.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    listed = array(description.input, "one of", (2, 2), "INT32").type.multiArrayType
    for shape in ((2, 2), (3, 5)):
        listed.enumeratedShapes.shapes.add(shape=shape)
    for name, output in (("photo", "p"), ("more.numbers", "m"), ("any", "a"), ("one of", "o")):
        times(network, 0.5, name, output)
        array(description.output, output)
    for feature in (*description.input, *description.output):
        feature.shortDescription = f"What {feature.name} is"
    metadata = description.metadata
    metadata.author, metadata.license = "A. Author", "MIT"
    metadata.shortDescription, metadata.versionString = "Does things", "1.2"
    metadata.userDefined["key"] = "value"
    return spec


def listing(spec):
    """The description of a model, a line each: what an app that uses it is compiled against."""
    description = spec.description
    lines = []
    for side in ("input", "output"):
        for feature in getattr(description, side):
            known = feature_types.read_feature(feature)
            shape = "x".join(map(str, known.shape))
            facts = [known.kind, known.color or known.dtype * (known.kind == "multiArray"), shape]
            facts += ["optional"] * known.optional
            facts += [] if known.default is None else [f"default {known.default:g}"]
            facts += ["or " + "x".join(map(str, shape)) for shape in sorted(known.shapes)]
            facts += [" by ".join(f"{low}..{high}" for low, high in known.bounds)]
            lines += [f"{side} {feature.name}", "  " + " ".join(filter(None, facts))]
            lines += [f"  {feature.shortDescription}"]
    lines += [f"label {description.predictedFeatureName}"]
    lines += [f"probabilities {description.predictedProbabilitiesName}"]
    metadata = description.metadata
    lines += [metadata.author, metadata.license, metadata.shortDescription, metadata.versionString]
    words = metadata.userDefined
    own = [key for key in sorted(words) if not key.startswith("com.github.apple.")]
    lines += [f"{key}: {words[key][:8]}" for key in own]
    return lines


class Text(SingleFileSnapshotExtension):
    """A snapshot that can be opened as what it is."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


def test_both_interfaces_side_by_side(snapshot, tmp_path):
    """Of the package on disk, as coremltools loads it."""
    spec = with_everything()
    path = tmp_path / "everything.mlpackage"
    program, limits = converted(spec)
    program.save(str(path))
    loaded = ct.models.MLModel(str(path), skip_model_load=True).get_spec()
    before, after = listing(spec), listing(loaded)
    rows = itertools.zip_longest(["NeuralNetwork", *before], ["ML Program", *after], fillvalue="")
    text = "\n".join(f"{left:<45}{right}".rstrip() for left, right in rows)
    sentences = "\n".join(f"- {sentence}" for sentence in limits)
    assert f"{text}\n\n{sentences}\n" == snapshot(extension_class=Text)


def test_the_metadata_names_the_source(tmp_path):
    spec = with_everything()
    content = spec.SerializeToString(deterministic=True)
    path = tmp_path / "m.mlmodel"
    path.write_bytes(content)
    expected = sha256(content).hexdigest()
    for model in (spec, path):
        metadata = migrate.to_mlprogram(model).get_spec().description.metadata
        assert metadata.userDefined["com.github.anereport.source_sha256"] == expected
        assert (metadata.author, metadata.license) == ("A. Author", "MIT")
        assert metadata.userDefined["key"] == "value"


@pytest.mark.parametrize("copies", [0, 2])
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_an_output_that_is_the_input_of_its_name_keeps_it(precision, copies, tmp_path):
    """As coremltools writes them for modules that return an input; a program may return it too."""
    spec = doubling(["x"], ["y", "x"])
    layers = spec.neuralNetwork.layers
    del layers[1]
    for i in range(copies):
        layers.add(name=f"copy{i}", input=["x"], output=["x"]).copy.SetInParent()
    program, found = converted(spec, precision=precision)
    assert (list(described(program)), found) == (["x", "y"], [])
    migrate.save(program, tmp_path / "p.mlpackage")
    outputs = migrate.evaluate(tmp_path / "p.mlpackage", {"x": X})
    np.testing.assert_array_equal(outputs["x"], X)
    np.testing.assert_allclose(outputs["y"], 2 * X, rtol=1e-3)
