"""Networks under reductions, against the small block written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import small_block
from small_block import array, convolution, depthwise, draws, pointwise
from small_block import small_block as block

import migrate
from migrate import Reducible, Reduction
from migrate.coreml import proto
from migrate.errors import ModelError

WEIGHTS = draws()


def of(**reductions):
    """Reductions by kind; a name goes with its value."""
    found = []
    for kind, value in reductions.items():
        name, number = value if isinstance(value, tuple) else ("", value)
        found.append(Reduction(kind.replace("_", " "), name, number))
    return tuple(found)


def run(reductions, spec=None):
    """The reduced network's output 'out', and the inputs that it was given."""
    found = Reducible(spec or block()).reduced(reductions)
    net = migrate.to_torch(found.spec).double()
    draw = np.random.RandomState(4)
    given = {f.name: draw.randn(*f.shape) for f in net.network.inputs}
    return net.predict(dict(given), exact=True), given, net.network


def cut(name, count, inputs=None):
    """Weights and bias of one of the block's convolutions, of fewer channels."""
    weights, bias = WEIGHTS[name]
    return weights[:count, :inputs], bias[:count]


def test_channels_of_a_concatenation_are_cut_in_proportion_and_the_weights_follow():
    found, given, network = run(of(channels=("z", 8)))
    x, y = pointwise(given["a"], *cut("one", 3)), pointwise(given["b"], *cut("two", 5))
    weights, bias = WEIGHTS["three"]
    rows = [0, 1, 2, 6, 7, 8, 9, 10]  # three of the first part's 6, five of the other's 10
    wanted = depthwise(np.concatenate([x, y], 1), weights[rows], bias[rows])
    np.testing.assert_allclose(found["out"], wanted, rtol=1e-6)
    assert network.outputs[0].shape == (1, 8, 4, 1)
    assert next(o for o in network.layers if o.name == "three").params.nGroups == 8


def test_channels_of_one_part_and_of_an_input():
    found, given, network = run((*of(channels=("x", 1)), Reduction("channels", "b", 2)))
    assert {f.name: f.shape for f in network.inputs} == {"b": (1, 2, 8, 1), "a": (1, 6, 8, 1)}
    x, y = pointwise(given["a"], *cut("one", 1)), pointwise(given["b"], *cut("two", 10, 2))
    weights, bias = WEIGHTS["three"]
    rows = [0, *range(6, 16)]
    wanted = depthwise(np.concatenate([x, y], 1), weights[rows], bias[rows])
    np.testing.assert_allclose(found["out"], wanted, rtol=1e-6)


def test_height_is_that_of_every_input_and_the_output_is_declared_as_computed():
    found, given, network = run(of(height=6))
    assert [f.shape[2] for f in network.inputs] == [6, 6]
    assert network.outputs[0].shape == found["out"].shape == (1, 16, 2, 1)
    np.testing.assert_allclose(found["out"], small_block.blobs(given)["out"], rtol=1e-6)


def test_a_kernel_keeps_its_first_rows():
    found, given, _ = run(of(kernel_height=("three", 1)))
    x, y = pointwise(given["a"], *WEIGHTS["one"]), pointwise(given["b"], *WEIGHTS["two"])
    weights, bias = WEIGHTS["three"]
    wanted = np.concatenate([x, y], 1) * weights[None, :, 0, :1] + bias[:, None, None]
    np.testing.assert_allclose(found["out"], wanted, rtol=1e-6)


def test_the_last_layers_alone_are_given_what_the_others_gave():
    found, given, network = run(of(start=2))
    assert [o.name for o in network.layers] == ["join", "three"]
    assert {f.name: f.shape for f in network.inputs} == {"x": (1, 6, 8, 1), "y": (1, 10, 8, 1)}
    wanted = depthwise(np.concatenate([given["x"], given["y"]], 1), *WEIGHTS["three"])
    np.testing.assert_allclose(found["out"], wanted, rtol=1e-6)


def test_the_first_layers_alone_give_what_the_others_read():
    found, given, network = run(of(end=2))
    assert [o.name for o in network.layers] == ["one", "two"]
    np.testing.assert_allclose(found["x"], pointwise(given["a"], *WEIGHTS["one"]), rtol=1e-6)
    np.testing.assert_allclose(found["y"], pointwise(given["b"], *WEIGHTS["two"]), rtol=1e-6)
    assert [f.shape for f in network.outputs] == [(1, 6, 8, 1), (1, 10, 8, 1)]


def test_a_layer_in_a_branch_of_its_own_is_given():
    found, given, network = run(of(given=("two", 0)))
    assert {f.name for f in network.inputs} == {"a", "y"}
    x = pointwise(given["a"], *WEIGHTS["one"])
    wanted = depthwise(np.concatenate([x, given["y"]], 1), *WEIGHTS["three"])
    np.testing.assert_allclose(found["out"], wanted, rtol=1e-6)


