from __future__ import annotations

import copy
import random
import time
import weakref

import numpy as np
import pytest
import torch

import migrate
from migrate import AnereportError, ModelError, UnsupportedError, registry
from migrate.coreml import proto

X = np.array([[-1.0, 2.0, 0.5], [3.0, -4.0, 0.0]])


def chain(layers, *, shape=(2, 3), outputs=("out0",), rank5=False):
    """Build a spec from (kind, inputs, outputs, fields) rows; the fourth may name the layer too."""
    spec = proto("Model_pb2").Model(specificationVersion=1 if rank5 else 4)
    spec.neuralNetwork.arrayInputShapeMapping = 0 if rank5 else 1
    for i, size in enumerate([shape] if isinstance(shape, tuple) else shape):
        array = spec.description.input.add(name=f"in{i}").type.multiArrayType
        array.shape.extend(size)
        array.dataType = array.FLOAT32
    for name in outputs:
        array = spec.description.output.add(name=name).type.multiArrayType
        array.dataType = array.FLOAT32
    for i, (kind, inputs, written, fields) in enumerate(layers):
        layer = spec.neuralNetwork.layers.add(name=fields.get("name", f"layer{i}"))
        layer.input.extend(inputs.split())
        layer.output.extend(written.split())
        params = getattr(layer, kind)
        params.SetInParent()
        for field, value in fields.items():
            if callable(value):
                value(params)
            elif field != "name":
                setattr(params, field, value)
    return spec


def linear(alpha, beta=0.0, **fields):
    """Return the fields of an activation layer that computes alpha x + beta."""

    def set_params(p):
        p.linear.alpha, p.linear.beta = alpha, beta

    return {"set": set_params, **fields}


def dense(p):
    p.inputChannels, p.outputChannels, p.hasBias = 3, 3, True
    p.weights.floatValue.extend(np.arange(9.0))
    p.bias.floatValue.extend([1.0, 2.0, 3.0])


W, BIAS = np.arange(9.0).reshape(3, 3), np.array([1.0, 2.0, 3.0])


def predict(spec, **inputs):
    return migrate.to_torch(spec).predict(inputs or {"in0": X})


def test_of_two_layers_that_write_a_blob_the_later_wins():
    spec = chain(
        [
            ("activation", "in0", "a", linear(2)),
            ("activation", "a", "b", linear(1, 1)),
            ("activation", "a", "a", linear(10)),
            ("add", "a b", "out0", {}),
        ]
    )
    np.testing.assert_allclose(predict(spec)["out0"], 20 * X + (2 * X + 1))


def test_a_layer_may_write_over_an_input():
    spec = chain(
        [("activation", "in0", "in0", linear(3)), ("activation", "in0", "out0", linear(1, 1))]
    )
    x = X.copy()
    np.testing.assert_allclose(predict(spec, in0=x)["out0"], 3 * X + 1)
    np.testing.assert_array_equal(x, X)


def test_an_output_may_be_an_input_and_no_layer_be_there():
    spec = chain([], outputs=["in0"])
    np.testing.assert_array_equal(predict(spec)["in0"], X)


@pytest.mark.parametrize("blob", ["nothing", "later", "out0"])
def test_a_blob_that_is_not_there_yet(blob):
    """Nothing gives it, a later layer does, or the layer itself: a cycle."""
    spec = chain(
        [
            ("add", f"in0 {blob}", "out0", {"name": "sum"}),
            ("activation", "out0", "later", linear(1)),
        ]
    )
    words = rf"layer 'sum' \(add\), 1 of 2: reads blob '{blob}', which no input and no earlier"
    with pytest.raises(ModelError, match=words):
        predict(spec)


def test_the_one_output_that_no_layer_writes_is_the_one_blob_that_none_reads():
    spec = chain([("activation", "in0", "a", linear(1)), ("activation", "a", "b", linear(2))])
    np.testing.assert_allclose(predict(spec)["out0"], 2 * X)


@pytest.mark.parametrize(
    ("blobs", "outputs"), [("a b", ["out0"]), ("a", ["out0", "out1"]), ("in0", ["out0"])]
)
def test_an_output_that_no_layer_writes(blobs, outputs):
    layers = [("activation", "in0", blob, linear(1)) for blob in blobs.split()]
    with pytest.raises(ModelError, match="output 'out0' is written by no layer"):
        predict(chain(layers, outputs=outputs))


