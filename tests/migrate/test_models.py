"""Models that people published: they load and run, and the simple ones do what their layers say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from published import seeded
from torch.nn import functional as F

import migrate
from migrate import InputError, UnsupportedError

MODELS = {
    "blazeface_short": {"scores": None, "regression": None},
    "cpm_pose": {"Convolutional_Pose_Machine__stage_5_out__0": (14, 96, 96)},
    "hand_pose_createml": {"labelProbabilities": dict, "label": str},
    "hand_squeezenet": {"loss": dict, "classLabel": str},
    "mnist_cnn": {"prediction": (10,)},
    "posenet_mobilenet075": {
        "displacementBwd": (32, 33, 33),
        "displacementFwd": (32, 33, 33),
        "offsets": (34, 33, 33),
        "heatmap": (17, 33, 33),
    },
    "srcnn": {"output1": (3, 200, 200)},
    "tiny_drawing_embedding": {"embedding": (128,)},
    "waifu2x_photo_noise0": {"conv7": (3, 128, 128)},
}
SOFTMAX = ("hand_pose_createml",)  # the other classifier ends in a sigmoid


@pytest.fixture
def load(shared_models):
    def load_model(name):
        path = shared_models / f"{name}.mlmodel"
        if not path.exists():
            pytest.skip(f"no {name} here")
        return migrate.to_torch(path)

    return load_model


def default_inputs(net):
    return {feature.name: seeded(feature) for feature in net.network.inputs}


@pytest.mark.parametrize("name", MODELS)
def test_runs_on_inputs_of_its_default_shapes(load, name):
    net = load(name)
    outputs = net.predict(default_inputs(net))
    assert set(outputs) == set(MODELS[name])
    for feature in net.network.outputs:
        want, value = MODELS[name][feature.name], outputs[feature.name]
        if want is dict:
            assert tuple(value) == net.network.labels
            assert name not in SOFTMAX or sum(value.values()) == pytest.approx(1, abs=1e-4)
            assert min(value.values()) >= 0
            assert outputs[net.network.predicted_feature] == max(value, key=value.get)
        elif want is str:
            assert value in net.network.labels
        else:
            assert value.dtype == feature.dtype
            assert want is None or value.shape == want
            assert np.isfinite(value).all()
            assert value.std() > 0


@pytest.mark.parametrize("name", ["mnist_cnn", "hand_pose_createml", "srcnn"])
def test_float64_agrees(load, name):
    net = load(name)
    inputs = [torch.tensor(value, dtype=torch.float32) for value in default_inputs(net).values()]
    single = net(*inputs)
    double = net.double()(*(x.double() for x in inputs))
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


def test_posenet_at_another_of_its_sizes(load):
    net = load("posenet_mobilenet075")
    feature = net.network.inputs[0]
    outputs = net.predict({"image": seeded(feature, (1, 3, 257, 257))})
    for output in net.network.outputs:
        assert outputs[output.name].shape == output.shapes[0]
        assert output.shapes[0][1:] == (17, 17)
    with pytest.raises(InputError, match="image"):
        net.predict({"image": seeded(feature, (1, 3, 256, 256))})


def test_blazeface_at_another_of_its_shapes(load):
    """It computes its shapes at run time; a batch is two images side by side."""
    net = load("blazeface_short")
    feature = net.network.inputs[0]
    assert (2, 3, 128, 128) in feature.shapes
    both = seeded(feature, (2, 3, 128, 128))
    outputs = net.predict({"input": both})
    for i in range(2):
        one = net.predict({"input": both[i : i + 1]})
        for name, value in one.items():
            assert outputs[name].shape == (2, *value.shape[1:])
            np.testing.assert_allclose(outputs[name][i : i + 1], value, rtol=1e-3, atol=1e-3)
    larger = net.predict({"input": seeded(feature, (1, 3, 512, 512))})
    assert all(larger[name].size >= value.size for name, value in one.items())


def test_kraken_names_each_layer_that_needs_the_users_help(shared_models):
    path = shared_models / "kraken_blla.mlmodel"
    if not path.exists():
        pytest.skip("no kraken_blla here")
    custom = [layer for layer in migrate.read(path).layers if layer.kind == "custom"]
    assert len(custom) == 6
    with pytest.raises(UnsupportedError) as caught:
        migrate.to_torch(path)
    assert all(layer.name in str(caught.value) for layer in custom)
    assert "\n" not in str(caught.value)


def stored(net, layer):
    """Return (weights, bias) of a layer, straight from its message."""
    params = next(op.params for op in net.network.layers if op.name == layer)
    if hasattr(params, "kernelSize"):
        shape = (params.outputChannels, params.kernelChannels, *params.kernelSize)
    else:
        shape = (params.outputChannels, params.inputChannels)
    weights = np.array(params.weights.floatValue, np.float64).reshape(shape)
    return torch.tensor(weights), torch.tensor(np.array(params.bias.floatValue, np.float64))


def agrees(net, want, scale=1.0):
    inputs = {name: value * scale for name, value in default_inputs(net).items()}
    found = net.double().predict(inputs)[net.network.outputs[0].name]
    want = want(net, torch.tensor(next(iter(inputs.values()))))
    np.testing.assert_allclose(found.ravel(), want.numpy().ravel(), rtol=1e-9, atol=1e-9)


def test_srcnn_by_hand(load):
    def network(net, x):
        x = x * float(np.float32(1 / 255))
        for i, size in enumerate((9, 3, 5), start=1):
            x = F.conv2d(x, *stored(net, f"conv2d_{i}"), padding=size // 2)
            x = x.clamp(min=0) if i < 3 else x
        return x

    agrees(load("srcnn"), network)


def test_waifu2x_by_hand(load):
    slope = float(np.float32(0.1))

    def network(net, x):
        x = x[None]
        for i in range(1, 8):
            x = F.conv2d(x, *stored(net, f"conv{i}_layer"))
            x = torch.maximum(x, slope * x) if i < 7 else x
        return x

    agrees(load("waifu2x_photo_noise0"), network)


def test_mnist_by_hand(load):
    def network(net, x):
        for i in (1, 2):
            x = F.conv2d(x, *stored(net, f"convolution2d_{i}")).clamp(min=0)
        x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((-2, -1))
        x = x.permute(0, 2, 3, 1).flatten(1)  # FlattenOrder is CHANNEL_LAST
        x = F.linear(x, *stored(net, "dense_1")).clamp(min=0)
        scores = F.linear(x, *stored(net, "dense_2"))
        exponentials = (scores - scores.max()).exp()
        return exponentials / exponentials.sum()

    agrees(load("mnist_cnn"), network, 1 / 255)  # at 255 one class takes it all
