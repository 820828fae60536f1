"""The oracles: the formulas of the proto in numpy, sums over neighbours written as loops."""

from __future__ import annotations

import numpy as np
import pytest

import migrate
from migrate import ModelError

SHAPES = [(3, 4, 2), (2, 3, 4, 2), (2, 2, 3, 4, 2)]
GAMMA, BETA = [2.0, 0.5, -1.0], [0.25, 0.0, 3.0]
MEAN, VARIANCE = [1.0, -2.0, 0.5], [4.0, 0.25, 0.0]


def numbers(*shape, seed=0):
    return np.random.RandomState(seed).randint(-64, 65, size=shape) / 16.0


def per_channel(values):
    return np.array(values).reshape(-1, 1, 1)


def statistics(**vectors):
    def fill(p):
        for field, values in vectors.items():
            getattr(p, field).floatValue.extend(values)

    return fill


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("epsilon", [0.0, 0.125])
def test_batchnorm_by_stored_statistics(run_layer, shape, epsilon):
    """An epsilon of 0 stands for 1e-5: the third channel's variance of 0 shows it."""
    x = numbers(*shape)
    fill = statistics(gamma=GAMMA, beta=BETA, mean=MEAN, variance=VARIANCE)
    y = run_layer("batchnorm", [x], fill=fill, channels=3, epsilon=epsilon)
    deviation = np.sqrt(per_channel(VARIANCE) + (epsilon or 1e-5))
    expected = per_channel(GAMMA) * (x - per_channel(MEAN)) / deviation + per_channel(BETA)
    np.testing.assert_allclose(y, expected, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("instance", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_batchnorm_by_statistics_of_the_input(run_layer, shape, instance, epsilon):
    """The stored mean and variance are ignored; the batch is every leading dimension."""
    x = numbers(*shape) / 256
    fill = statistics(gamma=GAMMA, beta=BETA, mean=MEAN, variance=VARIANCE)
    y = run_layer(
        "batchnorm", [x], fill=fill, channels=3, epsilon=epsilon,
        computeMeanVar=True, instanceNormalization=instance,
    )  # fmt: skip
    axes = (-2, -1) if instance else (*range(x.ndim - 3), -2, -1)
    deviation = np.sqrt(x.var(axes, keepdims=True) + (epsilon or 1e-5))
    expected = (x - x.mean(axes, keepdims=True)) / deviation
    np.testing.assert_allclose(y, per_channel(GAMMA) * expected + per_channel(BETA), rtol=1e-12)


def test_batchnorm_by_statistics_of_the_input_needs_none_stored(run_layer):
    fill = statistics(gamma=[1.0], beta=[0.0])
    x = np.array([[[1.0, 3.0]]])
    y = run_layer(
        "batchnorm", [x], fill=fill, channels=1, epsilon=3, computeMeanVar=True, rank5=True
    )
    np.testing.assert_array_equal(y, [[[-0.5, 0.5]]])


@pytest.mark.parametrize("missing", ["gamma", "beta", "mean", "variance"])
def test_batchnorm_refuses_vectors_of_another_length(one_layer, missing):
    vectors = {"gamma": GAMMA, "beta": BETA, "mean": MEAN, "variance": VARIANCE}
    vectors[missing] = [1.0, 2.0]
    with pytest.raises(ModelError, match=f"{missing} holds 2 values, expected 3"):
        migrate.to_torch(
            one_layer("batchnorm", [(3, 1, 1)], fill=statistics(**vectors), channels=3)
        )


@pytest.mark.parametrize(
    ("shape", "rank5"), [*((s, False) for s in SHAPES), ((3, 4, 2), True), (SHAPES[2], True)]
)
def test_softmax_is_along_channels(run_layer, shape, rank5):
    x = numbers(*shape)
    powers = np.exp(x - 1)
    y = run_layer("softmax", [x], rank5=rank5)
    np.testing.assert_allclose(y, powers / powers.sum(-3, keepdims=True), rtol=1e-12)


def test_softmax_of_a_vector_in_the_rank5_mapping(run_layer):
    """A feature of rank 1 is C."""
    y = run_layer("softmax", [np.log([1.0, 3.0, 4.0])], rank5=True)
    np.testing.assert_allclose(y.ravel(), [0.125, 0.375, 0.5], rtol=1e-12)


def test_softmax_of_large_numbers_stays_finite(run_layer):
    y = run_layer("softmax", [np.array([1000.0, 1000.0, -1000.0]).reshape(3, 1, 1)])
    np.testing.assert_allclose(y.ravel(), [0.5, 0.5, 0])


def test_softmax_without_a_channel_axis_is_refused(run_layer):
    with pytest.raises(ModelError, match="cannot be applied to inputs of shape 2x3"):
        run_layer("softmax", [numbers(2, 3)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("divide", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_mvn(run_layer, shape, across, divide, epsilon):
    x = numbers(*shape) / 1024
    y = run_layer("mvn", [x], acrossChannels=across, normalizeVariance=divide, epsilon=epsilon)
    axes = (-3, -2, -1) if across else (-2, -1)
    expected = x - x.mean(axes, keepdims=True)
    if divide:
        expected = expected / np.sqrt(x.var(axes, keepdims=True) + (epsilon or 1e-6))
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("epsilon", [0.0, 2.5])
def test_l2normalize(run_layer, shape, epsilon):
    x = numbers(*shape) / 4096
    y = run_layer("l2normalize", [x], epsilon=epsilon)
    squares = np.einsum("...chw,...chw->...", x, x)[..., None, None, None]
    np.testing.assert_allclose(y, x / np.sqrt(squares + (epsilon or 1e-6)), rtol=1e-12)


@pytest.mark.parametrize("shape", [(6, 2, 3), (2, 6, 1, 3), (2, 1, 6, 2, 2)])
@pytest.mark.parametrize(
    ("size", "alpha", "beta", "k"),
    [(1, 0.5, 1.0, 0.0), (3, 0.25, 0.75, 2.0), (5, 2.0, 0.5, 0.5), (9, 1.0, 2.0, 0.0)],
)
def test_lrn(run_layer, shape, size, alpha, beta, k):
    """A k of 0 stands for 1."""
    x = numbers(*shape)
    y = run_layer("lrn", [x], localSize=size, alpha=alpha, beta=beta, k=k)
    expected = np.empty_like(x)
    for c in range(shape[-3]):
        near = x[..., max(0, c - size // 2) : c + size // 2 + 1, :, :]
        base = (k or 1) + alpha / size * (near**2).sum(-3)
        expected[..., c, :, :] = x[..., c, :, :] / base**beta
    np.testing.assert_allclose(y, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "options", "match"),
    [
        ("lrn", {"localSize": 0}, "localSize and k must be positive, found 0 and 0"),
        ("lrn", {"localSize": 3, "k": -1}, "localSize and k must be positive, found 3 and -1"),
        ("layerNormalization", {}, "normalizedShape must be positive"),
        ("layerNormalization", {"normalizedShape": [3, -1]}, "normalizedShape must be positive"),
        ("layerNormalization", {"normalizedShape": [2]}, "gamma holds 3 values, expected 2"),
        ("layerNormalization", {"normalizedShape": [3]}, "beta holds 2 values, expected 3"),
    ],
)
def test_options_that_contradict_the_proto(one_layer, kind, options, match):
    fill = statistics(gamma=GAMMA, beta=[1.0, 2.0]) if kind == "layerNormalization" else None
    with pytest.raises(ModelError, match=match):
        migrate.to_torch(one_layer(kind, [(3, 1, 3)], fill=fill, **options))


@pytest.mark.parametrize("normalized", [(4,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_layer_normalization(run_layer, normalized, epsilon):
    x = numbers(2, 3, 4)
    gamma, beta = numbers(*normalized, seed=1), numbers(*normalized, seed=2)
    y = run_layer(
        "layerNormalization",
        [x],
        fill=statistics(gamma=gamma.ravel(), beta=beta.ravel()),
        normalizedShape=normalized,
        eps=epsilon,
    )
    axes = tuple(range(3 - len(normalized), 3))
    deviation = np.sqrt(x.var(axes, keepdims=True) + epsilon)
    expected = gamma * (x - x.mean(axes, keepdims=True)) / deviation + beta
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


def test_layer_normalization_of_another_shape_is_refused(run_layer):
    fill = statistics(gamma=GAMMA, beta=BETA)
    with pytest.raises(ModelError, match="cannot be applied to inputs of shape 2x4"):
        run_layer("layerNormalization", [numbers(2, 4)], fill=fill, normalizedShape=[3])
