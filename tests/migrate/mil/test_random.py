"""Random tensors by their moments: the numbers are nobody's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import compute, outputs_of

from migrate.coreml import coremltools

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types
SHAPE = np.array([200, 100], np.int32)


@pytest.mark.parametrize("half", [False, True])
def test_the_distributions_have_their_moments(half):
    def build(shape):
        return (
            mb.random_normal(shape=shape, mean=2.0, stddev=0.5, seed=1),
            mb.random_uniform(shape=shape, low=-1.0, high=3.0, seed=2),
            mb.random_bernoulli(shape=[200, 100], prob=0.25, seed=3),
        )

    normal, uniform, coins = outputs_of(build, half=half, shape=SHAPE)
    for result in (normal, uniform, coins):
        assert result.shape == (200, 100)
    np.testing.assert_allclose([normal.mean(), normal.std()], [2, 0.5], atol=0.02)
    np.testing.assert_allclose([uniform.mean(), uniform.std()], [1, 4 / 12**0.5], atol=0.03)
    assert -1 <= uniform.min() < -0.99
    assert 2.99 < uniform.max() <= 3
    assert set(np.unique(coins)) == {0, 1}
    np.testing.assert_allclose(coins.mean(), 0.25, atol=0.02)


def test_defaults_are_the_standard_distributions():
    normal = compute("random_normal", shape=SHAPE)
    uniform = compute("random_uniform", shape=SHAPE)
    coins = compute("random_bernoulli", shape=SHAPE)
    means = [float(one.mean()) for one in (normal, uniform, coins)]
    np.testing.assert_allclose(means, [0, 0.5, 0.5], atol=0.05)
    np.testing.assert_allclose([normal.std(), uniform.max()], [1, 1], atol=0.05)


@pytest.mark.parametrize("mode", ["logits", "probs"])
def test_categories_are_drawn_by_their_probabilities(mode):
    weights = np.array([[[1, 2, 1], [0, 0, 5]]], np.float32)  # of a sum that is not 1

    def build(x):
        logits = mb.log(x=x, epsilon=1e-30) if mode == "logits" else x
        return mb.random_categorical(x=logits, mode=mode, size=4000, seed=4)

    (drawn,) = outputs_of(build, x=weights)
    assert drawn.shape == (1, 2, 4000)
    shares = [(drawn[0, 0] == n).mean() for n in range(3)]
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.03)
    assert (drawn[0, 1] == 2).all()


def test_one_category_is_drawn_if_no_size_is_given():
    assert compute("random_categorical", x=torch.zeros(5, 3)).shape == (5, 1)
    with pytest.raises(ValueError, match="mode 'odds' is not known"):
        compute("random_categorical", x=torch.zeros(5, 3), mode="odds")


DRAWN = {
    "random_bernoulli": {"shape": SHAPE},
    "random_categorical": {"x": torch.zeros(200, 3)},
    "random_normal": {"shape": SHAPE},
    "random_uniform": {"shape": SHAPE},
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_seed_repeats_the_numbers_and_a_negative_one_does_not(name):
    first, second = (compute(name, **DRAWN[name], seed=7) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, compute(name, **DRAWN[name], seed=8))
    first, second = (compute(name, **DRAWN[name], seed=-1) for _ in range(2))
    assert not torch.equal(first, second)


def test_the_generator_of_torch_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    for name, arguments in DRAWN.items():
        compute(name, **arguments)
    assert torch.equal(torch.rand(1), expected)


def test_an_interval_without_length_is_its_end():
    result = compute("random_uniform", shape=[3], low=2.0, high=2.0)
    np.testing.assert_array_equal(result, [2, 2, 2])


def test_the_upper_end_is_never_drawn():
    result = compute("random_uniform", shape=[100], low=1.0, high=1 + 2**-23)
    np.testing.assert_array_equal(result, np.ones(100))