def test_outputs_come_in_the_order_of_the_description():
    spec = chain(
        [("activation", "in1", "a", linear(2)), ("activation", "in0", "b", linear(3))],
        shape=[(2,), (3,)],
        outputs=["b", "a"],
    )
    net = migrate.to_torch(spec)
    b, a = net(torch.ones(2), torch.ones(3))
    assert (b.shape, a.shape) == ((2,), (3,))
    assert (b == 3).all()
    assert (a == 2).all()
    assert list(net.predict({"in1": np.ones(3), "in0": np.ones(2)})) == ["b", "a"]
    with pytest.raises(TypeError, match="expected 2 inputs, got 1"):
        net(torch.ones(2))


def three_layers():
    return chain(
        [
            ("activation", "in0", "a", linear(2)),
            ("innerProduct", "a", "b", {"set": dense}),
            ("activation", "b", "out0", linear(1, 1)),
        ]
    )


def test_watch_sees_every_blob_once():
    net = migrate.to_torch(three_layers())
    seen = {}

    def look(name, value):
        assert name not in seen
        seen[name] = value.clone()
        return value

    with net.watching(look) as watched:
        assert watched is net
        y = net(torch.tensor(X, dtype=torch.float32))
    assert list(seen) == ["in0", "a", "b", "out0"]
    assert torch.equal(seen["a"], 2 * seen["in0"])
    assert torch.equal(seen["out0"], y)
    seen.clear()
    net(torch.tensor(X, dtype=torch.float32))
    assert not seen


@pytest.mark.parametrize(
    ("blob", "want"),
    [
        ("in0", 2 * np.ones((2, 3)) @ W.T + BIAS + 1),
        ("a", np.ones((2, 3)) @ W.T + BIAS + 1),
        ("b", np.full((2, 3), 2.0)),
        ("out0", np.ones((2, 3))),
    ],
)
def test_watch_replaces_any_blob(blob, want):
    net = migrate.to_torch(three_layers())
    with net.watching(lambda name, value: torch.ones_like(value) if name == blob else value):
        y = net.predict({"in0": X})["out0"]
    np.testing.assert_allclose(y, want)
    plain = net.predict({"in0": X})["out0"]
    np.testing.assert_allclose(plain, 2 * X @ W.T + BIAS + 1)


def test_watches_nest_and_survive_errors():
    net = migrate.to_torch(three_layers())
    calls = []

    def watch(label):
        return lambda name, value: (calls.append(label), value)[1]

    with net.watching(watch("outer")):
        with net.watching(watch("inner")), pytest.raises(ModelError):
            net(torch.ones(2, 4))  # goes wrong in the second layer
        net(torch.ones(2, 3))
    net(torch.ones(2, 3))
    assert calls == ["inner"] * 2 + ["outer"] * 4


def branch_spec():
    """out0 = 2 in0 if the first value of `in1` is not 0, else -in0."""
    spec = chain([("branch", "in1", "", {})], shape=[(2, 3), (1,)], outputs=["out0"])
    params = spec.neuralNetwork.layers[0].branch
    for block, alpha in ((params.ifBranch, 2.0), (params.elseBranch, -1.0)):
        layer = block.layers.add(name="inside", input=["in0"], output=["out0"])
        layer.activation.linear.alpha = alpha
    return spec


def test_watch_sees_inside_branches():
    net = migrate.to_torch(branch_spec())
    seen = []
    with net.watching(lambda name, value: (seen.append(name), value + (name == "out0"))[1]):
        y = net.predict({"in0": X, "in1": np.zeros(1)})["out0"]
    assert seen.count("in0") == 1
    assert "out0" in seen
    np.testing.assert_allclose(y, -X + seen.count("out0"))


def test_state_dict_has_the_names_of_the_layers():
    spec = three_layers()
    net = migrate.to_torch(spec)
    assert sorted(net.state_dict()) == ["layer1.linear.bias", "layer1.linear.weight"]
    torch.testing.assert_close(net.layer1.linear.bias, torch.tensor([1.0, 2.0, 3.0]))
    other = migrate.to_torch(spec)
    other.load_state_dict({k: 0 * v for k, v in net.state_dict().items()})
    np.testing.assert_allclose(other.predict({"in0": X})["out0"], np.ones((2, 3)))
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())


