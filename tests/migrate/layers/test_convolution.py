"""The oracle is the definition, one output pixel at a time, with ConvolutionLayerParams' sizes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import migrate
from migrate import ModelError


def numbers(*shape, seed=0):
    """Seeded values that float32 holds exactly, so that float64 oracles may be exact."""
    values = np.random.RandomState(seed).randint(-64, 65, size=shape) / 16.0
    return values.astype(np.float64)


def same_border(size, kernel, stride, dilation, mode):
    """SamePadding's amounts for one axis, word for word."""
    reach = (kernel - 1) * dilation + 1
    out = -(-size // stride)
    total = max(0, (out - 1) * stride + reach - size)
    half = total // 2
    return (half, total - half) if mode == 0 else (total - half, half)


def convolve(x, w, bias, stride=(1, 1), dilation=(1, 1), groups=1, border=((0, 0), (0, 0))):
    """Cross-correlate [B, C, H, W] with [C_out, C / groups, kH, kW]; numpy, a pixel at a time."""
    x = np.pad(x, ((0, 0), (0, 0), *border))
    batch, _, height, width = x.shape
    c_out, c_in, kh, kw = w.shape
    rows = (height - (kh - 1) * dilation[0] - 1) // stride[0] + 1
    columns = (width - (kw - 1) * dilation[1] - 1) // stride[1] + 1
    y = np.zeros((batch, c_out, rows, columns))
    for o, i, j in np.ndindex(c_out, rows, columns):
        first = o // (c_out // groups) * c_in
        top, left = i * stride[0], j * stride[1]
        for u, v in np.ndindex(kh, kw):
            pixel = x[:, first : first + c_in, top + u * dilation[0], left + v * dilation[1]]
            y[:, o, i, j] += pixel @ w[o, :, u, v]
    return y + bias[:, None, None]


def deconvolve(x, w, bias, stride=(1, 1), groups=1, dilation=(1, 1)):
    """Spread every pixel of [B, C, H, W] over its kernel [C, C_out / groups, kH, kW]."""
    batch, c_in, height, width = x.shape
    spread = np.zeros((*w.shape[:2], *((np.array(w.shape[2:]) - 1) * dilation + 1)))
    spread[:, :, :: dilation[0], :: dilation[1]] = w
    _, c_out, kh, kw = spread.shape
    y = np.zeros(
        (batch, c_out * groups, (height - 1) * stride[0] + kh, (width - 1) * stride[1] + kw)
    )
    for c, i, j in np.ndindex(c_in, height, width):
        first = c // (c_in // groups) * c_out
        top, left = i * stride[0], j * stride[1]
        window = y[:, first : first + c_out, top : top + kh, left : left + kw]
        window += x[:, c, i, j][:, None, None, None] * spread[c]
    return y + bias[:, None, None]


def brought_to(y, sizes, mode):
    """Crop, or extend at the end, to the wanted height and width."""
    for axis, size in zip((2, 3), sizes, strict=True):
        spare = y.shape[axis] - size
        start = spare // 2 if mode == 0 else spare - spare // 2
        y = np.take(y, range(start, start + size), axis) if spare >= 0 else y
    return y


def fill(w, bias=None, *, border=None, same=None, deconvolution=False, **options):
    """Return a function that sets the parameters of a layer with these weights."""

    def set_params(p):
        p.isDeconvolution = deconvolution
        groups = options.get("groups", 1)
        p.outputChannels = w.shape[1] * groups if deconvolution else w.shape[0]
        p.kernelChannels = w.shape[0] if deconvolution else w.shape[1]
        p.nGroups = options.get("nGroups", groups)
        for field in ("kernelSize", "stride", "dilationFactor", "outputShape"):
            default = w.shape[2:] if field == "kernelSize" else ()
            getattr(p, field).extend(options.get(field, default))
        p.weights.floatValue.extend(w.ravel())
        if bias is not None:
            p.hasBias = True
            p.bias.floatValue.extend(bias)
        if same is not None:
            p.same.asymmetryMode = same
        else:
            p.valid.SetInParent()
            for start, end in border or ():
                p.valid.paddingAmounts.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)

    return set_params


