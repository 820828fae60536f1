"""Verification: what it finds in programs that were tampered with, and that it finds nothing else.

Programs are changed in memory, as PyMIL, and written anew. What a weight must have become is
computed here in numpy.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import warnings

import numpy as np
import pytest
import torch

import migrate
from migrate import AnereportError, mlprogram, passes
from migrate.coreml import coremltools, proto
from migrate.mlprogram import convert
from migrate.options import Options
from migrate.verification import verify

ct = coremltools()
mb = ct.converters.mil.Builder
RNG = np.random.RandomState(0)


class Net:
    """A spec under construction: each layer reads the blob before it, unless it says otherwise."""

    def __init__(self, *shape, outputs=("out",), inputs=("in",)):
        self.spec = proto("Model_pb2").Model(specificationVersion=4)
        self.spec.neuralNetwork.arrayInputShapeMapping = 1
        for name in inputs:
            array = self.spec.description.input.add(name=name).type.multiArrayType
            array.shape.extend(shape)
            array.dataType = array.FLOAT32
        for name in outputs:
            array = self.spec.description.output.add(name=name).type.multiArrayType
            array.dataType = array.FLOAT32
        self.at = inputs[0]

    def layer(self, kind, name, inputs=None, output=None, **fields):
        inputs = self.at if inputs is None else inputs
        output = output or name
        layer = self.spec.neuralNetwork.layers.add(name=name, input=inputs.split(), output=[output])
        params = getattr(layer, kind)
        params.SetInParent()
        for field, value in fields.items():
            at, _, last = field.rpartition("__")
            message = getattr(params, at) if at else params
            target = getattr(message, last)
            if isinstance(value, np.ndarray):
                target.floatValue.extend(value.astype(np.float32).ravel())
            elif isinstance(value, (list, tuple)):
                target.extend(value)
            elif value is None:
                target.SetInParent()
            else:
                setattr(message, last, value)
        self.at = output
        return self

    def conv(self, name, kernel, bias=None, **options):
        fields = {"hasBias": True, "bias": bias} if bias is not None else {}
        return self.layer(
            "convolution", name, outputChannels=kernel.shape[0], kernelChannels=kernel.shape[1],
            nGroups=1, kernelSize=kernel.shape[2:], valid=None, weights=kernel, **fields, **options,
        )  # fmt: skip

    def norm(self, name, gamma, beta, mean, variance):
        return self.layer(
            "batchnorm", name, channels=len(gamma), gamma=gamma, beta=beta, mean=mean,
            variance=variance, epsilon=1e-3,
        )  # fmt: skip

    def relu(self, name, **options):
        return self.layer("activation", name, ReLU=None, **options)


def single(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def positive(*shape):
    return np.abs(single(*shape)) + np.float32(0.5)


KERNEL, BIAS = single(4, 3, 3, 3), single(4)
SECOND, SECOND_BIAS = single(4, 4, 3, 3) / 4, single(4)
STATISTICS = positive(4), single(4), single(4), positive(4)


def small():
    """Two convolutions, the first with batch normalization, a ReLU between them."""
    net = Net(1, 3, 12, 10)
    net.conv("first", KERNEL, BIAS).norm("norm", *STATISTICS).relu("relu")
    return net.conv("second", SECOND, SECOND_BIAS).relu("out").spec


def programs(spec, precisions=("fp32", "fp16"), target="iOS16"):
    net = migrate.to_torch(spec)
    return net, {p: convert(net, spec, Options(p, target), "").program for p in precisions}


def verified(spec, precisions=("fp32", "fp16"), target="iOS16", **options):
    return verify(*programs(spec, precisions, target), **options)


def tampered(spec, change, precision="fp32"):
    """The findings on a program that `change` was let at: a function of PyMIL's `main`."""
    return verify(migrate.to_torch(spec), {precision: changed_program(spec, change, precision)})


def changed_program(spec, change, precision):
    _, made = programs(spec, [precision])
    pymil = made[precision]._mil_program
    change(pymil.functions["main"])
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return ct.convert(
            pymil, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS16,
            pass_pipeline=ct.PassPipeline.EMPTY, skip_model_load=True,
        )  # fmt: skip


