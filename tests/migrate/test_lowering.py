"""How helpers, steps and torch operations are translated to MIL: lowerings made for the tests."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

import migrate
from migrate import UnsupportedError, helpers, lowering
from migrate.coreml import coremltools, proto
from migrate.errors import AnereportError
from migrate.lowering import Lowerer, converting, expressed, fixed, known, lowers, untraced, whole

ct = coremltools()
X = np.float32([-2.0, 0.5, 3.0])


def helper(function):
    """Make a helper whose name other tests do not see."""
    before = set(helpers.NAMES)
    called = helpers.helper(function)
    helpers.NAMES.intersection_update(before)
    return called


@pytest.fixture(autouse=True)
def own_lowerings(monkeypatch):
    """Whatever a test registers is gone after it."""
    monkeypatch.setattr(lowering, "_OF_HELPERS", dict(lowering._OF_HELPERS))
    monkeypatch.setattr(lowering, "_OF_TORCH", dict(lowering._OF_TORCH))
    monkeypatch.setattr(helpers, "NAMES", set(helpers.NAMES))


def table():
    from coremltools.converters.mil.frontend.torch import ops

    return ops._TORCH_OPS_REGISTRY.name_to_func_mapping


def custom(*steps, names=()):
    """A model of one custom layer per step, one after another, and the steps by class name."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    array = spec.description.input.add(name="x").type.multiArrayType
    array.dataType = 65568
    array.shape.append(3)
    blob, builders = "x", {}
    for i, step in enumerate(steps):
        name = names[i] if names else f"layer{i}"
        layer = spec.neuralNetwork.layers.add(name=name, input=[blob], output=[f"y{i}"])
        layer.custom.className = f"Class{i}"
        builders[f"Class{i}"] = lambda params, step=step: step
        blob = f"y{i}"
    spec.description.output.add(name=blob).type.multiArrayType.dataType = 65568
    return spec, builders


def converted(*steps, **options):
    spec, builders = custom(*steps)
    return migrate.to_mlprogram(spec, "fp32", custom=builders, **options)


def value(program, x=X):
    """The output of a program, and the kinds of its operations."""
    (y,) = migrate.evaluate(program, {"x": x}).values()
    main = program.get_spec().mlProgram.functions["main"]
    return y.tolist(), [op.type for op in main.block_specializations[main.opset].operations]


@helper
def shifted(x, by=1.0, *, times=1):
    return x + by * times


@lowers(shifted)
def _shifted_in_mil(mb, x, by=1.0, *, times=1):
    return mb.sub(x=x, y=-float(by * times))


SHIFTED = lowering._OF_HELPERS[shifted.__wrapped__]


@pytest.fixture
def of_shifted():
    lowering._OF_HELPERS[shifted.__wrapped__] = SHIFTED


def test_a_helper_becomes_what_its_lowering_says(of_shifted):
    program = converted(lambda x: shifted(x, 2.0, times=3))
    y, kinds = value(program)
    assert y == [4.0, 6.5, 9.0]
    assert "sub" in kinds
    assert "add" not in kinds


def test_a_helper_without_a_lowering_is_traced():
    @helpers.helper
    def doubled(x):
        return x + x

    y, kinds = value(converted(doubled))
    assert y == [-4.0, 1.0, 6.0]
    assert "add" in kinds


@pytest.mark.parametrize(("by", "kind"), [(2.0, "sub"), (-2.0, "add")])
def test_a_helper_is_traced_where_its_condition_is_false(by, kind):
    @helpers.helper
    def moved(x, by):
        return x + by

    lowers(moved, when=lambda x, by: by > 0)(lambda mb, x, by: mb.sub(x=x, y=-by))
    y, kinds = value(converted(lambda x: moved(x, by)))
    assert y == (X + by).tolist()
    assert {"add", "sub"} & set(kinds) == {kind}


def test_a_helper_in_a_helper_belongs_to_the_outer_lowering(of_shifted):
    @helpers.helper
    def twice(x):
        return shifted(shifted(x))

    lowers(twice)(lambda mb, x: mb.add(x=x, y=2.0))
    y, kinds = value(converted(twice))
    assert y == [0.0, 2.5, 5.0]
    assert "sub" not in kinds