BORDERS = [((0, 0), (0, 0)), ((1, 1), (2, 2)), ((2, 0), (0, 1)), ((0, 3), (1, 2))]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "groups"),
    [
        ((3, 2), (1, 1), (1, 1), 1),
        ((1, 4), (2, 3), (1, 1), 2),
        ((2, 2), (1, 2), (3, 2), 4),
        ((3, 1), (3, 1), (2, 1), 2),
    ],
)
def test_valid(run_layer, kernel, stride, dilation, groups, border):
    x, w, bias = numbers(2, 4, 7, 8), numbers(8, 4 // groups, *kernel, seed=1), numbers(8, seed=2)
    options = {"stride": stride, "dilationFactor": dilation, "groups": groups}
    y = run_layer("convolution", [x], fill=fill(w, bias, border=border, **options))
    np.testing.assert_allclose(y, convolve(x, w, bias, stride, dilation, groups, border))


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_same(run_layer, kernel, stride, mode):
    for height, dilation in itertools.product((5, 6), (1, 2)):
        x, w, bias = numbers(1, 2, height, 7), numbers(3, 2, kernel, 3, seed=1), numbers(3, seed=2)
        strides, dilations = (stride, 2), (dilation, 1)
        border = (
            same_border(height, kernel, stride, dilation, mode),
            same_border(7, 3, 2, 1, mode),
        )
        options = {"stride": strides, "dilationFactor": dilations}
        y = run_layer("convolution", [x], fill=fill(w, bias, same=mode, **options))
        assert y.shape == (1, 3, -(-height // stride), 4)
        np.testing.assert_allclose(y, convolve(x, w, bias, strides, dilations, 1, border))


def test_defaults(run_layer):
    """Kernel 3x3, stride, dilation and groups 1, no padding, no bias; nGroups 0 is 1."""
    x, w = numbers(1, 2, 5, 6), numbers(3, 2, 3, 3, seed=1)

    def unset(p):
        p.outputChannels, p.kernelChannels = 3, 2
        p.weights.floatValue.extend(w.ravel())
        p.bias.floatValue.extend([100.0] * 3)  # without hasBias it is not added

    y = run_layer("convolution", [x], fill=unset)
    np.testing.assert_allclose(y, convolve(x, w, np.zeros(3)))


@pytest.mark.parametrize(
    ("leading", "rank5"),
    [((), True), *itertools.product([(3,), (2, 3), (2, 1)], [False, True])],
)
@pytest.mark.parametrize("deconvolution", [False, True])
def test_ranks(run_layer, leading, rank5, deconvolution):
    """Whatever leads [C, H, W] is batch, and the output has the rank of the input."""
    x, w, bias = numbers(*leading, 2, 4, 5), numbers(2, 2, 2, 3, seed=1), numbers(2, seed=2)
    made = fill(w, bias, deconvolution=deconvolution)
    y = run_layer("convolution", [x], rank5=rank5, fill=made)
    oracle = deconvolve if deconvolution else convolve
    want = oracle(x.reshape(-1, 2, 4, 5), w, bias)
    np.testing.assert_allclose(y, want.reshape(*leading, *want.shape[1:]))


def test_rank_6(run_layer):
    x, w = numbers(2, 1, 3, 2, 3, 3), numbers(1, 2, 3, 3, seed=1)
    y = run_layer("convolution", [x], fill=fill(w, numbers(1, seed=2), same=0))
    border = ((1, 1), (1, 1))
    want = convolve(x.reshape(6, 2, 3, 3), w, numbers(1, seed=2), border=border)
    np.testing.assert_allclose(y, want.reshape(2, 1, 3, 1, 3, 3))


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(
    ("kernel", "stride", "groups"), [((3, 4), (1, 1), 1), ((4, 3), (2, 1), 2), ((3, 3), (3, 2), 4)]
)
def test_deconvolution(run_layer, kernel, stride, groups, border):
    """Each border amount is taken off; the dilation counts, as coremltools' converters mean it."""
    x, w = numbers(2, 4, 4, 4), numbers(4, 3, *kernel, seed=1)
    bias = numbers(3 * groups, seed=2)
    options = {"stride": stride, "groups": groups, "dilationFactor": (2, 3)}
    made = fill(w, bias, border=border, deconvolution=True, **options)
    y = run_layer("convolution", [x], fill=made)
    (top, bottom), (left, right) = border
    full = deconvolve(x, w, bias, stride, groups, (2, 3))
    want = full[:, :, top : full.shape[2] - bottom, left : full.shape[3] - right]
    np.testing.assert_allclose(y, want)


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_same_deconvolution(run_layer, kernel, stride, mode):
    """The output is the input times the stride, also where the kernel does not reach that far."""
    x, w, bias = numbers(1, 2, 3, 4), numbers(2, 2, kernel, kernel, seed=1), numbers(2, seed=2)
    made = fill(w, bias, same=mode, deconvolution=True, stride=(stride, stride))
    y = run_layer("convolution", [x], fill=made)
    assert y.shape == (1, 2, 3 * stride, 4 * stride)
    full = deconvolve(x, w, bias, (stride, stride))
    if kernel >= stride:
        np.testing.assert_allclose(y, brought_to(full, y.shape[2:], mode))
    else:
        rows, columns = full.shape[2:]
        np.testing.assert_allclose(y[:, :, :rows, :columns], full)
        rest = y.copy()
        rest[:, :, :rows, :columns] = bias[:, None, None]
        np.testing.assert_allclose(rest, np.broadcast_to(bias[:, None, None], y.shape))


@pytest.mark.parametrize("padding", [{"same": 0}, {"border": ((1, 2), (0, 1))}])
@pytest.mark.parametrize("shape", [(9, 9), (7, 8), (6, 9)])
def test_output_shape(run_layer, shape, padding):
    """OutputShape decides alone: the padding, of either type, is ignored."""
    x, w, bias = numbers(1, 2, 4, 4), numbers(2, 1, 3, 3, seed=1), numbers(2, seed=2)
    options = {"stride": (2, 2), "groups": 2, "outputShape": shape}
    y = run_layer("convolution", [x], fill=fill(w, bias, deconvolution=True, **padding, **options))
    np.testing.assert_allclose(y, brought_to(deconvolve(x, w, bias, (2, 2), 2), shape, 0))


def test_output_shape_of_a_convolution_is_ignored(run_layer):
    x, w = numbers(1, 1, 4, 4), numbers(1, 1, 2, 2, seed=1)
    y = run_layer("convolution", [x], fill=fill(w, outputShape=(2, 2)))
    np.testing.assert_allclose(y, convolve(x, w, np.zeros(1)))


@pytest.mark.parametrize("bias", [None, numbers(4, seed=2)])
@pytest.mark.parametrize("same", [None, 1])
def test_weights_as_input(run_layer, bias, same):
    """The second input holds the weights; a bias is stored in the layer."""
    x, w = numbers(2, 4, 5, 6), numbers(4, 2, 2, 3, seed=1)
    made = fill(w, bias, same=same, border=((1, 0), (0, 2)), groups=2, stride=(2, 1))

    def without_weights(p):
        made(p)
        p.ClearField("weights")

    y = run_layer("convolution", [x, w], fill=without_weights)
    border = ((1, 0), (0, 2))
    if same is not None:
        border = (same_border(5, 2, 2, 1, 1), same_border(6, 3, 1, 1, 1))
    added = np.zeros(4) if bias is None else bias
    np.testing.assert_allclose(y, convolve(x, w, added, (2, 1), (1, 1), 2, border))


def test_float16_weights(run_layer):
    x, w = numbers(1, 1, 3, 3), numbers(1, 1, 2, 2, seed=1)
    made = fill(w)

    def half(p):
        made(p)
        p.weights.ClearField("floatValue")
        p.weights.float16Value = w.astype("<f2").tobytes()

    np.testing.assert_allclose(
        run_layer("convolution", [x], fill=half), convolve(x, w, np.zeros(1))
    )


@pytest.mark.parametrize(("deconvolution", "shape"), [(False, (3, 1, 2, 2)), (True, (2, 3, 2, 2))])
def test_quantized_per_output_channel(run_layer, deconvolution, shape):
    """The scales belong to the output channels, which a deconvolution's weights have second."""
    codes = np.random.RandomState(1).randint(0, 256, size=shape).astype(np.uint8)
    scale, offset = np.array([0.5, 2.0, 0.25]), np.array([-1.0, 3.0, 0.0])
    axis = (1, -1, 1, 1) if deconvolution else (-1, 1, 1, 1)
    w = codes * scale.reshape(axis) + offset.reshape(axis)
    made = fill(w, deconvolution=deconvolution)

    def quantized(p):
        made(p)
        p.weights.ClearField("floatValue")
        p.weights.rawValue = codes.tobytes()
        p.weights.quantization.numberOfBits = 8
        p.weights.quantization.linearQuantization.scale.extend(scale)
        p.weights.quantization.linearQuantization.bias.extend(offset)

    x = numbers(1, shape[0] if deconvolution else 1, 3, 3)
    oracle = deconvolve if deconvolution else convolve
    y = run_layer("convolution", [x], fill=quantized)
    np.testing.assert_allclose(y, oracle(x, w, np.zeros(3)))


def changed(made, **values):
    def change(p):
        made(p)
        for field, value in values.items():
            p.ClearField(field)
            if callable(value):
                value(p)
            elif isinstance(value, (list, tuple)):
                getattr(p, field).extend(value)
            else:
                setattr(p, field, value)

    return change


def three_edges(p):
    for _ in range(3):
        p.valid.paddingAmounts.borderAmounts.add(startEdgeSize=1)


def unknown_mode(p):
    p.same.asymmetryMode = 2


@pytest.mark.parametrize("deconvolution", [False, True])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kernelSize": [0, 2]}, "kernelSize"),
        ({"kernelSize": [2]}, "kernelSize"),
        ({"kernelSize": [2, 2, 2]}, "kernelSize"),
        ({"kernelSize": [2**31, 2**31]}, "kernelSize"),
        ({"kernelSize": [2**31 - 1, 2**31 - 1]}, "weights"),
        ({"kernelSize": []}, "weights"),
        ({"stride": [1]}, "stride"),
        ({"stride": [0, 1]}, "stride"),
        ({"dilationFactor": [1, 2, 3]}, "dilationFactor"),
        ({"dilationFactor": [0, 0]}, "dilationFactor"),
        ({"nGroups": 3}, "group"),
        ({"nGroups": 2**63}, "group"),
        ({"outputChannels": 0}, "outputChannels"),
        ({"outputChannels": 2**31}, "weights"),
        ({"outputChannels": 2**63}, "weights"),
        ({"kernelChannels": 0}, "kernelChannels"),
        ({"kernelChannels": 2**63}, "weights"),
        ({"kernelChannels": 5}, "weights"),
        ({"bias": lambda p: None}, "bias holds 0 values, expected 4"),
        ({"bias": lambda p: p.bias.floatValue.extend([1.0] * 3)}, "bias holds 3 values"),
        ({"weights": lambda p: p.weights.floatValue.extend([1.0] * 63)}, "weights holds 63 values"),
        ({"valid": three_edges}, "paddingAmounts"),
        ({"valid": unknown_mode}, "asymmetryMode"),
    ],
)
def test_bad_parameters(one_layer, deconvolution, values, words):
    w = np.ones((4, 4, 2, 2))
    made = changed(fill(w, np.ones(4), deconvolution=deconvolution), **values)
    spec = one_layer("convolution", [(1, 4, 5, 5)], fill=made)
    with pytest.raises(ModelError, match=words) as caught:
        migrate.to_torch(spec)
    assert "layer 'tested' (convolution), 1 of 1" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [2**31, 2**63])
