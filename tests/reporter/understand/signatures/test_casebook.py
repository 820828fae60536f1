"""The numbers of public reports, replayed: each is named, with the number that the report gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted import Output, codes, ulp

from reporter.understand.signatures import Evidence, signatures

SWEEP = np.linspace(-15, 15, 2000)  # as in coremltools 2690


def evidence(found, exact, unit=None, dtype=np.float16, **more):
    """With an envelope of one ulp of each channel's peak, unless another is given."""
    exact = np.asarray(exact, np.float64)
    matrix = exact.reshape(math.prod(exact.shape[:-2]), -1)
    rmse = ulp(np.abs(matrix).max(axis=1)) if unit is None else np.full(len(matrix), unit)
    return Evidence(np.asarray(found).astype(dtype), exact, rmse, **more)


def headline(given):
    return signatures(given)[0]


def numbers(one):
    return dict(one.numbers)


def test_softplus_drops_to_zero_at_10_408():
    exact = np.log1p(np.exp(SWEEP))
    one = headline(evidence(np.where(SWEEP > 10.408, 0, exact), exact))
    assert one.code == "C1"
    assert numbers(one)["threshold"] == pytest.approx(10.408, abs=0.016)
    assert numbers(one)["exp of threshold"] == pytest.approx(33124, rel=0.016)
    assert numbers(one)["beyond"] == "zero"
    assert "next to 2^15" in one.says


def test_log_sum_exp_over_32_channels_drops_to_zero_at_7_6313():
    exact = SWEEP + math.log(32)
    one = headline(
        evidence(np.where(SWEEP > 7.6313, 0, exact).reshape(1, 1, 1, -1), exact[None, None, None])
    )
    assert one.code == "C1"
    assert numbers(one)["threshold"] - math.log(32) == pytest.approx(7.6313, abs=0.016)
    assert numbers(one)["exp of threshold"] == pytest.approx(65974, rel=0.016)
    assert "next to 65,504" in one.says


def test_mish_drops_to_zero_where_softplus_does():
    exact = SWEEP * np.tanh(np.log1p(np.exp(SWEEP)))
    one = headline(evidence(np.where(SWEEP > 10.408, 0, exact), exact))
    assert (one.code, round(numbers(one)["threshold"], 1)) == ("C1", 10.4)


def test_a_cliff_to_infinity_is_not_finite_first():
    exact = np.log1p(np.exp(SWEEP))
    found = signatures(evidence(np.where(SWEEP > 11.09, np.inf, exact), exact))
    assert codes(found)[:2] == ["N1", "C1"]
    assert numbers(found[1])["beyond"] == "infinite"


@pytest.mark.parametrize("gain", [2, 4, 8])
@pytest.mark.parametrize("value", [1.0, -1.0, 0.5])
def test_all_1024_dequantized_values_are_2_4_or_8_times_too_large(gain, value):
    exact = np.full((1, 16, 8, 8), value)
    one = headline(evidence(gain * exact, exact))
    assert (one.code, numbers(one)["gain"]) == ("G1", pytest.approx(gain))
    assert numbers(one)["values"] == 1024
    assert "a gain is not told from an offset" in one.says


def test_average_pooling_is_49_times_too_large():
    exact = np.random.default_rng(1901).normal(size=(1, 8, 6, 6)) / 7
    found = signatures(evidence(49 * exact.astype(np.float32), exact, dtype=np.float32))
    assert codes(found) == ["G1"]
    assert numbers(found[0])["gain"] == pytest.approx(49, abs=0.01)
    assert numbers(found[0])["r2"] > 0.999


def test_a_few_vectors_are_a_thousand_times_too_large():
    exact = np.random.default_rng(39).normal(size=(1, 280, 768)) / 4
    found = exact.astype(np.float16).astype(np.float64)
    found[0, [5, 77, 130]] *= 1000
    one = headline(evidence(found, exact))
    assert (one.code, numbers(one)["gain"]) == ("G1", pytest.approx(1000, rel=1e-3))
    assert 2000 < numbers(one)["values"] <= 3 * 768


def test_a_bias_indexed_by_the_channel_after_pixel_shuffle():
    rng = np.random.default_rng(40)
    exact, bias = rng.normal(size=(1, 16, 12, 14)), rng.normal(size=64)
    c, y, x = np.ogrid[:16, :12, :14]
    found = exact - bias[4 * c + 2 * (y % 2) + x % 2] + bias[c]
    one = headline(evidence(found[0], exact[0]))
    assert one.code == "G1"
    assert "place in blocks of 2 x 2" in one.says


