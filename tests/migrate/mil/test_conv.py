"""Convolutions against sums over taps, with where they start and how large they are as literals."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from programs import evaluated

from migrate import evaluate
from migrate.coreml import coremltools
from migrate.mil.registry import ops

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types


def from_torch(module, *shape):
    """The output of a converted module, and the module's own, of one input."""
    x = torch.from_numpy(floats(*shape))
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        model = ct.convert(
            torch.jit.trace(module.eval(), x),
            inputs=[ct.TensorType(name="x", shape=shape)],
            outputs=[ct.TensorType(name="y")],
            convert_to="mlprogram",
            compute_precision=ct.precision.FLOAT32,
            skip_model_load=True,
        )
    with torch.no_grad():
        return evaluate(model, {"x": x.numpy()})["y"], module(x).numpy()


def floats(*shape, seed=0):
    return np.random.RandomState(seed).randint(-8, 9, shape).astype(np.float32) / 8


def taps(options, starts, outer, kernel):
    """Each position of the shorter side, each tap, and the position of the longer side it meets."""
    strides = options.get("strides", [1] * len(outer))
    dilations = options.get("dilations", [1] * len(outer))
    for o in np.ndindex(*outer):
        for tap in np.ndindex(*kernel):
            zipped = zip(o, tap, strides, dilations, starts, strict=True)
            yield o, tap, tuple(a * s + t * d - start for a, t, s, d, start in zipped)


def inside(position, sizes):
    return all(0 <= p < size for p, size in zip(position, sizes, strict=True))


def convolved(x, weight, options, starts, sizes):
    groups = options.get("groups", 1)
    y = np.zeros((x.shape[0], weight.shape[0], *sizes))
    for o, tap, p in taps(options, starts, sizes, weight.shape[2:]):
        if inside(p, x.shape[2:]):
            w = np.split(weight[(..., *tap)], groups)
            parts = np.split(x[(..., *p)], groups, axis=1)
            y[(..., *o)] += np.concatenate([a @ b.T for a, b in zip(parts, w, strict=True)], 1)
    return y


def transposed(x, weight, options, starts, sizes):
    groups = options.get("groups", 1)
    y = np.zeros((x.shape[0], weight.shape[1] * groups, *sizes))
    for o, tap, p in taps(options, starts, x.shape[2:], weight.shape[2:]):
        if inside(p, sizes):
            w = np.split(weight[(..., *tap)], groups)
            parts = np.split(x[(..., *o)], groups, axis=1)
            y[(..., *p)] += np.concatenate([a @ b for a, b in zip(parts, w, strict=True)], 1)
    return y


def case(size, kernel, starts, sizes, pad_type, **options):
    return size, kernel, {"pad_type": pad_type, **options}, starts, sizes


CONVOLUTIONS = [
    case((7,), (3,), (0,), (5,), "valid"),
    case((7,), (3,), (0,), (3,), "valid", strides=[2], pad=[9, 9]),
    case((7,), (4,), (1,), (4,), "same", strides=[2]),
    case((7,), (4,), (2,), (4,), "same_lower", strides=[2]),
    case((5,), (1,), (0,), (2,), "same", strides=[3]),
    case((7,), (3,), (2,), (6,), "custom", pad=[2, 1], dilations=[2]),
    case((5, 6), (2, 3), (0, 0), (5, 3), "same", strides=[1, 2]),
    case((5, 6), (2, 3), (1, 1), (5, 3), "same_lower", strides=[1, 2]),
    case((5, 6), (2, 2), (1, 1), (5, 6), "same", dilations=[2, 3]),
    case((5, 6), (2, 2), (1, 2), (5, 6), "same_lower", dilations=[2, 3]),
    case((5, 6), (3, 2), (1, 0), (2, 6), "custom", pad=[1, 0, 0, 2], strides=[2, 1],
         dilations=[1, 2], groups=2),
    case((5, 6), (3, 2), (0, 0), (3, 5), "valid", groups=4),
    case((4, 3, 5), (2, 3, 2), (0, 1, 0), (4, 3, 5), "same"),
    case((4, 3, 5), (2, 3, 2), (1, 1, 1), (4, 3, 5), "same_lower"),
    case((4, 3, 5), (2, 2, 2), (0, 1, 0), (3, 2, 2), "custom", pad=[0, 0, 1, 0, 0, 0],
         strides=[1, 2, 3], groups=2),
]  # fmt: skip
TRANSPOSES = [
    case((4,), (3,), (0,), (9,), "valid", strides=[2]),
    case((4,), (3,), (0,), (10,), "valid", strides=[2], output_shape=[2, 4, 10]),
    case((4,), (3,), (1,), (8,), "custom", strides=[2], dilations=[2], pad=[1, 2]),
    case((4,), (3,), (1,), (9,), "custom", strides=[2], dilations=[2], pad=[1, 2],
         output_shape=[2, 4, 9]),
    case((4,), (3,), (0,), (8,), "same", strides=[2]),
    case((4,), (3,), (1,), (7,), "same", strides=[2], output_shape=[2, 4, 7]),
    case((4,), (3,), (1,), (8,), "same_lower", strides=[2], output_shape=[2, 4, 8]),
    case((4,), (5,), (1,), (8,), "same", strides=[2]),
    case((4,), (5,), (2,), (8,), "same_lower", strides=[2], output_shape=[2, 4, 8]),
    case((4,), (2,), (0,), (12,), "same", strides=[3]),
    case((3, 4), (2, 3), (0, 0), (6, 10), "valid", strides=[2, 3], output_shape=[2, 4, 6, 10],
         dilations=[1, 1]),
    case((3, 4), (3, 2), (1, 0), (4, 7), "custom", strides=[2, 1], dilations=[1, 3], groups=2,
         pad=[1, 2, 0, 0]),
    case((3, 4), (3, 4), (0, 1), (6, 8), "same", strides=[2, 2], groups=4),
    case((2, 3, 2), (2, 1, 3), (0, 0, 1), (3, 5, 4), "custom", strides=[1, 2, 2],
         pad=[0, 0, 0, 0, 1, 0]),
    case((2, 3, 2), (3, 2, 2), (1, 0, 0), (2, 3, 4), "same", strides=[1, 1, 2]),
]  # fmt: skip


