"""Control flow as an ML Program: every course, against Python written out for each network.

Many cases share one conversion. Each has blobs of its own and an output of its name, and reads the
inputs x and y.
"""

from __future__ import annotations

import itertools
import re
from random import Random

import numpy as np
import pytest

import migrate
from migrate import ModelError, UnsupportedError, regions
from migrate.coreml import coremltools, proto

ct = coremltools()
PAIRS = list(itertools.product((-1.0, 0.0, 1.0, 3.0), (0.0, 2.0)))


class Net:
    """Write a case layer by layer: net("add", "x", "z", alpha=1.0); z is its output."""

    def __init__(self, network, case):
        self.network, self.case = network, case
        network.SetInParent()

    def blob(self, name):
        return {"x": "x", "y": "y", "z": self.case}.get(name, f"{self.case}/{name}")

    def __call__(self, kind, inputs="", output="", **fields):
        layer = self.network.layers.add(name=f"{self.case}:{kind}{len(self.network.layers)}")
        layer.input.extend(map(self.blob, inputs.split()))
        layer.output.extend(map(self.blob, output.split()))
        params = getattr(layer, kind)
        params.SetInParent()
        for field, value in fields.items():
            setattr(params, field, value)
        return params

    def inside(self, network):
        return Net(network, self.case)

    def constant(self, name, *values):
        p = self("loadConstantND", "", name)
        p.shape.append(len(values))
        p.data.floatValue.extend(values)

    def set(self, name, *, to):
        self("copy", to, name)

    def add(self, name, other):
        """name += other, a number or a blob; a new blob, copied over the old."""
        if isinstance(other, str):
            self("add", f"{name} {other}", f"{name}_next")
        else:
            self("add", name, f"{name}_next", alpha=other)
        self.set(name, to=f"{name}_next")

    def branch(self, condition):
        p = self("branch", condition)
        return self.inside(p.ifBranch), lambda: self.inside(p.elseBranch)

    def when(self, name, bound):
        """Branch on name < bound."""
        self("lessThan", name, f"{name}_less", alpha=bound)
        return self.branch(f"{name}_less")

    def repeat(self, count):
        """A loop of a number of iterations, or of one in a blob."""
        p = self("loop", count) if isinstance(count, str) else self.counted(count)
        return self.inside(p.bodyNetwork)

    def counted(self, count):
        return self("loop", maxLoopIterations=count)

    def loop_while(self, name, bound, count="", **fields):
        """A loop while name < bound; returns its condition network and its body."""
        p = self("loop", count, conditionVar=self.blob("goes_on"), **fields)
        condition = self.inside(p.conditionNetwork)
        condition("lessThan", name, "goes_on", alpha=bound)
        return condition, self.inside(p.bodyNetwork)


def model(*cases, size=1):
    """A spec of inputs x and y of one vector each, and the networks and outputs of cases."""
    spec = proto("Model_pb2").Model(specificationVersion=5)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    for name in "xy":
        array = spec.description.input.add(name=name).type.multiArrayType
        array.dataType = 65568
        array.shape.append(size)
    for name in cases:
        spec.description.output.add(name=name).type.multiArrayType.dataType = 65568
    return spec


def compare(spec, expected, pairs=PAIRS, **options):
    """Check the module and the program made of a spec; `expected` has a function per output."""
    module = migrate.to_torch(spec)
    program = migrate.to_mlprogram(spec, **{"precision": "fp32", **options})
    for x, y in pairs:
        inputs = {"x": np.float32([x]), "y": np.float32([y])}
        found = module.predict(inputs), migrate.evaluate(program, inputs)
        for case, compute in expected.items():
            wanted = np.atleast_1d(compute(x, y))
            for outputs in found:
                np.testing.assert_array_equal(outputs[case], wanted, f"{case} at {x}, {y}")
    return program


def one(write, pairs=PAIRS, **options):
    """Compare a single case; its function writes the network and returns the expectation."""
    spec = model("case")
    return compare(spec, {"case": write(Net(spec.neuralNetwork, "case"))}, pairs, **options)