def test_rows_of_200_values_are_224_apart():
    output = Output((1, 1, 60, 200), seed=55)
    buffer = np.zeros((60, 224), np.float16)
    buffer[:, :200] = output.healthy[0, 0]
    read = buffer.reshape(-1)[: 60 * 200].reshape(1, 1, 60, 200)
    one = headline(output.evidence(read))
    assert one.code == "L1"
    given = numbers(one)
    assert [given[k] for k in ("row length", "stride written", "stride read")] == [200, 224, 200]


def test_a_recorded_stride_that_no_padding_gives_is_tried():
    output = Output((1, 2, 30, 50), seed=7)
    buffer = np.zeros((60, 77), np.float16)
    buffer[:, :50] = output.healthy.reshape(60, 50)
    read = buffer.reshape(-1)[:3000].reshape(output.shape)
    strides = (2 * 30 * 77, 30 * 77, 77, 1)
    assert numbers(headline(output.evidence(read, strides=strides)))["stride written"] == 77
    assert "L1" not in codes(signatures(output.evidence(read)))


def block_output(found=None, bias=0.2047119):
    """The output of thread 720810 with channel 322 held, as (1, 1600, 39, 1)."""
    output = Output((1, 1600, 39, 1), seed=720810, mean=-22.0)
    values = output.healthy.astype(np.float64)
    values[0, 322] = bias
    return output, values


def test_channel_322_holds_0_2047119():
    output, values = block_output()
    one = headline(output.evidence(values))
    given = numbers(one)
    assert one.code == "K1"
    assert (given["value"], given["value"] * 2**13) == (pytest.approx(0.2047119), 1677)
    assert (given["channels"], given["of"], given["first channel"]) == (1, 1600, 322)
    assert given["float16 holds it"] is True
    assert given["everywhere"] is False
    assert "channel 322 holds 0.2047119" in one.says


def test_the_constant_is_the_bias_of_conv3_where_that_is_known():
    output, values = block_output()
    biases = np.random.default_rng(3).normal(size=1600)
    biases[322] = 0.20468
    found = signatures(output.evidence(values, biases={"conv1": np.ones(800), "conv3": biases}))
    assert codes(found)[:2] == ["K2", "K1"]
    assert numbers(found[0])["layer"] == "conv3"
    assert "channel 322" in found[0].says


def test_a_batch_has_the_same_bias_in_each_part():
    output = Output((2, 32, 6, 7), seed=2)
    bias = np.random.default_rng(2).normal(size=32)
    found = np.broadcast_to(bias[:, None, None], output.shape)
    for dtype in (np.float16, np.float32):
        one = headline(output.evidence(found, dtype, biases={"conv": bias}))
        assert (one.code, numbers(one)["channels"]) == ("K2", 64)


def test_a_bias_along_the_last_axis_of_a_vector():
    output = Output((4, 50), seed=5)
    bias = np.random.default_rng(5).normal(size=50)
    one = headline(output.evidence(np.tile(bias, (4, 1)), biases={"fc": bias}))
    assert (one.code, numbers(one)["layer"]) == ("K2", "fc")


def test_another_bias_is_not_the_constant():
    output, values = block_output()
    biases = {"conv3": np.full(1600, 0.2049)}
    assert "K2" not in codes(signatures(output.evidence(values, biases=biases)))


CPU = np.array([-23.01966, -22.09334, -21.53324, -21.68019, -21.8576, -24.22912, -21.20876,
                -22.21795, -22.34912, -22.42678, -22.49558])  # fmt: skip
GPU = np.array([-23.01562, -22.09375, -21.53125, -21.6875, -21.85938, -24.23438, -21.20312,
                -22.21875, -22.34375, -22.42188, -22.5])  # fmt: skip


def test_the_listed_gpu_column_is_the_cpu_column_rounded():
    one = headline(evidence(GPU, CPU))
    assert (one.code, numbers(one)["rounded reference"]) == ("B0", 11)
    assert numbers(one)["largest"] == pytest.approx(0.00731, abs=5e-6)


def test_the_listed_ane_column_is_stuck():
    given = evidence(np.full(11, 0.2047119), CPU, dtype=np.float64, cpu=CPU, gpu=GPU)
    one = headline(given)
    assert (one.code, numbers(one)["everywhere"]) == ("K1", True)
    assert numbers(one)["float16 holds it"] is True
    assert "X0" not in codes(signatures(given))


def test_many_values_of_a_column_are_zero():
    exact = np.random.default_rng(15290156).random((300, 1)) + 0.2
    found = exact.copy()
    found[96:224] = 0
    one = headline(evidence(found, exact, dtype=np.float32))
    assert (one.code, numbers(one)["zeros"], numbers(one)["of"]) == ("Z2", 128, 300)
    assert "row 96 to 223" in one.says