def arrays(name, size, kernel, options):
    """Input, weight and bias: 4 channels in, 8 (of a transpose 4) out."""
    per_group = 4 // options.get("groups", 1)
    shape = (8, per_group, *kernel) if name == "conv" else (4, per_group, *kernel)
    return floats(2, 4, *size), floats(*shape, seed=1), floats(8 if name == "conv" else 4, seed=2)


ALL = [("conv", convolved, c) for c in CONVOLUTIONS]
ALL += [("conv_transpose", transposed, c) for c in TRANSPOSES]


@pytest.mark.parametrize(
    ("name", "oracle", "given", "half"),
    [(*case, False) for case in ALL] + [(*case, True) for case in ALL[2::4]],
)
def test_a_program_adds_up_the_taps(name, oracle, given, half):
    size, kernel, options, starts, sizes = given
    x, weight, bias = arrays(name, size, kernel, options)
    function = getattr(mb, name)
    y = evaluated(
        lambda x: function(x=x, weight=weight, bias=bias, name="y", **options), half=half, x=x
    )["y"]
    wanted = oracle(x, weight, options, starts, sizes)
    wanted += bias.reshape(-1, *[1] * len(sizes))
    assert y.shape == wanted.shape
    # all sums are multiples of 1/64 below 32, which float16 holds
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize(
    ("name", "oracle", "given"),
    [("conv", convolved, CONVOLUTIONS[7]), ("conv_transpose", transposed, TRANSPOSES[11])],
)
def test_weights_need_not_be_constant_and_there_may_be_no_bias(name, oracle, given):
    size, kernel, options, starts, sizes = given
    x, weight, _ = arrays(name, size, kernel, options)
    function = getattr(mb, name)
    y = evaluated(lambda x, w: function(x=x, weight=w, name="y", **options), x=x, w=weight)["y"]
    np.testing.assert_array_equal(y, oracle(x, weight, options, starts, sizes))


def test_conv_takes_weights_of_another_type():
    x, weight, bias = (a.astype(np.float16) for a in arrays("conv", (5,), (3,), {}))
    wide = x.astype(np.float32)
    y = evaluated(lambda x: mb.conv(x=x, weight=weight, bias=bias, name="y"), x=wide)["y"]
    np.testing.assert_array_equal(y, convolved(wide, weight, {}, (0,), (3,)) + bias[:, None])


@pytest.mark.parametrize("pad_type", ["same", "same_lower"])
def test_a_transpose_is_the_gradient_of_the_convolution(pad_type):
    options = {"pad_type": pad_type, "strides": [2, 3], "dilations": [1, 2]}
    u, weight = torch.from_numpy(floats(2, 3, 7, 9)), torch.from_numpy(floats(4, 3, 4, 2, seed=1))
    y = ops()["conv"].compute(x=u.requires_grad_(), weight=weight, **options)
    v = torch.from_numpy(floats(*y.shape, seed=2))
    y.backward(v)
    found = ops()["conv_transpose"].compute(
        x=v, weight=weight, output_shape=torch.tensor(u.shape), **options
    )
    torch.testing.assert_close(found, u.grad)


def test_a_transpose_with_same_lower_needs_no_output_shape():
    x, weight, _ = arrays("conv_transpose", (4,), (5,), {})
    options = {"pad_type": "same_lower", "strides": [2]}
    tensors = {"x": torch.from_numpy(x), "weight": torch.from_numpy(weight)}
    found = ops()["conv_transpose"].compute(**tensors, **options)
    np.testing.assert_array_equal(found.numpy(), transposed(x, weight, options, (2,), (8,)))


MODULES = [
    (torch.nn.Conv1d(3, 4, 4, padding="same", dilation=3), (1, 3, 9)),
    (torch.nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), groups=2), (2, 4, 6, 7)),
    (torch.nn.Conv3d(2, 3, (2, 3, 1), padding=(1, 0, 1)), (1, 2, 3, 4, 3)),
    (torch.nn.ConvTranspose1d(3, 4, 4, stride=2, padding=1), (1, 3, 5)),
    (torch.nn.ConvTranspose2d(4, 2, 3, stride=2, dilation=(1, 2), groups=2), (1, 4, 3, 4)),
    (torch.nn.ConvTranspose3d(2, 3, (2, 3, 1), stride=(1, 2, 2), bias=False), (1, 2, 2, 3, 2)),
]


@pytest.mark.parametrize(("module", "shape"), MODULES, ids=str)
def test_a_converted_module_is_itself(module, shape):
    found, wanted = from_torch(module, *shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["conv", "conv_transpose"])
@pytest.mark.parametrize("pad_type", ["SAME", "reflect", ""])
def test_a_pad_type_that_is_not_known_is_refused(name, pad_type):
    with pytest.raises(ValueError, match=f"pad_type {pad_type!r} is not known"):
        ops()[name].compute(x=torch.zeros(1, 1, 3), weight=torch.zeros(1, 1, 2), pad_type=pad_type)
