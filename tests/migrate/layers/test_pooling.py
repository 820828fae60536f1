"""The oracle reads each window's pixels one by one, with PoolingLayerParams' output sizes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import migrate
from migrate import ModelError

MAX, AVERAGE, L2 = 0, 1, 2


def numbers(*shape, seed=0):
    """Mostly negative values, so that a maximum over padding zeros would show."""
    return np.random.RandomState(seed).randint(-64, 8, size=shape) / 16.0


def pool(x, kind, kernel, stride, starts, sizes, exclude=False):
    """Pool [B, C, H, W]: window (i, j) starts at (i, j) * stride - starts; sizes: the output's."""
    batch, channels, height, width = x.shape
    y = np.empty((batch, channels, *sizes))
    for i, j in np.ndindex(*sizes):
        top, left = i * stride[0] - starts[0], j * stride[1] - starts[1]
        window = [
            x[:, :, r, c]
            for r, c in itertools.product(
                range(top, top + kernel[0]), range(left, left + kernel[1])
            )
            if 0 <= r < height and 0 <= c < width
        ]
        pixels = np.stack(window)
        if kind == MAX:
            y[:, :, i, j] = pixels.max(0)
        elif kind == L2:
            y[:, :, i, j] = np.sqrt((pixels**2).sum(0))
        else:
            y[:, :, i, j] = pixels.sum(0) / (len(window) if exclude else kernel[0] * kernel[1])
    return y


def valid(border=()):
    def fill(p):
        p.valid.SetInParent()
        for start, end in border:
            p.valid.paddingAmounts.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)

    return fill


def same(mode):
    def fill(p):
        p.same.asymmetryMode = mode

    return fill


def last_pixel(*amounts):
    def fill(p):
        p.includeLastPixel.paddingAmounts.extend(amounts)
        p.includeLastPixel.SetInParent()

    return fill


KINDS = [(MAX, False), (MAX, True), (AVERAGE, False), (AVERAGE, True), (L2, False), (L2, True)]
BORDERS = [((0, 0), (0, 0)), ((1, 1), (1, 1)), ((2, 0), (0, 1)), ((0, 1), (2, 2))]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(
    ("kernel", "stride"), [((3, 3), (1, 1)), ((3, 4), (2, 1)), ((4, 3), (3, 5))]
)
@pytest.mark.parametrize(("kind", "exclude"), KINDS)
def test_valid(run_layer, kind, exclude, kernel, stride, border):
    x = numbers(2, 3, 7, 8)
    options = {"type": kind, "kernelSize": kernel, "stride": stride}
    y = run_layer("pooling", [x], fill=valid(border), avgPoolExcludePadding=exclude, **options)
    (top, bottom), (left, right) = border
    sizes = (
        (7 + top + bottom - kernel[0]) // stride[0] + 1,
        (8 + left + right - kernel[1]) // stride[1] + 1,
    )
    np.testing.assert_allclose(y, pool(x, kind, kernel, stride, (top, left), sizes, exclude))


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize(("kind", "exclude"), KINDS)
def test_same(run_layer, kind, exclude, mode):
    for size, kernel, stride in itertools.product((5, 6), (1, 2, 3, 4), (1, 2, 3)):
        x = numbers(1, 2, size, 7, seed=size)
        out = math.ceil(size / stride)
        total = max(0, (out - 1) * stride + kernel - size)
        total_width = (4 - 1) * 2 + 2 - 7  # kernel 2, stride 2: 1
        top = total // 2 if mode == 0 else total - total // 2
        left = total_width // 2 if mode == 0 else total_width - total_width // 2
        options = {"type": kind, "kernelSize": [kernel, 2], "stride": [stride, 2]}
        y = run_layer("pooling", [x], fill=same(mode), avgPoolExcludePadding=exclude, **options)
        want = pool(x, kind, (kernel, 2), (stride, 2), (top, left), (out, 4), exclude)
        np.testing.assert_allclose(y, want)


def last_pixel_size(size, padding, kernel, stride, any_padding):
    out = math.ceil(float(size + 2 * padding - kernel) / float(stride)) + 1
    if any_padding and (out - 1) * stride >= size + padding:
        out -= 1
    return out


@pytest.mark.parametrize("amounts", [(), (0, 0), (1, 1), (2, 0), (0, 1)])
@pytest.mark.parametrize(("kind", "exclude"), KINDS)
def test_include_last_pixel(run_layer, kind, exclude, amounts):
    """The last window may overhang the padding; a mean does not count what is outside of both."""
    padding = amounts or (0, 0)
    for size, kernel, stride in itertools.product((5, 6, 7, 8), (2, 3), (1, 2, 3)):
        if padding[0] >= kernel or stride > kernel:
            continue  # the formulas would give windows without a pixel
        x = numbers(1, 2, size, 8, seed=size)
        options = {"type": kind, "kernelSize": [kernel, 3], "stride": [stride, 2]}
        y = run_layer(
            "pooling", [x], fill=last_pixel(*amounts), avgPoolExcludePadding=exclude, **options
        )
        sizes = (
            last_pixel_size(size, padding[0], kernel, stride, any(padding)),
            last_pixel_size(8, padding[1], 3, 2, any(padding)),
        )
        want = pool(x, kind, (kernel, 3), (stride, 2), padding, sizes, exclude)
        if kind == AVERAGE and not exclude:
            height, width = size + 2 * padding[0], 8 + 2 * padding[1]
            padded = np.pad(x, ((0, 0), (0, 0), *((n, n) for n in padding)))
            counts = np.ones((1, 1, height, width))
            total, count = (
                pool(a, AVERAGE, (kernel, 3), (stride, 2), (0, 0), sizes) for a in (padded, counts)
            )
            want = total / count
        np.testing.assert_allclose(y, want)
        assert (sizes[0] - 1) * stride - padding[0] + kernel >= size  # the option's promise


