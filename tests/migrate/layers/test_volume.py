"""The oracles: windows visited one by one, their sizes from the proto's wording."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import migrate
from migrate import ModelError

CUSTOM, VALID, SAME = range(3)
AXES = ("Depth", "Height", "Width")
EDGES = ("Front", "Back", "Top", "Bottom", "Left", "Right")
BORDER = ((1, 0), (2, 3), (0, 1))  # one amount of each kind


def numbers(*shape, seed=0):
    return np.random.RandomState(seed).randint(-64, 65, size=shape) / 16.0


def geometry(padding=VALID, border=BORDER, **triples):
    """Return the layer's fields: kernel=(2, 3, 1) becomes kernelDepth, kernelHeight, ..."""
    fields = {"paddingType": padding}
    for name, values in triples.items():
        fields |= {f"{name}{axis}": n for axis, n in zip(AXES, values, strict=True)}
    amounts = itertools.chain.from_iterable(border)
    return fields | {f"customPadding{e}": n for e, n in zip(EDGES, amounts, strict=True)}


def weights_of(w, bias=None):
    def fill(p):
        p.weights.floatValue.extend(w.ravel())
        if bias is not None:
            p.bias.floatValue.extend(bias.ravel())

    return fill


def borders(sizes, reach, stride, padding, custom):
    """The amounts that PaddingType describes, (start, end) for each axis."""
    if padding != SAME:
        return custom if padding == CUSTOM else ((0, 0),) * 3
    found = []
    for size, k, s in zip(sizes, reach, stride, strict=True):
        total = max(0, (-(-size // s) - 1) * s + k - size)
        found.append((total // 2, total - total // 2))
    return tuple(found)


def reaches(kernel, dilation):
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))


def windows(sizes, reach, stride, border):
    """Yield each output's place, and where its window starts in the padded input."""
    counts = [
        (n + sum(b) - r) // s + 1 for n, r, s, b in zip(sizes, reach, stride, border, strict=True)
    ]
    for at in np.ndindex(*counts):
        yield at, tuple(i * s for i, s in zip(at, stride, strict=True))


def cuts(start, reach, step=(1, 1, 1)):
    return tuple(slice(a, a + r, d) for a, r, d in zip(start, reach, step, strict=True))


@pytest.mark.parametrize("padding", [CUSTOM, VALID, SAME])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [
        ((2, 3, 1), (1, 1, 1), (1, 1, 1)),
        ((3, 2, 2), (2, 1, 3), (1, 1, 1)),
        ((2, 2, 3), (1, 2, 1), (2, 3, 1)),
    ],
)
@pytest.mark.parametrize("groups", [0, 1, 2])
@pytest.mark.parametrize("biased", [False, True])
def test_convolution(run_layer, padding, kernel, stride, dilation, groups, biased):
    x = numbers(2, 4, 5, 6, 5)
    w = numbers(6, 4 // (groups or 1), *kernel, seed=1)
    bias = numbers(6, seed=2)
    y = run_layer(
        "convolution3d", [x], fill=weights_of(w, bias), inputChannels=4, outputChannels=6,
        nGroups=groups, hasBias=biased,
        **geometry(padding, kernel=kernel, stride=stride, dilation=dilation),
    )  # fmt: skip
    reach = reaches(kernel, dilation)
    border = borders(x.shape[2:], reach, stride, padding, BORDER)
    filled = np.pad(x, ((0, 0), (0, 0), *border))
    expected = np.zeros_like(y)
    for at, start in windows(x.shape[2:], reach, stride, border):
        window = filled[(..., *cuts(start, reach, dilation))]
        for o, c in itertools.product(range(6), range(w.shape[1])):
            channel = o // (6 // (groups or 1)) * w.shape[1] + c
            expected[(slice(None), o, *at)] += (window[:, channel] * w[o, c]).sum((1, 2, 3))
    expected += bias.reshape(-1, 1, 1, 1) * biased
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_same_padding_as_in_the_example_of_the_proto(run_layer):
    """Depth is padded 1 and 1, height and width only at the end; stride 2 gives [1, 2, 2, 4, 4]."""
    x = numbers(1, 3, 3, 8, 8)
    w = numbers(2, 3, 3, 3, 3, seed=1)
    fields = geometry(SAME, kernel=(3,) * 3, stride=(2,) * 3, dilation=(1,) * 3)
    y = run_layer(
        "convolution3d", [x], fill=weights_of(w), inputChannels=3, outputChannels=2, **fields
    )
    assert y.shape == (1, 2, 2, 4, 4)
    np.testing.assert_allclose(y[0, 0, 0, 0, 0], (x[0, :, :2, :3, :3] * w[0, :, 1:]).sum())
    np.testing.assert_allclose(y[0, 1, 1, 3, 3], (x[0, :, 1:, 6:, 6:] * w[1, :, :2, :2, :2]).sum())


def deconvolved(x, w, stride, dilation, groups):
    """Spread every element of [B, C, D, H, W] over its kernel [C, C_out / groups, ...]."""
    reach = reaches(w.shape[2:], dilation)
    sizes = [(n - 1) * s + r for n, s, r in zip(x.shape[2:], stride, reach, strict=True)]
    each = w.shape[1]
    y = np.zeros((x.shape[0], each * groups, *sizes))
    for at in np.ndindex(x.shape):
        b, c, *place = at
        first = c // (x.shape[1] // groups) * each
        start = [i * s for i, s in zip(place, stride, strict=True)]
        y[(b, slice(first, first + each), *cuts(start, reach, dilation))] += x[at] * w[c]
    return y


def trimmed(y, starts, wanted):
    """Cut or extend with zeros: [start, start + wanted) of each of the last three axes."""
    ends = [s + n - size for s, n, size in zip(starts, wanted, y.shape[2:], strict=True)]
    y = np.pad(y, ((0, 0), (0, 0), *((0, max(0, e)) for e in ends)))
    return y[(..., *cuts(starts, wanted))]


DECONVOLUTIONS = [((2, 3, 1), (1, 2, 3), (1, 1, 1)), ((3, 2, 3), (2, 1, 1), (1, 2, 1))]
SIZES = (2, 3, 4)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), DECONVOLUTIONS)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padding", ["valid", "custom", "even custom", "same", "output shape"])
def test_deconvolution(run_layer, kernel, stride, dilation, groups, padding):
    x, bias = numbers(2, 4, *SIZES), numbers(6, seed=2)
    w = numbers(4, 6 // groups, *kernel, seed=1)
    full = deconvolved(x, w, stride, dilation, groups)
    sizes = np.array(full.shape[2:])
    custom = {"custom": ((1, 0), (0, 2), (0, 1)), "even custom": ((0, 0), (1, 1), (1, 1))}
    border = custom.get(padding, BORDER)
    shape = []
    kind = {"valid": VALID, "same": SAME}.get(padding, CUSTOM)
    starts, wanted = (0, 0, 0), sizes
    if padding in custom:
        starts = [start for start, _ in border]
        wanted = sizes - [sum(amounts) for amounts in border]
    elif padding == "same":
        wanted = np.array(SIZES) * stride
        starts = np.maximum(0, sizes - wanted) // 2
    elif padding == "output shape":
        border = ((1, 1), (1, 0), (0, 0))
        starts, wanted = (1, 1, 0), sizes + np.array([-2, 1, 3])
        shape = wanted.tolist()
    y = run_layer(
        "convolution3d", [x], fill=weights_of(w, bias), inputChannels=4, outputChannels=6,
        nGroups=groups, hasBias=True, isDeconvolution=True, outputShape=shape,
        **geometry(kind, border, kernel=kernel, stride=stride, dilation=dilation),
    )  # fmt: skip
    expected = trimmed(full, starts, wanted) + bias.reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(y, expected, atol=1e-12)


@pytest.mark.parametrize("less", [1, 2])
def test_deconvolution_without_amounts_is_cut_both_sides_alike(run_layer, less):
    x, w = numbers(1, 1, 1, 1, 3), numbers(1, 1, 1, 1, 4, seed=1)
    ones = (1, 1, 1)
    y = run_layer(
        "convolution3d", [x], fill=weights_of(w), inputChannels=1, outputChannels=1,
        isDeconvolution=True, outputShape=[1, 1, 6 - less],
        **geometry(VALID, kernel=(1, 1, 4), stride=ones, dilation=ones),
    )  # fmt: skip
    full = np.convolve(x.ravel(), w.ravel())
    np.testing.assert_allclose(y.ravel(), full[less // 2 : less // 2 + 6 - less])


@pytest.mark.parametrize("border", [((0, 0), (2, 0), (0, 0)), ((0, 0), (0, 0), (1, 1))])
def test_padding_that_leaves_nothing_of_a_deconvolution_is_refused(run_layer, border):
    ones = (1, 1, 1)
    with pytest.raises(ModelError, match="cannot be applied to inputs of shape 1x1x2x2x2"):
        run_layer(
            "convolution3d", [numbers(1, 1, 2, 2, 2)], fill=weights_of(np.ones(1)),
            inputChannels=1, outputChannels=1, isDeconvolution=True,
            **geometry(CUSTOM, border, kernel=ones, stride=ones, dilation=ones),
        )  # fmt: skip


def test_quantised_weights_of_a_deconvolution_are_scaled_by_output(run_layer):
    def fill(p):
        p.weights.rawValue = bytes([1, 2, 3, 4, 5, 6])
        p.weights.quantization.numberOfBits = 8
        p.weights.quantization.linearQuantization.scale.extend([1.0, 10.0, 100.0])

    ones = (1, 1, 1)
    x = np.array([1.0, 2.0]).reshape(1, 2, 1, 1, 1)
    y = run_layer(
        "convolution3d", [x], fill=fill, inputChannels=2, outputChannels=3, isDeconvolution=True,
        **geometry(VALID, kernel=ones, stride=ones, dilation=ones),
    )  # fmt: skip
    assert y.ravel().tolist() == [1 + 2 * 4, 10 * (2 + 2 * 5), 100 * (3 + 2 * 6)]


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("padding", [CUSTOM, VALID, SAME])
@pytest.mark.parametrize("border", [((1, 1), (0, 0), (1, 1)), ((0, 1), (2, 0), (1, 1))])
@pytest.mark.parametrize(
    ("kernel", "stride"), [((2, 3, 2), (1, 1, 1)), ((3, 3, 3), (2, 1, 3)), ((2, 4, 2), (3, 2, 1))]
)
@pytest.mark.parametrize("exclude", [False, True])
def test_pooling(run_layer, kind, padding, border, kernel, stride, exclude):
    """A maximum is that of what lies inside; a mean counts the padding unless told otherwise."""
    x = numbers(2, 2, 4, 5, 6) - 20  # negative, so that zeros in a maximum would show
    y = run_layer(
        "pooling3d", [x], type=kind, countExcludePadding=exclude,
        **geometry(padding, border, kernel=kernel, stride=stride),
    )  # fmt: skip
    amounts = borders(x.shape[2:], kernel, stride, padding, border)
    filled = np.pad(x, ((0, 0), (0, 0), *amounts), constant_values=np.nan)
    expected = np.full_like(y, np.nan)
    for at, start in windows(x.shape[2:], kernel, stride, amounts):
        window = filled[(..., *cuts(start, kernel))]
        axes = (-3, -2, -1)
        if kind == 0:
            value = np.nanmax(window, axes)
        else:
            value = (
                np.nanmean(window, axes) if exclude else np.nansum(window, axes) / window[0, 0].size
            )
        expected[(..., *at)] = value
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_pooling_as_in_the_example_of_the_proto(run_layer):
    x = np.arange(1.0, 19).reshape(1, 1, 2, 3, 3)
    y = run_layer("pooling3d", [x], **geometry(VALID, kernel=(2,) * 3, stride=(1,) * 3))
    assert y.tolist() == [[[[[14, 15], [17, 18]]]]]
    assert run_layer("globalPooling3d", [x]).tolist() == [[[[[18]]]]]


@pytest.mark.parametrize(("kind", "name"), [(0, "max"), (1, "mean")])
def test_global_pooling(run_layer, kind, name):
    x = numbers(2, 3, 4, 2, 3)
    y = run_layer("globalPooling3d", [x], type=kind)
    np.testing.assert_allclose(y, getattr(x, name)((2, 3, 4), keepdims=True), rtol=1e-12)


ONES = {"kernel": (1, 1, 1), "stride": (1, 1, 1)}
CONVOLUTION = {"inputChannels": 2, "outputChannels": 2, **geometry(**ONES, dilation=(1, 1, 1))}


@pytest.mark.parametrize(
    ("kind", "options", "match"),
    [
        ("convolution3d", CONVOLUTION | {"inputChannels": 0}, "0 inputChannels and 2 output"),
        ("convolution3d", CONVOLUTION | {"outputChannels": -1}, "-1 outputChannels must be"),
        ("convolution3d", CONVOLUTION | {"nGroups": 3}, "divide into 3 groups"),
        ("convolution3d", CONVOLUTION | {"nGroups": -1}, "divide into -1 groups"),
        ("convolution3d", CONVOLUTION | {"kernelHeight": 0}, "kernelDepth, Height and Width"),
        ("convolution3d", CONVOLUTION | {"strideWidth": -1}, "strideDepth, Height and Width"),
        ("convolution3d", CONVOLUTION | {"dilationDepth": 0}, "dilationDepth, Height and"),
        ("convolution3d", CONVOLUTION | {"paddingType": 3}, "paddingType 3"),
        ("convolution3d", CONVOLUTION | {"customPaddingTop": -1}, "must not be negative"),
        (
            "convolution3d",
            CONVOLUTION | {"outputChannels": 4},
            "weights holds 4 values, expected 8",
        ),
        ("convolution3d", CONVOLUTION | {"hasBias": True}, "bias holds 0 values, expected 2"),
        (
            "convolution3d",
            CONVOLUTION | {"isDeconvolution": True, "outputShape": [1, 1]},
            "outputShape must be three",
        ),
        (
            "convolution3d",
            CONVOLUTION | {"isDeconvolution": True, "outputShape": [1, 0, 1]},
            "outputShape must be three positive",
        ),
        ("pooling3d", {"type": 2, **geometry(**ONES)}, "type 2 is not MAX or AVERAGE"),
        ("pooling3d", geometry(**ONES) | {"paddingType": 4}, "paddingType 4"),
        ("pooling3d", geometry(**ONES) | {"kernelWidth": 0}, "kernelDepth, Height and Width"),
        ("pooling3d", geometry(**ONES) | {"strideDepth": 0}, "strideDepth, Height and Width"),
        ("pooling3d", geometry(**ONES) | {"customPaddingLeft": -2}, "must not be negative"),
        ("globalPooling3d", {"type": 2}, "type 2 is not MAX or AVERAGE"),
    ],
)
def test_options_that_contradict_the_proto(one_layer, kind, options, match):
    fill = weights_of(np.ones(4)) if kind == "convolution3d" else None
    with pytest.raises(ModelError, match=match):
        migrate.to_torch(one_layer(kind, [(1, 2, 1, 1, 1)], fill=fill, **options))


def test_a_kernel_larger_than_the_input_is_refused(run_layer):
    fields = geometry(VALID, kernel=(1, 1, 3), stride=(1, 1, 1))
    for kind in (0, 1):
        with pytest.raises(ModelError, match="cannot be applied to inputs of shape 1x1x1x1x2"):
            run_layer("pooling3d", [numbers(1, 1, 1, 1, 2)], type=kind, **fields)
