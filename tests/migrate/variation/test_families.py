"""Each family of edits, on a network whose outputs are written out in numpy."""

from __future__ import annotations

import coremltools as ct
import numpy as np
import pytest
import small_block
from small_block import depthwise, draws, inputs

import migrate


@pytest.fixture(scope="module")
def made():
    return {v.name: v for v in migrate.variants(small_block.small_block())}


@pytest.fixture(scope="module")
def given():
    return inputs()


@pytest.fixture(scope="module")
def blobs(given):
    return small_block.blobs(given)


def outputs(variant, given):
    """Run a variant's spec anew, whatever module it carries."""
    net = migrate.to_torch(variant.spec).double()
    wanted = [feature.name for feature in net.network.inputs]
    return net.predict({name: given[name] for name in wanted}, exact=True)


def close(a, b):
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * np.abs(b).max())


def test_there_are_variants_of_every_kind_that_applies(made):
    kinds = {variant.kind for variant in made.values()}
    assert kinds == set(migrate.variant_kinds()) - {"fp32-features"}
    assert len(made) >= 20


def test_each_loads_with_coremltools_and_has_a_line_and_a_name_of_its_own(made):
    names = [name.lower() for name in made]
    assert len(set(names)) == len(names)
    for name, variant in made.items():
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
        assert variant.line.endswith(".")
        assert "\n" not in variant.line
        loaded = ct.models.MLModel(variant.spec, skip_model_load=True)
        assert loaded.get_spec() == variant.spec


EDITS = {
    "without-three": "layer 'three' (convolution) is left away, and blob 'z' takes the place of "
    "'out'.",
    "copied-before-join": "an identity stands before each input of layer 'join' (concatND).",
    "copied-behind-one": "an identity stands behind each output of layer 'one' (convolution).",
    "other-concat-join": "'join' is a concat in the place of a concatND.",
    "swapped-join": "the inputs of 'join' are reversed, and the weights behind it permuted, so "
    "that the numbers are the same.",
    "swapped-only-join": "the inputs of 'join' are reversed, and nothing else follows.",
    "split-three": "two convolutions in the place of 'three' read the inputs of 'join' in two "
    "halves, and what they give is concatenated.",
    "padded-32": "zeros fill up the channels of 'one', 'two' to multiples of 32.",
    "padded-64": "zeros fill up the channels of 'one', 'two' to multiples of 64.",
    "turned": "height and width change places in features, kernels, strides and padding, so that "
    "the longer axis is last.",
    "declared": "the model declares output 'out' as 1x8x4x1 while its layers give 1x16x4x1; here "
    "it is declared as they give it.",
    "fp16-features": "of the inputs and outputs, 'b', 'a', 'out' are FLOAT16, in spec version 7.",
    "fp16-outputs": "of the outputs, 'out' is FLOAT16, in spec version 7.",
    "version-7": "the spec version is 7 (iOS 16) in the place of 4.",
    "cut-join": "the network ends behind layer 'join' (concatND), and its output is blob 'z'.",
    "tap-one": "blob 'x' of layer 'one' (convolution) is one more output.",
}


def test_what_is_done_stands_alone_behind_a_question_that_names_nothing(made):
    """A reading takes the edit alone, and a layer's name may hold a colon."""
    parts = {name: variant.line.split(": ", 1) for name, variant in made.items()}
    for question, _ in parts.values():
        assert question.startswith("Whether ")
        assert not any(f"'{name}'" in question for name in ("one", "two", "join", "three", "out"))
    assert {name: parts[name][1] for name in EDITS} == EDITS
    assert {made[name].kind for name in EDITS} == {v.kind for v in made.values()}


def test_each_equal_one_is_equal_without_any_rearrangement(made, given, blobs):
    equal = [v for v in made.values() if str(v.same) == "equal"]
    assert len(equal) >= 15
    for variant in equal:
        close(outputs(variant, given)["out"], blobs["out"])


def test_each_differs_from_the_original(made):
    original = small_block.small_block()
    assert all(variant.spec != original for variant in made.values())


