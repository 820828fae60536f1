"""Serialized: the pieces are the very bytes that protobuf makes of the whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

import migrate
from migrate.coreml import proto
from reporter.measure.serialized import CONTAINERS, serialized

Model = proto("Model_pb2").Model
NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")
UNKNOWN = (
    b"\xfa\xff\xff\xff\x0f\x03abc"  # field 536870911, of three bytes
    b"\x80\xf1\x04\x07"  # field 10000, a number
    b"\x83\xf1\x04\x80\xf1\x04\x07\x84\xf1\x04"  # field 10000, a group
)


def whole(message):
    return message.SerializeToString(deterministic=True)


def assert_same(message):
    assert b"".join(serialized(message)) == whole(message)


def network(kind="neuralNetwork", layers=3):
    spec = Model(specificationVersion=4, isUpdatable=True)
    spec.description.input.add(name="x", shortDescription="ä" * 200)
    for key in "zyxwvu":
        spec.description.metadata.userDefined[key] = key
    inside = getattr(spec, kind)
    inside.arrayInputShapeMapping = 1
    inside.imageInputShapeMapping = 77  # of no known name
    for i in range(layers):
        layer = inside.layers.add(name=f"layer{i}", input=["x"], output=["x"])
        layer.innerProduct.weights.floatValue.extend([i, -0.0, float("nan")] * 50)
    inside.layers.add().custom.parameters["b"].doubleValue = 1
    inside.layers[-1].custom.parameters["a"].stringValue = "2"
    inside.layers.add().branch.ifBranch.layers.add(name="inner").activation.ReLU.SetInParent()
    inside.preprocessing.add(featureName="x").scaler.channelScale = 2
    return spec


def labelled():
    spec = network("neuralNetworkClassifier")
    spec.neuralNetworkClassifier.stringClassLabels.vector.extend(["one", "", "two"])
    spec.neuralNetworkClassifier.labelProbabilityLayerName = "p"
    return spec


def numbered():
    spec = network("neuralNetworkClassifier")
    spec.neuralNetworkClassifier.int64ClassLabels.vector.extend([-1, 0, 2**40])
    return spec


def updatable():
    spec = network()
    spec.neuralNetwork.updateParams.epochs.defaultValue = 3
    spec.neuralNetwork.updateParams.lossLayers.add(name="loss").SetInParent()
    spec.neuralNetwork.layers[0].isUpdatable = True
    return spec


def piped(kind="pipeline", stages=NETWORKS):
    spec = Model(specificationVersion=4)
    pipeline = spec.pipeline if kind == "pipeline" else getattr(spec, kind).pipeline
    pipeline.names.extend([*stages, ""])
    for stage in stages:
        pipeline.models.add().CopyFrom(network(stage))
    pipeline.models.add().glmRegressor.weights.add(value=[1, 0, 2])
    pipeline.models.add().SetInParent()
    return spec


def nested():
    spec = Model()
    spec.pipeline.models.add().CopyFrom(piped("pipelineClassifier"))
    return spec


def program():
    spec = Model(specificationVersion=7)
    spec.mlProgram.version = 1
    for name in "zyx":
        function = spec.mlProgram.functions[name]
        function.opset = "CoreML5"
        function.block_specializations["CoreML5"].operations.add(type="const")
    return spec


SPECS = {
    "a network": network,
    "a classifier": labelled,
    "a classifier of numbers": numbered,
    "a regressor": lambda: network("neuralNetworkRegressor"),
    "an updatable network": updatable,
    "a pipeline": piped,
    "a pipeline that classifies": lambda: piped("pipelineClassifier"),
    "a pipeline that regresses": lambda: piped("pipelineRegressor"),
    "a pipeline in a pipeline": nested,
    "an ML Program": program,
    "nothing": Model,
    "a version alone": lambda: Model(specificationVersion=1),
    "a network of nothing": lambda: Model(neuralNetwork={}),
    "a network of many layers": lambda: network(layers=300),
}


@pytest.mark.parametrize("name", SPECS)
def test_every_kind_of_spec(name):
    assert_same(SPECS[name]())


def places(message):
    """Return a message and all inside it."""
    found = [message]
    for field, value in message.ListFields():
        if field.message_type and not field.message_type.GetOptions().map_entry:
            items = [value] if hasattr(value, "ListFields") else value
            found += [place for item in items for place in places(item)]
    return found


@pytest.mark.parametrize("name", SPECS)
def test_fields_that_are_not_known_here(name):
    for i in range(len(places(spec := SPECS[name]()))):
        if i < 60:  # those of many layers are alike
            spec = SPECS[name]()
            places(spec)[i].MergeFromString(UNKNOWN)
            assert UNKNOWN in whole(spec)
            assert_same(spec)


def test_bytes_in_another_order_than_that_of_their_fields():
    content = network().SerializeToString()
    spec = Model.FromString(UNKNOWN + Model(isUpdatable=True).SerializeToString() + content)
    assert_same(spec)
    assert UNKNOWN in whole(spec)


def test_the_bytes_of_a_small_one_by_hand():
    spec = Model(specificationVersion=300)
    spec.neuralNetwork.layers.add(name="a" * 130)
    layer = b"\x0a\x82\x01" + b"a" * 130
    inside = b"\x0a\x85\x01" + layer
    expected = b"\x08\xac\x02" + b"\xa2\x1f\x88\x01" + inside
    assert list(serialized(spec)) == [
        b"\x08\xac\x02", b"\xa2\x1f\x88\x01", b"\x0a\x85\x01", layer,
    ]  # fmt: skip
    assert whole(spec) == expected


def test_no_container_has_a_map():
    """Its entries would be in no order of their own."""
    names = {name.rpartition(".")[2] for name in CONTAINERS}
    found = {f.message_type for f in Model.DESCRIPTOR.fields if f.message_type}
    found |= {f.message_type for d in found for f in d.fields if f.message_type}
    known = {d for d in found | {Model.DESCRIPTOR} if d.full_name in CONTAINERS}
    assert {d.name for d in known} == names
    assert not any(
        f.message_type and f.message_type.GetOptions().map_entry for d in known for f in d.fields
    )


SCALARS = {
    "bool": st.booleans(),
    "float": st.floats(width=32),
    "double": st.floats(),
    "enum": st.integers(0, 300),
    "int": st.integers(0, 2**31 - 1),
    "string": st.text(max_size=200),
    "bytes": st.binary(max_size=200),
}


def scalar(field):
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        return SCALARS["bytes" if field.type == field.TYPE_BYTES else "string"]
    kinds = {
        field.CPPTYPE_BOOL: "bool",
        field.CPPTYPE_FLOAT: "float",
        field.CPPTYPE_DOUBLE: "double",
        field.CPPTYPE_ENUM: "enum",
    }
    return SCALARS[kinds.get(field.cpp_type, "int")]


@st.composite
def messages(draw, descriptor=Model.DESCRIPTOR, depth=6):
    """Any message, more often of the kinds that are taken apart; now and then of unknown fields."""
    message = GetMessageClass(descriptor)()
    fields = [f for f in descriptor.fields if depth or not f.message_type]
    inner = [f for f in fields if f.message_type and f.message_type.full_name in CONTAINERS]
    likely = st.sampled_from(fields + inner * (len(fields) // max(len(inner), 1)))
    for field in draw(st.lists(likely, max_size=3)) if fields else ():
        fill(draw, message, field, depth)
    if draw(st.integers(0, 9)) == 9:
        message.MergeFromString(UNKNOWN)
    return message


def fill(draw, message, field, depth):
    value = getattr(message, field.name)
    if field.message_type is None:
        drawn = draw(scalar(field))
        if hasattr(value, "extend"):
            value.extend([drawn] * draw(st.integers(0, 3)))
        else:
            setattr(message, field.name, drawn)
    elif field.message_type.GetOptions().map_entry:
        key, kept = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        for one in draw(st.lists(scalar(key), max_size=3)):
            if kept.message_type is None:
                value[one] = draw(scalar(kept))
            else:
                value[one].CopyFrom(draw(messages(kept.message_type, max(depth - 1, 0))))
    elif hasattr(value, "add"):
        for _ in range(draw(st.integers(0, 2))):
            value.add().CopyFrom(draw(messages(field.message_type, depth - 1)))
    else:
        value.CopyFrom(draw(messages(field.message_type, depth - 1)))


@given(messages())
def test_any_spec(message):
    assert_same(message)


def test_the_real_models(shared_models):
    for path in sorted(shared_models.glob("*.mlmodel")):
        assert_same(migrate.load_spec(path))


def large(layers=10, each=5_000_000):
    spec = network(layers=0)
    content = np.random.RandomState(0).bytes(each)
    for _ in range(layers):
        spec.neuralNetwork.layers.add().innerProduct.weights.float16Value = content
    return spec


@pytest.mark.parametrize("within", ["a file", "a pipeline"])
def test_no_more_than_a_layer_is_held_at_once(within):
    spec = large()
    if within == "a pipeline":
        alone, spec = spec, Model()
        spec.pipeline.models.add().CopyFrom(alone)
    tracemalloc.start()
    size = sum(map(len, serialized(spec)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 50_000_000
    assert peak < size / 4