def test_a_border_of_no_possible_size(one_layer, size):
    made = fill(np.ones((1, 1, 2, 2)), border=((size, 0), (0, 0)))
    with pytest.raises(ModelError, match="paddingAmounts"):
        migrate.to_torch(one_layer("convolution", [(1, 1, 5, 5)], fill=made))


@pytest.mark.parametrize("border", [((9, 0), (0, 0)), ((0, 5), (0, 0)), ((0, 0), (3, 3))])
def test_more_border_than_a_deconvolution_gives(one_layer, border):
    made = fill(np.ones((1, 1, 2, 2)), border=border, deconvolution=True)
    net = migrate.to_torch(one_layer("convolution", [(1, 1, 3, 3)], fill=made))
    with pytest.raises(ModelError, match="cannot be applied to inputs of shape 1x1x3x3"):
        net.predict({"in0": np.ones((1, 1, 3, 3))})


def test_groups_that_do_not_divide_the_input_of_a_deconvolution(one_layer):
    made = fill(np.ones((3, 1, 2, 2)), groups=2, deconvolution=True)
    with pytest.raises(ModelError, match="kernelChannels 3 do not divide into 2 groups"):
        migrate.to_torch(one_layer("convolution", [(1, 3, 5, 5)], fill=made))


@pytest.mark.parametrize("shape", [(5,), (5, 5, 5), (0, 5)])
def test_bad_output_shape(one_layer, shape):
    made = fill(np.ones((2, 1, 2, 2)), deconvolution=True, outputShape=shape)
    with pytest.raises(ModelError, match="outputShape"):
        migrate.to_torch(one_layer("convolution", [(1, 2, 4, 4)], fill=made))