def branch_of_two_ways(net):
    inside, otherwise = net.branch("x")
    inside("add", "y", "z", alpha=10.0)
    otherwise()("multiply", "y", "z", alpha=10.0)
    return lambda x, y: y + 10 if x else y * 10


def branch_without_else(net):
    net.set("z", to="y")
    inside, _ = net.branch("x")
    inside.add("z", "x")
    return lambda x, y: y + x if x else y


def branch_with_an_empty_if(net):
    net.set("z", to="y")
    _, otherwise = net.branch("x")
    otherwise().add("z", 5.0)
    return lambda x, y: y if x else y + 5


def branch_whose_result_is_an_input(net):
    inside, otherwise = net.branch("x")
    inside.set("z", to="x")
    otherwise().set("z", to="y")
    return lambda x, y: x or y


def branch_on_what_a_branch_wrote(net):
    net.constant("c", 0.0)
    net.when("y", 1.0)[0].set("c", to="x")
    net.set("z", to="y")
    net.branch("c")[0].add("z", 100.0)
    return lambda x, y: y + 100 if x and y < 1 else y


def branch_on_a_constant(net):
    for name, value in (("never", 0.0), ("ever", 1.0)):
        net.constant(name, value)
    net.set("z", to="y")
    net.branch("never")[0].add("z", 1.0)
    net.branch("ever")[0].add("z", 10.0)
    return lambda x, y: y + 10


def branches_in_branches(net):
    inside, otherwise = net.branch("x")
    first, second = inside.when("y", 1.0)
    first("add", "x", "z", alpha=1.0)
    second()("add", "x", "z", alpha=2.0)
    third, fourth = otherwise().when("y", 1.0)
    third("add", "y", "z", alpha=30.0)
    fourth()("add", "y", "z", alpha=40.0)
    return lambda x, y: (x + (1 if y < 1 else 2)) if x else (y + (30 if y < 1 else 40))


def branch_that_swaps(net):
    for name, source in (("a", "x"), ("b", "y")):
        net.set(name, to=source)
    inside, _ = net.when("a", 1.0)
    inside.set("t", to="a")
    inside.set("a", to="b")
    inside.set("b", to="t")
    net("multiply", "a", "ten", alpha=10.0)
    net("add", "ten b", "z")
    return lambda x, y: 10 * y + x if x < 1 else 10 * x + y


def branch_of_different_sizes(net):
    inside, otherwise = net.branch("x")
    inside("concatND", "y y", "w")
    otherwise().set("w", to="y")
    net("concatND", "w x", "v")
    net("getShape", "v", "z")
    return lambda x, y: 3 if x else 2


def loop_of_a_count(net):
    net.set("z", to="y")
    net.repeat(4).add("z", "x")
    return lambda x, y: y + 4 * x


def loop_of_no_iteration(net):
    net.set("z", to="y")
    net.repeat(0).add("z", 1.0)
    return lambda x, y: y


def loop_of_a_count_from_an_input(net):
    net.set("z", to="y")
    net("add", "x", "count", alpha=0.75)
    net.repeat("count").add("z", 2.0)
    return lambda x, y: y + 2 * max(int(x + 0.75), 0)


def loop_whose_body_writes_its_count(net):
    net.set("z", to="x")
    net.repeat("z").add("z", 1.0)
    return lambda x, y: x + max(x, 0)


def loop_while_less(net):
    net.set("z", to="x")
    _, body = net.loop_while("z", 2.5)
    body.add("z", 2.0)
    return lambda x, y: {-1.0: 3, 0.0: 4, 1.0: 3, 3.0: 3}[x]


def loop_while_less_at_most(net):
    net.set("z", to="x")
    _, body = net.loop_while("z", 3.0, maxLoopIterations=2)
    body.add("z", 1.0)
    return lambda x, y: min(x + 2, max(x, 3))


def loop_while_less_at_most_as_an_input_says(net):
    net.constant("z", 0.0)
    _, body = net.loop_while("z", 2.0, "x", maxLoopIterations=1)
    body.add("z", 1.0)
    return lambda x, y: min(max(x, 0), 2)


