"""Compressed weights: each form against its formula, element by element."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import compute, quiet

from migrate import evaluate
from migrate.coreml import coremltools

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types


def integers(values, kind):
    """Integers of a type of less than a byte, as coremltools marks them."""
    return np.array(values).astype(types.nptype_from_builtin(types.string_to_builtin(kind)))


def weights(build, target="iOS18"):
    """What a program of constants computes: they are added to zeros of their shape."""

    def added(x):
        dense = build()
        return mb.add(
            x=mb.reshape(x=mb.tile(x=x, reps=[int(np.prod(dense.shape))]), shape=dense.shape),
            y=dense,
        )

    version = getattr(ct.target, target)
    with quiet():
        program = mb.program(input_specs=[mb.TensorSpec((1,))], opset_version=version)(added)
        model = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=version,
            compute_precision=ct.precision.FLOAT32,
            skip_model_load=True,
            pass_pipeline=ct.PassPipeline.EMPTY,
        )
        (result,) = evaluate(model, {"x": np.zeros(1, np.float32)}).values()
    return result


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("axis", [0, -1, None])
def test_affine_weights_have_a_scale_and_a_zero_point_for_all_or_for_each_slice(kind, axis):
    data = np.arange(12).reshape(3, 4).astype(kind) + np.array(120, kind)
    count = 1 if axis is None else data.shape[axis]
    scale = np.float32(0.5) + np.arange(count, dtype=np.float32)
    zero_point = np.arange(count).astype(kind) + np.array(3, kind)
    wide = (-1, 1) if axis == 0 else (1, -1)
    expected = scale.reshape(wide) * (data.astype(int) - zero_point.reshape(wide).astype(int))
    given = (scale[0], zero_point[0]) if axis is None else (scale, zero_point)

    def build():
        return mb.constexpr_affine_dequantize(
            quantized_data=data, scale=given[0], zero_point=given[1], axis=axis or 0
        )

    np.testing.assert_array_equal(weights(build, "iOS16"), expected)


def test_float16_weights_are_cast():
    values = np.float16([0.1, -3, 65504])
    result = weights(lambda: mb.constexpr_cast(source_val=values, output_dtype="fp32"), "iOS16")
    np.testing.assert_array_equal(result, values.astype(np.float32))
    with pytest.raises(ValueError, match="output_dtype 'fp16' is not known"):
        compute("constexpr_cast", source_val=torch.zeros(1), output_dtype="fp16")


def packed(numbers, width):
    """Numbers as bytes, the least significant bits first."""
    text = "".join(format(n, f"0{width}b")[::-1] for n in numbers)
    text += "0" * (-len(text) % 8)
    return np.array([int(text[i : i + 8][::-1], 2) for i in range(0, len(text), 8)], np.uint8)


@pytest.mark.parametrize("width", [1, 2, 4, 6, 8])
def test_indices_into_a_table_are_packed_in_bytes(width):
    random = np.random.RandomState(width)
    indices, lut = random.randint(0, 2**width, 35), random.randn(2**width).astype(np.float32)
    arguments = {"lut": lut, "shape": np.array([5, 7], np.uint32)}

    def build():
        return mb.constexpr_lut_to_dense(indices=packed(indices, width), **arguments)

    np.testing.assert_array_equal(weights(build, "iOS16"), lut[indices].reshape(5, 7))


def test_a_mask_is_packed_in_bytes():
    mask = np.random.RandomState(0).randint(0, 2, 21)
    values = np.arange(1, mask.sum() + 1, dtype=np.float32)
    expected = np.zeros(21)
    expected[mask == 1] = values

    def build():
        return mb.constexpr_sparse_to_dense(
            nonzero_data=values, mask=packed(mask, 1), shape=np.array([3, 7], np.uint32)
        )

    np.testing.assert_array_equal(weights(build, "iOS16"), expected.reshape(3, 7))


@pytest.mark.parametrize("kind", ["int4", "uint4", "int8", "uint8"])
@pytest.mark.parametrize("offset", [None, "same", "float"])
def test_each_block_has_its_scale_and_offset(kind, offset):
    low, high = (-8, 8) if kind == "int4" else (-128, 128) if kind == "int8" else (0, 16)
    data = np.random.RandomState(1).randint(low, high, (4, 6))
    scale = np.random.RandomState(2).rand(2, 3).astype(np.float32)
    shift = (
        np.zeros((2, 3)) if offset is None else np.arange(6).reshape(2, 3) + (offset == "float") / 2
    )
    given = {"same": integers(shift, kind), "float": shift.astype(np.float32)}
    options = {} if offset is None else {"offset": given[offset]}
    expected = np.empty((4, 6), np.float32)
    for i, j in np.ndindex(4, 6):
        expected[i, j] = scale[i // 2, j // 2] * (data[i, j] - shift[i // 2, j // 2])

    def build():
        return mb.constexpr_blockwise_shift_scale(data=integers(data, kind), scale=scale, **options)

    np.testing.assert_allclose(weights(build), expected, rtol=1e-6)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 6, 8])
def test_each_block_has_its_table(width):
    random = np.random.RandomState(width)
    indices = random.randint(0, 2**width, (4, 6))
    lut = random.randn(2, 1, 2**width, 1).astype(np.float32)
    expected = [[lut[i // 2, 0, indices[i, j], 0] for j in range(6)] for i in range(4)]

    def build():
        return mb.constexpr_lut_to_dense(indices=integers(indices, f"uint{width}"), lut=lut)

    np.testing.assert_array_equal(weights(build), expected)


VECTORS = np.arange(24, dtype=np.float32).reshape(2, 1, 4, 3)
INDICES = np.random.RandomState(3).randint(0, 4, (4, 2))


def vectors_along(axis):
    """Each index as three values in a column or in a row."""
    found = np.array([[VECTORS[i // 2, 0, INDICES[i, j]] for j in range(2)] for i in range(4)])
    if axis % 2 == 0:
        return np.concatenate([found[i].T for i in range(4)])
    return found.reshape(4, 6)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_table_of_vectors_fills_an_axis(axis):
    def build():
        indices = integers(INDICES, "uint2")
        return mb.constexpr_lut_to_dense(indices=indices, lut=VECTORS, vector_axis=axis)

    np.testing.assert_array_equal(weights(build), vectors_along(axis))


def test_a_table_of_vectors_needs_an_axis():
    with pytest.raises(ValueError, match="vector_axis is missing"):
        compute("constexpr_lut_to_dense", indices=torch.zeros(2), lut=torch.zeros(1, 2, 3))
    with pytest.raises(ValueError, match="2 blocks do not divide 3"):
        compute("constexpr_lut_to_dense", indices=torch.zeros(3), lut=torch.zeros(2, 2, 1))


MASK = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])


@pytest.mark.parametrize("axis", [0, 1, None])
def test_what_a_mask_keeps_may_be_indices(axis):
    lut = VECTORS if axis is not None else VECTORS[..., :1]
    dense = vectors_along(axis) if axis is not None else vectors_along(1)[:, ::3]
    kept = MASK if axis is None else np.repeat(MASK, 3, axis)

    def build():
        mask, values = mb.constexpr_lut_to_sparse(
            indices_mask=integers(MASK, "uint1"),
            indices_nonzero_data=integers(INDICES[MASK == 1], "uint2"),
            lut=lut,
            **({} if axis is None else {"vector_axis": axis}),
        )
        return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask)

    np.testing.assert_array_equal(weights(build), np.where(kept, dense, 0))


@pytest.mark.parametrize("shifted", [False, True])
def test_what_a_mask_keeps_may_be_scaled(shifted):
    data = np.random.RandomState(4).randint(-8, 8, (4, 2))
    scale, shift = np.float32([[0.5, 3]]), np.array([[2, -1]]) * shifted
    options = {"offset": integers(shift, "int4")} if shifted else {}

    def build():
        mask, values = mb.constexpr_sparse_blockwise_shift_scale(
            data_mask=integers(MASK, "uint1"),
            nonzero_data=integers(data[MASK == 1], "int4"),
            scale=scale,
            **options,
        )
        return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask)

    np.testing.assert_array_equal(weights(build), np.where(MASK, scale * (data - shift), 0))