def operation(main, kind, number=0):
    return [op for op in main.operations if op.op_type == kind][number]


def as_a_pass():
    """coremltools wants to know where operations come from."""
    from coremltools.converters.mil.mil.scope import ScopeInfo, ScopeSource

    return mb.scope(ScopeInfo(ScopeSource.COREMLTOOLS_GRAPH_PASS, ["tamper"]))


def replace(main, op, argument, change):
    """Give an operation another constant."""
    var = op.inputs[argument]
    with main, as_a_pass():
        value = change(var.val.copy()).astype(var.val.dtype)
        new = mb.const(val=value, name=f"{op.name}_{argument}_tampered", before_op=op)
        main.replace_uses_of_var_after_op(
            anchor_op=new.op, end_op=op, old_var=var, new_var=new, no_check_var_types=True
        )


def drop(main, op):
    """Take an operation out; what reads it reads its input."""
    with main, as_a_pass():
        main.replace_uses_of_var_after_op(
            anchor_op=op, old_var=op.outputs[0], new_var=op.inputs["x"], no_check_var_types=True
        )
        if op.outputs[0] in main.outputs:
            raise AssertionError("the output must not go")
        main.remove_ops([op])


def changed(index, by):
    def change(values):
        values.ravel()[index] += by
        return values

    return change


def errors(found):
    """Return all errors, with the program of each."""
    return tuple(f"{e} (ML Program {name})" for name, of in found.errors.items() for e in of)


def layers(found):
    """Return the map of the fp16 program, or of the only one."""
    return found.maps["fp16"] if "fp16" in found.maps else next(iter(found.maps.values()))


def became(found, precision):
    return {(w.layer, w.name): w.became[precision] for w in found.weights}


# --- what is right


def test_nothing_is_wrong_with_a_right_program():
    found = verified(small())
    assert errors(found) == found.findings == found.not_compared == ()
    assert found.departs is None
    kinds = {"normal", "integers", "as preprocessed"}
    variants = {"torch float32", "ML Program fp32", "ML Program fp16"}
    rows = [(row.inputs, row.output, row.variant) for row in found.comparisons]
    assert sorted(rows) == sorted((k, "out", v) for k in kinds for v in variants)
    assert all(row.within and 0 < row.rmse <= row.largest for row in found.comparisons)


def test_it_is_plain_data():
    text = json.dumps(dataclasses.asdict(verified(small())))
    assert '"rewritten: folded: batch_norm into conv2d"' in text


def test_folded_batch_normalization_is_rewritten_and_the_rest_is_as_it_was():
    found = verified(small())
    for precision, kept in (("fp32", "same"), ("fp16", "nearest fp16")):
        fate = became(found, precision)
        for key in [("layer 'first'", "weight"), ("layer 'first'", "bias"),
                    ("layer 'norm'", "weight"), ("layer 'norm'", "running_var")]:  # fmt: skip
            assert fate[key] == "rewritten: folded: batch_norm into conv2d"
        assert fate["layer 'second'", "weight"] == fate["layer 'second'", "bias"] == kept
    assert set(layers(found).fused) == {"first"}
    assert [kind for _, kind in layers(found).carried["norm"] if kind != "cast"] == ["conv"]
    assert [kind for _, kind in layers(found).carried["relu"]] == ["relu"]


def test_weights_have_their_hash_and_shape():
    rows = {(w.layer, w.name): w for w in verified(small()).weights}
    weight = rows["layer 'second'", "weight"]
    assert weight.shape == (4, 4, 3, 3)
    assert weight.sha256 == hashlib.sha256(SECOND.astype("<f4").tobytes()).hexdigest()
    assert len(rows) == 8


def test_errors_are_those_of_numpy():
    """The fp16 program against numpy's float64, on inputs that are made here again."""
    spec = Net(1, 2, 3, 4).conv("out", np.float32([[[[1 / 3]], [[3.0]]]])).spec
    rows = {(r.inputs, r.variant): r for r in verified(spec).comparisons}
    random = np.random.RandomState(0).randint(-8, 9, (1, 2, 3, 4)).astype(np.float64)
    weight = np.float32([1 / 3, 3.0]).astype(np.float64)
    exact = np.einsum("c,nchw->hw", weight, random)
    half = weight.astype(np.float16).astype(np.float64)
    error = np.abs(np.einsum("c,nchw->hw", half, random).astype(np.float16) - exact)
    row = rows["integers", "ML Program fp16"]
    assert row.largest == pytest.approx(error.max(), rel=1e-6)
    assert row.rmse == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)
    assert rows["integers", "torch float32"].largest < 1e-5