def loop_while_its_body_says_so(net):
    net("add", "x", "z", alpha=2.0)
    p = net("loop", conditionVar=net.blob("z"))
    p.conditionNetwork.SetInParent()
    body = net.inside(p.bodyNetwork)
    body.add("z", -1.0)
    return lambda x, y: 0


def loop_whose_condition_has_effects(net):
    net.constant("z", 0.0)
    net.set("i", to="x")
    condition, body = net.loop_while("i", 2.0, maxLoopIterations=3)
    condition.add("z", 1.0)
    body.add("i", 1.0)
    return lambda x, y: 1 + min(max(2 - x, 0), 3)


def loops_in_loops(net):
    net.set("z", to="y")
    outer = net.repeat(3)
    outer.set("i", to="x")
    inner = outer.repeat("y")
    inner.add("z", "i")
    inner.add("i", 1.0)
    outer.add("z", 100.0)

    def expected(x, y):
        z = y
        for _ in range(3):
            z += sum(x + i for i in range(int(y))) + 100
        return z

    return expected


def loops_in_loops_in_loops(net):
    net.constant("z", 0.0)
    net.repeat(2).repeat("y").repeat("x").add("z", 1.0)
    return lambda x, y: 2 * y * max(x, 0)


def loop_in_the_condition_of_a_loop(net):
    net.set("z", to="x")
    p = net("loop", conditionVar=net.blob("goes_on"))
    condition = net.inside(p.conditionNetwork)
    condition.repeat(2).add("z", 1.0)
    condition("lessThan", "z", "goes_on", alpha=5.0)
    net.inside(p.bodyNetwork).add("z", 0.0)
    return lambda x, y: {-1.0: 5, 0.0: 6, 1.0: 5, 3.0: 5}[x]


def branch_in_a_loop(net):
    net.set("z", to="y")
    net.set("i", to="x")
    body = net.repeat(4)
    inside, otherwise = body.when("i", 1.0)
    inside.add("z", 10.0)
    otherwise().add("z", "i")
    body.add("i", 1.0)

    def expected(x, y):
        for i in range(int(x), int(x) + 4):
            y += 10 if i < 1 else i
        return y

    return expected


def loop_in_a_branch(net):
    net.set("z", to="y")
    inside, otherwise = net.when("x", 1.0)
    inside.repeat(2).add("z", 5.0)
    otherwise().repeat("x").add("z", "x")
    return lambda x, y: y + 10 if x < 1 else y + x * x


def loop_that_would_not_end_on_the_way_not_taken(net):
    """On zeros, with which the network is traced, the sum never grows."""
    net.set("z", to="y")
    inside, _ = net.branch("x")
    p = inside("loop", conditionVar=net.blob("goes_on"))
    inside.inside(p.conditionNetwork)("lessThan", "z", "goes_on", alpha=4.0)
    body = inside.inside(p.bodyNetwork)
    body("multiply", "x x", "square")
    body.add("z", "square")

    def expected(x, y):
        while x and y < 4:
            y += x * x
        return y

    return expected


def blob_that_an_iteration_leaves_to_the_next(net):
    """Written by a branch in the first iteration, read in all, unknown before the loop."""
    net.constant("z", 0.0)
    net.set("i", to="y")
    body = net.repeat(3)
    body.when("i", 2.5)[0].set("last", to="x")
    body.add("z", "last")
    body.add("i", 1.0)
    body.set("last", to="i")

    def expected(x, y):
        z, i, last = 0, y, None
        for _ in range(3):
            last = x if i < 2.5 else last
            z, i = z + last, i + 1
            last = i
        return z

    return expected


def blob_that_only_an_early_iteration_writes(net):
    net.set("i", to="y")
    body = net.repeat(4)
    body.add("i", 1.0)
    body.when("i", 3.5)[0].set("kept", to="i")
    net("add", "kept x", "z")
    return lambda x, y: x + 3


