"""Words for outputs: at their boundaries, of odd numbers, and of devices that are healthy or not.

The limit was chosen on Block with the simulator's own rounding and one accumulator; the networks,
inputs and accumulators here (tests/support/devices.py) are others.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from devices import ACCUMULATORS, Block, Chain, half

import migrate
from migrate import AnereportError, Envelope
from reporter.measure.inputs import seeded
from reporter.understand.assessment import (
    CAVEAT,
    DIVERGES,
    LIMIT,
    ORDER,
    Assessment,
    assess,
    check_limit,
    graded,
)

RNG = np.random.RandomState(0)


def envelope(reference, rmse):
    reference = np.asarray(reference, np.float64)
    rmse = np.asarray(rmse, np.float64)
    return Envelope(reference, rmse, np.zeros(rmse.shape, bool), ())


@pytest.fixture
def three():
    """Three channels of four values about 100, each with an envelope of 0.5."""
    return envelope(100 + RNG.rand(1, 3, 2, 2), [0.5] * 3)


def off(found, channel, times):
    """The reference with one channel off by so many envelopes."""
    values = found.reference.copy()
    values[0, channel] += times * found.rmse[channel]
    return values


# --- the boundaries


def test_the_limits_are_those_of_the_envelope():
    assert (LIMIT, DIVERGES) == (migrate.ENVELOPE_K, 1.5) == (8, 1.5)
    assert ORDER == ("exact", "rounding", "unfit", "suspicious", "diverges")
    assert "simulated accumulators" in CAVEAT
    assert "--limit" in CAVEAT


@pytest.mark.parametrize("limit", [LIMIT, 0.25, 3, 1e6])
@pytest.mark.parametrize(
    ("share", "word"),
    [
        (1e-3, "rounding"), (1 - 1e-9, "rounding"), (1 + 1e-6, "suspicious"),
        (1.5 - 1e-6, "suspicious"), (1.5 + 1e-6, "diverges"), (1e4, "diverges"),
    ],
)  # fmt: skip
def test_words_at_their_boundaries(three, limit, share, word):
    found = assess(off(three, 1, share * limit), three, limit)
    assert found.word == word
    assert found.ratio == pytest.approx(share * limit, rel=1e-5)
    assert (found.channel, found.channels) == (1, 3)
    assert found.beyond == (share > 1)
    assert found.wrong == (share > 1)


def test_a_ratio_that_is_the_limit_is_within_it():
    """Numbers that float64 has, so that the ratio is what it says."""
    found = envelope(np.full((1, 1, 2, 2), 64.0), [0.5])
    assert assess(np.full((1, 1, 2, 2), 64.0 + 4), found).word == "rounding"
    assert assess(np.full((1, 1, 2, 2), 64.0 + 6), found).word == "suspicious"
    assert assess(np.full((1, 1, 2, 2), 64.0 + 6.001), found).word == "diverges"


def test_a_ratio_alone_has_a_word():
    words = [graded(ratio, 4) for ratio in (0, 4, 4.001, 6, 6.001, math.inf)]
    assert words == ["rounding", "rounding", "suspicious", "suspicious", "diverges", "diverges"]
    assert graded(8) == "rounding"


def test_the_worst_channel_decides(three):
    values = off(three, 0, 7)
    values[0, 2] = off(three, 2, 13)[0, 2]
    found = assess(values, three)
    assert (found.word, found.channel, found.beyond) == ("diverges", 2, 1)
    assert found.ratio == pytest.approx(13)
    assert assess(values, three, 5).beyond == 2
    assert assess(values, three, 20).word == "rounding"


def test_assessments_are_ordered_by_their_word_and_then_the_ratio():
    def one(word, ratio):
        return Assessment(word, ratio, 0, 0, 1).severity

    ordered = [one("exact", 0), one("rounding", 9), one("unfit", 70), one("suspicious", 2),
               one("suspicious", 3), one("diverges", 1.6), one("diverges", math.inf)]  # fmt: skip
    assert sorted(ordered, reverse=True)[::-1] == ordered


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf, -math.inf])
def test_what_is_no_limit(limit):
    with pytest.raises(AnereportError, match=f"a limit is a positive number, not {limit}"):
        check_limit(limit)


def test_limits_of_any_size():
    check_limit(1e-9)
    check_limit(1e9)


# --- exact


@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64])
def test_the_reference_in_any_float_type_is_exact(given):
    reference = RNG.randn(1, 3, 4, 5)
    found = envelope(reference, [1e-3] * 3)
    rounded = reference.astype(given)
    for kind in (np.float16, np.float32, np.float64):
        if np.dtype(kind).itemsize < np.dtype(given).itemsize:
            continue  # it does not hold the values
        assessed = assess(rounded.astype(kind), found)
        assert (assessed.word, assessed.wrong, assessed.beyond) == ("exact", False, 0)


def test_one_bit_off_is_not_exact():
    reference = RNG.rand(1, 3, 4, 5) + 1
    found = envelope(reference, [1e-2] * 3)
    for kind in (np.float16, np.float32, np.float64):
        values = reference.astype(kind)
        values[0, 1, 2, 3] = np.nextafter(values[0, 1, 2, 3], kind(9))
        assert assess(values, found).word == "rounding"


def test_a_mixture_of_two_types_is_not_exact():
    reference = RNG.rand(1, 2, 4, 5) + 1
    values = reference.astype(np.float32)
    values[0, 0] = values[0, 0].astype(np.float16)
    assert assess(values, envelope(reference, [1e-2] * 2)).word == "rounding"


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64, bool])
def test_whole_numbers(kind):
    reference = RNG.randint(0, 2, (1, 3, 2, 2)).astype(np.float64)
    found = envelope(reference, [2.0**-10] * 3)
    assert assess(reference.astype(kind), found).word == "exact"
    assert assess(1 - reference, found).word == "diverges"


def test_exact_numbers_beyond_float16():
    reference = np.array([70000.3, 1.1])
    found = envelope(reference, [32.0])
    assert assess(reference.astype(np.float32), found).word == "exact"
    assert assess(reference.astype(np.float64), found).word == "exact"
    assert assess(np.array([np.inf, half(1.1)]), found).word == "exact"  # as float16 has it


# --- what is not finite, small, empty or of another shape


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["one", "all"])
def test_values_that_are_not_finite(three, value, where):
    values = three.reference.astype(np.float32)
    if where == "one":
        values[0, 2, 1, 1] = value
    else:
        values[:] = value
    found = assess(values, three)
    assert (found.word, found.ratio, found.wrong) == ("diverges", math.inf, True)
    assert found.channel == (2 if where == "one" else 0)
    assert found.beyond == (1 if where == "one" else 3)


def test_what_the_reference_has_too_is_right():
    reference = np.array([[[[np.nan, np.inf, 1.1, -np.inf]]]])
    found = envelope(reference, [2.0**-10])
    assert assess(reference.astype(np.float16), found).word == "exact"
    assert assess(reference + 2.0**-11, found).word == "rounding"
    assert assess(np.abs(reference), found).word == "diverges"


@pytest.mark.parametrize("shape", [(0, 3, 2), (1, 0, 2, 2), (2, 3, 0), (0,)])
def test_an_output_without_values(shape):
    channels = math.prod(shape[:-2])
    found = assess(np.zeros(shape, np.float32), envelope(np.zeros(shape), [1.0] * channels))
    assert (found.word, found.ratio, found.beyond) == ("exact", 0, 0)
    assert found.channels == channels


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1, 1)])
def test_a_single_element(shape):
    found = envelope(np.full(shape, 3.3), [2.0**-9])
    assert assess(np.full(shape, 3.3, np.float16), found).word == "exact"
    assert assess(np.full(shape, 3.3 + 2.0**-8), found).word == "rounding"
    assert assess(np.full(shape, 3.3 + 10 * 2.0**-9), found).word == "suspicious"
    assert assess(np.full(shape, 0.0), found).word == "diverges"


def test_a_shape_that_differs_by_ones_is_the_same(three):
    values = three.reference.astype(np.float16)
    for other in (values[0], values[None], values.reshape(3, 2, 1, 2)):
        assert assess(other, three).word == "exact"


@pytest.mark.parametrize("shape", [(1, 3, 2), (12,), (1, 3, 2, 2, 2), (2, 2, 3), (0,), ()])
def test_another_shape_is_refused(three, shape):
    with pytest.raises(AnereportError, match="the values have shape"):
        assess(np.zeros(shape), three)


def test_what_holds_no_numbers_is_refused(three):
    with pytest.raises(AnereportError, match="an array of numbers"):
        assess(np.full((1, 3, 2, 2), "a"), three)


# --- inputs that cannot tell


def test_where_rounding_is_as_large_as_the_output_the_input_is_unfit():
    reference = RNG.randn(1, 2, 3, 3)
    size = np.sqrt(np.mean(reference**2))
    wrong = -5 * reference
    for share, word in ((0.9, "suspicious"), (1.0001, "unfit"), (50, "unfit")):
        found = envelope(reference, [share * size] * 2)
        assert found.unfit == (word == "unfit")
        assert assess(wrong, found, limit=5).word == word
        assert assess(wrong, found, limit=5).wrong == (word != "unfit")
        assert assess(reference.astype(np.float32), found).word == "exact"


# --- healthy devices, held out from the choice of the limit


NETWORKS = {
    "one convolution": Chain((1, 24, 8, 8), (8, 24, 3, 3), seed=5),
    "three convolutions": Chain((1, 3, 12, 10), (8, 3, 5, 3), (8, 8, 3, 3), (12, 8, 2, 2), seed=6),
    "a dense layer": Chain((4, 300), (12, 300), seed=7),
    "three dense layers": Chain((40, 96), (64, 96), (24, 64), (10, 24), seed=8),
}
SCALES = (0.02, 1.0, 30.0)


@pytest.fixture(scope="module")
def healthy():
    """What each network gives with each scale of inputs: the envelope, and outputs by device."""
    found = {}
    for name, chain in NETWORKS.items():
        net = migrate.to_torch(chain.spec())
        for seed, scale in enumerate(SCALES):
            x = np.random.RandomState(100 + seed).randn(*chain.shape) * scale
            bounds = migrate.envelopes(net, {"x": x})["y"]
            outputs = {kind: chain.run(x, add) for kind, add in ACCUMULATORS.items()}
            found[name, scale] = bounds, outputs
    return found


def test_no_healthy_device_is_above_rounding(healthy):
    assessed = {
        (*where, kind): assess(output, bounds)
        for where, (bounds, outputs) in healthy.items()
        for kind, output in outputs.items()
    }
    assert len(assessed) == len(NETWORKS) * len(SCALES) * len(ACCUMULATORS)
    above = {k: a for k, a in assessed.items() if a.word not in ("exact", "rounding")}
    assert not above
    assert max(a.ratio for a in assessed.values()) > 2  # they are not the envelope's own rounding


def test_no_healthy_device_is_above_rounding_on_the_sample(samples):
    path = samples / "Block.mlmodel"
    net = migrate.to_torch(path)
    for seed, (kind, add) in enumerate(ACCUMULATORS.items(), 3):
        inputs = {name: x * (1 + 9 * (seed % 2)) for name, x in seeded(path, seed).items()}
        bounds = migrate.envelopes(net, inputs)["output"]
        found = assess(Block(path, add).run(inputs), bounds)
        assert found.word == "rounding", (kind, found)


FAULTS = {
    "lost": lambda y, c, unit: 0 * y[c],
    "constant": lambda y, c, unit: np.full_like(y[c], y[c].mean()),
    "doubled": lambda y, c, unit: 2 * y[c],
    "negated": lambda y, c, unit: -y[c],
    "the next channel's": lambda y, c, unit: y[(c + 1) % len(y)],
    "shifted": lambda y, c, unit: np.roll(y[c], 1, axis=-1),
    "offset": lambda y, c, unit: y[c] + 16.5 * unit,
    "noise": lambda y, c, unit: y[c] + np.resize([17, -17], y[c].shape) * unit,
    "one element": lambda y, c, unit: _with_one(y[c], 17 * unit * math.sqrt(y[c].size)),
    "one row": lambda y, c, unit: y[c] * (np.arange(y[c].shape[0]) > 0)[:, None],
    "truncated digits": lambda y, c, unit: np.round(y[c] / (64 * unit)) * 64 * unit,
}


def _with_one(row, error):
    found = row.copy()
    found.flat[-1] += error
    return found


def test_faults_of_one_channel_are_told_from_rounding(healthy):
    """At least 99 % of those whose own error is more than 16 envelopes diverge."""
    words, misses = Counter(), []
    for where in [w for w in healthy if "convolution" in w[0]]:
        bounds, outputs = healthy[where]
        for kind, output in outputs.items():
            y = output[0].astype(np.float64)
            for channel in range(0, len(y), 3):
                unit = bounds.rmse[channel]
                for name, fault in FAULTS.items():
                    wrong = y.copy()
                    wrong[channel] = fault(y, channel, unit)
                    own = math.sqrt(np.mean((wrong[channel] - y[channel]) ** 2)) / unit
                    if own <= 16:
                        continue
                    found = assess(wrong[None].astype(np.float32), bounds)
                    words[found.word] += 1
                    if found.word != "diverges":
                        misses.append((*where, kind, channel, name, own, found.ratio))
    total = sum(words.values())
    assert total > 500
    assert words["diverges"] >= 0.99 * total, misses
    assert len(words.keys() - {"diverges", "suspicious"}) == 0, misses


def test_faults_of_one_channel_of_the_sample(samples):
    """One channel of 1,600 is enough, for every channel of a fixed random 200."""
    path = samples / "Block.mlmodel"
    inputs = seeded(path, 4)
    bounds = migrate.envelopes(migrate.to_torch(path), dict(inputs))["output"]
    block = Block(path, ACCUMULATORS["lanes"])
    healthy, lost = block.run(inputs), block.run(inputs, "bias-only@conv3")
    misses, tried = [], 0
    for channel in np.random.RandomState(1).choice(1600, 200, replace=False):
        wrong = healthy.copy()
        wrong[0, channel] = lost[0, channel]
        own = math.sqrt(np.mean((wrong - healthy)[0, channel] ** 2)) / bounds.rmse[channel]
        if own > 16:
            tried += 1
            found = assess(wrong, bounds)
            if (found.word, found.channel, found.beyond) != ("diverges", channel, 1):
                misses.append((channel, own, found))
    assert tried > 190
    assert len(misses) <= 0.01 * tried, misses


def test_what_is_not_finite_diverges_however_large_rounding_is():
    found = envelope(np.ones((1, 2, 3, 3)), [5, 5])
    assert found.unfit
    assert assess(np.full((1, 2, 3, 3), np.nan), found).word == "diverges"
