from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import migrate
from migrate import ModelError
from migrate.coreml import coremltools, proto
from migrate.feature_types import default_shape

ARRAY = proto("FeatureTypes_pb2").ArrayFeatureType
IMAGE = proto("FeatureTypes_pb2").ImageFeatureType


def model():
    return proto("Model_pb2").Model(specificationVersion=4)


def small(kind="neuralNetwork"):
    """Return a spec with input x, an activation `act` and output y."""
    spec = model()
    spec.description.input.add(name="x").type.multiArrayType.shape.extend([2, 3])
    spec.description.output.add(name="y").type.multiArrayType.dataType = ARRAY.FLOAT32
    network = getattr(spec, kind)
    network.arrayInputShapeMapping = 1
    layer = network.layers.add(name="act", input=["x"], output=["y"])
    layer.activation.linear.alpha = 2
    return spec


def refusal(path):
    """Return the one sentence in which `read` refuses the file, which names it."""
    with pytest.raises(ModelError) as caught:
        migrate.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert "None" not in message
    return message


def test_a_path_a_string_a_spec_and_a_model_are_read_alike(tmp_path):
    spec = small()
    path = tmp_path / "small.mlmodel"
    path.write_bytes(spec.SerializeToString())

    class Loaded:
        def get_spec(self):
            return spec

    for form in (path, str(path), spec, Loaded()):
        network = migrate.read(form)
        assert network.kind == "neuralNetwork"
        assert network.spec_version == 4
        assert [f.name for f in network.inputs] == ["x"]
        assert [f.name for f in network.outputs] == ["y"]
        layer = network.layers[0]
        assert (layer.name, layer.kind) == ("act", "activation")
        assert (layer.inputs, layer.outputs) == (("x",), ("y",))
        assert layer.params.linear.alpha == 2


@pytest.mark.parametrize("name", ["none.mlmodel", "no/such/folder.mlmodel"])
def test_no_such_file(tmp_path, name):
    assert "no such file" in refusal(tmp_path / name)


def test_a_name_too_long_for_the_system():
    with pytest.raises(ModelError):
        migrate.read("x" * 5000)


def test_a_directory(tmp_path):
    assert "is a directory" in refusal(tmp_path)


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.mlmodel"
    path.touch()
    assert "is empty" in refusal(path)


def test_a_file_cut_off_anywhere(tmp_path):
    whole = small().SerializeToString(deterministic=True)
    path = tmp_path / "cut.mlmodel"
    for size in range(1, len(whole)):
        path.write_bytes(whole[:size])
        assert "not a Core ML model, or it is cut off" in refusal(path), size
    path.write_bytes(whole)
    assert migrate.read(path).layers


@pytest.mark.parametrize(
    "content",
    [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n",
        b"{}",
        b"\n",
        b"\0" * 100,
        b"PK\x03\x04" + bytes(range(256)),
    ],
)
def test_another_kind_of_file(tmp_path, content):
    path = tmp_path / "text.mlmodel"
    path.write_bytes(content)
    assert "not a Core ML model" in refusal(path)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes(tmp_path, seed):
    path = tmp_path / "random.mlmodel"
    path.write_bytes(np.random.RandomState(seed).bytes(1000))
    refusal(path)


def test_no_permission_to_read(tmp_path, monkeypatch):
    path = tmp_path / "secret.mlmodel"
    path.write_bytes(small().SerializeToString())

    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert "Permission denied" in refusal(path)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("treeEnsembleClassifier", "is a tree ensemble classifier, not a NeuralNetwork"),
        ("treeEnsembleRegressor", "is a tree ensemble regressor"),
        ("glmRegressor", "is of type glmRegressor"),
        ("wordTagger", "is of type wordTagger"),
        ("mlProgram", "is an ML Program, not a NeuralNetwork: it is in the newer format already"),
    ],
)
def test_another_kind_of_model(tmp_path, kind, words):
    spec = model()
    getattr(spec, kind).SetInParent()
    path = tmp_path / f"{kind}.mlmodel"
    path.write_bytes(spec.SerializeToString())
    assert words in refusal(path)
    with pytest.raises(ModelError, match=r"^the model is ") as caught:
        migrate.read(spec)
    assert "\n" not in str(caught.value)