def test_a_step_is_expressed_by_its_lowering():
    def step(x):
        return x.abs()

    call = expressed(step, lambda mb, x: mb.sqrt(x=mb.square(x=x)))
    assert call(torch.tensor([-3.0])).tolist() == [3.0]
    assert call.__name__ == "step"
    y, kinds = value(converted(call))
    assert y == pytest.approx([2.0, 0.5, 3.0])
    assert "sqrt" in kinds
    assert "abs" not in kinds


def test_a_torch_operation_becomes_what_its_lowering_says():
    lowers("erfc")(lambda mb, x: mb.sub(x=1.0, y=mb.erf(x=x)))
    y, kinds = value(converted(torch.erfc))
    np.testing.assert_allclose(y, torch.erfc(torch.tensor(X)), rtol=1e-4, atol=1e-6)
    assert "erf" in kinds


def test_a_lowering_may_leave_an_operation_to_coremltools():
    asked = []
    lowers("abs")(lambda mb, x: asked.append(x) or NotImplemented)
    y, kinds = value(converted(torch.abs))
    assert y == [2.0, 0.5, 3.0]
    assert "abs" in kinds
    assert len(asked) == 1


def test_what_is_left_to_coremltools_which_has_no_translation_is_named():
    lowers("erfc")(lambda mb, x: NotImplemented)
    with pytest.raises(UnsupportedError, match="no translation of torch's erfc"):
        converted(torch.erfc)


@helper
def arranged(parts, *, weights, extra=None):
    total = sum(w * x for w, x in zip(weights, parts["x"], strict=True))
    return {"sum": total if extra is None else total + extra, "rest": (parts["y"], [total])}


def arranged_in_mil(mb, parts, *, weights, extra=None):
    products = [mb.mul(x=x, y=w) for w, x in zip(weights, parts["x"], strict=True)]
    total = mb.add(x=products[0], y=products[1])
    whole_ = total if extra is None else mb.add(x=total, y=extra)
    return {"sum": whole_, "rest": (parts["y"], [total])}


@pytest.mark.parametrize("extra", [None, 5.0])
def test_arguments_and_results_of_nested_structure(extra):
    """Results may be arguments, or one value twice."""
    lowers(arranged)(arranged_in_mil)

    def step(x):
        found = arranged({"x": (x, x * 2), "y": x + 7}, weights=[1.0, 10.0], extra=extra)
        y, (total,) = found["rest"]
        return found["sum"] - total + y

    y, _ = value(converted(step))
    assert y == pytest.approx(X + 7 + (extra or 0))


def test_a_result_that_is_an_input():
    @helpers.helper
    def same(x):
        return x, x + 1, x

    lowers(same)(lambda mb, x: (x, mb.add(x=x, y=1.0), x))
    y, _ = value(converted(lambda x: same(x)[0] * 100 + same(x)[1] - same(x)[2]))
    assert y == pytest.approx(X * 100 + 1)


def test_a_model_whose_output_is_its_input():
    @helpers.helper
    def same(x):
        return x

    lowers(same)(lambda mb, x: x)
    assert value(converted(same))[0] == X.tolist()


def refusing(what):
    def step(x):
        if torch._C._get_tracing_state():
            raise UnsupportedError(f"{what} cannot be had")
        return x + 1

    return step


def test_everything_that_is_refused_is_named_at_once():
    spec, builders = custom(
        refusing("this"), torch.abs, refusing("that"), names=["first", "between", "second"]
    )
    with pytest.raises(UnsupportedError) as caught:
        migrate.to_mlprogram(spec, custom=builders)
    assert str(caught.value) == (
        "layer 'first' (custom), 1 of 3: this cannot be had; "
        "layer 'second' (custom), 3 of 3: that cannot be had"
    )


def test_what_a_lowering_refuses_reaches_the_user():
    @helpers.helper
    def sized(x, n):
        return x[: int(n.max())]

    lowers(sized)(lambda mb, x, n: mb.fill(shape=[fixed(n, "the size")], value=0.0))
    with pytest.raises(UnsupportedError, match="the size is computed by the model"):
        converted(lambda x: sized(x, x + 3))


def failing(x):
    return torch.special.bessel_j0(x)  # which coremltools does not know


