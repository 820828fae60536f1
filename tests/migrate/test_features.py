"""What predict takes and gives: arrays, images, labels, and what is not there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import migrate
from migrate import InputError, ModelError
from migrate.coreml import proto

ARRAY = proto("FeatureTypes_pb2").ArrayFeatureType
IMAGE = proto("FeatureTypes_pb2").ImageFeatureType
H, W = 4, 5
PIXELS = np.random.RandomState(0).randint(0, 256, size=(H, W, 3)).astype(np.uint8)
GRAY = PIXELS[..., 0]


def empty(kind="neuralNetwork", *, rank5=False):
    """Return a spec whose one layer copies blob x to y."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    network = getattr(spec, kind)
    network.arrayInputShapeMapping = network.imageInputShapeMapping = 0 if rank5 else 1
    layer = network.layers.add(name="same", input=["x"], output=["y"])
    layer.activation.linear.alpha = 1
    return spec


def array_spec(shape=(2, 3), *, rank5=False, output="FLOAT32", **fields):
    spec = empty(rank5=rank5)
    spec.description.input.add(name="x").type.multiArrayType.CopyFrom(ARRAY(shape=shape, **fields))
    described = spec.description.output.add(name="y").type.multiArrayType
    described.dataType = ARRAY.ArrayDataType.Value(output)
    return spec


def image_spec(color, *, output=None, rank5=True):
    """An image as input; as output the same values as an array, or an image of another color."""
    spec = empty(rank5=rank5)
    image = IMAGE(width=W, height=H, colorSpace=IMAGE.ColorSpace.Value(color))
    spec.description.input.add(name="x").type.imageType.CopyFrom(image)
    described = spec.description.output.add(name="y").type
    if output:
        image.colorSpace = IMAGE.ColorSpace.Value(output)
        described.imageType.CopyFrom(image)
    else:
        described.multiArrayType.dataType = ARRAY.FLOAT32
    return spec


def predict(spec, *args, **inputs):
    return migrate.to_torch(spec).predict({"x": args[0]} if args else inputs)


@pytest.mark.parametrize("rank5", [False, True])
@pytest.mark.parametrize(("color", "order"), [("RGB", [0, 1, 2]), ("BGR", [2, 1, 0])])
def test_color_images(color, order, rank5):
    """A PIL image is put in the declared order; an array has it already, in any layout."""
    spec = image_spec(color, rank5=rank5)
    want = PIXELS[..., order].transpose(2, 0, 1)
    shape = (3, H, W) if rank5 else (1, 3, H, W)
    ordered = PIXELS[..., order]
    forms = [
        Image.fromarray(PIXELS),
        Image.fromarray(PIXELS).convert("RGBA"),
        ordered,
        ordered.astype(np.float64),
        want,
        want[None],
        ordered[None],
        torch.tensor(want.copy()),
    ]
    for form in forms:
        y = predict(spec, form)["y"]
        assert y.shape == shape
        np.testing.assert_array_equal(y.reshape(3, H, W), want)


def test_gray_images():
    spec = image_spec("GRAYSCALE")
    forms = [Image.fromarray(GRAY), GRAY, GRAY[None], GRAY[..., None], GRAY[None, None]]
    for form in forms:
        y = predict(spec, form)["y"]
        assert y.shape == (1, H, W)
        np.testing.assert_array_equal(y[0], GRAY)
    color = Image.fromarray(PIXELS)
    y = predict(spec, color)["y"]
    np.testing.assert_array_equal(y[0], np.asarray(color.convert("L")))