def test_float64():
    net = migrate.to_torch(three_layers()).double()
    y = net.predict({"in0": X / 3})["out0"]
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, 2 * (X / 3) @ W.T + BIAS + 1, rtol=1e-14)
    assert net(torch.tensor(X)).dtype == torch.float64
    assert net.float().predict({"in0": X})["out0"].dtype == np.float32


def test_deepcopy_is_independent():
    net = migrate.to_torch(three_layers())
    before = net.predict({"in0": X})["out0"]
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin.layer1.linear.weight.zero_()
    np.testing.assert_array_equal(net.predict({"in0": X})["out0"], before)
    np.testing.assert_allclose(twin.predict({"in0": X})["out0"], np.broadcast_to(BIAS + 1, (2, 3)))
    with twin.watching(lambda name, value: 0 * value):
        np.testing.assert_array_equal(net.predict({"in0": X})["out0"], before)


NAMES = [
    ["conv", "conv", "conv"],
    ["conv", "conv", "conv_2"],
    ["conv_2", "conv", "conv"],
    ["", "", ""],
    ["", "activation", "activation_2"],
    ["class", "def", "None"],
    ["forward", "type", "train"],
    ["run", "watch", "ops"],
    ["network", "entrances", "exits"],
    ["_precision", "layer_names", "_modules"],
    ["training", "__init__", "__dict__"],
    ["a" * 1000 + "b", "a" * 1000 + "c", "a" * 1000],
    ["größe", "grüße", "大きさ"],
    ["a.b", "a/b", "a b"],
    ["1", "2", "-"],
    ["line\nbreak", "tab\t", "\0"],
]


@pytest.mark.parametrize("names", NAMES, ids=lambda names: repr(names[0])[:20])
def test_layers_of_any_name(names):
    """Each layer is a child of its own, whatever it is called."""
    blobs = ["in0", "a", "b", "out0"]
    spec = chain(
        [
            ("activation", blobs[i], blobs[i + 1], linear(2, i, name=name))
            for i, name in enumerate(names)
        ]
    )
    net = migrate.to_torch(spec)
    y = net.predict({"in0": X})["out0"]
    np.testing.assert_allclose(y, 2 * (2 * (2 * X) + 1) + 2)
    assert [net.layer_names[op.child] for op in net.ops] == names
    assert [name for name in net.layer_names if hasattr(torch.nn.Module, name)] == []
    copy.deepcopy(net)
    repr(net)
    spec.neuralNetwork.layers[1].activation.Clear()
    with pytest.raises(ModelError) as caught:
        migrate.to_torch(spec)
    assert "2 of 3" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_thousand_layers_take_no_long_time():
    rows = [
        ("activation", "in0" if i == 0 else f"b{i - 1}", f"b{i}", linear(1, name="same"))
        for i in range(5000)
    ]
    spec = chain(rows, outputs=["b4999"])
    started = time.process_time()
    migrate.to_torch(spec)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("layers", "shape", "words"),
    [
        (
            [("add", "in0 in1", "out0", {"name": "sum"})],
            [(2, 3), (2, 4)],
            r"layer 'sum' \(add\), 1 of 1: cannot be applied to inputs of shape 2x3, 2x4: ",
        ),
        (
            [("innerProduct", "in0", "out0", {"name": "fc", "set": dense})],
            [(2, 4)],
            r"layer 'fc' \(innerProduct\), 1 of 1: cannot be applied to inputs of shape 2x4: ",
        ),
        (
            [("activation", "in0 in0", "out0", linear(1, name="act"))],
            [(2, 3)],
            r"layer 'act' \(activation\), 1 of 1: such a layer does not take 2 inputs",
        ),
        (
            [("concatND", "", "out0", {"name": "cat"})],
            [(2, 3)],
            r"layer 'cat' \(concatND\), 1 of 1: cannot be applied to inputs of shape \(none\): ",
        ),
        (
            [("convolution", "", "out0", {"name": "conv", "set": lambda p: small_kernel(p)})],
            [(2, 3)],
            r"layer 'conv' \(convolution\), 1 of 1: such a layer does not take 0 inputs",
        ),
    ],
)
def test_shapes_that_do_not_fit(layers, shape, words):
    spec = chain(layers, shape=shape)
    inputs = {f"in{i}": np.ones(s) for i, s in enumerate(shape)}
    with pytest.raises(ModelError, match=words) as caught:
        predict(spec, **inputs)
    assert "\n" not in str(caught.value)