def test_every_type_of_model_has_a_sentence():
    for field in proto("Model_pb2").Model.DESCRIPTOR.oneofs_by_name["Type"].fields:
        spec = model()
        if field.message_type:
            getattr(spec, field.name).SetInParent()
        else:
            setattr(spec, field.name, b"x")
        if field.name.startswith("neuralNetwork"):
            assert migrate.read(spec).kind == field.name
        else:
            with pytest.raises(ModelError, match="not a NeuralNetwork"):
                migrate.read(spec)


def test_a_spec_without_a_type():
    with pytest.raises(ModelError) as caught:
        migrate.read(model())
    assert "None" not in str(caught.value)


def test_an_empty_package(tmp_path):
    path = tmp_path / "empty.mlpackage"
    path.mkdir()
    assert "not a readable .mlpackage" in refusal(path)


def test_packages(tmp_path):
    program = model()
    program.mlProgram.version = 1
    save = coremltools().models.utils.save_spec
    save(program, str(tmp_path / "program.mlpackage"), weights_dir=str(tmp_path))
    assert "is an ML Program" in refusal(tmp_path / "program.mlpackage")
    save(small(), str(tmp_path / "network.mlpackage"))
    assert [layer.name for layer in migrate.read(tmp_path / "network.mlpackage").layers] == ["act"]


@pytest.mark.parametrize("labels", [("a", "b"), (3, 1)])
def test_a_classifier_is_unwrapped(labels):
    spec = small("neuralNetworkClassifier")
    classifier = spec.neuralNetworkClassifier
    kind = "string" if isinstance(labels[0], str) else "int64"
    getattr(classifier, f"{kind}ClassLabels").vector.extend(labels)
    classifier.labelProbabilityLayerName = "y"
    spec.description.predictedFeatureName = "label"
    spec.description.predictedProbabilitiesName = "probabilities"
    network = migrate.read(spec)
    assert network.kind == "neuralNetworkClassifier"
    assert network.labels == labels
    assert network.probabilities == "y"
    assert network.predicted_feature == "label"
    assert not network.rank5_arrays
    assert network.rank5_images
    assert [layer.name for layer in network.layers] == ["act"]


def test_a_regressor_is_unwrapped():
    spec = small("neuralNetworkRegressor")
    spec.description.predictedFeatureName = "y"
    network = migrate.read(spec)
    assert network.kind == "neuralNetworkRegressor"
    assert network.labels == ()
    y = migrate.to_torch(spec).predict({"x": np.ones((2, 3))})["y"]
    np.testing.assert_array_equal(y, np.full((2, 3), 2.0))


def test_mappings():
    spec = small()
    spec.neuralNetwork.imageInputShapeMapping = 1
    network = migrate.read(spec)
    assert (network.rank5_arrays, network.rank5_images) == (False, False)
    spec.neuralNetwork.arrayInputShapeMapping = 0
    assert migrate.read(spec).rank5_arrays


def feature(**fields):
    """Read the one input of a spec, whose type's fields are given."""
    spec = small()
    del spec.description.input[:]
    described = spec.description.input.add(name="x")
    for name, value in fields.items():
        if name == "isOptional":
            described.type.isOptional = value
        else:
            getattr(described.type, name).CopyFrom(value)
    return migrate.read(spec).inputs[0]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("FLOAT32", "float32"),
        ("FLOAT16", "float16"),
        ("DOUBLE", "float64"),
        ("INT32", "int32"),
        ("INVALID_ARRAY_DATA_TYPE", "float32"),
    ],
)
def test_array_features(code, name):
    array = ARRAY(shape=[2, 3, 4], dataType=ARRAY.ArrayDataType.Value(code))
    read = feature(multiArrayType=array)
    assert (read.name, read.kind, read.shape, read.dtype) == ("x", "multiArray", (2, 3, 4), name)
    assert (read.shapes, read.bounds, read.optional, read.default) == ((), (), False, None)
    assert default_shape(read) == (2, 3, 4)


@pytest.mark.parametrize(
    ("field", "value"),
    [("floatDefaultValue", 0.5), ("doubleDefaultValue", -2.0), ("intDefaultValue", 3)],
)
def test_optional_arrays(field, value):
    read = feature(isOptional=True, multiArrayType=ARRAY(shape=[2], **{field: value}))
    assert read.optional
    assert read.default == value
    assert feature(isOptional=True, multiArrayType=ARRAY(shape=[2])).default is None


