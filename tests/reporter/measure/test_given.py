"""What Core ML would refuse on every unit: custom layers, and inputs that are not the model's."""

from __future__ import annotations

import numpy as np
import pytest
from packages import affine, saved

from migrate import AnereportError
from migrate.coreml import proto
from reporter.measure.given import GivenError, check_inputs, check_layers

COLORS = {"gray": 10, "rgb": 20, "half": 40}


@pytest.fixture
def model(tmp_path):
    """Write a network of one input `x`, an array, or with `color` an image 4 wide and 3 high."""

    def write(shape=(2, 3), exact=True, color="", ranges=(), shapes=(), optional=False):
        spec = proto("Model_pb2").Model(specificationVersion=7)
        spec.neuralNetwork.arrayInputShapeMapping = int(exact)
        feature = spec.description.input.add(name="x")
        feature.type.isOptional = optional
        if color:
            image = feature.type.imageType
            image.width, image.height, image.colorSpace = 4, 3, COLORS[color]
        else:
            array = feature.type.multiArrayType
            array.shape.extend(shape)
            array.dataType = 65568
            for low, high in ranges:
                array.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
            for one in shapes:
                array.enumeratedShapes.shapes.add(shape=one)
        spec.description.output.add(name="y").type.multiArrayType.dataType = 65568
        layer = spec.neuralNetwork.layers.add(name="relu", input=["x"], output=["y"])
        layer.activation.ReLU.SetInParent()
        path = tmp_path / "Net.mlmodel"
        path.write_bytes(spec.SerializeToString())
        return path

    return write


def zeros(*shape):
    return {"x": np.zeros(shape, np.float32)}


# --- custom layers


def test_the_classes_of_custom_layers_are_named_once_each(model):
    path = model()
    spec = proto("Model_pb2").Model.FromString(path.read_bytes())
    for name in ("Mine", "Yours", "Mine"):
        layer = spec.neuralNetwork.layers.add(name=name, input=["x"], output=["z"])
        layer.custom.className = name
    path.write_bytes(spec.SerializeToString())
    with pytest.raises(GivenError) as caught:
        check_layers(path)
    message = str(caught.value)
    assert message.startswith("Net.mlmodel has custom layers (Mine, Yours): Core ML needs the app")
    assert "results.npz" in message
    assert "\n" not in message


def test_one_inside_a_branch_is_found(model):
    path = model(shape=(1,))
    spec = proto("Model_pb2").Model.FromString(path.read_bytes())
    layer = spec.neuralNetwork.layers.add(name="b", input=["x"])
    inner = layer.branch.ifBranch.layers.add(name="c", input=["x"], output=["y"])
    inner.custom.className = "Inside"
    path.write_bytes(spec.SerializeToString())
    with pytest.raises(GivenError, match=r"custom layers \(Inside\)"):
        check_layers(path)


def test_other_models_are_taken(model, tmp_path):
    check_layers(model())
    check_layers(saved(affine(), tmp_path / "P.mlpackage"))


# --- inputs


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "the inputs lack 'x': those of Net.mlmodel are x"),
        (zeros(2, 3) | {"w": 1}, "Net.mlmodel has no input 'w': its inputs are x"),
        (zeros(3, 2), "input 'x' has the shape 2x3, not 3x2"),
        (zeros(6), "input 'x' has the shape 2x3, not 6"),
        (zeros(1, 2, 3), "not 1x2x3"),
        (zeros(1, 1, 1, 2, 3), "not 1x1x1x2x3"),
        (zeros(2, 0), "not 2x0"),
    ],
)
def test_inputs_that_are_not_the_models(model, given, words):
    with pytest.raises(AnereportError, match=words):
        check_inputs(given, model())


def test_inputs_that_are(model):
    check_inputs(zeros(2, 3), model())
    check_inputs({"x": [[1, 2, 3], [4, 5, 6]]}, model())
    check_inputs({}, model(optional=True))
    with pytest.raises(GivenError, match="not 3x2"):
        check_inputs(zeros(3, 2), model(optional=True))