@pytest.mark.parametrize("period", [2, 5, 16, 64])
def test_the_period_of_zero_columns_is_given(period):
    exact = np.random.default_rng(2520).random((1, 8, 10, 200)) + 0.5
    found = exact.copy()
    found[..., 1::period] = 0
    one = headline(evidence(found, exact))
    assert (one.code, numbers(one)["period"]) == ("Z2", period)
    assert f"column modulo {period} is 1" in one.says


def test_the_norm_is_0_in_place_of_521():
    exact = np.random.default_rng(521).normal(size=(1, 280, 768))
    exact *= 521 / np.linalg.norm(exact)
    one = headline(evidence(0 * exact, exact))
    assert (one.code, numbers(one)["norm of reference"]) == ("Z1", pytest.approx(521))


def test_1921_of_4096_values_of_grouped_weights_are_wrong():
    rng = np.random.default_rng(93)
    table = rng.integers(1, 16, size=(64, 64)).astype(float)
    table[:, 32:].flat[rng.choice(2048, 127, replace=False)] = 0  # right by any scale
    scales = rng.uniform(0.5, 2, size=(64, 2))
    exact = table * np.repeat(scales, 32, axis=1)
    wrong = scales.copy()
    wrong[:, 1] = np.roll(scales[:, 1], 1) + 3
    found = table * np.repeat(wrong, 32, axis=1)
    one = headline(evidence(found.reshape(1, 64, 64, 1), exact.reshape(1, 64, 64, 1)))
    given = numbers(one)
    assert (one.code, given["wrong"], given["of"]) == ("P1", 1921, 4096)
    assert (given["first"], given["last"]) == (32, 63)


def test_only_the_last_position_is_wrong_in_whole_numbers():
    exact = np.random.default_rng(2515).integers(1, 40, size=(1, 4, 5, 5)).astype(float)
    found = exact.copy()
    found[..., -1, -1] += 3
    one = headline(evidence(found, exact, dtype=np.int32))
    assert one.code == "G1"  # an offset of 3 of the wrong values comes before where they are
    found[..., -1, -1] += [[4, -9, 15, 0]]
    one = headline(evidence(found, exact, dtype=np.int32))
    assert (one.code, numbers(one)["wrong"]) == ("P1", 4)
    assert "row 4, the last, column 4, the last" in one.says


@pytest.mark.parametrize("period", [16, 32, 64])
def test_channels_of_one_residue_class_are_wrong(period):
    output = Output((1, 192, 6, 6), seed=period)
    found = output.healthy.astype(np.float64)
    found[:, 5::period] = output.other()[:, 5::period]
    one = headline(output.evidence(found))
    assert (one.code, numbers(one)["period"]) == ("P1", period)
    assert f"channel modulo {period} is 5" in one.says


@pytest.mark.parametrize(("first", "group"), [(256, 256), (192, 64), (288, 32), (272, 16)])
def test_channels_from_a_multiple_on_are_wrong(first, group):
    output = Output((1, 320, 6, 6), seed=first)
    found = output.healthy.astype(np.float64)
    found[:, first:] = output.other()[:, first:]
    one = headline(output.evidence(found))
    assert (one.code, numbers(one)["first"]) == ("P1", first)
    assert f"{first} is a multiple of {group}." in one.says


POSITIONS = [0, 1, 2, 4, 8, 16, 32, 48, 56, 60, 62, 63]
ERRORS = [1.0548, 0.6881, 0.7217, 0.6447, 0.6964, 0.7518, 0.5061, 0.2791, 0.1278, 0.0942, 0.0465,
          0.0120]  # fmt: skip


def test_the_error_of_an_ignored_mask_falls_from_1_0548_to_0_0120():
    rng = np.random.default_rng(38)
    exact = rng.normal(size=(1, 64, 256))
    signs = rng.choice([-1.0, 1.0], size=exact.shape)
    falling = np.interp(np.arange(64), POSITIONS, ERRORS)
    given = evidence(exact + signs * falling[None, :, None], exact, 0.001, np.float64)
    one = headline(given)
    assert (one.code, numbers(one)["axis"]) == ("M1", -2)
    assert numbers(one)["first"] == pytest.approx(1054.8)
    assert numbers(one)["last"] == pytest.approx(12.0)
    assert numbers(one)["correlation"] == pytest.approx(
        np.corrcoef(falling, np.arange(64)[::-1])[0, 1], abs=1e-3
    )
    assert numbers(one)["correlation"] > 0.852


