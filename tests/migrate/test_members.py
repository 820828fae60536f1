from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import migrate
from migrate import UnsupportedError, members
from migrate.coreml import proto
from migrate.members import constructor, holder


def dense(p, inside=2, outside=2):
    p.inputChannels, p.outputChannels, p.hasBias = inside, outside, True
    p.weights.floatValue.extend(np.arange(float(inside * outside)))
    p.bias.floatValue.extend(np.arange(float(outside)))


def embed(p):
    p.inputDim, p.outputChannels, p.hasBias = 3, 2, True
    p.weights.floatValue.extend(np.arange(6.0))
    p.bias.floatValue.extend([1.0, 2.0])


def constant(p):
    p.shape.append(2)
    p.data.floatValue.extend([5.0, 6.0])


def network(*layers):
    """Return the module of (name, kind, fill) layers in a row."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    array = spec.description.input.add(name="data").type.multiArrayType
    array.shape.append(2)
    array.dataType = array.FLOAT32
    spec.description.output.add(name="out").type.multiArrayType.dataType = array.FLOAT32
    for i, (name, kind, fill) in enumerate(layers):
        layer = spec.neuralNetwork.layers.add(name=name)
        if kind != "loadConstantND":
            layer.input.append(f"b{i - 1}" if i else "data")
        layer.output.append("out" if i == len(layers) - 1 else f"b{i}")
        fill(getattr(layer, kind))
    return migrate.to_torch(spec)


def paths_of(net):
    """Return every stock module and every tensor outside of one, as a program may use them."""
    stock = [p for p, m in net.named_modules() if type(m).__module__.startswith("torch.nn.modules")]
    stock = [p for p in stock if p and not list(net.get_submodule(p).children())]
    tensors = [p for p, _ in (*net.named_parameters(), *net.named_buffers())]
    inside = [p for p in tensors if any(p.startswith(f"{s}.") for s in stock)]
    used = [p for p in stock if not isinstance(net.get_submodule(p), nn.ModuleList | nn.Sequential)]
    return used + [p for p in tensors if p not in inside and p != "_precision"]


def named(net):
    chosen, layers = members.named(net, paths_of(net))
    return list(chosen.values()), layers


def test_what_holds_the_weights_is_named_as_the_layer():
    net = network(("fc1", "innerProduct", dense), ("fc2", "innerProduct", dense))
    assert named(net) == (["fc1", "fc2"], {})
    assert members.named(net, ["fc2.linear"]) == ({"fc2.linear": "fc2"}, {})


def test_of_several_parts_all_are_named_after_the_layer():
    net = network(("words", "embedding", embed))
    chosen, layers = members.named(net, paths_of(net))
    assert set(chosen.values()) == {"words_embedding", "words_bias"}
    assert all(path.rpartition(".")[2] == name.split("_")[1] for path, name in chosen.items())
    assert layers == {}


def test_of_several_parts_the_one_with_weights_is_named_as_the_layer():
    net = network(("fc", "innerProduct", dense))
    net.fc.relu = nn.ReLU()
    chosen, _ = members.named(net, ["fc.relu", "fc.linear"])
    assert chosen == {"fc.relu": "fc_relu", "fc.linear": "fc"}


def test_the_only_part_is_named_as_the_layer_if_it_is_a_tensor_too():
    net = network(("five", "loadConstantND", constant))
    assert named(net) == (["five"], {})


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["a/b", "c"], {"a_b": "a/b"}),
        (["forward", "c"], {"forward_": "forward"}),
        (["training", "c"], {"training_": "training"}),
        (["7", "class"], {"n7": "7", "class_": "class"}),
        (["", "c"], {}),
    ],
)
def test_a_name_that_had_to_change_is_told_with_the_layers(names, wanted):
    net = network(*((name, "innerProduct", dense) for name in names))
    chosen, layers = named(net)
    assert layers == wanted
    assert len(set(chosen)) == 2
    assert set(wanted) <= set(chosen)


def test_layers_of_one_name_are_told_apart():
    net = network(*(("fc", "innerProduct", dense) for _ in range(3)))
    assert named(net) == (["fc", "fc_2", "fc_3"], {"fc_2": "fc", "fc_3": "fc"})


def test_a_part_takes_no_name_of_another_layer():
    net = network(("words", "embedding", embed), ("words_bias", "innerProduct", dense))
    chosen, layers = members.named(net, paths_of(net))
    assert len(set(chosen.values())) == 3
    assert chosen["words_bias.linear"] == "words_bias"
    assert layers == {}


LAYERS = st.lists(
    st.tuples(
        st.sampled_from(["fc", "fc_2", "fc_bias", "a.b", "a_b", "a b", "", "self", "eval", "é"]),
        st.sampled_from([("innerProduct", dense), ("embedding", embed)]),
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip


@settings(max_examples=60)
@given(rows=LAYERS)
def test_names_can_be_set_on_a_module(rows):
    net = network(*((name, *kind) for name, kind in rows))
    paths = paths_of(net)
    chosen, layers = members.named(net, paths)
    assert set(chosen) == set(paths)
    assert len(set(chosen.values())) == len(paths)
    written = nn.Module()
    for path, name in chosen.items():
        assert name.isidentifier()
        assert not hasattr(written, name)
        setattr(written, name, members.at(net, path))
    known = {name or kind for name, (kind, _) in rows}
    assert set(layers.values()) <= known
    assert not set(layers) & known - {"fc_2", "fc_bias"}


def test_the_weights_are_those_of_the_state_that_is_written():
    net = network(("w/1", "embedding", embed), ("fc", "innerProduct", dense))
    paths = paths_of(net)
    chosen, _ = members.named(net, paths)
    found = members.weights(net, {name: path for path, name in chosen.items()})
    written = nn.Module()
    for path, name in chosen.items():
        setattr(written, name, members.at(net, path))
    state = written.state_dict()
    assert set(found) == set(state)
    for key, value in found.items():
        assert isinstance(value, np.ndarray)
        np.testing.assert_array_equal(value, state[key].numpy())
    np.testing.assert_array_equal(found["fc.weight"], [[0.0, 1.0], [2.0, 3.0]])


def test_a_member_at_its_path():
    net = nn.Module()
    net.inner = nn.Sequential(nn.ReLU(), nn.Linear(2, 3))
    net.rows = nn.ParameterList([torch.zeros(1), torch.ones(1)])
    net.shift = nn.Buffer(torch.rand(2))
    assert members.at(net, "inner.1") is net.inner[1]
    assert members.at(net, "inner.1.weight") is net.inner[1].weight
    assert members.at(net, "rows.1") is net.rows[1]
    assert members.at(net, "shift") is net.shift
    with pytest.raises(AttributeError):
        members.at(net, "inner.2")


def test_weights_of_parameters_buffers_and_modules_without_any():
    net = nn.Module()
    net.rows = nn.ParameterList([torch.zeros(1), torch.ones(1)])
    net.relu, net.shift = nn.ReLU(), nn.Buffer(torch.tensor([3, 4]))
    found = members.weights(net, {"a": "rows.1", "b": "relu", "c": "shift"})
    assert {key: value.tolist() for key, value in found.items()} == {"a": [1.0], "c": [3, 4]}
    assert found["c"].dtype == np.int64


MODULES = [
    "nn.Conv1d(2, 4, 3, padding='same')", "nn.Conv2d(2, 4, 3)", "nn.Identity()", "nn.ReLU()",
    "nn.Conv2d(2, 4, (3, 5), stride=(1, 2), padding=1, dilation=2, groups=2, bias=False)",
    "nn.Conv3d(1, 2, 3, padding_mode='circular')", "nn.Linear(3, 4)", "nn.PReLU()",
    "nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, bias=False)",
    "nn.Linear(3, 4, bias=False)", "nn.Embedding(5, 3)", "nn.Embedding(5, 3, padding_idx=1)",
    "nn.LSTM(3, 4)", "nn.LSTM(3, 4, bidirectional=True)", "nn.GRU(3, 4, bias=False)",
    "nn.LSTM(3, 4, num_layers=2)", "nn.RNN(3, 4, batch_first=True)", "nn.BatchNorm2d(3)",
    "nn.BatchNorm2d(3, eps=0.001, momentum=0.2)", "nn.InstanceNorm2d(3, affine=True)",
    "nn.LayerNorm(4)", "nn.LayerNorm((3, 3))", "nn.LayerNorm((3, 4), eps=0.1)",
    "nn.GroupNorm(2, 4)", "nn.PReLU(num_parameters=3)", "nn.LeakyReLU(negative_slope=0.1)",
    "nn.MaxPool2d(3, stride=1, ceil_mode=True)", "nn.AvgPool2d(2, stride=(1, 2))",
    "nn.Softmax(dim=-1)", "nn.Upsample(scale_factor=2.0, mode='nearest')",
    "nn.ZeroPad2d((1, 2, 3, 4))", "nn.ReflectionPad2d(1)", "nn.PixelShuffle(2)", "nn.ELU()",
    "nn.RNN(3, 4, nonlinearity='relu')", "nn.Hardtanh(min_val=-2.0, max_val=2.0)",
    "nn.Unflatten(1, (2, 2))",
    "nn.Flatten()", "nn.Unflatten(1, (2, 3))", "nn.AdaptiveAvgPool2d((None, 2))",
]  # fmt: skip


@pytest.mark.parametrize("module", [nn.MultiheadAttention(4, 2), nn.PairwiseDistance()])
def test_a_module_that_does_not_say_what_it_was_made_of(module):
    name = type(module).__name__
    with pytest.raises(UnsupportedError, match=f"torch's nn.{name} does not say"):
        constructor(module)


@pytest.mark.parametrize("text", MODULES)
def test_a_module_is_made_again_by_its_constructor(text):
    module = eval(text)
    written = constructor(module)
    again = eval(written)
    assert repr(again) == repr(module)
    assert settings_of(again) == settings_of(module)
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (again, module)]
    assert shapes[0] == shapes[1]
    if text in MODULES:
        assert written == text.replace(", mode='nearest'", "")


def settings_of(module):
    return {k: v for k, v in vars(module).items() if isinstance(v, (int, float, str, tuple))}


TENSORS = {
    "nn.Buffer(torch.tensor(1.5))": torch.tensor(1.5),
    "nn.Buffer(torch.tensor([0.1, -2.0]))": torch.tensor([0.1, -2.0]),
    "nn.Buffer(torch.tensor([1, 2], dtype=torch.int64))": torch.tensor([1, 2]),
    "nn.Buffer(torch.tensor([True, False], dtype=torch.bool))": torch.tensor([True, False]),
    "nn.Buffer(torch.tensor([1.0, 2.0]).reshape(1, 2, 1))": torch.tensor([[[1.0], [2.0]]]),
    "nn.Buffer(torch.tensor([float('-inf')]))": torch.tensor([-math.inf]),
    "nn.Buffer(torch.empty(5))": torch.rand(5),
    "nn.Buffer(torch.empty(2, 3, dtype=torch.float64))": torch.rand(2, 3, dtype=torch.float64),
    "nn.Parameter(torch.tensor([0.5]))": nn.Parameter(torch.tensor([0.5])),
    "nn.Parameter(torch.empty(3, 2))": nn.Parameter(torch.rand(3, 2)),
}


@pytest.mark.parametrize(("text", "tensor"), TENSORS.items(), ids=TENSORS)
def test_a_tensor_is_made_again(text, tensor):
    written = holder(tensor)
    assert written == text.replace("'", '"')
    again = eval(written)
    assert isinstance(again, nn.Parameter) == isinstance(tensor, nn.Parameter)
    assert (again.dtype, again.shape) == (tensor.dtype, tensor.shape)
    if tensor.numel() < 5:
        assert torch.equal(again, tensor)


@given(values=st.lists(st.floats(allow_nan=False, width=32), max_size=4))
def test_few_values_are_written_exactly(values):
    assert torch.equal(eval(holder(torch.tensor(values))), torch.tensor(values))


def test_few_values_of_float64_are_written_exactly():
    tensor = torch.tensor([0.1]).double()
    assert torch.equal(eval(holder(tensor)), tensor)