def test_progress_and_seeds():
    class Told:
        texts: list[str] = []  # noqa: RUF012

        def step(self, text):
            self.texts.append(text)

    found = verified(small(), ["fp16"], seeds=(1, 2), progress=Told())
    assert {row.inputs for row in found.comparisons} >= {"normal, seed 1", "integers, seed 2"}
    assert len(Told.texts) == 3
    assert any("fp16 ML Program" in text for text in Told.texts)
    assert {row.variant for row in found.comparisons} == {"torch float32", "ML Program fp16"}


def test_without_programs_the_module_alone_is_compared():
    found = verify(migrate.to_torch(small()), {})
    assert {row.variant for row in found.comparisons} == {"torch float32"}
    assert found.maps == {}
    assert {w.name: w.became for w in found.weights}["weight"] == {}


def test_several_programs_of_a_precision_have_names():
    """Of programs for three systems, one of which lost a layer, that one is named."""
    spec = Net(1, 3, 6, 6).relu("relu").conv("out", KERNEL, BIAS).spec
    net = migrate.to_torch(spec)
    made = {t: convert(net, spec, Options("fp16", t), "").program for t in ("iOS15", "iOS17")}
    lost = changed_program(spec, lambda main: drop(main, operation(main, "relu")), "fp16")
    found = verify(net, made | {"lost": lost})
    assert found.errors == {"lost": ("layer 'relu' is lost",)}
    assert set(found.maps) == {"iOS15", "iOS17", "lost"}
    assert found.maps["iOS17"].carried["relu"][-1][1] == "relu"
    weight = next(w for w in found.weights if w.name == "weight")
    assert weight.became == dict.fromkeys(found.maps, "nearest fp16")
    variants = {row.variant for row in found.comparisons}
    assert variants == {"torch float32", *(f"ML Program {name}" for name in found.maps)}


def test_another_kind_is_refused():
    net = migrate.to_torch(small())
    with pytest.raises(AnereportError, match="inputs 'zeros' are not one of normal, integers"):
        verify(net, {}, kinds=["zeros"])


def test_kinds_are_chosen():
    found = verify(migrate.to_torch(small()), {}, kinds=["integers"])
    assert {row.inputs for row in found.comparisons} == {"integers"}


# --- what was tampered with


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_corrupted_weight_is_named(precision):
    found = tampered(
        small(), lambda main: replace(main, operation(main, "conv", 1), "weight", changed(7, 0.5)),
        precision,
    )  # fmt: skip
    assert len(errors(found)) == 1
    assert errors(found)[0].startswith("layer 'second': weight is not the weight of operation '")
    assert "off by up to 0.5" in errors(found)[0]
    assert errors(found)[0].endswith(f"(ML Program {precision})")
    assert became(found, precision)["layer 'second'", "weight"] == "missing"
    assert became(found, precision)["layer 'second'", "bias"] != "missing"


def test_the_least_change_of_a_weight_is_one():
    def bit(values):
        values.view(np.uint32).ravel()[3] ^= 1
        return values

    found = tampered(small(), lambda m: replace(m, operation(m, "conv", 1), "weight", bit))
    assert [error.split(" is ")[0] for error in errors(found)] == ["layer 'second': weight"]


def test_a_corrupted_folded_weight_is_named():
    found = tampered(
        small(), lambda main: replace(main, operation(main, "conv"), "bias", changed(2, 1e-4))
    )
    assert len(errors(found)) == 1
    assert "layer 'first': bias" in errors(found)[0]
    assert "layer 'norm': running_mean" in errors(found)[0]
    assert "(folded: batch_norm into conv2d)" in errors(found)[0]


