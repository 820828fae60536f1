from __future__ import annotations

import numpy as np
import pytest
from packages import affine
from small_block import small_block

from migrate.coreml import proto
from reporter.write.privacy import model_texts


def told(text, where):
    return f"<{text}>"


def test_all_texts_of_a_model_are_told_and_nothing_else():
    spec = described()
    model_texts.tell(spec, told)
    metadata = spec.description.metadata
    told_all = [metadata.author, metadata.license, metadata.shortDescription]
    assert told_all == ["<author>", "<license>", "<short>"]
    assert metadata.versionString == "<version>"
    assert dict(metadata.userDefined) == {"<key>": "<word>"}
    assert [f.shortDescription for f in spec.description.input] == ["<of in>", ""]
    assert spec.description.output[0].shortDescription == "<of out>"
    assert spec.neuralNetwork.layers[-1].custom.description == "<of own>"
    assert spec.neuralNetwork.layers[-1].custom.className == "Own"
    before, after = described(), spec
    assert model_texts.without_texts(before) == model_texts.without_texts(after)


def test_texts_of_models_in_a_pipeline_are_told():
    spec = proto("Model_pb2").Model(specificationVersion=4)
    inner = spec.pipeline.models.add()
    inner.CopyFrom(described())
    model_texts.tell(spec, told)
    assert spec.pipeline.models[0].description.metadata.author == "<author>"
    assert spec.pipeline.models[0].neuralNetwork.layers[-1].custom.description == "<of own>"


def test_each_text_is_said_to_be_what_it_is():
    places = []
    model_texts.tell(described(), lambda text, where: places.append(where) or text)
    assert set(places) == {
        "the model's metadata: author", "the model's metadata: license",
        "the model's metadata: shortDescription", "the model's metadata: versionString",
        "the model's metadata: userDefined", "the model's descriptions of features",
        "the model's descriptions of custom layers",
    }  # fmt: skip


def test_what_a_key_says_of_its_value_is_told_with_it():
    spec = small_block()
    spec.description.metadata.userDefined["password"] = "tulip"
    model_texts.tell(spec, lambda text, where: text.replace("password: tulip", "password: [x]"))
    assert dict(spec.description.metadata.userDefined) == {"password": "[x]"}


def test_two_keys_that_become_one_stay_two():
    spec = small_block()
    spec.description.metadata.userDefined.update({"a": "1", "b": "2"})
    model_texts.tell(spec, lambda text, where: "k" if text in "ab" else text)
    assert sorted(spec.description.metadata.userDefined) == ["k", "k 2"]


def test_names_are_those_of_layers_blobs_features_and_classes_but_no_texts():
    spec = described()
    spec.neuralNetworkClassifier.stringClassLabels.vector.extend(["cat", "dog"])
    found = model_texts.names(spec)
    assert {"cat", "dog"} <= found
    found = model_texts.names(described())
    layers = described().neuralNetwork.layers
    assert {x.name for x in layers} | {b for x in layers for b in x.output} <= found
    assert {f.name for f in described().description.input} <= found
    assert "Own" in found
    assert not found & {"author", "license", "short", "version", "key", "word", "of in", ""}


def test_names_of_an_ml_program_are_those_of_its_operations_and_functions():
    found = model_texts.names(affine().get_spec())
    assert {"x", "y", "main"} <= found


@pytest.mark.parametrize("value", [np.float32(1), 3, None, b"x", 1.5])
def test_facts_that_are_no_strings_hold_no_names(value):
    assert set(model_texts._strings((value, "conv", ("in", [value])))) == {"conv", "in"}


def described():
    """A block with a text in every place that has one."""
    spec = small_block()
    metadata = spec.description.metadata
    metadata.author, metadata.license = "author", "license"
    metadata.shortDescription, metadata.versionString = "short", "version"
    metadata.userDefined["key"] = "word"
    spec.description.input[0].shortDescription = "of in"
    spec.description.output[0].shortDescription = "of out"
    layer = spec.neuralNetwork.layers.add(name="own")
    layer.custom.className, layer.custom.description = "Own", "of own"
    return spec
