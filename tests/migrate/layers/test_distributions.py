"""Random layers: shape, type, seed, and moments against those of the distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import operations

import migrate
from migrate.errors import ModelError

SHAPE = (20, 40, 50)
NORMAL = {"mean": -2.0, "stdDev": 3.0}
UNIFORM = {"minVal": -1.5, "maxVal": 4.0}
BERNOULLI = {"prob": 0.3}
OPTIONS = {"Normal": NORMAL, "Uniform": UNIFORM, "Bernoulli": BERNOULLI}
LAYERS = [(name, form) for name in OPTIONS for form in ("Like", "Static", "Dynamic")]


def spec_and_inputs(one_layer, name, form, shape=SHAPE, **options):
    inputs = {"Like": [np.zeros(shape)], "Static": [], "Dynamic": [np.array(shape, float)]}[form]
    options = OPTIONS[name] | options
    if form == "Static":
        options["outputShape"] = shape
    spec = one_layer(f"random{name}{form}", [x.shape for x in inputs], **options)
    return spec, {f"in{i}": x for i, x in enumerate(inputs)}


def check_distribution(name, values):
    """Compare mean, deviation and quantiles with the distribution's own, at 5 standard errors."""
    error = 5 / np.sqrt(values.size)
    if name == "Normal":
        standard = (values + 2) / 3
        assert abs(standard.mean()) < error
        assert abs(standard.std() - 1) < error
        assert abs((standard < -1.0).mean() - 0.158655) < error
        assert abs((standard < 0.5).mean() - 0.691462) < error
    elif name == "Uniform":
        assert values.min() >= -1.5
        assert values.max() <= 4
        for share in (0.1, 0.5, 0.75):
            assert abs((values < -1.5 + 5.5 * share).mean() - share) < error
    else:
        assert set(np.unique(values)) == {0, 1}
        assert abs(values.mean() - 0.3) < error


@pytest.mark.parametrize("seed", [0, 42])
@pytest.mark.parametrize(("name", "form"), LAYERS)
def test_seeded_values_follow_the_distribution_and_repeat(one_layer, name, form, seed):
    spec, inputs = spec_and_inputs(one_layer, name, form, seed=seed)
    net = migrate.to_torch(spec).double()
    first, second = net.predict(inputs)["out0"], net.predict(inputs)["out0"]
    assert (first.dtype, first.shape) == (np.float64, SHAPE)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, migrate.to_torch(spec).double().predict(inputs)["out0"])
    check_distribution(name, first)


@pytest.mark.parametrize(("name", "form"), LAYERS)
def test_seed_minus_1_is_random_each_time(one_layer, name, form):
    torch.manual_seed(7)
    spec, inputs = spec_and_inputs(one_layer, name, form, seed=-1)
    net = migrate.to_torch(spec)
    first, second = net.predict(inputs)["out0"], net.predict(inputs)["out0"]
    assert first.dtype == np.float32
    assert (first != second).mean() > 0.3
    check_distribution(name, first.astype(np.float64))


@pytest.mark.parametrize(("name", "form"), LAYERS)
def test_another_seed_gives_other_values(one_layer, name, form):
    (spec, inputs), (other, _) = (
        spec_and_inputs(one_layer, name, form, seed=seed) for seed in (1, 2)
    )
    first = migrate.to_torch(spec).predict(inputs)["out0"]
    assert (first != migrate.to_torch(other).predict(inputs)["out0"]).mean() > 0.3


@pytest.mark.parametrize("shape", [(7,), (2, 3), (1, 2, 1, 3, 2)])
@pytest.mark.parametrize(("name", "form"), LAYERS)
def test_every_rank(one_layer, name, form, shape):
    spec, inputs = spec_and_inputs(one_layer, name, form, shape=shape, seed=3)
    assert migrate.to_torch(spec).predict(inputs)["out0"].shape == shape


