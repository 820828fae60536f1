"""The ML Program's interface and arithmetic, read from its spec; nothing is run here."""

from __future__ import annotations

import numpy as np
import pytest

import migrate
from migrate import UnsupportedError
from migrate.coreml import proto
from migrate.mlprogram import ConversionError
from migrate.options import PRECISIONS, TARGETS

ARRAY = proto("FeatureTypes_pb2").ArrayFeatureType
IMAGE = proto("FeatureTypes_pb2").ImageFeatureType
MIL = proto("MIL_pb2").DataType
WIDTHS = {MIL.FLOAT16: "fp16", MIL.FLOAT32: "fp32"}


def two_inputs():
    """Inputs b [2, 3] and a [3]; outputs total = a + b, and double = 2 b, declared first."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    for name, shape in (("b", (2, 3)), ("a", (3,))):
        array = ARRAY(shape=shape, dataType=ARRAY.FLOAT32)
        spec.description.input.add(name=name).type.multiArrayType.CopyFrom(array)
    for name in ("double", "total"):
        spec.description.output.add(name=name).type.multiArrayType.dataType = ARRAY.FLOAT32
    layers = spec.neuralNetwork.layers
    layers.add(name="sum", input=["a", "b"], output=["total"]).addBroadcastable.SetInParent()
    layers.add(name="twice", input=["b"], output=["double"]).activation.linear.alpha = 2
    return spec


def one(shape=(1, 3, 4, 5), **array):
    """One input x, one convolution 1x1 with seeded weights, one output y."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = spec.neuralNetwork.imageInputShapeMapping = 1
    array.setdefault("dataType", ARRAY.FLOAT32)
    spec.description.input.add(name="x").type.multiArrayType.CopyFrom(ARRAY(shape=shape, **array))
    spec.description.output.add(name="y").type.multiArrayType.dataType = ARRAY.FLOAT32
    layer = spec.neuralNetwork.layers.add(name="c", input=["x"], output=["y"])
    p = layer.convolution
    p.outputChannels, p.kernelChannels, p.hasBias = 2, 3, True
    p.kernelSize.extend([1, 1])
    p.valid.SetInParent()
    p.weights.floatValue.extend([1, 2, 3, 4, 5, 6])
    p.bias.floatValue.extend([0.5, -0.5])
    return spec


def linear(data_type=ARRAY.FLOAT32, output=ARRAY.FLOAT32):
    spec = two_inputs()
    del spec.neuralNetwork.layers[0], spec.description.output[1], spec.description.input[1]
    spec.description.input[0].type.multiArrayType.dataType = data_type
    spec.description.output[0].type.multiArrayType.dataType = output
    return spec


def operations(program):
    main = program.get_spec().mlProgram.functions["main"]
    return list(main.block_specializations[main.opset].operations)


def arithmetic(program, kinds=("conv", "mul", "add", "linear")):
    """The widths in which the operations of these kinds compute."""
    return {
        WIDTHS[op.outputs[0].type.tensorType.dataType]
        for op in operations(program)
        if op.type in kinds
    }


def interface(program):
    description = program.get_spec().description
    return [
        [(f.name, tuple(f.type.multiArrayType.shape), f.type.multiArrayType.dataType) for f in side]
        for side in (description.input, description.output)
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_features_keep_names_order_and_shapes(precision):
    program = migrate.to_mlprogram(two_inputs(), precision=precision)
    assert program.get_spec().WhichOneof("Type") == "mlProgram"
    inputs, outputs = interface(program)
    assert inputs == [("b", (2, 3), ARRAY.FLOAT32), ("a", (3,), ARRAY.FLOAT32)]
    assert outputs == [("double", (2, 3), ARRAY.FLOAT32), ("total", (2, 3), ARRAY.FLOAT32)]
    assert arithmetic(program) == {precision}


def test_the_precision_of_the_weights():
    for precision, kind in (("fp16", MIL.FLOAT16), ("fp32", MIL.FLOAT32)):
        program = migrate.to_mlprogram(one(), precision=precision)
        consts = [
            op.outputs[0].type.tensorType
            for op in operations(program)
            if op.type == "const" and len(op.outputs[0].type.tensorType.dimensions) == 4
        ]
        assert [c.dataType for c in consts] == [kind]
        assert [d.constant.size for d in consts[0].dimensions] == [2, 3, 1, 1]
        assert interface(program)[1] == [("y", (1, 2, 4, 5), ARRAY.FLOAT32)]


def test_the_defaults():
    program = migrate.to_mlprogram(linear())
    assert arithmetic(program) == {"fp16"}
    assert program.get_spec().specificationVersion == 7


@pytest.mark.parametrize(
    ("target", "version", "opset"),
    [("iOS15", 6, "CoreML5"), ("iOS16", 7, "CoreML6"), ("iOS17", 8, "CoreML7"),
     ("iOS18", 9, "CoreML8")],
)  # fmt: skip
def test_targets(target, version, opset):
    assert target in TARGETS
    spec = migrate.to_mlprogram(linear(), target=target).get_spec()
    assert spec.specificationVersion == version
    assert spec.mlProgram.functions["main"].opset == opset


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"precision": "fp64"}, "precision 'fp64' is not one of fp16, fp32"),
        ({"precision": "FP16"}, "precision 'FP16'"),
        ({"precision": ""}, "precision ''"),
        ({"target": "iOS14"}, "target 'iOS14' is not one of iOS15, iOS16, iOS17, iOS18"),
        ({"target": "ios16"}, "target 'ios16'"),
        ({"target": "__class__"}, "target '__class__'"),
    ],
)
def test_options_that_are_none(options, what):
    with pytest.raises(UnsupportedError, match=what):
        migrate.to_mlprogram(linear(), **options)


