"""Every rule: a network that it is about, and one as near to that as can be that it is not."""

from __future__ import annotations

import numpy as np
import pytest
from networks import network

import migrate
from migrate.linting import rules
from migrate.linting.registry import rule

SHAPE = {"x": (1, 4, 8, 8)}
CASES = {}


def case(name, positive, negative, where=None):
    """Two functions that give specs, and where the rule says it is in the first."""
    assert name not in CASES
    CASES[name] = positive, negative, where


def found(model, name, custom=None):
    return [f for f in migrate.lint(model, custom) if f.rule == name]


def conv(outside=4, inside=4, kernel=(1, 1), groups=1, bias=False, value=0.5, pad=0, **fields):
    """A row of a convolution that reads x and writes c; `pad` is on all sides."""

    def fill(p):
        p.outputChannels, p.kernelChannels, p.nGroups, p.hasBias = outside, inside, groups, bias
        p.kernelSize.extend(kernel)
        p.weights.floatValue.extend([value] * (outside * inside * kernel[0] * kernel[1]))
        if bias:
            p.bias.floatValue.extend([1.0] * outside)
        p.valid.SetInParent()
        for _ in (0, 1) if pad else ():
            p.valid.paddingAmounts.borderAmounts.add(startEdgeSize=pad, endEdgeSize=pad)
        for field, values in fields.items():
            getattr(p, field).extend(values)

    return fill


def edited(spec, **fills):
    """The spec, with the parameters of layers by name filled in by functions."""
    for layer in spec.neuralNetwork.layers:
        if layer.name in fills:
            fills[layer.name](getattr(layer, layer.WhichOneof("layer")))
    return spec


def one(kind, fill=None, shape=(1, 4, 8, 8), **fields):
    """A network of one layer y that reads x."""
    spec = network({"x": shape}, ["y"], (kind, "x", "y", fields))
    return edited(spec, y=fill) if fill else spec


def two(first, second, fill=None, then=None, shape=(1, 4, 8, 8)):
    """A layer c behind x, and a layer y behind that; each a kind, and what fills it."""
    spec = network({"x": shape}, ["y"], (first, "x", "c", {}), (second, "c", "y", {}))
    return edited(spec, **{k: f for k, f in (("c", fill), ("y", then)) if f})


def relu(p):
    p.ReLU.SetInParent()


def declared(spec, *shape, dtype=None):
    array = spec.description.output[0].type.multiArrayType
    array.shape.extend(shape)
    if dtype:
        array.dataType = dtype
    return spec


def plain():
    return one("activation", relu)


def version(number):
    spec = plain()
    spec.specificationVersion = number
    return spec


def legacy(number):
    """ReLU of [C, H, W], as networks before specification 4 are."""
    spec = plain()
    spec.neuralNetwork.arrayInputShapeMapping = 0
    spec.specificationVersion = number
    del spec.description.input[0].type.multiArrayType.shape[:1]
    return spec


# --- interface

case("declared-shape", lambda: declared(plain(), 1, 5, 8, 8), lambda: declared(plain(), 1, 4, 8, 8),
     "output 'y'")  # fmt: skip
case("old-specification", lambda: legacy(3), lambda: version(4), "the model")


def renamed():
    spec = plain()
    spec.description.output[0].name = "other"
    return spec


case("output-unwritten", renamed, plain, "output 'other'")


def rank_two(rank5):
    spec = plain()
    spec.neuralNetwork.arrayInputShapeMapping = 0 if rank5 else 1
    del spec.description.input[0].type.multiArrayType.shape[:2]
    return spec


case("feature-unfit", lambda: rank_two(True), lambda: rank_two(False), "input 'x'")