def blob_first_written_in_a_loop(net):
    body = net.repeat(2)
    body("add", "x", "inside", alpha=1.0)
    net("multiply", "inside", "z", alpha=2.0)
    return lambda x, y: 2 * (x + 1)


def growing_blob(net):
    net.set("z", to="y")
    body = net.repeat("x")
    body("concatND", "z x", "longer")
    body.set("z", to="longer")
    return lambda x, y: [y, *[x] * max(int(x), 0)]


def growing_blobs_one_behind_the_other(net):
    for name in ("a", "b", "z"):
        net.set(name, to="y")
    body = net.repeat("x")
    body.set("z", to="b")
    body.set("b", to="a")
    body("concatND", "a x", "longer")
    body.set("a", to="longer")
    return lambda x, y: [y, *[x] * max(int(x) - 2, 0)]


def sizes_that_grow_in_two_loops(net):
    net.set("a", to="y")
    outer = net.repeat(2)
    inner = outer.repeat("x")
    inner("concatND", "a x", "longer")
    inner.set("a", to="longer")
    net("getShape", "a", "z")
    return lambda x, y: 1 + 2 * max(x, 0)


def size_of_what_no_iteration_changes(net):
    net.set("w", to="y")
    body = net.repeat("x")
    body("concatND", "x y", "two")
    body.set("w", to="two")
    net("getShape", "w", "z")
    return lambda x, y: 2 if x > 0 else 1


def leaves(kind, depth, before=1.0, after=10.0):
    """A loop over i = 1 to 6, left where i == y + 2 by a layer some branches deep."""

    def write(net):
        net.set("z", to="x")
        net.constant("i", 0.0)
        net("add", "y", "last", alpha=2.0)
        body = net.repeat(6)
        body.add("i", 1.0)
        body.add("z", before)
        body("equal", "i last", "leaves")
        inner = body
        for _ in range(depth):
            inner, _ = inner.branch("leaves")
            inner.add("z", 300.0)
        inner(kind)
        inner.add("z", 5000.0)
        body.add("z", after)

        def expected(x, y):
            for i in range(1, 7):
                x += before
                if i == y + 2:
                    x += 300 * depth
                    if kind == "loopBreak":
                        break
                    continue
                x += after
            return x

        return expected

    return write


def leaves_at_once(kind):
    def write(net):
        net.set("z", to="y")
        body = net.repeat(3)
        body.add("z", "x")
        body(kind)
        body.add("z", 100.0)
        return lambda x, y: y + x * (1 if kind == "loopBreak" else 3)

    return write


def leaves_in_both_ways(net):
    net.set("z", to="y")
    body = net.repeat(3)
    inside, otherwise = body.branch("x")
    inside.add("z", 1.0)
    inside("loopBreak")
    other = otherwise()
    other.add("z", 10.0)
    other("loopContinue")
    body.add("z", 1000.0)
    return lambda x, y: y + 1 if x else y + 30


def leaves_in_several_places(net):
    net.set("z", to="x")
    body = net.repeat(8)
    body.add("z", 1.0)
    body.when("z", 1.5)[0]("loopContinue")
    body.add("z", 10.0)
    body.when("z", 20.0)[0]("loopContinue")
    body.add("z", 50.0)
    body.branch("y")[0]("loopBreak")
    body.add("z", 150.0)

    def expected(x, y):
        z = x
        for _ in range(8):
            z += 1
            if z < 1.5:
                continue
            z += 10
            if z < 20:
                continue
            z += 50
            if y:
                break
            z += 150
        return z

    return expected


def leaves_the_inner_loop_alone(net):
    net.set("z", to="y")
    outer = net.repeat(3)
    inner = outer.repeat(5)
    inner.add("z", 1.0)
    inner.branch("x")[0]("loopBreak")
    inner.add("z", 10.0)
    outer.add("z", 100.0)
    return lambda x, y: y + 3 * ((1 if x else 55) + 100)


