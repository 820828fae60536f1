"""Values as float16 has them, held in the type that they had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

LARGEST = 65504.0  # of float16
PIECE = 2**18  # values that are looked at together


class Rounding:
    """A watch that rounds blobs to float16, and notes those that become infinite.

    Those in `exempt` stay as they are.
    """

    def __init__(self, exempt: Collection[str] = ()) -> None:
        self.exempt = exempt
        self.beyond_range: dict[str, None] = {}

    def __call__(self, name: str, value: Tensor) -> Tensor:
        """Return the blob as float16 has it."""
        result = value if name in self.exempt else rounded(value)
        both = zip(_pieces(value), _pieces(result), strict=True)
        if any(bool((near.isinf() & x.isfinite()).any()) for x, near in both):
            self.beyond_range[name] = None
        return result


def rounded(value: Tensor) -> Tensor:
    """Return the values as float16 has them, infinite from 65520 on, in the tensor's own type.

    A tensor of nothing but whole numbers up to 65504 stays as it is: they may be indices or sizes,
    which no device rounds, and another word or size is no rounding error. Of data that happen to be
    whole, that leaves the rounding beyond 2048 to the ulp below which no envelope is.
    """
    if not value.is_floating_point():
        return value
    pieces = _pieces(value)  # the first tells most often
    whole = all(bool(((x == x.round()) & (x.abs() <= LARGEST)).all()) for x in pieces)
    return value if whole else value.half().to(value.dtype)


def _pieces(value: Tensor) -> Sequence[Tensor]:
    """Return the values in pieces: what is computed of each is small beside a large tensor."""
    return torch.split(value.flatten(), PIECE)