def classifier(count):
    spec = migrate.proto("Model_pb2").Model(specificationVersion=1)
    array = spec.description.input.add(name="x").type.multiArrayType
    array.shape.append(3)
    array.dataType = array.FLOAT32
    spec.description.output.add(name="p").type.dictionaryType.stringKeyType.SetInParent()
    spec.description.output.add(name="label").type.stringType.SetInParent()
    spec.description.predictedFeatureName = "label"
    spec.description.predictedProbabilitiesName = "p"
    net = spec.neuralNetworkClassifier
    net.stringClassLabels.vector.extend("abcdefg"[:count])
    net.labelProbabilityLayerName = "s"
    net.layers.add(name="s", input=["x"], output=["s"]).softmax.SetInParent()
    return spec


case("label-count", lambda: classifier(4), lambda: classifier(3), "output 'p'")


def cast(dtype=65568, kind="transpose"):
    spec = declared(one("transpose", axes=[0, 2, 3, 1]), dtype=dtype)
    if kind != "transpose":
        spec = one("activation", relu)
    return spec


case("trailing-cast", cast, lambda: cast(dtype=65552), "output 'y'")
case("batched-input", lambda: one("activation", relu, (2, 4, 8, 8)), plain, "input 'x'")


def flexible(*shapes, low=1, high=None):
    spec = plain()
    array = spec.description.input[0].type.multiArrayType
    for shape in shapes:
        array.enumeratedShapes.shapes.add().shape.extend(shape)
    if high:
        for size in (1, 4, 8):
            array.shapeRange.sizeRanges.add(lowerBound=size, upperBound=size)
        array.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    return spec


case("enumerated-shapes", lambda: flexible((1, 4, 8, 8), (1, 4, 16, 8)), plain, "input 'x'")
case("range-of-shapes", lambda: flexible(low=8, high=-1), lambda: flexible(low=8, high=8),
     "input 'x'")  # fmt: skip
case("padded-rows", plain, lambda: one("activation", relu, (1, 4, 8, 64)), "output 'y'")

# --- dataflow


def chain(*rows, shapes=SHAPE, outputs=("y",)):
    return network(shapes, list(outputs), *rows)


def rewritten(*inputs):
    """Layers of the names a, b, ... whose blobs are all called t; the output reads t."""
    rows = [("tanh", name, "ab"[i], {}) for i, name in enumerate(inputs)]
    spec = chain(*rows, ("tanh", "t", "y", {}))
    for layer in spec.neuralNetwork.layers[:-1]:
        layer.output[:] = ["t"]
    return spec


case("blob-unwritten", lambda: chain(("tanh", "z", "y", {})), lambda: chain(("tanh", "x", "y", {})),
     "layer 'y'")  # fmt: skip
case("blob-lost", lambda: rewritten("x", "x"), lambda: rewritten("x", "t"), "layer 'b'")
case("blob-rewritten", lambda: rewritten("x", "t"), lambda: rewritten("x"), "layer 'b'")
case("unused-layer", lambda: chain(("tanh", "x", "a", {}), ("tanh", "x", "y", {})),
     lambda: chain(("tanh", "x", "a", {}), ("tanh", "a", "y", {})), "layer 'a'")  # fmt: skip


def named(name):
    spec = chain(("tanh", "x", "a", {}), ("tanh", "a", "y", {}))
    spec.neuralNetwork.layers[1].name = name
    return spec


case("same-name", lambda: named("a"), lambda: named("b"), "layer 'a'")

# --- layers


def too_long(field):
    spec = one("convolution", conv(bias=True))
    getattr(spec.neuralNetwork.layers[0].convolution, field).floatValue.append(0.0)
    return spec


case("weights-length", lambda: too_long("weights"), lambda: one("convolution", conv(bias=True)),
     "layer 'y'")  # fmt: skip
case("layer-parameters", lambda: one("transpose", axes=[0, 0, 1, 2]),
     lambda: one("transpose", axes=[0, 3, 1, 2]), "layer 'y'")  # fmt: skip
case("layer-inputs", lambda: one("convolution", conv(inside=5)),
     lambda: one("convolution", conv(inside=4)), "layer 'y'")  # fmt: skip


def custom(name="Own"):
    def fill(p):
        p.className = name

    return one("custom", fill)


case("not-checked", custom, plain, "layer 'y'")


