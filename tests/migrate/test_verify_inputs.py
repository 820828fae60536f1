"""The inputs that a model is tried on, and what is noted of a forward pass on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import migrate
from migrate.coreml import proto
from migrate.dataflow import flow
from migrate.feature_types import Feature
from migrate.network import Network
from migrate.trial_inputs import KINDS, trial


def network(*features):
    return Network("neuralNetwork", 4, features, (), (), False, False)


ARRAY = Feature("a", "multiArray", (3, 500))
IMAGE = Feature("i", "image", (1, 3, 20, 30), color="RGB")
WHOLE = Feature("n", "multiArray", (400,), dtype="int32")


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_types_and_ranges(kind):
    found = trial(network(ARRAY, IMAGE, WHOLE), kind, 0)
    assert {n: (x.shape, x.dtype) for n, x in found.items()} == {
        "a": ((3, 500), np.float32),
        "i": ((1, 3, 20, 30), np.uint8),
        "n": ((400,), np.int32),
    }
    assert found["n"].min() >= 0
    assert all(len(np.unique(x)) > 1 for x in found.values())


def test_each_kind_is_what_it_says():
    found = {kind: trial(network(ARRAY, IMAGE), kind, 3) for kind in KINDS}
    normal, integers, unit = (found[kind]["a"] for kind in KINDS)
    assert abs(normal.mean()) < 0.1
    assert abs(normal.std() - 1) < 0.1
    assert set(np.unique(integers)) == set(range(-8, 9))
    assert (unit.min() >= 0, unit.max() <= 1) == (True, True)
    np.testing.assert_array_equal(unit, unit.astype(np.float16))
    grey, pixels, bright = (found[kind]["i"].astype(float) for kind in KINDS)
    assert abs(grey.mean() - 128) < 5
    assert (pixels.min(), pixels.max()) <= (5, 255)
    assert bright.mean() > 110


def test_inputs_are_the_same_each_time_and_others_for_other_seeds_and_positions():
    both = network(ARRAY, Feature("b", "multiArray", (3, 500)))
    first, again, other = (trial(both, "normal", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first["a"], again["a"])
    assert not np.array_equal(first["a"], other["a"])
    assert not np.array_equal(first["a"], first["b"])


def test_a_float16_image_is_not_rounded():
    feature = Feature("g", "image", (1, 1, 8, 8), color="GRAYSCALE_FLOAT16")
    values = trial(network(feature), "normal", 0)["g"]
    assert values.dtype == np.float32
    assert (values != np.rint(values)).any()


def test_an_unknown_kind_has_no_inputs():
    with pytest.raises(KeyError):
        trial(network(ARRAY), "zeros", 0)


def test_a_pass_is_noted_by_layer_and_constants_are_told_from_data():
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    array = spec.description.input.add(name="x").type.multiArrayType
    array.shape.append(4)
    array.dataType = array.FLOAT32
    spec.description.output.add(name="out").type.multiArrayType.dataType = array.FLOAT32
    layers = spec.neuralNetwork.layers
    constant = layers.add(name="c", output=["c"]).loadConstantND
    constant.shape.append(4)
    constant.data.floatValue.extend([1, 2, 4, 8])
    layers.add(name="root", input=["c"], output=["r"]).unary.type = 0
    layers.add(name="out", input=["x", "r"], output=["out"]).addBroadcastable.SetInParent()
    net = migrate.to_torch(spec)
    x = torch.ones(4)
    found = flow(net, lambda: torch.relu(net(x)))
    rows = [(n.layer, n.name, n.value is not None, set(n.weights)) for n in found.nodes]
    assert ("root", "sqrt", True, {"c.value"}) in rows
    assert ("out", "add", False, {"c.value"}) in rows
    assert rows[-1][:3] == ("", "relu", False)
    (root,) = [node for node in found.nodes if node.name == "sqrt"]
    np.testing.assert_allclose(root.exact(), np.sqrt(np.array([1.0, 2, 4, 8])), rtol=1e-15)
