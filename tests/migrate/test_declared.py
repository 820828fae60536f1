"""Declared output shapes against computed ones: what is reported, and what must not be."""

from __future__ import annotations

import pytest

import migrate
from migrate.declared import Mismatch


def described(one_layer, shape, declared, **options):
    spec = one_layer(
        "activation", [shape], fill=lambda p: p.ReLU.SetInParent(), **options
    )  # fmt: skip
    spec.description.output[0].type.multiArrayType.shape.extend(declared)
    return spec


def found(spec):
    net = migrate.to_torch(spec)
    return migrate.mismatches(net, migrate.output_shapes(net))


def test_the_sample(samples):
    net = migrate.to_torch(samples / "Block.mlmodel")
    shapes = migrate.output_shapes(net)
    assert shapes == {"output": (1, 1600, 39, 1)}
    (mismatch,) = migrate.mismatches(net, shapes)
    assert mismatch == Mismatch("output", (1, 800, 39, 1), (1, 1600, 39, 1))
    assert str(mismatch) == (
        "the model declares output 'output' as 1x800x39x1 while its layers give 1x1600x39x1"
    )


@pytest.mark.parametrize(
    ("declared", "told"),
    [((2, 3), False), ((), False), ((3, 2), True), ((2, 4), True), ((1, 2, 3), True), ((6,), True)],
)
def test_arrays(one_layer, declared, told):
    spec = described(one_layer, (2, 3), declared)
    assert found(spec) == ([Mismatch("out0", declared, (2, 3))] if told else [])


@pytest.mark.parametrize(
    ("shape", "declared", "told"),
    [((4, 2, 3), (4, 2, 3), False), ((4, 2, 3), (1, 4, 2, 3), False), ((4,), (4,), False),
     ((4, 2, 3), (4, 3, 2), True), ((4,), (5,), True)],
)  # fmt: skip
def test_the_rank_5_mapping(one_layer, shape, declared, told):
    """A rank that the mapping allows is no mismatch; another size is."""
    assert bool(found(described(one_layer, shape, declared, rank5=True))) is told


def test_flexible_outputs_are_not_judged(one_layer):
    spec = described(one_layer, (2, 3), (9, 9))
    array = spec.description.output[0].type.multiArrayType
    array.enumeratedShapes.shapes.add(shape=[9, 9])
    assert found(spec) == []
    spec = described(one_layer, (2, 3), (9, 9))
    ranges = spec.description.output[0].type.multiArrayType.shapeRange
    for _ in range(2):
        ranges.sizeRanges.add(lowerBound=1, upperBound=-1)
    assert found(spec) == []


@pytest.mark.parametrize("declared", [(-1, 3), (0, 3)])
def test_open_dimensions_are_not_judged(one_layer, declared):
    assert found(described(one_layer, (2, 3), declared)) == []


def test_flexible_inputs_take_their_default(one_layer):
    spec = one_layer("activation", [()], fill=lambda p: p.ReLU.SetInParent())
    ranges = spec.description.input[0].type.multiArrayType.shapeRange
    ranges.sizeRanges.add(lowerBound=2, upperBound=5)
    ranges.sizeRanges.add(lowerBound=3, upperBound=-1)
    assert migrate.output_shapes(migrate.to_torch(spec)) == {"out0": (2, 3)}


def test_several_outputs(one_layer):
    def fill(p):
        p.axis, p.numSplits = -1, 2

    spec = one_layer("splitND", [(2, 4)], outputs=2, fill=fill)
    spec.description.output[0].type.multiArrayType.shape.extend([2, 2])
    spec.description.output[1].type.multiArrayType.shape.extend([2, 3])
    net = migrate.to_torch(spec)
    assert migrate.output_shapes(net) == {"out0": (2, 2), "out1": (2, 2)}
    assert found(spec) == [Mismatch("out1", (2, 3), (2, 2))]


def test_a_classifier(one_layer):
    """Its dictionary and label declare no shape."""
    spec = one_layer("activation", [(3,)], fill=lambda p: p.ReLU.SetInParent())
    layers = list(spec.neuralNetwork.layers)
    spec.neuralNetworkClassifier.arrayInputShapeMapping = 1
    spec.neuralNetworkClassifier.layers.extend(layers)
    spec.neuralNetworkClassifier.stringClassLabels.vector.extend("abc")
    del spec.description.output[:]
    spec.description.output.add(name="p").type.dictionaryType.stringKeyType.SetInParent()
    spec.description.output.add(name="label").type.stringType.SetInParent()
    spec.description.predictedFeatureName = "label"
    spec.description.predictedProbabilitiesName = "p"
    net = migrate.to_torch(spec)
    assert migrate.output_shapes(net) == {"p": (3,)}
    assert found(spec) == []


def test_images_are_not_judged(one_layer):
    spec = one_layer("activation", [(1, 3, 4, 5)], fill=lambda p: p.ReLU.SetInParent())
    image = spec.description.output[0].type.imageType
    image.width, image.height, image.colorSpace = 99, 99, 20
    assert found(spec) == []