@pytest.mark.parametrize(
    ("kind", "oracle"),
    [
        (MAX, lambda x: x.max((-2, -1), keepdims=True)),
        (AVERAGE, lambda x: x.mean((-2, -1), keepdims=True)),
        (L2, lambda x: np.sqrt((x**2).sum((-2, -1), keepdims=True))),
    ],
)
@pytest.mark.parametrize(
    ("shape", "rank5"),
    [
        ((3, 4, 5), True),
        ((2, 3, 4, 5), True),
        ((2, 3, 4, 5), False),
        ((2, 2, 3, 4, 5), True),
        ((2, 2, 3, 4, 5), False),
    ],
)
@pytest.mark.parametrize("kernel", [[2, 2], [0, 0]])
def test_global(run_layer, kind, oracle, shape, rank5, kernel):
    """The kernel is the input's; the other parameters have no part."""
    x = numbers(*shape)
    y = run_layer(
        "pooling", [x], rank5=rank5, fill=valid(BORDERS[1]),
        type=kind, globalPooling=True, kernelSize=kernel, stride=[2, 2],
    )  # fmt: skip
    np.testing.assert_allclose(y, oracle(x))


def test_defaults(run_layer):
    """Maximum of 3x3 windows, a pixel apart, without padding."""
    x = numbers(1, 1, 5, 6)
    y = run_layer("pooling", [x])
    np.testing.assert_array_equal(y, pool(x, MAX, (3, 3), (1, 1), (0, 0), (3, 4)))


@pytest.mark.parametrize("kind", [MAX, AVERAGE, L2])
@pytest.mark.parametrize(
    ("leading", "rank5"),
    [((), True), ((2,), True), ((2, 3), True), ((2, 3), False), ((2, 1, 2), False)],
)
def test_ranks(run_layer, kind, leading, rank5):
    x = numbers(*leading, 2, 4, 5)
    y = run_layer("pooling", [x], rank5=rank5, type=kind, fill=same(0))
    want = pool(x.reshape(-1, 2, 4, 5), kind, (3, 3), (1, 1), (1, 1), (4, 5))
    np.testing.assert_allclose(y, want.reshape(x.shape))


@pytest.mark.parametrize(
    ("options", "fill", "words"),
    [
        ({"kernelSize": [0, 2]}, None, "kernelSize"),
        ({"kernelSize": [3]}, None, "kernelSize"),
        ({"kernelSize": [3, 3, 3]}, None, "kernelSize"),
        ({"kernelSize": [2**31, 3]}, None, "kernelSize"),
        ({"stride": [0, 0]}, None, "stride"),
        ({"stride": [1]}, None, "stride"),
        ({"type": 3}, None, "type 3 is not a PoolingType"),
        ({"type": 3, "globalPooling": True}, None, "type 3 is not a PoolingType"),
        ({}, valid([(1, 1)]), "paddingAmounts"),
        ({}, valid([(2**31, 0), (0, 0)]), "paddingAmounts"),
        ({}, same(2), "asymmetryMode"),
        ({}, last_pixel(1), "paddingAmounts"),
        ({}, last_pixel(1, 1, 1), "paddingAmounts"),
        ({}, last_pixel(2**31, 1), "paddingAmounts"),
        ({}, last_pixel(2**63, 1), "paddingAmounts"),
    ],
)
def test_bad_parameters(one_layer, options, fill, words):
    with pytest.raises(ModelError, match=words) as caught:
        migrate.to_torch(one_layer("pooling", [(1, 1, 5, 5)], fill=fill, **options))
    assert "layer 'tested' (pooling), 1 of 1" in str(caught.value)


@pytest.mark.parametrize("kind", [MAX, AVERAGE, L2])
@pytest.mark.parametrize(
    ("fill", "kernel"), [(valid(), 6), (last_pixel(0, 0), 8), (valid(), 2**31 - 1)]
)
def test_a_kernel_larger_than_the_input(one_layer, kind, fill, kernel):
    options = {"kernelSize": [kernel, kernel], "type": kind}
    net = migrate.to_torch(one_layer("pooling", [(1, 1, 5, 5)], fill=fill, **options))
    with pytest.raises(ModelError, match=r"layer 'tested' \(pooling\), 1 of 1: cannot be applied"):
        net.predict({"in0": np.ones((1, 1, 5, 5))})


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), [(6, 3, 2, 1), (7, 2, 3, 1)])
def test_include_last_pixel_counts_as_torchs_ceil_mode_does(
    run_layer, size, kernel, stride, padding
):
    x = numbers(1, 2, size, size)
    fields = {"type": AVERAGE, "kernelSize": [kernel] * 2, "stride": [stride] * 2}
    y = run_layer("pooling", [x], fill=last_pixel(padding, padding), **fields)
    want = torch.nn.functional.avg_pool2d(
        torch.tensor(x), kernel, stride, padding, ceil_mode=True, count_include_pad=True
    )
    np.testing.assert_allclose(y, want.numpy())
