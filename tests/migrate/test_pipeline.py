"""Pipelines of networks: read as one, run as one module, written as one source."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import migrate
from migrate import InputError, ModelError
from migrate.coreml import coremltools, proto

RGB, GRAYSCALE = 20, 10
FLOAT32 = 65568


def stage(layers, inputs, outputs, kind="neuralNetwork"):
    """A network of (kind, input, output, fields) layers over arrays of these shapes."""
    coremltools()
    spec = proto("Model_pb2").Model(specificationVersion=4)
    network = getattr(spec, kind)
    network.arrayInputShapeMapping = 1
    for what, name, output, fields in layers:
        layer = network.layers.add(name=f"{what} {output}", input=[name], output=[output])
        params = getattr(layer, what)
        params.SetInParent()
        for field, value in fields.items():
            setattr(params, field, value)
    describe(spec, inputs, outputs)
    return spec


def describe(spec, inputs, outputs):
    for role, features in (("input", inputs), ("output", outputs)):
        for name, shape in features.items():
            array = getattr(spec.description, role).add(name=name).type.multiArrayType
            array.dataType = FLOAT32
            array.shape.extend(shape)


def pipeline(models, inputs, outputs, kind="pipeline"):
    spec = proto("Model_pb2").Model(specificationVersion=4)
    inside = spec.pipeline if kind == "pipeline" else getattr(spec, kind).pipeline
    inside.SetInParent()
    for model in models:
        inside.models.add().CopyFrom(model)
    describe(spec, inputs, outputs)
    return spec


def classifier(labels, kind="string"):
    """A softmax over three scores."""
    spec = stage([("softmaxND", "scores", "probs", {"axis": -1})], {"scores": (3,)}, {},
                 "neuralNetworkClassifier")  # fmt: skip
    classifier_ = spec.neuralNetworkClassifier
    getattr(classifier_, f"{kind}ClassLabels").vector.extend(labels)
    classifier_.labelProbabilityLayerName = "probs"
    as_classifier(spec, kind)
    return spec


def as_classifier(spec, kind="string"):
    key = f"{kind}KeyType"
    getattr(spec.description.output.add(name="odds").type.dictionaryType, key).SetInParent()
    getattr(spec.description.output.add(name="class").type, f"{kind}Type").SetInParent()
    spec.description.predictedFeatureName = "class"
    spec.description.predictedProbabilitiesName = "odds"


def two_stages():
    """y = 2 x + 1, z = tanh(y); both stages have a blob `inner` and a layer of one name."""
    first = stage(
        [("multiply", "x", "inner", {"alpha": 2.0}), ("add", "inner", "y", {"alpha": 1.0})],
        {"x": (2, 3)}, {"y": (2, 3)},
    )  # fmt: skip
    second = stage(
        [("multiply", "y", "inner", {"alpha": 0.5}), ("tanh", "inner", "z", {})],
        {"y": (2, 3)}, {"z": (2, 3)},
    )  # fmt: skip
    for spec in (first, second):
        spec.neuralNetwork.layers[0].name = "scale"
    return pipeline([first, second], {"x": (2, 3)}, {"z": (2, 3), "y": (2, 3)})


def test_stages_are_joined_by_the_names_of_features():
    spec = two_stages()
    network = migrate.read(spec)
    assert network.kind == "pipeline"
    assert [layer.kind for layer in network.all_layers()] == ["multiply", "add", "multiply", "tanh"]
    x = np.random.RandomState(0).rand(2, 3).astype(np.float32)
    outputs = migrate.to_torch(spec).predict({"x": x})
    assert list(outputs) == ["z", "y"]
    np.testing.assert_allclose(outputs["y"], 2 * x + 1, rtol=1e-6)
    np.testing.assert_allclose(outputs["z"], np.tanh(x + 0.5), rtol=1e-6)


def test_the_source_of_a_pipeline(differences_outside, tmp_path):
    spec = two_stages()
    calls = [[torch.rand(2, 3)]]
    assert differences_outside([(spec, calls)]) == [None]
    text = migrate.to_source(spec, tmp_path)
    assert "inner_2 = y * 0.5" in text  # the first stage has an `inner` too
    assert text.count("class ") == 1


def test_a_watch_sees_the_blobs_of_every_stage():
    net = migrate.to_torch(two_stages())
    seen = []
    with net.watching(lambda name, value: (seen.append(name), value)[1]):
        net(torch.rand(2, 3))
    assert seen == ["x", "inner", "y", "y", "inner", "z"]


@pytest.mark.parametrize(("kind", "labels"), [("string", ["a", "b", "c"]), ("int64", [7, 5, 3])])
def test_a_pipeline_that_ends_in_a_classifier(kind, labels, differences_outside):
    first = stage([("multiply", "x", "scores", {"alpha": 3.0})], {"x": (3,)}, {"scores": (3,)})
    spec = pipeline([first, classifier(labels, kind)], {"x": (3,)}, {}, "pipelineClassifier")
    as_classifier(spec, kind)
    x = np.array([0.1, 0.7, 0.2], np.float32)
    outputs = migrate.to_torch(spec).predict({"x": x})
    expected = np.exp(3 * x) / np.exp(3 * x).sum()
    assert outputs["class"] == labels[1]
    assert list(outputs["odds"]) == labels
    np.testing.assert_allclose(list(outputs["odds"].values()), expected, rtol=1e-6)
    assert differences_outside([(spec, [[torch.from_numpy(x)]])]) == [None]


def test_pipelines_inside_a_pipeline():
    inner = two_stages()
    last = stage([("add", "z", "w", {"alpha": 5.0})], {"z": (2, 3)}, {"w": (2, 3)})
    spec = pipeline([inner, last], {"x": (2, 3)}, {"w": (2, 3)})
    assert len(migrate.read(spec).stages) == 3
    x = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(
        migrate.to_torch(spec).predict({"x": x})["w"], np.tanh(1.5) + 5, rtol=1e-6
    )


def image(feature, color, height=4, width=5):
    feature.type.ClearField("multiArrayType")
    feature.type.imageType.colorSpace = color
    feature.type.imageType.height, feature.type.imageType.width = height, width


def test_an_image_between_stages_has_whole_values_from_0_to_255(differences_outside):
    """As a pixel buffer has; the first stage gives halves, and values beyond 255."""
    first = stage([("multiply", "in", "between", {"alpha": 1.25})], {"in": ()}, {"between": ()})
    second = stage([("add", "between", "out", {"alpha": 0.0})], {"between": ()}, {"out": ()})
    spec = pipeline([first, second], {"in": ()}, {"out": ()})
    for feature in (
        first.description.input[0], first.description.output[0], second.description.input[0],
        spec.description.input[0],
    ):  # fmt: skip
        image(feature, RGB)
    for part, model in zip(spec.pipeline.models, (first, second), strict=True):
        part.CopyFrom(model)
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3) * 4
    out = migrate.to_torch(spec).predict({"in": Image.fromarray(pixels)})["out"]
    expected = np.clip(np.round(1.25 * pixels.astype(np.float32)), 0, 255)
    np.testing.assert_array_equal(out.reshape(3, 4, 5), expected.transpose(2, 0, 1))
    calls = [[torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32))]]
    assert differences_outside([(spec, calls)]) == [None]


def test_other_stages_are_named_in_one_error():
    tree, scaler = (proto("Model_pb2").Model() for _ in range(2))
    tree.treeEnsembleClassifier.SetInParent()
    scaler.scaler.SetInParent()
    spec = two_stages()
    spec.pipeline.models.add().CopyFrom(tree)
    spec.pipeline.models.add().CopyFrom(scaler)
    with pytest.raises(ModelError) as caught:
        migrate.read(spec)
    assert str(caught.value) == (
        "of the pipeline's 4 stages these are not a NeuralNetwork: "
        "3 (treeEnsembleClassifier), 4 (scaler)"
    )


def test_a_stage_that_reads_what_nobody_gives():
    spec = two_stages()
    spec.pipeline.models[1].description.input[0].name = "q"
    with pytest.raises(ModelError, match="stage 2 of the pipeline reads 'q', which is no input"):
        migrate.read(spec)


def test_an_output_that_no_stage_gives():
    spec = two_stages()
    spec.description.output.add(name="w").type.multiArrayType.dataType = FLOAT32
    with pytest.raises(ModelError, match="output 'w' of the pipeline is given by no stage"):
        migrate.read(spec)


@pytest.mark.parametrize("kind", ["pipeline", "pipelineClassifier", "pipelineRegressor"])
def test_a_pipeline_without_stages(kind):
    with pytest.raises(ModelError, match="a pipeline without stages, not a NeuralNetwork"):
        migrate.read(pipeline([], {"x": (1,)}, {"y": (1,)}, kind))


def test_layers_that_no_stage_can_run_are_all_named():
    spec = two_stages()
    for model in spec.pipeline.models:
        model.neuralNetwork.layers[0].custom.className = "Own"
    with pytest.raises(migrate.UnsupportedError) as caught:
        migrate.to_torch(spec)
    assert str(caught.value).count("layer 'scale' (custom 'Own')") == 2


def test_inputs_of_a_pipeline_are_checked():
    net = migrate.to_torch(two_stages())
    with pytest.raises(InputError, match="input 'x' is missing"):
        net.predict({})
    with pytest.raises(TypeError, match="expected 1 inputs, got 2"):
        net(torch.rand(2, 3), torch.rand(2, 3))


def test_a_pipeline_becomes_one_ml_program():
    program = migrate.to_mlprogram(two_stages(), precision="fp32")
    description = program.get_spec().description
    assert [feature.name for feature in description.output] == ["z", "y"]