def test_doubles_become_floats():
    program = migrate.to_mlprogram(linear(ARRAY.DOUBLE, ARRAY.DOUBLE))
    assert interface(program) == [
        [("b", (2, 3), ARRAY.FLOAT32)],
        [("double", (2, 3), ARRAY.FLOAT32)],
    ]


def test_integers_stay_integers():
    program = migrate.to_mlprogram(linear(ARRAY.INT32, ARRAY.INT32))
    assert interface(program) == [[("b", (2, 3), ARRAY.INT32)], [("double", (2, 3), ARRAY.INT32)]]


def image(color, width=5, height=4):
    spec = one()
    channels = 1 if color == "GRAYSCALE" else 3
    described = IMAGE(width=width, height=height, colorSpace=IMAGE.ColorSpace.Value(color))
    spec.description.input[0].type.imageType.CopyFrom(described)
    p = spec.neuralNetwork.layers[0].convolution
    p.kernelChannels = channels
    p.weights.floatValue[:] = range(1, 2 * channels + 1)
    return spec


@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAYSCALE"])
def test_an_image_stays_an_image(color):
    spec = image(color)
    program = migrate.to_mlprogram(spec)
    (feature,) = program.get_spec().description.input
    assert (feature.name, feature.type.WhichOneof("Type")) == ("x", "imageType")
    described = feature.type.imageType
    assert (described.width, described.height) == (5, 4)
    assert described.ColorSpace.Name(described.colorSpace) == color
    assert interface(program)[1] == [("y", (1, 2, 4, 5), ARRAY.FLOAT32)]


def test_image_preprocessing_is_carried():
    """The scaler's numbers stand in the program: 0.5 x and a bias per channel."""
    spec = image("RGB")
    scaler = spec.neuralNetwork.preprocessing.add(featureName="x").scaler
    scaler.channelScale, scaler.redBias, scaler.greenBias, scaler.blueBias = 0.25, 8, 16, 32
    before = [op.type for op in operations(migrate.to_mlprogram(image("RGB"), "fp32"))]
    after = operations(migrate.to_mlprogram(spec, "fp32"))
    added = [op.type for op in after]
    for kind in set(before):
        for _ in range(before.count(kind)):
            added.remove(kind)
    assert {"mul", "add"} <= set(added)
    numbers = {
        tuple(op.attributes["val"].immediateValue.tensor.floats.values)
        for op in after
        if op.type == "const"
    }
    assert (0.25,) in numbers
    assert (8, 16, 32) in numbers


def test_metadata_is_carried():
    spec = linear()
    metadata = spec.description.metadata
    metadata.author, metadata.license = "A. Author", "MIT"
    metadata.shortDescription, metadata.versionString = "does things", "1.2 β"
    metadata.userDefined["key"] = "value\nof two lines"
    program = migrate.to_mlprogram(spec)
    found = program.get_spec().description.metadata
    assert (found.author, found.license) == ("A. Author", "MIT")
    assert (found.shortDescription, found.versionString) == ("does things", "1.2 β")
    assert found.userDefined["key"] == "value\nof two lines"


def test_the_model_given_is_not_changed_and_every_form_is_taken(tmp_path):
    spec = linear()
    before = spec.SerializeToString(deterministic=True)
    want = interface(migrate.to_mlprogram(spec))
    assert spec.SerializeToString(deterministic=True) == before
    path = tmp_path / "m.mlmodel"
    path.write_bytes(before)
    assert interface(migrate.to_mlprogram(path)) == want
    assert interface(migrate.to_mlprogram(str(path))) == want


