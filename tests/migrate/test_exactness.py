"""The certificate against sums written out here, and what has none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_block import array, convolution

import migrate
from migrate import exactness
from migrate.coreml import proto
from migrate.registry import known_fields

DRAW = np.random.RandomState(0)


def whole(*shape, largest=9):
    return DRAW.randint(-largest, largest + 1, shape).astype(np.float64)


def bound(spec, *arrays):
    """Return the certificate of the only layer, computed in float64 as in float32."""
    given = {f"in{i}": x for i, x in enumerate(arrays)}
    net = migrate.to_torch(spec)
    (found,) = migrate.certify(net, given)[0].values()
    (precise,) = migrate.certify(net.double(), given)[0].values()
    assert found == precise
    return found


def stored(message, values):
    message.floatValue.extend(np.ravel(values).tolist())


def test_a_dense_layer(one_layer):
    w, b, x = whole(5, 4), whole(5), whole(4)

    def fill(p):
        p.inputChannels, p.outputChannels, p.hasBias = 4, 5, True
        stored(p.weights, w)
        stored(p.bias, b)

    spec = one_layer("innerProduct", [(4,)], fill=fill)
    assert bound(spec, x) == (np.abs(w) @ np.abs(x) + np.abs(b)).max()


def test_a_convolution_with_groups_and_strides():
    w, b, x = whole(4, 2, 2, 2), whole(4), whole(1, 4, 5, 5)
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    array(spec.description.input, "in0", x.shape)
    array(spec.description.output, "out0", (1, 4, 2, 2))
    convolution(spec.neuralNetwork, "c", "in0", "out0", w, b, groups=2, stride=[2, 2])
    found = 0.0
    for channel in range(4):
        part = np.abs(x[0, 2 * (channel // 2) :][:2])
        for i in range(0, 4, 2):
            for j in range(0, 4, 2):
                sums = (np.abs(w[channel]) * part[:, i : i + 2, j : j + 2]).sum()
                found = max(found, sums + abs(b[channel]))
    assert bound(spec, x) == found


def test_a_product_of_two_blobs(one_layer):
    a, b = whole(3, 4), whole(4, 2)
    spec = one_layer("batchedMatmul", [(3, 4), (4, 2)])
    assert bound(spec, a, b) == (np.abs(a) @ np.abs(b)).max()


def test_sums_count_what_cancels(one_layer):
    a, b = whole(3, 4), whole(3, 4)
    largest = (np.abs(a) + np.abs(b)).max()
    for kind in ("add", "addBroadcastable", "subtractBroadcastable"):
        assert bound(one_layer(kind, [(3, 4), (3, 4)]), a, b) == largest, kind
    assert bound(one_layer("add", [(3, 4)], alpha=-20.0), a) == np.abs(a).max() + 20
    assert bound(one_layer("multiply", [(3, 4)], alpha=-20.0), a) == np.abs(a).max() * 20
    assert bound(one_layer("reduceSum", [(3, 4)], axes=[1]), a) == np.abs(a).sum(1).max()


def test_a_factor_of_nothing_hides_no_other_product(one_layer):
    spec = one_layer("multiply", [(1,), (1,), (1,)])
    x = [np.array([float(n)]) for n in (30, 40, 0)]
    assert bound(spec, *x) == 1200


def test_scale_and_bias(one_layer):
    x, w, b = whole(1, 3, 2, 2), whole(3), whole(3)

    def fill(p):
        p.hasBias = True
        p.shapeScale.append(3)
        p.shapeBias.append(3)
        stored(p.scale, w)
        stored(p.bias, b)

    def only(p):
        p.shape.append(3)
        stored(p.bias, b)

    w, b, size = (np.abs(v).reshape(-1, 1, 1) for v in (w, b, x))
    size = np.abs(x)
    assert bound(one_layer("scale", [x.shape], fill=fill), x) == (size * w + b).max()
    assert bound(one_layer("bias", [x.shape], fill=only), x) == (size + b).max()


def test_a_line_in_each_element(one_layer):
    x = whole(3, 4)
    largest = np.abs(x).max()

    def linear(p):
        p.linear.alpha, p.linear.beta = -3, 7

    def steep(p):
        p.leakyReLU.alpha = 3

    def rectified(p):
        p.ReLU.SetInParent()

    assert bound(one_layer("activation", [(3, 4)], fill=linear), x) == 3 * largest + 7
    assert bound(one_layer("activation", [(3, 4)], fill=steep), x) == 3 * largest
    assert bound(one_layer("activation", [(3, 4)], fill=rectified), x) == largest
    params = {"type": 6, "scale": -2.0, "shift": 5.0}
    assert bound(one_layer("unary", [(3, 4)], **params), x) == 2 * largest + 5


def test_what_moves_elements_keeps_their_magnitude(one_layer):
    x = whole(3, 4)
    assert bound(one_layer("transpose", [(3, 4)], axes=[1, 0]), x) == np.abs(x).max()
    assert bound(one_layer("concatND", [(3, 4), (3, 4)], axis=0), x, 2 * x) == np.abs(2 * x).max()


def test_other_weights_may_be_given(one_layer):
    def fill(p):
        p.shape.append(1)
        stored(p.bias, [100])

    net = migrate.to_torch(one_layer("bias", [(1, 1, 2)], fill=fill))
    x = np.array([[[3.0, -4.0]]])
    seen = []

    def choose(at):
        seen.append((at.place.layer.kind, at.stored()["bias"].item()))
        return {"bias": torch.tensor([-5.0])}

    bounds, blobs = migrate.certify(net, {"in0": x}, choose)
    assert seen == [("bias", 100)]
    assert list(bounds.values()) == [9]
    assert blobs["out0"].ravel().tolist() == [-2, -9]


REFUSED = [
    ("softmax", {}, "it takes exponentials"),
    ("lrn", {"localSize": 3}, "it divides"),
    ("mvn", {}, "it takes a square root"),
    ("unary", {"type": 2}, "it takes a root, a quotient or an exponential"),
    ("unary", {"type": 6, "scale": 0.5}, "its number 0.5 is not whole, or beyond 2048"),
    ("upsample", {"mode": 1, "scalingFactor": [2, 2]}, "it interpolates"),
    ("reduce", {"mode": 1}, "it divides, or takes a root or a logarithm"),
    ("pooling", {"type": 1, "kernelSize": [2, 2]}, "it divides or takes a square root"),
    ("dot", {"cosineSimilarity": True}, "it takes a square root"),
    ("add", {"alpha": 0.25}, "its number 0.25 is not whole, or beyond 2048"),
    ("multiply", {"alpha": 2049}, "its number 2049 is not whole, or beyond 2048"),
    ("multiply", {"alpha": float("inf")}, "its number inf is not whole, or beyond 2048"),
    ("add", {"alpha": float("nan")}, "its number nan is not whole, or beyond 2048"),
    ("lessEqual", {"alpha": 0.75}, "its number 0.75 is not whole, or beyond 2048"),
    ("topK", {}, "it is not known to keep whole numbers"),
    ("randomNormalLike", {}, "it is not known to keep whole numbers"),
]


@pytest.mark.parametrize(("kind", "fields", "why"), REFUSED)
def test_the_first_layer_that_keeps_no_whole_numbers_is_named(one_layer, kind, fields, why):
    spec = one_layer(kind, [(1, 2, 4, 4)], **fields)
    with pytest.raises(migrate.InexactError) as error:
        migrate.require_whole(migrate.read(spec))
    assert str(error.value) == f"layer 'tested' ({kind}), 1 of 1: {why}"


def test_stored_slopes_and_a_pipeline_are_refused(one_layer):
    spec = one_layer("activation", [(1, 2, 4, 4)], fill=lambda p: p.PReLU.SetInParent())
    with pytest.raises(migrate.InexactError, match="it multiplies by stored slopes"):
        migrate.require_whole(migrate.read(spec))
    outer = proto("Model_pb2").Model(specificationVersion=4)
    outer.description.CopyFrom(spec.description)
    outer.pipeline.models.add().CopyFrom(spec)
    with pytest.raises(migrate.InexactError, match="the model is a pipeline"):
        migrate.require_whole(migrate.read(outer))


def test_a_magnitude_beyond_the_limit_and_a_fraction_are_refused(one_layer):
    spec = one_layer("add", [(2,), (2,)])
    net = migrate.to_torch(spec)
    given = {"in0": np.array([1024.0, 0]), "in1": np.array([-1024.0, 0])}
    assert list(migrate.certify(net, given)[0].values()) == [2048]
    given["in1"][0] = -1025
    with pytest.raises(migrate.InexactError, match="whose magnitudes add up to 2049, beyond 2048"):
        migrate.certify(net, given)
    given["in1"][0] = 0.5
    with pytest.raises(migrate.InexactError, match="input 'in1' gives numbers that are not whole"):
        migrate.certify(net, given)
    given["in1"][0] = np.nan
    with pytest.raises(migrate.InexactError):
        migrate.certify(net, given)


def test_stored_numbers_that_are_not_whole_are_refused_even_if_their_products_are(one_layer):
    def fill(p):
        p.inputChannels = p.outputChannels = 1
        stored(p.weights, [0.5])

    net = migrate.to_torch(one_layer("innerProduct", [(1,)], fill=fill))
    with pytest.raises(migrate.InexactError, match="holds numbers that are not whole"):
        migrate.certify(net, {"in0": np.array([4.0])})


def image(scale, bias):
    """Return a spec that copies an image of 2x1 pixels, scaled and shifted."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    kind = spec.description.input.add(name="in0").type.imageType
    kind.width, kind.height, kind.colorSpace = 2, 1, 10
    array(spec.description.output, "out0", (1, 1, 2))
    spec.neuralNetwork.layers.add(input=["in0"], output=["out0"]).copy.SetInParent()
    scaler = spec.neuralNetwork.preprocessing.add(featureName="in0").scaler
    scaler.channelScale, scaler.grayBias = scale, bias
    return migrate.to_torch(spec)


def test_the_preprocessing_of_an_image_counts_what_cancels():
    pixels = {"in0": np.array([[[[15, 3]]]], np.uint8)}
    assert list(migrate.certify(image(100, -500), pixels)[0].values()) == [1000]
    with pytest.raises(migrate.InexactError, match=r"'in0' gives .* add up to 2500, beyond 2048"):
        migrate.certify(image(100, -1000), pixels)
    with pytest.raises(migrate.InexactError, match="'in0' gives numbers that are not whole"):
        migrate.certify(image(0.5, 0), {"in0": np.array([[[[14, 2]]]], np.uint8)})


def test_every_kind_that_is_named_exists_and_has_one_answer():
    groups = (exactness.PRODUCTS, exactness.SUMS, exactness.MOVES, tuple(exactness.WHY))
    named = [kind for group in groups for kind in group]
    assert set(named) <= set(known_fields())
    assert len(named) == len(set(named))
    assert set(exactness.STRAIGHT) <= set(known_fields("ActivationParams", "NonlinearityType"))