def small_kernel(p):
    p.outputChannels = p.kernelChannels = 1
    p.kernelSize.extend([1, 1])
    p.weights.floatValue.append(1.0)


def test_a_layer_that_gives_fewer_blobs_than_it_names():
    spec = chain([("activation", "in0", "a b", linear(1)), ("activation", "b", "out0", linear(1))])
    with pytest.raises(ModelError, match="declares 2 outputs and gives 1"):
        predict(spec)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # the output's rank is fixed
def test_trace_equals_the_module():
    def kernel(p):
        p.outputChannels, p.kernelChannels, p.hasBias = 4, 3, True
        p.weights.floatValue.extend(np.linspace(-1, 1, 108))
        p.bias.floatValue.extend([1.0, 2.0, 3.0, 4.0])

    spec = chain(
        [
            ("convolution", "in0", "a", {"set": kernel}),
            ("activation", "a", "b", linear(2, 1)),
            ("pooling", "b", "c", {}),
            ("flatten", "c", "d", {}),
            ("softmax", "c", "out0", {}),
        ],
        shape=[(3, 9, 9)],
        outputs=["out0", "d"],
        rank5=True,
    )
    net = migrate.to_torch(spec)
    x = torch.linspace(-1, 1, 243).reshape(3, 9, 9)
    traced = torch.jit.trace(net, (x,))
    for value in (x, x.flip(0) * 3):
        for want, got in zip(net(value), traced(value), strict=True):
            torch.testing.assert_close(got, want)


def test_unsupported_lists_every_layer():
    spec = chain(
        [
            ("activation", "in0", "a", linear(1, name="one")),
            ("activation", "a", "b", linear(1, name="known")),
            ("activation", "b", "c", linear(1, name="two\nlines")),
            ("activation", "c", "d", linear(1, name="three")),
        ],
        outputs=["d"],
    )
    for i in (0, 2, 3):
        spec.neuralNetwork.layers[i].ClearField("activation")
    with pytest.raises(UnsupportedError) as caught:
        migrate.to_torch(spec)
    message = str(caught.value)
    assert "4 layers" in message
    for name in ("one", "two", "three"):
        assert name in message
    assert "known'" not in message
    assert "\n" not in message


def test_unsupported_looks_into_branches():
    spec = branch_spec()
    inside = spec.neuralNetwork.layers[0].branch.elseBranch.layers[0]
    inside.name = "deep"
    inside.ClearField("activation")
    with pytest.raises(UnsupportedError, match="deep"):
        migrate.to_torch(spec)


def test_a_network_may_be_given_instead_of_a_file():
    network = migrate.read(three_layers())
    y = migrate.to_torch(network).predict({"in0": X})["out0"]
    np.testing.assert_allclose(y, 2 * X @ W.T + BIAS + 1)


def test_what_is_no_model():
    with pytest.raises(TypeError, match=r"expected a path, .*, got dict"):
        migrate.to_torch({})
    with pytest.raises(ModelError):
        migrate.to_torch(proto("Model_pb2").Model())