def test_a_seed_does_not_disturb_torchs_own_stream(one_layer):
    spec, inputs = spec_and_inputs(one_layer, "Normal", "Like", seed=5)
    net = migrate.to_torch(spec)
    torch.manual_seed(9)
    undisturbed = torch.rand(3)
    torch.manual_seed(9)
    net.predict(inputs)
    assert torch.equal(torch.rand(3), undisturbed)


@pytest.mark.parametrize(
    ("name", "options", "value"),
    [("Normal", {"mean": 4.0, "stdDev": 0.0}, 4), ("Uniform", {"minVal": 2.0, "maxVal": 2.0}, 2),
     ("Bernoulli", {"prob": 0.0}, 0), ("Bernoulli", {"prob": 1.0}, 1)],
)  # fmt: skip
def test_certain_outcomes(one_layer, name, options, value):
    spec, inputs = spec_and_inputs(one_layer, name, "Like", seed=-1, **options)
    assert set(migrate.to_torch(spec).predict(inputs)["out0"].ravel()) == {value}


@pytest.mark.parametrize("form", ["Like", "Static", "Dynamic"])
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("Normal", {"stdDev": -1.0}, "stdDev -1 is negative"),
     ("Uniform", {"minVal": 5.0}, "minVal 5 is greater than maxVal 4"),
     ("Bernoulli", {"prob": 1.5}, r"prob 1\.5 is not between 0 and 1"),
     ("Bernoulli", {"prob": -0.5}, r"prob -0\.5 is not between 0 and 1")],
)  # fmt: skip
def test_impossible_parameters_are_refused(one_layer, name, form, options, message):
    spec, _ = spec_and_inputs(one_layer, name, form, **options)
    with pytest.raises(ModelError, match=rf"'tested' \(random{name}{form}\).*{message}"):
        migrate.to_torch(spec)


@pytest.mark.parametrize("name", OPTIONS)
def test_static_needs_a_shape(one_layer, name):
    spec, _ = spec_and_inputs(one_layer, name, "Static", shape=())
    with pytest.raises(ModelError, match="outputShape is empty"):
        migrate.to_torch(spec)


WEIGHTS = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0], [0.25, 0.5, 0.25]])
SAMPLES = 40_000


def frequencies(drawn, classes=3):
    return np.stack([(drawn == i).mean(-1) for i in range(classes)], -1)


@pytest.mark.parametrize("temperature", [None, 0.0, 1.0, 2.0, 0.5])
@pytest.mark.parametrize("logits", [False, True])
def test_categorical_frequencies(run_layer, logits, temperature):
    x = np.log(WEIGHTS + 1e-10) if logits else WEIGHTS
    options = {} if temperature is None else {"temperature": temperature}
    drawn = run_layer(
        "categoricalDistribution", [x], isLogits=logits, seed=4, numSamples=SAMPLES, **options
    )
    assert (drawn.dtype, drawn.shape) == (np.float64, (3, SAMPLES))
    powers = WEIGHTS ** (1 / (temperature or 1))
    wanted = powers / powers.sum(-1, keepdims=True)
    np.testing.assert_allclose(frequencies(drawn), wanted, atol=5 / np.sqrt(SAMPLES))


@pytest.mark.parametrize(
    ("eps", "logits", "share"), [(0.0, False, 0), (1.0, False, 0.25), (1.0, True, 0.2689414)]
)
def test_categorical_eps_is_added_to_probabilities_only(run_layer, eps, logits, share):
    x = np.array([[0.0, 2.0]]) if not logits else np.array([[0.0, 1.0]])
    drawn = run_layer(
        "categoricalDistribution", [x], eps=eps, isLogits=logits, seed=4, numSamples=SAMPLES
    )
    np.testing.assert_allclose((drawn == 0).mean(), share, atol=5 / np.sqrt(SAMPLES))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3), (2, 1, 2, 3)])