def test_swapped_biases_are_both_named():
    spec = Net(1, 3, 12, 10).conv("first", KERNEL, BIAS).relu("r")
    spec = spec.conv("out", SECOND, SECOND_BIAS).spec

    def swap(main):
        first, second = operation(main, "conv"), operation(main, "conv", 1)
        one, other = first.bias.val.copy(), second.bias.val.copy()
        replace(main, first, "bias", lambda _: other)
        replace(main, second, "bias", lambda _: one)

    found = tampered(spec, swap)
    assert len(errors(found)) == 2
    assert errors(found)[0].startswith("layer 'first': bias is not the bias of operation")
    assert "it is that of layer 'out': bias" in errors(found)[0]
    assert "it is that of layer 'first': bias" in errors(found)[1]


def test_gamma_and_beta_swapped_within_a_layer():
    spec = Net(1, 4, 5, 5).norm("out", *STATISTICS).spec

    def swap(main):
        op = operation(main, "batch_norm")
        gamma, beta = op.gamma.val.copy(), op.beta.val.copy()
        replace(main, op, "gamma", lambda _: beta)
        replace(main, op, "beta", lambda _: gamma)

    assert errors(verified(spec)) == ()
    found = tampered(spec, swap)
    assert [e.split(" is ")[0] for e in errors(found)] == [
        "layer 'out': weight",
        "layer 'out': bias",
    ]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_dropped_layer_without_weights_is_named(precision):
    found = tampered(small(), lambda main: drop(main, operation(main, "relu")), precision)
    assert errors(found) == (f"layer 'relu' is lost (ML Program {precision})",)


def test_a_dropped_layer_with_weights_is_named():
    spec = Net(1, 4, 9, 9).conv("a", SECOND, SECOND_BIAS).relu("b").norm("n", *STATISTICS)
    spec = spec.relu("out").spec
    found = tampered(spec, lambda main: drop(main, operation(main, "batch_norm")))
    assert "layer 'n' is lost (ML Program fp32)" in errors(found)
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert f"layer 'n': {name} is not in it (ML Program fp32)" in errors(found)


def test_a_constant_that_is_no_weight_is_named():
    spec = Net(1, 4, 9, 9).relu("r").conv("out", SECOND, SECOND_BIAS).spec

    def add(main):
        op = operation(main, "relu")
        with main, as_a_pass():
            new = mb.add(x=op.inputs["x"], y=np.arange(81, dtype=np.float32).reshape(9, 9),
                         before_op=op)  # fmt: skip
            main.replace_uses_of_var_after_op(anchor_op=new.op, old_var=op.inputs["x"], new_var=new)

    found = tampered(spec, add)
    assert len(errors(found)) == 1
    assert "is no weight of the network" in errors(found)[0]


def test_a_package_read_from_a_file_has_its_weights_traced(tmp_path):
    """It does not say where operations come from, so weights are known by each other."""
    spec = Net(1, 3, 12, 10).conv("first", KERNEL, BIAS).relu("r")
    spec = spec.conv("out", SECOND, SECOND_BIAS).spec
    net, made = programs(spec, ["fp16"])
    path = tmp_path / "right.mlpackage"
    migrate.save(made["fp16"], path)
    found = verify(net, {"fp16": path})
    assert errors(found) == ()
    assert layers(found).carried == {}
    (file,) = path.rglob("weight.bin")
    content = file.read_bytes()
    stored = KERNEL.astype(np.float16).tobytes()
    assert content.count(stored) == 1
    broken = np.float16(KERNEL)
    broken.ravel()[5] += 1
    file.write_bytes(content.replace(stored, broken.tobytes()))
    found = verify(net, {"fp16": path})
    assert [e.split(" is ")[0] for e in errors(found)] == ["layer 'first': weight"]


# --- what float16 cannot do


def overflowing():
    """The second layer multiplies by 1,000 what the first has made hundreds."""
    net = Net(1, 2, 4, 4)
    net.conv("large", np.full((2, 2, 1, 1), 300, np.float32)).relu("r")
    net.conv("larger", np.full((2, 2, 1, 1), 1000, np.float32))
    return net.conv("out", np.full((2, 2, 1, 1), 1e-6, np.float32)).spec