def test_no_deconvolution_with_weights_as_input(one_layer):
    made = changed(fill(np.ones((2, 1, 2, 2)), deconvolution=True), weights=lambda p: None)
    with pytest.raises(ModelError, match="weights are empty"):
        migrate.to_torch(one_layer("convolution", [(1, 2, 4, 4), (2, 1, 2, 2)], fill=made))


UNFIT = "cannot be applied to inputs of shape"


@pytest.mark.parametrize(
    ("shapes", "options", "words"),
    [
        ([(1, 3, 5, 5)], {}, UNFIT),  # the kernels are for 2 channels
        ([(1, 2, 1, 5)], {}, UNFIT),  # no room for the kernel
        ([(1, 2, 5, 5), (1, 2, 2, 2)], {}, "does not take 2 inputs"),  # stored weights and given
        ([(1, 2, 5, 5)], {"weights": lambda p: None}, "does not take 1 inputs"),  # neither
        ([(1, 2, 5, 5), (1, 3, 2, 2)], {"weights": lambda p: None}, UNFIT),
        ([(1, 2, 5, 5)], {"dilationFactor": [2**31 - 1] * 2}, UNFIT),
    ],
)
def test_bad_inputs(one_layer, shapes, options, words):
    made = changed(fill(np.ones((1, 2, 2, 2))), **options)
    net = migrate.to_torch(one_layer("convolution", shapes, fill=made))
    with pytest.raises(ModelError, match=f"layer 'tested' .*: .*{words}"):
        net.predict({f"in{i}": np.ones(shape) for i, shape in enumerate(shapes)})
