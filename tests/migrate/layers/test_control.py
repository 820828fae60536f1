"""Branches, loops and ranges against Python written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import migrate
from migrate.coreml import proto
from migrate.errors import ModelError, UnsupportedError


class Net:
    """Write a network layer by layer: net("add", ["x"], ["y"], alpha=1.0)."""

    def __init__(self, network=None):
        self.network = (
            network if network is not None else proto("NeuralNetwork_pb2").NeuralNetwork()
        )
        self.network.SetInParent()

    def __call__(self, kind, inputs=(), outputs=(), **fields):
        number = len(self.network.layers)
        layer = self.network.layers.add(name=f"{kind}{number}", input=inputs, output=outputs)
        params = getattr(layer, kind)
        params.SetInParent()
        for field, value in fields.items():
            setattr(params, field, value)
        return params

    def constant(self, name, value):
        p = self("loadConstantND", (), [name])
        p.shape.append(1)
        p.data.floatValue.append(value)

    def count(self, name, by=1.0):
        """name += by, the way converters write it: a new blob, copied over the old."""
        self("add", [name], [f"{name}_next"], alpha=by)
        self("copy", [f"{name}_next"], [name])

    def branch(self, condition):
        p = self("branch", [condition])
        return Net(p.ifBranch), lambda: Net(p.elseBranch)

    def leave_if(self, condition, kind):
        inside, _ = self.branch(condition)
        inside(kind)


@pytest.fixture
def spec():
    """A model of inputs x and y and output z, all of one number."""
    model = proto("Model_pb2").Model(specificationVersion=4)
    model.neuralNetwork.arrayInputShapeMapping = 1
    for features, names in ((model.description.input, "xy"), (model.description.output, "z")):
        for name in names:
            array = features.add(name=name).type.multiArrayType
            array.dataType = 65568
            array.shape.append(1)
    return model


def run(model, x=0.0, y=0.0):
    outputs = migrate.to_torch(model).predict({"x": [x], "y": [y]})
    return outputs["z"].tolist()


@pytest.mark.parametrize(
    ("x", "expected"),
    [(1.0, 15.0), (-3.0, 15.0), (0.0, 50.0), (1.1e-6, 15.0), (0.9e-6, 50.0), (-0.9e-6, 50.0)],
)
def test_branch_takes_if_where_the_condition_is_not_close_to_zero(spec, x, expected):
    net = Net(spec.neuralNetwork)
    inside, otherwise = net.branch("x")
    inside("add", ["y"], ["z"], alpha=10.0)
    otherwise()("multiply", ["y"], ["z"], alpha=10.0)
    assert run(spec, x, 5.0) == [expected]


@pytest.mark.parametrize(("x", "expected"), [(1.0, 10.0), (0.0, 5.0)])
def test_branch_without_else_leaves_the_blob_as_it_was(spec, x, expected):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    inside, _ = net.branch("x")
    inside("multiply", ["y"], ["doubled"], alpha=2.0)
    inside("copy", ["doubled"], ["z"])
    assert run(spec, x, 5.0) == [expected]


def test_a_blob_that_the_branch_not_taken_would_write_is_missing(spec):
    inside, _ = Net(spec.neuralNetwork).branch("x")
    inside("copy", ["y"], ["z"])
    assert run(spec, 1.0, 5.0) == [5.0]
    with pytest.raises(ModelError, match="output 'z' is written by no layer"):
        run(spec, 0.0, 5.0)


@pytest.mark.parametrize("x", [0.0, 1.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_nested_branches_read_outer_blobs(spec, x, y):
    net = Net(spec.neuralNetwork)
    net("add", ["x"], ["hundred"], alpha=100.0)
    inside, otherwise = net.branch("x")
    first, second = inside.branch("y")
    first("add", ["hundred"], ["z"], alpha=1.0)
    second()("add", ["hundred"], ["z"], alpha=2.0)
    otherwise()("multiply", ["hundred"], ["z"], alpha=2.0)
    assert run(spec, x, y) == [(x + 100 + (1 if y else 2)) if x else 200.0]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_loop_of_a_fixed_count(spec, count):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    loop = net("loop", maxLoopIterations=count)
    Net(loop.bodyNetwork).count("z", 2.0)
    assert run(spec, y=1.0) == [1 + 2.0 * count]


def test_an_empty_condition_network_is_none(spec):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    loop = net("loop", maxLoopIterations=3)
    loop.conditionNetwork.SetInParent()
    Net(loop.bodyNetwork).count("z")
    assert run(spec) == [3.0]


def test_an_empty_condition_network_looks_at_a_blob_of_the_body(spec):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    loop = net("loop", conditionVar="z")
    loop.conditionNetwork.SetInParent()
    Net(loop.bodyNetwork).count("z", -1.0)
    assert run(spec, y=4.0) == [0.0]


def test_a_count_that_is_no_number_runs_nothing(spec):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    Net(net("loop", ["x"]).bodyNetwork).count("z")
    assert run(spec, float("nan"), 10.0) == [10.0]


@pytest.mark.parametrize("count", [-1.0, 0.0, 3.0])
def test_the_input_of_a_loop_is_its_count_in_place_of_the_parameter(spec, count):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    loop = net("loop", ["x"], maxLoopIterations=7)
    Net(loop.bodyNetwork).count("z")
    assert run(spec, count, 10.0) == [10 + max(count, 0)]


def test_a_loop_may_count_by_a_blob_that_its_body_changes(spec):
    net = Net(spec.neuralNetwork)
    net("copy", ["x"], ["z"])
    loop = net("loop", ["z"])
    Net(loop.bodyNetwork).count("z")
    assert run(spec, 3.0) == [6.0]  # the count is read once


def while_less(net, name, bound, **fields):
    """A loop while name < bound; returns its body."""
    p = net("loop", conditionVar="goes_on", **fields)
    Net(p.conditionNetwork)("lessThan", [name], ["goes_on"], alpha=bound)
    return Net(p.bodyNetwork)


@pytest.mark.parametrize(("y", "expected"), [(0.0, 5.0), (4.5, 5.5), (9.0, 9.0)])
def test_while_loop(spec, y, expected):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    while_less(net, "z", 5.0).count("z")
    assert run(spec, y=y) == [expected]


@pytest.mark.parametrize(("most", "expected"), [(2, 2.0), (9, 5.0)])
def test_while_loop_with_a_bound(spec, most, expected):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    while_less(net, "z", 5.0, maxLoopIterations=most).count("z")
    assert run(spec) == [expected]


@pytest.mark.parametrize(("x", "expected"), [(0.0, 0.0), (2.0, 2.0), (9.0, 5.0)])
def test_while_loop_bounded_by_an_input_even_if_that_is_zero(spec, x, expected):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    p = net("loop", ["x"], conditionVar="goes_on")
    Net(p.conditionNetwork)("lessThan", ["z"], ["goes_on"], alpha=5.0)
    Net(p.bodyNetwork).count("z")
    assert run(spec, x) == [expected]


@pytest.mark.parametrize(("most", "evaluations"), [(2, 3.0), (9, 6.0)])
def test_the_condition_network_runs_before_the_count_is_compared(spec, most, evaluations):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    net("copy", ["y"], ["i"])
    p = net("loop", conditionVar="goes_on", maxLoopIterations=most)
    condition = Net(p.conditionNetwork)
    condition.count("z")
    condition("lessThan", ["i"], ["goes_on"], alpha=5.0)
    Net(p.bodyNetwork).count("i")
    assert run(spec) == [evaluations]


def test_a_condition_close_to_zero_ends_the_loop(spec):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    p = net("loop", conditionVar="tenth")
    Net(p.conditionNetwork)("multiply", ["z"], ["tenth"], alpha=0.1)
    Net(p.bodyNetwork)("copy", ["tenth"], ["z"])
    assert run(spec, y=5.0) == pytest.approx([5e-6])  # its tenth is not above 1e-6


def sums(kind, before, after):
    """Sum i = 1 to 6 in Python, leaving at i == 4 between the two halves of the body."""
    total = 0
    for i in range(1, 7):
        total += before * i
        if i == 4:
            if kind == "loopBreak":
                break
            continue
        total += after * i
    return total


@pytest.mark.parametrize("kind", ["loopBreak", "loopContinue"])
@pytest.mark.parametrize("depth", [1, 2])
def test_break_and_continue_keep_what_was_written_before(spec, kind, depth):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    net("copy", ["y"], ["i"])
    p = net("loop", maxLoopIterations=6)
    body = Net(p.bodyNetwork)
    body.count("i")
    body("multiply", ["i"], ["part"], alpha=1.0)
    body("add", ["z", "part"], ["sum"])
    body("copy", ["sum"], ["z"])
    body("equal", ["i"], ["leaves"], alpha=4.0)
    body.leave_if("leaves", kind) if depth == 1 else body.branch("leaves")[0].leave_if("i", kind)
    body("multiply", ["i"], ["more"], alpha=10.0)
    body("add", ["z", "more"], ["larger"])
    body("copy", ["larger"], ["z"])
    assert run(spec) == [sums(kind, 1, 10)]


@pytest.mark.parametrize(("kind", "expected"), [("loopBreak", 101.0), ("loopContinue", 305.0)])
def test_what_a_branch_writes_before_it_leaves_is_kept(spec, kind, expected):
    """Two branches deep, each writes before the inner one leaves in the first iteration."""
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    net("copy", ["y"], ["i"])
    p = net("loop", maxLoopIterations=3)
    body = Net(p.bodyNetwork)
    body.count("i")
    body("lessThan", ["i"], ["first"], alpha=1.5)
    outer, otherwise = body.branch("first")
    outer.count("z")
    inner, _ = outer.branch("first")
    inner.count("z", 100.0)
    inner(kind)
    inner.count("z", 1000.0)
    otherwise().count("z", 2.0)
    body.count("z", 100.0)
    assert run(spec) == [expected]


def test_break_leaves_only_the_inner_of_two_loops(spec):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    outer = Net(net("loop", maxLoopIterations=3).bodyNetwork)
    inner = Net(outer("loop", maxLoopIterations=5).bodyNetwork)
    inner.count("z")
    inner("loopBreak")
    outer.count("z", 10.0)
    assert run(spec) == [33.0]


def test_continue_goes_through_the_condition_again(spec):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    body = while_less(net, "z", 4.0)
    body.count("z")
    body("loopContinue")
    body.count("z", 100.0)
    assert run(spec) == [4.0]


def test_blobs_of_a_loop_are_visible_after_it(spec):
    net = Net(spec.neuralNetwork)
    body = Net(net("loop", maxLoopIterations=2).bodyNetwork)
    body("add", ["x"], ["inside"], alpha=1.0)
    net("multiply", ["inside"], ["z"], alpha=2.0)
    assert run(spec, 3.0) == [8.0]


def test_watch_sees_each_blob_of_every_iteration(spec):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    Net(net("loop", maxLoopIterations=3).bodyNetwork).count("z")
    module, seen = migrate.to_torch(spec), []

    def watch(name, value):
        seen.append((name, value.item()))
        return value

    with module.watching(watch):
        module(torch.zeros(1), torch.zeros(1))
    assert [value for name, value in seen if name == "z_next"] == [1.0, 2.0, 3.0]


def test_a_branch_does_not_write_what_it_leaves_alone(spec):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    inside, _ = net.branch("x")
    inside("copy", ["y"], ["z"])
    module, seen = migrate.to_torch(spec), []
    with module.watching(lambda name, value: (seen.append(name), value)[1]):
        module(torch.zeros(1), torch.zeros(1))
    assert seen == ["x", "y", "z"]


def lone_break(net):
    net("loopBreak")


def lone_continue(net):
    net.branch("x")[0]("loopContinue")


@pytest.mark.parametrize("write", [lone_break, lone_continue])
def test_leaving_where_there_is_no_loop_is_a_sentence(spec, write):
    net = Net(spec.neuralNetwork)
    net("copy", ["y"], ["z"])
    write(net)
    with pytest.raises(ModelError, match=r"outside the bodyNetwork of a loop"):
        run(spec, 1.0)


def branch_without_condition(net):
    Net(net("branch").ifBranch)("copy", ["y"], ["z"])


def branch_of_two(net):
    Net(net("branch", ["x", "y"]).ifBranch).constant("z", 1.0)


def branch_without_if(net):
    Net(net("branch", ["x"]).elseBranch)("copy", ["y"], ["z"])


def loop_without_body(net):
    net("loop", maxLoopIterations=1)


def loop_of_two(net):
    Net(net("loop", ["x", "y"]).bodyNetwork).constant("z", 1.0)


def condition_without_a_name(net):
    p = net("loop")
    Net(p.conditionNetwork)("copy", ["x"], ["goes_on"])
    Net(p.bodyNetwork)("copy", ["x"], ["z"])


def name_without_a_condition(net):
    Net(net("loop", conditionVar="goes_on").bodyNetwork)("copy", ["x"], ["z"])


def condition_that_nothing_writes(net):
    p = net("loop", conditionVar="elsewhere")
    Net(p.conditionNetwork)("copy", ["x"], ["goes_on"])
    Net(p.bodyNetwork)("copy", ["x"], ["z"])


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (branch_without_condition, "a branch has 1 input, its condition; found 0"),
        (branch_of_two, "a branch has 1 input, its condition; found 2"),
        (branch_without_if, "ifBranch is not set"),
        (loop_without_body, "bodyNetwork is not set"),
        (loop_of_two, "a loop has at most 1 input, its count; found 2"),
        (condition_without_a_name, "conditionVar and conditionNetwork must be set together"),
        (name_without_a_condition, "conditionVar and conditionNetwork must be set together"),
        (condition_that_nothing_writes, "conditionVar 'elsewhere' is written by no layer"),
    ],
)
def test_contradictions_are_named_when_the_model_is_built(spec, write, why):
    write(Net(spec.neuralNetwork))
    with pytest.raises(ModelError, match=f"layer '(branch|loop)0' .*{why}"):
        migrate.to_torch(spec)


def test_a_condition_that_is_not_yet_written_is_a_sentence(spec):
    p = Net(spec.neuralNetwork)("loop", conditionVar="goes_on")
    Net(p.conditionNetwork)("copy", ["x"], ["other"])
    Net(p.bodyNetwork)("copy", ["x"], ["goes_on"])
    Net(spec.neuralNetwork)("copy", ["x"], ["z"])
    with pytest.raises(ModelError, match="the blob of the condition has not been written"):
        run(spec)


@pytest.mark.parametrize("kind", ["branch", "loop"])
def test_a_condition_or_count_of_several_numbers_is_a_sentence(spec, kind):
    p = Net(spec.neuralNetwork)(kind, ["x"])
    Net(p.ifBranch if kind == "branch" else p.bodyNetwork)("copy", ["y"], ["z"])
    with pytest.raises(ModelError, match=f"layer '{kind}0' .*invalid for input of size 2"):
        migrate.to_torch(spec)(torch.ones(2), torch.ones(1))


def test_an_error_inside_names_the_inner_layer(spec):
    net = Net(spec.neuralNetwork)
    net("rangeStatic", (), ["three"], endValue=3.0, stepSizeValue=1.0)
    inside, _ = net.branch("x")
    inside("add", ["three", "y"], ["z"])
    with pytest.raises(ModelError, match=r"layer 'add0' \(add\), 1 of 1: .*shape 3, 2"):
        migrate.to_torch(spec)(torch.ones(1), torch.ones(2))


@pytest.mark.parametrize("kind", ["branch", "loop"])
def test_tracing_and_export_refuse_control_flow(spec, kind):
    p = Net(spec.neuralNetwork)(kind, ["x"])
    Net(p.ifBranch if kind == "branch" else p.bodyNetwork)("copy", ["y"], ["z"])
    net, examples = migrate.to_torch(spec), (torch.ones(1), torch.ones(1))
    why = f"layer '{kind}0' .*control flow cannot be traced or exported"
    with pytest.raises(UnsupportedError, match=why):
        torch.jit.trace(net, examples)
    with pytest.raises(UnsupportedError, match=why):
        torch.export.export(net, examples, strict=False)


RANGES = [(5.0, 0.0, 1.0), (7.0, 2.0, 2.0), (1.0, 0.0, 0.25), (-3.0, 2.0, -1.5), (1.0, 0.0, 0.1)]
EMPTY = [(2.0, 2.0, 1.0), (1.0, 2.0, 1.0), (2.0, 1.0, -1.0)]


def fill_range(start, step, end=None):
    def fill(p):
        p.startValue, p.stepSizeValue = start, step
        if end is not None:
            p.endValue = end

    return fill


@pytest.mark.parametrize(("end", "start", "step"), RANGES + EMPTY)
def test_range_static(one_layer, end, start, step):
    net = migrate.to_torch(one_layer("rangeStatic", [], fill=fill_range(start, step, end)))
    expected = np.arange(start, end, step)
    got = net.predict({})["out0"]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert net.double()().dtype == torch.float64


@pytest.mark.parametrize(("end", "start", "step"), RANGES + EMPTY)
@pytest.mark.parametrize("inputs", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1,), ()])
def test_range_dynamic(one_layer, end, start, step, inputs, shape):
    values = [end, start, step]
    parameters = fill_range(
        start if inputs == 1 else 77.0, step if inputs < 3 else 77.0
    )  # what an input gives, a parameter does not
    net = migrate.to_torch(one_layer("rangeDynamic", [(1,)] * inputs, fill=parameters))
    expected = np.arange(start, end, step)
    for dtype in (torch.float32, torch.float64):
        net = net.to(dtype)
        got = net(*(torch.full(shape, value, dtype=dtype) for value in values[:inputs]))
        assert got.dtype == dtype
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_traced_range_follows_its_input(one_layer):
    net = migrate.to_torch(one_layer("rangeDynamic", [(1,)], fill=fill_range(1.0, 2.0)))
    traced = torch.jit.trace(net, torch.tensor([4.0]))
    assert traced(torch.tensor([8.0])).tolist() == [1.0, 3.0, 5.0, 7.0]


def test_a_range_without_steps_is_refused(one_layer):
    with pytest.raises(ModelError, match=r"layer 'tested' .*stepSizeValue is 0"):
        migrate.to_torch(one_layer("rangeStatic", [], fill=fill_range(0.0, 0.0, 3.0)))
    net = migrate.to_torch(one_layer("rangeDynamic", [(1,)], fill=fill_range(0.0, 0.0)))
    with pytest.raises(ModelError, match=r"layer 'tested' .*unsupported range"):
        net(torch.tensor([3.0]))


@pytest.mark.parametrize(
    ("inputs", "why"),
    [([], "such a layer does not take 0 inputs"), ([np.zeros(2)], "invalid for input of size 2")],
)
def test_inputs_of_a_range_that_do_not_fit(run_layer, inputs, why):
    with pytest.raises(ModelError, match=f"layer 'tested' .*{why}"):
        run_layer("rangeDynamic", inputs, fill=fill_range(0.0, 1.0))


def test_copy_is_a_new_tensor(one_layer):
    x = torch.ones(2, 3)
    y = migrate.to_torch(one_layer("copy", [(2, 3)]))(x)
    assert torch.equal(x, y)
    assert y.data_ptr() != x.data_ptr()