def idle_bias(used):
    def fill(p):
        conv(bias=True)(p)
        p.hasBias = used

    return one("convolution", fill)


case("unused-bias", lambda: idle_bias(False), lambda: idle_bias(True), "layer 'y'")


def dense(dynamic=False, shape=(4,)):
    def fill(p):
        p.inputChannels = p.outputChannels = 4
        if dynamic:
            p.int8DynamicQuantize = True
            p.weights.int8RawValue = bytes(range(16))
            p.weights.quantization.numberOfBits = 8
            p.weights.quantization.linearQuantization.scale.append(0.1)
        else:
            p.weights.floatValue.extend([0.5] * 16)

    return one("innerProduct", fill, shape)


case("dynamic-quantised", lambda: dense(True), dense, "layer 'y'")

# --- shapes

case("last-axis-1", lambda: one("activation", relu, (1, 4, 8, 1)),
     lambda: one("activation", relu, (1, 4, 1, 1)), "layer 'y'")  # fmt: skip
case("narrow-last-axis", lambda: one("activation", relu, (1, 4, 8, 31)),
     lambda: one("activation", relu, (1, 4, 8, 32)), "layer 'y'")  # fmt: skip

# --- patterns


def joined(groups, inside, kind="concatND", **fields):
    shapes = {"x": (1, 2, 8, 8), "w": (1, 2, 8, 8)}
    fields = fields or ({"axis": -3} if kind == "concatND" else {})
    spec = network(shapes, ["y"], (kind, "x w", "c", fields), ("convolution", "c", "y", {}))
    return edited(spec, y=conv(inside=inside, groups=groups))


case("concat-depthwise", lambda: joined(4, 1), lambda: joined(2, 2), "layer 'y'")


def shuffle(mode=2, bias=True, channels=4):
    def fill(p):
        p.mode, p.blockSize = mode, 2

    return two("convolution", "reorganizeData", conv(channels, 4, bias=bias), fill)


case("biased-pixel-shuffle", shuffle, lambda: shuffle(bias=False), "layer 'y'")
case("wide-pixel-shuffle", lambda: shuffle(channels=260), lambda: shuffle(channels=256),
     "layer 'y'")  # fmt: skip


def mean(size, exclude=False, pad=1, kind=1):
    def fill(p):
        p.type, p.avgPoolExcludePadding = kind, exclude
        p.kernelSize.extend([size, size])
        p.stride.extend([1, 1])
        p.valid.SetInParent()
        for _ in (0, 1) if pad else ():
            p.valid.paddingAmounts.borderAmounts.add(startEdgeSize=pad, endEdgeSize=pad)

    return one("pooling", fill)


case("padded-average", lambda: mean(7), lambda: mean(3), "layer 'y'")
case("uneven-kernel", lambda: one("convolution", conv(kernel=(3, 2), pad=1, stride=(2, 2))),
     lambda: one("convolution", conv(kernel=(3, 2), pad=1, stride=(1, 1))),
     "layer 'y'")  # fmt: skip


def leaky(p):
    p.leakyReLU.alpha = 0.1


case("leaky-relu", lambda: two("convolution", "activation", conv(), leaky),
     lambda: two("convolution", "activation", conv(), relu), "layer 'y'")  # fmt: skip
case("flat-product", lambda: dense(shape=(3, 4)), lambda: dense(shape=(1, 3, 4)), "layer 'y'")

# --- indices


def gathered(kind="gather", index=(0,), computed=False, **fields):
    def fill(p):
        p.shape.extend([len(index)])
        p.data.floatValue.extend(index)

    source = ("activation", "w", "i", {}) if computed else ("loadConstantND", "", "i", {})
    shapes = {"x": (4, 8), "w": (1,)} if computed else {"x": (4, 8)}
    spec = network(shapes, ["y"], source, (kind, "x i", "y", fields))
    return edited(spec, i=relu if computed else fill)


case("negative-index", lambda: gathered(index=(2, -1)), lambda: gathered(index=(2, 3)),
     "layer 'y'")  # fmt: skip
