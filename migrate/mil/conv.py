"""Convolution and its transpose, over one to three spatial axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import functional as F

from migrate.mil.activation import per_channel
from migrate.mil.registry import op
from migrate.mil.values import ints, tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSES: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}

Border = list[tuple[int, int]]  # padding before and after each spatial axis


@op("conv")
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Any = None,
    strides: Any = None,
    pad_type: str = "valid",
    pad: Any = None,
    dilations: Any = None,
    groups: int = 1,
) -> Tensor:
    """Convolve."""
    rank = x.ndim - 2
    stride, dilation = spatial(strides, rank), spatial(dilations, rank)
    reach = _reach(weight, dilation)
    totals = [
        (-(-size // step) - 1) * step + window - size
        for size, window, step in zip(x.shape[2:], reach, stride, strict=True)
    ]
    padded = F.pad(x, for_pad(border(pad_type, pad, totals)))
    y = CONVOLUTIONS[rank](padded, weight, None, stride, 0, dilation, int(groups))
    return _biased(y, bias)


@op("conv_transpose")
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Any = None,
    pad: Any = None,
    output_shape: Any = None,
    pad_type: str = "valid",
    strides: Any = None,
    dilations: Any = None,
    groups: int = 1,
) -> Tensor:
    """Return the gradient of a convolution with this padding, whose input has the output's size.

    What the convolution would not have read of its input, at the end of an axis, is 0.
    """
    rank = x.ndim - 2
    stride, dilation = spatial(strides, rank), spatial(dilations, rank)
    full = TRANSPOSES[rank](x, weight, None, stride, 0, 0, int(groups), dilation)
    whole, sizes = list(full.shape[2:]), None
    if output_shape is not None:
        sizes = ints(output_shape)[2:]
    elif pad_type in ("same", "same_lower"):
        sizes = [step * size for size, step in zip(x.shape[2:], stride, strict=True)]
    totals = [n - size for n, size in zip(whole, sizes or whole, strict=True)]
    cut = border(pad_type, pad, totals)
    if sizes:
        cut = [(start, n - start) for (start, _), n in zip(cut, totals, strict=True)]
    return _biased(F.pad(full, for_pad([(-start, -end) for start, end in cut])), bias)


def spatial(values: Any, rank: int) -> list[int]:
    """Return strides or dilations, ones where they are left out."""
    return [1] * rank if values is None else ints(values)


def border(pad_type: str, pad: Any, totals: Sequence[int]) -> Border:
    """Return the padding of each axis; `totals` is what it adds up to if it is same.

    Of an odd total `same` has the larger half at the end, as TensorFlow and SamePadding of
    NeuralNetwork.proto have it, and `same_lower` the opposite. MIL's formula for kernels of even
    size says the reverse.
    """
    if pad_type == "valid":
        return [(0, 0)] * len(totals)
    if pad_type == "custom":
        amounts = [0] * 2 * len(totals) if pad is None else ints(pad)
        return list(zip(amounts[::2], amounts[1::2], strict=True))
    if pad_type not in ("same", "same_lower"):
        raise ValueError(f"pad_type {pad_type!r} is not known")
    halves = [(total // 2, total - total // 2) for total in (max(0, n) for n in totals)]
    return halves if pad_type == "same" else [(more, less) for less, more in halves]


def for_pad(amounts: Border) -> list[int]:
    """Return the padding in the order of F.pad: the last axis first."""
    return [n for pair in reversed(amounts) for n in pair]


def _reach(weight: Tensor, dilation: Sequence[int]) -> list[int]:
    return [(size - 1) * d + 1 for size, d in zip(weight.shape[2:], dilation, strict=True)]


def _biased(y: Tensor, bias: Any) -> Tensor:
    return y if bias is None else y + per_channel(tensor(bias), y)
