"""Custom layers: what a user gives for them, and a real model that has six."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import migrate
from migrate import weights
from migrate.coreml import proto
from migrate.errors import ModelError, UnsupportedError
from migrate.layers.custom import advice, custom, describe
from migrate.network import Layer


def fill(p):
    p.className = "Shift"
    p.parameters["by"].doubleValue = 2.5
    p.parameters["times"].intValue = 2
    p.parameters["mode"].stringValue = "up"
    p.parameters["on"].boolValue = True
    p.parameters["long"].longValue = 2**40
    p.weights.add().floatValue.extend([1, 2, 3])


def shift(p):
    """What a user writes: the message in, a function of tensors out."""
    offset = torch.tensor(weights.array(p.weights[0], (3,), "weights[0]"))
    return lambda x: x * p.parameters["times"].intValue + p.parameters["by"].doubleValue + offset


class Shift(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(weights.array(p.weights[0], (3,), "weights[0]")))

    def forward(self, x):
        return x * 2 + 2.5 + self.offset


@pytest.mark.parametrize("builder", [shift, Shift])
def test_the_users_builder_computes_the_layer(one_layer, builder):
    net = migrate.to_torch(one_layer("custom", [(3,)], fill=fill), custom={"Shift": builder})
    got = net.predict({"in0": np.array([1.0, 0.0, -1.0])})["out0"]
    np.testing.assert_allclose(got, [2 + 2.5 + 1, 2.5 + 2, -2 + 2.5 + 3])
    assert len(list(net.parameters())) == (builder is Shift)


def test_several_inputs_and_outputs(one_layer):
    def swap(p):
        return lambda a, b: (b, a)

    spec = one_layer("custom", [(1,), (1,)], outputs=2, fill=fill)
    got = migrate.to_torch(spec, custom={"Shift": swap}).predict({"in0": [1.0], "in1": [2.0]})
    assert (got["out0"], got["out1"]) == (2.0, 1.0)


def raises(p):
    raise KeyError("in_channels")


def refuses(p):
    raise ModelError("weights[0] is too short")


@pytest.mark.parametrize(
    ("builder", "why"),
    [
        (raises, "the builder given for custom layers 'Shift' failed: KeyError: 'in_channels'"),
        (lambda: None, "custom layers 'Shift' failed: TypeError: "),
        (refuses, "weights.0. is too short"),
        ("not a function", "custom layers 'Shift' failed: TypeError: 'str' object is not callable"),
        (lambda p: None, "returned None, expected a module or a function of tensors"),
        (lambda p: nn.GroupNorm, "returned <class .*GroupNorm'>, expected a module"),
    ],
)
def test_a_builder_that_fails_is_a_sentence(one_layer, builder, why):
    spec = one_layer("custom", [(3,)], fill=fill)
    with pytest.raises(ModelError, match=rf"layer 'tested' \(custom\), 1 of 1: .*{why}"):
        migrate.to_torch(spec, custom={"Shift": builder})


@pytest.fixture
def layer():
    params = proto("NeuralNetwork_pb2").CustomLayerParams()
    fill(params)
    return Layer("Gn", "custom", ("x",), ("y",), params)


def test_a_custom_layer_is_described_with_all_that_it_stores(layer):
    assert describe(layer) == (
        "layer 'Gn' (custom 'Shift' with by=2.5, long=1099511627776, mode='up', on=True, times=2, "
        "1 weights)"
    )


def test_a_custom_layer_that_stores_nothing():
    params = proto("NeuralNetwork_pb2").CustomLayerParams(className="Relu6")
    assert describe(Layer("a", "custom", (), (), params)) == "layer 'a' (custom 'Relu6')"


def test_the_advice_names_each_class_once(layer):
    params = proto("NeuralNetwork_pb2").CustomLayerParams(className="Relu6")
    other = Layer("a", "custom", (), (), params)
    assert advice([layer, other, layer]) == (
        "give a function from CustomLayerParams to a module: "
        "custom={'Shift': builder, 'Relu6': builder}, or "
        "--custom Shift=package.module:function --custom Relu6=package.module:function"
    )


def test_without_a_builder_it_is_unsupported(layer):
    with pytest.raises(UnsupportedError, match=r"layer 'Gn' \(custom 'Shift' .*--custom Shift="):
        custom(layer, None, {"Other": shift})


def groupnorm(p):
    channels = p.parameters["in_channels"].intValue
    norm = nn.GroupNorm(p.parameters["num_groups"].intValue, channels)
    for name, stored in zip(("weight", "bias"), p.weights, strict=True):
        values = torch.tensor(weights.array(stored, (channels,), name))
        setattr(norm, name, nn.Parameter(values, requires_grad=False))
    return norm


def numbers(message, *shape):
    return torch.tensor(np.array(message.floatValue, np.float32)).reshape(shape).double()


def by_hand(layer, x):
    """One layer of kraken's model in torch; its LSTMs see the sequence of 1 at every pixel."""
    kind = layer.WhichOneof("layer")
    p = getattr(layer, kind)
    if kind == "convolution":
        kernel = numbers(p.weights, p.outputChannels, p.kernelChannels, *p.kernelSize)
        total = [
            max(0, (-(-n // s) - 1) * s + k - n)
            for n, s, k in zip(x.shape[-2:], p.stride, p.kernelSize, strict=True)
        ]
        top, left = total[0] // 2, total[1] // 2
        x = F.pad(x, (left, total[1] - left, top, total[0] - top))
        return F.conv2d(x, kernel, numbers(p.bias, p.outputChannels), tuple(p.stride))
    if kind == "activation":
        return x.relu() if p.HasField("ReLU") else x.sigmoid()
    if kind == "custom":
        groups = x.reshape(x.shape[0], 32, -1)
        mean, variance = groups.mean(-1, keepdim=True), groups.var(-1, correction=0, keepdim=True)
        x = ((groups - mean) / torch.sqrt(variance + 1e-5)).reshape(x.shape)
        scale, offset = (numbers(w, -1, 1, 1) for w in p.weights)
        return x * scale + offset
    if kind == "permute":
        assert list(p.axis) == [0, 1, 3, 2]
        return x.transpose(-1, -2)
    assert kind == "biDirectionalLSTM"
    pixels = x.permute(0, 2, 3, 1)
    ys = []
    for w in p.weightParams:  # from states of zero, one step: no recursion, nothing to forget
        gate = {
            name: pixels @ numbers(getattr(w, f"{name}WeightMatrix"), 32, -1).T
            + numbers(getattr(w, f"{name}BiasVector"), 32)
            for name in ("inputGate", "blockInput", "outputGate")
        }
        cell = gate["inputGate"].sigmoid() * gate["blockInput"].tanh()
        ys.append(gate["outputGate"].sigmoid() * cell.tanh())
    return torch.cat(ys, -1).permute(0, 3, 1, 2)


def test_kraken_with_its_six_group_norms(shared_models):
    spec = migrate.load_spec(shared_models / "kraken_blla.mlmodel")
    spec.description.output[0].name = "l_16"  # the file says "output", which no layer writes
    x = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net = migrate.to_torch(spec, custom={"groupnorm": groupnorm}).double()
    assert sum(isinstance(module, nn.GroupNorm) for module in net.modules()) == 6
    with torch.no_grad():
        got = net(x)
    expected = x
    for layer in spec.neuralNetwork.layers:
        expected = by_hand(layer, expected)
    # The file swaps H and W before two of its LSTMs, and the second time swaps them back.
    assert got.shape == (1, 4, 16, 12)
    assert got.std() > 1e-3
    torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-8)


def test_kraken_without_them_names_all_six(shared_models):
    with pytest.raises(UnsupportedError, match="groupnorm") as caught:
        migrate.to_torch(shared_models / "kraken_blla.mlmodel")
    text = str(caught.value)
    assert "layer 'Gn_1' (custom 'groupnorm' with in_channels=64, num_groups=32, 2 weights)" in text
    assert [f"'Gn_{i}'" in text for i in (1, 3, 5, 7, 9, 13)] == [True] * 6
    assert text.count("--custom groupnorm=package.module:function") == 1