def test_float16_gray_images_are_not_cut_to_8_bits():
    values = np.linspace(-1, 300, H * W).astype(np.float32).reshape(H, W)
    y = predict(image_spec("GRAYSCALE_FLOAT16"), Image.fromarray(values))["y"]
    np.testing.assert_array_equal(y[0], values)
    image = predict(image_spec("GRAYSCALE_FLOAT16", output="GRAYSCALE_FLOAT16"), values)["y"]
    assert image.mode == "F"
    np.testing.assert_array_equal(np.asarray(image), values)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((H, W)),
        np.zeros((2, 3, H, W)),
        np.zeros((4, H, W)),
        np.zeros((H, W, 4)),
        np.zeros(3),
        np.zeros(()),
        "image.png",
        [[1], [2, 3]],
        None,
    ],
)
def test_what_is_no_color_image(value):
    with pytest.raises(InputError, match=r"input 'x' is (an image of 3 channels|not an array)"):
        predict(image_spec("RGB"), value)


@pytest.mark.parametrize("form", [Image.new("RGB", (W + 1, H)), np.zeros((3, H, W + 1))])
def test_an_image_of_another_size(form):
    words = r"input 'x' has shape 1x3x4x6, the model takes 1x3x4x5$"
    with pytest.raises(InputError, match=words):
        predict(image_spec("RGB"), form)


def test_images_of_several_sizes():
    spec = image_spec("RGB")
    sizes = spec.description.input[0].type.imageType.enumeratedSizes.sizes
    for width, height in ((W, H), (8, 7)):
        sizes.add(width=width, height=height)
    assert predict(spec, Image.new("RGB", (8, 7)))["y"].shape == (3, 7, 8)
    with pytest.raises(InputError, match="the model takes 1x3x4x5, 1x3x7x8"):
        predict(spec, Image.new("RGB", (7, 8)))


def test_images_of_a_range_of_sizes():
    spec = image_spec("GRAYSCALE")
    sizes = spec.description.input[0].type.imageType.imageSizeRange
    sizes.widthRange.lowerBound, sizes.widthRange.upperBound = 3, 6
    sizes.heightRange.lowerBound, sizes.heightRange.upperBound = 2, -1
    assert predict(spec, np.zeros((50, 6)))["y"].shape == (1, 50, 6)
    for size in ((50, 7), (50, 2), (1, 6)):
        with pytest.raises(InputError, match="input 'x' has shape"):
            predict(spec, np.zeros(size))


@pytest.mark.parametrize(
    ("output", "order"), [("RGB", [0, 1, 2]), ("BGR", [2, 1, 0])]
)  # the blob's channels are named by the output's color
@pytest.mark.parametrize("rank5", [False, True])
def test_color_image_outputs(output, order, rank5):
    image = predict(image_spec("RGB", output=output, rank5=rank5), Image.fromarray(PIXELS))["y"]
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), PIXELS[..., order])


def test_image_outputs_are_rounded_and_cut_to_8_bits():
    values = np.full((H, W), 7.0)
    values[0] = [-3.0, 300.0, 1.4, 1.6, 255.4]
    image = predict(image_spec("GRAYSCALE", output="GRAYSCALE"), values)["y"]
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image)[0], [0, 255, 1, 2, 255])


def scaler(spec, name="x", **biases):
    step = spec.neuralNetwork.preprocessing.add(featureName=name)
    step.scaler.channelScale = 0.5
    for field, value in biases.items():
        setattr(step.scaler, field, value)


BIASES = {"redBias": 1.0, "greenBias": 2.0, "blueBias": 3.0, "grayBias": 40.0}


@pytest.mark.parametrize(
    ("color", "order", "biases"), [("RGB", [0, 1, 2], [1, 2, 3]), ("BGR", [2, 1, 0], [3, 2, 1])]
)
@pytest.mark.parametrize("name", ["x", ""])
def test_scaler(color, order, biases, name):
    """channelScale * x + the bias of the channel's color; without a name it is for the image."""
    spec = image_spec(color)
    scaler(spec, name, **BIASES)
    y = predict(spec, Image.fromarray(PIXELS))["y"]
    want = 0.5 * PIXELS[..., order].transpose(2, 0, 1) + np.reshape(biases, (3, 1, 1))
    np.testing.assert_allclose(y, want)


def test_gray_scaler():
    spec = image_spec("GRAYSCALE")
    scaler(spec, **BIASES)
    np.testing.assert_allclose(predict(spec, GRAY)["y"][0], 0.5 * GRAY + 40)


