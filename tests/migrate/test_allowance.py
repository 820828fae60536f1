"""What a small file would allocate or go on with for ever is a sentence that names the place."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import network
from programs import ct, mb, quiet
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

import migrate
from migrate import ModelError, allowance, limits
from migrate.coreml import proto
from migrate.layers.control import rangeDynamic

NeuralNetwork = proto("NeuralNetwork_pb2")
ROOM = 2**30  # bytes beyond what the process has: less than any of the claims below


@pytest.fixture(autouse=True)
def little_allowed(monkeypatch):
    """Allow a quarter of what is allowed, so that the claims may be smaller too."""
    monkeypatch.setattr(limits, "LARGEST_BYTES", 2**30)


@contextmanager
def little_memory():
    """Let whatever allocates more than ROOM fail, and not by a sentence of ours."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


SIDE = 2**15
CLAIMS = {
    "broadcast": ({"a": (SIDE, 1), "b": (1, SIDE)}, ("addBroadcastable", "a b", "y", {})),
    "outer product": ({"a": (SIDE, 1), "b": (1, SIDE)}, ("batchedMatmul", "a b", "y", {})),
    "old sum": ({"a": (1, 1, SIDE, 1), "b": (1, 1, 1, SIDE)}, ("add", "a b", "y", {})),
    "upsample": ({"a": (1, 1, 64, 64)}, ("upsample", "a", "y", {"scalingFactor": [512, 512]})),
    "upsample a fraction": (
        {"a": (1, 1, 64, 64)},
        ("upsample", "a", "y", {"fractionalScalingFactor": [512.5, 512.5]}),
    ),
    "tile": ({"a": (1, 4096)}, ("tile", "a", "y", {"reps": [SIDE * 4, 1]})),
    "pad": ({"a": (1, 4096)}, ("constantPad", "a", "y", {"padAmounts": [SIDE, SIDE, SIDE, 0]})),
    "one hot": ({"a": (4096,)}, ("oneHot", "a", "y", {"oneHotVectorSize": SIDE * 4, "axis": -1})),
    "bias": ({"a": (1, 1, 1, SIDE)}, ("bias", "a", "y", {"shape": [SIDE]})),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_layer_that_makes_much_of_little(name):
    shapes, layer = CLAIMS[name]
    spec = network(shapes, ["y"], layer)
    if name == "bias":
        spec.neuralNetwork.layers[0].bias.bias.floatValue.extend([0.0] * SIDE)
    net = migrate.to_torch(spec)
    given = {key: np.zeros(shape) for key, shape in shapes.items()}
    with (
        little_memory(),
        pytest.raises(ModelError, match=rf"^layer 'y' \({layer[0]}\), 1 of 1: ") as e,
    ):
        net.predict(given)
    assert "bytes for one tensor, and 1,073,741,824 are allowed" in str(e.value)


DYNAMIC = {
    "fillDynamic": ([3e4, 3e4], "", {"value": 1.0}),
    "randomUniformDynamic": ([3e4, 3e4], "", {"maxVal": 1.0}),
    "randomNormalDynamic": ([3e4, 3e4], "", {"stdDev": 1.0}),
    "tile": ([3e4, 3e4], "x", {}),
    "constantPad": ([3e4, 0.0, 3e4, 0.0], "x", {}),
    "oneHot": ([3e9], "x", {"axis": -1}),
}


@pytest.mark.parametrize("kind", DYNAMIC)
def test_a_size_that_an_input_holds(kind):
    sizes, others, fields = DYNAMIC[kind]
    spec = network({"x": (1, 2), "n": (len(sizes),)}, ["y"], (kind, f"{others} n", "y", fields))
    net = migrate.to_torch(spec)
    with (
        little_memory(),
        pytest.raises(
            ModelError, match=rf"^layer 'y' \({kind}\), 1 of 1: .*(for one tensor|30000x30000)"
        ),
    ):
        net.predict({"x": np.zeros((1, 2)), "n": np.array(sizes)})


def test_a_range_that_an_input_ends():
    net = migrate.to_torch(
        network({"n": (1,)}, ["y"], ("rangeDynamic", "n", "y", {"stepSizeValue": 1}))
    )
    with little_memory(), pytest.raises(ModelError, match="the end is 3e\\+09 steps away"):
        net.predict({"n": np.array([3e9])})


def test_asking_draws_no_random_numbers():
    """The first call asks torch what the layer makes, the second does not."""
    fields = {"outputShape": [16384], "stdDev": 1.0}
    layers = [("randomNormalStatic", "", "y", fields), ("randomNormalStatic", "", "z", fields)]
    net = migrate.to_torch(network({}, ["y", "z"], *layers))
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(net.predict({}))
    for name in ("y", "z"):
        np.testing.assert_array_equal(drawn[0][name], drawn[1][name])


def test_padding_that_a_stride_takes_away_again():
    """The output has one element; what is convolved has 2**32."""
    spec = network({"a": (1, 1, 4, 4)}, ["y"], ("convolution", "a", "y", {}))
    p = spec.neuralNetwork.layers[0].convolution
    p.outputChannels = p.kernelChannels = 1
    p.kernelSize.extend([1, 1])
    p.stride.extend([2**16, 2**16])
    p.weights.floatValue.append(1.0)
    for _ in range(2):
        p.valid.paddingAmounts.borderAmounts.add(startEdgeSize=2**16)
    with little_memory(), pytest.raises(ModelError, match="bytes for one tensor"):
        migrate.to_torch(spec).predict({"a": np.zeros((1, 1, 4, 4))})


def test_many_tensors_that_are_each_allowed():
    """Of 512 MiB each; three fit beside the one element that they are copies of."""
    copies = [("copy", "a", f"c{i}", {}) for i in range(5)]
    total = ("addBroadcastable", "c0 c1", "s", {})
    rest = [("concatND", "c0 c1 c2 c3 c4 s", "y", {})]
    start = ("fillStatic", "", "a", {"targetShape": [2**27]})
    net = migrate.to_torch(network({}, ["y"], start, *copies, total, *rest))
    with pytest.raises(ModelError, match=r"^layer 'c3' .*would be held at once"):
        net.predict({})


def test_what_is_allowed_is_computed():
    spec = network(
        {"a": (1, 1, 64, 64)}, ["y"], ("upsample", "a", "y", {"scalingFactor": [64, 64]})
    )
    found = migrate.to_torch(spec).predict({"a": np.ones((1, 1, 64, 64))})["y"]
    assert found.shape == (1, 1, 4096, 4096)
    assert found.min() == found.max() == 1.0


def test_a_layer_is_asked_once_for_each_shape(monkeypatch):
    asked = []
    monkeypatch.setattr(allowance, "refuse_outgrown", lambda *given: asked.append(given))
    shapes = {"a": (20_000,), "b": (20_000,)}
    net = migrate.to_torch(network(shapes, ["y"], ("addBroadcastable", "a b", "y", {})))
    given = {name: np.zeros(shape) for name, shape in shapes.items()}
    for _ in range(2):
        net.predict(given)
    assert len(asked) == 1


class Watching(TorchFunctionMode):
    """Notes the torch functions that are called with or give a tensor without values."""

    def __init__(self):
        super().__init__()
        self.hollow, self.read = [], []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
        name = getattr(function, "__name__", str(function))
        self.hollow += [name] if any(x.is_meta for x in tensors) else []
        self.read += [name] if name in ("tolist", "item") else []
        return result


def test_asking_is_seen_by_no_hook_and_by_nobody_who_watches_torch():
    shapes = {"x": (20_000,), "n": (1,)}
    spec = network(shapes, ["y", "z"], ("addBroadcastable", "x x", "y", {}),
                   ("fillDynamic", "n", "z", {"value": 1.0}))  # fmt: skip
    net = migrate.to_torch(spec)
    given = {"x": np.zeros(20_000), "n": np.array([3.0])}
    entered = []
    for child in (net.y, net.z):
        child.register_forward_hook(lambda module, inputs, result: entered.append(result))
    with Watching() as watching:
        found = net.predict(given)
    assert found["z"].tolist() == [1.0] * 3
    assert [x.shape for x in entered] == [(20_000,), (3,)]
    assert watching.hollow == watching.read == []


@pytest.mark.parametrize("end", [[4.0], 4.0])
def test_what_an_end_of_a_range_is_read_for_is_not_seen(end):
    with Watching() as watching:
        found = rangeDynamic(NeuralNetwork.RangeDynamicLayerParams(stepSizeValue=2))(
            torch.tensor(end)
        )
    assert found.tolist() == [0.0, 2.0]
    assert watching.read == []


def endless(**fields):
    """A network whose loop goes on while x is not close to zero."""
    spec = network({"x": (1,)}, ["x2"], ("copy", "x", "x2", {}), ("loop", "", "l", fields))
    loop = spec.neuralNetwork.layers[1]
    del loop.output[:]
    loop.loop.bodyNetwork.layers.add(name="b", input=["x"], output=["x2"]).copy.SetInParent()
    return spec, loop.loop


def test_a_loop_that_never_ends():
    spec, loop = endless(conditionVar="x")
    loop.conditionNetwork.layers.add(name="c", input=["x"], output=["z"]).copy.SetInParent()
    with pytest.raises(ModelError, match=r"layer 'l' \(loop\).* not over after 65,536 rounds"):
        migrate.to_torch(spec).predict({"x": np.ones(1)})


def test_a_loop_of_more_rounds_than_anybody_waits_for():
    spec, _ = endless(maxLoopIterations=2**63)
    with pytest.raises(ModelError, match="not over after 65,536 rounds"):
        migrate.to_torch(spec).predict({"x": np.ones(1)})


def test_the_rounds_of_loops_in_a_loop_count_together():
    def nested():
        with allowance.rounds() as outer:
            for _ in range(300):
                outer()
                with allowance.rounds() as inner:
                    for _ in range(300):
                        inner()

    with pytest.raises(ValueError, match="65,536"):
        nested()


def test_the_rounds_of_one_loop_after_another_do_not():
    for _ in range(2):
        with allowance.rounds() as one_more:
            for _ in range(allowance.ROUNDS):
                one_more()


def program(build, *shapes):
    """An ML Program of float32 inputs, none of its operations left out."""
    with quiet():
        made = mb.program(
            input_specs=[mb.TensorSpec(shape) for shape in shapes],
            opset_version=ct.target.iOS17,
        )(build)
        return ct.convert(
            made, convert_to="mlprogram", skip_model_load=True,
            minimum_deployment_target=ct.target.iOS17, pass_pipeline=ct.PassPipeline.EMPTY,
        )  # fmt: skip


def refused(made, inputs):
    with little_memory(), pytest.raises(ModelError, match=r"^operation '.*'") as e:
        migrate.evaluate(made, inputs)
    return str(e.value)


def test_operations_that_make_much_of_little():
    column, row = np.zeros((SIDE, 1), np.float32), np.zeros((1, SIDE), np.float32)
    added = program(lambda a, b: mb.add(x=a, y=b), (SIDE, 1), (1, SIDE))
    shape = f"has the shape {SIDE}x{SIDE}, the largest is 268,435,456"
    assert f"(add) {shape}" in refused(added, {"a": column, "b": row})
    product = program(lambda a, b: mb.matmul(x=a, y=b), (SIDE, 1), (1, SIDE))
    assert f"(matmul) {shape}" in refused(product, {"a": column, "b": row})
    tiled = program(lambda a: mb.tile(x=a, reps=[1, SIDE]), (SIDE, 1))
    assert f"(tile) {shape}" in refused(tiled, {"a": column})
    large = program(
        lambda a: mb.upsample_nearest_neighbor(
            x=a, scale_factor_height=SIDE, scale_factor_width=SIDE
        ),
        (1, 1, 2, 2),
    )
    assert "(upsample_nearest_neighbor) has the shape" in refused(
        large, {"a": np.zeros((1, 1, 2, 2), np.float32)}
    )


def test_a_while_loop_that_never_ends(monkeypatch):
    monkeypatch.setattr(allowance, "ROUNDS", 500)
    made = program(
        lambda a: mb.while_loop(
            _cond=lambda x: mb.less(x=mb.reduce_sum(x=x, axes=[0]), y=1.0),
            _body=lambda x: mb.identity(x=x),
            loop_vars=(a,),
        ),
        (2,),
    )
    with pytest.raises(ModelError, match="not over after 500 rounds"):
        migrate.evaluate(made, {"a": np.zeros(2, np.float32)})


def test_a_range_that_an_input_of_a_program_ends():
    made = program(
        lambda a: mb.range_1d(start=0.0, end=mb.reduce_sum(x=a, axes=[0]), step=1.0), (2,)
    )
    with little_memory(), pytest.raises(ModelError, match="the range claims a size of 3000000000"):
        migrate.evaluate(made, {"a": np.array([3e9, 0], np.float32)})


def test_a_constant_that_is_computed_while_a_program_is_parsed():
    """coremltools would compute it: 4 GiB, of two numbers."""
    made = program(lambda a: (mb.fill(shape=[2, 3], value=1.0), mb.add(x=a, y=1.0)), (2,))
    spec = made.get_spec()
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    empty = proto("MIL_pb2").Value()
    for operation in block.operations:
        tensor = dict(operation.attributes).get("val", empty).immediateValue.tensor
        if list(tensor.ints.values) == [2, 3]:
            tensor.ints.values[:] = [SIDE, SIDE]
    with (
        little_memory(),
        pytest.raises(ModelError, match=r"'fill_0' .fill. has the shape 32768x32768"),
    ):
        migrate.evaluate(Given(spec, made.weights_dir), {"a": np.zeros(2, np.float32)})


class Given:
    """A spec with a folder of weights, as `MLModel` has them."""

    def __init__(self, spec, weights_dir):
        self.spec, self.weights_dir = spec, weights_dir

    def get_spec(self):
        return self.spec
