"""Quantization against its formula in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import outputs_of

from migrate.coreml import coremltools
from migrate.mil.registry import ops

ct = coremltools()
mb = ct.converters.mil.Builder
X = (np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 11.5) * 1.25  # many halves of the scales


SCALES = np.array([0.5, 0.25, 2], np.float32)
CASES = [
    ("int8", np.float32(0.125), None, None),
    ("int8", np.float32(0.5), np.int8(-100), None),
    ("uint8", np.float32(0.25), np.uint8(128), None),
    ("uint8", SCALES, np.array([3, 250, 7], np.uint8), 1),
    ("int8", SCALES, None, -2),
    ("int8", np.array([0.5, 1, 2, 4], np.float32), np.array([1, -2, 3, -4], np.int8), -1),
]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("dtype", "scale", "zero_point", "axis"), CASES)
def test_quantizing_rounds_halves_to_even_and_clips(dtype, scale, zero_point, axis, half):
    given = {"zero_point": zero_point, "axis": axis}
    options = {"scale": scale, **{key: v for key, v in given.items() if v is not None}}

    def build(x):
        steps = mb.quantize(input=x, output_dtype=dtype, **options)
        return mb.cast(x=steps, dtype="int32"), mb.dequantize(input=steps, **options)

    shape = [1, 1, 1]
    if axis is not None:
        shape[axis] = -1
    wide = np.reshape(scale, shape)
    shift = np.reshape(
        0 if zero_point is None else zero_point, (1, 1, 1) if zero_point is None else shape
    )
    limits = np.iinfo(dtype)
    expected = np.clip(np.round(X / wide) + shift.astype(int), limits.min, limits.max)
    steps, back = outputs_of(build, x=X, half=half)
    np.testing.assert_array_equal(steps, expected)
    np.testing.assert_array_equal(back, (expected - shift.astype(int)) * wide)


def test_what_does_not_go_together_is_refused():
    quantize = ops()["quantize"].compute
    with pytest.raises(ValueError, match="output_dtype 'int4' is not known"):
        quantize(input=torch.zeros(2), scale=1.0, output_dtype="int4")
    for axis in (None, 1):
        with pytest.raises(ValueError, match=r"\[2\] values do not go with axis"):
            quantize(input=torch.zeros(2, 3), scale=torch.ones(2), output_dtype="int8", axis=axis)
