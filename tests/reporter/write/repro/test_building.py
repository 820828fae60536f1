"""What the statements rebuild, executed here; each model's weights are aside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import migrate
from migrate.coreml import coremltools, proto
from reporter.write.repro.building import assembled, building


def ones(scale, *shape):
    return np.ones(shape, np.float32)


def bare(spec):
    """Return the bytes of a spec without metadata and weights, which are cleared by field here."""
    copy = type(spec)()
    copy.CopyFrom(spec)
    copy.description.ClearField("metadata")
    clear(copy)
    return copy.SerializeToString(deterministic=True)


def clear(message):
    if message.DESCRIPTOR.name == "WeightParams":
        message.Clear()
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE or field.message_type.GetOptions().map_entry:
            continue
        for inner in value if hasattr(value, "__len__") else [value]:
            clear(inner)


def rebuilt(spec):
    return assembled(building(spec), ones)


NAMES = ("blazeface_short", "cpm_pose", "hand_pose_createml", "hand_squeezenet", "kraken_blla",
         "mnist_cnn", "posenet_mobilenet075", "srcnn", "tiny_drawing_embedding",
         "waifu2x_photo_noise0")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_real_model_is_rebuilt_to_the_byte_weights_aside(shared_models, name):
    spec = migrate.load_spec(shared_models / f"{name}.mlmodel")
    assert bare(rebuilt(spec)) == bare(spec)


def test_these_are_all_of_the_real_models(shared_models):
    assert {path.stem for path in shared_models.glob("*.mlmodel")} == set(NAMES)


def noted(one_layer):
    """A network whose layers note the ranks and sizes of their blobs, as converters write them."""
    spec = one_layer("activation", [(2, 3)], fill=lambda p: p.ReLU.SetInParent())
    (layer,) = spec.neuralNetwork.layers
    layer.inputTensor.add(rank=2, dimValue=[2, -1])
    layer.outputTensor.add(rank=2, dimValue=[2, 3])
    return spec


def test_notes_on_ranks_are_rebuilt(one_layer):
    spec = noted(one_layer)
    built = building(spec)
    assert built.notes
    assert bare(assembled(built, ones)) == bare(spec)
    assert bare(assembled(replace(built, notes=""), ones)) != bare(spec)


def test_notes_that_are_not_alike_are_left_out(one_layer):
    spec = noted(one_layer)
    spec.neuralNetwork.layers[0].outputTensor[0].rank = 5
    again = spec.neuralNetwork.layers.add()
    again.CopyFrom(spec.neuralNetwork.layers[0])
    again.name, again.input[0], again.output[0] = "again", again.output[0], "y"
    again.copy.SetInParent()
    assert building(spec).notes == ""  # its input noted rank 5 before, and notes 2 now


def test_a_pipeline_is_rebuilt_stage_by_stage(one_layer):
    stage = one_layer("bias", [(1, 2, 3)])
    stage.neuralNetwork.layers[0].bias.shape.append(1)
    stage.neuralNetwork.layers[0].bias.bias.floatValue.append(7)
    pipeline = proto("Model_pb2").Model(specificationVersion=4)
    pipeline.pipeline.models.add().CopyFrom(stage)
    second = pipeline.pipeline.models.add()
    second.CopyFrom(stage)
    second.description.input[0].name = stage.description.output[0].name
    second.neuralNetwork.layers[0].input[0] = stage.description.output[0].name
    second.neuralNetwork.layers[0].output[0] = "last"
    second.description.output[0].name = "last"
    pipeline.description.input.add().CopyFrom(stage.description.input[0])
    pipeline.description.output.add().CopyFrom(second.description.output[0])
    built = rebuilt(pipeline)
    assert bare(built) == bare(pipeline)
    values = [m.neuralNetwork.layers[0].bias.bias.floatValue[0] for m in built.pipeline.models]
    assert values == [1, 1]


@pytest.mark.parametrize("kind", ["neuralNetworkClassifier", "neuralNetworkRegressor"])
def test_classifiers_and_regressors_are_rebuilt(one_layer, kind):
    spec = one_layer("softmax", [(3,)])
    other = proto("Model_pb2").Model(specificationVersion=spec.specificationVersion)
    other.description.CopyFrom(spec.description)
    other.description.predictedFeatureName = "out0"
    getattr(other, kind).layers.extend(spec.neuralNetwork.layers)
    if kind == "neuralNetworkClassifier":
        other.neuralNetworkClassifier.stringClassLabels.vector.extend(["a", "b'`", "c"])
    assert bare(rebuilt(other)) == bare(other)


def test_control_flow_is_rebuilt_with_the_weights_inside():
    coremltools()
    spec = proto("Model_pb2").Model(specificationVersion=4)
    outer = spec.neuralNetwork.layers.add(name="l", input=["x"])
    inside = outer.branch.ifBranch.layers.add(name="inside", input=["x"], output=["y"])
    inside.bias.shape.append(2)
    inside.bias.bias.floatValue.extend([5, 6])
    built = rebuilt(spec)
    assert bare(built) == bare(spec)
    (layer,) = built.neuralNetwork.layers
    assert list(layer.branch.ifBranch.layers[0].bias.bias.floatValue) == [1, 1]


def test_what_holds_no_network_is_refused_in_a_sentence():
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.identity.SetInParent()
    with pytest.raises(migrate.ModelError, match="there is no network to rebuild in a identity"):
        building(spec)