def test_an_overflow_is_found_with_its_layer():
    found = verified(overflowing())
    assert errors(found) == ()
    assert (found.departs.layer, found.departs.blob) == ("larger", "larger")
    assert found.departs.ratio == np.inf
    largest = {r.layer: r.value for r in found.ranges if r.what == "overflow"}
    assert set(largest) == {"larger"}
    assert largest["larger"] > 65504
    assert any("layer 'larger' overflows float16: larger reaches" in f for f in found.findings)
    assert any(
        f.startswith("ML Program fp16, output 'out': its error is inf times")
        for f in found.findings
    )


@pytest.mark.parametrize("kept", [("larger",), ("larger", "out")])
def test_layers_that_stay_float32_do_not_overflow(kept):
    """A blob is float16 all the same if a layer reads it that is not kept."""
    spec = overflowing()
    net = migrate.to_torch(spec)
    made = {"fp16": convert(net, spec, Options("fp16", keep_fp32=kept), "").program}
    found = verify(net, made, kept=kept)
    assert errors(found) == ()
    overflows = {r.layer for r in found.ranges if r.what == "overflow"}
    if "out" in kept:
        assert found.findings == ()
        assert overflows == set()
        assert found.departs is None
    else:
        assert overflows == {"larger"}
        assert any("its error is inf times" in finding for finding in found.findings)


def test_a_weight_of_a_layer_that_stays_float32_is_not_beyond_float16():
    spec = Net(1, 2, 4, 4).conv("out", np.float32([[[[1e-3]], [[70000.0]]]])).spec
    net = migrate.to_torch(spec)
    made = {"fp16": convert(net, spec, Options("fp16", keep_fp32=("out",)), "").program}
    assert verify(net, made, kept=("out",)).findings == ()
    assert verify(net, made).findings != ()


def test_a_weight_beyond_float16_is_found():
    spec = Net(1, 2, 4, 4).conv("out", np.float32([[[[1e-3]], [[70000.0]]]])).spec
    found = verified(spec, ["fp16"])
    assert errors(found) == ()
    assert [(r.layer, r.of, r.value) for r in found.ranges if r.of == "weight"] == [
        ("out", "weight", 70000.0)
    ]


def test_a_cancellation_is_found_where_it_happens():
    """x + 1000 - 1000: float16 has half steps at 1000."""
    net = Net(1, 2, 6, 6)
    net.layer(
        "bias", "up", bias=np.full(2, 1000, np.float32) + np.float32([0.3, 0.6]), shape=[2, 1, 1]
    )
    net.relu("r").layer("bias", "down", bias=np.full(2, -1000, np.float32), shape=[2, 1, 1])
    found = verified(net.relu("out").spec)
    assert found.departs.layer == "down"
    assert np.isfinite(found.departs.ratio)
    assert "cancellation" in {r.what for r in found.ranges if r.layer == "down"}
    assert any("layer 'down' (blob 'down')" in finding for finding in found.findings)


def test_small_values_are_counted():
    spec = Net(1, 2, 6, 6).layer("scale", "tiny", scale=np.float32([1e-6]), shapeScale=[1])
    found = verified(spec.layer("scale", "out", scale=np.float32([1e-5]), shapeScale=[1]).spec)
    assert [(r.what, r.of) for r in found.ranges if r.layer == "out"] == [
        ("subnormal", "scale"), ("flushed", "out")
    ]  # fmt: skip
    assert ("tiny", "subnormal", "tiny") in {(r.layer, r.what, r.of) for r in found.ranges}


# --- rewrites, one by one


def fates(spec, **options):
    """What became of weights in the fp32 program, which must be without errors."""
    found = verified(spec, **options)
    assert errors(found) == ()
    return {(w.layer.split("'")[1], w.name): w.became["fp32"] for w in found.weights}


def test_scales_and_shifts_are_folded():
    net = Net(1, 3, 8, 8).conv("c", KERNEL)
    net.layer("scale", "s", scale=positive(4), shapeScale=[4, 1, 1])
    found = fates(net.layer("bias", "out", bias=single(4), shape=[4, 1, 1]).spec)
    assert found["c", "weight"].startswith("rewritten: folded: mul")
    assert found["s", "scale"] == found["c", "weight"]
    assert found["out", "bias"] == "same"