def leaves_the_outer_loop_after_the_inner(net):
    net.set("z", to="y")
    outer = net.repeat(3)
    inner = outer.repeat(2)
    inner.add("z", 1.0)
    inner.branch("x")[0]("loopContinue")
    inner.add("z", 10.0)
    outer.when("y", 1.0)[0]("loopBreak")
    outer.add("z", 100.0)
    return lambda x, y: y + (2 if x else 22) * (1 if y < 1 else 3) + (0 if y < 1 else 300)


def breaks_before_an_inner_loop(net):
    net.set("z", to="x")
    outer = net.repeat(4)
    outer.add("z", 1.0)
    outer.when("y", 1.0)[0]("loopBreak")
    outer.repeat(2).add("z", 10.0)
    return lambda x, y: x + 1 if y < 1 else x + 84


def break_passes_by_the_condition(net):
    """The condition counts how often it is computed: not again after a break."""
    net.constant("z", 0.0)
    net.set("i", to="x")
    condition, body = net.loop_while("i", 6.0, maxLoopIterations=5)
    condition.add("z", 1.0)
    body.add("i", 1.0)
    body("greaterThan", "i", "far", alpha=3.5)
    body.branch("far")[0].branch("y")[0]("loopBreak")

    def expected(x, y):
        z, i = 1, x
        for _ in range(5):
            if not i < 6:
                break
            i += 1
            if i > 3.5 and y:
                break
            z += 1
        return z

    return expected


def continue_goes_through_the_condition(net):
    net.set("z", to="x")
    _, body = net.loop_while("z", 4.0)
    body.add("z", 1.0)
    body("loopContinue")
    body.add("z", 100.0)
    return lambda x, y: 4


def scalars(net):
    """Blobs of rank 0: as a condition, a count, what is counted, and what one way alone writes."""
    for name, source in (("s", "x"), ("t", "y")):
        net("squeeze", source, name, squeezeAll=True)
    net.repeat("s").add("t", 1.0)
    inside, _ = net.branch("s")
    inside("add", "t", "u", alpha=10.0)
    net.set("v", to="y")
    second, _ = net.branch("s")
    second("add", "u v", "w")
    second.set("v", to="w")
    net("add", "t v", "z")

    def expected(x, y):
        t = y + max(int(x), 0)
        return t + y + (t + 10 if x else 0)

    return expected


CASES = [
    scalars, branch_of_two_ways, branch_without_else, branch_with_an_empty_if,
    branch_whose_result_is_an_input, branch_on_what_a_branch_wrote, branch_on_a_constant,
    branches_in_branches, branch_that_swaps, branch_of_different_sizes,
    loop_of_a_count, loop_of_no_iteration, loop_of_a_count_from_an_input,
    loop_whose_body_writes_its_count, loop_while_less, loop_while_less_at_most,
    loop_while_less_at_most_as_an_input_says, loop_while_its_body_says_so,
    loop_whose_condition_has_effects, loops_in_loops, loops_in_loops_in_loops,
    loop_in_the_condition_of_a_loop, branch_in_a_loop, loop_in_a_branch,
    loop_that_would_not_end_on_the_way_not_taken,
    blob_that_an_iteration_leaves_to_the_next, blob_that_only_an_early_iteration_writes,
    blob_first_written_in_a_loop, growing_blob, growing_blobs_one_behind_the_other,
    sizes_that_grow_in_two_loops, size_of_what_no_iteration_changes,
    *[leaves(kind, depth) for kind in regions.LEAVES for depth in (1, 2, 3)],
    *[leaves_at_once(kind) for kind in regions.LEAVES],
    leaves_in_both_ways, leaves_in_several_places, leaves_the_inner_loop_alone,
    leaves_the_outer_loop_after_the_inner, breaks_before_an_inner_loop,
    break_passes_by_the_condition, continue_goes_through_the_condition,
]  # fmt: skip
WAYS = [("fp32", "iOS15"), ("fp16", "iOS16"), ("fp32", "iOS17"), ("fp16", "iOS18")]
GROUPS = 8


