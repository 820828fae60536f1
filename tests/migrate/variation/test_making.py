"""What is proved, what is left out and why, and models that have no variants."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import small_block
from networks import network

import migrate
from migrate.variation.editing import store
from migrate.variation.original import Original
from migrate.variation.proof import BrokenVariantError, prove
from migrate.variation.registry import variant
from migrate.variation.relation import Relation
from migrate.variation.variant import Draft


def left_out(spec, **options):
    found = migrate.each_variant(spec, **options)
    return [v for v in found if isinstance(v, migrate.LeftOut)]


def draft(edit, **options):
    return Draft("x", "Whether it is caught.", edit, **options)


def test_a_draft_that_is_not_equal_is_not_handed_out():
    original = Original.of(small_block.small_block())

    def doubled(spec):
        weights = spec.neuralNetwork.layers[0].convolution.weights
        weights.floatValue[0] += 1e-6

    with pytest.raises(BrokenVariantError, match="'out' is off by"):
        prove(original, "x", draft(doubled), "x", {})


def test_a_draft_that_shows_another_blob_than_it_says_is_not_handed_out():
    original = Original.of(small_block.small_block())

    def shown(spec):
        spec.description.output.add(name="x").type.multiArrayType.dataType = 65568

    same = Relation(shows={"x": "x"})
    wrong = np.zeros((1, 6, 8, 1))
    with pytest.raises(BrokenVariantError, match="'x' is off by"):
        prove(original, "x", draft(shown, same=same), "x", {"x": wrong})


def test_a_draft_that_loses_an_output_is_not_handed_out():
    original = Original.of(small_block.small_block())

    def renamed(spec):
        spec.neuralNetwork.layers[3].output[0] = "other"
        spec.description.output[0].name = "other"

    with pytest.raises(BrokenVariantError, match="it gives other in the place of out"):
        prove(original, "x", draft(renamed), "x", {})


def test_the_source_is_never_changed():
    spec = small_block.small_block()
    migrate.variants(spec)
    assert spec == small_block.small_block()


def test_the_same_model_gives_the_same_variants():
    one, two = (migrate.variants(small_block.small_block()) for _ in range(2))
    assert [(v.name, v.spec) for v in one] == [(v.name, v.spec) for v in two]


def test_a_bound_is_kept_and_the_others_are_counted():
    layers = [("activation", f"b{i}", f"b{i + 1}", {"ReLU": None}) for i in range(20)]
    spec = network({"b0": (1, 2, 3, 3)}, ["b20"], *layers)
    kinds = [v.kind for v in migrate.variants(spec, most=3)]
    assert kinds.count("cut") == kinds.count("without") == kinds.count("copied-behind") == 3
    reasons = {v.kind: v.reason for v in left_out(spec, most=3)}
    assert reasons["without"].startswith("17 of 20 layers are not tried")
    chosen = [v.layers[0] for v in migrate.variants(spec, most=3) if v.kind == "without"]
    assert chosen == ["b18", "b19", "b20"]


def test_progress_is_told_of_each_variant():
    told = []

    class Told:
        def expect(self, steps):
            self.expected = steps

        def step(self, text):
            told.append(text)

    progress = Told()
    list(migrate.each_variant(small_block.small_block(), progress=progress))
    assert len(told) == progress.expected > 20
    assert "making turned" in told


def test_it_is_proved_on_the_inputs_that_are_given():
    given = small_block.inputs()
    (found,) = [
        v
        for v in migrate.each_variant(small_block.small_block(), inputs=given)
        if v.kind == "declared"
    ]
    np.testing.assert_allclose(found.outputs["out"], small_block.blobs(given)["out"], atol=1e-9)
    assert np.array_equal(found.inputs["a"], given["a"])


@pytest.mark.parametrize("bad", [{"a": np.ones((1, 6, 8, 1))}, {"a": 1, "b": "text"}])
def test_inputs_that_do_not_fit_are_refused_in_words(bad):
    with pytest.raises(migrate.AnereportError, match="input"):
        list(migrate.each_variant(small_block.small_block(), inputs=bad))


def test_a_network_where_no_layer_can_go_says_so():
    spec = network({"a": (2,)}, ["c"], ("loadConstantND", "", "c", {"shape": [2]}))
    store(spec.neuralNetwork.layers[0].loadConstantND.data, np.ones(2))
    reasons = {v.kind: v.reason for v in left_out(spec) if not v.name}
    assert "no layer has an input that could take the place" in reasons["without"]
    assert migrate.variants(spec)


def test_a_layer_whose_loss_leaves_nothing_that_fits_is_left_out_with_the_reason():
    spec = network(
        {"a": (1, 2, 4, 4)}, ["out"],
        ("flatten", "a", "f", {"mode": 0}), ("innerProduct", "f", "out", {}),
    )  # fmt: skip
    p = spec.neuralNetwork.layers[1].innerProduct
    p.inputChannels, p.outputChannels = 32, 1
    p.weights.floatValue.extend([1.0] * 32)
    (found,) = [v for v in left_out(spec) if v.name == "without-f"]
    assert "layer 'out' (innerProduct)" in found.reason


def test_a_pipeline_is_refused_in_words():
    spec = migrate.proto("Model_pb2").Model(specificationVersion=4)
    for _ in range(2):
        spec.pipeline.models.add().CopyFrom(small_block.small_block())
    with pytest.raises(migrate.ModelError, match="a pipeline of 2 models has no variants"):
        migrate.variants(spec)


def test_an_ml_program_and_a_tree_are_refused_in_words():
    spec = migrate.proto("Model_pb2").Model(specificationVersion=6)
    spec.mlProgram.SetInParent()
    with pytest.raises(migrate.ModelError, match="is an ML Program, not a NeuralNetwork"):
        migrate.variants(spec)
    spec.treeEnsembleRegressor.SetInParent()
    with pytest.raises(migrate.ModelError, match="tree ensemble"):
        migrate.variants(spec)


def test_a_network_without_layers_is_refused_in_words():
    spec = network({"a": (1, 1, 2, 2)}, ["out"])
    with pytest.raises(migrate.ModelError, match="no layers"):
        migrate.variants(spec)


def classifier():
    """Return a classifier of two labels: a dense layer and softmax over 4 numbers."""
    spec = network(
        {"a": (4, 1, 1)}, [],
        ("innerProduct", "a", "scores", {"inputChannels": 4, "outputChannels": 2}),
        ("softmax", "scores", "odds", {}),
    )  # fmt: skip
    layers = [type(o).FromString(o.SerializeToString()) for o in spec.neuralNetwork.layers]
    layers[0].innerProduct.weights.floatValue.extend(np.arange(8.0))
    spec.specificationVersion = 1
    spec.neuralNetworkClassifier.layers.extend(layers)
    spec.neuralNetworkClassifier.stringClassLabels.vector.extend(["yes", "no"])
    output = spec.description.output.add(name="odds")
    output.type.dictionaryType.stringKeyType.SetInParent()
    spec.description.output.add(name="label").type.stringType.SetInParent()
    spec.description.predictedFeatureName = "label"
    spec.description.predictedProbabilitiesName = "odds"
    return spec


def test_a_classifier_stays_one_and_its_cuts_are_plain_networks():
    made = {v.name: v for v in migrate.variants(classifier())}
    assert made["copied-behind-odds"].spec.WhichOneof("Type") == "neuralNetworkClassifier"
    cut = made["cut-scores"].spec
    assert cut.WhichOneof("Type") == "neuralNetwork"
    assert [f.name for f in cut.description.output] == ["scores"]
    assert not cut.description.predictedFeatureName
    given = np.arange(4.0).reshape(4, 1, 1)
    wanted = np.arange(8.0).reshape(2, 4) @ np.arange(4.0)
    found = migrate.to_torch(cut).double().predict({"a": given})["scores"]
    np.testing.assert_allclose(found.ravel(), wanted)
    without = made["without-odds"]
    scores = migrate.to_torch(without.spec).double().predict({"a": given}, exact=True)["odds"]
    np.testing.assert_allclose([scores["yes"], scores["no"]], wanted)


def test_a_classifier_without_the_layer_that_makes_its_scores_is_left_out():
    (found,) = [v for v in left_out(classifier()) if v.name == "without-scores"]
    assert "2 labels and 4 scores" in found.reason


def test_of_an_updatable_model_the_part_that_predicts_is_varied():
    spec = small_block.small_block()
    spec.isUpdatable = True
    layer = spec.neuralNetwork.layers[0]
    layer.isUpdatable = layer.convolution.weights.isUpdatable = True
    spec.neuralNetwork.updateParams.epochs.defaultValue = 3
    spec.description.trainingInput.add(name="a").type.multiArrayType.shape.extend([1])
    for found in migrate.variants(spec):
        assert not found.spec.isUpdatable
        assert not found.spec.neuralNetwork.HasField("updateParams")
        assert not found.spec.description.trainingInput
        assert not any(o.isUpdatable for o in found.spec.neuralNetwork.layers)


def test_weights_that_are_no_numbers_give_variants_that_are_equal_in_that_too():
    spec = small_block.small_block()
    weights = spec.neuralNetwork.layers[0].convolution.weights
    weights.floatValue[0] = float("nan")
    made = {v.name: v for v in migrate.variants(spec)}
    assert np.isnan(made["declared"].outputs["out"]).any()
    assert "split-three" in made


def test_a_blob_that_is_written_twice_is_neither_cut_nor_tapped():
    spec = network(
        {"a": (1, 2, 3, 3)}, ["out"],
        ("activation", "a", "t", {"ReLU": None}), ("activation", "t", "t", {"tanh": None}),
        ("copy", "t", "out", {}),
    )  # fmt: skip
    names = {v.name for v in migrate.variants(spec)}
    assert not {name for name in names if name.startswith(("cut", "tap"))}
    assert "without-t-2" in names or "without-t" in names


def test_names_that_are_no_file_names_become_such():
    spec = small_block.small_block()
    for layer, name in zip(spec.neuralNetwork.layers, ["../x", "../X", "é" * 99, ""], strict=True):
        layer.name = name
    names = [v.name for v in migrate.variants(spec)]
    assert len({name.lower() for name in names}) == len(names)
    assert all("/" not in name and "." not in name and len(name) < 70 for name in names)


def test_a_kind_has_one_function_and_a_docstring_of_one_line():
    with pytest.raises(ValueError, match="two functions"):
        variant("cut")(lambda original: iter(()))
    with pytest.raises(ValueError, match="docstring"):
        variant("new kind")(lambda original: iter(()))
    assert all(line.endswith(".") for line in migrate.variant_kinds().values())


@pytest.mark.parametrize("size", [1, 31, 32, 127, 128, 5000])
def test_stored_weights_are_read_back(size):
    weight = small_block.small_block().neuralNetwork.layers[0].convolution.weights
    values = np.random.RandomState(size).randn(size).astype("f4")
    store(weight, values)
    assert list(weight.floatValue) == values.tolist()


def test_a_variant_is_plain_data():
    (found,) = [v for v in migrate.variants(small_block.small_block()) if v.kind == "turned"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.name = "other"


def test_custom_layers_need_their_builder():
    spec = network({"a": (1, 2, 3, 3)}, ["out"], ("custom", "a", "out", {"className": "Twice"}))
    with pytest.raises(migrate.UnsupportedError, match="Twice"):
        migrate.variants(spec)
    made = migrate.variants(spec, {"Twice": lambda params: lambda x: 2 * x})
    found = next(v for v in made if v.name == "copied-behind-out")
    np.testing.assert_allclose(found.outputs["out"], 2 * found.inputs["a"])