def test_enumerated_arrays():
    """Without a shape of its own, the first one is the default."""
    array = ARRAY(dataType=ARRAY.FLOAT32)
    for size in (3, 5):
        array.enumeratedShapes.shapes.add(shape=[1, size])
    read = feature(multiArrayType=array)
    assert (read.shape, read.shapes) == ((1, 3), ((1, 3), (1, 5)))
    array.shape.extend([1, 5])
    assert feature(multiArrayType=array).shape == (1, 5)


def test_ranged_arrays():
    """Without a shape of its own, the lower bounds are the default."""
    array = ARRAY(dataType=ARRAY.FLOAT32)
    for low, high in ((2, 2), (3, 7), (1, -1)):
        array.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    read = feature(multiArrayType=array)
    assert read.bounds == ((2, 2), (3, 7), (1, -1))
    assert read.shape == (2, 3, 1)
    assert default_shape(read) == (2, 3, 1)
    array.shape.extend([2, 5, 10])
    assert default_shape(feature(multiArrayType=array)) == (2, 5, 10)


@pytest.mark.parametrize(
    ("color", "name", "channels"),
    [
        (IMAGE.RGB, "RGB", 3),
        (IMAGE.BGR, "BGR", 3),
        (IMAGE.GRAYSCALE, "GRAYSCALE", 1),
        (IMAGE.GRAYSCALE_FLOAT16, "GRAYSCALE_FLOAT16", 1),
    ],
)
def test_images(color, name, channels):
    read = feature(imageType=IMAGE(width=5, height=4, colorSpace=color))
    assert (read.kind, read.shape, read.color) == ("image", (1, channels, 4, 5), name)
    assert default_shape(read) == read.shape


def test_enumerated_images():
    """Without a size of its own, the first one is the default."""
    image = IMAGE(colorSpace=IMAGE.RGB)
    for width, height in ((6, 7), (8, 9)):
        image.enumeratedSizes.sizes.add(width=width, height=height)
    read = feature(imageType=image)
    assert read.shapes == ((1, 3, 7, 6), (1, 3, 9, 8))
    assert read.shape == default_shape(read) == (1, 3, 7, 6)
    image.width, image.height = 8, 9
    assert feature(imageType=image).shape == (1, 3, 9, 8)


def test_ranged_images():
    """Without a size of its own, the lower bounds are the default."""
    image = IMAGE(colorSpace=IMAGE.GRAYSCALE)
    sizes = image.imageSizeRange
    sizes.widthRange.lowerBound, sizes.widthRange.upperBound = 20, -1
    sizes.heightRange.lowerBound, sizes.heightRange.upperBound = 10, 30
    read = feature(imageType=image)
    assert read.bounds == ((1, 1), (1, 1), (10, 30), (20, -1))
    assert read.shape == default_shape(read) == (1, 1, 10, 20)


SIZES = st.integers(0, 48)  # five of them are 1 GB, which is allowed
RANGES = st.one_of(
    st.tuples(SIZES, st.just(-1)),
    st.tuples(SIZES, SIZES).map(sorted).filter(lambda bounds: bounds[1] > 0),
)


@given(bounds=st.lists(RANGES, min_size=1, max_size=5), shaped=st.booleans())
def test_the_default_shape_is_one_that_the_feature_allows(bounds, shaped):
    array = ARRAY(shape=[low for low, _ in bounds] if shaped else [])
    for low, high in bounds:
        array.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    shape = default_shape(feature(multiArrayType=array))
    assert len(shape) == len(bounds)
    for size, (low, high) in zip(shape, bounds, strict=True):
        assert size >= max(low, 1)
        assert high < 0 or size <= high


@pytest.mark.parametrize(
    ("lows", "filled"),
    [
        ((0,) * 4, (64,) * 4),
        ((0,) * 6, (16,) * 6),
        ((0,) * 8, (8,) * 8),
        ((65, *(0,) * 4), (65, *(32,) * 4)),
        ((2**27, 0, 0), (2**27, 2, 2)),
        ((2**29, 0, 0), (2**29, 1, 1)),
    ],
)
def test_open_dimensions_are_smaller_where_there_are_many(lows, filled):
    """The largest power of two up to 64 with which there are no more than 2**29 elements."""
    array = ARRAY()
    for low in lows:
        array.shapeRange.sizeRanges.add(lowerBound=low, upperBound=-1)
    assert default_shape(feature(multiArrayType=array)) == filled


def test_a_dimension_that_is_open_to_little_has_no_more():
    array = ARRAY()
    for high in (3, -1, -1, -1, -1, -1):
        array.shapeRange.sizeRanges.add(lowerBound=0, upperBound=high)
    assert default_shape(feature(multiArrayType=array)) == (3, 32, 32, 32, 32, 32)