def compare_all(cases, pairs=PAIRS, **options):
    """Compare cases, functions by name, in one conversion."""
    spec = model(*cases)
    expected = {name: write(Net(spec.neuralNetwork, name)) for name, write in cases.items()}
    compare(spec, expected, pairs, **options)


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_course(group):
    """Half of the cases in float16, which holds their numbers exactly."""
    precision, target = WAYS[group % len(WAYS)]
    cases = {f"case{i}_{case.__name__}": case for i, case in enumerate(CASES[group::GROUPS])}
    compare_all(cases, precision=precision, target=target)


class Program:
    """A random program of nested control flow over whole numbers from -9 to 9.

    Its statements are run in Python and written as layers, statement by statement:
    ("add", a, n), ("sum", a, b), ("branch", a, n, if, else), ("repeat", n or a, body),
    ("while", a, n, most, effects, body), ("loopBreak",), ("loopContinue",).
    """

    STEPS = 400  # that a run may take

    def __init__(self, seed):
        self.random = Random(seed)
        self.names = ["a", "b"]
        self.size = 0
        self.statements = self.several(3, inside_loop=False)

    def several(self, depth, *, inside_loop):
        found = []
        for _ in range(self.random.randint(1, 4)):
            found.append(self.statement(depth, inside_loop))
            if found[-1][0] in regions.LEAVES:
                break
        return found

    def statement(self, depth, inside_loop):
        self.size += 1
        kinds = ["add", "sum"] * 2 + ["branch", "branch", "repeat", "while"] * (depth > 0)
        kind = self.random.choice(kinds + ["leave", "leave"] * inside_loop)
        if kind == "leave":
            return self.leave(depth)
        a, n = self.random.choice(self.names), self.random.randint(-3, 3)
        if kind == "add":
            return kind, a, n
        if kind == "sum":
            return self.sum(a)
        if kind == "branch":
            before = self.names  # what one way writes, the other does not know
            inside = self.several(depth - 1, inside_loop=inside_loop)
            known, self.names = self.names, before
            otherwise = self.several(depth - 1, inside_loop=inside_loop)
            self.names = list(dict.fromkeys([*known, *self.names]))
            return kind, a, n, inside, otherwise
        if kind == "repeat":
            count = self.random.choice([a, self.random.randint(0, 4)])
            return kind, count, self.several(depth - 1, inside_loop=True)
        effects = [("add", self.random.choice(self.names), self.random.randint(-2, 2))]
        chosen = self.random.choice([effects, []])
        most = self.random.choice([0, 2, 5])
        return kind, a, n, most, chosen, self.several(depth - 1, inside_loop=True)

    def sum(self, a):
        """Return an assignment, at times of a name that is new."""
        found = "sum", self.random.choice(["c", "d", a]), a, self.random.choice(self.names)
        self.names = list(dict.fromkeys([*self.names, found[1]]))
        return found

    def leave(self, depth):
        """Return a statement that leaves the loop, mostly within a branch."""
        leave = (self.random.choice(list(regions.LEAVES)),)
        if self.random.random() < 0.1 or not depth:
            return leave
        before = [("add", self.random.choice(self.names), 1)] * self.random.randint(0, 1)
        return "branch", self.random.choice(self.names), 0, [*before, leave], []

    def __call__(self, x, y):
        """Return what the program computes; KeyError for a name that has no value yet."""
        self.values, self.steps = {"a": x, "b": y}, 0
        self.run(self.statements)
        return self.values["a"] + 20 * self.values["b"]

    def run(self, statements):
        """Run statements; return how they were left, if they were."""
        for kind, *parts in statements:
            self.steps += 1
            if self.steps > self.STEPS:
                raise TimeoutError
            left = kind if kind in regions.LEAVES else getattr(self, f"run_{kind}")(*parts)
            if left:
                return left
        return None

    def run_add(self, a, n):
        self.values[a] = max(-9, min(9, self.values[a] + n))

    def run_sum(self, to, a, b):
        self.values[to] = max(-9, min(9, self.values[a] + self.values[b]))

    def run_branch(self, a, n, inside, otherwise):
        return self.run(inside if self.values[a] < n else otherwise)

    def run_repeat(self, count, body):
        for _ in range(self.values[count] if isinstance(count, str) else count):
            if self.run(body) == "loopBreak":
                break

    def run_while(self, a, n, most, effects, body):
        done = 0
        self.run(effects)
        while self.values[a] < n and (done < most or not most):
            if self.run(body) == "loopBreak":
                break
            done += 1
            self.run(effects)

    def write(self, net):
        net.set("a", to="x")
        net.set("b", to="y")
        self.layers(net, self.statements)
        net("multiply", "b", "twenty", alpha=20.0)
        net("add", "a twenty", "z")
        return self

    def layers(self, net, statements):
        for kind, *parts in statements:
            if kind in regions.LEAVES:
                net(kind)
            else:
                getattr(self, f"write_{kind}")(net, *parts)

    def write_add(self, net, a, n):
        net("add", a, "sum", alpha=float(n))
        net("clip", "sum", "clipped", minVal=-9.0, maxVal=9.0)
        net.set(a, to="clipped")

    def write_sum(self, net, to, a, b):
        net("add", f"{a} {b}", "sum")
        net("clip", "sum", "clipped", minVal=-9.0, maxVal=9.0)
        net.set(to, to="clipped")

    def write_branch(self, net, a, n, inside, otherwise):
        first, second = net.when(a, float(n))
        self.layers(first, inside)
        self.layers(second(), otherwise)

    def write_repeat(self, net, count, body):
        self.layers(net.repeat(count), body)

    def write_while(self, net, a, n, most, effects, body):
        p = net("loop", conditionVar=net.blob("goes_on"), maxLoopIterations=most)
        condition = net.inside(p.conditionNetwork)
        self.layers(condition, effects)
        condition("lessThan", a, "goes_on", alpha=float(n))
        self.layers(net.inside(p.bodyNetwork), body)