def test_categorical_replaces_the_last_axis(run_layer, shape):
    x = np.ones(shape)
    drawn = run_layer("categoricalDistribution", [x], numSamples=7, seed=-1)
    assert drawn.shape == (*shape[:-1], 7)
    assert set(drawn.ravel()) <= {0, 1, 2}


def test_categorical_rows_do_not_mix(run_layer):
    x = np.full((2, 3, 4), -np.inf)
    chosen = np.array([[0, 3, 1], [2, 2, 0]])
    np.put_along_axis(x, chosen[..., None], 0.0, -1)
    drawn = run_layer("categoricalDistribution", [x], numSamples=5, isLogits=True, seed=-1)
    np.testing.assert_array_equal(drawn, np.repeat(chosen[..., None], 5, -1))


def test_categorical_seed(one_layer):
    inputs = {"in0": np.ones((2, 5))}

    def draw_twice(seed):
        net = migrate.to_torch(
            one_layer("categoricalDistribution", [(2, 5)], numSamples=99, seed=seed)
        )
        return net.predict(inputs)["out0"], net.predict(inputs)["out0"]

    first, second = draw_twice(0)
    np.testing.assert_array_equal(first, second)
    assert (first != draw_twice(1)[0]).any()
    first, second = draw_twice(-1)
    assert (first != second).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "numSamples 0 is not positive"), ({"numSamples": -2}, "numSamples -2"),
     ({"numSamples": 1, "temperature": -1.0}, "temperature must not be negative"),
     ({"numSamples": 1, "eps": -1.0}, "eps and temperature must not be negative")],
)  # fmt: skip
def test_categorical_refuses_impossible_parameters(one_layer, options, message):
    with pytest.raises(ModelError, match=rf"'tested' \(categoricalDistribution\).*{message}"):
        migrate.to_torch(one_layer("categoricalDistribution", [(2, 3)], **options))


def test_categorical_refuses_negative_probabilities(run_layer):
    with pytest.raises(ModelError, match=r"'tested' \(categoricalDistribution\)"):
        run_layer("categoricalDistribution", [[-1.0, 2.0]], numSamples=2)


# as an ML Program


def drawn(one_layer, name, form, target="iOS18", **options):
    """What a random layer draws as an ML Program, and the operations of the program."""
    spec, inputs = spec_and_inputs(one_layer, name, form, **options)
    program = migrate.to_mlprogram(spec, "fp32", target)
    kinds = [kind for kind, _ in operations(program)]
    return migrate.evaluate(program, inputs)["out0"], kinds


@pytest.mark.parametrize(("name", "form"), LAYERS)
def test_random_values_as_an_ml_program(one_layer, name, form):
    """The values are those of another stream; the distribution is the same."""
    values, kinds = drawn(one_layer, name, form, seed=42)
    assert values.shape == SHAPE
    assert kinds.count(f"random_{name.lower()}") == 1
    check_distribution(name, values)


def test_the_seed_is_carried(one_layer):
    first, again, other = (drawn(one_layer, "Normal", "Like", seed=n)[0] for n in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_categorical_as_an_ml_program(one_layer, logits, temperature):
    shares = np.array([[0.1, 0.2, 0.7], [0.5, 0.0, 0.5]], np.float32)
    x = np.log(shares + 1e-10) if logits else shares
    spec = one_layer(
        "categoricalDistribution", [x.shape], numSamples=20_000, isLogits=logits, seed=3,
        temperature=temperature,
    )  # fmt: skip
    program = migrate.to_mlprogram(spec, "fp32", "iOS15")
    drawn = migrate.evaluate(program, {"in0": x})["out0"]
    assert [kind for kind, _ in operations(program)].count("random_categorical") == 1
    assert drawn.shape == (2, 20_000)
    power = shares ** (1 / (temperature or 1))
    expected = power / power.sum(1, keepdims=True)
    found = np.stack([(drawn == i).mean(1) for i in range(3)], 1)
    np.testing.assert_allclose(found, expected, atol=0.02)
