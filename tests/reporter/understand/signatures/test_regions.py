"""Index sets along axes, and what chance would bring about."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reporter.understand.signatures.regions import channel, log_choices, place, region


def marked(shape, *where):
    mask = np.zeros(shape, bool)
    mask[where] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "words", "period"),
    [
        (marked((1, 64, 8, 8), 0, slice(8, 24)), "channel 8 to 23", 0),
        (marked((1, 64, 8, 8), 0, slice(48, None)), "channel 48 to 63, the last", 0),
        (marked((1, 64, 8, 8), 0, slice(3, None, 32)), "channel modulo 32 is 3", 32),
        (marked((64, 8, 8), slice(None), 7), "row 7, the last", 0),
        (marked((32, 40), slice(None), slice(0, None, 2)), "column modulo 2 is 0", 2),
        (marked((2, 3, 8, 16, 16), 1), "index along axis -5 1, the last", 0),
        (marked((500,), slice(100, 200)), "index 100 to 199", 0),
        (marked((25, 40), slice(0, 10)).reshape(-1).reshape(25, 40), "row 0 to 9", 0),
    ],
)
def test_a_region_is_put_into_words(mask, words, period):
    found = region(mask)
    assert (str(found), found.period) == (words, period)
    assert (found.inside == mask).all()


def test_a_run_of_the_buffer_that_is_no_block_of_axes():
    mask = np.zeros(400, bool)
    mask[95:310] = True
    found = region(mask.reshape(20, 20))
    assert str(found) == "index 95 to 309"
    assert found.inside.shape == (20, 20)


def test_scattered_channels_only_on_demand():
    mask = marked((1, 64, 8, 8), 0, [1, 5, 6, 30])
    assert region(mask) is None
    assert str(region(mask, irregular=True)) == "channel 1, 5, 6, 30"


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((4, 8, 8), bool),
        np.ones((4, 8, 8), bool),
        np.ones((), bool),
        np.zeros((0, 4), bool),
        np.random.default_rng(0).random((4, 30, 30)) < 0.1,
        marked((2, 3), 0, 0),  # one of six may be the first by chance
    ],
)
def test_no_region(mask):
    assert region(mask) is None


@pytest.mark.parametrize(("n", "k"), [(5, 2), (40, 0), (40, 40), (64, 7)])
def test_the_number_of_choices(n, k):
    assert log_choices(n, k) == pytest.approx(math.log(math.comb(n, k)), abs=1e-9)


def test_places_are_those_of_numpy():
    assert place(37, (2, 5, 4)) == str(tuple(int(i) for i in np.unravel_index(37, (2, 5, 4))))
    assert place(0, ()) == "(0)"


@pytest.mark.parametrize(
    ("shape", "row", "words"),
    [((1, 8, 2, 2), 3, "channel 3"), ((2, 8, 2, 2), 11, "channel 3 of (1,)"),
     ((8, 2, 2), 3, "channel 3"), ((3, 4), 0, "the output"), ((), 0, "the output")],
)  # fmt: skip
def test_a_row_is_a_channel(shape, row, words):
    assert channel(row, shape) == words