def test_a_shape_that_is_too_large_however_it_is_filled():
    read = feature(multiArrayType=ARRAY(shape=[2**30, 2, -1]))
    with pytest.raises(ModelError) as e:
        default_shape(read)
    assert str(e.value) == (
        f"feature {read.name!r} claims a size of 1073741824x2x1, the largest is 536,870,912: "
        "declare a smaller shape"
    )


@pytest.mark.parametrize("shape", [(1, 3, 1800, 0), (-1, 4)])
def test_open_dimensions_are_filled(shape):
    read = feature(multiArrayType=ARRAY(shape=shape))
    filled = default_shape(read)
    assert all(n > 0 for n in filled)
    assert all(n == m for n, m in zip(shape, filled, strict=True) if n > 0)


def nested_layer(layers, name, kind, inputs=(), outputs=()):
    layer = layers.add(name=name, input=inputs, output=outputs)
    getattr(layer, kind).SetInParent()
    return layer


def test_branch_is_widened():
    """A branch reads and writes what the layers inside do, if it exists outside."""
    spec = small()
    layers = spec.neuralNetwork.layers
    branch = nested_layer(layers, "if", "branch", ["x"]).branch
    nested_layer(branch.ifBranch.layers, "1", "add", ["y", "x"], ["inner"])
    nested_layer(branch.ifBranch.layers, "2", "copy", ["inner"], ["y"])
    nested_layer(branch.elseBranch.layers, "3", "copy", ["x"], ["z"])
    network = migrate.read(spec)
    layer = network.layers[1]
    assert layer.kind == "branch"
    assert layer.inputs[0] == "x"
    assert set(layer.inputs) == {"x", "y"}
    assert set(layer.outputs) == {"inner", "y", "z"}
    assert [[inside.name for inside in block] for block in layer.blocks] == [["1", "2"], ["3"]]
    assert [found.name for found in network.all_layers()] == ["act", "if", "1", "2", "3"]


def test_loop_is_widened_through_every_level():
    spec = small()
    loop = nested_layer(spec.neuralNetwork.layers, "loop", "loop").loop
    nested_layer(loop.conditionNetwork.layers, "test", "lessThan", ["y"], ["again"])
    branch = nested_layer(loop.bodyNetwork.layers, "if", "branch", ["again"]).branch
    nested_layer(branch.ifBranch.layers, "deep", "add", ["y", "x"], ["y"])
    network = migrate.read(spec)
    layer = network.layers[1]
    assert set(layer.inputs) == {"x", "y"}
    assert set(layer.outputs) == {"again", "y"}
    body = layer.blocks[1][0]
    assert set(body.inputs) == {"again", "x", "y"}
    assert [found.name for found in network.all_layers()] == ["act", "loop", "test", "if", "deep"]
    assert not network.legacy


def test_overwritten():
    spec = small()
    layers = spec.neuralNetwork.layers
    nested_layer(layers, "second", "copy", ["y"], ["x", "z"])
    nested_layer(layers, "third", "copy", ["x"], ["y"])
    branch = nested_layer(layers, "if", "branch", ["x"]).branch
    nested_layer(branch.ifBranch.layers, "inside", "copy", ["x"], ["z"])
    assert migrate.read(spec).overwritten() == {
        "x": ("the input", "second"),
        "y": ("act", "third"),
    }
    assert migrate.read(small()).overwritten() == {}


def test_legacy():
    """Legacy is a network of layers from before specification version 4 alone."""
    spec = small()
    assert migrate.read(spec).legacy
    nested_layer(spec.neuralNetwork.layers, "custom", "custom", ["y"], ["z"])
    assert migrate.read(spec).legacy
    nested_layer(spec.neuralNetwork.layers, "copy", "copy", ["y"], ["w"])
    assert not migrate.read(spec).legacy


def test_a_layer_of_no_known_type_is_read():
    """A newer proto may hold layers that this one does not know."""
    spec = small()
    spec.neuralNetwork.layers.add(name="new", input=["y"], output=["z"])
    network = migrate.read(spec)
    assert network.layers[1].kind == "of no known type"
    assert network.layers[1].params is None
    assert not network.legacy


def test_frozen():
    network = migrate.read(small())
    with pytest.raises(AttributeError):
        network.kind = "other"
    with pytest.raises(AttributeError):
        network.layers[0].name = "other"
    hash(network.inputs[0])
