"""How much a file may claim: what is larger is refused, before anything is allocated for it.

The limits are fixed, and not the machine's: a model that is read on one is read on every other.
"""

from __future__ import annotations

LARGEST_BYTES = 2 * 2**30  # of one tensor: 64 channels at 4K in float32; fuzzing sets it lower
INT32_MAX = 2**31 - 1  # of a number that a program or torch counts in


def largest() -> int:
    """Return the most elements of a tensor, in float32."""
    return LARGEST_BYTES // 4


def most_held() -> int:
    """Return the most bytes of all the tensors that are alive at once."""
    return 2 * LARGEST_BYTES