def transposed(groups):
    """A transposed convolution from 4 to 6 channels, and batch normalization."""
    net = Net(1, 4, 5, 5)
    net.layer("convolution", "d", outputChannels=6, kernelChannels=4, nGroups=groups,
              isDeconvolution=True, kernelSize=[2, 2], stride=[2, 2], valid=None,
              weights=single(4, 6 // groups, 2, 2))  # fmt: skip
    return net.norm("out", positive(6), single(6), single(6), positive(6)).spec


def test_a_transposed_convolution_is_folded():
    found = fates(transposed(1))
    assert set(found.values()) == {"rewritten: folded: batch_norm into conv_transpose2d"}


def test_a_transposed_convolution_with_groups_is_not_folded():
    found = fates(transposed(2))
    assert found["d", "weight"] == "same"


def test_a_convolution_folded_wrong_is_an_error(monkeypatch):
    """coremltools 9.0 gives the scales to the wrong channels, if it is let fold them."""
    monkeypatch.setattr(mlprogram, "misleading", lambda net: ())
    found = verified(transposed(2))
    assert errors(found)
    assert found.findings
    assert all("layer 'd': weight" in error for error in errors(found))


def root_of_a_square():
    return Net(9).layer("unary", "square", type=3, alpha=2.0).layer("unary", "out", type=0).spec


def test_the_root_of_a_square_is_carried():
    found = verified(root_of_a_square())
    assert errors(found) == found.findings == ()
    assert {"square", "out"} <= set(layers(found).carried)


def test_a_root_taken_for_the_number_itself_is_an_error(monkeypatch):
    """As coremltools 9.0 has it, which is wrong below 0."""
    wrong = tuple(name for name in passes.FAULTY if "sqrt" not in name)
    monkeypatch.setattr(passes, "FAULTY", wrong)
    found = verified(root_of_a_square())
    assert errors(found)
    assert found.findings
    assert all("layer 'square' is lost" in e or "layer 'out' is lost" in e for e in errors(found))


def test_a_number_that_is_part_of_an_operation():
    """A sum divided by the number of values is one operation, the mean."""
    net = Net(3, 5)
    net.layer("reduceSum", "sum", axes=[1], keepDims=True)
    net.layer("loadConstantND", "five", "", shape=[1], data=np.float32([5]))
    found = fates(net.layer("divideBroadcastable", "out", "sum five").spec)
    assert found["five", "value"].startswith("rewritten: part of operation '")
    assert found["five", "value"].endswith("(reduce_mean)")


def test_a_scale_that_float16_has_no_digits_for_may_be_left_out():
    spec = Net(1, 2, 4, 4).layer("scale", "s", scale=np.float32([1.00001]), shapeScale=[1])
    found = verified(spec.relu("out").spec)
    assert errors(found) == ()
    fate = {w.layer: w.became for w in found.weights if w.name == "scale"}["layer 's'"]
    assert fate == {"fp32": "same", "fp16": "left out: nothing but zeros or ones"}


@pytest.mark.parametrize("both", [False, True])
def test_recurrent_weights_have_their_gates_in_order(both):
    size, kind = 4, "biDirectionalLSTM" if both else "uniDirectionalLSTM"
    spec = Net(6, 1, 3, 1, 1).layer(kind, "out", inputVectorSize=3, outputVectorSize=size).spec
    p = getattr(spec.neuralNetwork.layers[0], kind)
    p.params.sequenceOutput = p.params.hasBiasVectors = True
    names = ["activationsForwardLSTM", "activationsBackwardLSTM"] if both else ["activations"]
    for name in names:
        for activation in ("sigmoid", "tanh", "tanh"):
            getattr(getattr(p, name).add(), activation).SetInParent()
    for weights in [p.weightParams.add(), p.weightParams.add()] if both else [p.weightParams]:
        for gate in ("inputGate", "forgetGate", "blockInput", "outputGate"):
            getattr(weights, f"{gate}WeightMatrix").floatValue.extend(single(size * 3))
            getattr(weights, f"{gate}RecursionMatrix").floatValue.extend(single(size * size))
            getattr(weights, f"{gate}BiasVector").floatValue.extend(single(size))
    found = fates(spec)
    assert len(found) == 4 * (1 + both)
    assert set(found.values()) == {"rewritten: the gates in MIL's order"}

    def shuffled(main):
        op = operation(main, "lstm")
        replace(main, op, "weight_hh", lambda x: x[::-1])

    found = errors(tampered(spec, shuffled))
    assert len(found) == 1
    assert "layer 'out': lstm.weight_hh_l0" in found[0]


def test_what_is_computed_from_constants():
    """sqrt(a) + b is a constant of the program; it stands for two layers with weights."""
    net = Net(1, 2, 4, 5)
    a, b = positive(4, 5), single(4, 5)
    net.layer("loadConstantND", "a", "", shape=[4, 5], data=a)
    net.layer("unary", "root", "a", type=0)
    net.layer("loadConstantND", "b", "", shape=[4, 5], data=b)
    net.layer("addBroadcastable", "sum", "root b")
    found = verified(net.layer("multiplyBroadcastable", "out", "in sum").spec)
    assert errors(found) == ()
    fate = {w.layer: w.became["fp32"] for w in found.weights}
    assert fate["layer 'a'"] == fate["layer 'b'"]
    assert fate["layer 'a'"].startswith("rewritten: computed: ")
    assert layers(found).fused["sum"] == "computed in the conversion: the same for each input"


def test_constants_that_are_outputs():
    """One as it is stored, and one that is computed of it."""
    net = Net(2, outputs=("out", "root", "stored"))
    net.layer("loadConstantND", "stored", "", shape=[20], data=positive(20))
    net.layer("unary", "root", "stored", type=0)
    spec = net.relu("out", inputs="in").spec
    assert fates(spec) == {("stored", "value"): "same"}
    found = verified(spec)
    assert errors(found) == found.findings == ()


def test_equal_layers_are_merged():
    net = Net(1, 3, 12, 10, outputs=("out", "other"))
    net.conv("out", KERNEL, BIAS, inputs="in")
    found = verified(net.conv("other", KERNEL, BIAS, inputs="in").spec)
    assert errors(found) == ()
    fate = {(w.layer, w.name): w.became["fp32"] for w in found.weights}
    assert fate["layer 'out'", "weight"] == "same"
    assert fate["layer 'other'", "weight"] == "merged with layer 'out': weight"
    assert layers(found).fused == {"other": "fused or removed: what comes behind it is the same"}


def test_indices_are_traced_as_whole_numbers():
    net = Net(4, 3)
    net.layer("loadConstantND", "rows", "", shape=[2], data=np.float32([2, -1]))
    found = fates(net.layer("gather", "out", "in rows", axis=0).spec)
    assert found["rows", "value"] == "rewritten: as whole numbers"


def test_compressed_weights():
    spec = Net(1, 40, 6, 6).conv("out", single(64, 40, 1, 1)).spec
    weights = spec.neuralNetwork.layers[0].convolution.weights
    del weights.floatValue[:]
    weights.rawValue = RNG.randint(0, 256, 2560).astype(np.uint8).tobytes()
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.append(0.01)
    weights.quantization.linearQuantization.bias.append(-1.28)
    found = verified(spec)
    assert errors(found) == ()
    assert {w.became[p] for w in found.weights for p in ("fp32", "fp16")} == {"compressed"}


def test_what_no_output_depends_on_is_not_missed():
    net = Net(1, 3, 8, 8).conv("unused", KERNEL, BIAS)
    found = verified(net.relu("out", inputs="in").spec)
    assert errors(found) == ()
    assert layers(found).fused == {"unused": "no output depends on it"}
    assert {w.became["fp16"] for w in found.weights} == {"no output depends on it"}


# --- models of other kinds


def test_random_layers_are_not_compared():
    net = Net(3, 4)
    net.layer("randomNormalStatic", "noise", "", outputShape=[3, 4], stdDev=1.0)
    found = verified(net.layer("addBroadcastable", "out", "in noise").spec, ["fp16"])
    assert errors(found) == ()
    assert [row for row in found.comparisons if row.variant.startswith("ML Program")] == []
    assert "not compared: layer 'noise' (randomNormalStatic) draws random numbers" in str(
        found.not_compared
    )


def test_inputs_that_fit_are_found():
    """Indices out of range are refused by the layer; a row of examples has some that are not."""
    net = Net(2, inputs=("index",))
    net.layer("loadConstantND", "table", "", shape=[3, 5], data=single(3, 5))
    net.layer("gather", "out", "table index")
    found = verified(net.spec)
    assert errors(found) == ()
    assert any("not compared on integers inputs: layer 'out'" in why for why in found.not_compared)
    assert "integers" not in {row.inputs for row in found.comparisons}
    assert all(row.within for row in found.comparisons)
    assert found.comparisons


def test_an_example_that_fits_stands_in_where_no_kind_does():
    """A shape of as many elements as the blob is not drawn by chance."""
    net = Net(2, inputs=("shape", "x"))
    del net.spec.description.input[1].type.multiArrayType.shape[:]
    net.spec.description.input[1].type.multiArrayType.shape.extend([5, 7])
    found = verified(net.layer("reshapeDynamic", "out", "x shape").spec, ["fp32"])
    assert {row.inputs for row in found.comparisons} == {"an example that fits"}
    assert len(found.not_compared) == 3


def test_a_classifier_of_images():
    spec = Net(1, 3, 6, 6).conv("c", single(4, 3, 6, 6) / 50, BIAS).layer("softmax", "out").spec
    image = proto("FeatureTypes_pb2").ImageFeatureType(width=6, height=6, colorSpace=30)
    spec.description.input[0].type.imageType.CopyFrom(image)
    network = spec.neuralNetwork
    spec.neuralNetworkClassifier.layers.extend(network.layers)
    spec.neuralNetworkClassifier.arrayInputShapeMapping = 1
    spec.neuralNetworkClassifier.imageInputShapeMapping = 1
    spec.neuralNetworkClassifier.stringClassLabels.vector.extend("abcd")
    scaler = spec.neuralNetworkClassifier.preprocessing.add().scaler
    scaler.channelScale, scaler.blueBias, scaler.greenBias, scaler.redBias = 1 / 64, -1, -2, -3
    spec.description.predictedFeatureName = "label"
    spec.description.output[0].type.dictionaryType.stringKeyType.SetInParent()
    spec.description.output.add(name="label").type.stringType.SetInParent()
    found = verified(spec)
    assert errors(found) == found.findings == ()
    assert {(row.output, row.within) for row in found.comparisons} == {("out", True)}
    fate = {(w.layer, w.name): w.became["fp32"] for w in found.weights}
    assert fate["the preprocessing of 'in'", "preprocess.0.bias"] == "same"


def test_branches_and_loops():
    net = Net(1, inputs=("in", "other"))
    network = net.spec.neuralNetwork
    branch = network.layers.add(name="branch", input=["in"]).branch
    for block, value in ((branch.ifBranch, 0.25), (branch.elseBranch, 0.75)):
        layer = block.layers.add(name=f"c{value}", output=["c"]).loadConstantND
        layer.shape.append(1)
        layer.data.floatValue.append(value)
        adds = block.layers.add(name=f"add{value}", input=["other", "c"], output=["z"])
        adds.addBroadcastable.SetInParent()
    net.relu("out", inputs="z")
    found = verified(net.spec)
    assert errors(found) == ()
    assert {w.became["fp32"] for w in found.weights} == {"same"}


def test_a_pipeline_names_the_stage():
    first = Net(1, 3, 12, 10, outputs=("mid",)).conv("mid", KERNEL, BIAS).spec
    second = Net(1, 4, 10, 8, inputs=("mid",)).conv("out", SECOND, SECOND_BIAS).spec
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.description.input.add().CopyFrom(first.description.input[0])
    spec.description.output.add().CopyFrom(second.description.output[0])
    spec.pipeline.models.extend([first, second])
    found = verified(spec)
    assert errors(found) == found.findings == ()
    found = tampered(spec, lambda m: replace(m, operation(m, "conv", 1), "bias", changed(0, 1)))
    assert [e.split(" is ")[0] for e in errors(found)] == ["layer 'out' of stage 2: bias"]


def test_the_module_is_left_as_it_was():
    net, made = programs(small())
    before = {name: x.clone() for name, x in net.state_dict().items()}
    x = torch.from_numpy(single(1, 3, 12, 10))
    expected = net(x)
    verify(net, made)
    assert torch.equal(net(x), expected)
    assert all(torch.equal(x, before[name]) for name, x in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
