from __future__ import annotations

import hashlib

import numpy as np
import pytest

from migrate import AnereportError
from migrate.coreml import proto
from reporter.measure.inputs import Schedule, seeded
from reporter.write.runner.carried import CarriedError, InputValue, input_sets

COLORS = {"gray": 10, "rgb": 20, "bgr": 30, "half": 40}
ONE = Schedule(seeds=1, repeats=1)


def relu(shape=(2, 3), dtype=65568, **description):
    """A network of one input `x`, an array, or with `color` an image 4 wide and 3 high."""
    spec = proto("Model_pb2").Model(specificationVersion=7)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    feature = spec.description.input.add(name="x")
    feature.type.isOptional = description.get("optional", False)
    if "color" in description:
        image = feature.type.imageType
        image.width, image.height, image.colorSpace = 4, 3, COLORS[description["color"]]
    else:
        feature.type.multiArrayType.shape.extend(shape)
        feature.type.multiArrayType.dataType = dtype
    spec.description.output.add(name="y").type.multiArrayType.dataType = 65568
    layer = spec.neuralNetwork.layers.add(name="relu", input=["x"], output=["y"])
    layer.activation.ReLU.SetInParent()
    return spec


@pytest.fixture
def carried(tmp_path):
    """Write a model and return its input sets, and the bytes of each file by its name."""

    def carry(spec, given=None, schedule=ONE):
        path, folder = tmp_path / "Net.mlmodel", tmp_path / "Inputs"
        path.write_bytes(spec.SerializeToString())
        folder.mkdir(exist_ok=True)
        sets = list(input_sets(path, given, schedule, folder))
        return sets, {file.name: file.read_bytes() for file in folder.iterdir()}

    return carry


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
def test_an_array_is_carried_as_it_is_in_a_file_named_by_its_hash(carried, dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    (found,), files = carried(relu(), {"x": array})
    content = array.astype(array.dtype.newbyteorder("<")).tobytes()
    name = hashlib.sha256(content).hexdigest() + ".bin"
    assert files == {name: content}
    assert found.name == "user"
    assert found.values == (InputValue("x", "multiArray", dtype, (2, 3), "", name),)


def test_an_array_is_in_row_major_order_however_it_lies_in_memory(carried):
    array = np.arange(6, dtype=np.float32).reshape(3, 2).T
    _, files = carried(relu(), {"x": array})
    assert list(files.values()) == [np.float32([0, 2, 4, 1, 3, 5]).tobytes()]


def test_integers_of_64_bits_become_integers_of_32(carried):
    (found,), files = carried(relu(), {"x": np.arange(6).reshape(2, 3)})
    assert found.values[0].dtype == "int32"
    assert list(files.values()) == [np.arange(6, dtype="<i4").tobytes()]


def test_the_schedule_gives_the_inputs_that_a_mac_is_given(carried):
    spec = relu()
    sets, files = carried(spec, schedule=Schedule(seeds=2, repeats=5, controls=True))
    assert [s.name for s in sets] == ["seed-0", "seed-1", "ramp", "impulse", "zeros", "ones"]
    for number in (0, 1):
        (value,) = sets[number].values
        assert files[value.file] == seeded(spec, number)["x"].tobytes()
    assert files[sets[4].values[0].file] == bytes(24)


def test_equal_inputs_are_one_file(carried):
    spec = relu()
    spec.description.input.add().CopyFrom(spec.description.input[0])
    spec.description.input[1].name = "z"
    array = np.ones((2, 3), np.float32)
    (found,), files = carried(spec, {"x": array, "z": array.copy()})
    assert len(files) == 1
    assert [v.name for v in found.values] == ["x", "z"]


@pytest.mark.parametrize("color", ["rgb", "bgr", "gray", "half"])
def test_an_image_is_carried_as_planes_in_the_order_of_its_feature(carried, color):
    channels = 3 if color in ("rgb", "bgr") else 1
    array = np.arange(12 * channels, dtype=np.float64).reshape(channels, 3, 4)
    (found,), files = carried(relu(color=color), {"x": array})
    (value,) = found.values
    dtype = "float16" if color == "half" else "uint8"
    assert (value.kind, value.dtype, value.shape) == ("image", dtype, (1, channels, 3, 4))
    assert value.color == {"gray": "GRAYSCALE", "half": "GRAYSCALE_FLOAT16"}.get(
        color, color.upper()
    )
    assert files[value.file] == array.astype(dtype).tobytes()


def test_what_a_record_holds_of_a_seeded_image_is_what_the_model_is_given(carried):
    spec = relu(color="bgr")
    (found,), files = carried(spec)
    assert files[found.values[0].file] == seeded(spec)["x"].tobytes()


def test_an_optional_input_may_be_left_out(carried):
    (found,), files = carried(relu(optional=True), {})
    assert (found.values, files) == ((), {})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"x": np.zeros((3, 2), np.float32)}, "input 'x' has the shape 2x3, not 3x2"),
        ({}, "the inputs lack 'x': those of Net.mlmodel are x"),
        ({"x": np.zeros((2, 3), np.float32), "w": np.zeros(1)}, "has no input 'w'"),
        ({"x": np.zeros((2, 3), np.uint8)}, "an array of uint8; Core ML takes float16, float32"),
        ({"x": np.zeros((2, 3), np.complex64)}, "input 'x': a record holds"),
        ({"x": np.full((2, 3), 2**40)}, "integers of 32 bits"),
    ],
)
def test_inputs_that_are_not_the_models_are_refused(carried, given, words):
    with pytest.raises(AnereportError, match=words):
        carried(relu(), given)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 4, 3), np.uint8), "the shape 1x3x3x4, not 1x3x4x3"),
        (np.zeros((4, 3, 3), np.uint8), r"give \(1, 3, H, W\), not 4x3x3"),
        (np.zeros((2, 3, 3, 4), np.uint8), "not 2x3x3x4"),
        (np.zeros((3,), np.uint8), "not 3"),
        (np.full((3, 3, 4), 256), "its values are 0 to 255, whole"),
        (np.full((3, 3, 4), 0.5), "its values are 0 to 255, whole"),
        (np.full((3, 3, 4), np.nan), "its values are 0 to 255, whole"),
        (np.full((3, 3, 4), "a"), "its values are 0 to 255, whole"),
    ],
)
def test_an_image_that_is_none_is_refused(carried, array, words):
    with pytest.raises(AnereportError, match=words):
        carried(relu(color="rgb"), {"x": array})


def test_a_flexible_input_takes_another_shape(carried):
    spec = relu(shape=(2, 3))
    for low, high in ((1, 9), (3, 3)):
        spec.description.input[0].type.multiArrayType.shapeRange.sizeRanges.add(
            lowerBound=low, upperBound=high
        )
    (found,), _ = carried(spec, {"x": np.zeros((5, 3), np.float32)})
    assert found.values[0].shape == (5, 3)


def test_an_input_that_is_no_array_is_refused(carried):
    spec = relu()
    spec.description.input.add(name="s").type.stringType.SetInParent()
    with pytest.raises(CarriedError, match=r"input 's' of Net\.mlmodel is a string"):
        carried(spec)