def test_drift_of_0_199_and_relative_0_0392():
    rng = np.random.default_rng(2625)
    exact, noise = rng.normal(size=(1, 1000)), np.clip(rng.normal(size=(1, 1000)), -3, 3)
    noise *= 0.199219 / np.abs(noise).max()
    exact *= np.linalg.norm(noise) / np.linalg.norm(exact) / 0.039235
    one = headline(evidence(exact + noise, exact, dtype=np.float64, gpu=exact))
    assert one.code == "D1"
    assert numbers(one)["largest"] == pytest.approx(0.199219)
    assert numbers(one)["relative l2"] == pytest.approx(0.039235)
    assert numbers(one)["gpu envelopes"] == 0
    assert "the GPU is off by 0 times" in one.says


@pytest.mark.parametrize("correlation", [0.91, 0.97])
def test_drift_of_a_negative_index_correlates_by_0_91_to_0_97(correlation):
    rng = np.random.default_rng(41)
    exact, other = rng.normal(size=(2, 4096))
    share = math.sqrt(1 - correlation**2)
    one = headline(evidence(correlation * exact + share * other, exact, dtype=np.float32))
    assert one.code == "D1"
    assert numbers(one)["correlation"] == pytest.approx(correlation, abs=0.02)
    assert one.title == "Errors everywhere"  # 126 and 219 times what rounding explains


@pytest.mark.parametrize(("times", "title"), [(40, "Low-precision drift"), (100, "Errors every")])
def test_a_lower_precision_is_named_up_to_what_bfloat16_makes_of_the_limit(times, title):
    """Of noise that is small beside the reference; the bound is 8 x 8 times."""
    output = Output((1, 16, 16, 16), seed=1)
    one = headline(output.evidence(output.healthy + output.noise(times)))
    assert (one.code, one.title[: len(title)]) == ("D1", title)
    assert ("larger than those of a computation in bfloat16" in one.says) == (times == 100)


def test_a_decision_of_margin_0_46_flips_by_an_error_of_1_16():
    """The CPU's margin of -15.06 against a bias of 14.6, moved by +1.16."""
    exact = np.array([14.6, 15.06, 3.0, -2.0, 0.5, 1.0, 7.0, -8.0])
    found = exact + np.array([1.16, 0, 0, 0, 0, 0, 0, 0])
    one = headline(evidence(found, exact, 0.0078, np.float32))
    given = numbers(one)
    assert (one.code, given["was"], given["now"]) == ("F1", 1, 0)
    assert given["largest margin"] == pytest.approx(0.46)
    assert given["largest error"] == pytest.approx(1.16)


def test_a_class_map_agrees_in_99_4_percent():
    rng = np.random.default_rng(116)
    exact = rng.integers(0, 21, size=(1, 640, 640)).astype(float)
    found = exact.copy()
    at = rng.choice(exact.size, round(0.006 * exact.size), replace=False)
    found.flat[at] = (found.flat[at] + rng.integers(1, 21, size=len(at))) % 21
    given = evidence(found, exact, dtype=np.int32)
    one = headline(given)
    assert one.code == "F1"
    assert numbers(one)["agreement"] == pytest.approx(0.994, abs=1e-5)


def test_a_flip_that_rounding_explains_is_said_within_rounding():
    exact = np.array([1.0, 1.0001, 0.2, 0.3])
    one = headline(evidence([1.0001, 1.0, 0.2, 0.3], exact))
    assert one.code == "B0"
    assert "1 of 1 decisions differ: their margins are within rounding." in one.says


def test_fp16_noise_of_a_convolution_is_no_fault():
    """coremltools 1809: largest error 0.000993, and 13821 times next to zero."""
    output = Output((1, 128, 16, 16), seed=1809)
    one = headline(output.evidence(output.healthy))
    assert one.code == "B0"
    assert numbers(one)["largest"] < 0.01


def test_nan_in_some_rows():
    output = Output((1, 12, 8, 64), seed=45)
    found = output.healthy.astype(np.float64)
    found[:, 3, 5] = np.nan
    given = numbers(headline(output.evidence(found)))
    assert (given["nan"], given["infinite"], given["first index"]) == (64, 0, (3 * 8 + 5) * 64)


def test_a_reference_beyond_float16_is_said():
    exact = np.array([1.0, 2.0, 70000.0, -80000.0])
    given = evidence([1.0, 2.0, np.inf, -65504.0], exact, 0.01, np.float32)
    one = headline(given)
    assert (one.code, numbers(one)["at 65504"], numbers(one)["infinite"]) == ("N1", 1, 1)
    assert numbers(one)["reference beyond 65504"] == 2