def test_it_is_saved_and_loaded(tmp_path):
    from migrate.coreml import coremltools

    program = migrate.to_mlprogram(one())
    program.save(str(tmp_path / "m.mlpackage"))
    loaded = coremltools().models.MLModel(str(tmp_path / "m.mlpackage"), skip_model_load=True)
    assert interface(loaded) == interface(program)


def test_the_computed_shape_is_carried(one_layer):
    """Not the declared one, where the two differ."""
    spec = one()
    spec.description.output[0].type.multiArrayType.shape.extend([1, 9, 4, 5])
    assert interface(migrate.to_mlprogram(spec))[1] == [("y", (1, 2, 4, 5), ARRAY.FLOAT32)]


def test_flexible_inputs_keep_their_default():
    spec = linear()
    array = spec.description.input[0].type.multiArrayType
    array.ClearField("shape")
    for low, high in ((3, 8), (2, -1)):
        array.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    assert interface(migrate.to_mlprogram(spec))[0] == [("b", (3, 2), ARRAY.FLOAT32)]


def test_every_layer_without_a_builder_in_one_error(monkeypatch):
    from migrate import registry

    known = {k: v for k, v in registry.layers().items() if k not in ("activation", "convolution")}
    spec = two_inputs()
    spec.neuralNetwork.layers.add(name="more", input=["b"], output=["z"]).CopyFrom(
        one().neuralNetwork.layers[0]
    )
    monkeypatch.setattr(registry, "layers", lambda: known)
    with pytest.raises(UnsupportedError) as caught:
        migrate.to_mlprogram(spec)
    message = str(caught.value)
    assert "'twice' (activation)" in message
    assert "'c' (convolution)" in message
    assert "sum" not in message


def test_a_failure_of_coremltools_is_one_sentence(monkeypatch):
    from migrate.coreml import coremltools

    def convert(*args, **options):
        raise NotImplementedError("op 'x' is not known\nand more lines")

    monkeypatch.setattr(coremltools(), "convert", convert)
    with pytest.raises(ConversionError) as caught:
        migrate.to_mlprogram(linear())
    assert str(caught.value) == (
        "coremltools could not convert the torch module to an ML Program: op 'x' is not known"
    )


def test_shapes_that_do_not_fit_name_the_layer():
    spec = one(shape=(1, 4, 4, 5))  # four channels into a convolution of three
    with pytest.raises(migrate.ModelError, match="layer 'c'"):
        migrate.to_mlprogram(spec)


def test_what_is_no_neural_network(samples):
    program = migrate.to_mlprogram(linear())
    with pytest.raises(migrate.ModelError, match="ML Program"):
        migrate.to_mlprogram(program)


def test_nothing_is_printed(capfd):
    migrate.to_mlprogram(linear())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_numbers_that_the_program_holds(precision):
    """The weights of the network, unchanged, where no rounding can touch them."""
    program = migrate.to_mlprogram(one(), precision)
    held = []
    for op in operations(program):
        if op.type == "const" and "val" in op.attributes:
            tensor = op.attributes["val"].immediateValue.tensor
            content = np.frombuffer(tensor.bytes.values, np.float16)
            held.append(tuple(content if precision == "fp16" else tensor.floats.values))
    assert (1, 2, 3, 4, 5, 6) in held
    assert (0.5, -0.5) in held


def test_more_than_five_dimensions_are_refused_with_the_layers():
    spec = one()
    layers = spec.neuralNetwork.layers
    layers.add(name="grow", input=["y"], output=["g"]).expandDims.axes.extend([0, 1])
    layers.add(name="more", input=["g"], output=["m"]).tanh.SetInParent()
    layers.add(name="shrink", input=["m"], output=["z"]).squeeze.axes.extend([0, 1])
    spec.description.output.add(name="z").type.multiArrayType.dataType = ARRAY.FLOAT32
    with pytest.raises(UnsupportedError, match=r"at most 5 dimensions; .*grow, more$"):
        migrate.to_mlprogram(spec)
    assert migrate.to_torch(spec).predict({"x": np.ones((1, 3, 4, 5))})["z"].shape == (1, 2, 4, 5)


def test_an_output_of_a_layer_kept_in_float32_is_not_rounded_on_its_way_out():
    program = migrate.to_mlprogram(one(), keep_fp32=["c"])
    kinds = [op.op_type for op in program._mil_program.functions["main"].operations]
    assert "cast" not in kinds


def test_a_layer_kept_in_float32():
    program = migrate.to_mlprogram(one(), keep_fp32=["c"])
    assert arithmetic(program) == {"fp32"}
    assert arithmetic(migrate.to_mlprogram(one())) == {"fp16"}
    with pytest.raises(UnsupportedError, match=r"no layer 'd' to keep in float32; it has 'c'"):
        migrate.to_mlprogram(one(), keep_fp32=["d"])