def test_a_scaler_of_another_input_is_not_applied():
    spec = image_spec("GRAYSCALE")
    other = spec.description.input.add(name="z")
    other.CopyFrom(spec.description.input[0])
    other.name = "z"
    scaler(spec, "z", **BIASES)
    y = predict(spec, x=GRAY, z=GRAY)["y"]
    np.testing.assert_array_equal(y[0], GRAY)


def test_mean_image():
    """The mean is subtracted, as [C, H, W] in the channels' order; steps follow each other."""
    spec = image_spec("BGR")
    mean = np.random.RandomState(1).uniform(0, 255, (3, H, W)).astype(np.float32)
    step = spec.neuralNetwork.preprocessing.add(featureName="x")
    step.meanImage.meanImage.extend(mean.ravel())
    want = PIXELS[..., ::-1].transpose(2, 0, 1) - mean
    np.testing.assert_allclose(predict(spec, Image.fromarray(PIXELS))["y"], want, rtol=1e-6)
    scaler(spec, redBias=1.0)
    want = 0.5 * want + np.reshape([0, 0, 1], (3, 1, 1))
    np.testing.assert_allclose(predict(spec, Image.fromarray(PIXELS))["y"], want, rtol=1e-5)


def test_a_mean_image_of_another_size():
    spec = image_spec("RGB")
    step = spec.neuralNetwork.preprocessing.add(featureName="x")
    step.meanImage.meanImage.extend([0.0] * 7)
    with pytest.raises(ModelError, match="mean image of input 'x' holds 7 values, expected 60"):
        migrate.to_torch(spec)


def test_a_mean_image_and_an_image_of_another_allowed_size():
    spec = image_spec("RGB")
    spec.neuralNetwork.preprocessing.add().meanImage.meanImage.extend([0.0] * 60)
    sizes = spec.description.input[0].type.imageType.enumeratedSizes.sizes
    for width, height in ((W, H), (8, 7)):
        sizes.add(width=width, height=height)
    with pytest.raises(ModelError, match="mean image of input 'x'"):
        predict(spec, Image.new("RGB", (8, 7)))


def test_arrays():
    """Anything that numpy takes as an array of numbers."""
    want = np.array([[1.0, 0.0, 2.0], [3.0, 1.0, 0.0]])
    forms = [want, want.tolist(), want.astype(np.int8), torch.tensor(want), want.astype("f2")]
    for form in forms:
        y = predict(array_spec(), form)["y"]
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, want)
    y = predict(array_spec(), want > 0)["y"]
    np.testing.assert_array_equal(y, want > 0)


@pytest.mark.parametrize(
    "value", ["text", [["1", "2", "3"]] * 2, None, [[1], [2, 3]], {"a": 1}, np.ones((2, 3)) * 1j]
)
def test_what_is_no_array(value):
    with pytest.raises(InputError, match="input 'x' is not an array of numbers"):
        predict(array_spec(), value)


@pytest.mark.parametrize("shape", [(2, 4), (3,), (3, 2), (2, 3, 1), (6,), ()])
def test_arrays_of_another_shape(shape):
    words = r"input 'x' has shape .*, the model takes 2x3$"
    with pytest.raises(InputError, match=words):
        predict(array_spec(), np.ones(shape))