@pytest.mark.parametrize(
    ("shape", "taken", "refused"),
    [
        ((4,), [(4,), (7, 2, 4, 1, 1)], [(2, 4), (7, 2, 4), (7, 2, 4, 1, 2), (7, 2, 5, 1, 1)]),
        ((4, 2, 3), [(4, 2, 3), (7, 5, 4, 2, 3)], [(1, 4, 2, 3), (7, 5, 4, 3, 2), (4, 2)]),
        ((1, 4, 2, 3), [(1, 4, 2, 3)], [(1, 1, 4, 2, 3), (4, 2, 3)]),
    ],
)
def test_the_rank_5_mapping_takes_sequences_and_batches(model, shape, taken, refused):
    path = model(shape, exact=False)
    for one in taken:
        check_inputs(zeros(*one), path)
    for one in refused:
        with pytest.raises(GivenError, match="has the shape"):
            check_inputs(zeros(*one), path)


def test_a_pipeline_takes_what_its_first_stage_does(model):
    path = model((4,), exact=False)
    stage = proto("Model_pb2").Model.FromString(path.read_bytes())
    spec = proto("Model_pb2").Model(specificationVersion=7)
    spec.description.CopyFrom(stage.description)
    spec.pipeline.models.add().CopyFrom(stage)
    path.write_bytes(spec.SerializeToString())
    check_inputs(zeros(7, 2, 4, 1, 1), path)
    with pytest.raises(GivenError, match="has the shape 4, not 7x2x5x1x1"):
        check_inputs(zeros(7, 2, 5, 1, 1), path)


def test_a_range_of_shapes(model):
    path = model(ranges=((1, 9), (3, -1)))
    for shape in ((1, 3), (9, 1000)):
        check_inputs(zeros(*shape), path)
    for shape in ((10, 3), (0, 3), (2, 2), (2, 3, 1)):
        with pytest.raises(GivenError, match=r"input 'x' has the shape 1\.\.9x3\.\., not"):
            check_inputs(zeros(*shape), path)


def test_enumerated_shapes(model):
    path = model(shapes=((2, 3), (5, 3)))
    check_inputs(zeros(5, 3), path)
    with pytest.raises(GivenError, match="input 'x' has the shape 2x3 or 5x3, not 4x3"):
        check_inputs(zeros(4, 3), path)


def test_a_dimension_that_is_left_open(model):
    path = model((2, -1))
    check_inputs(zeros(2, 77), path)
    with pytest.raises(GivenError, match=r"the shape 2x1\.\., not 3x77"):
        check_inputs(zeros(3, 77), path)


def test_an_array_that_declares_no_shape_takes_any(model):
    check_inputs(zeros(2, 77), model(()))


@pytest.mark.parametrize(
    ("color", "array"),
    [("rgb", np.full((1, 3, 3, 4), 255)), ("rgb", np.zeros((3, 3, 4), np.float64)),
     ("gray", np.ones((1, 1, 3, 4), np.uint8)), ("half", np.full((1, 3, 4), -0.5))],
)  # fmt: skip
def test_an_image(model, color, array):
    check_inputs({"x": array}, model(color=color))


@pytest.mark.parametrize(
    ("color", "array", "words"),
    [
        ("rgb", np.zeros((3, 4, 3)), "the shape 1x3x3x4, not 1x3x4x3"),
        ("rgb", np.zeros((3, 4, 4)), "the shape 1x3x3x4, not 1x3x4x4"),
        ("rgb", np.zeros((2, 3, 3, 4)), r"give \(1, 3, H, W\), not 2x3x3x4"),
        ("rgb", np.zeros((1, 3, 4)), r"give \(1, 3, H, W\)"),
        ("half", np.zeros((3, 3, 4)), r"give \(1, 1, H, W\)"),
        *(("rgb", np.full((3, 3, 4), x), "values are 0 to 255") for x in (-1, 256, 0.5, np.nan)),
    ],
)
def test_an_image_that_is_none(model, color, array, words):
    with pytest.raises(GivenError, match=words):
        check_inputs({"x": array}, model(color=color))


def test_the_inputs_of_a_program(tmp_path):
    path = saved(affine(), tmp_path / "P.mlpackage")
    with pytest.raises(GivenError, match="input 'x' has the shape 2x3, not 1x1x1x2x3"):
        check_inputs(zeros(1, 1, 1, 2, 3), path)
    check_inputs(zeros(2, 3), path)
