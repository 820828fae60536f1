"""ValidPadding and SamePadding against the formulas of NeuralNetwork.proto."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from migrate import ModelError
from migrate.coreml import proto
from migrate.layers import padding

SIZES = st.integers(1, 40)


def border_amounts(*sizes):
    amounts = proto("NeuralNetwork_pb2").BorderAmounts()
    for start, end in sizes:
        amounts.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)
    return amounts


def test_pair():
    assert padding.pair([], 3, "kernelSize") == (3, 3)
    assert padding.pair([4, 5], 3, "kernelSize") == (4, 5)
    assert padding.pair([1, 2**31 - 1], 3, "kernelSize") == (1, 2**31 - 1)


@pytest.mark.parametrize("values", [[1], [1, 2, 3], [0, 1], [1, 0], [-1, 2], [2**31, 1]])
def test_no_pair(values):
    with pytest.raises(ModelError, match=r"kernelSize must be two positive numbers \[H, W\]"):
        padding.pair(values, 3, "kernelSize")


def test_edges():
    assert padding.edges(border_amounts(), "paddingAmounts") == (0, 0, 0, 0)
    assert padding.edges(border_amounts((1, 2), (3, 4)), "paddingAmounts") == (1, 2, 3, 4)


@pytest.mark.parametrize("sizes", [[(1, 1)], [(1, 1)] * 3, [(2**31, 0), (0, 0)]])
def test_no_edges(sizes):
    with pytest.raises(ModelError, match="cropAmounts"):
        padding.edges(border_amounts(*sizes), "cropAmounts")


def test_modes():
    same = proto("NeuralNetwork_pb2").SamePadding
    assert padding.heavy_start(same.TOP_LEFT_HEAVY)
    assert not padding.heavy_start(same.BOTTOM_RIGHT_HEAVY)
    with pytest.raises(ModelError, match="asymmetryMode 2 is not a SamePaddingMode"):
        padding.heavy_start(2)


@given(
    sizes=st.lists(SIZES, min_size=2, max_size=3), reach=SIZES, stride=SIZES, at_start=st.booleans()
)
def test_same_border(sizes, reach, stride, at_start):
    """SamePadding: the output is ceil(size / stride); F.pad names the last axis first."""
    axes = len(sizes)
    x = torch.ones(1, 2, *sizes)
    border = padding.same_border(x, (reach,) * axes, (stride,) * axes, at_start)
    for size, start, end in zip(sizes[::-1], border[::2], border[1::2], strict=True):
        out = math.ceil(size / stride)
        total = start + end
        assert total == max(0, (out - 1) * stride + reach - size)
        # BOTTOM_RIGHT_HEAVY: top = floor(total / 2); TOP_LEFT_HEAVY: bottom is that
        assert (end if at_start else start) == math.floor(total / 2)
        # and with it every output but no further one fits, if the kernel reaches over its stride
        if reach >= stride:
            assert (size + total - reach) // stride + 1 == out


@given(height=SIZES, width=SIZES, stride=st.integers(1, 3), mode=st.sampled_from([0, 1]))
def test_same_pad(height, width, stride, mode):
    x = torch.ones(1, 2, height, width)
    pad = padding.same_pad((3, 4), (stride, 2), mode)
    left, right, top, bottom = pad.border(x)
    odd = (0, 1) if mode else (-1, 0)  # by how much the start may exceed the end
    assert top - bottom in odd
    assert left - right in odd
    y = pad(x)
    assert y.shape == (1, 2, height + top + bottom, width + left + right)
    assert (y[:, :, top : top + height, left : left + width] == 1).all()
    assert (y == 0).sum() == y.numel() - x.numel()
    outputs = torch.nn.functional.conv2d(y, torch.ones(1, 2, 3, 4), stride=(stride, 2))
    assert outputs.shape[2:] == (math.ceil(height / stride), math.ceil(width / 2))


@given(reach=st.tuples(SIZES, SIZES), height=SIZES, width=SIZES, mode=st.sampled_from([0, 1]))
def test_with_a_stride_of_1_the_padding_is_the_same_at_any_size(reach, height, width, mode):
    pad = padding.same_pad(reach, (1, 1), mode)
    assert isinstance(pad, padding.Pad)
    x = torch.ones(1, 1, height, width)
    assert pad.amounts == padding.same_border(x, reach, (1, 1), bool(mode))


def test_shortest():
    assert padding.shortest((3, 3)) == 3
    assert padding.shortest((3, 4)) == (3, 4)
