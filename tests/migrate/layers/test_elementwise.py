"""Arithmetic and reductions of the first specification: against numpy, in both mappings."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences

import migrate
from migrate.coreml import proto
from migrate.errors import ModelError

RNG = np.random.default_rng(1)
A, B, C = (RNG.normal(size=(2, 3, 4, 5)) for _ in range(3))
COMBINED = {
    "add": lambda *xs: sum(xs[1:], xs[0]),
    "multiply": lambda *xs: np.prod(np.broadcast_arrays(*xs), axis=0),
    "average": lambda *xs: np.mean(np.broadcast_arrays(*xs), axis=0),
    "max": lambda *xs: np.max(np.broadcast_arrays(*xs), axis=0),
    "min": lambda *xs: np.min(np.broadcast_arrays(*xs), axis=0),
}
MODES = {
    "SUM": lambda x, axes: x.sum(axes, keepdims=True),
    "AVG": lambda x, axes: x.mean(axes, keepdims=True),
    "PROD": lambda x, axes: x.prod(axes, keepdims=True),
    "LOGSUM": lambda x, axes: np.log(x + 1e-6).sum(axes, keepdims=True),
    "SUMSQUARE": lambda x, axes: (x**2).sum(axes, keepdims=True),
    "L1": lambda x, axes: np.abs(x).sum(axes, keepdims=True),
    "L2": lambda x, axes: np.sqrt((x**2).sum(axes, keepdims=True)),
    "MAX": lambda x, axes: x.max(axes, keepdims=True),
    "MIN": lambda x, axes: x.min(axes, keepdims=True),
    "ARGMAX": lambda x, axes: x.argmax(axes[0], keepdims=True),
}
AXES = {"CHW": (-3, -2, -1), "HW": (-2, -1), "C": (-3,), "H": (-2,), "W": (-1,)}


@pytest.mark.parametrize("kind", COMBINED)
@pytest.mark.parametrize("count", [2, 3])
def test_inputs_of_one_shape(run_layer, kind, count):
    inputs = [A, B, C][:count]
    y = run_layer(kind, inputs)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, COMBINED[kind](*inputs), rtol=1e-12)


@pytest.mark.parametrize("kind", COMBINED)
@pytest.mark.parametrize("other", [(2, 1, 1, 1), (2, 3, 1, 1), (2, 1, 4, 5), (1, 3, 1, 1)])
def test_broadcastable_shapes_in_either_order(run_layer, kind, other):
    small = RNG.normal(size=other)
    for inputs in ([A, small], [small, A], [small, A, C]):
        y = run_layer(kind, inputs)
        assert y.shape == A.shape
        np.testing.assert_allclose(y, COMBINED[kind](*inputs), rtol=1e-12)


@pytest.mark.parametrize("kind", COMBINED)
def test_rank5_mapping_aligns_channels_with_images(run_layer, kind):
    image, channels = A[0], np.array([2.0, -1.0, 0.5])
    y = run_layer(kind, [image, channels], rank5=True)
    np.testing.assert_allclose(y, COMBINED[kind](image, channels[:, None, None]), rtol=1e-12)


@pytest.mark.parametrize("kind", COMBINED)
def test_rank5_mapping_mixes_rank_4_and_5(run_layer, kind):
    sequence, image = RNG.normal(size=(6, 2, 3, 4, 5)), A
    y = run_layer(kind, [image, sequence], rank5=True)
    np.testing.assert_allclose(y, COMBINED[kind](image, sequence), rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "y"), [("add", A + 2.5), ("multiply", A * 2.5), ("average", A), ("max", A), ("min", A)]
)
def test_single_input(run_layer, kind, y):
    options = {"alpha": 2.5} if kind in ("add", "multiply") else {}
    np.testing.assert_allclose(run_layer(kind, [A], **options), y, rtol=1e-12)


@pytest.mark.parametrize(("kind", "y"), [("add", A), ("multiply", 0 * A)])
def test_alpha_is_0_by_default_and_ignored_with_two_inputs(run_layer, kind, y):
    np.testing.assert_array_equal(run_layer(kind, [A]), y)
    both = run_layer(kind, [A, B], alpha=7.0)
    np.testing.assert_allclose(both, COMBINED[kind](A, B), rtol=1e-12)


@pytest.mark.parametrize("kind", [*COMBINED, "dot"])
def test_shapes_that_do_not_fit_are_refused(run_layer, kind):
    with pytest.raises(ModelError, match=rf"'tested' \({kind}\).*2x3x1x1, 2x4x1x1"):
        run_layer(kind, [np.ones((2, 3, 1, 1)), np.ones((2, 4, 1, 1))])


def test_average_is_not_of_pairs(run_layer):
    assert run_layer("average", [[0.0, 3.0], [0.0, 3.0], [9.0, 0.0]]).tolist() == [3, 2]


def test_min_keeps_the_sign(run_layer):
    assert run_layer("min", [[-5.0, 4.0], [3.0, -0.5], [0.0, 9.0]]).tolist() == [-5, -0.5]


UNARY = {
    "SQRT": np.sqrt,
    "RSQRT": lambda x, e=1e-6: 1 / np.sqrt(x + e),
    "INVERSE": lambda x, e=1e-6: 1 / (x + e),
    "POWER": lambda x: x**1.5,
    "EXP": np.exp,
    "LOG": np.log,
    "ABS": np.abs,
    "THRESHOLD": lambda x: np.where(x > 1.5, x, 1.5),
}


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize(("scale", "shift"), [(None, None), (0.0, 0.0), (2.0, 0.0), (3.0, 0.25)])
def test_unary(run_layer, number, scale, shift):
    options = {} if scale is None else {"scale": scale, "shift": shift}
    x = np.array([[0.0625, 0.5, 1.0, 2.0, 3.5]])
    y = run_layer("unary", [x], type=number, alpha=1.5, **options)
    function = list(UNARY.values())[number]
    np.testing.assert_allclose(y, function((scale or 1) * x + (shift or 0)), rtol=1e-12)


@pytest.mark.parametrize("name", ["RSQRT", "INVERSE"])
def test_unary_epsilon(run_layer, name):
    number, x = list(UNARY).index(name), np.array([0.0, 0.25, 2.0])
    np.testing.assert_allclose(run_layer("unary", [x], type=number), UNARY[name](x), rtol=1e-12)
    given = run_layer("unary", [x], type=number, epsilon=0.5)
    np.testing.assert_allclose(given, UNARY[name](x, 0.5), rtol=1e-12)


LOG = [-np.inf, -1.3862943611198906, 0.6931471805599453]
LOG1P = [0.0, 0.22314355131420976, 1.0986122886681098]


@pytest.mark.parametrize(("epsilon", "expected"), [(0, LOG), (1e-45, LOG), (1, LOG1P)])
def test_the_epsilon_of_a_logarithm_is_added_where_it_counts(run_layer, epsilon, expected):
    y = run_layer("unary", [np.array([0.0, 0.25, 2.0])], type=5, epsilon=epsilon)
    np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_unary_of_negative_numbers(run_layer):
    x = np.array([-2.0, -0.5, 1.0])
    assert run_layer("unary", [x], type=6, scale=-1.0, shift=-1.0).tolist() == [1, 0.5, 2]
    assert run_layer("unary", [x], type=7, alpha=-1.0).tolist() == [-1, -0.5, 1]
    assert run_layer("unary", [x], type=3, alpha=3.0).tolist() == [-8, -0.125, 1]


def test_unary_refuses_an_unknown_type(one_layer):
    with pytest.raises(ModelError, match="type 8 is not in Operation"):
        migrate.to_torch(one_layer("unary", [(2,)], type=8))


CHANNELS, HEIGHT, WIDTH = 3, 4, 5
SHAPES = [(1,), (CHANNELS,), (1, HEIGHT, WIDTH), (CHANNELS, HEIGHT, WIDTH), (CHANNELS, 1, 1)]


def aligned(values, shape):
    """Return what numpy broadcasts against [C, H, W]: a vector stands for channels."""
    return values.reshape(-1, 1, 1) if len(shape) == 1 else values.reshape(shape)


@pytest.mark.parametrize("x", [A[0], A, RNG.normal(size=(2, 2, 3, 4, 5))], ids=["3", "4", "5"])
@pytest.mark.parametrize("shape", SHAPES)
def test_bias(run_layer, shape, x):
    values = RNG.normal(size=np.prod(shape)).astype(np.float32)
    fill = lambda p: p.bias.floatValue.extend(values)  # noqa: E731
    y = run_layer("bias", [x], shape=shape, fill=fill)
    assert (y.dtype, y.shape) == (np.float64, x.shape)
    np.testing.assert_allclose(y, x + aligned(values, shape), rtol=1e-12)


@pytest.mark.parametrize("bias_shape", [None, *SHAPES])
@pytest.mark.parametrize("shape", SHAPES)
def test_scale(run_layer, shape, bias_shape):
    factors = RNG.normal(size=np.prod(shape)).astype(np.float32)
    added = RNG.normal(size=np.prod(bias_shape or 1)).astype(np.float32)

    def fill(p):
        p.scale.floatValue.extend(factors)
        p.bias.floatValue.extend(added)
        p.shapeBias.extend(bias_shape or (1,))
        p.hasBias = bias_shape is not None

    y = run_layer("scale", [A], shapeScale=shape, fill=fill)
    wanted = A * aligned(factors, shape)
    if bias_shape:
        wanted = wanted + aligned(added, bias_shape)
    np.testing.assert_allclose(y, wanted, rtol=1e-12)


def test_scale_and_bias_in_the_rank5_mapping(run_layer):
    def fill(p):
        p.scale.floatValue.extend([2.0, -1.0, 0.5])
        p.bias.floatValue.append(10.0)

    x = np.array([1.0, 2.0, 3.0])
    options = {"shapeScale": [3], "shapeBias": [1], "hasBias": True, "fill": fill, "rank5": True}
    assert run_layer("scale", [x], **options).ravel().tolist() == [12, 8, 11.5]


@pytest.mark.parametrize(
    ("kind", "fields", "values", "message"),
    [
        ("bias", {"shape": [3]}, {"bias": 2}, "bias holds 2 values, expected 3"),
        ("bias", {"shape": [3]}, {}, "bias holds 0 values"),
        ("bias", {"shape": [3, 4]}, {"bias": 12}, r"shape must have 1 or 3 .*\[3, 4\]"),
        ("bias", {}, {"bias": 1}, r"shape must have 1 or 3 dimensions, found \[\]"),
        ("scale", {"shapeScale": [1, 3, 1, 1]}, {"scale": 3}, "shapeScale must have 1 or 3"),
        ("scale", {"shapeScale": [1]}, {"scale": 3}, "scale holds 3 values, expected 1"),
        ("scale", {"shapeScale": [1], "hasBias": True}, {"scale": 1}, "shapeBias must have 1 or 3"),
        ("scale", {"shapeScale": [1], "hasBias": True, "shapeBias": [3]}, {"scale": 1},
         "bias holds 0 values, expected 3"),
        ("loadConstant", {"shape": [2, 2]}, {"data": 4}, r"shape must be \[C, H, W\]"),
        ("loadConstant", {"shape": [2, 2, 1]}, {"data": 5}, "data holds 5 values, expected 4"),
    ],
)  # fmt: skip
def test_bad_weights_are_refused(one_layer, kind, fields, values, message):
    def fill(p):
        for name, size in values.items():
            getattr(p, name).floatValue.extend([1.0] * size)

    inputs = [] if kind == "loadConstant" else [(3, 1, 1)]
    with pytest.raises(ModelError, match=rf"'tested' \({kind}\).*{message}"):
        migrate.to_torch(one_layer(kind, inputs, fill=fill, **fields))


def test_load_constant_is_rank_5_of_the_modules_dtype(one_layer):
    spec = one_layer("loadConstant", [], shape=[2, 3, 1])
    values = np.float32([0.1, -2, 3, 4, 5, 6])
    spec.neuralNetwork.layers[0].loadConstant.data.floatValue.extend(values)
    for net, dtype in (
        (migrate.to_torch(spec), np.float32),
        (migrate.to_torch(spec).double(), np.float64),
    ):
        y = net.predict({})["out0"]
        assert (y.dtype, y.shape) == (dtype, (1, 1, 2, 3, 1))
        assert y.ravel().tolist() == values.tolist()


def test_load_constant_scales_quantised_channels(one_layer):
    def fill(p):
        p.data.rawValue = bytes([0, 1, 2, 0, 1, 2])
        p.data.quantization.numberOfBits = 8
        p.data.quantization.linearQuantization.scale.extend([1.0, 10.0])
        p.data.quantization.linearQuantization.bias.extend([0.0, 5.0])

    spec = one_layer("loadConstant", [], shape=[2, 1, 3], fill=fill)
    y = migrate.to_torch(spec).predict({})["out0"]
    assert y.reshape(2, 3).tolist() == [[0, 1, 2], [5, 15, 25]]


@pytest.mark.parametrize("shape", [(3, 1, 1), (2, 3, 1, 1), (4, 2, 3, 1, 1)])
@pytest.mark.parametrize("cosine", [False, True])
def test_dot(run_layer, shape, cosine):
    x, y = RNG.normal(size=shape), RNG.normal(size=shape)
    z = run_layer("dot", [x, y], cosineSimilarity=cosine)
    wanted = np.einsum("...chw,...chw->...hw", x, y)[..., None, :, :]
    if cosine:
        lengths = [np.sqrt(np.einsum("...chw,...chw->...hw", v, v)) for v in (x, y)]
        wanted = wanted / (lengths[0] * lengths[1])[..., None, :, :]
    assert z.shape == (*shape[:-3], 1, 1, 1)
    np.testing.assert_allclose(z, wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("cosine", "y", "wanted"),
    [(False, [6.0, 8.0], 50), (True, [6.0, 8.0], 1), (True, [-3.0, -4.0], -1),
     (True, [4.0, -3.0], 0), (False, [1.0, -0.5], 1)],
)  # fmt: skip
def test_dot_of_vectors_in_the_rank5_mapping(run_layer, cosine, y, wanted):
    z = run_layer("dot", [[3.0, 4.0], y], cosineSimilarity=cosine, rank5=True)
    np.testing.assert_allclose(z.ravel(), [wanted], atol=1e-15)


@pytest.mark.parametrize("x", [A[0], A, RNG.normal(size=(2, 2, 3, 4, 5))], ids=["3", "4", "5"])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("mode", MODES)
def test_reduce(run_layer, one_layer, mode, axis, x):
    options = {"mode": list(MODES).index(mode), "axis": list(AXES).index(axis)}
    if mode == "ARGMAX" and axis in ("CHW", "HW"):
        with pytest.raises(ModelError, match="mode ARGMAX goes along one axis"):
            migrate.to_torch(one_layer("reduce", [x.shape], **options))
        return
    x = np.abs(x) if mode == "LOGSUM" else x
    y = run_layer("reduce", [x], **options)
    assert y.dtype == np.float64
    wanted = MODES[mode](x, AXES[axis])
    assert y.shape == wanted.shape
    np.testing.assert_allclose(y, wanted, rtol=1e-10)


@pytest.mark.parametrize(("mode", "wanted"), [(0, [6, 15]), (8, [1, 4]), (9, [2, 2])])
def test_reduce_in_the_rank5_mapping_keeps_the_other_axes(run_layer, mode, wanted):
    x = np.arange(1.0, 7.0).reshape(1, 2, 3)
    y = run_layer("reduce", [x], mode=mode, axis=4, rank5=True)
    assert y.shape == (1, 2, 1)
    assert y.ravel().tolist() == wanted


def test_reduce_works_on_low_ranks_from_the_end(run_layer):
    x = np.array([[1.0, 5.0], [3.0, -2.0]])
    assert run_layer("reduce", [x], axis=1).tolist() == [[7]]
    assert run_layer("reduce", [x], axis=3, mode=7).tolist() == [[3, 5]]
    assert run_layer("reduce", [x[0]], axis=4).tolist() == [6]


@pytest.mark.parametrize("epsilon", [None, 0.0, 0.5])
def test_reduce_epsilon_is_added_within_the_logarithm(run_layer, epsilon):
    x = np.array([[[0.0, 1.0, 3.0]]])
    options = {} if epsilon is None else {"epsilon": epsilon}
    y = run_layer("reduce", [x], mode=3, axis=4, **options)
    np.testing.assert_allclose(y, [[[np.log(x + (epsilon or 1e-6)).sum()]]], rtol=1e-12)


def test_reduce_refuses_what_is_not_in_the_proto_or_does_not_fit(one_layer, run_layer):
    with pytest.raises(ModelError, match="mode 10 is not in ReduceOperation"):
        migrate.to_torch(one_layer("reduce", [(2, 3, 4)], mode=10))
    with pytest.raises(ModelError, match="axis 5 is not in ReduceAxis"):
        migrate.to_torch(one_layer("reduce", [(2, 3, 4)], axis=5))
    with pytest.raises(ModelError, match=r"cannot be applied to inputs of shape 2x3"):
        run_layer("reduce", [np.ones((2, 3))], axis=0)


# as an ML Program

rng = np.random.default_rng(0)
X = rng.normal(size=(2, 3, 4, 5))
AWKWARD = [
    0.0,
    0.5,
    -0.5,
    1,
    2.5,
    -2,
    30,
    1e10,
    1e38,
    1e-5,
    1e-10,
    np.float32(1e-40),
    np.inf,
    np.nan,
]
FUNCTIONS = proto("NeuralNetwork_pb2").UnaryFunctionLayerParams.Operation
REDUCE = proto("NeuralNetwork_pb2").ReduceLayerParams


def of(kind, **options):
    return case("unary", [AWKWARD], type=kind, **options)


def values(**fields):
    """What fills a scale or bias layer: its shapes, and as many values."""

    def fill(p):
        for field, (shape_field, shape) in fields.items():
            getattr(p, shape_field).extend(shape)
            getattr(p, field).floatValue.extend(range(1, 1 + int(np.prod(shape))))

    return fill


PROGRAMS = {
    **{name: of(kind, alpha=2) for name, kind in FUNCTIONS.items()},
    **{
        f"{name}, all options": of(kind, alpha=0.5, epsilon=0.25, shift=40, scale=2)
        for name, kind in FUNCTIONS.items()
    },
    "rsqrt of an epsilon": of(FUNCTIONS.RSQRT, epsilon=1e-20),
    "inverse of an epsilon": of(FUNCTIONS.INVERSE, epsilon=1e-20),
    "log of an epsilon": of(FUNCTIONS.LOG, epsilon=1e-20),
    "log1p": of(FUNCTIONS.LOG, epsilon=1),
    "power, negative": of(FUNCTIONS.POWER, alpha=-1.5),
    "threshold": case("unary", [[-np.inf, -1, 2, np.inf]], "maximum", type=FUNCTIONS.THRESHOLD),
    "add": case("add", [X, X[:1, :1], X]),
    "add alpha": case("add", [X], "add", alpha=2.5),
    "multiply": case("multiply", [X, X[:, :, :1, :1], X]),
    "multiply alpha": case("multiply", [X], "mul", alpha=-2.5),
    "average": case("average", [X, X[:1], X]),
    "max": case("max", [X, X[::-1], -X]),
    "min": case("min", [X, X[::-1], -X]),
    "scale": case("scale", [X], "mul", fill=values(scale=("shapeScale", [3]))),
    "scale and bias": case("scale", [X], hasBias=True, fill=values(
        scale=("shapeScale", [3, 4, 5]), bias=("shapeBias", [1, 4, 5]))),
    "bias": case("bias", [X], "add", fill=values(bias=("shape", [3]))),
    "dot": case("dot", [X, X[::-1]]),
    "cosine": case("dot", [X, 1e-10 * X[::-1]], cosineSimilarity=True),
    "load constant": case("loadConstant", [], fill=values(data=("shape", [2, 3, 4]))),
    **{
        f"reduce {mode} {axis}": case("reduce", [np.abs(X)], mode=m, axis=a, epsilon=0.25)
        for mode, m in REDUCE.ReduceOperation.items()
        for axis, a in REDUCE.ReduceAxis.items()
        if mode != "ARGMAX" or len(axis) == 1
    },
}  # fmt: skip


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target, tolerance=1e-5) == {}
