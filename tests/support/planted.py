"""Outputs with a fault of a known kind planted into healthy float16 noise."""

from __future__ import annotations

import math

import numpy as np

from reporter.understand.signatures import Evidence

TERMS = 32  # of each sum
SHAPES = {
    1: (600,), 2: (24, 40), 3: (32, 12, 16), 4: (1, 64, 14, 10), 5: (1, 1, 48, 13, 11),
}  # fmt: skip


def ulp(peaks):
    """The step of float16 without an end, below its least normal that of its subnormals."""
    exponents = np.floor(np.log2(np.where(peaks > 0, peaks, 2.0**-14)))
    return 2.0 ** (np.maximum(exponents, -14) - 10)


def rows(array, shape):
    return np.asarray(array).reshape(math.prod(shape[:-2]), math.prod(shape[-2:]))


def sums(weights, inputs, bias, kind):
    """Sums of products in float16, by a kind of accumulator."""
    terms = weights[:, :, None].astype(np.float32) * inputs[None].astype(np.float32)
    if kind == "pairwise":
        total = terms.sum(axis=1, dtype=np.float32)
    elif kind == "serial":
        total = np.zeros(terms[:, 0].shape, np.float16)
        for i in range(terms.shape[1]):
            total = (total + terms[:, i].astype(np.float16)).astype(np.float16)
    else:
        parts = [p.sum(axis=1).astype(np.float16) for p in np.array_split(terms, 4, axis=1)]
        total = np.zeros_like(parts[0])
        for part in parts:
            total = (total + part).astype(np.float16)
    return (total.astype(np.float32) + bias[:, None].astype(np.float32)).astype(np.float16)


class Output:
    """A layer's output: its reference, what rounding explains of it, and a healthy run."""

    def __init__(self, shape, scale=1.0, seed=0, kind="pairwise", mean=0.0):
        rng = np.random.default_rng(seed)
        count, positions = rows(np.empty(shape), shape).shape
        weights = rng.normal(size=(count, TERMS)) / math.sqrt(TERMS)
        inputs = rng.normal(size=(TERMS, positions)) * scale
        bias = (rng.normal(size=count) * 0.5 + mean) * scale
        exact = weights @ inputs + bias[:, None]
        halves = [part.astype(np.float16) for part in (weights, inputs, bias)]
        near = sums(*halves, "pairwise").astype(np.float64)
        errors = np.sqrt(np.mean((near - exact) ** 2, axis=1))
        if positions < 8 and count:
            errors = np.maximum(errors, math.sqrt(np.mean(errors**2)))
        self.shape, self.rng, self.scale = shape, rng, scale
        self.exact = exact.reshape(shape)
        self.rmse = np.maximum(errors, ulp(np.abs(exact).max(axis=1, initial=0.0)))
        self.healthy = sums(*halves, kind).reshape(shape)
        self.bias = bias

    def evidence(self, found, dtype=np.float16, **more):
        with np.errstate(over="ignore"):
            values = np.asarray(found).astype(dtype)
        return Evidence(values, self.exact, self.rmse, **more)

    def noise(self, times=1.0):
        """Errors of so many envelopes."""
        size = np.broadcast_to(self.rmse[:, None], rows(self.exact, self.shape).shape)
        return (self.rng.normal(size=self.shape) * size.reshape(self.shape)) * times

    def along(self, vector):
        """One value per channel as an array of the output's shape."""
        count, positions = rows(self.exact, self.shape).shape
        return np.broadcast_to(np.reshape(vector, (count, 1)), (count, positions)).reshape(
            self.shape
        )

    def other(self):
        """Data of the same size that have nothing to do with the reference."""
        return self.rng.normal(size=self.shape) * np.std(self.exact) + np.mean(self.exact)


def codes(found):
    return [one.code for one in found]


PLANTS = {}  # (code, name) to the function, the least rank and the dtype it needs


def plant(code, rank=1, dtype=None):
    def kept(function):
        PLANTS[code, function.__name__] = (function, rank, dtype)
        return function

    return kept


def planted(code, name, shape, scale=1.0, kind="pairwise", dtype=np.float16, seed=0):
    """The evidence of a planted fault."""
    function, _, needed = PLANTS[code, name]
    output = Output(shape, scale, seed, kind)
    found, more = function(output, output.healthy.astype(np.float64))
    return output.evidence(found, needed or dtype, **more)


