"""Every form in which WeightParams stores values, against coremltools and numpy written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from migrate import weights
from migrate.coreml import coremltools, proto
from migrate.errors import ModelError

SHAPE = (3, 2, 2, 5)  # 60 values, which fill no whole byte at 3, 5 and 7 bits


def message(**fields):
    """A WeightParams message; scale, bias and table go to its quantization."""
    w = proto("NeuralNetwork_pb2").WeightParams()
    quantization = w.quantization
    for field, value in fields.items():
        if field == "bits":
            quantization.numberOfBits = value
        elif field in ("scale", "bias"):
            getattr(quantization.linearQuantization, field).extend(np.ravel(value))
        elif field == "table":
            quantization.lookupTableQuantization.floatValue.extend(value)
        elif isinstance(value, bytes):
            setattr(w, field, value)
        else:
            getattr(w, field).extend(np.ravel(value))
    return w


def pack(codes, bits):
    """Write codes one behind the other, the highest bit first, and fill the last byte with 0."""
    text = "".join(format(int(code), f"0{bits}b") for code in np.ravel(codes))
    text = text.ljust(math.ceil(len(text) / 8) * 8, "0")
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def random_codes(bits, seed=0):
    codes = np.random.default_rng(seed).integers(0, 2**bits, SHAPE)
    codes.flat[:2] = 0, 2**bits - 1
    return codes


def utils():
    coremltools()
    from coremltools.models.neural_network import quantization_utils

    return quantization_utils


def test_float32():
    values = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    values[0] = [np.float32(1e-45), np.inf, -0.0]
    got = weights.array(message(floatValue=values), (2, 3), "weights")
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, values)
    assert np.signbit(got[0, 2])


def test_one_float_of_many_more_fields():
    w = message(floatValue=[1.5])
    w.isUpdatable = True
    np.testing.assert_array_equal(weights.array(w, (1,), "weights"), [1.5])


def test_float16():
    values = np.array([[0.1, -2.5, 65504], [6e-8, -0.0, np.inf]], np.float16)
    got = weights.array(message(float16Value=values.astype("<f2").tobytes()), (2, 3), "weights")
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, values.astype(np.float32))


def test_float16_as_coremltools_writes_it():
    values = np.random.default_rng(0).normal(size=7).astype(np.float32)
    w = message(floatValue=values)
    utils()._wp_to_fp16wp(w)
    got = weights.array(w, (7,), "weights")
    np.testing.assert_array_equal(got, values.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("biased", [True, False])
def test_linear_of_every_number_of_bits(bits, channels, biased):
    codes = random_codes(bits)
    scale, bias = np.linspace(0.25, 2, channels), np.linspace(-1, 7, channels)
    w = message(rawValue=pack(codes, bits), bits=bits, scale=scale, bias=bias if biased else [])
    across = (channels, 1, 1, 1)
    expected = codes * scale.reshape(across) + bias.reshape(across) * biased
    np.testing.assert_allclose(weights.array(w, SHAPE, "weights"), expected, rtol=1e-6)


@pytest.mark.parametrize("bits", range(1, 9))
def test_linear_along_the_second_axis(bits):
    codes, scale, bias = random_codes(bits), np.array([0.5, 3.0]), np.array([1.0, -2.0])
    w = message(rawValue=pack(codes, bits), bits=bits, scale=scale, bias=bias)
    expected = codes * scale.reshape(1, 2, 1, 1) + bias.reshape(1, 2, 1, 1)
    got = weights.array(w, SHAPE, "weights", channel_axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("bits", range(1, 9))
def test_lookup_table_of_every_number_of_bits(bits):
    codes = random_codes(bits)
    table = np.random.default_rng(1).normal(size=2**bits).astype(np.float32)
    w = message(rawValue=pack(codes, bits), bits=bits, table=table)
    np.testing.assert_array_equal(weights.array(w, SHAPE, "weights"), table[codes])


PACKED = [
    (mode, bits)
    for mode in (
        "_linear_quantization",
        "_linear_quantization_symmetric",
        "_lookup_table_quantization_linear",
    )
    for bits in range(1 + (mode == "_linear_quantization_symmetric"), 9)  # of 1 bit it has no scale
]


@pytest.mark.parametrize(("mode", "bits"), PACKED)
@pytest.mark.parametrize("axis", [0, 1])
def test_what_coremltools_packs_is_what_it_unpacks(mode, bits, axis):
    values = np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)
    w = message(floatValue=values)
    utils()._quantize_wp_field(w, bits, mode, SHAPE, axis)
    assert w.rawValue
    assert not w.floatValue
    got = weights.array(w, SHAPE, "weights", channel_axis=axis)
    utils()._dequantize_wp(w, SHAPE, axis)
    np.testing.assert_allclose(got.ravel(), np.array(w.floatValue), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [0.125, 3.0])
def test_int8_for_dynamic_quantisation(scale):
    codes = np.arange(-128, 128).astype(np.int8)
    w = message(int8RawValue=codes.tobytes(), bits=8, scale=[scale])
    expected = np.arange(-128, 128) * scale
    np.testing.assert_array_equal(weights.array(w, (4, 64), "weights"), expected.reshape(4, 64))


def test_a_scale_per_channel_of_one_channel():
    w = message(rawValue=bytes([3, 4]), bits=8, scale=[2.0], bias=[1.0])
    np.testing.assert_array_equal(weights.array(w, (1, 2), "weights"), [[7, 9]])


def test_no_values_for_an_empty_shape():
    assert weights.array(message(), (0, 3), "weights").shape == (0, 3)


def test_a_scalar():
    assert weights.array(message(floatValue=[2.5]), (), "weights") == np.float32(2.5)


@pytest.mark.parametrize(
    ("fields", "shape", "why"),
    [
        ({}, (2, 3), "weights holds 0 values, expected 6 for shape 2x3"),
        ({"floatValue": range(5)}, (2, 3), "weights holds 5 values, expected 6"),
        ({"floatValue": range(7)}, (2, 3), "weights holds 7 values, expected 6"),
        ({"floatValue": range(2)}, (), "weights holds 2 values, expected 1 for shape scalar"),
        ({"floatValue": range(2)}, (1000, 2), "holds 2 values, expected 2,000"),
        ({"float16Value": b"\0" * 5}, (2,), "weights holds an odd number of float16 bytes"),
        ({"float16Value": b"\0" * 6}, (2,), "weights holds 3 values, expected 2"),
        ({"rawValue": b"\0" * 6}, (6,), "weights is quantised to 0 bits; 1 to 8 are possible"),
        ({"rawValue": b"\0", "bits": 9, "scale": [1]}, (1,), "quantised to 9 bits"),
        ({"rawValue": b"\0" * 6, "bits": 8}, (6,), "raw bytes without saying how"),
        ({"int8RawValue": b"\0" * 6}, (6,), "int8 values without a linear scale"),
        ({"rawValue": b"\0" * 5, "bits": 8, "scale": [1]}, (6,), "holds 5 values, expected 6"),
        ({"rawValue": b"\0" * 7, "bits": 8, "scale": [1]}, (6,), "holds 7 values, expected 6"),
        ({"rawValue": b"\0" * 2, "bits": 3, "scale": [1]}, (6,), "holds 5 values, expected 6"),
        ({"rawValue": b"\0" * 4, "bits": 3, "scale": [1]}, (6,), "holds 10 values, expected 6"),
        ({"rawValue": b"", "bits": 3, "scale": [1]}, (6,), "holds 0 values, expected 6"),
        ({"int8RawValue": b"\0" * 5, "bits": 8, "scale": [1]}, (6,), "holds 5 values, expected 6"),
        (
            {"rawValue": b"\0" * 6, "bits": 8, "scale": [1, 2, 3]},
            (2, 3),
            "the scale of weights holds 3 values, expected 1 or 2",
        ),
        (
            {"rawValue": b"\0" * 6, "bits": 8, "scale": [1], "bias": [1, 2, 3]},
            (2, 3),
            "the bias of weights holds 3 values, expected 1 or 2",
        ),
        (
            {"rawValue": b"\0\4", "bits": 8, "table": range(4)},
            (2,),
            "weights looks up entry 4 of a table of 4",
        ),
        ({"rawValue": b"\0", "bits": 1, "table": []}, (1,), "entry 0 of a table of 0"),
    ],
)
def test_what_does_not_fit_is_named(fields, shape, why):
    with pytest.raises(ModelError, match=why):
        weights.array(message(**fields), shape, "weights")


def test_a_scale_along_the_other_axis_is_refused():
    w = message(rawValue=b"\0" * 6, bits=8, scale=[1, 2])
    assert weights.array(w, (2, 3), "weights").shape == (2, 3)
    with pytest.raises(ModelError, match="holds 2 values, expected 1 or 3"):
        weights.array(w, (2, 3), "weights", channel_axis=1)


@pytest.mark.parametrize("axis", [0, 1])
def test_what_is_collected_is_what_is_stored(axis):
    codes, count = random_codes(3), SHAPE[axis]
    scale, bias = np.linspace(0.25, 2, count), np.linspace(-1, 7, count)
    with weights.collecting() as collected:
        weights.array(message(floatValue=np.ones(60)), SHAPE, "bias")
        w = message(rawValue=pack(codes, 3), bits=3, scale=scale, bias=bias)
        values = weights.array(w, SHAPE, "weights", channel_axis=axis)
    (found,) = collected
    assert (found.field, found.bits, found.table) == ("weights", 3, None)
    assert found.codes.dtype == np.uint8
    np.testing.assert_array_equal(found.codes, codes)
    across = [1, 1, 1, 1]
    across[axis] = count
    np.testing.assert_array_equal(found.scale, np.float32(scale).reshape(across))
    np.testing.assert_array_equal(found.bias, np.float32(bias).reshape(across))
    np.testing.assert_array_equal(found.values(), values)


def test_tables_and_signed_codes_are_collected():
    codes, table = random_codes(4), np.arange(16, dtype=np.float32) ** 2
    signed = np.arange(-128, 128).astype(np.int8)
    with weights.collecting() as collected:
        weights.array(message(rawValue=pack(codes, 4), bits=4, table=table), SHAPE, "weights")
        weights.array(message(int8RawValue=signed.tobytes(), scale=[3]), (256,), "bias")
    first, second = collected
    np.testing.assert_array_equal(first.table, table)
    np.testing.assert_array_equal(first.values(), table[codes])
    assert (second.field, second.bits, second.codes.dtype) == ("bias", 8, np.int8)
    np.testing.assert_array_equal(second.values(), 3.0 * signed)


def test_nothing_is_collected_of_what_does_not_fit():
    with weights.collecting() as collected, pytest.raises(ModelError, match="expected 6"):
        weights.array(message(rawValue=b"\0" * 5, bits=8, scale=[1]), (6,), "weights")
    assert not collected


def test_only_what_is_read_meanwhile_is_collected():
    def read():
        weights.array(message(rawValue=b"\1\2", bits=8, scale=[1]), (2,), "weights")

    read()
    with weights.collecting() as outer:
        read()
        with weights.collecting() as inner:
            read()
            read()
        read()
    read()
    assert (len(outer), len(inner)) == (2, 2)


def test_collecting_ends_with_an_error():
    def fail():
        with weights.collecting() as collected:
            found.append(collected)
            raise KeyError

    found: list[list[weights.Quantised]] = []
    with pytest.raises(KeyError):
        fail()
    weights.array(message(rawValue=b"\1\2", bits=8, scale=[1]), (2,), "weights")
    assert found == [[]]


@pytest.mark.parametrize(
    ("fields", "stored"),
    [
        ({}, 0),
        ({"floatValue": range(5)}, 5),
        ({"float16Value": b"\0" * 6}, 3),
        ({"rawValue": b"\0" * 6, "bits": 8}, 6),
        ({"rawValue": b"\0" * 3, "bits": 4}, 6),
        ({"int8RawValue": b"\0" * 6, "bits": 8}, 6),
    ],
)
def test_count(fields, stored):
    assert weights.count(message(**fields)) == stored


@pytest.mark.parametrize("count", [1, 31, 32, 33, 4095, 4096, 524287, 524288])
def test_floats_behind_a_length_of_any_number_of_bytes(count):
    """The length, of four bytes a value, grows by a byte at 2^7, 2^14 and 2^21."""
    values = np.arange(count, dtype=np.float32)
    found = weights.array(message(floatValue=values), (count,), "weights")
    np.testing.assert_array_equal(found, values)