def scramble(message, rng, numbers, depth=0):
    """Set the fields of a message, and of those in it, to anything that their types can hold."""
    scalars = {
        "int64": lambda f: rng.choice(numbers),
        "uint64": lambda f: abs(rng.choice(numbers)),
        "int32": lambda f: rng.choice(numbers[:6]),
        "float": lambda f: rng.choice([0.0, 1.0, -1.5, 1e30, float("nan")]),
        "double": lambda f: rng.choice([0.0, 2.0]),
        "bool": lambda f: rng.random() < 0.5,
        "string": lambda f: rng.choice(["", "in0"]),
        "bytes": lambda f: rng.randbytes(rng.choice([0, 1, 2, 9])),
        "enum": lambda f: rng.choice([*(v.number for v in f.enum_type.values), 99]),
    }
    for field in message.DESCRIPTOR.fields:
        for _ in range(rng.choice([0, 1, 2, 3, 4]) if field.is_repeated else rng.choice([0, 1])):
            value = getattr(message, field.name)
            if field.message_type:
                if depth < 4 and field.message_type.name not in (
                    "NeuralNetwork",
                    "ParametersEntry",
                ):
                    inner = value.add() if field.is_repeated else value
                    inner.SetInParent()
                    scramble(inner, rng, numbers, depth + 1)
            elif field.is_repeated:
                value.append(scalars[TYPES[field.type]](field))
            else:
                setattr(message, field.name, scalars[TYPES[field.type]](field))


TYPES = {
    1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string",
    12: "bytes", 13: "uint64", 14: "enum",
}  # fmt: skip
SMALL, LARGE = [0, 1, 2, 3, 4, -1], [0, 1, 2, 3, 4, -1, 2**31 - 1, 2**31, 2**63 - 1]


@pytest.mark.parametrize("kind", [k for k in registry.known_fields() if k != "custom"])
def test_parameters_of_any_value_give_an_output_or_a_sentence(kind):
    rng = random.Random(kind)
    messages = []
    for _ in range(10):
        inputs = rng.choice(["", "in0", "in1", "in0 in0", "in0 in1", "in0 in1 in1"])
        for numbers in (SMALL, LARGE):
            fields = {"set": lambda p, numbers=numbers: scramble(p, rng, numbers)}
            spec = chain([(kind, inputs, "out0", fields)], shape=[(2, 3), (3,)])
            try:
                net = migrate.to_torch(spec)
                if numbers is SMALL:  # to run the others could fill the memory
                    y = net.predict({"in0": X, "in1": X[0]})["out0"]
                    assert y.dtype == np.float32
            except AnereportError as error:
                messages.append(str(error))
    assert all(message and "\n" not in message for message in messages)


@pytest.mark.parametrize(
    ("kind", "count"), [("softmax", 2), ("whereBroadcastable", 2), ("tanh", 0)]
)
def test_a_wrong_number_of_inputs_is_a_sentence(one_layer, kind, count):
    net = migrate.to_torch(one_layer(kind, [(1, 2, 3)] * count))
    with pytest.raises(ModelError, match=f"such a layer does not take {count} inputs"):
        net(*[torch.ones(1, 2, 3)] * count)


def test_more_outputs_than_the_layer_gives_is_a_sentence(one_layer):
    net = migrate.to_torch(one_layer("softmax", [(1, 2, 3)], outputs=2))
    with pytest.raises(ModelError, match=r"layer 'tested' .*declares 2 outputs and gives 1"):
        net(torch.ones(1, 2, 3))


# --- memory


def alive_at(net):
    """Which blobs are in memory when each is written."""
    seen, found = {}, {}

    def watch(blob, value):
        seen[blob] = weakref.ref(value)
        found[blob] = {name for name, known in seen.items() if known() is not None}
        return value

    with net.watching(watch), torch.no_grad():
        outputs = net(torch.from_numpy(X).float())
    return found, outputs


def test_a_blob_is_let_go_once_its_last_reader_has_run():
    """The output `a` and the blob that the last layer reads again are kept, the others are not."""
    layers = [
        ("activation", "in0", "a", linear(2.0)),
        ("activation", "a", "b", linear(3.0)),
        ("activation", "b", "unread", linear(3.0)),
        ("activation", "b", "c", linear(5.0)),
        ("activation", "c", "d", linear(7.0)),
        ("add", "d b", "out0", {}),
    ]
    found, (a, out) = alive_at(migrate.to_torch(chain(layers, outputs=("a", "out0"))))
    assert "unread" not in found["c"]
    assert {"a", "b", "c"} <= found["d"]
    assert "c" not in found["out0"]
    assert {"a", "b", "d"} <= found["out0"]
    np.testing.assert_allclose(a, 2 * X)
    np.testing.assert_allclose(out, 210 * X + 6 * X)