def test_the_network_without_a_layer_is_what_it_is_without_it(made, given, blobs):
    weights = draws()
    three = weights["three"]
    close(
        outputs(made["without-one"], given)["out"],
        depthwise(np.concatenate([given["a"], blobs["y"]], 1), *three),
    )
    close(outputs(made["without-three"], given)["out"], blobs["z"])
    assert [o.name for o in made["without-three"].spec.neuralNetwork.layers] == [
        "one", "two", "join"
    ]  # fmt: skip
    shape = made["without-three"].spec.description.output[0].type.multiArrayType.shape
    assert list(shape) == [1, 16, 8, 1]  # as it is computed now
    assert made["without-three"].net.network.outputs[0].shape == (1, 16, 8, 1)


def test_without_a_layer_that_changes_the_channels_the_first_weights_behind_it_stay(
    made, given, blobs
):
    weight, bias = draws()["three"]
    kept = [*range(6), 6, 7, 8]  # 3 channels of b where there were 10 of y
    joined = np.concatenate([blobs["x"], given["b"]], 1)
    expected = depthwise(joined, weight[kept], bias[kept])
    close(outputs(made["without-two"], given)["out"], expected)


@pytest.mark.parametrize(("blob", "needed", "kept"), [("x", "a", range(6)), ("y", "b", range(10))])
def test_without_a_concatenation_one_branch_is_left(made, given, blobs, blob, needed, kept):
    variant = made[f"without-join-keeping-{blob}"]
    weight, bias = draws()["three"]
    close(
        outputs(variant, given)["out"],
        depthwise(blobs[blob], weight[list(kept)], bias[list(kept)]),
    )
    assert [f.name for f in variant.spec.description.input] == [needed]


def test_identities_are_linear_activations(made):
    before = made["copied-before-join"].spec.neuralNetwork.layers
    assert [o.WhichOneof("layer") for o in before] == [
        "convolution", "convolution", "activation", "activation", "concatND", "convolution"
    ]  # fmt: skip
    copies = [o for o in before if o.WhichOneof("layer") == "activation"]
    assert [(o.activation.linear.alpha, o.activation.linear.beta) for o in copies] == [(1, 0)] * 2
    behind = made["copied-behind-three"].spec.neuralNetwork.layers
    assert list(behind[-1].output) == ["out"]
    assert behind[-1].WhichOneof("layer") == "activation"


@pytest.mark.parametrize(("kind", "other"), [("concatND", "concat"), ("concat", "concatND")])
def test_the_concatenation_has_the_other_type(kind, other, given, blobs):
    spec = small_block.small_block(kind)
    (variant,) = [v for v in migrate.variants(spec) if v.kind == "other-concat"]
    assert variant.spec.neuralNetwork.layers[2].WhichOneof("layer") == other
    close(outputs(variant, given)["out"], blobs["out"])


def test_swapped_inputs_give_the_channels_in_another_order(made, given, blobs):
    variant = made["swapped-join"]
    assert str(variant.same) == "equal up to the order of the channels of 'out'"
    assert list(variant.spec.neuralNetwork.layers[2].input) == ["y", "x"]
    found = outputs(variant, given)
    close(found["out"], blobs["out"][:, [*range(6, 16), *range(6)]])
    close(variant.same.restored(found)["out"], blobs["out"])


def test_swapped_inputs_alone_give_another_model(made, given, blobs):
    variant = made["swapped-only-join"]
    assert str(variant.same) == "another model"
    joined = np.concatenate([blobs["y"], blobs["x"]], 1)
    close(outputs(variant, given)["out"], depthwise(joined, *draws()["three"]))


def test_the_depthwise_convolution_is_split_where_the_inputs_meet(made):
    layers = made["split-three"].spec.neuralNetwork.layers
    parts = [o for o in layers if o.name.startswith("three_half")]
    assert [list(o.input) for o in parts] == [["x"], ["y"]]
    assert [o.convolution.nGroups for o in parts] == [6, 10]
    assert layers[-1].WhichOneof("layer") == "concatND"
    assert "join" not in [o.name for o in layers]