case("computed-index", lambda: gathered("gatherND", computed=True),
     lambda: gathered("gatherND", index=(1,)), "layer 'y'")  # fmt: skip
case("ends-in-argmax",
     lambda: chain(("argMax", "x", "a", {"axis": 1, "removeDim": True}),
                   ("expandDims", "a", "y", {"axes": [0]})),
     lambda: chain(("argMax", "x", "a", {"axis": 1}), ("tanh", "a", "y", {})),
     "output 'y'")  # fmt: skip


def head(which):
    spec = network(
        {"x": (8,)}, ["y"], ("topK", "x", "t", {"axis": 0, "K": 2}), ("gather", "x i", "y", {})
    )
    spec.neuralNetwork.layers[0].output[:] = ["t", "i"]
    spec.neuralNetwork.layers[1].input[1] = which
    return spec


def of_values():
    """The gather reads from what topK gives, at an index that is stored."""

    def fill(p):
        p.shape.append(1)
        p.data.floatValue.append(1)

    spec = network(
        {"x": (8,)}, ["y"], ("topK", "x", "t", {"axis": 0, "K": 2}),
        ("loadConstantND", "", "c", {}), ("gather", "t c", "y", {}),
    )  # fmt: skip
    spec.neuralNetwork.layers[0].output[:] = ["t", "i"]
    return edited(spec, c=fill)


case("top-k-gather", lambda: head("i"), of_values, "layer 'y'")

# --- numbers


def weighted(*values):
    def fill(p):
        conv(1, 1)(p)
        p.outputChannels = len(values)
        p.weights.floatValue[:] = values

    return one("convolution", fill, (1, 1, 8, 8))


NAN = float("nan")
case("not-finite", lambda: weighted(1, NAN, float("inf")), lambda: weighted(1, 2, 3), "layer 'y'")
case("float16-overflow", lambda: weighted(65520, 1), lambda: weighted(65519, 1), "layer 'y'")
case("float16-flushed", lambda: weighted(1e-8, 1, 1, 1), lambda: weighted(0, 1, 1, 1), "layer 'y'")
case("float16-subnormal", lambda: weighted(1e-5, 1, 1, 1), lambda: weighted(1e-4, 1, 1, 1),
     "layer 'y'")  # fmt: skip


def norm(epsilon):
    return one("l2normalize", epsilon=epsilon)


case("lost-epsilon", lambda: norm(1e-8), lambda: norm(1e-4), "layer 'y'")
case("subnormal-epsilon", lambda: norm(1e-6), lambda: norm(1e-4), "layer 'y'")

# --- exponentials


def softplus(p):
    p.softplus.SetInParent()


def tanh(p):
    p.tanh.SetInParent()


def unary(**fields):
    return lambda p: [setattr(p, field, value) for field, value in fields.items()]


INVERSE, EXP, LOG, ABS, THRESHOLD = 2, 4, 5, 6, 7

case("softplus", lambda: one("activation", softplus),
     lambda: two("tanh", "activation", None, softplus), "layer 'y'")  # fmt: skip
case("log-sum-exp", lambda: one("reduceLogSumExp", axes=[1], keepDims=True),
     lambda: one("reduceLogSum", axes=[1], keepDims=True), "layer 'y'")  # fmt: skip
case("log-of-softmax", lambda: two("softmaxND", "unary", None, unary(type=LOG)),
     lambda: two("softmaxND", "unary", None, unary(type=LOG, shift=1e-3)),
     "layer 'y'")  # fmt: skip


def shifted(subtrahend):
    """exp(x - the largest of x), or of something else."""
    return chain(
        ("reduceMax", subtrahend, "m", {"axes": [1], "keepDims": True}),
        ("subtractBroadcastable", "x m", "d", {}),
        ("unary", "d", "y", {"type": EXP}),
        shapes={"x": (1, 4), "w": (1, 4)},
    )


case("unstable-exp", lambda: shifted("w"), lambda: shifted("x"), "layer 'y'")

