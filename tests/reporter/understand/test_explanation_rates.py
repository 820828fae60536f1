"""Planted faults are found, and faults that the catalogue does not have are none of these.

The faults are planted into a device that is written out in numpy (tests/support/devices.py), whose
sums are float16: neither its faults nor its accumulators are those of the search.
"""

from __future__ import annotations

import numpy as np
import pytest
from devices import half, single_faults
from sample import Kept, Sample

import migrate
from reporter.measure.inputs import seeded
from reporter.measure.record import Run
from reporter.measure.simulate import simulate, values
from reporter.understand import comparison, explanation
from reporter.understand.assessment import assess
from reporter.understand.explanation import sentences
from reporter.understand.reference import Referee


@pytest.fixture(scope="module")
def sample():
    return Sample()


@pytest.fixture
def kept(sample, monkeypatch, search):
    monkeypatch.setattr(migrate, "Counterfactuals", search)


@pytest.fixture(scope="module")
def search(sample):
    return Kept(sample.referee.net, dict(sample.inputs), previous=dict(sample.before))


def test_planted_faults_are_in_the_first_class(sample, kept):
    misses, tried = [], 0
    for i, fault in enumerate(single_faults()):
        device = sample.devices[i % len(sample.devices)]
        found = device.run(sample.inputs, fault, sample.before)
        if not assess(found, sample.bounds["output"]).wrong:
            continue
        tried += 1
        explained = sample.explained(found)
        first = explained.found[0] if explained.found else None
        if first is None or fault not in first.faults:
            misses.append((fault, device.accumulate.__name__, explained.candidates[:2]))
    assert tried >= 35
    assert len(misses) <= 0.05 * tried, misses


def _random(seed):
    return np.random.RandomState(seed)


def outside():
    """Faults that no catalogue entry is, of an output (1600, 39) or of a blob, by name."""
    rows = _random(0).permutation(1600)
    cells = _random(1).rand(1600, 39) < 0.02
    noise = _random(2).randn(1600, 43)
    factors = _random(3).uniform(0.5, 1.5, (1600, 1))
    at_the_end = {
        "channels in a random order": lambda y: y[rows],
        "a block of noise": lambda y: np.where(np.arange(1600)[:, None] // 48 == 7,
                                               noise[:, :39], y),
        "a quadratic distortion": lambda y: y + 0.02 * y.astype(float) ** 2,
        "a soft limit": lambda y: 2 * np.tanh(y / 2),
        "random signs": lambda y: np.where(cells, -y, y),
        "random zeros": lambda y: np.where(cells, 0, y),
        "a gain for each channel": lambda y: y * factors,
        "a gain of 3": lambda y: 3 * y,
        "an offset": lambda y: y + 0.5,
        "coarse steps": lambda y: np.round(y * 16) / 16,
        "rows in reverse": lambda y: y[:, ::-1],
        "one row late": lambda y: np.roll(y, 1, axis=1),
        "another prediction's": lambda y: noise[:, :39],
        "the first half twice": lambda y: np.concatenate([y[:800], y[:800]]),
        "every 16th channel lost": lambda y: np.where(np.arange(1600)[:, None] % 16 == 5, 0, y),
        "a cliff": lambda y: np.where(y > 1.5, 0, y),
    }  # fmt: skip
    inside = {
        "half of conv1 lost": ("conv1", lambda y: np.where(np.arange(len(y))[:, None] < 400, 0, y)),
        "noise in conv1": ("conv1", lambda y: y + noise[:800] / 8),
        "conv2 squared": ("conv2", lambda y: y.astype(float) ** 2),
        "conv2 in a random order": ("conv2", lambda y: y[_random(4).permutation(800)]),
        "conv2 negated": ("conv2", lambda y: -y),
        "concat in a random order": ("concat", lambda y: y[rows]),
        "concat interleaved by 16": (
            "concat", lambda y: y.reshape(2, 50, 16, 43).swapaxes(0, 1).reshape(1600, 43)),
        "concat rolled by 7": ("concat", lambda y: np.roll(y, 7, axis=0)),
        "concat upside down": ("concat", lambda y: y[:, ::-1]),
    }  # fmt: skip
    return {k: ("conv3", change) for k, change in at_the_end.items()} | inside


def test_faults_that_the_catalogue_does_not_have_are_none_of_these(sample, kept):
    misses, tried = [], 0
    for i, (name, (layer, change)) in enumerate(outside().items()):
        device = sample.devices[i % len(sample.devices)]
        found = device.run(
            sample.inputs, extra=lambda at, y, layer=layer, f=change: f(y) if at == layer else y
        )
        if not assess(found, sample.bounds["output"]).wrong:
            continue
        tried += 1
        explained = sample.explained(found)
        if explained.found:
            misses.append((name, explained.found))
        else:
            assert sentences(explained)[0].startswith("none of the 44 single faults tried gives")
    assert tried >= 22
    assert len(misses) <= 0.05 * tried, misses


# --- a model of the world


def of_record(record, referee):
    compared = comparison.from_record(record, referee, "r", 0.01)
    return explanation.of_record(record, referee, compared)


MNIST = ("bias-only@convolution2d_1", "rows-padded@dense_1", "zeroed@dense_2",
         "scale-doubled@activation_4")  # fmt: skip


def test_a_known_network(shared_models):
    """Faults of mnist_cnn that its scores show, and scores that no fault gives."""
    path = shared_models / "mnist_cnn.mlmodel"
    referee, inputs, missed = Referee(path), seeded(path), []
    for fault in MNIST:
        (found,) = of_record(in_float16(simulate(path, fault, inputs)), referee)
        if not (found.found and fault in found.found[0].faults):
            missed.append((fault, found))
    assert not missed
    name = next(iter(referee.compute(dict(inputs)).envelopes))
    ramp = {name: np.linspace(0, 1, 10)}
    record = simulate(path, "none", inputs)
    run = Run(unit="ane", input=record.runs[0].input, outputs=values(ramp))
    (none,) = of_record(record.model_copy(update={"runs": (run,)}), referee)
    assert none.found == ()


def in_float16(record):
    """The record with its float32 outputs as float16 has them."""
    runs = []
    for one in record.runs:
        outputs = {
            name: value if isinstance(value, (dict, str, int)) else half(value.array())
            for name, value in one.outputs.items()
        }
        runs.append(one.model_copy(update={"outputs": values(outputs)}))
    return record.model_copy(update={"runs": tuple(runs), "simulation": ""})