@pytest.mark.parametrize(("multiple", "channels"), [(32, (32, 32, 64)), (64, (64, 64, 128))])
def test_padded_channels_are_zeros_beside_the_same_numbers(made, given, blobs, multiple, channels):
    variant = made[f"padded-{multiple}"]
    convolutions = [o for o in variant.spec.neuralNetwork.layers if o.HasField("convolution")]
    assert tuple(o.convolution.outputChannels for o in convolutions) == channels
    found = outputs(variant, given)
    assert found["out"].shape == (1, channels[2], 4, 1)
    shape = variant.spec.description.output[0].type.multiArrayType.shape
    assert list(shape) == [1, channels[2], 4, 1]
    second = channels[0]
    kept = [*range(6), *range(second, second + 10)]
    close(found["out"][:, kept], blobs["out"])
    assert not np.delete(found["out"], kept, 1).any()
    close(variant.same.restored(found)["out"], blobs["out"])


def test_turned_the_longer_axis_is_last_in_features_and_kernels(made, given, blobs):
    variant = made["turned"]
    turned = {name: x.transpose(0, 1, 3, 2) for name, x in given.items()}
    assert all(np.array_equal(variant.same.given(given)[n], turned[n]) for n in given)
    found = outputs(variant, turned)
    close(found["out"].transpose(0, 1, 3, 2), blobs["out"])
    close(variant.same.restored(found)["out"], blobs["out"])
    shapes = [list(f.type.multiArrayType.shape) for f in variant.spec.description.input]
    assert shapes == [[1, 3, 1, 8], [1, 6, 1, 8]]
    assert list(variant.spec.neuralNetwork.layers[3].convolution.kernelSize) == [1, 5]


def test_the_declared_shape_is_what_is_computed(made):
    array = made["declared"].spec.description.output[0].type.multiArrayType
    assert list(array.shape) == [1, 16, 4, 1]
    assert "1x8x4x1" in made["declared"].line


def test_features_are_float16_from_version_7_on(made):
    both, outs = made["fp16-features"].spec, made["fp16-outputs"].spec
    assert both.specificationVersion == outs.specificationVersion == 7

    def types(spec):
        features = (*spec.description.input, *spec.description.output)
        kinds = [f.type.multiArrayType for f in features]
        return [kind.ArrayDataType.Name(kind.dataType) for kind in kinds]

    assert types(both) == ["FLOAT16"] * 3
    assert types(outs) == ["FLOAT32", "FLOAT32", "FLOAT16"]


def test_double_features_become_float32(given, blobs):
    spec = small_block.small_block()
    for feature in (*spec.description.input, *spec.description.output):
        feature.type.multiArrayType.dataType = feature.type.multiArrayType.DOUBLE
    (variant,) = [v for v in migrate.variants(spec) if v.kind == "fp32-features"]
    array = variant.spec.description.output[0].type.multiArrayType
    assert array.dataType == array.FLOAT32
    close(outputs(variant, given)["out"], blobs["out"])


def test_higher_spec_versions_differ_in_nothing_else(made):
    for version in range(5, 10):
        spec = small_block.small_block()
        spec.specificationVersion = version
        assert made[f"version-{version}"].spec == spec


@pytest.mark.parametrize(("layer", "blob", "needed"), [("one", "x", ["a"]), ("join", "z", "ba")])
def test_a_cut_ends_behind_a_layer_and_needs_what_it_needs(made, given, blobs, layer, blob, needed):
    variant = made[f"cut-{layer}"]
    assert [f.name for f in variant.spec.description.input] == list(needed)
    close(outputs(variant, given)[blob], blobs[blob])
    assert dict(variant.same.shows) == {blob: blob}
    shape = tuple(variant.spec.description.output[0].type.multiArrayType.shape)
    assert shape == blobs[blob].shape


def test_a_tap_is_one_more_output(made, given, blobs):
    found = outputs(made["tap-two"], given)
    assert list(found) == ["out", "y"]
    close(found["y"], blobs["y"])
    close(found["out"], blobs["out"])
