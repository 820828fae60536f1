"""An output's numbers, as predicted or as a record has them."""

from __future__ import annotations

import numpy as np
import pytest
from migrations import spec_of
from PIL import Image

import migrate
from migrate.coreml import proto

X = np.random.RandomState(0).randint(0, 256, (1, 3, 2, 4)).astype(np.float32)


def network_of(spec):
    return migrate.read(spec)


@pytest.mark.parametrize(
    "value", [np.float16([[1, 2.5]]), np.float64([[1, 2.5]]), [[1, 2.5]], np.array([[1, 7]], "i4")]
)
def test_an_array_is_its_numbers_in_double_precision(value):
    network = network_of(spec_of())
    found = migrate.output_numbers(network.outputs[0], value, network.labels)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, np.float64(value))


def as_image(color):
    spec = spec_of()
    image = spec.description.output[0].type.imageType
    image.width, image.height = 4, 2
    image.colorSpace = getattr(image, color)
    network = network_of(spec)
    return network, network.outputs[0]


@pytest.mark.parametrize(("color", "order"), [("RGB", [0, 1, 2]), ("BGR", [2, 1, 0])])
def test_an_image_has_its_pixels_in_the_features_own_order(color, order):
    """What is seen is RGB, whatever the network computes."""
    _, feature = as_image(color)
    seen = X[0].astype(np.uint8)[order].transpose(1, 2, 0)
    found = migrate.output_numbers(feature, Image.fromarray(seen))
    assert (found.shape, found.dtype) == ((1, 3, 2, 4), np.float64)
    np.testing.assert_array_equal(found, X)
    np.testing.assert_array_equal(migrate.output_numbers(feature, X), X)


def test_a_gray_image():
    _, feature = as_image("GRAYSCALE")
    seen = Image.fromarray(X[0, 0].astype(np.uint8))
    np.testing.assert_array_equal(migrate.output_numbers(feature, seen), X[:, :1])


@pytest.mark.parametrize("labels", [["b", "a", "c"], [30, 10, 20]])
def test_scores_come_in_the_order_of_the_labels(labels):
    """Whether they are named by a label or by its text, as in a record."""
    kind = "string" if isinstance(labels[0], str) else "int64"
    spec = proto("Model_pb2").Model(specificationVersion=4)
    classifier = spec.neuralNetworkClassifier
    classifier.arrayInputShapeMapping = 1
    classifier.layers.add(name="p", input=["x"], output=["p"]).softmaxND.axis = -1
    getattr(classifier, f"{kind}ClassLabels").vector.extend(labels)
    array = spec.description.input.add(name="x").type.multiArrayType
    array.shape.append(3)
    array.dataType = array.FLOAT32
    key = f"{kind}KeyType"
    getattr(spec.description.output.add(name="p").type.dictionaryType, key).SetInParent()
    getattr(spec.description.output.add(name="label").type, f"{kind}Type").SetInParent()
    spec.description.predictedFeatureName = "label"
    spec.description.predictedProbabilitiesName = "p"
    network = network_of(spec)
    scores = dict(zip(labels, (0.25, 0.5, 0.125), strict=True))
    for given in (scores, {str(label): score for label, score in reversed(scores.items())}):
        found = migrate.output_numbers(network.outputs[0], given, network.labels)
        np.testing.assert_array_equal(found, [0.25, 0.5, 0.125])
    with pytest.raises(KeyError):
        migrate.output_numbers(network.outputs[0], {str(labels[0]): 1.0}, network.labels)
