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


# --- declared as they are computed


def corrected(spec):
    return migrate.corrected(spec, found(spec))


def shape_of(feature):
    return tuple(feature.type.multiArrayType.shape)


def test_the_sample_corrected(samples):
    spec = migrate.load_spec(samples / "Block.mlmodel")
    before = spec.SerializeToString(deterministic=True)
    again = corrected(spec)
    assert spec.SerializeToString(deterministic=True) == before
    assert shape_of(again.description.output[0]) == (1, 1600, 39, 1)
    again.description.output[0].type.multiArrayType.shape[:] = [1, 800, 39, 1]
    assert again.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("declared", [(3, 2), (1, 2, 3), (6,), (2, 4)])
def test_what_is_corrected_is_declared_as_it_is_computed(one_layer, declared):
    spec = described(one_layer, (2, 3), declared)
    again = corrected(spec)
    assert shape_of(again.description.output[0]) == (2, 3)
    assert shape_of(spec.description.output[0]) == declared
    assert found(again) == []
    assert again.description.input == spec.description.input
    assert again.neuralNetwork == spec.neuralNetwork


@pytest.mark.parametrize("declared", [(2, 3), ()])
def test_what_is_right_stays_as_it_is(one_layer, declared):
    spec = described(one_layer, (2, 3), declared)
    again = corrected(spec)
    assert again == spec
    assert again is not spec


def test_only_the_output_that_is_declared_wrong_is_corrected(one_layer):
    def fill(p):
        p.axis, p.numSplits = -1, 2

    spec = one_layer("splitND", [(2, 4)], outputs=2, fill=fill)
    for output in spec.description.output:
        output.type.multiArrayType.shape.extend([2, 2])
    spec.description.output[1].type.multiArrayType.shape[:] = [4, 2]
    again = corrected(spec)
    assert [shape_of(f) for f in again.description.output] == [(2, 2), (2, 2)]


def test_an_input_of_the_same_name_and_shape_stays(one_layer):
    """An input is what the caller gives, whatever an output of that name is."""
    spec = described(one_layer, (2, 3), (3, 2))
    again = migrate.corrected(spec, [Mismatch("in0", (2, 3), (9, 9)), *found(spec)])
    assert shape_of(again.description.input[0]) == (2, 3)


@pytest.mark.parametrize("mismatch", [Mismatch("other", (3, 2), (2, 3)),
                                      Mismatch("out0", (2, 2), (2, 3))])  # fmt: skip
def test_another_name_or_shape_is_not_meant(one_layer, mismatch):
    spec = described(one_layer, (2, 3), (3, 2))
    assert migrate.corrected(spec, [mismatch]) == spec


def test_outputs_that_are_no_arrays_stay_what_they_are(one_layer):
    """Looking at an image's or a label's shape makes it no array."""
    spec = described(one_layer, (2, 3), (3, 2))
    image = spec.description.output.add(name="image").type.imageType
    image.width, image.height, image.colorSpace = 5, 4, 20
    spec.description.output.add(name="label").type.stringType.SetInParent()
    again = migrate.corrected(spec, [Mismatch("out0", (3, 2), (2, 3))])
    kinds = [f.type.WhichOneof("Type") for f in again.description.output]
    assert kinds == ["multiArrayType", "imageType", "stringType"]
    again.description.output[0].type.multiArrayType.shape[:] = [3, 2]
    assert again == spec


def of_stages(kind, *stages):
    """A pipeline that takes what its first stage takes and gives what its last stage gives."""
    spec = type(stages[0])(specificationVersion=4)
    inside = spec.pipeline if kind == "pipeline" else getattr(spec, kind).pipeline
    inside.models.extend(stages)
    spec.description.input.extend(stages[0].description.input)
    spec.description.output.extend(stages[-1].description.output)
    return spec


def stages_of(spec):
    kind = spec.WhichOneof("Type")
    held = getattr(spec, kind)
    return (held if kind == "pipeline" else held.pipeline).models


@pytest.fixture
def two(one_layer):
    """in0 to middle to out0, both declared as they are not."""
    first, second = (described(one_layer, (2, 3), (3, 2)) for _ in range(2))
    first.neuralNetwork.layers[0].output[0] = first.description.output[0].name = "middle"
    second.neuralNetwork.layers[0].input[0] = second.description.input[0].name = "middle"
    return first, second


@pytest.mark.parametrize("kind", ["pipeline", "pipelineRegressor", "pipelineClassifier"])
def test_a_pipeline_and_its_last_stage(two, kind):
    spec = of_stages(kind, *two)
    again = migrate.corrected(spec, [Mismatch("out0", (3, 2), (2, 3))])
    assert shape_of(again.description.output[0]) == (2, 3)
    first, last = stages_of(again)
    assert shape_of(last.description.output[0]) == (2, 3)
    assert shape_of(first.description.output[0]) == (3, 2)
    assert shape_of(spec.description.output[0]) == (3, 2)


def test_a_pipeline_inside_a_pipeline(two, one_layer):
    inner = of_stages("pipeline", *two)
    spec = of_stages("pipeline", inner)
    again = corrected(spec)
    (within,) = stages_of(again)
    for model in (again, within, stages_of(within)[1]):
        assert shape_of(model.description.output[0]) == (2, 3)
    assert found(again) == []


def test_a_pipelines_own_mismatch_is_found_and_mended(two):
    spec = of_stages("pipeline", *two)
    assert found(spec) == [Mismatch("out0", (3, 2), (2, 3))]
    assert found(corrected(spec)) == []


# --- what else is other


def test_the_shapes_of_outputs_make_no_other_model(two):
    spec = of_stages("pipeline", *two)
    assert not migrate.differ_otherwise(spec, spec)
    assert not migrate.differ_otherwise(spec, corrected(spec))
    assert not migrate.differ_otherwise(corrected(spec), spec)


def rename(spec):
    spec.description.output[0].name = "another"


def another_type(spec):
    spec.description.output[0].type.multiArrayType.dataType = 65600


def another_input(spec):
    spec.description.input[0].type.multiArrayType.shape[:] = [3, 2]


def another_layer(spec):
    layers = (stages_of(spec)[1] if spec.WhichOneof("Type") == "pipeline" else spec).neuralNetwork
    layers.layers[0].activation.linear.alpha = 2


def an_image(spec):
    image = spec.description.output[0].type.imageType
    image.width, image.height = 2, 3


@pytest.mark.parametrize("change", [rename, another_type, another_input, another_layer, an_image])
@pytest.mark.parametrize("pipeline", [False, True])
def test_all_else_does(two, change, pipeline):
    spec = of_stages("pipeline", *two) if pipeline else two[1]
    other = type(spec)()
    other.CopyFrom(spec)
    change(other)
    assert migrate.differ_otherwise(spec, other)
    assert spec != other