@pytest.mark.parametrize("leading", [(), (1,), (1, 1, 1)])
def test_leading_ones(leading):
    x = np.arange(6.0).reshape(2, 3)
    y = predict(array_spec(), x.reshape(*leading, 2, 3))["y"]
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize(
    ("declared", "given", "found"),
    [
        ((3, 4, 5), (3, 4, 5), (3, 4, 5)),
        ((3, 4, 5), (1, 1, 3, 4, 5), (3, 4, 5)),
        ((3, 4, 5), (2, 3, 4, 5), (2, 3, 4, 5)),
        ((3, 4, 5), (2, 1, 3, 4, 5), (2, 1, 3, 4, 5)),
        ((6,), (6,), (6, 1, 1)),
        ((6,), (1, 1, 6), (6, 1, 1)),
        ((6,), (5, 2, 6), (5, 2, 6, 1, 1)),
        ((6,), (5, 2, 6, 1, 1), (5, 2, 6, 1, 1)),
    ],
)
def test_sequence_and_batch_of_the_rank_5_mapping(declared, given, found):
    x = np.random.RandomState(0).uniform(size=given).astype(np.float32)
    y = predict(array_spec(declared, rank5=True), x)["y"]
    np.testing.assert_array_equal(y, x.reshape(found))


def test_a_scalar_is_an_array_of_one():
    np.testing.assert_array_equal(predict(array_spec((1,)), 3.0)["y"], [3.0])


def test_enumerated_shapes():
    spec = array_spec((2, 3))
    allowed = spec.description.input[0].type.multiArrayType.enumeratedShapes.shapes
    for shape in ((2, 3), (5, 7)):
        allowed.add(shape=shape)
    assert predict(spec, np.ones((5, 7)))["y"].shape == (5, 7)
    with pytest.raises(InputError, match="has shape 2x7, the model takes 2x3, 5x7"):
        predict(spec, np.ones((2, 7)))


def test_ranges_of_shapes():
    spec = array_spec((2, 3))
    allowed = spec.description.input[0].type.multiArrayType.shapeRange.sizeRanges
    allowed.add(lowerBound=2, upperBound=4)
    allowed.add(lowerBound=1, upperBound=-1)
    assert predict(spec, np.ones((4, 100)))["y"].shape == (4, 100)
    for shape in ((5, 3), (1, 3), (3,)):
        with pytest.raises(InputError, match="input 'x' has shape"):
            predict(spec, np.ones(shape))


def test_open_dimensions():
    assert predict(array_spec((2, -1)), np.ones((2, 9)))["y"].shape == (2, 9)
    with pytest.raises(InputError, match="has shape 3x9"):
        predict(array_spec((2, 0)), np.ones((3, 9)))


@pytest.mark.parametrize(
    ("output", "dtype"),
    [
        ("FLOAT32", np.float32),
        ("DOUBLE", np.float64),
        ("INT32", np.int32),
        ("FLOAT16", np.float16),
        ("INVALID_ARRAY_DATA_TYPE", np.float32),
    ],
)
def test_outputs_have_the_declared_type(output, dtype):
    x = np.array([[1.0, -2.0, 3.0], [40.0, 5.0, 0.0]])
    y = predict(array_spec(output=output), x)["y"]
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, x)


def number_spec(kind, shape):
    spec = array_spec(shape)
    getattr(spec.description.output[0].type, f"{kind}Type").SetInParent()
    return spec


@pytest.mark.parametrize(
    ("kind", "value", "number"), [("double", 2.5, 2.5), ("int64", 2.0, 2), ("int64", -7.0, -7)]
)
def test_outputs_of_one_number(kind, value, number):
    found = predict(number_spec(kind, (1, 1)), np.full((1, 1), value))["y"]
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize("kind", ["double", "int64"])
@pytest.mark.parametrize(("shape", "named"), [((2, 3), "2x3"), ((4,), "4")])
def test_an_output_of_one_number_that_is_several(kind, shape, named):
    with pytest.raises(ModelError) as e:
        predict(number_spec(kind, shape), np.ones(shape))
    assert str(e.value) == f"output 'y' is one number, the model gives {named}"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_integer_that_is_no_number(value):
    assert repr(predict(number_spec("double", (1,)), np.array([value]))["y"]) == str(value)
    with pytest.raises(ModelError, match=f"^output 'y' is an integer, the model gives {value}$"):
        predict(number_spec("int64", (1,)), np.array([value]))