# --- placement

case("off-engine", lambda: one("convolution", conv(kernel=(3, 3), dilationFactor=(1, 2))),
     lambda: one("convolution", conv(kernel=(3, 3))), "layer 'y'")  # fmt: skip
case("any-rank-layer", lambda: joined(2, 2), lambda: joined(2, 2, "concat"), "layer 'c'")


def test_every_rule_has_a_case_of_each_kind():
    assert set(CASES) == set(rules())


@pytest.mark.parametrize("name", CASES)
def test_a_rule_finds_what_it_is_about(name):
    positive, _, where = CASES[name]
    findings = found(positive(), name)
    assert [f.where for f in findings] == [where]
    known = rules()[name]
    assert (findings[0].severity, findings[0].source) == (known.severity, known.source)
    assert findings[0].reason
    assert not findings[0].reason.endswith(".")


@pytest.mark.parametrize("name", CASES)
def test_a_rule_is_silent_where_it_does_not_apply(name):
    assert found(CASES[name][1](), name) == []


@pytest.mark.parametrize("name", CASES)
def test_negatives_are_networks_without_an_error(name):
    assert [f for f in migrate.lint(CASES[name][1]()) if f.severity == "error"] == []


def test_every_rule_says_in_a_line_what_it_finds_and_who_reported_it():
    for name, known in rules().items():
        assert known.check.__doc__.startswith("Find "), name
        assert known.source == "no report known" or known.source.startswith("https://"), name


def test_no_rule_is_registered_twice_or_with_a_severity_or_source_of_its_own():
    check = rules()["softplus"].check
    with pytest.raises(ValueError, match="two rules 'softplus'"):
        rule("softplus", severity="info")(check)
    with pytest.raises(ValueError, match="'fatal' is none of error, warning, info"):
        rule("new", severity="fatal")
    with pytest.raises(ValueError, match="'a friend' is no address"):
        rule("new", severity="info", source="a friend")
    assert "new" not in rules()


def test_reasons_name_the_numbers():
    (overflow,) = found(weighted(1, -1e6), "float16-overflow")
    assert "weight reaches 1e+06" in overflow.reason
    (lost,) = found(weighted(1, NAN, float("inf")), "not-finite")
    assert lost.reason == "2 of 3 values of weight are not finite"
    (flushed,) = found(weighted(1e-8, 1, 1, 1), "float16-flushed")
    assert flushed.reason == "25% of the values of weight are zero in float16"
    (length,) = found(too_long("bias"), "weights-length")
    assert length.reason == "bias holds 5 values, expected 4 for shape 4"


@pytest.mark.parametrize(
    ("kind", "fields", "largest"),
    [
        ("add", {"alpha": -1e9}, "alpha reaches 1e+09"),
        ("multiply", {"alpha": 7e4}, "alpha reaches 70,000"),
        ("add", {"alpha": 65519}, None),
    ],
)
def test_scalars_beyond_float16(kind, fields, largest):
    findings = found(one(kind, **fields), "float16-overflow")
    assert [f.reason.startswith(largest) for f in findings] == [True] * bool(largest)