def part(healthy, other, *where):
    found = healthy.copy()
    found[(..., *where)] = other[(..., *where)]
    return found, {}


@plant("L1", rank=2)
def row_stride(o, a):
    width = o.shape[-1]
    stride = (width // 32 + 1) * 32
    buffer = np.zeros((a.size // width, stride))
    buffer[:, :width] = a.reshape(-1, width)
    return buffer.reshape(-1)[: a.size].reshape(o.shape), {}


@plant("L1", rank=2)
def contiguous_read_with_a_stride(o, a):
    width = o.shape[-1]
    stride = (width // 32 + 1) * 32
    flat, found = a.reshape(-1), np.zeros(a.size)
    at = np.arange(a.size) // width * stride + np.arange(a.size) % width
    found[at < a.size] = flat[at[at < a.size]]
    return found.reshape(o.shape), {}


@plant("L1", dtype=np.float32)
def half_as_single(o, a):
    data = o.healthy.tobytes()
    return np.frombuffer(data + bytes(len(data)), np.float32).reshape(o.shape), {}


@plant("L1", dtype=np.float16)
def single_as_half(o, a):
    data = o.exact.astype(np.float32).tobytes()
    return np.frombuffer(data, np.float16)[: a.size].reshape(o.shape), {}


@plant("L2", rank=2)
def transposed(o, a):
    return np.swapaxes(a, -1, -2).reshape(o.shape), {}


@plant("L2", rank=3)
def channels_last(o, a):
    return np.moveaxis(a, -3, -1).reshape(o.shape), {}


@plant("L2")
def reversed_axis(o, a):
    return a[..., ::-1], {}


@plant("L2", rank=3)
def rolled_channels(o, a):
    return np.roll(a, 7, axis=-3), {}


@plant("L2", rank=3)
def swapped_channels(o, a):
    found = a.copy()
    found[..., [3, 9], :, :] = a[..., [9, 3], :, :]
    return found, {}


@plant("N1")
def one_nan(o, a):
    a.flat[37] = np.nan
    return a, {}


@plant("N1")
def all_nan(o, a):
    return np.full(o.shape, np.nan), {}


@plant("N1")
def infinite_where_large(o, a):
    return np.where(np.abs(a) > 1.5 * np.std(a), np.inf, a), {}


@plant("N1")
def saturated(o, a):
    a.flat[::9] = 65504
    return a, {}


@plant("Z1")
def zero(o, a):
    return np.zeros(o.shape), {}


@plant("Z2")
def every_fourth_zero(o, a):
    a.reshape(-1)[::4] = 0
    return a, {}


@plant("Z2")
def scattered_zeros(o, a):
    return np.where(o.rng.random(o.shape) < 0.2, 0, a), {}


@plant("Z2", rank=3)
def zero_channels(o, a):
    return part(a, 0 * a, slice(5, 11), slice(None), slice(None))


@plant("Z2")
def zero_tail(o, a):
    a.reshape(-1)[-a.size // 3 :] = 0
    return a, {}


@plant("K2", rank=3)
def bias_only(o, a):
    return o.along(o.bias.astype(np.float16)), {"biases": {"z": np.zeros(3), "conv": o.bias}}


@plant("K2", rank=3)
def bias_only_in_one_channel(o, a):
    found, _ = part(a, o.along(o.bias), 11, slice(None), slice(None))
    return found, {"biases": {"conv": o.bias}}


@plant("K1")
def stuck_everywhere(o, a):
    return np.full(o.shape, 0.2047119 * o.scale), {}


@plant("K1", rank=3)
def stuck_in_every_channel(o, a):
    values = o.along(o.rng.normal(size=o.rmse.shape) * o.scale)
    return values, {"biases": {"conv": o.bias}}


@plant("K1", rank=3)
def stuck_in_one_channel(o, a):
    return part(a, np.full(o.shape, 0.2 * o.scale), 3, slice(None), slice(None))


@plant("K3")
def never_written(o, a):
    held = o.other().astype(np.float16)
    return held, {"prefilled": held}


@plant("K3")
def never_written_constant(o, a):
    held = np.full(o.shape, -7.5 * o.scale, np.float16)
    return held, {"prefilled": held}


@plant("K3")
def half_written(o, a):
    a.reshape(-1)[a.size // 2 :] = np.nan
    return a, {"prefilled": np.full(o.shape, np.nan)}


def _gains(gain):
    def function(o, a):
        return a * gain, {}

    function.__name__ = f"gain_{gain:g}"
    plant("G1")(function)


for each in (2, 4, 8, 49, 0.5, -1):
    _gains(each)


@plant("G1")
def some_rows_a_thousand_times(o, a):
    vectors = a.reshape(-1, o.shape[-1] if len(o.shape) > 1 else 12)
    vectors[3::5] *= 1000 if o.scale <= 1 else 100  # within float16
    return vectors.reshape(o.shape), {}


@plant("G1")
def offset(o, a):
    return a + 3 * o.scale, {}


@plant("G1")
def gain_and_offset(o, a):
    return 3 * a - 5 * o.scale, {}


@plant("G1", rank=3)
def offset_by_channel(o, a):
    return a + o.along(o.rng.normal(size=o.rmse.shape)) * o.scale, {}


@plant("G1", rank=3)
def gain_by_channel(o, a):
    return a * o.along(o.rng.uniform(0.3, 3, size=o.rmse.shape)), {}


@plant("G1", rank=3)
def doubled_before_the_bias(o, a):
    return 2 * a - o.along(o.bias), {}


@plant("C1")
def zero_above(o, a):
    return np.where(o.exact > np.quantile(o.exact, 0.8), 0, a), {}


@plant("C1")
def zero_below(o, a):
    return np.where(o.exact < np.quantile(o.exact, 0.2), 0, a), {}


@plant("C1")
def held_above(o, a):
    return np.minimum(a, np.quantile(o.exact, 0.7)), {}


@plant("P1", rank=3)
def last_channels(o, a):
    return part(a, o.other(), slice(o.shape[-3] // 2, None), slice(None), slice(None))


@plant("P1", rank=3)
def residue_of_channels(o, a):
    return part(a, o.other(), slice(3, None, 16), slice(None), slice(None))


@plant("P1", rank=3)
def some_channels(o, a):
    return part(a, o.other(), [1, 5, 6, 19], slice(None), slice(None))


@plant("P1", rank=3)
def last_position(o, a):
    return part(a, o.other(), -1, -1)


@plant("P1")
def columns(o, a):
    return part(a, o.other(), slice(2, 5))


@plant("P1", rank=3)
def drift_of_some_channels(o, a):
    return part(a, a + o.noise(40), slice(5, 9), slice(None), slice(None))


@plant("M1")
def fading_noise(o, a):
    return a + o.noise(300) * np.linspace(1, 0.01, o.shape[-1]), {}


@plant("M1")
def growing_error(o, a):
    return a + o.other() * np.geomspace(0.02, 1, o.shape[-1]), {}


@plant("D1")
def noise_of_twelve_envelopes(o, a):
    return a + o.noise(12), {}


@plant("D1")
def noise_of_forty_envelopes(o, a):
    return a + o.noise(40), {}


@plant("D1")
def relative_noise(o, a):
    return a * (1 + 0.08 * o.rng.normal(size=o.shape)), {}


@plant("F1")
def another_largest(o, a):
    scores = a.reshape(-1, o.shape[-1])
    row = scores[len(scores) // 2]
    row[row[:-1].argmin()] = o.exact.max() * 1.3 + 3 * o.scale
    return a, {"scores": len(o.shape) - 1}


@plant("S1")
def previous_output(o, a):
    before = o.other()
    return before, {"previous": before}


@plant("S1")
def leaked_state(o, a):
    before = o.other()
    return a + 0.25 * (before - o.exact), {"previous": before}


@plant("S1")
def second_call_wrong(o, a):
    other = o.other()
    return other, {"repeats": (o.healthy, other, other)}


@plant("R1")
def other_data(o, a):
    return o.other(), {}


@plant("R1", rank=3)
def other_data_under_the_same_means(o, a):
    matrix = rows(o.exact, o.shape)
    return o.other() * 0.3 + o.along(10 * o.scale + matrix.mean(axis=1)), {}


@plant("R1")
def large_noise(o, a):
    return o.rng.normal(size=o.shape) * 50 * o.scale, {}