RANDOM_PAIRS = [(-3, 0), (0, 0), (1, 2), (4, -1)]


def programs(seeds):
    """Programs by name that end, and read what they have written, for all of the inputs."""
    found = {}
    for seed in seeds:
        program = Program(seed)
        try:
            results = {program(x, y) for x, y in RANDOM_PAIRS}
        except (KeyError, TimeoutError):
            continue
        if len(results) > 1 and 5 <= program.size <= 10:
            found[f"program{seed}"] = program.write
    return found


@pytest.mark.parametrize("part", range(5))
def test_random_programs(part):
    precision, target = WAYS[part % len(WAYS)]
    found = programs(range(100 * part, 100 * part + 100))
    chosen = dict(itertools.islice(found.items(), 5))
    compare_all(chosen, RANDOM_PAIRS, precision=precision, target=target)


def count_of_many(net):
    """Float16 ends counting at 2048; the blob alternates between 0 and 1."""
    net.constant("z", 0.0)
    body = net.repeat("x")
    body("multiply", "z", "negative", alpha=-1.0)
    body("add", "negative", "other", alpha=1.0)
    body.set("z", to="other")
    return lambda x, y: x % 2


def test_a_count_that_float16_cannot_hold():
    one(count_of_many, [(2050.0, 0.0), (2051.0, 0.0)], precision="fp16")


def test_a_count_beyond_all_integers_is_no_limit():
    def write(net):
        net.set("z", to="x")
        _, body = net.loop_while("z", 2.0, maxLoopIterations=2**63)
        body.add("z", 1.0)
        return lambda x, y: max(x, 2)

    one(write)


def operations(program):
    """All operations of a program, those of inner blocks included."""
    main = program.get_spec().mlProgram.functions["main"]
    return list(inner_operations(main.block_specializations[main.opset]))


def inner_operations(block):
    for op in block.operations:
        yield op
        for inner in op.blocks:
            yield from inner_operations(inner)


