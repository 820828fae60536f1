"""Bilinear values, the oracle of resampling layers: sums of hat functions over all pixels."""

from __future__ import annotations

import numpy as np

STRICT, ALIGN, UPSAMPLE, ROI = range(4)  # methods of SamplingMode


def numbers(*shape, seed=0):
    return np.random.RandomState(seed).randint(-64, 65, size=shape) / 16.0


def bilinear(x, rows, columns):
    hats = [
        np.maximum(0, 1 - np.abs(np.asarray(points)[:, None] - np.arange(size)))
        for points, size in zip((rows, columns), x.shape[-2:], strict=True)
    ]
    return np.einsum("...hw,ih,jw->...ij", x, *hats)


def sampled(method, size, n):
    """SamplingMode's definition, word for word; X is `size`, which need not be whole."""
    if method == STRICT:
        return np.linspace(0, size - 1, n)
    if method == ALIGN:
        middle = (size - 1) / 2
        return np.linspace(middle, middle, n) if n == 1 else np.linspace(0, size - 1, n)
    if method == UPSAMPLE:
        return np.minimum(size - 1, np.linspace(0, size - size / n, n))
    spacing = max(1, size - 1) / n
    start = 0.5 * spacing
    return np.minimum(size - 1, np.linspace(start, start + (n - 1) * spacing, n))