def chain(*kinds):
    """Layers one after the other, each of one input: a name and what is set in it."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    array(spec.description.input, "b0", (1, 2, 3, 3))
    for i, kind in enumerate(kinds):
        layer = spec.neuralNetwork.layers.add(name=f"l{i}", input=[f"b{i}"], output=[f"b{i + 1}"])
        if kind == "relu":
            layer.activation.ReLU.SetInParent()
        else:
            layer.unary.type, layer.unary.shift, layer.unary.scale = kind, 1.0, 1.0
    array(spec.description.output, f"b{len(kinds)}", (1, 2, 3, 3))
    return spec


ABS, THRESHOLD = 6, 7  # UnaryFunctionLayerParams.Operation


def test_a_layer_of_one_shape_is_passed_by_and_two_in_a_row_too():
    spec = chain("relu", ABS, "relu", ABS)
    found, given, network = run(of(bypass=("l1", 0)), spec)
    assert [o.name for o in network.layers] == ["l0", "l2", "l3"]
    both = (Reduction("bypass", "l1", 0), Reduction("bypass", "l2", 0))
    found, given, network = run(both, spec)
    assert [o.name for o in network.layers] == ["l0", "l3"]
    wanted = np.abs(np.maximum(given["b0"], 0) + 1)
    np.testing.assert_allclose(found["b4"], wanted)


def test_an_output_that_is_read_inside_is_kept_and_a_branch_at_the_end_can_be_cut():
    spec = chain("relu", ABS)
    layer = spec.neuralNetwork.layers.add(name="side", input=["b1"], output=["s"])
    layer.activation.ReLU.SetInParent()
    array(spec.description.output, "s", (1, 2, 3, 3))
    knobs = {k.key for k in Reducible(spec).knobs(())[0]}
    assert ("cut", "l1") in knobs
    _, _, network = run(of(cut=("l1", 0)), spec)
    assert {f.name for f in network.outputs} == {"s", "b1"}
    assert [o.name for o in network.layers] == ["l0", "side"]


def test_weights_are_seeded_and_two_seeds_differ():
    _, _, network = run(of(weights=0))
    _, _, again = run(of(weights=0))
    _, _, other = run(of(weights=1))
    one, same, different = (
        np.array(n.layers[0].params.weights.floatValue) for n in (network, again, other)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, different)
    assert not np.isin(one, WEIGHTS["one"][0]).any()
    assert np.array_equal(one, one.astype(np.float16))
    largest = np.abs(WEIGHTS["one"][0]).max()
    assert largest / 2 <= np.abs(one).max() <= 2 * largest


def test_a_variance_stays_positive_under_any_seed():
    spec = block()
    layer = spec.neuralNetwork.layers.add(name="norm", input=["out"], output=["n"])
    layer.batchnorm.channels = 16
    for field in ("gamma", "beta", "mean", "variance"):
        getattr(layer.batchnorm, field).floatValue.extend([0.5] * 16)
    spec.description.output[0].name = "n"
    for seed in range(migrate.SEEDS):
        found = Reducible(spec).reduced(of(weights=seed)).spec
        assert min(found.neuralNetwork.layers[-1].batchnorm.variance.floatValue) > 0


@pytest.mark.parametrize(
    ("reductions", "said"),
    [
        (of(channels=("z", 1)), "cannot be shared out"),
        (of(channels=("x", 7)), "'x' has 6 channels, which cannot be 7"),
        (of(channels=("out", 3)), "the network has no channels of 'out'"),
        (of(channels=("who", 3)), "nothing to reduce that is called 'channels who'"),
        (of(height=0), "height 8, which cannot be 0"),
        (of(height=3), "Kernel size can't be greater than actual input size"),
        (of(kernel_height=("three", 6)), "has no 6 to keep"),
        (of(kernel_width=("join", 1)), "no layer 'join' with a kernel"),
        (of(weights=migrate.SEEDS), "seeded by 0 to 2, not by 3"),
        (of(start=1, end=1), "of 4 layers there are none"),
        (of(start=9), "of 4 layers there are none"),
        (of(start=2, channels=("a", 1)), "the network has no channels of 'a'"),
    ],
)
def test_what_cannot_be_made_is_a_sentence(reductions, said):
    found = Reducible(block())
    with pytest.raises(ModelError) as caught:
        found.reduced(reductions)
    assert said in str(caught.value)


def test_the_order_in_which_reductions_are_given_does_not_matter():
    one = (Reduction("height", "", 5), Reduction("start", "", 3), Reduction("channels", "z", 4))
    made = Reducible(block())
    assert made.ordered(one) == made.ordered(one[::-1])
    specs = [
        Reducible(block()).reduced(r).spec.SerializeToString(deterministic=True)
        for r in (one, one[::-1])
    ]
    assert specs[0] == specs[1]


def test_what_others_take_away_is_not_set():
    one = (*of(start=2), Reduction("channels", "a", 1), Reduction("given", "two", 0),
           Reduction("kernel height", "three", 2))  # fmt: skip
    assert [r.kind for r in Reducible(block()).settled(one)] == ["start", "given", "kernel height"]


def test_the_knobs_are_what_there_is():
    found = {k.key: k for k in Reducible(block()).knobs(())[0]}
    assert {key: (k.value, k.least) for key, k in found.items()} == {
        ("start", ""): (4, 1),
        ("end", ""): (4, 1),
        ("given", "two"): (1, 0),
        ("channels", "z"): (16, 2),
        ("channels", "b"): (3, 1),
        ("channels", "a"): (6, 1),
        ("channels", "x"): (6, 1),
        ("channels", "y"): (10, 1),
        ("height", ""): (8, 1),
        ("kernel height", "three"): (5, 1),
        ("weights", ""): (migrate.SEEDS, 0),
    }
    assert found["channels", "x"].behind == (("channels", "z"),)
    left = {k.key: k.value for k in Reducible(block()).knobs(of(start=2, channels=("z", 8)))[0]}
    assert left["channels", "x"] == 3
    assert ("channels", "a") not in left


def test_both_sides_of_an_addition_are_one_knob_and_groups_stay_whole():
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    array(spec.description.input, "a", (1, 3, 4, 4))
    array(spec.description.output, "y", ())
    draw = np.random.RandomState(1)
    network = spec.neuralNetwork
    convolution(network, "p", "a", "u", draw.randn(8, 3, 1, 1).astype("f4"), None)
    convolution(network, "q", "a", "v", draw.randn(8, 3, 1, 1).astype("f4"), None)
    network.layers.add(name="sum", input=["u", "v"], output=["s"]).add.SetInParent()
    convolution(network, "g", "s", "y", draw.randn(4, 2, 1, 1).astype("f4"), None, groups=4)
    found = {k.name: k for k in Reducible(spec).knobs(())[0] if k.kind == "channels"}
    assert set(found) == {"a", "u"}
    assert (found["u"].value, found["u"].least, found["u"].step) == (8, 2, 2)
    small = Reducible(spec).reduced(of(channels=("u", 6)))
    assert small.shapes["v"][1] == small.shapes["s"][1] == 6
    assert small.network.layers[-1].params.nGroups == 3
    with pytest.raises(ModelError, match="which cannot be 5"):
        Reducible(spec).reduced(of(channels=("u", 5)))


def test_what_cannot_be_followed_is_no_knob_and_is_said():
    spec = block()
    layer = spec.neuralNetwork.layers.add(name="odd", input=["out"], output=["o"])
    layer.reverse.reverseDim.extend([False, True, False, False])
    spec.description.output[0].name = "o"
    offered, why = Reducible(spec).knobs(())
    assert {k.name for k in offered if k.kind == "channels"} == {"a", "b"}
    assert "the channels of 'z' stay: layer 'odd' (reverse) does not go with" in why[0]


def test_flexible_inputs_and_quantised_weights_stay_as_they_are():
    spec = block()
    sizes = spec.description.input[0].type.multiArrayType.shapeRange.sizeRanges
    for low, high in ((1, 1), (3, 3), (8, 16), (1, 1)):
        size = sizes.add()
        size.lowerBound, size.upperBound = low, high
    weights = spec.neuralNetwork.layers[0].convolution.weights
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.append(0.1)
    weights.rawValue = bytes(36)
    del weights.floatValue[:]
    offered, why = Reducible(spec).knobs(())
    assert {"height", "weights"}.isdisjoint(k.kind for k in offered)
    assert any("the height of the inputs stays: images and flexible shapes" in w for w in why)
    assert any(
        "the weights stay: those of layer 'one' (convolution) are quantised" in w for w in why
    )


def test_a_reduced_network_is_a_variant_that_loads():
    found = Reducible(block()).variant(of(start=2, weights=1), "r1-1", "Whether: so.")
    assert (found.name, str(found.same)) == ("r1-1", "another model")
    assert found.outputs["out"].shape == (1, 16, 4, 1)
    assert Reducible(block()).size(of(start=2)) == (2, 96, 128)
    assert Reducible(block()).size(()) == (4, 36 + 6 + 30 + 10 + 80 + 16, 72)


def test_a_pipeline_is_refused():
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.pipeline.models.add()
    with pytest.raises(ModelError, match="a pipeline of 1 models"):
        Reducible(spec)