def test_optional_inputs_are_filled():
    spec = array_spec((2, 3), floatDefaultValue=0.25)
    spec.description.input[0].type.isOptional = True
    np.testing.assert_array_equal(predict(spec)["y"], np.full((2, 3), 0.25))
    np.testing.assert_array_equal(predict(spec, np.ones((2, 3)))["y"], np.ones((2, 3)))
    spec = array_spec((2, 3))
    spec.description.input[0].type.isOptional = True
    np.testing.assert_array_equal(predict(spec)["y"], np.zeros((2, 3)))


def test_missing_and_unknown_inputs():
    with pytest.raises(InputError, match="input 'x' is missing"):
        predict(array_spec())
    spec = array_spec()
    spec.description.input.add(name="a").type.multiArrayType.shape.append(1)
    with pytest.raises(InputError, match="the model has no input 'z'; it has a, x"):
        predict(spec, x=np.ones((2, 3)), a=[1.0], z=[1.0])


def test_the_callers_inputs_are_not_changed():
    inputs = {"x": np.ones((1, 2, 3))}
    migrate.to_torch(array_spec()).predict(inputs)
    assert list(inputs) == ["x"]
    assert inputs["x"].shape == (1, 2, 3)


def classifier(labels, *, dictionary="probabilities", scores="y", array_output=False):
    spec = empty("neuralNetworkClassifier", rank5=True)
    array = ARRAY(shape=[3], dataType=ARRAY.FLOAT32)
    spec.description.input.add(name="x").type.multiArrayType.CopyFrom(array)
    kind = "string" if isinstance(labels[0], str) else "int64"
    network = spec.neuralNetworkClassifier
    getattr(network, f"{kind}ClassLabels").vector.extend(labels)
    network.labelProbabilityLayerName = scores
    spec.description.predictedFeatureName = "label"
    if array_output:
        spec.description.output.add(name="y").type.multiArrayType.CopyFrom(array)
    getattr(spec.description.output.add(name="label").type, f"{kind}Type").SetInParent()
    if dictionary:
        spec.description.predictedProbabilitiesName = dictionary
        described = spec.description.output.add(name=dictionary).type.dictionaryType
        getattr(described, f"{kind}KeyType").SetInParent()
    return spec


@pytest.mark.parametrize("labels", [("cat", "dog", "cow"), (30, 10, 20)])
@pytest.mark.parametrize("scores", ["y", ""])
def test_classifiers(labels, scores):
    """Without a name of its blob, the last layer's output holds the probabilities."""
    outputs = predict(classifier(labels, scores=scores), [0.25, 0.5, 0.125])
    assert outputs == {
        "label": labels[1],
        "probabilities": dict(zip(labels, [0.25, 0.5, 0.125], strict=True)),
    }
    assert type(outputs["label"]) is type(labels[0])


def test_the_module_of_a_classifier_gives_the_probabilities():
    y = migrate.to_torch(classifier(("a", "b", "c")))(torch.tensor([0.25, 0.5, 0.125]))
    assert y.flatten().tolist() == [0.25, 0.5, 0.125]


def test_a_classifier_without_a_dictionary():
    assert predict(classifier(("a", "b", "c"), dictionary=""), [0.0, 0.0, 1.0]) == {"label": "c"}


def test_a_classifier_with_a_further_output():
    outputs = predict(classifier(("a", "b", "c"), array_output=True), [0.0, 1.0, 0.5])
    assert sorted(outputs) == ["label", "probabilities", "y"]
    assert outputs["label"] == "b"
    np.testing.assert_array_equal(outputs["y"], [0.0, 1.0, 0.5])


def test_a_classifier_with_labels_of_another_number():
    for labels in (("a", "b"), ("a", "b", "c", "d")):
        with pytest.raises(ModelError, match=f"the model has {len(labels)} labels and 3 scores"):
            predict(classifier(labels), [0.1, 0.2, 0.7])


def test_a_classifier_without_layers():
    spec = classifier(("a",), scores="")
    del spec.neuralNetworkClassifier.layers[:]
    with pytest.raises(ModelError):
        predict(spec, [0.0, 0.0, 1.0])