@pytest.mark.parametrize("step", [torch.abs, failing, refusing("this")])
def test_coremltools_keeps_its_own_translations(step):
    before = dict(table())
    try:
        converted(step)
    except AnereportError:
        assert step is not torch.abs
    assert table() == before
    assert lowering.PLACEHOLDER not in table()
    assert converting() is None
    assert helpers.recorder() is None


def test_translations_hold_while_converting(of_shifted):
    lowerer = Lowerer(sizes_vary=False, release=16)
    lowers("abs")(lambda mb, x: NotImplemented)
    usual = table()["abs"]
    with lowerer.translating():
        assert lowering.PLACEHOLDER in table()
        assert table()["abs"] is not usual
        with pytest.raises(KeyError), lowerer.translating():
            raise KeyError
        assert table()["abs"] is not usual
    assert table()["abs"] is usual


def test_a_trace_of_ones_own_has_no_placeholders(of_shifted):
    spec, builders = custom(shifted)
    net = migrate.to_torch(spec, builders)
    traced = torch.jit.trace(net, torch.tensor(X))
    assert "anereport" not in str(traced.inlined_graph)
    assert traced(torch.tensor(X) * 2).tolist() == [-3.0, 2.0, 7.0]
    assert value(converted(shifted))[0] == [-1.0, 1.5, 4.0]
    assert "anereport" not in str(torch.jit.trace(net, torch.tensor(X)).inlined_graph)


def test_a_conversion_only_notes_calls_that_are_traced(of_shifted):
    lowerer = Lowerer(sizes_vary=False, release=16)
    with lowerer.listening():
        assert converting() is lowerer
        assert shifted(torch.tensor([1.0]), 4.0).tolist() == [5.0]
    assert lowerer.calls == {}
    assert converting() is None


def test_untraced_calls_leave_no_mark():
    def step(x):
        with untraced():
            assert torch._C._get_tracing_state() is None
            known_now = float(x.sum())
        return x + known_now

    graph = torch.jit.trace(step, torch.ones(2), check_trace=False).graph
    assert "sum" not in str(graph)


def test_tracing_goes_on_after_an_error():
    def step(x):
        with pytest.raises(KeyError), untraced():
            raise KeyError
        assert torch._C._get_tracing_state() is not None
        return x * 2

    assert torch.jit.trace(step, torch.ones(1), check_trace=False)(torch.ones(1)).item() == 2.0


def test_twice_in_a_row_and_in_threads(of_shifted):
    steps = [lambda x, n=n: shifted(x, float(n)) for n in range(4)]
    found = {}

    def convert(n):
        found[n] = value(converted(steps[n]))[0]

    before = dict(table())
    for n in (0, 1):
        convert(n)
    threads = [threading.Thread(target=convert, args=(n,)) for n in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: (X + n).tolist() for n in range(4)}
    assert table() == before


def test_the_release_is_told_to_lowerings():
    @helpers.helper
    def by_release(x):
        return x

    told = []
    lowers(by_release)(lambda mb, x: told.append(mb.release) or mb.identity(x=x))
    converted(by_release, target="iOS15")
    converted(by_release, target="macOS14")
    assert told == [15, 17]


class Variable:
    """Stands for a MIL variable."""

    def __init__(self, val):
        self.val = val


def test_numbers_that_are_known():
    assert known(3) == fixed(3, "it") == 3
    assert known(Variable(2.5)) == fixed(Variable(2.5), "it") == 2.5
    assert fixed(Variable(0), "it") == 0
    assert known(Variable(None)) is None
    with pytest.raises(UnsupportedError, match="the rank is computed by the model"):
        fixed(Variable(None), "the rank")


@pytest.mark.parametrize("shape", [(1,), (), (1, 1)])
def test_a_single_number_becomes_an_integer(shape):
    @helpers.helper
    def first(x, n):
        return x[: int(n)]

    def in_mil(mb, x, n):
        number = whole(mb, n)
        assert number.rank == 0
        return mb.slice_by_size(x=x, begin=[0], size=mb.expand_dims(x=number, axes=[0]))

    lowers(first)(in_mil)
    y, _ = value(converted(lambda x: first(x, x[0].reshape(shape).abs() + 0.75)))
    assert y == [-2.0, 0.5]