def test_a_saved_program_is_the_same_and_its_names_are_legal(tmp_path):
    cases = dict(itertools.islice(programs(range(200)).items(), 3))
    spec = model(*cases)
    expected = {name: write(Net(spec.neuralNetwork, name)) for name, write in cases.items()}
    program = migrate.to_mlprogram(spec, precision="fp32")
    migrate.save(program, tmp_path / "saved.mlpackage")
    again = ct.models.MLModel(str(tmp_path / "saved.mlpackage"), skip_model_load=True)
    for x, y in RANDOM_PAIRS:
        found = migrate.evaluate(again, {"x": np.float32([x]), "y": np.float32([y])})
        assert {name: found[name].tolist() for name in expected} == {
            name: [compute(x, y)] for name, compute in expected.items()
        }
    names = [out.name for op in operations(again) for out in op.outputs]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) for name in names)


def inner_product(net, source, target, weight):
    p = net("innerProduct", source, target, inputChannels=1, outputChannels=1)
    p.weights.floatValue.append(weight)


def weights(net):
    net.set("z", to="y")
    inside, otherwise = net.branch("x")
    body = inside.repeat(2)
    inner_product(body, "z", "more", 3.0)
    body.set("z", to="more")
    inner_product(otherwise(), "y", "z", 2.0)
    return lambda x, y: 9 * y if x else 2 * y


def test_layers_with_weights():
    one(weights, precision="fp16")


@pytest.mark.parametrize(("keep", "dtypes"), [([], {"fp16"}), (["case:innerProduct0"], {"fp32"})])
def test_layers_of_sub_networks_can_stay_float32(keep, dtypes):
    """The one kept is that of the loop's body; both ways of the branch compute in float16."""
    spec = model("case")
    net = Net(spec.neuralNetwork, "case")
    net.set("z", to="y")
    inside, _ = net.branch("x")
    body = inside.repeat(2)
    inner_product(body, "z", "more", 1.0009765625)
    body.set("z", to="more")
    inside("multiply", "z", "w", alpha=3.0)
    inside.set("z", to="w")
    program = migrate.to_mlprogram(spec, "fp16", keep_fp32=keep)
    widths = {10: "fp16", 11: "fp32"}
    kinds = {
        kind: {
            widths[op.outputs[0].type.tensorType.dataType]
            for op in operations(program)
            if op.type == kind
        }
        for kind in ("linear", "mul")
    }
    assert kinds == {"linear": dtypes, "mul": {"fp16"}}


def a_branch_of_two_ranks(net):
    inside, otherwise = net.branch("x")
    inside("expandDims", "y", "column").axes.append(0)
    inside("concatND", "column column", "z")
    otherwise().set("z", to="y")


def a_loop_that_adds_a_dimension(net):
    net.set("z", to="y")
    body = net.repeat(2)
    body("expandDims", "z", "column").axes.append(0)
    body("concatND", "column column", "z_next")
    body.set("z", to="z_next")


@pytest.mark.parametrize("write", [a_branch_of_two_ranks, a_loop_that_adds_a_dimension])
def test_ranks_that_follow_from_data_are_refused(write):
    spec = model("case")
    write(Net(spec.neuralNetwork, "case"))
    why = r"layer 'case:(branch0|loop1)' .*blob 'case' has rank \d on one way .* and rank \d on"
    with pytest.raises(UnsupportedError, match=why):
        migrate.to_mlprogram(spec)


def a_break_in_a_branch(net):
    net.set("z", to="y")
    net.branch("x")[0]("loopBreak")


def a_continue_in_the_condition_of_an_inner_loop(net):
    net.set("z", to="y")
    condition, body = net.repeat(2).loop_while("z", 2.0)
    condition.branch("x")[0]("loopContinue")
    body.add("z", 1.0)


@pytest.mark.parametrize(
    "write", [a_break_in_a_branch, a_continue_in_the_condition_of_an_inner_loop]
)
def test_leaving_where_there_is_no_loop_is_refused(write):
    """Even where no example reaches it."""
    spec = model("case")
    write(Net(spec.neuralNetwork, "case"))
    with pytest.raises(ModelError, match=r"loop(Break|Continue) .* outside the bodyNetwork"):
        migrate.to_mlprogram(spec)