def test_a_constant_beyond_float16_is_found_where_it_arises():
    spec = chain(
        ("fillStatic", "", "m", {"value": -1e9, "targetShape": [2, 2]}),
        ("transpose", "m", "n", {"axes": [1, 0]}),
        ("addBroadcastable", "x n", "y", {}),
        shapes={"x": (2, 2)},
    )
    assert [f.where for f in found(spec, "float16-overflow")] == ["layer 'm'"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("unary", "x", "c", {"type": ABS}), ("unary", "c", "y", {"type": EXP})], True),
        (
            [
                ("unary", "x", "c", {"type": ABS}),
                ("unary", "c", "y", {"type": EXP, "scale": -1.0}),
            ],
            False,
        ),
        (
            [
                ("unary", "x", "c", {"type": ABS}),
                ("unary", "c", "y", {"type": EXP, "scale": -1.0, "shift": 11.0}),
            ],
            True,
        ),
        ([("clip", "x", "c", {"minVal": -5, "maxVal": 10}), ("unary", "c", "y", {"type": EXP})],
         False),
        ([("clip", "x", "c", {"minVal": -5, "maxVal": 11}), ("unary", "c", "y", {"type": EXP})],
         True),
        ([("multiply", "x", "c", {"alpha": 2.0}), ("unary", "c", "y", {"type": EXP})], True),
        ([("tanh", "x", "c", {}), ("multiply", "c", "d", {"alpha": -20.0}),
          ("unary", "d", "y", {"type": EXP})], True),
        ([("tanh", "x", "c", {}), ("multiply", "c", "d", {"alpha": -10.0}),
          ("unary", "d", "y", {"type": EXP})], False),
        ([("tanh", "x", "c", {}), ("add", "c", "d", {"alpha": 10.0}),
          ("unary", "d", "y", {"type": EXP})], True),
        ([("clip", "x", "c", {"minVal": 0, "maxVal": 14}), ("exp2", "c", "y", {})], False),
        ([("clip", "x", "c", {"minVal": 0, "maxVal": 16}), ("exp2", "c", "y", {})], True),
        ([("unary", "x", "c", {"type": THRESHOLD, "alpha": -1.0}),
          ("unary", "c", "y", {"type": EXP, "scale": -9.0})], False),
        ([("tanh", "x", "c", {}), ("transpose", "c", "d", {"axes": [0, 2, 3, 1]}),
          ("unary", "d", "y", {"type": EXP})], False),
        ([("unary", "x", "y", {"type": INVERSE})], False),
    ],
)  # fmt: skip
def test_an_exponential_is_safe_where_layers_limit_what_it_is_given(rows, told):
    assert bool(found(chain(*rows), "unstable-exp")) is told


def test_limits_of_exponentials_hold_in_numpy():
    from migrate.linting.of_exponentials import CLIFF

    assert np.isclose(np.exp(CLIFF), 2**15)
    assert np.isfinite(np.float16(np.exp(CLIFF)))
    with np.errstate(over="ignore"):
        assert np.isinf(np.float32(np.exp(11.1)).astype(np.float16))


@pytest.mark.parametrize(
    ("kind", "axis", "told"),
    [
        ("concatND", 1, True),
        ("concatND", -3, True),
        ("concatND", -2, False),
        ("concatND", 0, False),
    ],
)
def test_only_a_concatenation_of_channels_is_meant(kind, axis, told):
    inside, groups = (1, 4) if axis in (1, -3) else (1, 2)
    assert bool(found(joined(groups, inside, kind, axis=axis), "concat-depthwise")) is told


def test_an_old_concat_is_meant_but_not_one_of_sequences():
    assert found(joined(4, 1, "concat"), "concat-depthwise")
    assert not found(joined(4, 1, "concat", sequenceConcat=True), "concat-depthwise")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (lambda: mean(7, exclude=True), False),
        (lambda: mean(7, pad=0), False),
        (lambda: mean(7, kind=0), False),
        (lambda: mean(5, pad=2), True),
    ],
)
def test_only_means_that_count_padding_are_meant(spec, told):
    assert bool(found(spec(), "padded-average")) is told


@pytest.mark.parametrize("mode", [0, 1])
def test_only_shuffles_into_pixels_are_meant(mode):
    assert bool(found(shuffle(mode), "biased-pixel-shuffle")) is (mode == 1)


@pytest.mark.parametrize("kind", ["gru", "custom", "gatherAlongAxis"])
def test_kinds_that_are_listed_as_off_the_engine(kind):
    spec = network({"x": (3, 1, 4, 1, 1)}, ["y"], (kind, "x", "y", {}))
    (finding,) = found(spec, "off-engine")
    assert "listed" in finding.reason
    assert finding.severity == "info"


def test_the_source_of_indices_is_named():
    (finding,) = found(head("i"), "top-k-gather")
    assert "layer 't' (topK)" in finding.reason
